"""Bayesian personalised ranking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from pyrec.ops.bpr import bpr
from pyrec.options import Options
from pyrec.train.batch import Batch
from pyrec.train.loss.base import NEGATIVES, SCORE, Loss
from pyrec.train.negatives import Hard, Negatives, Shown, Uniform


@dataclass(frozen=True, repr=False)
class BPR(Loss):
    """Each positive is compared with single negatives: the mean of log(1 + exp(u · n - u · p)).

    Source: Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009.

    Args:
        score: What ranks, ``inner`` or ``cosine``; the loss always compares inner products.
        negatives: `Uniform`, or their number; or `Hard`, the hardest of some uniform ones.
    """

    name: ClassVar[str] = "bpr"
    accepts: ClassVar[tuple[type[Negatives], ...]] = (Uniform, Hard, Shown)
    memorises: ClassVar[bool] = True
    options: ClassVar[Options] = {
        "score": SCORE,
        "negatives": NEGATIVES,
    }

    score: str = "inner"
    negatives: Negatives | str | int = "uniform"

    def __call__(self, batch: Batch, vectors: Tensor) -> Tensor:
        """See `Loss.__call__`."""
        users, positives, negatives = batch.positions()
        return bpr(vectors, users, positives, negatives.view(batch.size, -1), batch.weight)

    def each_of_scores(self, scores: Tensor, present: Tensor) -> Tensor:
        """See `Loss.each_of_scores`: the mean over a sample's others."""
        others = present[:, 1:]
        each = functional.softplus(scores[:, 1:] - scores[:, :1]).masked_fill(~others, 0)
        return each.sum(1) / others.sum(1).clamp_min(1)
