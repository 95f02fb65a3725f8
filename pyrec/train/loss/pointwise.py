"""Losses of single pairs of a user and an item, and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.ops.agreement import weight_gradient
from pyrec.ops.pointwise import pointwise
from pyrec.options import Choice, Options
from pyrec.train.agreement import Agreement, Each
from pyrec.train.batch import Batch
from pyrec.train.loss.base import NEGATIVES, SCORE, Loss
from pyrec.train.negatives import Negatives, Observed, Shown, Uniform

KINDS: Final = ("logistic", "squared")
TARGETS: Final = ("label", "rating", "sign")


@dataclass(frozen=True, repr=False)
class Pointwise(Loss):
    """Each pair's score is to be its label: an interaction's own, or 1 without any, and 0 for a negative.

    A positive's weight counts for its negatives, too.

    Args:
        kind: ``logistic``, the negative log-likelihood of labels between 0 and 1, or ``squared``, half the squared
            error of labels of any size. Labels that are all -1 or 1 are 0 and 1 to the first.
        score: What ranks and what is compared: ``inner`` or ``cosine``.
        negatives: `Uniform`, or their number; or `Observed`: none, which needs labels that differ.
        target: What an interaction's label is: ``label``, its own or 1; ``rating``; or ``sign``, 1 where its label is
            above 0 and else -1.
    """

    name: ClassVar[str] = "pointwise"
    reads_labels: ClassVar[bool] = True
    accepts: ClassVar[tuple[type[Negatives], ...]] = (Uniform, Observed, Shown)
    weighs_others: ClassVar[bool] = True
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
        if self.target == "sign" and labels is not None:
            labels = interactions.signs
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
        pairs = _pairs(batch, vectors)
        return pointwise(vectors, pairs.users, pairs.items, pairs.label, self.kind, pairs.weight)

    def each_of_scores(self, scores: Tensor, present: Tensor) -> Tensor:
        """See `Loss.each_of_scores`: the mean over a sample's scores, whose labels are 1 and 0."""
        label = torch.zeros_like(scores)
        label[:, 0] = 1
        if self.kind == "squared":
            losses = (scores - label).square() / 2
        else:
            losses = functional.softplus(scores) - label * scores
        return losses.masked_fill(~present, 0).sum(1) / present.sum(1)

    @torch.no_grad()
    def each(self, batch: Batch, vectors: Tensor) -> Each:
        """See `Loss.each`."""
        if self.score == "cosine":
            vectors = functional.normalize(vectors, dim=1)
        pairs = _pairs(batch, vectors)
        score = (vectors[pairs.users] * vectors[pairs.items]).sum(1)
        if self.kind == "squared":
            losses = (score - pairs.label).square() / 2
        else:
            losses = functional.softplus(score) - pairs.label * score
        return Each(losses[: batch.size], losses[batch.size :])

    @torch.no_grad()
    def agreement(self, batch: Batch, vectors: Tensor, direction: Tensor) -> Agreement:
        """See `Loss.agreement`."""
        if self.score == "cosine":
            vectors, direction = _on_the_sphere(vectors, direction)
        pairs = _pairs(batch, vectors)
        found = weight_gradient(
            vectors, direction, pairs.users, pairs.items, pairs.label, self.kind, rate=-1.0
        )
        moved, scores = found.by_weight, found.agreement
        return Agreement(moved[: batch.size], moved[batch.size :], scores[batch.size :])


class _Pairs(NamedTuple):
    """The labelled pairs of a batch: its samples, then each user with each of the others."""

    users: Tensor
    items: Tensor
    label: Tensor
    weight: Tensor | None


def _pairs(batch: Batch, vectors: Tensor) -> _Pairs:
    users, positives, others = batch.positions()
    each = len(others) // batch.size
    label = vectors.new_ones(batch.size) if batch.label is None else batch.label
    of_others = label.new_zeros(len(others)) if batch.other_label is None else batch.other_label
    weight, of_samples = batch.other_weight, batch.weight
    if weight is None and of_samples is not None:
        weight = of_samples.repeat_interleave(each)
    elif weight is not None and of_samples is None:
        of_samples = torch.ones_like(label)
    return _Pairs(
        torch.cat([users, users.repeat_interleave(each)]),
        torch.cat([positives, others]),
        torch.cat([label, of_others]),
        None if weight is None or of_samples is None else torch.cat([of_samples, weight]),
    )


def _on_the_sphere(vectors: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors at length one, and how they move there as the vectors move in a direction."""
    length = vectors.norm(dim=1, keepdim=True).clamp_min(1e-12)
    unit = vectors / length
    return unit, (direction - unit * (unit * direction).sum(1, keepdim=True)) / length
