"""A SciPy sparse matrix taken apart into interactions, with its structure checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, issparse

from pyrec.data.foreign import reading
from pyrec.data.ids import MAX_COUNT, Int32Array
from pyrec.errors import DataError


def csr_parts(
    user_items: Any, name: str = "user_items"
) -> tuple[Int32Array, Int32Array, npt.NDArray[Any], tuple[int, int]]:
    """Returns rows, columns, values and shape of a sparse matrix.

    Args:
        user_items: a SciPy sparse matrix or array, users x items, real or boolean.
        name: what messages call it.

    Returns:
        rows int32 (n,), columns int32 (n,), a copy of the values (n,), stored zeros and what is not finite among
        them, and the shape (num_users, num_items).

    Raises:
        DataError: it is not sparse, not two-dimensional, too large, or its arrays are malformed.
    """
    if not issparse(user_items):
        raise DataError(
            f"{name} is {type(user_items).__name__}; a scipy.sparse CSR matrix or array is needed"
        )
    matrix: Any = user_items
    if len(matrix.shape) != 2:
        raise DataError(f"{name} has shape {matrix.shape}; a matrix users x items is needed")
    _check_convertible(matrix, name)
    with reading(name):
        if matrix.dtype.kind not in "biuf":
            raise DataError(f"{name}.data has dtype {matrix.dtype}; real numbers are needed")
        # COO sums duplicates on conversion: in float64, for int8 would wrap
        csr = (
            matrix if matrix.format != "coo" or matrix.dtype.kind == "b" else matrix.astype(np.float64)
        ).tocsr()
    num_users, num_items = (int(size) for size in csr.shape)
    if num_users + num_items > MAX_COUNT:
        raise DataError(f"{name} has shape {csr.shape}: more than the {MAX_COUNT} nodes of int32")
    _check_structure(csr.indptr, csr.indices, csr.data, num_users, num_items, name)
    rows = np.repeat(np.arange(num_users, dtype=np.int32), np.diff(csr.indptr))
    columns, data = csr.indices.astype(np.int32), csr.data.copy()
    if _has_duplicates(rows, columns, num_items):
        rows, columns, data = _summed(rows, columns, data, (num_users, num_items), name)
    return rows, columns, data, (num_users, num_items)


def _has_duplicates(rows: Int32Array, columns: Int32Array, num_items: int) -> bool:
    same_row = rows[1:] == rows[:-1]
    if bool(np.all(~same_row | (columns[1:] > columns[:-1]))):
        return False
    cells = np.sort(rows.astype(np.int64) * num_items + columns)
    return bool((cells[1:] == cells[:-1]).any())


def _summed(
    rows: Int32Array, columns: Int32Array, data: npt.NDArray[Any], shape: tuple[int, int], name: str
) -> tuple[Int32Array, Int32Array, npt.NDArray[Any]]:
    """Sums the values of equal cells, as SciPy's COO does."""
    bad = ~np.isfinite(data)
    if bad.any():
        at = int(bad.argmax())
        raise DataError(f"{name}.data[{at}] = {data[at]} is not a finite number; drop it or fill it in")
    wide = data if data.dtype.kind == "b" else data.astype(np.float64)
    merged = coo_array((wide, (rows, columns)), shape=shape)
    merged.sum_duplicates()
    users, items = (at.astype(np.int32) for at in merged.coords)
    return users, items, merged.data


def _check_convertible(matrix: Any, name: str) -> None:
    """Refuses indices that SciPy's conversion to CSR would follow without a look."""
    parts = ("data", "indices", "indptr") if matrix.format in ("csr", "csc", "bsr") else ()
    for part in parts:
        array = getattr(matrix, part)
        if not isinstance(array, np.ndarray) or array.ndim != (
            3 if (part, matrix.format) == ("data", "bsr") else 1
        ):
            raise DataError(f"{name}.{part} is no array of its rank; build the matrix again")
        if part != "data" and array.dtype.kind != "i":
            raise DataError(f"{name}.{part} has dtype {array.dtype}, but integers are needed")
    try:
        if matrix.format in ("csc", "bsr"):
            matrix.check_format(full_check=True)
        elif matrix.format == "coo":
            coo_array((matrix.data, matrix.coords), shape=matrix.shape)  # the constructor looks at them
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"{name} is no sound {matrix.format} matrix: {error}; build it again") from None


def _check_structure(
    indptr: npt.NDArray[Any],
    indices: npt.NDArray[Any],
    data: npt.NDArray[Any],
    num_users: int,
    num_items: int,
    name: str,
) -> None:
    if indptr.size != num_users + 1 or int(indptr[0]) != 0:
        raise DataError(
            f"{name}.indptr has {indptr.size} entries from {indptr[:1]}, but {num_users} users need "
            f"{num_users + 1} from 0; build the matrix again, e.g. from its .tocoo()"
        )
    falls = np.diff(indptr) < 0
    if falls.any():
        at = int(falls.argmax()) + 1
        raise DataError(
            f"{name}.indptr[{at}] = {indptr[at]} is less than indptr[{at - 1}] = {indptr[at - 1]}; "
            "row pointers never fall: build the matrix again"
        )
    if not int(indptr[-1]) == indices.size == data.size:
        raise DataError(
            f"{name}.indptr ends at {indptr[-1]}, but there are {indices.size} indices and {data.size} "
            "values; the three are equal in a CSR matrix"
        )
    outside = (indices < 0) | (indices >= num_items)
    if outside.any():
        at = int(outside.argmax())
        raise DataError(
            f"{name}.indices[{at}] = {indices[at]}, but there are {num_items} items; "
            "did you pass item x user? Try .T"
        )
