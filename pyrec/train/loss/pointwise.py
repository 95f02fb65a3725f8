"""Losses of single pairs of a user and an item, and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.ops.pointwise import pointwise
from pyrec.options import Choice, Options
from pyrec.train.batch import Batch
from pyrec.train.loss.base import NEGATIVES, SCORE, Loss
from pyrec.train.negatives import Negatives, Observed, Uniform

KINDS: Final = ("logistic", "squared")
TARGETS: Final = ("label", "rating")


@dataclass(frozen=True, repr=False)
class Pointwise(Loss):
    """Each pair's score is to be its label: an interaction's own, or 1 without any, and 0 for a negative.

    A positive's weight counts for its negatives, too.

    Args:
        kind: ``logistic``, the negative log-likelihood of labels between 0 and 1, or ``squared``, half the squared
            error of labels of any size. Labels that are all -1 or 1 are 0 and 1 to the first.
        score: What ranks and what is compared: ``inner`` or ``cosine``.
        negatives: `Uniform`, or their number; or `Observed`: none, which needs labels that differ.
        target: What an interaction's label is: ``label``, its own or 1, or ``rating``.
    """

    name: ClassVar[str] = "pointwise"
    accepts: ClassVar[tuple[type[Negatives], ...]] = (Uniform, Observed)
    options: ClassVar[Options] = {
        "kind": Choice(
            values=KINDS, flag="--pointwise", help="Logistic or squared error, of the pointwise loss."
        ),
        "score": SCORE,
        "negatives": NEGATIVES,
        "target": Choice(values=TARGETS, help="What the pointwise loss predicts."),
    }

    kind: Literal["logistic", "squared"] = "logistic"
    score: str = "inner"
    negatives: Negatives | str | int = "uniform"
    target: str = "label"

    def labels(self, interactions: Interactions) -> NDArray[np.float32] | None:
        """See `Loss.labels`.

        Raises:
            DataError: There are no ratings; or labels are all alike where they have to differ, or outside 0 to 1.
        """
        labels = interactions.ratings if self.target == "rating" else interactions.labels
        if self.target == "rating" and labels is None:
            raise DataError(
                "loss__target = 'rating', but the interactions have no ratings; give some, or 'label'"
            )
        found = np.ones(1, dtype=np.float32) if labels is None else labels
        if Negatives.of(self.negatives).name == "none" and (found == found[0]).all():
            raise DataError(
                f"loss__negatives = 'none', but every interaction has the {self.target} {found[0]:g}: there is nothing "
                "to tell apart; give labels that differ, or negatives = 'uniform'"
            )
        if self.kind == "squared":
            return labels
        if labels is not None and (np.abs(labels) == 1).all():
            return (labels > 0).astype(np.float32)
        unsound = np.flatnonzero((found < 0) | (found > 1))
        if len(unsound):
            at = int(unsound[0])
            raise DataError(
                f"{self.target}s[{at}] = {found[at]:g}, but the logistic loss takes 0 to 1; scale them, or use "
                "kind = 'squared'"
            )
        return labels

    def __call__(self, batch: Batch, vectors: Tensor) -> Tensor:
        """See `Loss.__call__`."""
        if self.score == "cosine":
            vectors = functional.normalize(vectors, dim=1)
        users, positives, negatives = batch.positions()
        each = len(negatives) // batch.size
        label = torch.ones_like(vectors[:1, 0]).expand(batch.size) if batch.label is None else batch.label
        label = torch.cat([label, label.new_zeros(len(negatives))])
        weight = batch.weight
        if weight is not None:
            weight = torch.cat([weight, weight.repeat_interleave(each)])
        own = torch.cat([users, users.repeat_interleave(each)])
        return pointwise(vectors, own, torch.cat([positives, negatives]), label, self.kind, weight)
