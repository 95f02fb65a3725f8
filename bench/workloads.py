"""The data that the races share: real where PYREC_DATA names its folder, else its likeness; and generated graphs.

The generator draws in pieces of `PIECE` interactions, so that beside the result (8 bytes an interaction) it
needs the same few hundred MB for any size; sorting a piece is most of its time, some 0.1 s a million.
"""

from __future__ import annotations

import os
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrec.data import Interactions, read_folder, read_pair, synthetic
from pyrec.graph import Graph

GOWALLA_USERS, GOWALLA_ITEMS, GOWALLA_DEGREE = 29_858, 40_981, 27.13
ML100K_USERS, ML100K_ITEMS, ML100K_DEGREE = 943, 1_682, 46.0
USER_DEGREE, ITEM_DEGREE = 27, 20  # mean degrees of the generated graphs, gowalla's
PIECE = 1 << 22

Split = tuple[Interactions, Interactions]


@cache
def gowalla() -> Split:
    """Training and test interactions of gowalla, LightGCN's split."""
    folder = os.environ.get("PYREC_DATA")
    if folder:
        return read_folder(Path(folder) / "gowalla")
    return _likeness(GOWALLA_USERS, GOWALLA_ITEMS, GOWALLA_DEGREE, 7.3)


@cache
def movielens() -> Split:
    """Training and test interactions of ml-100k, split u1, ratings of 4 and 5."""
    folder = os.environ.get("PYREC_DATA")
    if folder:
        files = Path(folder) / "ml-100k"
        return read_pair(files / "u1.base", files / "u1.test", min_rating=4)
    return _likeness(ML100K_USERS, ML100K_ITEMS, ML100K_DEGREE, 11.0)


def _likeness(num_users: int, num_items: int, train_degree: float, test_degree: float) -> Split:
    """Generated data of those sizes; its test items are drawn apart, so a few are in training too."""
    train = synthetic(num_users, num_items, interactions_per_user=train_degree)
    return train, synthetic(num_users, num_items, interactions_per_user=test_degree, seed=1)


@cache
def gowalla_graph() -> Graph:
    """Gowalla's training graph."""
    return Graph.from_interactions(gowalla()[0])


@cache
def movielens_graph() -> Graph:
    """The training graph of ml-100k."""
    return Graph.from_interactions(movielens()[0])


def power_law_graph(num_edges: int, seed: int = 0) -> Graph:
    """A graph of about that many edges (twice its interactions), power laws on both sides.

    Users draw 1 + Pareto(2) times a constant items, at most 1,000 times the least, and an item in proportion to
    its rank^-0.8. Repeats are merged, so 10 % more are drawn than wanted. Items are numbered at random.
    """
    rng = np.random.default_rng(seed)
    draws = int(1.1 * num_edges / 2)
    num_users, num_items = max(draws // USER_DEGREE, 2), max(draws // ITEM_DEGREE, 2)
    degree = _degrees(rng, num_users, draws)
    numbering = rng.permutation(num_items).astype(np.int32)
    ends = np.cumsum(degree)
    cuts = np.searchsorted(ends, np.arange(PIECE, ends[-1], PIECE))
    bounds = np.unique(np.concatenate([[0], cuts, [num_users]]))
    pieces = [_draw(rng, np.arange(low, high), degree[low:high], numbering) for low, high in pairwise(bounds)]
    users, items = (torch.from_numpy(np.concatenate(part)) for part in zip(*pieces, strict=True))
    return Graph.from_edges(users, items, num_users, num_items)


def _degrees(rng: np.random.Generator, num_users: int, draws: int) -> NDArray[np.int64]:
    raw = np.minimum((1.0 - rng.random(num_users)) ** -0.5, 1000.0)
    return np.maximum(np.rint(raw * (draws / raw.sum())), 1).astype(np.int64)


def _draw(
    rng: np.random.Generator,
    users: NDArray[np.int64],
    degree: NDArray[np.int64],
    numbering: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The distinct pairs of a few users, sorted; a rank r of M with density r^-0.8 is M u^5, u uniform."""
    num_items = len(numbering)
    uniform = rng.random(int(degree.sum()))
    rank = np.square(np.square(uniform)) * uniform * num_items
    owner = np.repeat(users * num_items, degree)
    key = owner + numbering[rank.astype(np.int32)]
    key.sort()  # which leaves each user's keys where they are
    new = np.concatenate([[True], key[1:] != key[:-1]])
    return np.repeat(users.astype(np.int32), degree)[new], (key - owner)[new].astype(np.int32)


def embeddings(num_rows: int, dim: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """N(0, 0.1²) rows, as a model starts from."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_rows, dim, generator=generator).mul_(0.1).to(dtype)
