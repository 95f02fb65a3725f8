"""Rows of different lengths: histories, candidates, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse

from pyrec._checks import check_count
from pyrec.data.foreign import reading
from pyrec.data.ids import MAX_COUNT, Int32Array
from pyrec.data.rows import as_list, refuse_masked
from pyrec.data.sort import pair_order
from pyrec.data.sparse import csr_parts
from pyrec.errors import DataError

Positions: TypeAlias = slice | npt.NDArray[np.integer] | npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class Ragged:
    """Rows of column indices, each row in the order given and with its repeats.

    Row q is ``indices[indptr[q]:indptr[q + 1]]``. Build one with `from_lists` or from arrays, which are checked. The
    arrays are shared, not copied: do not write to them.

    Attributes:
        indptr: int64 (num_rows + 1,), from 0, never falling.
        indices: int32 (n,), each in [0, num_columns).
        num_columns: what the indices count: items, or words of a vocabulary.

    Raises:
        DataError: an array has another dtype or shape, ``indptr`` falls or does not end at n, or an index is out of
            range; the message names the position.
    """

    indptr: npt.NDArray[np.int64]
    indices: Int32Array
    num_columns: int

    def __post_init__(self) -> None:
        _check_dtype("indptr", self.indptr, np.int64)
        _check_dtype("indices", self.indices, np.int32)
        check_count("num_columns", self.num_columns, 0, MAX_COUNT, DataError)
        _check_indptr(self.indptr, self.indices.size)
        indices = self.indices
        if indices.size and (indices.min() < 0 or indices.max() >= self.num_columns):
            at = int(((indices < 0) | (indices >= self.num_columns)).argmax())
            raise DataError(
                f"indices[{at}] = {indices[at]}, but there are {self.num_columns} columns; number them from 0"
            )

    @classmethod
    def from_lists(cls, rows: Sequence[Any], num_columns: int, name: str = "rows") -> Ragged:
        """Builds rows from a list or an array of numbers each.

        Args:
            rows: for each row whole numbers in [0, num_columns).
            num_columns: the indices are below it.
            name: what messages call the rows.

        Raises:
            DataError: a row is no list of whole numbers, or a number is out of range; the message names both.
        """
        check_count("num_columns", num_columns, 0, MAX_COUNT, DataError)
        listed = as_list(rows, name, "a list of numbers for each row")
        arrays = [_whole_numbers(row, f"{name}[{at}]", num_columns) for at, row in enumerate(listed)]
        indptr = np.zeros(len(arrays) + 1, dtype=np.int64)
        np.cumsum([len(array) for array in arrays], out=indptr[1:])
        return cls(indptr, np.concatenate([np.empty(0, np.int32), *arrays]), num_columns)

    @classmethod
    def from_csr(cls, matrix: Any, name: str = "matrix") -> Ragged:
        """Builds rows of the columns that a SciPy sparse matrix (num_rows, num_columns) has stored in each.

        Args:
            matrix: CSR or another sparse format.
            name: what messages call it.

        Raises:
            DataError: not a sparse matrix, or its arrays are malformed.
        """
        rows, columns, _, (num_rows, num_columns) = csr_parts(matrix, name)
        return cls(_indptr(rows, num_rows), columns, num_columns)

    def __len__(self) -> int:
        return self.indptr.size - 1

    def __repr__(self) -> str:
        return f"Ragged({len(self)} rows, {self.indices.size} entries, {self.num_columns} columns)"

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64 (num_rows,): how many entries each row has."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> Int32Array:
        """int32 (n,): the row of each entry, ascending."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """int64 (n,): the place of each entry in its row, from 0."""
        return np.arange(self.indices.size) - np.repeat(self.indptr[:-1], self.lengths)

    def row(self, at: int) -> Int32Array:
        """Returns a row's entries, int32 (length,), a view.

        Raises:
            DataError: there is no such row.
        """
        if not 0 <= at < len(self):
            raise DataError(f"row {at} of {len(self)} rows; they are numbered from 0")
        return self.indices[self.indptr[at] : self.indptr[at + 1]]

    def __getitem__(self, positions: Positions) -> Ragged:
        """Returns some rows.

        Args:
            positions: a slice, numbers of rows (m,) in any order, or a mask bool (num_rows,).

        Raises:
            DataError: a number is out of range, or the mask has another length.
        """
        chosen = row_numbers(positions, len(self))
        indptr = np.append(0, np.cumsum(self.lengths[chosen]))
        return Ragged(indptr, self.indices[self.slots(chosen)], self.num_columns)

    def slots(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Returns where the entries of some rows are in ``indices``, row by row.

        Args:
            rows: (m,) numbers of rows in any order.
        """
        lengths = self.lengths[rows]
        shift = self.indptr[rows] - (np.cumsum(lengths) - lengths)
        slots: npt.NDArray[np.int64] = np.arange(lengths.sum(), dtype=np.int64) + np.repeat(shift, lengths)
        return slots

    def entries(self, keep: npt.NDArray[np.bool_]) -> Ragged:
        """Returns the same rows with some of their entries.

        Args:
            keep: bool (n,), True for what stays.
        """
        if keep.dtype != np.bool_ or keep.shape != self.indices.shape:
            raise DataError(
                f"keep has dtype {keep.dtype} and shape {keep.shape}; bool {self.indices.shape} is needed"
            )
        left = np.append(0, np.cumsum(keep, dtype=np.int64))
        return Ragged(left[self.indptr], self.indices[keep], self.num_columns)

    def last(self, most: int) -> Ragged:
        """Returns the last ``most`` entries of each row, all of those that have no more."""
        left = np.repeat(self.indptr[1:], self.lengths) - np.arange(self.indices.size)
        return self.entries(left <= most)

    def joined(self, other: Ragged) -> Ragged:
        """Returns these rows and then others, of as many columns."""
        indptr = np.concatenate([self.indptr, self.indptr[-1] + other.indptr[1:]])
        return Ragged(indptr, np.concatenate([self.indices, other.indices]), self.num_columns)

    def to_lists(self) -> list[list[int]]:
        """Returns each row as a list."""
        return [self.indices[a:b].tolist() for a, b in zip(self.indptr[:-1], self.indptr[1:], strict=True)]

    def csr(self) -> csr_array:
        """Returns the rows as sets: float32 ones (num_rows, num_columns), ascending, each index once."""
        return self._csr

    @cached_property
    def _csr(self) -> csr_array:
        rows, indices, shape = self.rows, self.indices, (len(self), self.num_columns)
        order = pair_order(rows, indices, shape, None)
        indptr = self.indptr
        if order is not None:
            rows, indices = rows[order], indices[order]
            indptr = _indptr(rows, len(self))
        matrix = csr_array((np.ones(indices.size, np.float32), indices, indptr), shape=shape)
        matrix.has_sorted_indices = True
        return matrix


