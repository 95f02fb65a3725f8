"""Parts of impressions that metrics are shown for: by history, age of what was clicked, new or known, and time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pyrec.data.ids import IdArray, IdMap, is_text
from pyrec.data.impressions import Impressions
from pyrec.data.news import News
from pyrec.data.times import TimeArray, time_unit
from pyrec.errors import DataError

Mask = NDArray[np.bool_]
Parts = list[tuple[str, Mask]]

HISTORY_BOUNDS: Final = (0, 5, 20, 50)
"""The largest number of clicks of each group but the last."""

AGES: Final = {"1 hour": 3_600.0, "6 hours": 21_600.0, "1 day": 86_400.0, "3 days": 259_200.0}
"""The upper end of each group but the last, in seconds."""

MOST_DAYS: Final = 31
"""Beyond, days are not told apart."""

_SECONDS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def impression_groups(
    impressions: News | Impressions, train: News | Impressions | None = None
) -> dict[str, Parts]:
    """Return labelled masks, bool (num_impressions,), by what divides the impressions.

    - ``history``: how many clicks the history has.
    - ``age``: seconds from an article's publication to the impression, of the youngest article clicked.
    - ``article``: whether training showed all articles clicked, or some are new.
    - ``reader``: whether training has impressions of the reader.
    - ``hour``: of the day, UTC, in fours.
    - ``day``: UTC.

    Args:
        impressions: With clicks.
        train: What a model was fitted on; its ids may be numbered otherwise.

    Raises:
        DataError: If ``train`` is neither news nor impressions.
    """
    shown = impressions.impressions if isinstance(impressions, News) else impressions
    groups: dict[str, Parts] = {}
    if shown.histories is not None:
        groups["history"] = _by_history(shown)
    times = None if shown.times is None else _seconds(shown.times)
    if times is not None:
        if isinstance(impressions, News) and impressions.articles.published is not None:
            groups["age"] = _by_age(shown, times, impressions.articles.published)
        groups["hour"] = _by_hour(times)
        groups["day"] = _by_day(times)
    if train is not None:
        groups |= _by_training(shown, train)
    return {by: parts for by, parts in groups.items() if parts}


def _seconds(times: TimeArray) -> NDArray[np.float64] | None:
    """Times in seconds since 1970; None where they are no such times."""
    unit = time_unit(times) if times.size else None
    return None if unit is None else times.astype(np.float64) * _SECONDS[unit]


def _by_history(impressions: Impressions) -> Parts:
    assert impressions.histories is not None
    lengths = impressions.histories.lengths
    lengths = lengths if impressions.history_rows is None else lengths[impressions.history_rows]
    parts: Parts = [("no clicks", lengths == 0)]
    for low, high in pairwise(HISTORY_BOUNDS):
        parts.append((f"{low + 1} to {high} clicks", (lengths > low) & (lengths <= high)))
    return [*parts, (f"more than {HISTORY_BOUNDS[-1]} clicks", lengths > HISTORY_BOUNDS[-1])]


def _clicked(impressions: Impressions) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The impression and the item of each click."""
    assert impressions.clicks is not None
    candidates = impressions.candidates
    return candidates.rows[impressions.clicks], candidates.indices[impressions.clicks]


def _by_age(impressions: Impressions, times: NDArray[np.float64], published: NDArray[np.float64]) -> Parts:
    rows, items = _clicked(impressions)
    ages = times[rows] - published[items]
    known = ~np.isnan(ages)
    youngest = np.full(len(impressions), np.inf)
    np.minimum.at(youngest, rows[known], ages[known])
    known_ages, names = np.isfinite(youngest), list(AGES)
    labels = [
        f"less than {names[0]}",
        *(f"{low} to {high}" for low, high in pairwise(names)),
        f"{names[-1]} or more",
    ]
    group = np.searchsorted(
        list(AGES.values()), youngest, side="right"
    )  # an article of the future is a new one
    parts = [(label, known_ages & (group == at)) for at, label in enumerate(labels)]
    return [*parts, ("unknown", ~known_ages)]


def _by_hour(times: NDArray[np.float64]) -> Parts:
    hours = times // 3_600 % 24
    return [
        (f"{first:02d} to {first + 4:02d} h", (hours >= first) & (hours < first + 4))
        for first in range(0, 24, 4)
    ]


def _by_day(times: NDArray[np.float64]) -> Parts:
    days = (times // 86_400).astype(np.int64)
    distinct = np.unique(days)
    if len(distinct) > MOST_DAYS:
        return []
    return [(str(np.datetime64(int(day), "D")), days == day) for day in distinct]


def _by_training(impressions: Impressions, train: News | Impressions) -> dict[str, Parts]:
    seen = train.impressions if isinstance(train, News) else train
    if not isinstance(seen, Impressions):
        raise DataError(f"train is a {type(train).__name__}, but News or Impressions are needed")
    was_shown = _known(impressions.item_ids, seen.item_ids, seen.candidates.indices, "item")
    rows, items = _clicked(impressions)
    any_new = np.zeros(len(impressions), dtype=bool)
    any_new[rows[~was_shown[items]]] = True
    was_there = _known(impressions.user_ids, seen.user_ids, seen.users[seen.users >= 0], "user")
    known_reader = np.append(was_there, False)[impressions.users]
    return {
        "article": [("shown in training", ~any_new), ("new", any_new)],
        "reader": [("known from training", known_reader), ("new or unknown", ~known_reader)],
    }


def _known(ids: IdArray, train_ids: IdArray, occurring: NDArray[Any], kind: str) -> Mask:
    """Which of the ids (n,) occur in training, where they may be numbered otherwise."""
    occurs = np.zeros(len(train_ids) + 1, dtype=bool)
    occurs[occurring] = True
    if ids is train_ids:
        return occurs[:-1]
    if not len(ids) or not len(train_ids) or is_text(ids) != is_text(train_ids):
        return np.zeros(len(ids), dtype=bool)
    occurs[-1] = False
    return np.asarray(occurs[IdMap(train_ids, kind).encode(ids, "ids", "skip")])
