"""Products with B Bᵀ for a sparse matrix B, which is never made dense."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.graph.graph import Graph
from pyrec.ops.neighbor_sums import neighbor_sums

COLUMNS: Final = 64
"""Of a product: their tables stay in a last-level cache."""


class Gram:
    """G = B Bᵀ for B (size, far), times some columns at a time.

    The kernel takes weights of float32; where B has other numbers, SciPy multiplies.

    Attributes:
        size: Rows of B.
        dtype: Of the columns.
        device: Where the columns lie.
    """

    def __init__(self, matrix: csr_array, device: torch.device) -> None:
        """Keep both orders of B's entries.

        Args:
            matrix: B, float32 or float64.
            device: Where products are computed; the CPU where B's numbers are not those of float32.
        """
        self._matrix = matrix.sorted_indices()
        self._transposed = self._matrix.T.tocsr()
        self.size = matrix.shape[0]
        self.dtype = torch.float64 if matrix.dtype == np.float64 else torch.float32
        single = self._matrix.data.astype(np.float32)
        self._graph = self._made_graph(single).to(device) if (single == matrix.data).all() else None
        self.device = torch.device("cpu") if self._graph is None else self._graph.device
        if self._graph is not None:
            self._scale = torch.empty(self._graph.num_nodes, dtype=self.dtype, device=self.device)

    def _made_graph(self, values: NDArray[np.float32]) -> Graph:
        matrix, back = self._matrix, self._transposed
        indptr = np.concatenate([matrix.indptr, matrix.nnz + back.indptr[1:]]).astype(np.int64)
        indices = np.concatenate([matrix.indices + matrix.shape[0], back.indices]).astype(np.int32)
        weights = np.concatenate([values, back.data.astype(np.float32)])
        unweighted = (values == 1).all()
        rows, columns = matrix.shape
        given = None if unweighted else tensor_of(weights)
        return Graph(tensor_of(indptr), tensor_of(indices), rows, columns, given)

    def block(self, x: Tensor, out: Tensor, scale: float = 1.0) -> None:
        """``out = scale G x``.

        Args:
            x: (size, n), of any strides; n is at most `COLUMNS`.
            out: (size, n), contiguous.
            scale: A number.
        """
        if self._graph is None:
            out.copy_(tensor_of(self._matrix @ (self._transposed @ x.numpy()))).mul_(scale)
            return
        with self._graph.scratch.borrow((self._graph.num_nodes, x.shape[1]), self.dtype, 1) as (table,):
            self._sum_far(x, table)
            neighbor_sums(table, self._graph, "users", self._scale.fill_(scale), out=out)

    def __call__(self, x: Tensor) -> Tensor:
        """G x, for x (size, any number)."""
        out = torch.empty_like(x)
        made = x.new_empty(0)
        for into, part in zip(torch.split(out, COLUMNS, 1), torch.split(x, COLUMNS, 1), strict=True):
            made = made if made.shape == part.shape else x.new_empty(part.shape)
            self.block(part, made)
            into.copy_(made)
        return out

    def across(self, x: Tensor) -> Tensor:
        """Bᵀ x, (far, any number), for x (size, any number)."""
        out = x.new_empty(self._matrix.shape[1], x.shape[1])
        for into, part in zip(torch.split(out, COLUMNS, 1), torch.split(x, COLUMNS, 1), strict=True):
            if self._graph is None:
                into.copy_(tensor_of(self._transposed @ part.numpy()))
                continue
            shape = self._graph.num_nodes, part.shape[1]
            with self._graph.scratch.borrow(shape, self.dtype, 1) as (table,):
                into.copy_(self._sum_far(part, table))
        return out

    def _sum_far(self, x: Tensor, table: Tensor) -> Tensor:
        """Bᵀ x in the table's rows of the far side, which are returned."""
        assert self._graph is not None
        table[: self.size] = x
        return neighbor_sums(table, self._graph, "items", out=table[self.size :])
