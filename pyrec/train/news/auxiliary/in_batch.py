"""Each reader against all that was clicked in the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from pyrec.nn.news import NewsNetwork
from pyrec.options import Number, Options
from pyrec.train.loss.weighted_mean import weighted_mean
from pyrec.train.news.batches import TrainingBatch
from pyrec.train.news.clicked import clicked, clicks_among
from pyrec.train.news.terms import NewsAuxiliary, NewsTerm, Training, sizes_asked


@dataclass(frozen=True, repr=False)
class OthersClicks(NewsAuxiliary):
    """Cross-entropy of a click among all articles clicked in the batch, by content alone.

    What a reader clicked, before or in the batch, is never held against it.

    Args:
        weight: Of this loss beside the ranking loss; above 0.
    """

    name: ClassVar[str] = "in-batch"
    recordable: ClassVar[bool] = True
    options: ClassVar[Options] = {
        "weight": Number(flag="--in-batch", help="Weight of the loss against other readers' clicks.")
    }

    weight: float = 1.0

    def make(self, dim: int, seed: int) -> OthersClicksTerm:
        """See `NewsAuxiliary.make`."""
        return OthersClicksTerm(self)

    def step_floats(self, batch: TrainingBatch, network: NewsNetwork) -> int:
        """See `NewsAuxiliary.step_floats`."""
        count = len(batch.targets)
        return network.reader.crossed_floats(sizes_asked(batch), count) + 6 * batch.size * count


class OthersClicksTerm(NewsTerm):
    """-log softmax of each click's score over the distinct articles clicked in the batch, the mean over the clicks.

    Behind the last target that was clicked, what a bucket is padded with is left out.
    """

    def __init__(self, settings: OthersClicks) -> None:
        super().__init__()
        self._settings = settings

    def forward(self, batch: TrainingBatch, vectors: Tensor, training: Training) -> Tensor:
        """See `NewsTerm.forward`."""
        news, network = batch.news, training.network
        targets, target = batch.targets, batch.target
        clicks, candidates = network.sides(news, training.store, vectors)
        category = candidates.category[targets]
        scores = network.reader.crossed(clicks, vectors[targets], category, training.dropout_of(batch, 4))
        owners = clicked(batch)[1]
        known = clicks_among(news, news.articles[targets])
        known.view(-1).index_fill_(0, owners * len(targets) + target, True)
        columns = torch.arange(len(targets), dtype=torch.int64, device=targets.device)
        left_out = (known[owners] & (columns != target[:, None])) | (columns > target.max())
        lists = scores[owners].masked_fill(left_out, -torch.inf)
        each = functional.cross_entropy(lists, target, reduction="none")
        return self._settings.weight * weighted_mean(each, batch.weight)
