"""Raw ids (integers or text) mapped to internal ids, contiguous int32, and back."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse

from pyrec.data.foreign import reading
from pyrec.errors import ConfigError, DataError, UnknownIdError

Int32Array: TypeAlias = npt.NDArray[np.int32]
IdArray: TypeAlias = npt.NDArray[Any]
Unknown: TypeAlias = Literal["error", "skip"]
"""What is done about unknown raw ids."""

TEXT: Final = np.dtypes.StringDType()
"""Of text ids: each takes the memory of its own length, where fixed width would take that of the longest for all."""

MAX_ID_LENGTH = 1024
MAX_COUNT = 2**31 - 1
# A dict of the known text ids is made for queries from this share of their number up; fewer are searched for one by
# one, as NumPy's search would copy all known ids first.
_DICT_SHARE = 1 / 20
# A lookup table over the whole span of integer ids is used up to this many cells for each value.
_DENSE_SPAN = 4
_EXACT_FLOAT = 2.0**53
_AS_TEXT = "give such ids as text: .astype(str), or .cast(pl.String) in Polars"
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_ids(values: npt.ArrayLike | Sequence[object], name: str) -> IdArray:
    """Returns ids as an integer array or as an object array of ``str``.

    Args:
        values: (n,) integers, floats that are whole numbers, or text.
        name: what the message calls them.

    Raises:
        DataError: the array is not one-dimensional, or a value is missing (None, NaN, empty text) or is
            neither a whole number nor text; the message names the first such position.
    """
    if isinstance(values, np.ma.MaskedArray):
        _refuse(
            np.ma.getmaskarray(values).ravel(), values.data.ravel(), name, "is masked; drop the missing ids"
        )
        values = values.data
    raw = values if isinstance(values, np.ndarray) else _as_array(values, name)
    if raw.ndim != 1:
        raise DataError(f"{name} has shape {raw.shape}, but ids are one-dimensional; try .ravel()")
    kind = raw.dtype.kind
    if kind == "i" or (raw.size == 0 and kind in "fO"):
        return raw if kind == "i" else raw.astype(np.int64)
    if kind == "u":
        _refuse(raw > np.uint64(2**63 - 1), raw, name, f"is beyond int64's 2**63 - 1; {_AS_TEXT}")
        return raw.astype(np.int64)
    if kind == "f":
        return _check_floats(raw, name)
    if kind in "UT":
        return _check_text(raw.astype(object), name)
    if kind == "O":
        return _check_objects(raw, name)
    raise DataError(f"{name} has dtype {raw.dtype}, but ids are integers or text; {_AS_TEXT}")


def _as_array(values: Any, name: str) -> IdArray:
    if hasattr(values, "__array__"):
        with reading(name):
            return np.asarray(values)
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__") or issparse(values):
        raise DataError(
            f"{name} is {type(values).__name__} {values!r}, but a sequence of ids is needed: [{values!r}]"
        )
    # Through object, so that NumPy does not turn the integers of a mixed list into text.
    objects = np.empty(len(values), dtype=object)
    with reading(name):
        objects[:] = list(values)
    return objects


def _refuse(bad: npt.NDArray[np.bool_], values: IdArray, name: str, why: str) -> None:
    if bad.any():
        at = int(bad.argmax())
        raise DataError(f"{name}[{at}] = {values[at]!s} {why}")


def _check_floats(raw: IdArray, name: str) -> IdArray:
    _refuse(~np.isfinite(raw), raw, name, "is not an id; drop the rows whose id is missing")
    _refuse(raw != np.floor(raw), raw, name, "is not a whole number; ids are integers or text")
    _refuse(np.abs(raw) > _EXACT_FLOAT, raw, name, "is beyond 2**53, where floats skip integers; use int64")
    return raw.astype(np.int64)


def _check_objects(raw: IdArray, name: str) -> IdArray:
    kinds = set(map(type, raw))
    if all(issubclass(kind, str) for kind in kinds):
        return _check_text(raw, name)
    if all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
        try:
            return raw.astype(np.int64)
        except OverflowError:
            outside = np.fromiter((not -(2**63) <= value < 2**63 for value in raw), bool, raw.size)
            _refuse(outside, raw, name, f"is beyond int64; {_AS_TEXT}")
    if all(issubclass(kind, Decimal) for kind in kinds):
        return _check_decimals(raw, name)
    if all(issubclass(kind, int | float | np.integer | np.floating) and kind is not bool for kind in kinds):
        return _check_floats(raw.astype(np.float64), name)
    raise _mixture(raw, name)


def _check_decimals(raw: IdArray, name: str) -> IdArray:
    whole = np.fromiter((value.is_finite() and value == int(value) for value in raw), bool, raw.size)
    _refuse(~whole, raw, name, "is not a whole number; ids are integers or text")
    return _check_objects(np.array(list(map(int, raw)), dtype=object), name)


def _mixture(raw: IdArray, name: str) -> DataError:
    """Returns the error for ids where at least one is of another type."""
    wanted = str if isinstance(raw[0], str) else (int, np.integer)
    odd = np.fromiter(
        (not isinstance(value, wanted) or isinstance(value, bool) for value in raw), bool, raw.size
    )
    at = int(odd.argmax())
    found = f"{name}[{at}] = {raw[at]!r} ({type(raw[at]).__name__})"
    if at == 0 and raw[0] is not None:
        return DataError(
            f"{found} is neither an integer nor text; convert the ids: [str(value) for value in ...], or .decode() "
            "for bytes"
        )
    return DataError(
        f"{found} among ids that start with {raw[0]!r}; "
        "ids are all integers or all text and none is missing: drop the row or convert the column to text"
    )


def text_problem(text: str) -> str | None:
    """Returns why a text cannot be an id, or None if it can."""
    if not text:
        return "is empty text; drop the rows whose id is missing"
    if "\0" in text:
        return "holds a NUL character; clean the text first"
    if len(text) > MAX_ID_LENGTH:
        return (
            f"is longer than {MAX_ID_LENGTH} characters; is this the right column, and the right delimiter?"
        )
    if not text.isascii() and _SURROGATE.search(text):
        return "holds half a surrogate pair, which is no character; decode the text anew"
    return None


def _is_plainly_sound(raw: IdArray) -> bool:
    """Tells whether texts are ASCII without a problem, all at once: most ids are."""
    lengths = set(map(len, raw))
    if 0 in lengths or max(lengths, default=0) > MAX_ID_LENGTH:
        return False
    together = "".join(raw)
    return together.isascii() and "\0" not in together


def _check_text(raw: IdArray, name: str) -> IdArray:
    if _is_plainly_sound(raw):
        return raw
    problems = {text: why for text in set(raw) if (why := text_problem(text))}
    if problems:
        at = next(k for k, text in enumerate(raw) if text in problems)
        raise DataError(f"{name}[{at}] = {raw[at][:40]!r} {problems[raw[at]]}")
    return raw


def is_text(ids: IdArray) -> bool:
    """Tells whether ids are text; otherwise they are integers."""
    return bool(ids.dtype.kind == TEXT.kind)


def as_ids(values: IdArray) -> IdArray:
    """Returns checked ids (n,) as they are held: int64, or text of dtype `TEXT`."""
    return values.astype(np.int64 if values.dtype.kind == "i" else TEXT, copy=False)


def factorise(values: npt.ArrayLike | Sequence[object], name: str) -> tuple[Int32Array, IdArray]:
    """Numbers raw ids in ascending order.

    Integers whose span is at most a few times their count are numbered by a lookup table, without a sort.

    Args:
        values: (n,) raw ids; see `check_ids`.
        name: what messages call them.

    Returns:
        codes int32 (n,) and ids (m,) int64 or `TEXT`, ascending, with ``ids[codes] == values``.

    Raises:
        DataError: see `check_ids`; or there are more than 2**31 - 1 distinct ids.
    """
    raw = check_ids(values, name)
    codes, ids = _factorise_text(raw) if raw.dtype.kind == "O" else _factorise_integers(raw)
    if ids.size > MAX_COUNT:
        raise DataError(f"{name} holds {ids.size} distinct ids, but int32 numbers go to {MAX_COUNT}")
    return codes, ids


def _factorise_integers(raw: IdArray) -> tuple[Int32Array, IdArray]:
    if raw.size == 0:
        return np.empty(0, np.int32), np.empty(0, np.int64)
    low, high = int(raw.min()), int(raw.max())
    span = high - low + 1
    if span > _DENSE_SPAN * raw.size + 1024:
        ids, codes = np.unique(raw, return_inverse=True)
        return codes.astype(np.int32), ids.astype(np.int64)
    offset = raw if low == 0 else np.subtract(raw, low, dtype=np.int64)
    seen = np.zeros(span, dtype=bool)
    seen[offset] = True
    ids = np.flatnonzero(seen) + np.int64(low)
    if ids.size == span:
        return offset.astype(np.int32), ids
    return (np.cumsum(seen, dtype=np.int32) - np.int32(1))[offset], ids


def _factorise_text(raw: IdArray) -> tuple[Int32Array, IdArray]:
    ids = sorted(set(raw))
    number = {text: k for k, text in enumerate(ids)}
    codes = np.fromiter(map(number.__getitem__, raw), np.int32, raw.size)
    return codes, np.array(ids, dtype=TEXT)


def first_difference(one: IdArray, other: IdArray) -> int | None:
    """Returns the first internal id that two id maps give to different raw ids; None if they are the same.

    Args:
        one: (m,) int64 or text.
        other: (n,) likewise.
    """
    if one is other or np.array_equal(one, other):
        return None
    if is_text(one) != is_text(other):
        return 0
    n = min(one.size, other.size)
    differs = np.flatnonzero(one[:n] != other[:n])
    return int(differs[0]) if differs.size else n


class IdMap:
    """Looks up the internal ids of raw ids.

    Attributes:
        ids: (m,) int64 or text of dtype `TEXT`, unique, in the order of the internal ids.
    """

    def __init__(self, ids: IdArray, what: str) -> None:
        self.ids = ids
        self._what = what

    @cached_property
    def _order(self) -> npt.NDArray[np.intp] | None:
        """The ascending order of the ids, or None if they are ascending as they stand."""
        return None if bool(np.all(self.ids[1:] > self.ids[:-1])) else np.argsort(self.ids, kind="stable")

    @cached_property
    def _is_range(self) -> bool:
        ids = self.ids
        if ids.dtype.kind != "i" or ids.size == 0 or self._order is not None:
            return False
        return int(ids[-1]) - int(ids[0]) == ids.size - 1

    def encode(
        self, values: npt.ArrayLike | Sequence[object], name: str, unknown: Unknown = "error"
    ) -> Int32Array:
        """Returns the internal ids of raw ids.

        Args:
            values: (n,) raw ids.
            name: what the message calls them.
            unknown: "error", or "skip" to make unknown ids -1.

        Returns:
            int32 (n,).

        Raises:
            ConfigError: ``unknown`` is neither of the two.
            UnknownIdError: an id is unknown and ``unknown`` is "error".
            DataError: an id is malformed, or of the other type.
        """
        check_unknown(unknown)
        raw = check_ids(values, name)
        if raw.size == 0:
            return np.empty(0, np.int32)
        if (raw.dtype.kind == "O") != is_text(self.ids):
            have, got = ("text", "integers") if is_text(self.ids) else ("integers", "text")
            raise DataError(
                f"{name}[0] = {raw[:1].tolist()[0]!r}: the {self._what} ids are {have}, not {got}; convert {name}"
            )
        codes = self._find(raw)
        if unknown == "error" and (codes < 0).any():
            raise self._unknown(np.flatnonzero(codes < 0), raw, name)
        return codes

    def _find(self, raw: IdArray) -> Int32Array:
        """Returns the internal ids int32 (n,) of raw ids (n,) of the right type; -1 for an unknown one."""
        if is_text(self.ids):
            return np.fromiter(self._find_text(raw), np.int32, raw.size)
        if self._is_range:
            low, high = self.ids[0], self.ids[-1]
            codes = np.full(raw.size, -1, dtype=np.int64)
            np.subtract(raw, low, out=codes, where=(raw >= low) & (raw <= high))
            return codes.astype(np.int32)
        if not self.ids.size:
            return np.full(raw.size, -1, dtype=np.int32)
        at = np.searchsorted(self.ids, raw, sorter=self._order)
        found = np.minimum(at, self.ids.size - 1)
        if self._order is not None:
            found = self._order[found]
        return np.where(self.ids[found] == raw, found, -1).astype(np.int32)

    def _find_text(self, raw: IdArray) -> Iterator[int]:
        ids = self.ids
        if raw.size >= _DICT_SHARE * ids.size:
            number = {text: at for at, text in enumerate(ids.tolist())}
            yield from (number.get(text, -1) for text in raw)
            return
        order = range(ids.size) if self._order is None else self._order
        for text in raw:
            at = bisect_left(order, text, key=ids.__getitem__)
            found = int(order[at]) if at < ids.size else -1
            yield found if found >= 0 and ids[found] == text else -1

    def _unknown(self, positions: npt.NDArray[np.int64], raw: IdArray, name: str) -> UnknownIdError:
        ids = dict.fromkeys(raw[positions].tolist())
        unknown = np.array(list(ids), dtype=self.ids.dtype)
        first, *others = ids
        more = f"; {len(others)} more unknown: {_some(others)}" if others else ""
        message = (
            f"{name}[{positions[0]}] = {first!r} is not one of the {self.ids.size} known {self._what} "
            f"ids ({_some(self.ids[:4].tolist())}){more}; leave out what is unknown, by unknown='skip' where "
            "that is an argument or by this error's positions, or add its interactions to the data"
        )
        return UnknownIdError(message, self._what, unknown, positions.astype(np.int64))


def check_unknown(unknown: object) -> None:
    """Raises ConfigError for anything but "error" and "skip"."""
    if not isinstance(unknown, str) or unknown not in ("error", "skip"):
        raise ConfigError(f"unknown is {unknown!r}; it is 'error' or 'skip'")


def _some(ids: Sequence[object]) -> str:
    """Returns the first three of the ids, and dots if there are more."""
    return ", ".join([*(f"{raw!r:.60}" for raw in ids[:3]), *(["..."] if len(ids) > 3 else [])])
