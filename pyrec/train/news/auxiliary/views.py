"""Two encodings of an article are to be alike, and apart from those of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pyrec.errors import ConfigError
from pyrec.nn.news import NewsNetwork
from pyrec.nn.reader import ReaderEncoder
from pyrec.options import Number, Options
from pyrec.train.augment.contrast import info_nce
from pyrec.train.news.batches import TrainingBatch
from pyrec.train.news.terms import NewsAuxiliary, NewsTerm, Training


@dataclass(frozen=True, repr=False)
class Views(NewsAuxiliary):
    """Articles of a batch are encoded a second time, with other numbers dropped; InfoNCE tells whose is whose.

    Source: Gao et al., "SimCSE: Simple contrastive learning of sentence embeddings", EMNLP 2021, section 3.

    Args:
        weight: Of this loss beside the ranking loss; above 0.
        temperature: Of its cosines; above 0.
    """

    name: ClassVar[str] = "views"
    options: ClassVar[Options] = {
        "weight": Number(
            flag="--views-weight", help="Weight of the loss between two encodings of an article."
        ),
        "temperature": Number(flag="--views-temperature", help="Temperature of that loss."),
    }

    weight: float = 0.1
    temperature: float = 0.1

    def check_for(self, reader: ReaderEncoder, dropout: float) -> None:
        """See `NewsAuxiliary.check_for`."""
        if dropout == 0:
            raise ConfigError(
                "auxiliary = 'views' compares encodings that dropout makes differ, and dropout = 0; give 0.2, say"
            )

    def make(self, dim: int, seed: int) -> ViewsTerm:
        """See `NewsAuxiliary.make`."""
        return ViewsTerm(self)

    def step_floats(self, batch: TrainingBatch, network: NewsNetwork) -> int:
        """See `NewsAuxiliary.step_floats`."""
        count = len(batch.news.articles)
        return network.articles.step_floats(batch.articles) + count * (4 * count + 6 * network.articles.dim)


class ViewsTerm(NewsTerm):
    """The weighted InfoNCE of two encodings of the batch's articles; the first is that of the ranking loss."""

    def __init__(self, settings: Views) -> None:
        super().__init__()
        self._settings = settings

    def forward(self, batch: TrainingBatch, vectors: Tensor, training: Training) -> Tensor:
        """See `NewsTerm.forward`."""
        dropout = training.dropout_of(batch, 1)
        others = training.network.articles(batch.articles, dropout)
        return self._settings.weight * info_nce(vectors, others, self._settings.temperature)
