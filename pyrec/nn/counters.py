"""What is known of candidates before an impression: clicks and shows that decay, and how old an article is.

Three kinds of keys are counted: the article; the reader and the article; the reader and the article's category. An
impression counts for later ones alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
Events: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]
"""Keys, times and amounts."""
NANOSECONDS_FROM: Final = 10**14


@dataclass(frozen=True)
class Asked:
    """Candidates that are asked about.

    Attributes:
        articles: (n,) int64.
        readers: (n,) int64; -1 where nobody knows.
        times: (n,) float64, seconds.
        clicks: (n,) bool; False where nobody knows.
    """

    articles: NDArray[np.int64]
    readers: NDArray[np.int64]
    times: NDArray[np.float64]
    clicks: NDArray[np.bool_]

    @classmethod
    def of(cls, impressions: Impressions) -> Asked:
        """The candidates of impressions, in their order.

        Raises:
            DataError: There are no times.
        """
        if impressions.times is None:
            raise DataError(
                "the impressions have no times, so nobody knows what was clicked before; give times, or "
                "popularity = None"
            )
        rows, candidates = impressions.candidates.rows, impressions.candidates.indices
        clicks = np.zeros(candidates.size, bool) if impressions.clicks is None else impressions.clicks
        times = in_seconds(impressions.times)[rows]
        return cls(candidates.astype(np.int64), impressions.users[rows].astype(np.int64), times, clicks)

    @classmethod
    def joined(cls, parts: Sequence[Asked]) -> Asked:
        """Some candidates and then others."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ASKED))

    def by_time(self) -> tuple[Asked, NDArray[np.int64]]:
        """The same in the order of time, and which of these each one is."""
        order = np.argsort(self.times, kind="stable")
        return Asked(*(getattr(self, name)[order] for name in ASKED)), order


ASKED: Final = ("articles", "readers", "times", "clicks")


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
        asked = np.unique(keys)
        found, state = self._count(asked, keys, times, amounts)
        return found, self._with(asked, state)

    def find(
        self, keys: NDArray[np.int64], times: NDArray[np.float64], amounts: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What `count` says that each event finds."""
        return self._count(np.unique(keys), keys, times, amounts)[0]

    def _count(
        self,
        asked: NDArray[np.int64],
        keys: NDArray[np.int64],
        times: NDArray[np.float64],
        amounts: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], DecayedState]:
        """What each event finds, and the state of the distinct keys after all of them."""
        codes = np.searchsorted(asked, keys).astype(np.int32)
        given = tensor_of(codes), tensor_of(times), tensor_of(amounts)
        found, state = decayed_counts(*given, self.half_lives, len(asked), self._state_of(asked))
        return found.numpy(), state

    def _state_of(self, keys: NDArray[np.int64]) -> DecayedState | None:
        """The state of some keys, ascending; new ones had no event."""
        if self.state is None:
            return None
        place, there = self._places(keys)
        rows, at, count = tensor_of(place[there]), tensor_of(np.flatnonzero(there)), len(keys)
        values, pending, times, half_lives = self.state
        return DecayedState(
            values.new_zeros(count, *values.shape[1:]).index_copy_(0, at, values[rows]),
            pending.new_zeros(count, *pending.shape[1:]).index_copy_(0, at, pending[rows]),
            times.new_full((count,), -np.inf).index_copy_(0, at, times[rows]),
            half_lives,
        )

    def _with(self, keys: NDArray[np.int64], state: DecayedState) -> Tally:
        """The tally with the state of some keys, ascending, in the place of theirs; new ones are put in order."""
        if self.state is None:
            return replace(self, keys=keys, state=state)
        place, there = self._places(keys)
        new = place[~there]
        at = tensor_of(place + np.cumsum(~there) - ~there)

        def merged(old: Tensor, fresh: Tensor) -> Tensor:
            return tensor_of(np.insert(old.numpy(), new, 0, axis=0)).index_copy_(0, at, fresh)

        joined = DecayedState(
            merged(self.state.values, state.values),
            merged(self.state.pending, state.pending),
            merged(self.state.times, state.times),
            state.half_lives,
        )
        return replace(self, keys=np.insert(self.keys, new, keys[~there]), state=joined)

    def _places(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where some keys, ascending, are among these or would be, and whether they are there."""
        place = np.searchsorted(self.keys, keys)
        there = place < len(self.keys)
        there[there] = self.keys[place[there]] == keys[there]
        return place, there

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
        now, order = asked.by_time()
        counted = {name: getattr(self, name).count(*given) for name, given in self._events(now).items()}
        first, latest = self._first_shown(now), max(self.latest, now.times.max(initial=-np.inf))
        tallies = {name: tally for name, (_, tally) in counted.items()}
        after = replace(self, first_shown=first, latest=float(latest), **tallies)
        return self._inputs(now, {name: found for name, (found, _) in counted.items()}, first, order), after

    def find(self, asked: Asked) -> NDArray[np.float32]:
        """What `before` says is known of each candidate, (n, NUM_COUNTERS) float32, and nothing else.

        Raises:
            DataError: As there.
        """
        now, order = asked.by_time()
        found = {name: getattr(self, name).find(*given) for name, given in self._events(now).items()}
        return self._inputs(now, found, self._first_shown(now), order)

    def _events(self, asked: Asked) -> dict[str, Events]:
        """What each tally is to count.

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
        known = asked.readers >= 0
        readers, articles = asked.readers[known] * KEYS_A_READER, asked.articles[known]
        of_readers = asked.times[known], amounts[known]
        return {
            "of_article": (asked.articles, asked.times, amounts),
            "of_pair": (readers + articles, *of_readers),
            "of_taste": (readers + self.category[articles] + 1, *of_readers),
        }

    def _first_shown(self, asked: Asked) -> NDArray[np.float64]:
        first: NDArray[np.float64] = self.first_shown.copy()
        np.minimum.at(first, asked.articles, asked.times)
        return first

    def _inputs(
        self,
        asked: Asked,
        found: dict[str, NDArray[np.float32]],
        first: NDArray[np.float64],
        order: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """The counters of each candidate, those asked in the order of time; back in the order given."""
        n = len(asked.articles)
        born = self.published[asked.articles]
        born = np.where(np.isnan(born), first[asked.articles], born)
        age = np.maximum(asked.times - born, 0) / MINUTE
        of_reader = np.zeros((n, 4), np.float32)
        of_reader[asked.readers >= 0] = np.concatenate([found["of_pair"], found["of_taste"]], axis=1)[:, :, 0]
        by_article = found["of_article"].reshape(n, 2 * len(HALF_LIVES))
        columns: list[NDArray[Any]] = [by_article, of_reader, age[:, None]]
        values = np.empty((n, NUM_COUNTERS), np.float32)
        values[order] = np.log1p(np.concatenate(columns, axis=1, dtype=np.float32))
        return values

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
    parts = [Asked.of(log) for log in logs]
    found, after = counters.before(Asked.joined(parts))
    return np.split(found, np.cumsum([len(part.times) for part in parts])[:-1]), after


def in_seconds(times: TimeArray) -> NDArray[np.float64]:
    """Times of impressions in seconds: whole numbers beyond 10^14 are nanoseconds, as datetimes have them."""
    is_fine = times.dtype.kind == "i" and len(times) > 0 and bool(np.abs(times).max() > NANOSECONDS_FROM)
    return times / 1e9 if is_fine else times.astype(np.float64)
