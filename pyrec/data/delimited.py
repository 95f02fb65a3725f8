"""Delimited text: CSV, TSV, RecBole's .inter, MovieLens' u.data and ratings.dat."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

import numpy as np

from pyrec.data.columns import IdColumn, IntegerColumn, NumberColumn, TextColumn
from pyrec.data.files import first_line, text_lines
from pyrec.data.ids import text_problem
from pyrec.data.interactions import Interactions
from pyrec.data.roles import Columns, assign_roles, role_of
from pyrec.errors import DataError

IdType: TypeAlias = Literal["auto", "int", "str"]

_DELIMITERS = ("\t", ",", "::", ";")
_QUOTED = (",", ";")
# NumPy's parser wants a single character; this one does not occur in text.
_UNIT_SEPARATOR = "\x1f"
_CHUNK_ROWS = 1 << 16
_SNIFF_ROWS = 1000
_CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_INTEGER = re.compile(r"[ \t]*[+-]?[0-9]+[ \t]*")
_NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*")


@dataclass(frozen=True)
class Layout:
    """How a delimited file is to be read.

    Attributes:
        path: the file.
        delimiter: between the columns.
        num_columns: columns of every line.
        has_header: whether the first line is a header.
        roles: column number of "user", "item" and, where there are, "rating" and "time".
        text_ids: which of "user" and "item" are text; the others are integers.
    """

    path: Path
    delimiter: str
    num_columns: int
    has_header: bool
    roles: dict[str, int]
    text_ids: frozenset[str]


def find_delimiter(line: str) -> str | None:
    """Returns the delimiter of a line, or None if it has none of tab, comma, ``::`` and semicolon."""
    return next((delimiter for delimiter in _DELIMITERS if delimiter in line), None)


def read_delimited(path: Path, id_type: IdType = "auto", columns: Columns | None = None) -> Interactions:
    """Reads a delimited text file in chunks of lines.

    Args:
        path: the file, which `pyrec.data.files.check_text_file` has passed.
        id_type: see `pyrec.data.readers.read_interactions`.
        columns: likewise.

    Raises:
        DataError: the file is absent or not UTF-8, or a line is malformed; the message names file and line.
    """
    layout = sniff(path, id_type, columns)
    ids: dict[str, IdColumn] = {
        role: TextColumn() if role in layout.text_ids else IntegerColumn() for role in ("user", "item")
    }
    numbers = {
        role: NumberColumn(dtype)
        for role, dtype in (("rating", np.float32), ("time", np.float64))
        if role in layout.roles
    }
    records = islice(_records(path, layout.delimiter), int(layout.has_header), None)
    while chunk := list(islice(records, _CHUNK_ROWS)):
        _append_chunk(layout, chunk, {**ids, **numbers})
    users, user_ids = ids["user"].finish()
    items, item_ids = ids["item"].finish()
    ratings, times = (numbers[role].finish() if role in numbers else None for role in ("rating", "time"))
    return Interactions.from_codes(users, items, user_ids, item_ids, ratings, times)


def sniff(path: Path, id_type: IdType, columns: Columns | None = None) -> Layout:
    """Finds out a file's layout from its first lines.

    Raises:
        DataError: there is no line of data, or the columns or the type of the ids cannot be told.
    """
    delimiter = find_delimiter(first_line(path).decode("utf-8", "replace"))
    if delimiter is None:
        raise DataError(
            f"{path}, line 1: no tab, comma, '::' or ';' between columns; is this the right file?"
        )
    records = islice(_records(path, delimiter), _SNIFF_ROWS + 1)
    rows = [(number, _split(line, delimiter, path, number)) for number, line in records]
    named = any(isinstance(column, str) for column in (columns or {}).values())
    has_header = named or _is_header([row for _, row in rows[:2]])
    header, data = (rows[0][1], rows[1:]) if has_header else (None, rows)
    if not data:
        raise DataError(f"{path} has a header but no line of data; give a file with one interaction a line")
    num_columns = len(rows[0][1])
    roles = assign_roles(header, num_columns, f"{path}, line {rows[0][0]}", columns)
    text_ids = frozenset(
        role
        for role in ("user", "item")
        if id_type == "str" or (id_type == "auto" and _is_text(data, role, roles[role], path))
    )
    return Layout(path, delimiter, num_columns, has_header, roles, text_ids)


def _split(line: str, delimiter: str, path: Path, number: int) -> list[str]:
    line = line.rstrip("\r\n")
    if delimiter not in _QUOTED:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"{path}, line {number}: {error}; mend the line's quotes") from None


def _is_header(rows: list[list[str]]) -> bool:
    """Tells whether the first row is a header.

    It is if it names a user and an item column; or if no field of it is a number, and it has three or more
    fields or the second row has numbers only.
    """
    if {"user", "item"} <= set(map(role_of, rows[0])):
        return True
    if any(map(_NUMBER.fullmatch, rows[0])):
        return False
    return len(rows[0]) > 2 or (len(rows) > 1 and all(map(_NUMBER.fullmatch, rows[1])))


def _is_text(rows: list[tuple[int, list[str]]], role: str, column: int, path: Path) -> bool:
    """Tells whether ids are text: fewer than half of the first rows have an integer there."""
    ids = [(number, row[column]) for number, row in rows if column < len(row)]
    odd = [(number, text) for number, text in ids if not _CANONICAL_INTEGER.fullmatch(text)]
    if odd and 2 * len(odd) < len(ids):
        raise _odd_id(f"{path}, line {odd[0][0]}", role, odd[0][1], "most")
    return bool(odd)


def _odd_id(where: str, role: str, text: str, how_many: str) -> DataError:
    return DataError(
        f"{where}: the {role} id {text[:40]!r} is not a plain integer, but {how_many} of the first lines' "
        "are; mend the line, or if the ids are text, read them with id_type='str'"
    )


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, str]]:
    """Yields line number and text of each line that is not blank; a quoted line break does not end a line."""
    lines = text_lines(path)
    for number, line in lines:
        if not line.strip("\r\n"):
            continue
        if delimiter in _QUOTED and line.count('"') % 2:
            yield number, line + _until_closed(lines, path, number)
        else:
            yield number, line


def _until_closed(lines: Iterator[tuple[int, str]], path: Path, number: int) -> str:
    parts = []
    for _, line in lines:
        parts.append(line)
        if line.count('"') % 2:
            return "".join(parts)
    raise DataError(f"{path}, line {number}: a quote opens and never closes; close it, or drop it")


def _append_chunk(
    layout: Layout, chunk: list[tuple[int, str]], columns: dict[str, IdColumn | NumberColumn]
) -> None:
    """Parses lines and appends them to the columns of their roles."""
    role_at = {column: role for role, column in layout.roles.items()}
    dtype = [_field(layout, role_at.get(k, f"unused {k}")) for k in range(layout.num_columns)]
    lines = [line for _, line in chunk]
    delimiter = layout.delimiter
    if len(delimiter) > 1:
        lines = [line.replace(delimiter, _UNIT_SEPARATOR) for line in lines]
        delimiter = _UNIT_SEPARATOR
    quote = '"' if delimiter in _QUOTED else None
    try:
        table = np.loadtxt(lines, dtype, comments=None, delimiter=delimiter, quotechar=quote, ndmin=1)
    except ValueError as error:
        _explain(layout, chunk, str(error))
    if not all(column.append(table[role]) for role, column in columns.items()):
        _explain(layout, chunk, "an id or number is malformed")


def _field(layout: Layout, name: str) -> tuple[str, str]:
    if name in ("rating", "time"):
        return name, "f8"
    if name in ("user", "item"):
        return name, "O" if name in layout.text_ids else "i8"
    return name, "U1"


def _explain(layout: Layout, chunk: list[tuple[int, str]], otherwise: str) -> NoReturn:
    """Raises the error for the first malformed line of a chunk that could not be parsed."""
    for number, line in chunk:
        where = f"{layout.path}, line {number}"
        row = _split(line, layout.delimiter, layout.path, number)
        if len(row) != layout.num_columns:
            raise DataError(
                f"{where}: {len(row)} columns, but the first line has {layout.num_columns}; complete "
                "the line or drop it"
            )
        for role, column in layout.roles.items():
            _check_cell(row[column], role, role in layout.text_ids, where)
    raise DataError(f"{layout.path}, lines {chunk[0][0]} to {chunk[-1][0]}: {otherwise}; mend these lines")


def _check_cell(text: str, role: str, is_text: bool, where: str) -> None:
    if role in ("rating", "time"):
        largest = float(np.finfo(np.float32 if role == "rating" else np.float64).max)
        if not _NUMBER.fullmatch(text) or not abs(float(text)) <= largest:
            raise DataError(
                f"{where}: the {role} {text[:40]!r} is not a finite number; mend the line, or rename the "
                f"column if it is not a {role}"
            )
    elif is_text:
        if problem := text_problem(text):
            raise DataError(f"{where}: the {role} id {text[:40]!r} {problem}")
    elif not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise _odd_id(where, role, text, "all")
