"""What the samples of a batch clicked, and what their readers are known to have clicked."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrec.nn.news import NewsBatch
from pyrec.train.news.batches import TrainingBatch


def clicked(batch: TrainingBatch) -> tuple[Tensor, Tensor]:
    """The article that each sample clicked, a position in the batch's, and its history, (size,) each."""
    first = batch.place % batch.present.shape[1] == 0
    return batch.news.candidates[first], batch.news.asked[first]


def clicks_among(news: NewsBatch, articles: Tensor) -> Tensor:
    """Which of some articles are in each history, bool (num_histories, num_articles).

    Args:
        news: The batch.
        articles: (num_articles,) int64, distinct.
    """
    ascending, order = articles.sort()
    asked = news.articles[news.clicks.index]
    at = torch.searchsorted(ascending, asked).clamp(max=len(articles) - 1)
    there = ascending[at] == asked
    known = torch.zeros(len(news.readers), len(articles), dtype=torch.bool, device=articles.device)
    known[news.clicks.owners()[there], order[at[there]]] = True
    return known
