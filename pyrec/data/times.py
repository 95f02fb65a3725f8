"""Times however they are held, as int64 nanoseconds since 1970 UTC or as the numbers they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

import narwhals as nw
import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse

from pyrec.data.foreign import reading
from pyrec.data.time_text import OUTSIDE, Bad, Int64Array, nanoseconds, text_times
from pyrec.errors import DataError

TimeArray: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64]

_NANOSECONDS: Final = np.dtype("datetime64[ns]")
_LATEST: Final = np.datetime64(2**63 - 1, "ns")
_NUMBER: Final = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_UNITS: Final = {"s": 1e8, "ms": 1e11, "us": 1e14, "ns": 1e17}
_MISSING = "is missing; drop the row or fill it in"
_NO_TIME = "is no time; give datetimes, ISO 8601 text, or numbers such as seconds since 1970"
_BEYOND = "is beyond int64's 2**63 - 1; give the times in a coarser unit"


def as_times(values: Any, name: str = "times", time_format: str | None = None) -> TimeArray:
    """Returns times as numbers that can be compared.

    Numbers stay what they are, in the unit given. Datetimes and dates of the standard library, NumPy, pandas, Polars
    and PyArrow, periods (their start), and ISO 8601 text become nanoseconds since 1970-01-01 UTC. A zone or offset is
    honoured; a time without one is taken as UTC.

    Args:
        values: (n,) integers, finite floats, datetimes, dates, periods or text; a list, an array or a series.
        name: what messages call them.
        time_format: how text is written, by the directives of ``datetime.strptime``; None for ISO 8601 or numbers.

    Returns:
        int64 or float64 (n,).

    Raises:
        ConfigError: ``time_format`` is no format that ``strptime`` knows.
        DataError: not one-dimensional; or a value is missing, no time, or outside what int64 nanoseconds hold. The
            message names the first such position.
    """
    raw = _as_array(values, name)
    if raw.ndim != 1:
        raise DataError(f"{name} has shape {raw.shape}, but times are one-dimensional; try .ravel()")
    times, bad = _read(raw, time_format)
    if bad is not None:
        shown = raw[bad.position]
        shown = repr(shown[:40]) if isinstance(shown, str) else str(shown)
        raise DataError(f"{name}[{bad.position}] = {shown} {bad.reason}")
    return times


def _as_array(values: Any, name: str) -> npt.NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray):
        raise DataError(f"{name} is a masked array; drop what is masked and pass its .data")
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__iter__") or issparse(values):
        raise DataError(
            f"{name} is {type(values).__name__} {values!r:.40}, but a sequence of times is needed"
        )
    if hasattr(values, "to_series"):  # pandas' DatetimeIndex, whose elements are slow
        values = values.to_series()
    with reading(name):
        series = nw.from_native(values, series_only=True, pass_through=True)
        if isinstance(series, nw.Series):
            return _series_array(series)
        if isinstance(values, np.ndarray) or hasattr(values, "__array__"):
            return np.asarray(values)
        listed = list(values)
        array = np.empty(len(listed), dtype=object)
        array[:] = listed
        return array


def _series_array(series: nw.Series[Any]) -> npt.NDArray[Any]:
    if isinstance(series.dtype, nw.Datetime) and series.dtype.time_zone is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return np.asarray(series.to_numpy())


def _read(raw: npt.NDArray[Any], time_format: str | None) -> tuple[TimeArray, Bad | None]:
    kind = raw.dtype.kind
    if kind == "i":
        return raw.astype(np.int64), None
    if kind == "u":
        return raw.astype(np.int64), _first(raw > np.uint64(2**63 - 1), _BEYOND)
    if kind == "f":
        with np.errstate(over="ignore"):
            as_float = raw.astype(np.float64)
        return as_float, _first(~np.isfinite(as_float), "is not a finite number; drop it or fill it in")
    if kind == "M":
        return _datetimes(raw)
    if kind in "UT":
        return _texts(raw, time_format)
    if kind == "O":
        return _objects(raw, time_format)
    return np.zeros(raw.size, np.int64), _first(np.ones(raw.size, bool), f"({raw.dtype}) {_NO_TIME}")


def _first(flags: npt.NDArray[np.bool_], reason: str) -> Bad | None:
    return Bad(int(flags.argmax()), reason) if flags.any() else None


def _datetimes(times: npt.NDArray[np.datetime64]) -> tuple[Int64Array, Bad | None]:
    """Returns datetimes (n,) in nanoseconds; NumPy's cast wraps those that int64 cannot hold."""
    bad = [_first(np.isnat(times), _MISSING)]
    if np.can_cast(times.dtype, _NANOSECONDS):  # to a finer unit
        most = int(_LATEST.astype(times.dtype).astype(np.int64))
        bad.append(_first((np.abs(times.astype(np.int64)) > most) & ~np.isnat(times), OUTSIDE))
    values = times.astype(_NANOSECONDS).astype(np.int64)
    return values, min((one for one in bad if one is not None), default=None)


