"""How many eigenvalues of a matrix lie above a number, from a few products with it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyrec.nn.gram import Gram
from pyrec.nn.symmetric import eigh
from pyrec.ops.product import ROWS_AT_ONCE, product

_PROBES: Final = 16
_STEPS: Final = 24
_GRID: Final = 2_000


class Density(NamedTuple):
    """An estimate of where the eigenvalues of a matrix lie that has none below 0.

    Attributes:
        largest: The largest one that was seen.
        at: (n,) numbers, rising from 0 to the largest.
        above: (n,) how many eigenvalues are above each.
    """

    largest: float
    at: np.ndarray
    above: np.ndarray

    def of_rank(self, count: int) -> float:
        """About the ``count``-th largest eigenvalue."""
        return float(self.at[np.searchsorted(-self.above, -count).clip(max=len(self.at) - 1)])


def estimate_density(gram: Gram, generator: torch.Generator) -> Density:
    """Stochastic Lanczos quadrature.

    Each random vector's Lanczos process gives nodes and weights; a weight, times the size, is how many eigenvalues the
    node stands for, half of them above it.

    Source: Golub and Welsch, Math. Comp. 23, 1969; Ubaru, Chen and Saad, SIAM J. Matrix Anal. Appl. 38, 2017.

    Args:
        gram: The matrix.
        generator: Of the random vectors.
    """
    diagonal, beside = _lanczos(gram, generator)
    steps = torch.arange(diagonal.shape[1], dtype=torch.int64, device="cpu")
    matrices = torch.diag_embed(diagonal)
    matrices[:, steps[1:], steps[:-1]] = beside[:, :-1]
    nodes, vectors = (part.flip(-1) for part in eigh(matrices + matrices.tril(-1).mT))
    weights = vectors[:, 0].square()
    largest = float(nodes.max())
    at = np.linspace(0, largest, _GRID)
    above = np.zeros(_GRID)
    for node, weight in zip(nodes.numpy(), weights.numpy(), strict=True):
        share = np.cumsum(weight[::-1])[::-1] - weight / 2
        above += np.interp(at, node, share, left=1, right=0)
    return Density(largest, at, above * gram.size / len(nodes))


def _lanczos(gram: Gram, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The tridiagonal matrices of some random vectors: diagonals and what is beside them, (probes, steps) each."""
    drawn = torch.randn(gram.size, _PROBES, generator=generator, dtype=gram.dtype, device="cpu")
    vectors = drawn.to(gram.device)
    vectors /= column_sums(vectors.square()).sqrt().to(vectors.dtype)
    before, length = torch.zeros_like(vectors), vectors.new_zeros(_PROBES)
    diagonal, beside = [], []
    for _ in range(min(_STEPS, gram.size)):
        made = gram(vectors) - before * length
        along = column_sums(made * vectors).to(made.dtype)
        made -= vectors * along
        length = column_sums(made.square()).sqrt().to(made.dtype)
        diagonal.append(along)
        beside.append(length)
        before, vectors = vectors, made / length.clamp(min=torch.finfo(gram.dtype).tiny)
    return torch.stack(diagonal, 1).double().cpu(), torch.stack(beside, 1).double().cpu()


def column_sums(x: Tensor) -> Tensor:
    """(n,) float64 of x (rows, n), contiguous, the same bits at any number of threads."""
    total = x.new_zeros(x.shape[1], dtype=torch.float64)
    for rows in torch.split(x, ROWS_AT_ONCE):
        total += product(x.new_ones(1, len(rows)), rows)[0]
    return total
