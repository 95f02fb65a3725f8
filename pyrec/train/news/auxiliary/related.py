"""Clicks compared with articles that were not shown beside them: other readers' clicks, and random articles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.errors import ConfigError
from pyrec.nn.news import NewsBatch, NewsNetwork
from pyrec.nn.reader import Candidates
from pyrec.options import Count, Number, Options
from pyrec.train.loss.weighted_mean import weighted_mean
from pyrec.train.news.batches import TrainingBatch
from pyrec.train.news.clicked import clicked, clicks_among
from pyrec.train.news.draws import Draw, generator
from pyrec.train.news.terms import NewsAuxiliary, NewsTerm, Training, sizes_asked


@dataclass(frozen=True, repr=False)
class Related(NewsAuxiliary):
    """The ranking loss again, by content alone, of each click against clicks of others and random articles.

    What a reader clicked is never held against it.

    Args:
        weight: Of this loss beside the ranking loss; above 0.
        in_batch: Clicks of the batch's other samples that each click is compared with.
        random: Random articles that each batch's clicks are compared with, the same for all of them.
        rate: Share of the clicks in whose place a random article is taken for the related one, at most 1.
    """

    name: ClassVar[str] = "related"
    options: ClassVar[Options] = {
        "weight": Number(flag="--related", help="Weight of the loss against articles that were not shown."),
        "in_batch": Count(low=0, high=2**16, flag="--related-clicks", help="Others' clicks in that loss."),
        "random": Count(low=0, high=2**16, flag="--related-random", help="Random articles in that loss."),
        "rate": Number(
            positive=False,
            flag="--related-rate",
            help="Share of the clicks for which a random article is taken for related.",
        ),
    }

    weight: float = 0.3
    in_batch: int = 16
    random: int = 16
    rate: float = 0.0

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`."""
        super().check_params(prefix)
        if self.in_batch + self.random == 0:
            raise ConfigError(
                f"{prefix}in_batch = 0 and {prefix}random = 0 leave nothing to compare with; raise one"
            )
        if self.rate > 1 or (self.rate and not self.random):
            raise ConfigError(
                f"{prefix}rate = {self.rate:g} with {prefix}random = {self.random}; it is a share of at most 1, and of "
                "random articles"
            )

    def make(self, dim: int, seed: int) -> RelatedTerm:
        """See `NewsAuxiliary.make`."""
        return RelatedTerm(self, seed)

    def step_floats(self, batch: TrainingBatch, network: NewsNetwork) -> int:
        """See `NewsAuxiliary.step_floats`."""
        asked = batch.size * (1 + self.in_batch + self.random)
        return network.reader.step_floats(replace(sizes_asked(batch), candidates=asked))


class RelatedTerm(NewsTerm):
    """Lists of a click, some of the batch's other clicks, and the batch's random articles; random by place and seed."""

    def __init__(self, settings: Related, seed: int) -> None:
        super().__init__()
        self._settings = settings
        self._seed = seed

    def forward(self, batch: TrainingBatch, vectors: Tensor, training: Training) -> Tensor:
        """See `NewsTerm.forward`."""
        news, network = batch.news, training.network
        draw = generator(self._seed, Draw.RELATED, batch.epoch, batch.first)
        pool = tensor_of(draw.integers(training.store.num_articles, size=self._settings.random))
        pool = pool.to(vectors.device)
        own, owners = clicked(batch)
        behind = torch.arange(len(pool), dtype=torch.int64, device=pool.device)
        columns = torch.cat([own, len(vectors) + behind])
        places, present = self._lists(draw, news, torch.cat([news.articles[own], pool]), owners)
        if len(pool):
            vectors = torch.cat(
                [vectors, network.encode(pool, training.store, training.dropout_of(batch, 2))]
            )
        clicks, _ = network.sides(news, training.store, vectors)
        category = training.store.category[torch.cat([news.articles, pool])]
        where = present.flatten().nonzero()[:, 0]
        asked = owners.repeat_interleave(present.sum(1))
        candidates = Candidates(vectors, columns[places.flatten()[where]], asked, category)
        scores = network.reader(clicks, candidates, training.dropout_of(batch, 3))
        lists = scores.new_zeros(present.numel()).index_copy(0, where, scores).view(present.shape)
        each = training.loss.each_of_scores(lists, present)
        return self._settings.weight * weighted_mean(each, batch.weight)

    def _lists(
        self, draw: np.random.Generator, news: NewsBatch, articles: Tensor, owners: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What each click is compared with.

        Args:
            draw: Draws it.
            news: The batch.
            articles: (size + random,), the articles clicked, sample by sample, and the random ones.
            owners: (size,), the history of each sample.

        Returns:
            Positions in ``articles`` (size, 1 + in_batch + random), the click's own first, and which are there.
        """
        size, device = len(owners), owners.device
        num_random = len(articles) - size
        own = np.arange(size)
        if num_random:
            swapped = draw.random(size) < self._settings.rate
            own = np.where(swapped, size + draw.integers(num_random, size=size), own)
        others = draw.integers(size, size=(size, self._settings.in_batch))
        random = np.broadcast_to(size + np.arange(num_random), (size, num_random))
        places = tensor_of(np.concatenate([own[:, None], others, random], axis=1)).to(device)
        distinct, column = torch.unique(articles, return_inverse=True)
        known = clicks_among(news, distinct)
        known[owners, column[:size]] = True
        present = ~known[owners[:, None], column[places]]
        present &= column[places] != column[places[:, :1]]  # nor what is taken for related
        present[:, 0] = True
        return places, present
