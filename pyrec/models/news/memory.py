"""The memory that training a news model takes."""

from __future__ import annotations

from pyrec.data.news import News
from pyrec.nn.counters import NUM_INPUTS


def counted_bytes(news: News) -> int:
    """Bytes of what is counted of each candidate: the inputs of the popularity term, and the counters they are of."""
    return 4 * 2 * NUM_INPUTS * news.impressions.candidates.indices.size
