"""What is known of candidates before an impression: clicks and shows that decay, and how old an article is.

Three kinds of keys are counted: the article; the reader and the article; the reader and the article's category. An
impression counts for later ones alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._arrays import tensor_of
from pyrec.data.articles import Articles
from pyrec.data.impressions import Impressions
from pyrec.data.times import TimeArray
from pyrec.errors import DataError
from pyrec.ops.decayed import DecayedState, decayed_counts
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, tensor_arrays, under

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
HALF_LIVES: Final = (15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY)
"""Of an article's clicks and shows, in seconds."""
FOREVER: Final = (np.inf,)
"""Of a reader's clicks and shows, of one article or of one category."""
NUM_COUNTERS: Final = 2 * (len(HALF_LIVES) + 2 * len(FOREVER)) + 1
FORMS: Final = 3
"""In which a counter is looked at: itself, beside the mean of the impression, and its rank there."""
NUM_INPUTS: Final = FORMS * NUM_COUNTERS + 1
KEYS_A_READER: Final = 2**31
NANOSECONDS_FROM: Final = 10**14


@dataclass(frozen=True)
class Asked:
    """Candidates that are asked about, in the order of time.

    Attributes:
        articles: (n,) int64.
        readers: (n,) int64; -1 where nobody knows.
        times: (n,) float64, seconds, never falling.
        clicks: (n,) bool; False where nobody knows.
    """

    articles: NDArray[np.int64]
    readers: NDArray[np.int64]
    times: NDArray[np.float64]
    clicks: NDArray[np.bool_]


@dataclass
class Tally:
    """Decayed clicks and shows of some keys, which may be any int64 numbers.

    Attributes:
        half_lives: Of the counts.
        keys: (num_keys,) int64, ascending.
        state: Of `decayed_counts`, a row a key; None before the first event.
    """

    half_lives: tuple[float, ...]
    keys: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    state: DecayedState | None = None

    def count(
        self, keys: NDArray[np.int64], times: NDArray[np.float64], amounts: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], Tally]:
        """What each event finds, (n, 2, F), and the tally after all of them.

        Args:
            keys: (n,).
            times: (n,), never falling.
            amounts: (n, 2), clicks and shows.
        """
        known = np.union1d(self.keys, keys)
        codes = np.searchsorted(known, keys).astype(np.int32)
        given = tensor_of(codes), tensor_of(times), tensor_of(amounts)
        found, state = decayed_counts(*given, self.half_lives, len(known), self._spread(known))
        return found.numpy(), replace(self, keys=known, state=state)

    def _spread(self, known: NDArray[np.int64]) -> DecayedState | None:
        """The state with rows for keys that are new."""
        if self.state is None:
            return None
        at, count = tensor_of(np.searchsorted(known, self.keys)), len(known)
        values, pending, times, half_lives = self.state
        return DecayedState(
            values.new_zeros(count, *values.shape[1:]).index_copy_(0, at, values),
            pending.new_zeros(count, *pending.shape[1:]).index_copy_(0, at, pending),
            times.new_full((count,), -np.inf).index_copy_(0, at, times),
            half_lives,
        )

    def arrays(self) -> Arrays:
        """The tally as arrays of a file."""
        if self.state is None:
            return {"keys": self.keys}
        values, pending, times, _ = self.state
        kept = {"values": values, "pending": pending, "times": times}
        return {"keys": self.keys, **tensor_arrays(kept)}

    def restored(self, state: State) -> Tally:
        """The tally that `arrays` gave.

        Raises:
            DataError: An array is missing, or of another dtype or shape.
        """
        keys = state.array("keys", np.int64, (None,))
        if "values" not in state:
            return replace(self, keys=keys, state=None)
        shapes = ((len(keys), 2, len(self.half_lives)), (len(keys), 2), (len(keys),))
        values, pending, times = (
            tensor_of(state.array(name, np.float64, shape))
            for name, shape in zip(("values", "pending", "times"), shapes, strict=True)
        )
        lives = torch.tensor(self.half_lives, dtype=torch.float64, device="cpu")
        return replace(self, keys=keys, state=DecayedState(values, pending, times, lives))


