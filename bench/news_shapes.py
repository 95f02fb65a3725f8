"""News of MIND-small's shape, generated: how long titles and histories are, how often words and articles occur.

The marginals are those of a sample of MIND (Wu et al., ACL 2020): titles of 11.8 words on average, 30 at most; 32
clicks a history, median 18, 2 % without any; 38 candidates an impression, median 24; 1.5 clicks.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pyrec.data import Articles, Impressions, News
from pyrec.data.ragged import Ragged

ARTICLES, READERS, WORDS, IMPRESSIONS = 51_282, 50_000, 40_000, 156_965
LONGEST_TITLE, MOST_CANDIDATES, MOST_CLICKS = 30, 283, 500
WORD_SHAPE, CLICK_SHAPE = (30.0, 1.2), (100.0, 1.25)
"""An offset and a power: a word or an article is drawn in proportion to (offset + rank) ** -power.

In that sample 783 titles have 2.5 tokens for each distinct word and 2,000 titles 3.6; here 2.6 and 3.5. There the 3,959
slots of a batch of 128 name 2,516 articles, and the 15,322 of one of 512 name 5,930; here 2,300 and 6,400.
"""

Draw = np.random.Generator


@cache
def mind_shaped(
    num_impressions: int = IMPRESSIONS, seed: int = 0, articles: int = ARTICLES, readers: int = READERS
) -> News:
    """Articles with titles alone, and impressions with clicks of readers whose history does not change."""
    draw = np.random.default_rng(seed)
    lengths = np.clip(np.rint(draw.normal(11.76, 3.66, articles)), 1, LONGEST_TITLE).astype(np.int64)
    titles = _ragged(draw, lengths, WORDS, WORD_SHAPE)
    empty = Ragged(np.zeros(articles + 1, np.int64), np.empty(0, np.int32), WORDS)
    words = np.char.add("w", np.arange(WORDS).astype("U5"))
    blank = ("",) * articles
    store = Articles(np.arange(articles), titles, empty, words, blank, blank)
    return News(store, _impressions(draw, num_impressions, articles, readers))


def _impressions(draw: Draw, num_impressions: int, articles: int, readers: int) -> Impressions:
    clicked = _lognormal(draw, readers, 18, 1.07, MOST_CLICKS)
    clicked[draw.random(readers) < 0.021] = 0
    histories = _ragged(draw, clicked, articles, CLICK_SHAPE)
    shown = np.maximum(_lognormal(draw, num_impressions, 24, 0.956, MOST_CANDIDATES), 2)
    candidates = _ragged(draw, shown, articles, CLICK_SHAPE)
    clicks = draw.random(candidates.indices.size) < 0.51 / 37.9
    first = candidates.indptr[:-1] + draw.integers(0, shown)
    clicks[first] = True
    users = draw.integers(0, readers, num_impressions).astype(np.int32)
    return Impressions(
        users=users,
        candidates=candidates,
        user_ids=np.arange(readers),
        item_ids=np.arange(articles),
        clicks=clicks,
        histories=histories,
        history_rows=users.copy(),
    )


def _lognormal(draw: Draw, count: int, median: float, deviation: float, most: int) -> NDArray[np.int64]:
    return np.clip(np.rint(median * np.exp(draw.normal(0, deviation, count))), 1, most).astype(np.int64)


def _ragged(draw: Draw, lengths: NDArray[np.int64], kinds: int, shape: tuple[float, float]) -> Ragged:
    """Rows of those lengths of numbers below ``kinds``, a few of them often."""
    offset, power = shape
    weight = (np.arange(kinds) + offset) ** -power
    ends = np.cumsum(weight)
    ranks = np.searchsorted(ends, draw.random(int(lengths.sum())) * ends[-1])
    named = draw.permutation(kinds).astype(np.int32)[np.minimum(ranks, kinds - 1)]
    return Ragged(np.append(0, np.cumsum(lengths)), named, kinds)
