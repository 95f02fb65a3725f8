"""The memory that training a news model takes, from its parameters and the sizes of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

from pyrec.data.news import News
from pyrec.models.news.scoring import ARTICLES_AT_A_TIME, FLOATS_AT_A_TIME
from pyrec.nn.articles import ArticleStore
from pyrec.nn.counters import NUM_INPUTS
from pyrec.nn.news import NewsNetwork
from pyrec.nn.reader.base import SizesAsked
from pyrec.train.news.batches import NewsBatches, TrainingBatch
from pyrec.train.news.terms import NewsAuxiliary, sizes_asked
from pyrec.train.recorded import MOST_RECORDED

FLOAT: Final = 4
LARGER: Final = 1.25
"""How much larger than the first one another batch may be."""
SMALLER: Final = "lower batch_size, word_size or latest"
"""What takes less."""


@dataclass(frozen=True)
class Prepared:
    """What a fit has before it counts popularity.

    Attributes:
        news: What it learns from.
        network: Its parameters as they are drawn first, without a term of popularity.
        generator: Draws the parameters of that term.
        store: The articles.
        batches: The samples.
        auxiliaries: Losses beside the ranking loss.
    """

    news: News
    network: NewsNetwork
    generator: torch.Generator
    store: ArticleStore
    batches: NewsBatches
    auxiliaries: Sequence[NewsAuxiliary]

    @property
    def recordable(self) -> bool:
        """Whether steps of it can be recorded: nothing waits for the device, or is another for a padded batch."""
        return self.network.recordable and all(one.recordable for one in self.auxiliaries)


def training_bytes(prepared: Prepared, news: News, counted: bool, validated: bool, device: str) -> int:
    """Bytes at the peak of a fit, above the data.

    Args:
        prepared: What the fit has at its start.
        news: All that it is given, with what is held out.
        counted: Whether there is a term of popularity.
        validated: Whether the best epoch's parameters are kept, too.
        device: ``cpu`` or ``cuda``, where recorded steps keep their memory.
    """
    parameters = sum(one.numel() for one in prepared.network.parameters())
    kept = FLOAT * parameters * (5 if validated else 4)  # values, gradients, two moments; the best epoch's
    candidates, clicks = news.impressions.candidates.indices.size, 0
    if news.impressions.histories is not None:
        clicks = news.impressions.histories.indices.size
    kept += 16 * clicks + 8 * candidates + (FLOAT * 2 * NUM_INPUTS * candidates if counted else 0)
    batch = prepared.batches.drawn(0, 0)
    vectors = prepared.network.articles.dim * len(news.articles) + _encoding_floats(prepared)
    if validated:
        vectors += _scoring_floats(prepared, batch, news)
    step = LARGER * _step_floats(prepared, batch)
    if device == "cuda" and prepared.recordable:
        kept += int(FLOAT * MOST_RECORDED * step)
    return int(kept + FLOAT * max(step, vectors))


def _encoding_floats(prepared: Prepared) -> int:
    """Numbers that encoding some articles at a time holds, at most what a step on them does."""
    rows = torch.arange(min(prepared.store.num_articles, ARTICLES_AT_A_TIME), dtype=torch.int64, device="cpu")
    network = prepared.network.articles
    return network.step_floats(prepared.batches.store.at(rows, network.views))


def _scoring_floats(prepared: Prepared, batch: TrainingBatch, news: News) -> int:
    """Numbers that scoring some candidates holds: of a reader's encoder at most what a step on them does."""
    asked = sizes_asked(batch)
    candidates = news.impressions.candidates.indices.size
    impressions = len(news.impressions) / batch.size
    whole = SizesAsked(0, int(asked.clicks * impressions), int(asked.histories * impressions), candidates)
    return min(prepared.network.reader.step_floats(whole), FLOATS_AT_A_TIME)


def _step_floats(prepared: Prepared, batch: TrainingBatch) -> int:
    """Numbers that a step holds, gradients included: what its parts say of the first batch."""
    network = prepared.network
    floats = network.articles.step_floats(batch.articles) + network.reader.step_floats(sizes_asked(batch))
    return floats + sum(one.step_floats(batch, network) for one in prepared.auxiliaries)
