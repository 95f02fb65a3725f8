"""The leading eigenvectors of B Bᵀ by subspace iteration with Chebyshev filters.

A block of random vectors goes through a polynomial that is small on the eigenvalues that are not sought and grows
beyond them. Rayleigh and Ritz's method finds the best vectors in what the block spans. Those that have converged are
kept, and the others go on beside them. A block has vectors to spare, so that eigenvalues that are equal are found as
often as they are there. Every step is a product of matrices.

Source: Zhou, Saad, Tiago and Chelikowsky, J. Comput. Phys. 219, 2006; the bound between what is sought and the rest
comes from `pyrec.nn.density`.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

from pyrec.errors import DataError
from pyrec.nn.density import Density, column_sums, estimate_density
from pyrec.nn.gram import COLUMNS, Gram
from pyrec.nn.symmetric import eigh, whitener
from pyrec.ops.product import inner_products, product

_MOST_ROUNDS: Final = 500
_MOST_DEGREE: Final = 12
_NOISE: Final = 16
"""What may be rounding in a product, in units of the dtype's and of the largest eigenvalue."""
_MOST_ROUNDING: Final = 4_000
"""What it may come to."""
_STANDING: Final = 0.7
"""A residual that is not below this share of what it was before has come no nearer."""
_NEAREST: Final = 0.98
"""Of the last eigenvalue that is sought: the bound stays below, even where the whole block has equal ones."""
_FIRM: Final = 100
"""A Gram matrix whose smallest eigenvalue is above one over this is good enough to keep vectors by."""


class Eigenpairs(NamedTuple):
    """Some eigenvalues and vectors of a matrix G.

    Attributes:
        values: (n,) float64, falling.
        vectors: (size, n), orthonormal columns.
        residuals: (n,) float64, ``|G v - value v|``.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor


def spare_width(count: int) -> int:
    """Vectors of a block that ``count`` are sought by."""
    return -(-(count + count // 3 + 24) // 16) * 16


def leading_eigenpairs(gram: Gram, count: int, tolerance: float, seed: int) -> Eigenpairs:
    """The largest eigenvalues of G = B Bᵀ, which is not zero, and their vectors.

    Args:
        gram: G.
        count: How many; `spare_width` of them is at most half the size of G.
        tolerance: Of a residual, in units of its eigenvalue, or what rounding leaves.
        seed: Of the vectors that the iteration starts from.

    Raises:
        DataError: The iteration does not converge.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    density = estimate_density(gram, generator)
    search = _Search(gram, count, tolerance, density, generator)
    for _ in range(_MOST_ROUNDS):
        if search.advance():
            return search.found()
    raise DataError(
        f"{count} leading singular vectors were not found in {_MOST_ROUNDS} rounds; ask for fewer"
    )


