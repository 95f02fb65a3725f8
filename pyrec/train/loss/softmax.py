"""Cross-entropy of a positive among items, and BSL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

import torch
from torch import Tensor
from torch.nn import functional

from pyrec.errors import ConfigError
from pyrec.options import Number, Options
from pyrec.params import Part
from pyrec.train.adapt import Adapt
from pyrec.train.batch import Batch
from pyrec.train.loss.base import NEGATIVES, SCORE, Loss
from pyrec.train.loss.cross_entropy import bilateral, full_softmax, pooled_softmax, sampled_softmax
from pyrec.train.negatives import AllItems, InBatch, Negatives, Shown, Uniform

AUTO: Final = "auto"
MOST_ALL_ITEMS: Final = 4096
"""With no more items than this, a positive is compared with all of them unless it is said with which."""
OfSums = tuple[Tensor | None, float, Tensor | float]
"""Weights of samples, the exponent of their sums, and what `bilateral` pulls positives by."""


@dataclass(frozen=True, repr=False)
class Softmax(Loss):
    """Cross-entropy of each positive among all items or a sample of them.

    With an exponent c it is BSL, the bilateral softmax loss, c log Σ_j exp(s_j / τ) - s⁺ / τ: items are pushed away c
    times as much as positives are drawn near.

    Source: Wu et al., "On the effectiveness of sampled softmax loss for item recommendation", TOIS 2024; Wu et al.,
    "BSL: understanding and improving softmax loss for recommendation", ICDE 2024.

    Args:
        temperature: Divides the scores; above 0.
        score: What is compared: ``cosine``, or ``inner``, which can learn an item's popularity and needs a larger
            ``reg``.
        negatives: `AllItems`, `InBatch`, or `Uniform`, which a batch shares, or their number. ``auto`` is all items
            where there are at most 4,096 of them, else one uniform negative of each positive. `AllItems` itself takes
            any number of items: a step's memory is that of their vectors.
        exponent: c, above 0. Inner products have no bound, and another exponent than 1 is held by ``reg`` alone there.
        rank_by: What ranks, ``inner`` or ``cosine``; None for what is compared. Cosines that rank by inner products
            rank an item higher that has a long vector.
        adapt: `OneTemperature` or `UserTemperatures`, which estimate the temperature anew in each epoch, of cosines;
            None for the one that is given.
    """

    name: ClassVar[str] = "softmax"
    accepts: ClassVar[tuple[type[Negatives], ...]] = (AllItems, Uniform, InBatch, Shown)
    corrects: ClassVar[bool] = True
    options: ClassVar[Options] = {
        "temperature": Number(
            aka=("tau", "temp"), help="Divides the scores of the softmax loss.", search=(0.05, 0.5)
        ),
        "score": SCORE,
        "negatives": replace(NEGATIVES, auto=AUTO),
        "exponent": Number(
            help="Exponent of the softmax loss's sum over items, as in BSL.",
            search=(0.7, 1.4),
        ),
        "rank_by": replace(
            SCORE, help="How they are compared in lists.", optional=True, unset="as in training"
        ),
        "adapt": Part(
            family=Adapt,
            flag="--adapt",
            optional=True,
            help="What the softmax loss estimates between epochs.",
        ),
    }

    temperature: float = 0.2
    score: str = "cosine"
    negatives: Negatives | str | int = AUTO
    exponent: float = 1.0
    rank_by: str | None = None
    adapt: Adapt | str | None = None

    @property
    def adapting(self) -> Adapt | None:
        """See `Loss.adapting`."""
        return None if self.adapt is None else Adapt.of(self.adapt)

    @property
    def ranking(self) -> str:
        """See `Loss.ranking`."""
        return self.score if self.rank_by is None else self.rank_by

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`; what is estimated is of cosines."""
        super().check_params(prefix)
        if self.adapting is not None and self.score != "cosine":
            raise ConfigError(
                f"{prefix}adapt = {self.adapting.name!r} is for cosines, but {prefix}score = {self.score!r}; leave out "
                "one of the two"
            )

    def source(self, num_items: int) -> Negatives:
        """See `Loss.source`."""
        if self.negatives != AUTO:
            return super().source(num_items)
        return AllItems() if num_items <= MOST_ALL_ITEMS else Uniform()

    def bytes(self, size: int, num_items: int, dim: int, device: str) -> int:
        """See `Loss.bytes`: six float32 vectors of a user, and three of an item that the batch shares."""
        source = self.source(num_items)
        others = source.num_others(size, num_items)
        meets_once = device == "cpu" and not getattr(source, "corrected", False)
        return 4 * dim * (6 * size + 3 * (min(others, num_items) if meets_once else others))

    def __call__(self, batch: Batch, vectors: Tensor) -> Tensor:
        """See `Loss.__call__`; of a batch without estimates by the temperature that is given."""
        if self.score == "cosine":
            vectors = functional.normalize(vectors, dim=1)
        temperature: Tensor | float = self.temperature
        pull: Tensor | float = 1.0
        if self.adapting is not None and batch.estimates is not None:
            temperature, pull = self.adapting.temperatures(batch.estimates)
        of_sums = (batch.weight, self.exponent, pull)
        return (self._all_items if batch.all_items else self._sampled)(batch, vectors, temperature, of_sums)

    def each_of_scores(self, scores: Tensor, present: Tensor) -> Tensor:
        """See `Loss.each_of_scores`: the cross-entropy of the positive among a sample's scores."""
        logits = (scores / self.temperature).masked_fill(~present, -torch.inf)
        return bilateral(logits.logsumexp(1) - logits[:, 0], logits[:, 0], self.exponent)

    def _all_items(
        self, batch: Batch, vectors: Tensor, temperature: Tensor | float, of_sums: OfSums
    ) -> Tensor:
        """Each user of the batch meets the items once, where their number is known."""
        own, positives, _ = batch.positions()
        if batch.padded:
            users, _, items = batch.ends(vectors)
            each = torch.arange(batch.size, dtype=torch.int64, device=vectors.device)
            item = batch.triples.positives.long()
            return full_softmax(users, items, each, item, temperature, *of_sums)
        num_users = int(own.max()) + 1  # the distinct nodes are users first, then all items
        users, items = vectors[:num_users], vectors[num_users:]
        of_users = _of_distinct(temperature, own, num_users)
        return full_softmax(users, items, own, positives - num_users, of_users, *of_sums)

    def _sampled(self, batch: Batch, vectors: Tensor, temperature: Tensor | float, of_sums: OfSums) -> Tensor:
        user, own, others = batch.positions()
        # The weights of corrected negatives may be large, and the subtraction then loses digits.
        if not batch.padded and batch.log_expected is None:
            of_users = _of_distinct(temperature, user, int(user.max()) + 1)
            return pooled_softmax(vectors, user, own, others, of_users, *of_sums)
        users, positives, pool = batch.ends(vectors)
        return sampled_softmax(users, positives, pool, own, others, temperature, batch.log_expected, *of_sums)


def _of_distinct(temperature: Tensor | float, user: Tensor, num_users: int) -> Tensor | float:
    """The temperatures of samples (size,) as those of their distinct users."""
    if not isinstance(temperature, Tensor):
        return temperature
    return temperature.new_ones(num_users).scatter_(0, user, temperature)