@dataclass
class Counters:
    """Tallies of articles, of readers' articles, and of readers' categories.

    Attributes:
        category: (num_articles,) int64; -1 for none.
        published: (num_articles,) float64, seconds; NaN where it is not
            known; the first showing stands for it then.
        first_shown: (num_articles,) float64, seconds; infinity for an article that was not shown yet.
        latest: Time of the latest event, seconds; -infinity before the first.
    """

    category: NDArray[np.int64]
    published: NDArray[np.float64]
    first_shown: NDArray[np.float64]
    latest: float = -np.inf
    of_article: Tally = field(default_factory=lambda: Tally(HALF_LIVES))
    of_pair: Tally = field(default_factory=lambda: Tally(FOREVER))
    of_taste: Tally = field(default_factory=lambda: Tally(FOREVER))

    @classmethod
    def of(cls, articles: Articles) -> Counters:
        """Counters of articles, before anything was shown."""
        n = len(articles.ids)
        codes = np.full(n, -1) if articles.category is None else articles.category.codes
        published = np.full(n, np.nan) if articles.published is None else articles.published
        return cls(codes.astype(np.int64), published, np.full(n, np.inf))

    @property
    def last_shown(self) -> NDArray[np.float64]:
        """(num_articles,) seconds; -infinity for an article that was not shown yet."""
        last = np.full(len(self.category), -np.inf)
        if self.of_article.state is not None:
            last[self.of_article.keys] = self.of_article.state.times.numpy()
        return last

    def with_articles(self, articles: Articles) -> Counters:
        """The same with further articles behind those known."""
        fresh, n = Counters.of(articles), len(self.category)
        fresh.first_shown[:n] = self.first_shown
        return replace(
            self, category=fresh.category, published=fresh.published, first_shown=fresh.first_shown
        )

    def before(self, asked: Asked) -> tuple[NDArray[np.float32], Counters]:
        """What is known of each candidate before it is asked about, and the counters after all are.

        Returns:
            (n, NUM_COUNTERS) float32, and the new counters; these stay as they are.

        Raises:
            DataError: It was asked before the latest event that is counted.
        """
        if len(asked.times) and asked.times[0] < self.latest:
            raise DataError(
                f"the first impression is at {asked.times[0]:.0f} s, but clicks are counted up to {self.latest:.0f} s; "
                "impressions have to be later than those that were learned from"
            )
        amounts = np.ones((len(asked.articles), 2), np.float32)
        amounts[:, 0] = asked.clicks
        by_article, of_article = self.of_article.count(asked.articles, asked.times, amounts)
        known = np.flatnonzero(asked.readers >= 0)
        pairs = asked.readers[known] * KEYS_A_READER + asked.articles[known]
        by_pair, of_pair = self.of_pair.count(pairs, asked.times[known], amounts[known])
        tastes = asked.readers[known] * KEYS_A_READER + self.category[asked.articles[known]] + 1
        by_taste, of_taste = self.of_taste.count(tastes, asked.times[known], amounts[known])
        first = self.first_shown.copy()
        np.minimum.at(first, asked.articles, asked.times)
        latest = max(self.latest, float(asked.times[-1])) if len(asked.times) else self.latest
        counts = _Counts(by_article, by_pair, by_taste, known)
        after = replace(
            self, first_shown=first, latest=latest, of_article=of_article, of_pair=of_pair, of_taste=of_taste
        )
        return self._inputs(asked, counts, first), after

    def _inputs(self, asked: Asked, counts: _Counts, first: NDArray[np.float64]) -> NDArray[np.float32]:
        n = len(asked.articles)
        born = self.published[asked.articles]
        born = np.where(np.isnan(born), first[asked.articles], born)
        age = np.maximum(asked.times - born, 0) / MINUTE
        of_reader = np.zeros((n, 4), np.float32)
        of_reader[counts.known, :2] = counts.pair[:, :, 0]
        of_reader[counts.known, 2:] = counts.taste[:, :, 0]
        columns: list[NDArray[Any]] = [
            counts.article.reshape(n, 2 * len(HALF_LIVES)),
            of_reader,
            age[:, None],
        ]
        return np.log1p(np.concatenate(columns, axis=1, dtype=np.float32))

    def arrays(self) -> Arrays:
        """The counters as arrays of a file; articles have their own."""
        shown = np.flatnonzero(np.isfinite(self.first_shown))
        arrays: Arrays = {"shown": shown.astype(np.int32), "first_shown": self.first_shown[shown]}
        for name in TALLIES:
            arrays |= under(name, getattr(self, name).arrays())
        return arrays

    def restored(self, state: State) -> Counters:
        """The counters that `arrays` gave.

        Raises:
            DataError: An array is missing, or of another dtype or shape.
        """
        shown = state.indices("shown", len(self.first_shown))
        first = np.full(len(self.first_shown), np.inf)
        first[shown] = state.array("first_shown", np.float64, (len(shown),))
        tallies = {name: getattr(self, name).restored(state.under(f"{name}.")) for name in TALLIES}
        times = tallies["of_article"].state
        latest = -np.inf if times is None else float(times.times.max())
        return replace(self, first_shown=first, latest=latest, **tallies)


TALLIES: Final = ("of_article", "of_pair", "of_taste")


@dataclass(frozen=True)
class _Counts:
    article: NDArray[np.float32]
    pair: NDArray[np.float32]
    taste: NDArray[np.float32]
    known: NDArray[np.int64]


def count_together(
    counters: Counters, logs: Sequence[Impressions]
) -> tuple[list[NDArray[np.float32]], Counters]:
    """What was known of each candidate of some logs, which went on side by side, and the counters after them.

    Args:
        counters: Before.
        logs: Of the same articles and readers.

    Returns:
        (num_candidates, NUM_COUNTERS) float32 for each log, in the order of its candidates; and new counters.

    Raises:
        DataError: A log has no times, or begins before what is counted.
    """
    parts = [_asked_of(log) for log in logs]
    joined = Asked(*(np.concatenate([getattr(part, name) for part in parts]) for name in ASKED))
    order = np.argsort(joined.times, kind="stable")
    found, after = counters.before(Asked(*(getattr(joined, name)[order] for name in ASKED)))
    values = np.empty_like(found)
    values[order] = found
    ends = np.cumsum([len(part.times) for part in parts])[:-1]
    return np.split(values, ends), after


ASKED: Final = ("articles", "readers", "times", "clicks")


def _asked_of(impressions: Impressions) -> Asked:
    """The candidates of impressions, in their order."""
    if impressions.times is None:
        raise DataError(
            "the impressions have no times, so nobody knows what was clicked before; give times, or popularity = None"
        )
    rows, candidates = impressions.candidates.rows, impressions.candidates.indices
    clicks = np.zeros(candidates.size, bool) if impressions.clicks is None else impressions.clicks
    times = in_seconds(impressions.times)[rows]
    return Asked(candidates.astype(np.int64), impressions.users[rows].astype(np.int64), times, clicks)


def in_seconds(times: TimeArray) -> NDArray[np.float64]:
    """Times of impressions in seconds: whole numbers beyond 10^14 are nanoseconds, as datetimes have them."""
    is_fine = times.dtype.kind == "i" and len(times) > 0 and bool(np.abs(times).max() > NANOSECONDS_FROM)
    return times / 1e9 if is_fine else times.astype(np.float64)
