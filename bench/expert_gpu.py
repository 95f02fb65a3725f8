"""What an expert would write in plain torch for a CUDA device: a training step of LightGCN as one CUDA graph.

The mean of the layers, BPR and Adam. The matrix is CSR with 32-bit indices; the symmetric backward pass is the same
products, written by hand; rows are taken by `index_select`, whose gradient is added by atomics, the fastest that torch
has (and so not the same from run to run); Adam is fused; the step is recorded once and replayed.

Floor: six products over all edges; Adam reads four tables and writes three.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pyrec.graph import Graph
from pyrec.reference.propagate import normalised_adjacency

WARM_UP = 3


class _MeanOfLayers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, n_layers: int) -> Tensor:
        ctx.matrix, ctx.n_layers = matrix, n_layers
        return _mean_of_layers(x, matrix, n_layers)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _mean_of_layers(grad, ctx.matrix, ctx.n_layers), None, None


def _mean_of_layers(x: Tensor, matrix: Tensor, n_layers: int) -> Tensor:
    total, layer = x.clone(), x
    for _ in range(n_layers):
        layer = torch.sparse.mm(matrix, layer)
        total += layer
    return total.mul_(1 / (n_layers + 1))


class ExpertSteps:
    """Steps on batches of one size.

    Args:
        graph: On the CPU.
        table: (num_nodes, dim) float32 on the device, X_0; a copy is trained.
        n_layers: K.
        reg: Weight of the L2 penalty.
        learning_rate: Adam's.
        batch_size: Triples of a step.
    """

    def __init__(
        self, graph: Graph, table: Tensor, n_layers: int, reg: float, learning_rate: float, batch_size: int
    ) -> None:
        self._matrix = normalised_adjacency(graph, layout=torch.sparse_csr).to(table.device)
        self._n_layers, self._reg = n_layers, reg
        self._num_users = graph.num_users
        self._table = table.detach().clone().requires_grad_()
        self._optimizer = torch.optim.Adam([self._table], lr=learning_rate, fused=True, capturable=True)
        self._triples = torch.zeros(3, batch_size, dtype=torch.int64, device=table.device)
        self._total = torch.zeros((), device=table.device)
        self._recorded = self._record()

    def mean_loss(self, batches: list[Tensor]) -> float:
        """Takes a step on each batch of triples, (3, batch_size) int64; returns the mean of their losses."""
        self._total.zero_()
        for batch in batches:
            self._triples.copy_(batch)
            self._recorded.replay()
        return self._total.item() / len(batches)

    def _record(self) -> torch.cuda.CUDAGraph:
        """Recorded after some steps whose effect is undone: states of zeros and the first table."""
        first = self._table.detach().clone()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded):
            self._step()
        with torch.no_grad():
            self._table.copy_(first)
            for value in self._optimizer.state[self._table].values():
                value.zero_()
        return recorded

    def _step(self) -> None:
        users, positives, negatives = self._triples
        vectors = _MeanOfLayers.apply(self._table, self._matrix, self._n_layers)
        rows = torch.cat([users, positives + self._num_users, negatives + self._num_users])
        u, p, n = vectors.index_select(0, rows).chunk(3)
        ego = self._table.index_select(0, rows)
        ranking = functional.softplus((u * (n - p)).sum(1)).mean()
        loss = ranking + self._reg * 0.5 / len(users) * ego.square().sum()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._total += loss.detach()
