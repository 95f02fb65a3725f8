"""What a caller asks of a news model: the time, the candidates, and lists as impressions that nobody clicked."""

from __future__ import annotations

import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pyrec._checks import check_finite
from pyrec.data.impressions import Impressions
from pyrec.data.ragged import Ragged
from pyrec.errors import DataError
from pyrec.models.news.known import Known
from pyrec.nn.counters import DAY

ALIVE: Final = 3 * DAY
"""How long after its last showing an article is a candidate that nobody named."""


def moment(at: Any | None, known: Known) -> float | None:
    """The time of asking in seconds since 1970; None where nobody counts time.

    Raises:
        DataError: It is no time.
    """
    latest = None if known.counters is None else known.counters.latest
    if at is None:
        return latest
    if isinstance(at, datetime.datetime):
        return (at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)).timestamp()
    if isinstance(at, np.datetime64):
        return float(at.astype("datetime64[us]").astype(np.int64)) / 1e6
    return float(check_finite("at", at, DataError))


def alive(known: Known, time: float | None) -> NDArray[np.int32]:
    """The articles that are candidates where none are named, (m,): see `NewsAsking.recommend`."""
    n = len(known.articles)
    if time is None or known.counters is None:
        return np.arange(n, dtype=np.int32)
    from_time = time - ALIVE
    published = known.counters.published
    fresh = (known.counters.last_shown >= from_time) | ((published >= from_time) & (published <= time))
    fresh[known.num_trained :] = True
    return np.flatnonzero(fresh).astype(np.int32)


def list_impressions(
    known: Known,
    histories: Ragged,
    readers: NDArray[np.int32],
    candidates: NDArray[np.int32],
    time: float | None,
) -> Impressions:
    """An impression for each history, of the same candidates, at one time."""
    n, width = len(histories), len(candidates)
    asked = Ragged(
        np.arange(n + 1, dtype=np.int64) * width, np.tile(candidates, n).astype(np.int32), len(known.articles)
    )
    times = None if time is None else np.full(n, time)
    return Impressions(readers, asked, known.reader_ids, known.articles.ids, None, times, histories)
