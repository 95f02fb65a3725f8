"""Dates and times as text, in int64 nanoseconds since 1970 UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pyrec.errors import ConfigError

Int64Array: TypeAlias = npt.NDArray[np.int64]

NANOSECONDS = 10**9
"""In a second."""
OUTSIDE = "is outside 1677-09-21 to 2262-04-11, which int64 nanoseconds hold; drop the row, or give times as numbers"

_EPOCH: Final = datetime(1970, 1, 1)
_CHUNK_ROWS = 1 << 16
_LONGEST = 48
_MAX_SECONDS = (2**63 - 1) // NANOSECONDS
_ISO: Final = re.compile(
    r" *(?P<year>0{4})(?P<dash>[-/]?)(?P<month>00)(?P=dash)(?P<day>00)"
    r"(?:[Tt ] *(?P<hour>00):?(?P<minute>00)(?::?(?P<second>00)(?:[.,](?P<fraction>0{1,9}))?)?"
    r" ?(?P<zone>[Zz]|UTC|GMT|[+-](?P<zone_hour>00)(?::?(?P<zone_minute>00))?)?)? *"
)
_UNREAD = (
    "is no time in ISO 8601, such as 2024-03-01, 2024-03-01 12:30:00.5 or 2024-03-01T12:30:00+02:00; "
    "say how it is written: time_format='%d/%m/%Y', with the directives of datetime.strptime"
)
_ABSENT = "is no date of the calendar, or no time of a day"


class Bad(NamedTuple):
    """The first value that is no time.

    Attributes:
        position: where it is.
        reason: what follows the value in a message.
    """

    position: int
    reason: str


def text_times(
    texts: Sequence[str] | npt.NDArray[Any], time_format: str | None = None
) -> tuple[Int64Array, Bad | None]:
    """Reads dates and times.

    ISO 8601 is read as it stands: a date alone is its midnight; between date and time is T or a space; the time goes
    to the minute, the second or a fraction down to nanoseconds; then may come Z, UTC or an offset such as +02:00.
    Without an offset a time is taken as UTC.

    Args:
        texts: (n,) texts, a list or an array.
        time_format: how they are written, by the directives of ``datetime.strptime``; None for ISO 8601.

    Returns:
        int64 (n,), nanoseconds since 1970-01-01 UTC, and the first that could not be read, or None. Where one could
        not, the numbers mean nothing.

    Raises:
        ConfigError: ``time_format`` is no text, or no format that ``strptime`` knows.
    """
    if time_format is not None:
        return _by_format(list(texts), time_format)
    times = np.empty(len(texts), dtype=np.int64)
    for start in range(0, len(texts), _CHUNK_ROWS):
        chunk = np.array(texts[start : start + _CHUNK_ROWS], dtype=f"U{_LONGEST}")
        times[start : start + chunk.size], bad = _iso_times(chunk)
        if bad is not None:
            return times, Bad(start + bad.position, bad.reason)
    return times, None


def _iso_times(texts: npt.NDArray[np.str_]) -> tuple[Int64Array, Bad | None]:
    """Reads texts of one shape, such as ``0000-00-00``, together: the shape tells where each number is."""
    codes = texts.view(np.uint32).reshape(texts.size, _LONGEST)
    shapes = np.where((codes >= ord("0")) & (codes <= ord("9")), np.uint32(ord("0")), codes)
    times = np.zeros(texts.size, dtype=np.int64)
    left = np.arange(texts.size)
    bad: list[Bad] = []
    while left.size:
        shape = shapes[left[0]]
        alike = (shapes[left] == shape).all(axis=1)
        rows, left = left[alike], left[~alike]
        match = _ISO.fullmatch(shape.view(f"U{_LONGEST}")[0])
        if match is None or shape[-1]:
            bad.append(Bad(int(rows[0]), _UNREAD))
            break  # those before it are of the shapes that are done
        times[rows], wrong = _read_shape(codes[rows], match)
        bad += [Bad(int(rows[at]), reason) for at, reason in wrong]
    return times, min(bad, default=None)


def _read_shape(codes: npt.NDArray[np.uint32], match: re.Match[str]) -> tuple[Int64Array, list[Bad]]:
    def number(name: str, absent: int = 0) -> Int64Array:
        start, end = match.span(name)
        if start < 0:
            return np.full(len(codes), absent, dtype=np.int64)
        digits = codes[:, start:end].astype(np.int64) - ord("0")
        return np.asarray(digits @ 10 ** np.arange(end - start - 1, -1, -1, dtype=np.int64))

    month, day, hour, minute, second = map(number, ("month", "day", "hour", "minute", "second"))
    months = (number("year") - 1970) * 12 + month - 1
    first = months.view("datetime64[M]").astype("datetime64[D]")
    length = ((months + 1).view("datetime64[M]").astype("datetime64[D]") - first).astype(np.int64)
    absent = (
        (month < 1) | (month > 12) | (day < 1) | (day > length) | (hour > 23) | (minute > 59) | (second > 59)
    )
    zone_hour, zone_minute = number("zone_hour"), number("zone_minute")
    absent |= (zone_hour > 23) | (zone_minute > 59)
    west = match["zone"] is not None and match["zone"][0] == "-"
    offset = (zone_hour * 60 + zone_minute) * (-1 if west else 1)
    days = first.astype(np.int64) + day - 1
    seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second
    fraction = number("fraction") * 10 ** (9 - len(match["fraction"] or ""))
    outside = (np.abs(seconds) > _MAX_SECONDS) | (
        (seconds == _MAX_SECONDS) & (fraction > (2**63 - 1) % NANOSECONDS)
    )
    wrong = [
        Bad(int(flags.argmax()), reason)
        for flags, reason in ((absent, _ABSENT), (outside & ~absent, OUTSIDE))
        if flags.any()
    ]
    return np.where(outside, 0, seconds) * NANOSECONDS + fraction, wrong


def _by_format(texts: list[str], time_format: str) -> tuple[Int64Array, Bad | None]:
    _check_format(time_format)
    known: dict[str, int] = {}
    for at, text in enumerate(texts):
        if text not in known:
            try:
                known[text] = nanoseconds(datetime.strptime(text.strip(), time_format))
            except (ValueError, OverflowError):
                return np.zeros(len(texts), np.int64), Bad(at, f"is not written as {time_format!r}")
            if abs(known[text]) > 2**63 - 1:
                return np.zeros(len(texts), np.int64), Bad(at, OUTSIDE)
    return np.fromiter(map(known.__getitem__, texts), np.int64, len(texts)), None


def _check_format(time_format: str) -> None:
    if not isinstance(time_format, str):
        raise ConfigError(f"time_format is {time_format!r}; it is text, such as '%d/%m/%Y %H:%M'")
    try:
        datetime.strptime(datetime(2024, 3, 1, tzinfo=timezone.utc).strftime(time_format), time_format)
    except (ValueError, re.error) as error:
        raise ConfigError(
            f"time_format is {time_format!r}, which datetime.strptime does not read: {error}; try '%d/%m/%Y'"
        ) from None
    if "%" not in time_format:
        raise ConfigError(f"time_format is {time_format!r}, without a directive such as %Y; try '%d/%m/%Y'")


def nanoseconds(moment: datetime) -> int:
    """Returns a moment in nanoseconds since 1970 UTC; one without a zone is taken as UTC."""
    offset = moment.utcoffset()
    since = moment.replace(tzinfo=None) - _EPOCH
    if offset is not None:
        since -= offset
    return ((since.days * 86_400 + since.seconds) * 10**6 + since.microseconds) * 1000
