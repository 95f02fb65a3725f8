"""A training step in plain torch, LightGCN-PyTorch's way: every node, a COO matrix, autograd."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pyrec.reference.propagate import propagate

Combine = Callable[[list[Tensor]], Tensor]


def mean(layers: list[Tensor]) -> Tensor:
    """The mean over the layers, (num_nodes, dim)."""
    return torch.stack(layers, dim=1).mean(dim=1)


def loss(
    embedding: Tensor,
    adjacency: Tensor,
    n_layers: int,
    combine: Combine,
    triples: tuple[Tensor, Tensor, Tensor],
    num_users: int,
    reg: float,
) -> Tensor:
    """The BPR loss of a batch with its L2 penalty.

    Args:
        embedding: (num_nodes, dim), X_0; users, then items.
        adjacency: From `pyrec.reference.propagate.normalised_adjacency`.
        n_layers: K.
        combine: From the K + 1 layers to one tensor.
        triples: users (batch,), positives (batch,), negatives (batch,), int64; items count from 0.
        num_users: Where the items begin.
        reg: Weight of the penalty.
    """
    users, positives, negatives = triples[0], triples[1] + num_users, triples[2] + num_users
    vectors = combine(propagate(embedding, adjacency, n_layers))
    u, p, n = vectors[users], vectors[positives], vectors[negatives]
    ranking = functional.softplus((u * n).sum(1) - (u * p).sum(1)).mean()
    ego = (embedding[users], embedding[positives], embedding[negatives])
    penalty = 0.5 * torch.stack([rows.norm(2).pow(2) for rows in ego]).sum() / len(users)
    return ranking + reg * penalty


def step(
    optimizer: torch.optim.Optimizer,
    embedding: Tensor,
    adjacency: Tensor,
    n_layers: int,
    triples: tuple[Tensor, Tensor, Tensor],
    num_users: int,
    reg: float,
) -> float:
    """One step with the mean over the layers; returns the loss."""
    optimizer.zero_grad()
    total = loss(embedding, adjacency, n_layers, mean, triples, num_users, reg)
    total.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return total.item()
