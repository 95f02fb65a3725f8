"""Batches of a news model: impressions as the distinct histories and articles that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data.impressions import Impressions
from pyrec.data.ragged import Ragged
from pyrec.nn.articles import ArticleBatch, ArticleStore
from pyrec.nn.news import NewsBatch
from pyrec.nn.segments import Segments
from pyrec.nn.tensors import mapped
from pyrec.ops.distinct import distinct_ids
from pyrec.train.negatives import Shown
from pyrec.train.news.counted import CountedCandidates
from pyrec.train.news.draws import Draw, generator
from pyrec.train.news.samples import ClickSamples


class Histories:
    """The latest clicks of the histories of some impressions; readers who share one each have it for themselves.

    Attributes:
        rows: (num_impressions,) int64, which history each impression has.
        readers: (num_histories,) int64, whose each is; -1 where nobody knows.
        num_clicks: Clicks of all of them that count.
    """

    def __init__(self, impressions: Impressions, latest: int) -> None:
        """Keep the latest clicks.

        Args:
            impressions: Without histories, each has an empty one.
            latest: How many clicks of a history count.
        """
        shared, clicks = _latest(impressions, latest)
        count = impressions.num_users + 1
        pairs, rows = np.unique(shared * count + impressions.users + 1, return_inverse=True)
        self.rows = rows.astype(np.int64)
        self.readers = pairs % count - 1
        self._segments = Segments.of(clicks, torch.device("cpu")).take(tensor_of(pairs // count))
        self.num_clicks = len(self._segments.index)

    def batch(
        self,
        impressions: NDArray[np.int64],
        candidates: NDArray[np.int64],
        owners: NDArray[np.int64],
        num_articles: int,
    ) -> NewsBatch:
        """The distinct histories and articles of some impressions and candidates.

        Args:
            impressions: (size,), which.
            candidates: (num_candidates,), the articles asked about.
            owners: (num_candidates,), positions in ``impressions``: which one asks.
            num_articles: Number of articles there are.
        """
        histories, of = np.unique(self.rows[impressions], return_inverse=True)
        clicks = self._segments.take(tensor_of(histories))
        articles, position = distinct_ids(torch.cat([clicks.index, tensor_of(candidates)]), num_articles)
        clicked, asked = torch.split(position, [len(clicks.index), len(candidates)])
        return NewsBatch(
            articles=articles,
            num_clicked=int(clicked.max()) + 1 if len(clicked) else 0,
            clicks=Segments(clicks.indptr, clicked),
            readers=tensor_of(self.readers[histories]),
            candidates=asked,
            asked=tensor_of(of[owners].astype(np.int64)),
        )


def _latest(impressions: Impressions, latest: int) -> tuple[NDArray[np.int64], Ragged]:
    """Which history each impression has, and the latest clicks of each."""
    n = len(impressions)
    histories = impressions.histories
    if histories is None:
        return np.zeros(n, np.int64), Ragged(
            np.zeros(2, np.int64), np.empty(0, np.int32), impressions.num_items
        )
    rows = np.arange(n) if impressions.history_rows is None else impressions.history_rows.astype(np.int64)
    return rows, histories.last(latest)


@dataclass(frozen=True)
class TrainingBatch:
    """Samples of an epoch: clicks, each with what it is compared with.

    Attributes:
        news: What is scored.
        articles: The views of its articles.
        place: (num_candidates,) int64, where each score belongs in the lists (size, width), row by row.
        present: (size, width) bool, where there is a score.
        clicked: (size,) int64, which of ``news.candidates`` each sample clicked.
        targets: (num_targets,) int64, positions in ``news.articles``: the distinct ones clicked.
        target: (size,) int64, which of ``targets`` each sample clicked.
        seed: (1,) int64, of what is dropped in its step.
        candidates: (num_candidates,) int64, which candidate of the impressions each is.
        slots: (size,) int64, the candidate that was clicked.
        impressions: (size,) int64, of each sample.
        epoch: Number of the epoch, from 0.
        first: Position of the first sample in the epoch.
        weight: (size,) float32, how much each sample counts; None if all count the same.
    """

    news: NewsBatch
    articles: ArticleBatch
    place: Tensor
    present: Tensor
    clicked: Tensor
    targets: Tensor
    target: Tensor
    seed: Tensor
    candidates: NDArray[np.int64]
    slots: NDArray[np.int64]
    impressions: NDArray[np.int64]
    epoch: int
    first: int
    weight: Tensor | None = None

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(self.slots)

    def lists(self, scores: Tensor) -> Tensor:
        """The scores (num_candidates,) as lists (size, width), 0 where there is none."""
        flat = scores.new_zeros(self.present.numel()).index_copy(0, self.place, scores)
        return flat.view(self.present.shape)


@dataclass
class NewsBatches:
    """Draws the batches of each epoch: every click once, in random order.

    Attributes:
        impressions: What is learned from.
        samples: Their clicks.
        histories: Theirs.
        negatives: What a click is compared with.
        batch_size: Clicks in a batch; the last one of an epoch may have fewer.
        seed: Of the order and of the negatives.
        store: The articles, on the CPU.
        views: Which of their views are read.
        device: Where batches lie.
        counters: What was known of each candidate's popularity; None without such a term.
        weight: (num_candidates,) float32, how much a click on each candidate counts; None if all count the same.
        log: Number of the log among those that a training draws from.
    """

    impressions: Impressions
    samples: ClickSamples
    histories: Histories
    negatives: Shown
    batch_size: int
    seed: int
    store: ArticleStore
    views: Sequence[str]
    device: torch.device
    counters: CountedCandidates | None = None
    weight: NDArray[np.float32] | None = None
    log: int = 0

    def __post_init__(self) -> None:
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    @property
    def num_samples(self) -> int:
        """In an epoch."""
        return len(self.samples)

    def at(self, epoch: int, first: int) -> TrainingBatch:
        """The batch that begins with sample ``first`` of an epoch, on the device."""
        return self.placed(self.drawn(epoch, first))

    def placed(self, batch: TrainingBatch) -> TrainingBatch:
        """A batch on the device."""
        return mapped(batch, lambda tensor: tensor.to(self.device))

    def drawn(self, epoch: int, first: int) -> TrainingBatch:
        """The batch that begins with sample ``first`` of an epoch, on the CPU: nothing waits for a device."""
        chosen = self._order_of(epoch)[first : first + self.batch_size]
        draw = generator(self.seed, Draw.NEGATIVES, epoch, first, self.log)
        lists, present = self.samples.lists(chosen, self.negatives, draw)
        where = np.flatnonzero(present)
        candidates, owners = lists.ravel()[where], where // lists.shape[1]
        of = self.samples.impressions[chosen]
        articles = self.impressions.candidates.indices[candidates].astype(np.int64)
        batch = self.histories.batch(of, articles, owners, self.impressions.num_items)
        if self.counters is not None:
            batch = self.counters.added(batch, candidates)
        clicked = np.flatnonzero(where % lists.shape[1] == 0)
        targets, target = np.unique(batch.candidates.numpy()[clicked], return_inverse=True)
        return TrainingBatch(
            news=batch,
            articles=self.store.at(batch.articles, self.views),
            place=tensor_of(where),
            present=tensor_of(present),
            clicked=tensor_of(clicked),
            targets=tensor_of(targets),
            target=tensor_of(target.astype(np.int64)),
            seed=self._drop_seed(epoch, first),
            candidates=candidates,
            slots=lists[:, 0],
            impressions=of,
            epoch=epoch,
            first=first,
            weight=None if self.weight is None else tensor_of(self.weight[lists[:, 0]]),
        )

    def _drop_seed(self, epoch: int, first: int) -> Tensor:
        return tensor_of(generator(self.seed, Draw.DROPPED, epoch, first, self.log).integers(2**63, size=1))

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        if self._order[0] != epoch:
            draw = generator(self.seed, Draw.ORDER, epoch, log=self.log)
            self._order = epoch, draw.permutation(len(self.samples))
        return self._order[1]