def _texts(raw: npt.NDArray[Any], time_format: str | None) -> tuple[TimeArray, Bad | None]:
    if time_format is None and raw.size and _NUMBER.fullmatch(raw[0]):
        odd = np.fromiter((_NUMBER.fullmatch(text) is None for text in raw), bool, raw.size)
        if odd.any():
            return np.zeros(raw.size), _first(odd, f"is no number, and {raw[0]!r} before it is one")
        whole = all(text.strip().lstrip("+-").isdigit() and -(2**63) <= int(text) < 2**63 for text in raw)
        return _read(np.array([int(text) if whole else float(text) for text in raw]), None)
    return text_times(raw, time_format)


def _objects(raw: npt.NDArray[np.object_], time_format: str | None) -> tuple[TimeArray, Bad | None]:
    plain = [value.as_py() if hasattr(value, "as_py") else value for value in raw]
    missing = np.fromiter(map(_is_missing, plain), bool, raw.size)
    if missing.any():
        return np.zeros(raw.size), _first(missing, _MISSING)
    kinds = set(map(type, plain))
    if all(issubclass(kind, str) for kind in kinds):
        return _texts(raw, time_format)
    if all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
        large = np.fromiter((not -(2**63) <= value < 2**63 for value in plain), bool, raw.size)
        if large.any():
            return np.zeros(raw.size), _first(large, _BEYOND)
        return np.array(plain, dtype=np.int64), None
    if all(issubclass(kind, int | float | Decimal | np.number) and kind is not bool for kind in kinds):
        return _read(np.array(plain, dtype=np.float64), None)
    return _moments(plain)


def _is_missing(value: object) -> bool:
    """Tells None, NaN, NaT and pandas' NA: what is not equal to itself, or does not say."""
    if value is None:
        return True
    try:
        return not isinstance(value, str) and not bool(value == value)
    except (TypeError, ValueError):  # pandas' NA
        return True


def _moments(values: list[Any]) -> tuple[Int64Array, Bad | None]:
    times = np.zeros(len(values), dtype=np.int64)
    held: dict[np.dtype[Any], list[int]] = {}
    moments = list(map(_moment, values))
    bad: list[Bad] = []
    for at, moment in enumerate(moments):
        if isinstance(moment, np.datetime64):
            held.setdefault(moment.dtype, []).append(at)
            continue
        since = None if moment is None else nanoseconds(moment)
        if since is None or abs(since) > 2**63 - 1:
            bad.append(Bad(at, f"({type(values[at]).__name__}) {_NO_TIME}" if since is None else OUTSIDE))
            break
        times[at] = since
    for dtype, rows in held.items():
        times[rows], wrong = _datetimes(np.array([moments[at] for at in rows], dtype))
        bad += [] if wrong is None else [Bad(rows[wrong.position], wrong.reason)]
    return times, min(bad, default=None)


def _moment(value: Any) -> datetime | np.datetime64 | None:
    if hasattr(value, "start_time"):  # pandas' Period
        value = value.start_time
    if hasattr(value, "to_datetime64"):  # pandas' Timestamp: to the nanosecond, in UTC
        value = value.to_datetime64()
    if isinstance(value, datetime | np.datetime64):
        return value
    return datetime.combine(value, time()) if isinstance(value, date) else None


class TimeSpan(NamedTuple):
    """The first and the last of some times, and what they seem to count.

    Attributes:
        unit: "s", "ms", "us" or "ns" since 1970 UTC, told by the size of the median; None if it is no such time.
        first: the first, in ISO 8601; a number if the unit is None.
        last: the last, likewise.
    """

    unit: str | None
    first: str | float
    last: str | float


def time_unit(times: TimeArray) -> str | None:
    """Tells by the median's size whether times (n,) count s, ms, us or ns since 1970; None if none of these.

    Seconds are taken to be from 10**8 (1973) to 10**10 (2286), and each finer unit a thousand times that.
    """
    if not times.size:
        return None
    middle = abs(float(np.partition(times, times.size // 2)[times.size // 2]))
    return next((unit for unit, low in _UNITS.items() if low <= middle < 100 * low), None)


def time_span(times: TimeArray) -> TimeSpan | None:
    """Returns the span of times (n,), or None if there are none."""
    if not times.size:
        return None
    unit = time_unit(times)
    ends = np.array([times.min(), times.max()])
    first, last = ends.tolist() if unit is None else _iso(ends // 1, unit)
    return TimeSpan(unit, first, last)


def _iso(times: npt.NDArray[Any], unit: str) -> list[str]:
    return [f"{time}Z" for time in times.astype(np.int64).astype(f"datetime64[{unit}]")]
