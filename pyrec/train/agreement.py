"""How a loss's samples agree with a direction: the derivative of each sample's loss along it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pyrec.train.batch import Batch

PIECE: Final = 256
"""Numbers that are added up one after the other; a sum of 32,768 pieces is torch's to cut."""


class Agreement(NamedTuple):
    """Of a batch's samples, from vectors and a direction in which they move.

    Attributes:
        samples: (size,), the derivative of each sample's loss along the direction.
        others: (num_others,), that of each pair of a user and one of the others; None for a loss that compares them
            with the positive and has none of their own.
        scores: (num_others,), that of such a pair's score; None likewise.
    """

    samples: Tensor
    others: Tensor | None = None
    scores: Tensor | None = None


class Each(NamedTuple):
    """The losses of a batch's samples (size,), and of the others where each has its own (num_others,), or None."""

    samples: Tensor
    others: Tensor | None = None


Weighted = Callable[[Batch, Tensor], Tensor]


def each_by_autograd(loss: Weighted, batch: Batch, vectors: Tensor) -> Each:
    """The losses of the samples of any weighted mean L = sum_s w_s l_s / W: W times its slope in w_s, and L."""
    weight = _weight(batch, vectors)
    with torch.enable_grad():
        mean = loss(replace(batch, weight=weight), vectors.detach())
        (slope,) = torch.autograd.grad(mean, [weight])
    return Each(mean.detach() + slope * ordered_sum(weight.detach()))


def agreement_by_autograd(loss: Weighted, batch: Batch, vectors: Tensor, direction: Tensor) -> Agreement:
    """The agreement of the samples of any weighted mean: the same identity, of its derivative along the direction."""
    weight = _weight(batch, vectors)
    with torch.enable_grad():
        x = vectors.detach().requires_grad_()
        mean = loss(replace(batch, weight=weight), x)
        (gradient,) = torch.autograd.grad(mean, [x], create_graph=True)
        moved = (gradient * direction).sum(1)
        moved = ordered_sum(moved)
        (slope,) = torch.autograd.grad(moved, [weight])
    return Agreement(moved.detach() + slope * ordered_sum(weight.detach()))


def ordered_sum(values: Tensor) -> Tensor:
    """The sum of values (n,), a scalar, with the same bits at any number of threads.

    Torch adds up many numbers in a piece for each thread. It adds up each row of a matrix in one piece.
    """
    padded = functional.pad(values, (0, -len(values) % PIECE))
    return padded.view(-1, PIECE).sum(1).sum()


def _weight(batch: Batch, vectors: Tensor) -> Tensor:
    weight = vectors.new_ones(batch.size) if batch.weight is None else batch.weight.detach().clone()
    return weight.requires_grad_()
