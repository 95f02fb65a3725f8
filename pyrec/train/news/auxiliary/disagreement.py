"""A reader's interests are to differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from pyrec.errors import ConfigError
from pyrec.nn.news import NewsNetwork
from pyrec.nn.reader import Interests, ReaderEncoder
from pyrec.nn.reader.interests import InterestsModule
from pyrec.options import Number, Options
from pyrec.train.news.batches import TrainingBatch
from pyrec.train.news.terms import NewsAuxiliary, NewsTerm, Training, sizes_asked


@dataclass(frozen=True, repr=False)
class Disagreement(NewsAuxiliary):
    """The mean cosine of two interests of a reader.

    Source: Li et al., "MINER: Multi-interest matching network for news recommendation", Findings of ACL 2022, section
    3.3.

    Args:
        weight: Of this loss beside the ranking loss; above 0.
    """

    name: ClassVar[str] = "disagreement"
    options: ClassVar[Options] = {
        "weight": Number(flag="--disagreement", help="Weight of the loss that keeps interests apart.")
    }

    weight: float = 0.8

    def check_for(self, reader: ReaderEncoder, dropout: float) -> None:
        """See `NewsAuxiliary.check_for`."""
        if not isinstance(reader, Interests) or reader.interests < 2:
            raise ConfigError(
                f"auxiliary = 'disagreement' keeps interests apart, and reader = {reader!r} has no two of them; use "
                "'interests', or leave it out"
            )

    def make(self, dim: int, seed: int) -> DisagreementTerm:
        """See `NewsAuxiliary.make`."""
        return DisagreementTerm(self)

    def step_floats(self, batch: TrainingBatch, network: NewsNetwork) -> int:
        """See `NewsAuxiliary.step_floats`: the interests are made a second time."""
        return network.reader.step_floats(replace(sizes_asked(batch), candidates=0))


class DisagreementTerm(NewsTerm):
    """The mean over the readers who clicked of sum_{k != l} cos(u_k, u_l) / (K (K - 1)).

    The sum over the pairs is |sum_k u_k / |u_k||^2 - K.
    """

    def __init__(self, settings: Disagreement) -> None:
        super().__init__()
        self._settings = settings

    def forward(self, batch: TrainingBatch, vectors: Tensor, training: Training) -> Tensor:
        """See `NewsTerm.forward`."""
        clicks, _ = training.network.sides(batch.news, training.store, vectors)
        reader = training.network.reader
        assert isinstance(reader, InterestsModule)
        there = (clicks.segments.lengths > 0).to(vectors.dtype)
        unit = functional.normalize(reader.interests(clicks), dim=2)
        count = unit.shape[1]
        alike = (unit.sum(1).square().sum(1) - count) / (count * (count - 1))
        return self._settings.weight * (alike * there).sum() / there.sum().clamp(min=1)
