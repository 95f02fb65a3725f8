"""A text file in blocks of whole rows, which quotes may stretch over lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pyrec.data.read.files import Content
from pyrec.data.read.records import LONGEST_QUOTE, Dialect
from pyrec.errors import DataError

_BLOCK_BYTES = 1 << 20


class RowBlock(NamedTuple):
    """Whole rows of a file, or the start of one whose quote does not close.

    Attributes:
        number: of the first line.
        text: the lines.
        is_whole: whether the rows are.
        ends_open: whether the file ends here, without a newline.
    """

    number: int
    text: bytes
    is_whole: bool
    ends_open: bool


def row_blocks(content: Content, dialect: Dialect, num_columns: int, skip: int) -> Iterator[RowBlock]:
    """Yields a file in blocks of whole rows; the last is the start of a row if one never ends.

    Args:
        content: the file.
        dialect: how its fields are apart.
        num_columns: of every row.
        skip: lines before the first row.

    Raises:
        DataError: the file ends without a newline in a row that lacks fields, or cannot be read further.
    """
    pending, number = b"", 0
    for line, block in content.blocks(_BLOCK_BYTES, skip):
        number = number if pending else line
        block = pending + block
        if content.ends_open:
            _check_end(content.path, dialect, num_columns, block, number)
        left = dialect.unfinished(block)
        if left > LONGEST_QUOTE:
            yield RowBlock(number, block, False, content.ends_open)
            return
        whole, pending = block[: len(block) - left], block[len(block) - left :]
        yield RowBlock(number, whole, True, content.ends_open)
        number += whole.count(b"\n")
    if pending:
        yield RowBlock(number, pending, False, False)


def _check_end(path: Path, dialect: Dialect, num_columns: int, block: bytes, number: int) -> None:
    """Refuses a file that ends without a newline in a row that lacks fields."""
    try:
        rows = list(dialect.rows(block, number, path))
    except DataError as error:
        raise DataError(f"{error}; the file has no newline at its end and may be cut off") from None
    line, row = rows[-1] if rows else (number, [])
    if rows and len(row) < num_columns:
        raise DataError(
            f"{path}, line {line}: the last line has no newline and {len(row)} of {num_columns} columns; "
            "the file is cut off there: get it anew, complete the line or drop it"
        )


def open_end(block: bytes) -> str:
    """Returns the note on a last line without a newline."""
    last = block.rstrip(b"\r\n").rpartition(b"\n")[2].decode("utf-8", "replace").strip()
    return f"the last line has no newline and is taken as whole: {last[-40:]!r}"
