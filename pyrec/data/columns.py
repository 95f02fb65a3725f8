"""Columns that are read in blocks: raw ids and numbers, gathered with little memory."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pyrec.data.ids import IdArray, Int32Array, factorise, text_problem


class IdColumn(Protocol):
    """Raw ids, block after block."""

    def append(self, block: npt.NDArray[Any]) -> bool:
        """Adds a block (n,) and tells whether all of it can be ids."""

    def finish(self) -> tuple[Int32Array, IdArray]:
        """Returns the codes int32 (n,) and the ids (m,), ascending."""


class IntegerColumn:
    """Integer ids."""

    def __init__(self) -> None:
        self._blocks: list[npt.NDArray[np.int64]] = []

    def append(self, block: npt.NDArray[np.int64]) -> bool:
        """Adds int64 (n,)."""
        self._blocks.append(block.copy())
        return True

    def finish(self) -> tuple[Int32Array, IdArray]:
        """Returns the codes int32 (n,) and the ids int64 (m,), ascending."""
        return factorise(np.concatenate(self._blocks), "ids")


class TextColumn:
    """Text ids; each distinct text is kept once."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._blocks: list[Int32Array] = []

    def append(self, block: npt.NDArray[np.object_]) -> bool:
        """Adds str (n,) and tells whether all of it can be ids."""
        number = self._number
        fresh = set(block).difference(number)
        if any(map(text_problem, fresh)):
            return False
        number.update(zip(fresh, range(len(number), len(number) + len(fresh)), strict=True))
        self._blocks.append(np.fromiter(map(number.__getitem__, block), np.int32, block.size))
        return True

    def finish(self) -> tuple[Int32Array, IdArray]:
        """Returns the codes int32 (n,) and the ids (m,) text, ascending."""
        ids = np.array(list(self._number), dtype=str)
        order = np.argsort(ids)
        rank = np.empty(order.size, dtype=np.int32)
        rank[order] = np.arange(order.size, dtype=np.int32)
        return rank[np.concatenate(self._blocks)], ids[order]


class NumberColumn:
    """Finite numbers."""

    def __init__(self, dtype: type[np.float32] | type[np.float64]) -> None:
        self._dtype = dtype
        self._blocks: list[npt.NDArray[Any]] = []

    def append(self, block: npt.NDArray[np.float64]) -> bool:
        """Adds float64 (n,) and tells whether all of it is finite in this column's type."""
        with np.errstate(over="ignore"):
            values = block.astype(self._dtype)
        self._blocks.append(values)
        return bool(np.isfinite(values).all())

    def finish(self) -> npt.NDArray[Any]:
        """Returns the numbers (n,)."""
        return np.concatenate(self._blocks)
