"""Tells a header from a first row of data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrec.data.read.fields import LIKE_DATA, NUMBER
from pyrec.data.read.kinds import Cells, are_times
from pyrec.data.read.look import LOOK_ROWS, Line, Look, comment_note
from pyrec.data.read.reading import Reading
from pyrec.data.read.records import Dialect, Row
from pyrec.data.roles import names_both, role_of
from pyrec.errors import DataError


@dataclass(frozen=True)
class Top:
    """The start of a table.

    Attributes:
        header: its line and names, or None.
        data: the first rows of data.
        comments: lines left out before them.
        is_first: whether the header is the row before the data, not a comment.
    """

    header: Row | None
    data: list[Row]
    comments: Sequence[Line]
    is_first: bool

    @property
    def names(self) -> tuple[str, ...] | None:
        """The header's names."""
        return None if self.header is None else tuple(self.header[1])

    @property
    def notes(self) -> list[str]:
        """What is left out."""
        return [comment_note(self.comments)] if self.comments else []


def find_top(look: Look, dialect: Dialect) -> Top:
    """Finds the header, which may be a comment, and the first rows of data.

    Raises:
        DataError: there is no row of data, or a comment may be a header or data.
    """
    rows = look.rows(dialect)[: LOOK_ROWS + 1]
    if not rows:
        raise DataError(f"{look.path} holds no interaction; give a file with one interaction a line")
    top = _from_comments(look, dialect, rows)
    if top is None:
        is_first = is_header([row for _, row in rows], look.reading)
        header, data = (_with_row_names(rows), rows[1:]) if is_first else (None, rows)
        top = Top(header, data, look.comments, is_first)
    if not top.data:
        raise DataError(
            f"{look.path} has a header but no line of data; give a file with one interaction a line"
        )
    _refuse_again(look.path, top)
    return top


def _from_comments(look: Look, dialect: Dialect, rows: list[Row]) -> Top | None:
    """Takes the last comment as the header or as data, if it is one of the two; None if it is a comment."""
    if not look.comments:
        return None
    comments, is_header_told = look.comments, look.reading.header
    number, text = comments[-1]
    row = look.comment_row(comments[-1], dialect)
    fits = len(row[1]) == len(rows[0][1]) > 1
    if is_header_told is not False and (names_both(row[1]) or (is_header_told and fits)):
        return Top(row, rows, comments[:-1], False)
    if is_header_told is False and fits:
        taken = [look.comment_row(line, dialect) for line in comments]
        return Top(None, [*(one for one in taken if len(one[1]) == len(row[1])), *rows], (), False)
    if fits:
        raise DataError(
            f"{look.path}, line {number}: {text.strip()[:40]!r} may be a comment, a header or data; say which, "
            "--header or --no-header (in Python header=True or False), or drop the line"
        )
    return None


def is_header(rows: list[list[str]], reading: Reading) -> bool:
    """Tells whether the first row is a header.

    It is if the caller says so, or chooses columns by name; if it names a user and an item column; or if none of its
    fields is a number and some column holds nothing but numbers, or times, below a field that is none.
    """
    if reading.header is not None:
        return reading.header
    if any(isinstance(column, str) for column in (reading.columns or {}).values()) or names_both(rows[0]):
        return True
    first, data = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if any(map(LIKE_DATA.fullmatch, first)) or not data:
        return False
    columns = [[row[at] for row in data if row[at]] for at in range(len(first))]
    return any(_is_above(name, column) for name, column in zip(first, columns, strict=True) if column)


def _is_above(name: str, column: list[str]) -> bool:
    """Tells whether a column holds numbers alone, or times alone, and its first field is none."""
    if all(map(NUMBER.fullmatch, column)):
        return True
    return are_times(column) and not are_times([name])


def _with_row_names(rows: list[Row]) -> Row:
    """Returns the first row as a header; one without a name for the first column, R's row names, gets an empty one."""
    number, names = rows[0]
    lacks_one = names_both(names) and {len(row) for _, row in rows[1:]} == {len(names) + 1}
    return number, ["", *names] if lacks_one else names


def _refuse_again(path: Path, top: Top) -> None:
    for number, row in top.data:
        if tuple(row) == top.names:
            raise header_again(f"{path}, line {number}")


def header_again(where: str) -> DataError:
    """Returns the error for a row that repeats the header."""
    return DataError(
        f"{where}: the header again; is the file made of several? drop the line, or read them one by one"
    )


def check_unknown_header(where: str, first: list[str], reading: Reading, is_rated: bool) -> str | None:
    """Returns the note on a first row that is read as data, though it may be a header; None where it cannot be.

    Args:
        where: file and line.
        first: the row.
        reading: what the caller says.
        is_rated: whether a rating is among the columns.

    Raises:
        DataError: nobody says which columns are the user and the item.
    """
    if reading.header is not None or any(map(LIKE_DATA.fullmatch, first)):
        return None
    if not reading.columns and is_rated:
        raise DataError(
            f"{where}: which columns are the user and the item? {_shown(first)} are no known names and may "
            "be a header or data; say which, --header or --no-header, and choose columns: --columns user=1,item=2 "
            "(in Python header=True or False, columns={'user': 1, 'item': 2})"
        )
    return f"line {where.rpartition(' ')[2]} is read as data, not as a header: {_shown(first)}"


def _shown(row: list[str]) -> str:
    """Returns the first four fields of a row, cut to forty characters."""
    return ", ".join([*(repr(text[:40]) for text in row[:4]), *(["..."] if len(row) > 4 else [])])


def check_named_header(
    path: Path, names: tuple[str, ...], roles: Mapping[str, int], cells: Mapping[str, Cells], reading: Reading
) -> None:
    """Refuses a header that was believed for a column chosen by name, and whose names look like the data.

    Raises:
        DataError: the name is among the data, or written as all of them are.
    """
    for role in ("user", "item"):
        name = names[roles[role]]
        is_chosen = isinstance((reading.columns or {}).get(role), str)
        if reading.header is not None or role_of(name) == role or not is_chosen:
            continue
        again = next((cell for cell in cells[role] if cell[1] == name), None)
        if again is None and _is_alike(name, cells[role]):
            again = cells[role][0]
        if again is not None:
            column = roles[role] + 1
            raise DataError(
                f"{path}, line {again[0]}: the column {name!r} holds {again[1]!r} here, so the first line may be data; "
                f"if it is: --no-header --columns {role}={column}, else --header (in Python header=False, "
                f"columns={{{role!r}: {column}}}, else header=True)"
            )


def _is_alike(name: str, cells: Cells) -> bool:
    """Tells whether a name with a digit has letters and digits where all of the data have some."""
    return bool(re.search(r"\d", name)) and all(_pattern(text) == _pattern(name) for _, text in cells)


def _pattern(text: str) -> str:
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", text))
