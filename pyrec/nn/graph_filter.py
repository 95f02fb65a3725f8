r"""Polynomials and ideal low-pass filters of a bipartite graph, on rows of items.

``N = D_u^-a R D_i^-b`` is the normalised interaction matrix; ``NᵀN`` is a matrix of items x items that is never made. A
block of users' rows is a table of so many columns on the items, and a product with ``NᵀN`` is two sums over neighbours,
items to users and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from torch import Tensor

from pyrec._arrays import empty_table, tensor_of
from pyrec.graph.graph import Graph
from pyrec.nn.singular import leading_singular_vectors, with_positive_peaks
from pyrec.ops.neighbor_sums import neighbor_sums
from pyrec.ops.product import product

TABLE_BYTES: Final = 32 * 2**20
"""Of a block's table, which is to stay in a last-level cache."""
LEAST_WIDTH, MOST_WIDTH, WIDTHS = 32, 512, 16

Float64Array = NDArray[np.float64]


def plateau_coefficients(order: int, flatness: float) -> Float64Array:
    """The Chebyshev coefficients c (order + 1,) of the polynomial ``p(t) = sum_k c_k T_k(t)`` that ChebyCF filters by.

    The target falls from 1 at t = -1 to 0 at t = 1, steeply at both ends and slowly between:
    ``f(t) = (1 - sign(t) |t|^flatness) / 2``. Its values at the extrema of T_order, ``cos(j pi / order)``, are taken
    on at the roots of T_(order + 1), so that p is 1 and 0 at the outermost roots, as in the authors' program.
    ``c_k = 2 / (order + 1) sum_j f_j T_k(root_j)``, half of it for k = 0.

    Source: Kim et al., "Graph spectral filtering with Chebyshev interpolation for recommendation", SIGIR 2025, and its
    program.

    Args:
        order: At least 1.
        flatness: φ, above 0.
    """
    at = np.arange(order + 1)
    extrema = np.cos(at * np.pi / order)
    angles = (at + 0.5) * np.pi / (order + 1)
    target = (1 - np.sign(extrema) * np.abs(extrema) ** flatness) / 2
    coefficients = np.cos(at[:, None] * angles) @ target * 2 / (order + 1)
    coefficients[0] /= 2
    return coefficients


@dataclass(frozen=True, eq=False)
class Normalised:
    """The matrix N = D_u^-a R D_i^-b of a graph with weights of either sign, or of 1.

    The degree of a node is the sum of its weights' magnitudes. A node without edges has scale 0.

    Attributes:
        graph: R, with its weights.
        user_scale: D_u^-a, (num_users,) float64.
        item_scale: D_i^-b, (num_items,) float64.
        item_degree: (num_items,) float64.
    """

    graph: Graph
    user_scale: Float64Array
    item_scale: Float64Array
    item_degree: Float64Array

    @classmethod
    def of(cls, graph: Graph, user_exponent: float, item_exponent: float) -> Normalised:
        """Normalise a graph on the CPU."""
        if graph.weights is None:
            degree = graph.degree.double()
        else:
            magnitudes = graph.weights.abs().double()
            degree = magnitudes.new_zeros(graph.num_nodes)
            degree.index_add_(0, torch.repeat_interleave(graph.degree), magnitudes)
        users, items = np.split(degree.numpy(), [graph.num_users])
        return cls(graph, power(users, -user_exponent), power(items, -item_exponent), items)

    def matrix(self) -> csr_array:
        """N, float32 (num_users, num_items)."""
        graph = self.graph
        end = int(graph.indptr[graph.num_users])
        values = np.ones(end, dtype=np.float32) if graph.weights is None else graph.weights[:end].numpy()
        items = graph.indices[:end].numpy() - graph.num_users
        shape = (graph.num_users, graph.num_items)
        rows = csr_array((values, items, graph.indptr[: graph.num_users + 1].numpy()), shape=shape)
        scaled = diags_array(self.user_scale) @ rows @ diags_array(self.item_scale)
        return csr_array(scaled, dtype=np.float32)

    def right_vectors(self, count: int) -> tuple[NDArray[np.float32], float]:
        """The leading right singular vectors of N, (num_items, count) by falling value, and the largest value squared.

        Each vector's largest entry is positive. Columns beyond the rank of N are zeros.
        """
        found = leading_singular_vectors(self.matrix(), count, tolerance=1e-6)
        return with_positive_peaks(found.right), float(found.values[0]) ** 2


def power(degree: Float64Array, exponent: float) -> Float64Array:
    """``degree^exponent``, 0 where the degree is 0."""
    there = degree > 0
    return np.where(there, np.where(there, degree, 1.0) ** exponent, 0.0)


