"""Dense matrices as text: a line a row, such as coat's ratings of users x items and their propensities."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
import numpy.typing as npt

from pyrec.data.read.fields import NUMBER
from pyrec.data.read.files import Content, opened
from pyrec.data.read.reading import Reading
from pyrec.data.read.records import BLANKS
from pyrec.data.read.shape import Matrix, find_shape
from pyrec.data.rows import FloatArray, Rows
from pyrec.errors import DataError

_BLOCK_BYTES = 1 << 22
_ALLOWED: Final = np.zeros(256, dtype=bool)
_ALLOWED[list(b"0123456789+-.eE \t\r\n")] = True


def read_matrix(path: str | Path, sep: str | None = None) -> FloatArray:
    """Reads a text file of numbers, a line a row, such as the propensities of all pairs of users and items.

    Args:
        path: the file; lines that start with ``#`` before the first row are left out.
        sep: what is between two numbers; None for a comma or a semicolon where the first row has one, else blanks.

    Returns:
        float32 (rows, columns).

    Raises:
        ConfigError: ``sep`` cannot be between two numbers.
        DataError: the file is absent or empty, a line has another number of columns than the first, or a field is no
            finite number in float32; the message names the line.
    """
    reading = Reading(sep=sep, format="matrix")
    reading.check()
    with opened(Path(path)) as content:
        matrix = find_shape(content, reading)
        assert isinstance(matrix, Matrix)
        return np.concatenate(list(_blocks(content, matrix)))


def read_rated(content: Content, matrix: Matrix) -> Rows:
    """Reads a matrix users x items of ratings, 0 where there is none; raw ids are the numbers of rows and columns.

    Raises:
        DataError: see `read_matrix`.
    """
    first, num_items = 0, 0
    users, items, ratings = [], [], []
    for block in _blocks(content, matrix):
        rows, columns = np.nonzero(block)
        users.append((rows + first).astype(np.int32))
        items.append(columns.astype(np.int32))
        ratings.append(block[rows, columns])
        first, num_items = first + len(block), block.shape[1]
    return Rows(
        np.concatenate(users),
        np.concatenate(items),
        np.arange(first, dtype=np.int64),
        np.arange(num_items, dtype=np.int64),
        np.concatenate(ratings),
        notes=(*content.notes, *matrix.notes),
    )


def _blocks(content: Content, matrix: Matrix) -> Iterator[FloatArray]:
    """Yields float32 (some rows, columns), all of the same number of columns."""
    num_columns = 0
    for line, text in content.blocks(_BLOCK_BYTES, matrix.skip):
        plain = text if matrix.sep == BLANKS else text.replace(matrix.sep.encode(), b" ")
        counts = _counts(plain)
        if not counts.size:
            continue
        num_columns = num_columns or int(counts[0])
        values = _numbers(plain) if (counts == num_columns).all() else None
        with np.errstate(over="ignore"):
            found = None if values is None else values.astype(np.float32)
        if found is None or found.size != counts.sum() or not np.isfinite(found).all():
            _explain(text, line, num_columns, content.path, matrix.sep)
        yield found.reshape(-1, num_columns)
    if not num_columns:
        raise DataError(f"{content.path} holds no number; a matrix has a line a row")


def _counts(block: bytes) -> npt.NDArray[np.int64]:
    """Returns how many fields each line has that is not blank."""
    text = np.frombuffer(block, dtype=np.uint8)
    is_field = np.concatenate(([False], ~np.isin(text, list(b" \t\r\n"))))
    starts = np.flatnonzero(is_field[1:] & ~is_field[:-1])
    ends = np.append(np.flatnonzero(text == ord("\n")), text.size)
    counts = np.diff(np.searchsorted(starts, ends), prepend=0)
    return counts[counts > 0]


def _numbers(block: bytes) -> npt.NDArray[np.float64] | None:
    """Returns the numbers of a block, or None if something else is in it."""
    if not _ALLOWED[np.frombuffer(block, dtype=np.uint8)].all():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(block, dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def _explain(block: bytes, number: int, num_columns: int, path: Path, sep: str) -> NoReturn:
    """Raises the error for the first malformed line of a block."""
    for at, line in enumerate(block.split(b"\n")):
        text = line.decode("utf-8", "replace").strip()
        fields = re.split(r"[ \t]+", text) if sep == BLANKS else [field.strip() for field in text.split(sep)]
        if not text:
            continue
        where = f"{path}, line {number + at}"
        if len(fields) != num_columns:
            raise DataError(
                f"{where}: {len(fields)} numbers, but the first line of the matrix has {num_columns}; complete the "
                "line, or drop it"
            )
        for field in fields:
            if not NUMBER.fullmatch(field) or not abs(float(field)) <= float(np.finfo(np.float32).max):
                raise DataError(
                    f"{where}: {field[:40]!r} is not a finite number, as all are in a matrix users x items; correct it"
                )
    raise DataError(f"{path}, from line {number}: a number is malformed; correct these lines")
