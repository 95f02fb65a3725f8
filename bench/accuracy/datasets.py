"""The data sets of the accuracy grid, each with its splits, from the folder that PYREC_DATA names.

`read` knows a data set by its name and a split by its own: the splits that come with the data (``u1`` to ``u5`` of
ml-100k, ``given``), or a number that seeds a random split with 80 % of the interactions for training.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pyrec.data import Interactions, read_folder, read_interactions, read_pair, split_random, synthetic
from pyrec.errors import ConfigError

Pair = tuple[Interactions, Interactions]
ML_100K_SPLITS = ("u1", "u2", "u3", "u4", "u5")
TRAIN_FRACTION = 0.8
MIN_RATING = 4
MIN_HISTORY = 6
"""Interactions of a user of whom `halves` holds out some."""


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
        splits: Names of its splits, or None if any seed from 0 up names one.
        read: Training and test part of a split.
    """

    splits: tuple[str, ...] | None
    read: Callable[[str], Pair]


def read(name: str, split: str) -> Pair:
    """Reads a split.

    Args:
        name: A name in `DATA_SETS`.
        split: One of its splits.

    Returns:
        (train, test) with the same id maps.

    Raises:
        ConfigError: If there is no such data set or split, or PYREC_DATA is not set.
        DataError: If a file is missing or malformed.
    """
    check(name, split)
    return DATA_SETS[name].read(split)


def check(name: str, split: str) -> None:
    """Raises ConfigError if there is no such data set or split."""
    if name not in DATA_SETS:
        raise ConfigError(f"data names {name!r}; known are {', '.join(DATA_SETS)}")
    splits = DATA_SETS[name].splits
    if splits is None and not split.isdecimal():
        raise ConfigError(f"data {name} has the split {split!r}; name the seed of a random one, such as 0")
    if splits is not None and split not in splits:
        raise ConfigError(f"data {name} has the split {split!r}; it has {', '.join(splits)}")


def folder(name: str) -> Path:
    root = os.environ.get("PYREC_DATA")
    if not root:
        raise ConfigError(f"{name} is read from the folder PYREC_DATA, which is not set")
    return Path(root) / name


def _movielens_100k(split: str) -> Pair:
    files = folder("ml-100k")
    return read_pair(files / f"{split}.base", files / f"{split}.test", MIN_RATING)


def _movielens_100k_halves(split: str) -> Pair:
    return halves(_movielens_100k(split)[0])


def halves(interactions: Interactions, seed: int = 0) -> Pair:
    """Holds out half of the interactions of half of the users, which is about what a test part of ml-100k is.

    Args:
        interactions: A training part, to choose hyperparameters by.
        seed: Of the choice.

    Returns:
        (train, held out) with the same id maps.
    """
    generator = np.random.default_rng(seed)
    counts = np.diff(interactions.indptr)
    users = np.flatnonzero(counts >= MIN_HISTORY)
    is_train = np.ones(len(interactions), dtype=bool)
    for user in generator.choice(users, len(users) // 2, replace=False):
        chosen = generator.choice(counts[user], counts[user] // 2, replace=False)
        is_train[interactions.indptr[user] + chosen] = False
    return interactions.select(is_train), interactions.select(~is_train)


def _random(interactions: Interactions, split: str) -> Pair:
    return split_random(interactions, TRAIN_FRACTION, int(split))


def _movielens_small(split: str) -> Pair:
    return _random(read_interactions(folder("ml-latest-small") / "ratings.csv", MIN_RATING), split)


def _lastfm(split: str) -> Pair:
    return _random(read_interactions(folder("hetrec2011-lastfm") / "user_artists.dat"), split)


def _generated(split: str) -> Pair:
    return _random(synthetic(300, 200, interactions_per_user=20, num_groups=8), split)


DATA_SETS: dict[str, DataSet] = {
    "ml-100k": DataSet(ML_100K_SPLITS, _movielens_100k),
    "ml-100k-halves": DataSet(ML_100K_SPLITS, _movielens_100k_halves),
    "gowalla": DataSet(("given",), lambda _: read_folder(folder("gowalla"))),
    "yelp2018": DataSet(("given",), lambda _: read_folder(folder("yelp2018"))),
    "amazon-electronics": DataSet(("given",), lambda _: read_folder(folder("amazon-electronics"))),
    "hetrec2011-lastfm": DataSet(None, _lastfm),
    "ml-latest-small": DataSet(None, _movielens_small),
    "synthetic": DataSet(None, _generated),
}
"""Every data set by name. ml-100k and ml-latest-small keep ratings of 4 and 5; ml-100k-halves is for choosing
hyperparameters, from the training parts alone."""
