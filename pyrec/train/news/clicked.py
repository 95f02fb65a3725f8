"""What the samples of a batch clicked, and what their readers are known to have clicked."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrec.nn.news import NewsBatch
from pyrec.train.news.batches import TrainingBatch


def clicked(batch: TrainingBatch) -> tuple[Tensor, Tensor]:
    """The article that each sample clicked, a position in the batch's, and its history, (size,) each."""
    return batch.news.candidates[batch.clicked], batch.news.asked[batch.clicked]


def clicks_among(news: NewsBatch, articles: Tensor) -> Tensor:
    """Which of some articles are in each history, bool (num_histories, num_articles); waits for no device.

    Args:
        news: The batch.
        articles: (num_articles,) int64; of those alike the first one tells.
    """
    shape = len(news.readers), len(articles)
    ascending, order = articles.sort(stable=True)
    asked = news.articles[news.clicks.index]
    at = torch.searchsorted(ascending, asked).clamp(max=len(articles) - 1)
    cells = news.clicks.owners() * shape[1] + order[at]
    there = (ascending[at] == asked).to(torch.int32)
    known = torch.zeros(shape[0] * shape[1], dtype=torch.int32, device=articles.device)
    return known.index_add_(0, cells, there).view(shape) > 0
