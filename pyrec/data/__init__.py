"""Interactions from files, frames, arrays, a generator or named data sets."""

from pyrec.data.interactions import Interactions, as_interactions
from pyrec.data.load import Split, load_data, load_training
from pyrec.data.named.sets import Dataset, get_dataset, list_datasets
from pyrec.data.read.readers import read_folder, read_interactions, read_pair
from pyrec.data.split import split_random, split_time
from pyrec.data.stats import InteractionStats
from pyrec.data.synthetic import synthetic

__all__ = [
    "Dataset",
    "InteractionStats",
    "Interactions",
    "Split",
    "as_interactions",
    "get_dataset",
    "list_datasets",
    "load_data",
    "load_training",
    "read_folder",
    "read_interactions",
    "read_pair",
    "split_random",
    "split_time",
    "synthetic",
]
