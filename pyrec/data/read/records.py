"""Lines of delimited text as rows of fields: one by one for messages, and whole blocks for speed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Final, TypeAlias

from pyrec.data.read import fields
from pyrec.data.read.fields import Fields
from pyrec.errors import DataError

Row: TypeAlias = tuple[int, list[str]]
"""The number of its first line, and the fields, without the blanks around them."""

BLANKS: Final = " "
"""The separator that stands for any number of spaces and tabs."""
LONGEST_QUOTE: Final = 1 << 20
_EDGES: Final = b" \t\r\n"
# Does not occur in text; blocks that hold it are read row by row.
_UNIT_SEPARATOR: Final = b"\x1f"


class MalformedError(Exception):
    """A row cannot be parsed: its line, and what is wrong with it."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(line, problem)
        self.line = line
        self.problem = problem


@dataclass(frozen=True)
class Dialect:
    """How fields of a line are apart.

    Attributes:
        sep: what is between two fields; `BLANKS` for any number of spaces and tabs.
        quotes: whether a field may be in double quotes, in which separators and line ends are text.
    """

    sep: str
    quotes: bool

    @cached_property
    def token(self) -> re.Pattern[bytes]:
        """A field, quoted or plain, and what ends it."""
        sep = re.escape(self.sep.encode())
        blank = rb"[ ]" if self.sep == "\t" else rb"[ \t]"
        if self.sep == BLANKS:
            plain, end = rb"[^ \t\n]*", rb"([ \t]+(?=[^ \t\r\n])|[ \t\r]*\n)"
        else:
            inner = rb"[^\n" + sep + rb"]" if len(self.sep.encode()) == 1 else rb"(?:(?!" + sep + rb")[^\n])"
            plain, end = inner + rb"*", rb"[ \t\r]*(" + sep + rb"|\n)"
        return re.compile(blank + rb'*(?:"((?:[^"]|"")*)"|(?!")(' + plain + rb"))" + end)

    def rows(self, block: bytes, number: int, path: Path) -> Iterator[Row]:
        """Yields the rows of lines that are not blank.

        Args:
            block: whole lines.
            number: of the first line.
            path: for messages.

        Raises:
            DataError: a quote does not close, or is followed by more text.
        """
        at = 0
        while at < len(block):
            try:
                row, end = self._row(block, at)
            except MalformedError as error:
                line = number + error.line
                raise DataError(f"{path}, line {line}: {error.problem}") from None
            if row != [b""]:
                yield number, [field.decode("utf-8", "replace") for field in row]
            number += block.count(b"\n", at, end)
            at = end

    def _row(self, block: bytes, at: int) -> tuple[list[bytes], int]:
        """Parses the row that starts at a byte; returns it and where the next one starts."""
        if not self.quotes:
            end = block.index(b"\n", at) + 1
            return self._split(block[at:end]), end
        row: list[bytes] = []
        while True:
            match = self.token.match(block, at)
            if match is None:
                raise MalformedError(0, _quote_problem(block[at:]))
            quoted, plain, ending = match.groups()
            row.append(plain.strip(_EDGES) if quoted is None else quoted.replace(b'""', b'"'))
            at = match.end()
            if ending.endswith(b"\n"):
                return row, at

    def _split(self, line: bytes) -> list[bytes]:
        if self.sep == BLANKS:
            return re.split(rb"[ \t]+", line.strip(_EDGES))
        return [field.strip(_EDGES) for field in line.rstrip(b"\r\n").split(self.sep.encode())]

    def row_end(self, block: bytes) -> int:
        """Returns where the first row of a block ends."""
        return self._row(block, 0)[1]

    def unfinished(self, block: bytes) -> int:
        """Returns how many bytes at the end of a block are a row whose quote does not close there."""
        if not self.quotes or block.count(b'"') % 2 == 0:
            return 0
        at = 0
        while at < len(block):
            try:
                at = self._row(block, at)[1]
            except MalformedError:
                is_open = _is_open(block[at:], self)
                return len(block) - at if is_open else 0
        return 0

    def table(self, block: bytes, num_columns: int) -> Callable[[int], Fields] | None:
        """Returns a function of a column's number that gives its fields, or None if not all rows fit.

        Args:
            block: whole rows.
            num_columns: of each row.
        """
        sep = self.sep.encode()
        if self.quotes and b'"' in block:
            found = (
                None if len(sep) > 1 or self.sep == BLANKS else fields.split_quoted(block, sep, num_columns)
            )
            return (
                self._row_table(block, num_columns) if found is None else partial(fields.quoted_column, found)
            )
        block = _without_blank_lines(block)
        if self.sep == BLANKS:
            block = re.sub(rb"[ \t]+", b" ", re.sub(rb"(?m)^[ \t]+|[ \t\r]+$", b"", block))
        elif len(sep) > 1:
            if _UNIT_SEPARATOR in block:
                return self._row_table(block, num_columns)
            block, sep = block.replace(sep, _UNIT_SEPARATOR), _UNIT_SEPARATOR
        split = fields.split(block, sep, num_columns)
        return None if split is None else partial(fields.column, split)

    def _row_table(self, block: bytes, num_columns: int) -> Callable[[int], Fields] | None:
        rows, at = [], 0
        while at < len(block):
            try:
                row, at = self._row(block, at)
            except MalformedError:
                return None
            if row != [b""]:
                rows.append(row)
        if set(map(len, rows)) - {num_columns}:
            return None
        return lambda at: fields.joined([row[at] for row in rows])


def _without_blank_lines(block: bytes) -> bytes:
    if b"\n\n" not in block and b"\n\r" not in block and b"\n " not in block and block[:1] not in b"\n\r ":
        return block
    return re.sub(rb"(?m)^[ \r]*\n", b"", block)


def _is_open(rest: bytes, dialect: Dialect) -> bool:
    """Tells whether a row breaks off inside of quotes."""
    at = 0
    while match := dialect.token.match(rest, at):
        at = match.end()
    return re.match(rb'[ \t]*"(?:[^"]|"")*\Z', rest[at:]) is not None


def _quote_problem(rest: bytes) -> str:
    if re.match(rb'[ \t]*"(?:[^"]|"")*\Z', rest):
        return "a quote opens and never closes; close it, or drop it"
    after = re.sub(rb'\A[ \t]*"(?:[^"]|"")*"', b"", rest)[:20].decode("utf-8", "replace").strip()
    return f"{after!r} follows a closing quote; double the quotes inside of a quoted field, or drop them"
