"""Columns that are read in blocks: raw ids, numbers and times, gathered with little memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from pyrec.data.ids import MAX_COUNT, TEXT, IdArray, Int32Array, factorise, text_problem
from pyrec.data.read.fields import Fields, integers, numbers, texts
from pyrec.data.time_text import text_times

Int64Array = npt.NDArray[np.int64]


class IdColumn(Protocol):
    """Raw ids, block after block."""

    def append(self, fields: Fields) -> bool:
        """Adds n fields and tells whether all of them can be ids."""

    def finish(self) -> tuple[Int32Array, IdArray]:
        """Returns the codes int32 (n,) and the ids (m,), ascending."""


class IntegerColumn:
    """Integer ids.

    Attributes:
        padded: how many have leading zeros.
    """

    def __init__(self, is_strict: bool) -> None:
        self._blocks: list[Int64Array] = []
        self._is_strict = is_strict
        self.padded = 0

    def append(self, fields: Fields) -> bool:
        """Adds n fields and tells whether all are integers; if strict, plain ones."""
        values, good, plain = integers(fields)
        self._blocks.append(values)
        self.padded += int(np.count_nonzero(good & ~plain))
        return bool((plain if self._is_strict else good).all())

    def finish(self) -> tuple[Int32Array, IdArray]:
        """Returns the codes int32 (n,) and the ids int64 (m,), ascending."""
        return factorise(np.concatenate(self._blocks), "ids")


class TextColumn:
    """Text ids; each distinct text is kept once."""

    def __init__(self, oddity: Callable[[str], str | None]) -> None:
        self._oddity = oddity
        self._number: dict[bytes, int] = {}
        self._blocks: list[Int32Array] = []

    def append(self, fields: Fields) -> bool:
        """Adds n fields and tells whether all of them can be ids."""
        number = self._number
        block = texts(fields)
        fresh = set(block).difference(number)
        if any(self._is_bad(text.decode()) for text in fresh):
            return False
        number.update(zip(fresh, range(len(number), len(number) + len(fresh)), strict=True))
        self._blocks.append(np.fromiter(map(number.__getitem__, block), np.int32, len(block)))
        return True

    def _is_bad(self, text: str) -> bool:
        return text_problem(text) is not None or self._oddity(text) is not None

    def finish(self) -> tuple[Int32Array, IdArray]:
        """Returns the codes int32 (n,) and the ids (m,) text, ascending."""
        ids = np.array([text.decode() for text in self._number], dtype=TEXT)
        order = np.argsort(ids)
        rank = np.empty(order.size, dtype=np.int32)
        rank[order] = np.arange(order.size, dtype=np.int32)
        return rank[np.concatenate(self._blocks)], ids[order]


class NumberColumn:
    """Finite numbers in float32, of at least a bound."""

    def __init__(self, point: bytes, least: float = -np.inf) -> None:
        self._point = point
        self._least = least
        self._blocks: list[npt.NDArray[np.float32]] = []

    def append(self, fields: Fields) -> bool:
        """Adds n fields and tells whether all are finite numbers in float32, and none is below the bound."""
        values, good = numbers(fields, self._point)
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float32)
        self._blocks.append(rounded)
        return bool(good.all() and np.isfinite(rounded).all() and (values >= self._least).all())

    def finish(self) -> npt.NDArray[np.float32]:
        """Returns the numbers float32 (n,)."""
        return np.concatenate(self._blocks)


class PositionColumn:
    """Whole numbers from 0 in int32."""

    def __init__(self) -> None:
        self._blocks: list[Int32Array] = []

    def append(self, fields: Fields) -> bool:
        """Adds n fields and tells whether all of them are positions."""
        values, good, _ = integers(fields)
        self._blocks.append(values.astype(np.int32))
        return bool((good & (values >= 0) & (values <= MAX_COUNT)).all())

    def finish(self) -> Int32Array:
        """Returns the positions int32 (n,)."""
        return np.concatenate(self._blocks)


class TimeColumn:
    """Times: integers as they are, other numbers in float64, text in int64 nanoseconds since 1970."""

    def __init__(self, kind: Literal["number", "text"], time_format: str | None) -> None:
        self._is_text = kind == "text"
        self._format = time_format
        self._blocks: list[npt.NDArray[Any]] = []

    def append(self, fields: Fields) -> bool:
        """Adds n fields and tells whether all are times."""
        if self._is_text:
            times, bad = text_times([text.decode() for text in texts(fields)], self._format)
            self._blocks.append(times)
            return bad is None
        values, good, _ = integers(fields)
        if good.all():
            self._blocks.append(values)
            return True
        as_float, good = numbers(fields)
        self._blocks.append(as_float)
        return bool(good.all())

    def finish(self) -> npt.NDArray[Any]:
        """Returns the times (n,); int64 if all blocks are."""
        return np.concatenate(self._blocks)
