"""The first lines of a text file, from which its shape is found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from pyrec.data.read.files import Content
from pyrec.data.read.reading import Reading
from pyrec.data.read.records import Dialect, Row

Line: TypeAlias = tuple[int, str]
"""Its number and its text, line end included."""

LOOK_ROWS: Final = 1000
_EXCEL_SEP: Final = re.compile(r'"?sep=(.)"?\s*')
_COMMENT: Final = ("#", "%")


@dataclass(frozen=True)
class Look:
    """The first lines of a file, and what the caller says on it.

    Attributes:
        path: the file.
        reading: what the caller says.
        lines: the first lines, behind the comments.
        comments: lines before them that start like comments.
        sep: what Excel's first line ``sep=`` says is between columns.
    """

    path: Path
    reading: Reading
    lines: Sequence[Line]
    comments: Sequence[Line]
    sep: str | None

    def rows(self, dialect: Dialect) -> list[Row]:
        """Returns the rows of the lines, without one that goes on behind them.

        Raises:
            DataError: a quote does not close, or is followed by more text.
        """
        block = as_block(self.lines)
        block = block[: len(block) - dialect.unfinished(block)] or block
        return list(dialect.rows(block, self.lines[0][0], self.path))

    def comment_row(self, line: Line, dialect: Dialect) -> Row:
        """Returns the row that a comment would be without the characters that make it one."""
        number, text = line
        bare = text.lstrip("".join(_COMMENT) + " \t") if self.reading.header is not False else text
        rows = dialect.rows(as_block([(number, bare)]), number, self.path)
        return next(rows, (number, [""]))


def look_at(content: Content, reading: Reading) -> Look:
    """Takes blank lines, Excel's ``sep=`` and comments from the first lines of a file.

    Raises:
        DataError: a line is not UTF-8 text.
    """
    lines = content.lines(2 * LOOK_ROWS)
    filled = [at for at, (_, text) in enumerate(lines) if text.strip()]
    count = next((k for k, at in enumerate(filled) if not lines[at][1].startswith(_COMMENT)), 0)
    comments, filled = [lines[at] for at in filled[:count]], filled[count:]
    match = _EXCEL_SEP.fullmatch(lines[filled[0]][1]) if filled else None
    if match:
        filled = filled[1:]
    body = lines[filled[0] :] if filled else []  # with its blank lines, for quotes may hold them
    return Look(content.path, reading, body, comments, match[1] if match else None)


def as_block(lines: Sequence[Line]) -> bytes:
    """Returns lines as bytes, the last with a line end."""
    text = "".join(text for _, text in lines)
    return (text if text.endswith("\n") else text + "\n").encode()


def comment_note(comments: Sequence[Line]) -> str:
    """Says that comments are left out."""
    which = f"line {comments[0][0]} is a comment"
    if len(comments) > 1:
        which = f"{len(comments)} lines before the data are comments"
    return f"{which} and left out: {comments[0][1].strip()[:40]!r}"
