"""Named columns of delimited text: how they are apart, and the fields of those that are wanted."""

from __future__ import annotations

from pyrec.data.read.files import Content, decode
from pyrec.data.read.header import Top, header_again
from pyrec.data.read.layout import SEPARATORS, first_line, wrong_count
from pyrec.data.read.look import Look
from pyrec.data.read.records import BLANKS, Dialect
from pyrec.data.read.row_blocks import open_end, row_blocks
from pyrec.data.read.shape import dialect_of, even_rows
from pyrec.errors import DataError


def find_dialect(look: Look) -> Dialect:
    """Returns how fields are apart: by what is said, or by what gives all lines the same columns, the most of them.

    Raises:
        DataError: two separators give as many.
    """
    sep = look.reading.sep or look.sep
    if sep is not None:
        return dialect_of(look, sep)
    dialects = [dialect_of(look, one) for one in (*SEPARATORS, BLANKS) if one in look.lines[0][1]]
    widths = {dialect.sep: len(rows[-1][1]) for dialect in dialects if (rows := even_rows(look, dialect))}
    chosen = {sep: width for sep, width in widths.items() if sep != BLANKS} or widths
    best = [sep for sep, width in chosen.items() if width == max(chosen.values())]
    if len(best) > 1:
        shown = " and ".join(map(repr, best))
        raise DataError(
            f"{look.path}, line {look.lines[0][0]}: every line has as many {shown}; which of them is between columns? "
            f"say sep={best[0]!r}"
        )
    return next(dialect for dialect in dialects if dialect.sep == best[0]) if best else dialect_of(look, ",")


def read_fields(
    content: Content, look: Look, dialect: Dialect, top: Top, wanted: list[int], notes: list[str]
) -> tuple[list[int], list[list[str]]]:
    """Returns the lines of all rows, and the fields of the columns wanted.

    Raises:
        DataError: a row is malformed, has other columns than the first, or is the header again.
    """
    header, path = top.names, content.path
    num_columns = len((top.header or top.data[0])[1])
    lines: list[int] = []
    fields: list[list[str]] = [[] for _ in wanted]
    for block in row_blocks(content, dialect, num_columns, first_line(look, dialect, top)):
        if block.ends_open:
            notes.append(open_end(block.text))
        decode(block.text, block.number, path)
        for line, row in dialect.rows(block.text, block.number, path):
            _check_row(f"{path}, line {line}", row, num_columns, header)
            lines.append(line)
            for column, at in zip(fields, wanted, strict=True):
                column.append(row[at])
    return lines, fields


def _check_row(where: str, row: list[str], num_columns: int, header: tuple[str, ...] | None) -> None:
    if header is not None and tuple(row) == header:
        raise header_again(where)
    if len(row) != num_columns:
        raise wrong_count(where, len(row), num_columns)
