"""The memory that training a news model takes, from its parameters and the sizes of a batch."""

from __future__ import annotations

from typing import Final

from pyrec.data.news import News
from pyrec.models.news.scoring import CANDIDATES_AT_A_TIME
from pyrec.nn.articles import ARTICLES_AT_A_TIME
from pyrec.nn.counters import NUM_INPUTS
from pyrec.nn.text import TextModule
from pyrec.train.news.trainer import NewsTrainer

FLOAT: Final = 4
LARGER: Final = 1.25
"""How much larger than the first one another batch may be."""


def training_bytes(trainer: NewsTrainer, news: News, counted: bool, validated: bool) -> int:
    """Bytes at the peak of a fit, above the data.

    Args:
        trainer: Of the model, before its first step.
        news: What it learns from.
        counted: Whether there is a term of popularity.
        validated: Whether the best epoch's parameters are kept, too.
    """
    parameters = sum(one.numel() for one in trainer.network.parameters())
    kept = FLOAT * parameters * (5 if validated else 4)  # values, gradients, two moments; the best epoch's
    candidates, clicks = news.impressions.candidates.indices.size, 0
    if news.impressions.histories is not None:
        clicks = news.impressions.histories.indices.size
    kept += 16 * clicks + 8 * candidates + (FLOAT * 2 * NUM_INPUTS * candidates if counted else 0)
    vectors = float(trainer.network.articles.dim * (len(news.articles) + 2 * ARTICLES_AT_A_TIME))
    if validated:
        vectors += _scoring_floats(trainer, news)
    return int(kept + FLOAT * max(LARGER * _step_floats(trainer), vectors))


def _scoring_floats(trainer: NewsTrainer, news: News) -> float:
    """Numbers that scoring some candidates holds: their vectors and readers', and those of their readers' clicks."""
    impressions = max(1, len(news))
    histories = CANDIDATES_AT_A_TIME * impressions / max(1, news.impressions.candidates.indices.size)
    clicks = histories * len(trainer.batches.at(0, 0).news.clicks.index) / trainer.batches.batch_size
    return trainer.network.articles.dim * (3 * CANDIDATES_AT_A_TIME + 6 * clicks)


def _step_floats(trainer: NewsTrainer) -> int:
    """Numbers that a step holds, gradients included: what its parts say of the first batch."""
    batch = trainer.batches.at(0, 0).news
    network = trainer.network.articles
    articles = trainer.store.at(batch.articles, network.views)
    num_articles = len(batch.articles)
    floats = 6 * network.dim * num_articles * (len(network.views) + 1)
    for name, module in network.texts.items():
        assert isinstance(module, TextModule)
        floats += module.step_floats(len(articles.words), len(articles.texts[name].index), num_articles)
    histories, candidates = len(batch.readers), len(batch.candidates)
    sizes = batch.num_clicked, len(batch.clicks.index), histories, candidates
    return floats + trainer.network.reader.step_floats(*sizes)
