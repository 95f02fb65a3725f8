"""Generated news and models that train in no time, for several test modules."""

from __future__ import annotations

from functools import cache
from typing import Any

from pyrec.data.generated_news import GeneratedNews, generate_news
from pyrec.nn.reader import ClickAttention
from pyrec.nn.text import WordAttention

SMALL: dict[str, Any] = {
    "text": WordAttention(2, 4, 8),
    "reader": ClickAttention(2, 8),
    "word_size": 8,
    "tag_size": 4,
    "epochs": 2,
    "batch_size": 64,
}


@cache
def small_news() -> GeneratedNews:
    """A few hundred impressions of articles that are born and die."""
    return generate_news(60, 120, 240, 8, num_topics=4, seed=3)
