"""Data sets from files, frames, arrays, a generator or the named ones: interactions, events, features, impressions."""

from pyrec.data.article_vectors import ArticleVectors, read_article_vectors
from pyrec.data.articles import Articles
from pyrec.data.bandit import BanditLog
from pyrec.data.biased import Biased, KnownPropensities, generate_biased
from pyrec.data.completed import semi_synthetic
from pyrec.data.dataset import Dataset, as_dataset
from pyrec.data.events import Events
from pyrec.data.features import Features
from pyrec.data.generated_bandit import GeneratedBandit, generate_bandit
from pyrec.data.generated_news import GeneratedNews, NewsTruth, generate_news
from pyrec.data.impressions import Impressions
from pyrec.data.interactions import Interactions, as_interactions
from pyrec.data.labels import label
from pyrec.data.load import (
    LoadOptions,
    Split,
    WithUniform,
    load_data,
    load_everything,
    load_training,
    load_with_uniform,
)
from pyrec.data.named.sets import NamedDataset, get_dataset, list_datasets
from pyrec.data.news import News, NewsSplit, as_news
from pyrec.data.ragged import Ragged
from pyrec.data.read.bandit import read_bandit_log
from pyrec.data.read.features import read_features
from pyrec.data.read.item_names import read_item_names
from pyrec.data.read.matrix import read_matrix
from pyrec.data.read.news.parts import is_news_folder
from pyrec.data.read.news.readers import read_news
from pyrec.data.read.readers import read_events, read_folder, read_interactions, read_pair
from pyrec.data.read.uniform import read_with_uniform
from pyrec.data.split import split_random, split_time, union
from pyrec.data.stats import InteractionStats
from pyrec.data.synthetic import synthetic
from pyrec.data.text import Tokenizer
from pyrec.data.truth import Truth
from pyrec.data.uniform import UniformParts, shared_pairs, split_uniform
from pyrec.data.weights import transform_weights
from pyrec.data.word_vectors import WordVectors, read_word_vectors
from pyrec.data.write_news import write_news

__all__ = [
    "ArticleVectors",
    "Articles",
    "BanditLog",
    "Biased",
    "Dataset",
    "Events",
    "Features",
    "GeneratedBandit",
    "GeneratedNews",
    "Impressions",
    "InteractionStats",
    "Interactions",
    "KnownPropensities",
    "LoadOptions",
    "NamedDataset",
    "News",
    "NewsSplit",
    "NewsTruth",
    "Ragged",
    "Split",
    "Tokenizer",
    "Truth",
    "UniformParts",
    "WithUniform",
    "WordVectors",
    "as_dataset",
    "as_interactions",
    "as_news",
    "generate_bandit",
    "generate_biased",
    "generate_news",
    "get_dataset",
    "is_news_folder",
    "label",
    "list_datasets",
    "load_data",
    "load_everything",
    "load_training",
    "load_with_uniform",
    "read_article_vectors",
    "read_bandit_log",
    "read_events",
    "read_features",
    "read_folder",
    "read_interactions",
    "read_item_names",
    "read_matrix",
    "read_news",
    "read_pair",
    "read_with_uniform",
    "read_word_vectors",
    "semi_synthetic",
    "shared_pairs",
    "split_random",
    "split_time",
    "split_uniform",
    "synthetic",
    "transform_weights",
    "union",
    "write_news",
]
