"""Scores of many candidates by a trained network: each article once, each distinct history once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrec.data.impressions import Impressions
from pyrec.nn.articles import ArticleStore
from pyrec.nn.news import NewsBatch, NewsNetwork
from pyrec.nn.reader.base import SizesAsked
from pyrec.nn.tensors import mapped
from pyrec.train.news.batches import Histories
from pyrec.train.news.counted import CountedCandidates

ARTICLES_AT_A_TIME: Final = 4096
CANDIDATES_AT_A_TIME: Final = 2**14
FLOATS_AT_A_TIME: Final = 2**25
"""Of a reader's encoder."""


@dataclass(frozen=True)
class Scorer:
    """A network with the vectors of all articles.

    Attributes:
        network: The trained network.
        store: The articles.
        vectors: (num_articles, dim), of all of them.
        latest: How many clicks of a history count.
        num_readers: Readers who were there in training; others are unknown to the network.
    """

    network: NewsNetwork
    store: ArticleStore
    vectors: Tensor
    latest: int
    num_readers: int

    @classmethod
    @torch.no_grad()
    def of(cls, network: NewsNetwork, store: ArticleStore, latest: int, num_readers: int) -> Scorer:
        """Encode all articles."""
        return cls(network, store, _encoded(network, store, 0), latest, num_readers)

    @torch.no_grad()
    def with_store(self, store: ArticleStore) -> Scorer:
        """The same with further articles behind those encoded, which stay as they are."""
        fresh = _encoded(self.network, store, len(self.vectors))
        return replace(self, store=store, vectors=torch.cat([self.vectors, fresh]))

    @torch.no_grad()
    def scores(self, impressions: Impressions, counters: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """The score of each candidate of impressions, float32 (num_candidates,).

        Args:
            impressions: In the numbers of the store.
            counters: (num_candidates, C), what was known of their popularity; None without such a term.
        """
        histories = Histories(impressions, self.latest)
        histories.readers[histories.readers >= self.num_readers] = -1
        counted = None if counters is None else CountedCandidates.of(counters, impressions)
        out = np.empty(impressions.candidates.indices.size, np.float32)
        lengths = impressions.candidates.lengths
        order = np.argsort(histories.rows, kind="stable")  # those of a history together
        asked, slots_of = np.repeat(order, lengths[order]), impressions.candidates.slots(order)
        most = self._candidates_at_a_time(histories, len(asked))
        for first in range(0, len(asked), most):
            slots = slots_of[first : first + most]
            part, owners = _runs(asked[first : first + most])
            articles = impressions.candidates.indices[slots].astype(np.int64)
            batch = histories.batch(part, articles, owners, impressions.num_items)
            if counted is not None:
                batch = counted.added(batch, slots)
            batch = self._placed(batch)
            vectors = self.vectors[batch.articles]
            out[slots] = self.network.scores(batch, self.store, vectors).cpu().numpy()
        return out

    def _candidates_at_a_time(self, histories: Histories, candidates: int) -> int:
        """As many as take `FLOATS_AT_A_TIME` of the reader's encoder, some thousands at most."""
        sizes = SizesAsked(0, histories.num_clicks, len(histories.readers), max(1, candidates))
        floats = self.network.reader.step_floats(sizes) / max(1, candidates)
        return max(1, min(CANDIDATES_AT_A_TIME, int(FLOATS_AT_A_TIME / floats)))

    def _placed(self, batch: NewsBatch) -> NewsBatch:
        return mapped(batch, lambda tensor: tensor.to(self.store.device))

    def click_attention(self, impressions: Impressions) -> list[list[tuple[int, float]]] | None:
        """The clicks of each impression's history with their weights; None where the reader's encoder has none."""
        histories = Histories(impressions, self.latest)
        rows = np.arange(len(impressions))
        none = np.empty(0, np.int64)
        batch = self._placed(histories.batch(rows, none, none, impressions.num_items))
        clicks, _ = self.network.sides(batch, self.store, self.vectors[batch.articles])
        weights = self.network.reader.attention(clicks)
        if weights is None:
            return None
        articles = batch.articles[batch.clicks.index].tolist()
        pairs = list(zip(articles, weights.tolist(), strict=True))
        ends = batch.clicks.indptr.tolist()
        return [pairs[first:last] for first, last in pairwise(ends)]


def _encoded(network: NewsNetwork, store: ArticleStore, first: int) -> Tensor:
    """The vectors of the articles from a number on, (num_articles - first, dim), some at a time."""
    rows = torch.arange(first, store.num_articles, dtype=torch.int64, device=store.device)
    out = torch.empty(len(rows), network.articles.dim, dtype=torch.float32, device=store.device)
    for begin in range(0, len(rows), ARTICLES_AT_A_TIME):
        part = slice(begin, begin + ARTICLES_AT_A_TIME)
        out[part] = network.encode(rows[part], store)
    return out


def _runs(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number of each run of equal ones, and the run of each."""
    begins = np.diff(numbers, prepend=-1) != 0
    return numbers[begins], np.cumsum(begins) - 1
