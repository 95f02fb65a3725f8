"""The loss of a batch, from the vectors of its nodes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pyrec.ops.bpr import bpr
from pyrec.train import losses
from pyrec.train.batch import Batch, Batches


class Objective:
    """The mean ranking loss of a batch's samples, and its L2 penalty."""

    def __init__(self, batches: Batches) -> None:
        """Take the loss of the batches' settings.

        Args:
            batches: What the batches come from.
        """
        self._batches = batches

    def __call__(self, batch: Batch, vectors: Tensor) -> Tensor:
        """The ranking loss, a scalar, differentiable in ``vectors`` (num_rows, dim) of ``batch.rows``."""
        if self._batches.settings.loss == "bpr":
            users, positives, negatives = batch.positions()
            return bpr(vectors, users, positives, negatives.view(batch.size, -1))
        if self._batches.settings.score == "cosine":
            vectors = functional.normalize(vectors, dim=1)
        return (self._all_items if self._batches.full_softmax else self._sampled_items)(batch, vectors)

    def penalty(self, batch: Batch, ego: Tensor) -> tuple[Tensor, Tensor]:
        """`pyrec.train.losses.l2_penalty` of the batch's X_0, ``ego`` (num_rows, dim), and its gradient."""
        penalised = batch.position[: 2 * batch.size] if self._batches.full_softmax else batch.position
        ones = torch.ones(len(penalised), dtype=ego.dtype, device=ego.device)
        counts = ones.new_zeros(len(batch.rows)).scatter_add_(0, penalised, ones)
        return losses.l2_penalty(ego, counts, batch.size)

    def _all_items(self, batch: Batch, vectors: Tensor) -> Tensor:
        """Each user of the batch meets the items once, where their number is known."""
        own, positives, _ = batch.positions()
        temperature = self._batches.settings.temperature
        if self._batches.padded:
            users, _, items = batch.ends(vectors)
            each = torch.arange(batch.size, dtype=torch.int64, device=vectors.device)
            item = batch.triples.positives.long()
            return losses.full_softmax(users, items, each, item, temperature)
        num_users = int(own.max()) + 1  # the distinct nodes are users first, then all items
        users, items = vectors[:num_users], vectors[num_users:]
        return losses.full_softmax(users, items, own, positives - num_users, temperature)

    def _sampled_items(self, batch: Batch, vectors: Tensor) -> Tensor:
        users, positives, pool = batch.ends(vectors)
        _, own, others = batch.positions()
        is_positive = own[:, None] == others[None, :]
        settings = self._batches.settings
        expected = (
            self._batches.log_expected(self._batches.others(batch.triples)) if settings.corrected else None
        )
        return losses.sampled_softmax(users, positives, pool, is_positive, settings.temperature, expected)
