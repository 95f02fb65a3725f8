"""What may be trained beside the ranking loss of a news model: further losses, and weights of samples."""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from pyrec.nn.articles import ArticleStore
from pyrec.nn.dropout import Dropout
from pyrec.nn.news import NewsNetwork
from pyrec.nn.reader import ReaderEncoder
from pyrec.nn.reader.base import SizesAsked
from pyrec.params import Component
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays
from pyrec.train.loss import Loss
from pyrec.train.news.batches import TrainingBatch


class Training(Protocol):
    """What terms may ask of the training that they are a part of."""

    network: NewsNetwork
    store: ArticleStore
    loss: Loss

    optimizer: torch.optim.Optimizer

    def losses(self, batch: TrainingBatch) -> Tensor:
        """The ranking loss of each sample, (size,)."""

    def dropout_of(self, batch: TrainingBatch, pass_: int = 0) -> Dropout:
        """What is dropped in a step: always the same for the same batch and pass."""


class NewsTerm(nn.Module):
    """A loss beside the ranking loss; it may have parameters of its own."""

    def forward(self, batch: TrainingBatch, vectors: Tensor, training: Training) -> Tensor:
        """The term with its weight, a scalar.

        Args:
            batch: The samples.
            vectors: (num_articles, dim), of ``batch.news.articles``.
            training: Whose network and articles they are of.
        """
        raise NotImplementedError


class NewsAuxiliary(Component):
    """How a further loss is chosen; `make` gives the term.

    Attributes:
        recordable: Whether the term waits for no CUDA device, reads nothing of a batch but its tensors, and is the same
            for a padded batch.
    """

    family = "auxiliary"
    recordable: ClassVar[bool] = False

    def check_for(self, reader: ReaderEncoder, dropout: float) -> None:
        """Raise ConfigError where it has nothing to act on.

        Args:
            reader: How readers are known.
            dropout: Share of numbers that are dropped.
        """

    def make(self, dim: int, seed: int) -> NewsTerm:
        """Return the term, for articles' vectors of dimension ``dim``."""
        raise NotImplementedError

    def step_floats(self, batch: TrainingBatch, network: NewsNetwork) -> int:  # noqa: ARG002
        """Numbers that a training step holds for the term, gradients included; none where nobody says so."""
        return 0


def sizes_asked(batch: TrainingBatch) -> SizesAsked:
    """How much a batch asks of a reader encoder."""
    news = batch.news
    return SizesAsked(news.num_clicked, len(news.clicks.index), len(news.readers), len(news.candidates))


class SampleWeighing:
    """What gives samples learned weights before a step; here nothing is learned.

    Attributes:
        recordable: As of a `NewsAuxiliary`.
    """

    recordable: ClassVar[bool] = True

    def before(self, batch: TrainingBatch, training: Training) -> TrainingBatch:  # noqa: ARG002
        """The batch with the weights of its samples."""
        return batch

    def state(self) -> Arrays:
        """See `Resumable.state`."""
        return {}

    def restore(self, state: State) -> None:
        """See `Resumable.restore`."""
