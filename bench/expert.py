"""The best that plain torch can do: what an expert would write who has no kernels of their own.

One training step of LightGCN with the mean over the layers, BPR and Adam:

- products are value-free, `embedding_bag` on rows kept as Z = D^-1/2 X, so that a layer is one product and one
  scaling in place; the symmetric backward pass is the same product, written by hand as an autograd function;
- the last forward product is over the edges of the batch's nodes alone; the first backward one reads the batch's
  gradients from a compact table in the second-level cache, which all other nodes point to a row of zeros of;
- the batch's nodes are made distinct once, the loss and its gradient see those rows only;
- Adam is fused, its gradient buffer kept; triples are drawn for a whole epoch at a time, vectorised.

Floor: three products over all edges (415 MB gathered each on gowalla) and two over a part of them; Adam reads
four tables of 18 MB and writes three.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pyrec.data import Interactions
from pyrec.graph import Graph


class Sampler:
    """Interactions in random order, each with a random item that its user has not; NumPy on whole epochs."""

    def __init__(self, train: Interactions, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.users = train.users.astype(np.int64)
        self.items = train.items.astype(np.int64)
        self.num_items = train.num_items
        self.keys = self.users * train.num_items + self.items  # ascending

    def epoch(self, count: int | None = None) -> Tensor:
        """Users, positives, negatives: (3, count) int64; by default all interactions."""
        order = self.rng.permutation(len(self.users))[:count]
        users = self.users[order]
        negatives = self.rng.integers(0, self.num_items, len(users))
        taken = np.flatnonzero(self._owned(users, negatives))
        while len(taken):
            negatives[taken] = self.rng.integers(0, self.num_items, len(taken))
            taken = taken[self._owned(users[taken], negatives[taken])]
        return torch.from_numpy(np.stack([users, self.items[order], negatives]))

    def _owned(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.bool_]:
        wanted = users * self.num_items + items
        place = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        return self.keys[place] == wanted


class Products:
    """Sums over neighbours, A Z, of all nodes, of some nodes, and of a table of some nodes' rows."""

    def __init__(self, graph: Graph) -> None:
        self.indptr, self.indices = graph.indptr.int(), graph.indices
        self.degree = graph.degree
        factor = torch.where(self.degree > 0, self.degree.double().rsqrt(), 0.0)
        self.scale = factor.float()[:, None]
        self.scale_squared = factor.square().float()[:, None]
        self.root = self.degree.double().sqrt().float()[:, None]
        self.slot = torch.zeros(graph.num_nodes, dtype=torch.int32)
        self.slot_indices = torch.empty_like(self.indices)

    def all(self, z: Tensor) -> Tensor:
        """A Z, (num_nodes, dim)."""
        return _bag(self.indices, z, self.indptr)

    def some(self, z: Tensor, rows: Tensor) -> Tensor:
        """A Z of ``rows`` alone: their edges are listed first."""
        degree = self.degree[rows]
        ends = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
        shift = torch.repeat_interleave(self.indptr[rows] - ends[:-1], degree)
        edges = torch.arange(int(ends[-1])).add_(shift)
        return _bag(self.indices.index_select(0, edges), z, ends.int())

    def of_rows(self, table: Tensor, rows: Tensor) -> Tensor:
        """A Z of all nodes, where Z is ``table`` (1 + num_rows, dim) at ``rows`` and its row 0, zeros, elsewhere."""
        self.slot[rows] = torch.arange(1, len(rows) + 1, dtype=torch.int32)
        torch.index_select(self.slot, 0, self.indices, out=self.slot_indices)
        self.slot[rows] = 0
        return _bag(self.slot_indices, table, self.indptr)


def _bag(indices: Tensor, z: Tensor, indptr: Tensor) -> Tensor:
    return functional.embedding_bag(indices, z, indptr, mode="sum", include_last_offset=True)


class _MeanOfLayers(torch.autograd.Function):
    """The mean of X_0 .. X_K at some rows; the gradient of X_0 goes into the buffer that is passed in."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, products: Products, n_layers: int, rows: Tensor, buffer: Tensor
    ) -> Tensor:
        ctx.products, ctx.n_layers, ctx.rows, ctx.buffer = products, n_layers, rows, buffer
        z = torch.mul(x, products.scale, out=buffer)
        total = x.index_select(0, rows)
        inner = torch.zeros_like(total)
        for _ in range(1, n_layers):
            z = products.all(z).mul_(products.scale_squared)
            inner += z.index_select(0, rows)
        total.addcmul_(inner, products.root[rows])
        total.addcmul_(products.some(z, rows), products.scale[rows])
        return total.mul_(1 / (n_layers + 1))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        products, rows = ctx.products, ctx.rows
        grad = grad * (1 / (ctx.n_layers + 1))  # that of each layer
        scaled = grad * products.scale[rows]
        z = products.of_rows(torch.cat([scaled.new_zeros(1, scaled.shape[1]), scaled]), rows)
        for _ in range(1, ctx.n_layers):
            z = products.all(z.mul_(products.scale_squared).index_add_(0, rows, scaled))
        result = torch.mul(z, products.scale, out=ctx.buffer)
        return result.index_add_(0, rows, grad), None, None, None, None


class ExpertTrainer:
    """Steps of LightGCN with one layer or more.

    Args:
        graph: The training graph.
        table: (num_nodes, dim) float32, X_0; a copy is trained.
        n_layers: K.
        reg: Weight of the L2 penalty.
        learning_rate: Adam's.
    """

    def __init__(self, graph: Graph, table: Tensor, n_layers: int, reg: float, learning_rate: float) -> None:
        self.products = Products(graph)
        self.num_users, self.n_layers, self.reg = graph.num_users, n_layers, reg
        self.table = table.detach().clone()
        self.buffer = torch.empty_like(self.table)
        self.table.grad = torch.empty_like(self.table)
        self.optimizer = torch.optim.Adam([self.table.requires_grad_()], lr=learning_rate, fused=True)

    def step(self, triples: Tensor) -> float:
        """One step on users, positives, negatives, (3, batch) int64; returns the loss."""
        nodes = triples + torch.tensor([[0], [self.num_users], [self.num_users]])
        rows, position = torch.unique(nodes, return_inverse=True)
        ego = self.table.detach().index_select(0, rows).requires_grad_()
        source = self.table.detach().requires_grad_()
        vectors = _MeanOfLayers.apply(source, self.products, self.n_layers, rows, self.buffer)
        loss = self._loss(vectors, ego, position)
        loss.backward()
        self.table.grad = source.grad.index_add_(0, rows, ego.grad)
        self.optimizer.step()
        return loss.item()

    def _loss(self, vectors: Tensor, ego: Tensor, position: Tensor) -> Tensor:
        users, positives, negatives = functional.embedding(position, vectors)
        ranking = functional.softplus((users * (negatives - positives)).sum(1)).mean()
        counts = torch.bincount(position.flatten(), minlength=len(ego)).to(ego.dtype)
        penalty = 0.5 / position.shape[1] * torch.dot(counts, ego.square().sum(1))
        return ranking + self.reg * penalty

    @torch.no_grad()
    def vectors(self) -> Tensor:
        """The mean of all layers at all nodes, (num_nodes, dim)."""
        z = self.table * self.products.scale
        inner = torch.zeros_like(z)
        for _ in range(self.n_layers):
            z = self.products.all(z).mul_(self.products.scale_squared)
            inner += z
        return self.table.addcmul(inner, self.products.root).mul_(1 / (self.n_layers + 1))