class Polynomial:
    """``rows diag(before) p(NᵀN / largest) diag(after)`` for rows of items, a block of them at a time.

    With coefficients c, ``p(G) = sum_k c_k T_k(I - 2 G)``, by ``T_k = 2 (I - 2 G) T_(k-1) - T_(k-2)``: as many products
    with G as the order. Without, ``p(G) = G``.

    What is gathered is ``Z_k = D_i^-b T_k x``, for which ``Z_k = 2 Z_(k-1) - Z_(k-2) - 4 D_i^-2b Rᵀ D_u^-2a R Z_(k-1) /
    largest``: sums over neighbours with a scale for each sum, and no number an edge but R's own weight.
    """

    def __init__(self, normalised: Normalised, largest: float, coefficients: Float64Array | None) -> None:
        """Keep what products need.

        Args:
            normalised: N.
            largest: What NᵀN is divided by: an upper bound of its eigenvalues, where there are coefficients.
            coefficients: (order + 1,); None for the straight line.
        """
        self.graph = normalised.graph
        users, items = np.square(normalised.user_scale), np.square(normalised.item_scale) / largest
        self._scale = tensor_of(np.concatenate([users, items]).astype(np.float32))
        self._item_scale = normalised.item_scale
        self._coefficients = coefficients

    @property
    def width(self) -> int:
        """How many rows are a table: as many as a cache holds."""
        columns = TABLE_BYTES // (4 * max(1, self.graph.num_nodes)) // WIDTHS * WIDTHS
        return min(max(columns, LEAST_WIDTH), MOST_WIDTH)

    def __call__(self, rows: csr_array, before: Float64Array, after: Float64Array) -> Tensor:
        """Filter rows.

        Args:
            rows: (Q, num_items) float32.
            before: (num_items,), what each item counts in a row.
            after: (num_items,), what each item's result is multiplied by.

        Returns:
            (Q, num_items) float32.
        """
        unscaled = np.divide(1, self._item_scale, where=self._item_scale > 0, out=np.zeros_like(after))
        enter = tensor_of((before * self._item_scale).astype(np.float32))
        leave = tensor_of((after * unscaled).astype(np.float32))
        out = empty_table(rows.shape, torch.float32, self.graph.device)
        for start in range(0, rows.shape[0], self.width):
            block = rows[start : start + self.width]
            with self._tables(block.shape[0]) as (table, sums):
                self._enter(table, block, enter)
                filtered = self._filter(table, sums).mul_(leave[:, None])
                out[start : start + self.width] = filtered.T
        return out

    @contextmanager
    def _tables(self, columns: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Two uninitialised tables, (num_nodes, columns) and (num_items, columns)."""
        graph = self.graph
        with (
            graph.scratch.borrow((graph.num_nodes, columns), torch.float32, 1) as (table,),
            graph.scratch.borrow((graph.num_items, columns), torch.float32, 1) as (sums,),
        ):
            yield table, sums

    def _enter(self, table: Tensor, rows: csr_array, enter: Tensor) -> None:
        """Write the rows, scaled, as columns of the items' part of a table."""
        graph = self.graph
        items = tensor_of(rows.indices.astype(np.int64))
        columns = torch.repeat_interleave(tensor_of(np.diff(rows.indptr).astype(np.int64)))
        values = tensor_of(rows.data.astype(np.float32, copy=False)) * enter[items]
        table[graph.num_users :].zero_()
        table[items + graph.num_users, columns] = values

    def _filter(self, table: Tensor, sums: Tensor) -> Tensor:
        """``p`` of the items' rows of a table, (num_items, Q), unscaled; uses the table up."""
        if self._coefficients is None:
            return self._product(table, sums)
        first, *others = self._coefficients.tolist()
        items = table[self.graph.num_users :]
        total: Tensor = items * first
        before: Tensor | None = None
        for coefficient in others:
            changed = self._product(table, sums)
            # Z_1 = Z_0 - 2 G Z_0, then Z_k = 2 (Z_(k-1) - 2 G Z_(k-1)) - Z_(k-2)
            following: Tensor = changed.mul_(-2).add_(items)
            if before is not None:
                following.mul_(2).sub_(before)
            total.add_(following, alpha=coefficient)
            before = items.clone() if before is None else before.copy_(items)
            items.copy_(following)
        return total

    def _product(self, table: Tensor, sums: Tensor) -> Tensor:
        """``D_i^-2b Rᵀ D_u^-2a R / largest`` times the items' rows of a table, (num_items, Q)."""
        graph = self.graph
        neighbor_sums(table, graph, "users", self._scale, out=table[: graph.num_users])
        return neighbor_sums(table, graph, "items", self._scale, out=sums)


class LowPass:
    """``rows diag(before) V Vᵀ diag(after)`` for orthonormal V (num_items, r)."""

    def __init__(self, vectors: NDArray[np.float32], before: Float64Array, after: Float64Array) -> None:
        """Keep both factors.

        Args:
            vectors: V, (num_items, r).
            before: (num_items,), what each item counts in a row.
            after: (num_items,), what each item's result is multiplied by.
        """
        self._along = (vectors * before[:, None]).astype(np.float32)
        back = np.ascontiguousarray((vectors * after[:, None]).T, dtype=np.float32)
        self._back = tensor_of(back)

    def __call__(self, rows: csr_array) -> Tensor:
        """Filter rows (Q, num_items) float32: the same shape."""
        along = np.ascontiguousarray(rows @ self._along, dtype=np.float32)
        filtered: Tensor = product(tensor_of(along), self._back)
        return filtered

    def column(self, item: int) -> NDArray[np.float32]:
        """What a one for each item alone has for ``item``, (num_items,)."""
        return np.asarray(self._along @ self._back[:, item].cpu().numpy())
