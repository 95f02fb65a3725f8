"""The arrays that the benchmarks share: gowalla where PYREC_DATA names its folder, else its likeness."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from pyrec.data import Interactions, read_folder, synthetic
from pyrec.graph import Graph

GOWALLA_USERS, GOWALLA_ITEMS, GOWALLA_DEGREE = 29_858, 40_981, 27.13


@cache
def gowalla() -> tuple[Interactions, Interactions | None]:
    """Training and test interactions; or generated ones of the same size, and no test."""
    folder = os.environ.get("PYREC_DATA")
    if folder:
        return read_folder(Path(folder) / "gowalla")
    return synthetic(GOWALLA_USERS, GOWALLA_ITEMS, interactions_per_user=GOWALLA_DEGREE), None


@cache
def gowalla_graph() -> Graph:
    """Gowalla's training graph."""
    return Graph.from_interactions(gowalla()[0])


def embeddings(num_rows: int, dim: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """N(0, 0.1²) rows, as a model starts from."""
    generator = torch.Generator().manual_seed(seed)
    return (0.1 * torch.randn(num_rows, dim, generator=generator)).to(dtype)