def as_ragged(name: str, rows: Any, shape: tuple[int, int]) -> Ragged:
    """Returns rows, given as such or as a sparse matrix, of a shape (num_rows, num_columns).

    Raises:
        DataError: another type, another shape, or a malformed matrix; the message names the argument.
    """
    is_sparse: bool = issparse(rows)
    if not isinstance(rows, Ragged) and not is_sparse:
        raise DataError(
            f"{name} is a {type(rows).__name__}, but Ragged or a SciPy CSR matrix is needed, a row a user"
        )
    found: tuple[int, ...] = (len(rows), rows.num_columns) if isinstance(rows, Ragged) else tuple(rows.shape)
    if found != shape:
        raise DataError(
            f"{name} has shape {found}, but {shape} is needed: a row for each user, a column for each item"
        )
    return rows if isinstance(rows, Ragged) else Ragged.from_csr(rows, name)


def _indptr(rows: Int32Array, num_rows: int) -> npt.NDArray[np.int64]:
    """Returns the row pointers int64 (num_rows + 1,) of entries whose rows (n,) ascend."""
    indptr = np.zeros(num_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=num_rows), out=indptr[1:])
    return indptr


def _check_dtype(name: str, values: object, dtype: type[np.generic]) -> None:
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype != dtype:
        found = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise DataError(f"{name} is {found}, but a one-dimensional array of {dtype.__name__} is needed")
    refuse_masked(values, name)


def _check_indptr(indptr: npt.NDArray[np.int64], n: int) -> None:
    if indptr.size == 0 or indptr[0] != 0 or indptr[-1] != n:
        ends = f"starts at {indptr[0]} and ends at {indptr[-1]}" if indptr.size else "is empty"
        raise DataError(f"indptr {ends}, but it goes from 0 to the number of indices, {n}")
    falls = np.diff(indptr) < 0
    if falls.any():
        at = int(falls.argmax()) + 1
        raise DataError(
            f"indptr[{at}] = {indptr[at]} is less than indptr[{at - 1}] = {indptr[at - 1]}; it never falls"
        )


def _whole_numbers(row: Any, name: str, num_columns: int) -> Int32Array:
    with reading(name):
        listed = list(row) if hasattr(row, "__iter__") and not hasattr(row, "__array__") else row
        values = np.asarray(listed)
    if values.size == 0 and values.ndim == 1:
        return np.empty(0, np.int32)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise DataError(f"{name} is {values.dtype} {values.shape}, but a list of whole numbers is needed")
    outside = (values < 0) | (values >= num_columns)
    if outside.any():
        at = int(outside.argmax())
        raise DataError(
            f"{name}[{at}] = {values[at]}, but there are {num_columns} columns; number them from 0"
        )
    return values.astype(np.int32)


def row_numbers(positions: Positions, num_rows: int) -> npt.NDArray[np.int64]:
    """Returns positions as numbers of rows int64 (m,), each in [0, num_rows).

    Raises:
        DataError: another dtype or shape, or a number is out of range.
    """
    if isinstance(positions, slice):
        return np.arange(num_rows, dtype=np.int64)[positions]
    chosen: npt.NDArray[Any] = np.asarray(positions)
    if (
        chosen.ndim != 1
        or chosen.dtype.kind not in "iub"
        or (chosen.dtype.kind == "b" and chosen.size != num_rows)
    ):
        raise DataError(
            f"positions are {chosen.dtype} {chosen.shape}, but a slice, numbers of rows or a mask of "
            f"{num_rows} is needed"
        )
    if chosen.dtype.kind == "b":
        return np.flatnonzero(chosen)
    outside = (chosen < 0) | (chosen >= num_rows)
    if outside.any():
        at = int(outside.argmax())
        raise DataError(
            f"positions[{at}] = {chosen[at]}, but there are {num_rows} rows; they are numbered from 0"
        )
    return chosen.astype(np.int64)
