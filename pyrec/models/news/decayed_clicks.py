"""Popularity alone, which news models are measured beside: the clicks on an article, of which each decays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pyrec.data.news import News
from pyrec.nn.counters import HOUR, Asked, Events, Tally

HALF_LIFE: Final = 6 * HOUR
"""Seconds after which a click counts half."""


@dataclass(frozen=True)
class DecayedClicks:
    """Scores a candidate by the clicks on it before: each counts ``2^(-age / half-life)``.

    Impressions count as they come, each for later ones alone. Without times all training clicks count the same.

    Attributes:
        tally: Of the clicks in training; None where there are no times.
        clicks: (num_articles,), their number.
    """

    tally: Tally | None
    clicks: NDArray[np.float32]

    @classmethod
    def of(cls, news: News) -> DecayedClicks:
        """Count the clicks of a training set."""
        shown = news.impressions
        assert shown.clicks is not None
        counts = np.bincount(shown.candidates.indices[shown.clicks], minlength=shown.num_items)
        tally = (
            None
            if shown.times is None
            else Tally((HALF_LIFE,)).count(*_events(Asked.of(shown).by_time()[0]))[1]
        )
        return cls(tally, counts.astype(np.float32))

    def score_impressions(self, news: News) -> NDArray[np.float32]:
        """Return the score of each candidate, float32 (num_candidates,), as news models do.

        Args:
            news: Of the same articles, and later.
        """
        shown = news.impressions
        if self.tally is None or shown.times is None:
            return self.clicks[shown.candidates.indices]
        asked, order = Asked.of(shown).by_time()
        scores = np.empty(len(order), np.float32)
        scores[order] = self.tally.find(*_events(asked))[:, 0, 0]
        return scores


def _events(asked: Asked) -> Events:
    """Return what a tally is to count: clicks alone."""
    amounts = np.zeros((len(asked.articles), 2), np.float32)
    amounts[:, 0] = asked.clicks
    return asked.articles, asked.times, amounts