class _Search:
    """A block of vectors on the way, and those that have converged, orthogonal to it."""

    def __init__(
        self, gram: Gram, count: int, tolerance: float, density: Density, generator: torch.Generator
    ) -> None:
        self._gram, self._count, self._tolerance, self._generator = gram, count, tolerance, generator
        self._epsilon = torch.finfo(gram.dtype).eps
        self._rounding = _NOISE * self._epsilon
        self._largest = density.largest
        self._estimated = max(density.of_rank(spare_width(count)), self._epsilon * self._largest)
        self._bound = self._estimated
        self._block = self._random(spare_width(count))
        self._product = self._block[:, :0]  # G times the block, once it is known
        self._values = torch.full((self._block.shape[1],), density.largest, dtype=torch.float64, device="cpu")
        self._kept = self._block.new_empty(gram.size, 0)
        self._kept_values = self._kept_residuals = self._values[:0]
        self._rounds = 0
        self._nearest = math.inf  # the least residual of the last round

    def advance(self) -> bool:
        """Filter the block, take its best vectors and keep those that have converged; whether there are enough."""
        known = self._product if self._rounds else None
        filtered = _filtered(self._gram, self._block, known, self._degree(), self._bound)
        firm = self._take_best(self._beside_kept(filtered))
        self._product = self._gram(self._block)
        residuals = self._residuals()
        self._largest = max(self._largest, float(self._values[0]))
        self._rounds += 1
        if firm:
            self._keep(residuals)
        self._set_bound()
        return len(self._kept_values) >= self._count

    def found(self) -> Eigenpairs:
        """What was kept, by falling eigenvalue."""
        falling = torch.argsort(self._kept_values, descending=True, stable=True)
        vectors = self._kept[:, falling.to(self._kept.device)]
        return Eigenpairs(self._kept_values[falling], vectors, self._kept_residuals[falling])

    def _random(self, columns: int) -> Tensor:
        shape, dtype = (self._gram.size, columns), self._gram.dtype
        return torch.randn(shape, generator=self._generator, dtype=dtype, device="cpu").to(self._gram.device)

    def _degree(self) -> int:
        """What amplifies neither the block's first vector beyond what its last can be told from, nor rounding.

        Along the kept vectors there is rounding alone. A random block can be told apart less far than Ritz vectors.
        """
        amplified = self._epsilon ** (-0.5 if self._rounds == 0 else -0.75)
        steps = [
            math.acosh(amplified) / _growth(float(self._values[0]), self._bound),
            math.acosh(1 / self._epsilon) / _growth(self._largest, self._bound),
        ]
        return max(1, min(_MOST_DEGREE, math.floor(min(steps))))

    def _beside_kept(self, block: Tensor) -> Tensor:
        if not self._kept.shape[1]:
            return block
        along = inner_products(self._kept, block).to(block.dtype)
        return block.sub_(product(self._kept, along))

    def _take_best(self, block: Tensor) -> bool:
        """The block becomes Ritz vectors of what the given vectors span; whether these could be told apart well."""
        block, whiten, firm = self._told_apart(block)
        projected = inner_products(block, self._gram(block)).cpu()
        self._values, turn = eigh(whiten.mT @ projected @ whiten)
        self._block = _turned(block, whiten @ turn)
        return firm

    def _told_apart(self, block: Tensor) -> tuple[Tensor, Tensor, bool]:
        """Vectors with the span of a block, and what makes them orthonormal from the right.

        Where some are too close to being combinations of others, eigenvectors of the Gram matrix are taken, and random
        ones in place of what is lost.
        """
        for _ in range(_MOST_ROUNDS):
            squares = inner_products(block, block).cpu()
            scale = squares.diagonal().clamp(min=torch.finfo(block.dtype).tiny).rsqrt()
            scaled = squares * scale * scale[:, None]
            whiten = whitener(scaled)
            inverse = math.inf if whiten is None else float(whiten.square().sum(0).max())
            if whiten is not None and inverse * self._epsilon < 1e-3:
                return block, scale[:, None] * whiten, inverse < _FIRM
            values, turn = eigh(scaled)
            there = values > 10 * self._epsilon * values[0]
            turn = scale[:, None] * turn[:, there] / values[there].sqrt()
            lost = self._random(len(there) - int(there.sum()))
            block = self._beside_kept(torch.cat([_turned(block, turn), lost / self._gram.size**0.5], 1))
        raise DataError("the matrix has numbers too far apart to find singular vectors of")

    def _residuals(self) -> Tensor:
        parts = []
        for first in range(0, self._block.shape[1], COLUMNS):
            columns = slice(first, first + COLUMNS)
            values = self._values[columns].to(self._block)
            left = torch.sub(self._product[:, columns], self._block[:, columns] * values)
            parts.append(column_sums(left.square_()).cpu().sqrt())
        return torch.cat(parts)

    def _keep(self, residuals: Tensor) -> None:
        """Move those of the sought vectors that have converged from the block to what is kept.

        What is kept has to be good enough for the last one that is sought, too, which is found beside it.
        """
        left = self._count - len(self._kept_values)
        least = max(self._tolerance * float(self._values[left - 1]), self._rounding * self._largest)
        done = residuals <= least
        done[left:] = False
        if not done.any():
            self._allow_rounding(float(residuals[:left].min()))
            return
        self._kept_values = torch.cat([self._kept_values, self._values[done]])
        self._kept_residuals = torch.cat([self._kept_residuals, residuals[done]])
        ready, others = (one.nonzero()[:, 0].to(self._block.device) for one in (done, ~done))
        self._kept = torch.cat([self._kept, self._block.index_select(1, ready)], 1)
        self._block, self._product = (one.index_select(1, others) for one in (self._block, self._product))
        self._values = self._values[~done]

    def _allow_rounding(self, nearest: float) -> None:
        """Where the nearest vector comes no nearer and is near already, rounding is larger than was thought."""
        stands = nearest > _STANDING * self._nearest
        if stands and nearest < _MOST_ROUNDING * self._epsilon * self._largest:
            self._rounding *= 2
        self._nearest = nearest

    def _set_bound(self) -> None:
        """Below what is sought: Ritz values are no larger than the eigenvalues, but the first ones are too small."""
        left = self._count - len(self._kept_values)
        if left < 1:
            return
        bound = max(0.95 * self._estimated, float(self._values[-1]))
        if self._rounds > 1:
            bound = min(bound, _NEAREST * float(self._values[left - 1]))
        self._bound = max(bound, self._epsilon * self._largest)


def _growth(value: float, bound: float) -> float:
    """``T_d`` grows like cosh(d times this) at a value beyond the bound."""
    return math.acosh(max(2 * value / bound - 1, 1 + 1e-6))


def _turned(block: Tensor, turn: Tensor) -> Tensor:
    return product(block, turn.to(block).contiguous())


def _filtered(gram: Gram, block: Tensor, known: Tensor | None, degree: int, bound: float) -> Tensor:
    """``T_d(2 G / bound - 1)`` times a block, by ``T_d = 2 (2 G / bound - 1) T_(d-1) - T_(d-2)``.

    Args:
        gram: G.
        block: (size, n).
        known: G times the block, or None.
        degree: d, at least 1.
        bound: Up to which eigenvalues are damped.
    """
    out = torch.empty_like(block)
    for first in range(0, block.shape[1], COLUMNS):
        columns = slice(first, first + COLUMNS)
        before = block[:, columns].contiguous()
        now, following = torch.empty_like(before), torch.empty_like(before)
        if known is None:
            gram.block(before, now)
        else:
            now.copy_(known[:, columns])
        now.mul_(2 / bound).sub_(before)
        for _ in range(1, degree):
            gram.block(now, following, 4 / bound)
            following.sub_(before.add_(now, alpha=2))
            before, now, following = now, following, before
        out[:, columns] = now
    return out
