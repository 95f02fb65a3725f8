"""Batches padded to the sizes of a bucket, so that one recorded step serves all batches of it.

A CUDA graph knows no sizes but those it was recorded with, and a batch of news differs from others in all of its own:
articles, words, clicks, candidates. Bucket b holds batches of up to ceil(m 2^(b / 8)) of each, m being the largest
number in some first batches. So a batch's bucket depends on the batch alone, and most batches are in the first ones.

What is padded stands behind what is real, and nothing that counts refers to it: the gradients that come from it are 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from pyrec.nn.articles import ArticleBatch
from pyrec.nn.news import NewsBatch
from pyrec.nn.segments import Segments
from pyrec.ops.attend import MAX_SLOTS
from pyrec.train.news.batches import NewsBatches, TrainingBatch

LOOKED_AT: Final = 16
"""Batches that sizes are taken from."""

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Buckets:
    """The sizes that batches are padded to.

    Attributes:
        largest: The sizes m, by name.
    """

    largest: Sizes

    @classmethod
    def of(cls, batches: NewsBatches) -> Buckets:
        """The buckets of the first epoch's first batches."""
        size = batches.batch_size
        firsts = range(0, max(1, batches.num_samples - size + 1), size)[:LOOKED_AT]
        found = [sizes_of(batches.drawn(0, first)) for first in firsts]
        largest = {name: max(1, *(sizes[name] for sizes in found)) for name in found[0]}
        if batches.store.num_words == 0:
            largest |= {name: 0 for name in largest if name == "words" or name.startswith("text ")}
        return cls(largest)

    def bucket(self, batch: TrainingBatch) -> int:
        """The number of the smallest bucket that holds a batch."""
        sizes, number = sizes_of(batch), 0
        while any(sizes[name] > most for name, most in self.most(number).items()):
            number += 1
        return number

    def most(self, bucket: int) -> Sizes:
        """The sizes that a batch of a bucket has at most."""
        return {name: math.ceil(size * 2 ** (bucket / 8)) for name, size in self.largest.items()}

    def padded(self, batch: TrainingBatch, bucket: int) -> TrainingBatch:
        """A batch that the bucket holds, on the CPU, as large as all of this bucket."""
        most = self.most(bucket)
        slots = max((size for name, size in most.items() if name.startswith(("text ", "tag "))), default=0)
        articles = most["articles"] + _segments(slots)
        news = _padded_news(batch.news, most, articles)
        size, width = batch.size, most["width"] + 1  # the last column stays empty
        row, column = batch.place // batch.present.shape[1], batch.place % batch.present.shape[1]
        return replace(
            batch,
            news=news,
            articles=_padded_articles(batch.articles, most, articles),
            place=_longer(row * width + column, len(news.candidates), size * width - 1),
            present=functional.pad(batch.present, (0, width - batch.present.shape[1])),
            targets=_longer(batch.targets, size),
        )


def sizes_of(batch: TrainingBatch) -> Sizes:
    """What differs from batch to batch."""
    news, articles = batch.news, batch.articles
    return {
        "articles": len(news.articles),
        "clicked": news.num_clicked,
        "histories": len(news.readers),
        "clicks": len(news.clicks.index),
        "candidates": len(news.candidates),
        "width": batch.present.shape[1],
        "words": len(articles.words),
        **{f"text {name}": len(part.index) for name, part in articles.texts.items()},
        **{f"tag {name}": len(part.index) for name, part in articles.tags.items()},
    }


def _padded_news(news: NewsBatch, most: Sizes, articles: int) -> NewsBatch:
    histories = most["histories"] + _segments(most["clicks"])
    counters = news.counters
    if counters is not None:
        counters = functional.pad(counters, (0, 0, 0, most["candidates"] - len(counters)))
    return NewsBatch(
        articles=_longer(news.articles, articles),
        num_clicked=most["clicked"],
        clicks=_padded_segments(news.clicks, histories, most["clicks"]),
        readers=_longer(news.readers, histories, -1),
        candidates=_longer(news.candidates, most["candidates"]),
        asked=_longer(news.asked, most["candidates"]),
        counters=counters,
    )


def _padded_articles(articles: ArticleBatch, most: Sizes, count: int) -> ArticleBatch:
    return ArticleBatch(
        rows=_longer(articles.rows, count),
        words=_longer(articles.words, most["words"]),
        texts={
            name: _padded_segments(part, count, most[f"text {name}"]) for name, part in articles.texts.items()
        },
        tags={
            name: _padded_segments(part, count, most[f"tag {name}"]) for name, part in articles.tags.items()
        },
    )


def _segments(slots: int) -> int:
    """How many segments can hold as many slots as are padded at most."""
    return math.ceil(slots / MAX_SLOTS)


def _padded_segments(segments: Segments, count: int, slots: int) -> Segments:
    """Further segments hold the further slots, as many as a segment may have."""
    missing = slots - len(segments.index)
    ends = torch.arange(1, count - len(segments.indptr) + 2, dtype=torch.int64, device="cpu") * MAX_SLOTS
    indptr = torch.cat([segments.indptr, len(segments.index) + ends.clamp(max=missing)])
    return Segments(indptr, _longer(segments.index, slots))


def _longer(numbers: Tensor, length: int, value: int = 0) -> Tensor:
    return functional.pad(numbers, (0, length - len(numbers)), value=value)
