"""Named arrays from a file that is not trusted: each one is checked when it is taken out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import csr_array

from pyrec.errors import DataError


@dataclass(frozen=True)
class State:
    """Arrays by name, with the place they came from for messages."""

    source: str
    arrays: Mapping[str, NDArray[Any]]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def under(self, prefix: str) -> State:
        """Return the arrays whose names start with ``prefix``, without it."""
        return State(
            self.source,
            {name[len(prefix) :]: array for name, array in self.arrays.items() if name.startswith(prefix)},
        )

    def without(self, prefix: str) -> State:
        """Return the other arrays: those whose names do not start with ``prefix``."""
        return State(
            self.source, {name: array for name, array in self.arrays.items() if not name.startswith(prefix)}
        )

    def array(self, name: str, dtype: DTypeLike, shape: tuple[int | None, ...]) -> NDArray[Any]:
        """Return an array of this dtype and shape, where a None in ``shape`` fits any length.

        Raises:
            DataError: If it is absent, of another dtype or shape, or holds NaN or infinity.
        """
        array = self._get(name)
        fits = len(array.shape) == len(shape) and all(
            wanted is None or wanted == have for wanted, have in zip(shape, array.shape, strict=True)
        )
        if array.dtype != np.dtype(dtype) or not fits:
            raise DataError(
                f"{self.source}: {name} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            at = np.argwhere(~np.isfinite(array))[0].tolist()
            raise DataError(f"{self.source}: {name}{at} is not finite")
        return array

    def within(self, name: str, dtype: DTypeLike, low: float, high: float) -> NDArray[Any]:
        """Return a single number of this dtype in ``[low, high]``, as an array of shape ().

        Raises:
            DataError: If it is absent, of another type, not finite, or out of range.
        """
        number = self.array(name, dtype, ())
        if not low <= number <= high:
            raise DataError(f"{self.source}: {name} = {number} is outside {low} to {high}")
        return number

    def indices(self, name: str, bound: int) -> NDArray[np.int32]:
        """Return int32 indices (n,) inside ``[0, bound)``.

        Raises:
            DataError: If it is absent, of another type, or out of range.
        """
        array: NDArray[np.int32] = self.array(name, np.int32, (None,))
        wrong = np.flatnonzero((array < 0) | (array >= bound))
        if len(wrong):
            raise DataError(
                f"{self.source}: {name}[{wrong[0]}] = {array[wrong[0]]} is outside 0..{bound - 1}"
            )
        return array

    def offsets(self, name: str, last: int) -> NDArray[np.int64]:
        """Return int64 offsets (n + 1,) that rise from 0 to ``last``.

        Raises:
            DataError: If it is absent, of another type, or does not rise from 0 to ``last``.
        """
        array: NDArray[np.int64] = self.array(name, np.int64, (None,))
        if len(array) == 0 or array[0] != 0 or array[-1] != last or (np.diff(array) < 0).any():
            raise DataError(f"{self.source}: {name} does not rise from 0 to {last}")
        return array

    def csr(self, data: str, indices: str, indptr: str, shape: tuple[int, int]) -> csr_array:
        """Return the float32 CSR array kept under three names.

        Raises:
            DataError: If one is absent, or they do not make a CSR array of this shape.
        """
        values = self.array(data, np.float32, (None,))
        columns = self.indices(indices, shape[1])
        starts = self.offsets(indptr, len(values))
        if len(columns) != len(values) or len(starts) != shape[0] + 1:
            raise DataError(
                f"{self.source}: {data}, {indices}, {indptr} hold {len(values)} values, "
                f"{len(columns)} columns and {len(starts)} offsets, no {shape[0]} x {shape[1]} matrix"
            )
        return csr_array((values, columns, starts), shape=shape)

    def _get(self, name: str) -> NDArray[Any]:
        if name not in self.arrays:
            raise DataError(f"{self.source}: array {name!r} is missing")
        return self.arrays[name]


def csr_state(matrix: csr_array) -> dict[str, NDArray[Any]]:
    """Return a matrix of weights as the arrays that ``State.csr("weights", "indices", "indptr", ...)`` reads."""
    return {
        "weights": matrix.data,
        "indices": matrix.indices.astype(np.int32),
        "indptr": matrix.indptr.astype(np.int64),
    }


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 over the names, types, shapes and contents, in hexadecimal digits."""
    hashed = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        hashed.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        hashed.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return hashed.hexdigest()


def fingerprint_of(arrays: Mapping[str, NDArray[Any]], **counts: int) -> dict[str, Any]:
    """Return what tells data from others: a hash of all their arrays, and numbers that a message can name.

    Args:
        arrays: All that the data are, by name.
        counts: How many there are of what, by its name in the plural.
    """
    return {**counts, "sha256": digest(arrays)}
