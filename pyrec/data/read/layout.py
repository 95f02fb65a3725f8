"""How a delimited file is to be read, from its first rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pyrec.data.read.fields import NUMBER, PLAIN_INTEGER
from pyrec.data.read.header import Top, check_named_header, check_unknown_header, find_top
from pyrec.data.read.kinds import (
    Cells,
    Decimal,
    TimeKind,
    are_times,
    find_decimal,
    find_times,
    is_text,
    refuse_times,
)
from pyrec.data.read.look import Look, as_block
from pyrec.data.read.reading import Reading
from pyrec.data.read.records import Dialect, Row
from pyrec.data.roles import BY_POSITION, assign_roles, missing_time, unused_columns
from pyrec.data.times import time_unit
from pyrec.errors import DataError

SEPARATORS = ("\t", ",", "::", ";", "|")
"""That are looked for, besides blanks."""


@dataclass(frozen=True)
class Layout:
    """How a delimited file is to be read.

    Attributes:
        path: the file.
        dialect: how its fields are apart.
        num_columns: columns of every line.
        header: the names of the columns, or None.
        skip: lines before the first row of data.
        roles: column number of "user", "item" and, where there are, "rating", "time", "weight" and
            "position".
        text_ids: which of "user" and "item" are text; the others are integers.
        empty: columns that would have a role by their position, but hold nothing in the first lines.
        decimal: how ratings and weights write a fraction.
        times: whether times are numbers or text.
        notes: what was decided, a sentence each.
    """

    path: Path
    dialect: Dialect
    num_columns: int
    header: tuple[str, ...] | None
    skip: int
    roles: dict[str, int]
    text_ids: frozenset[str]
    empty: frozenset[int]
    decimal: Decimal
    times: TimeKind
    notes: tuple[str, ...]


@dataclass
class _Columns:
    """The first fields of the columns that have a role, and what is decided on them."""

    path: Path
    reading: Reading
    roles: dict[str, int]
    cells: dict[str, Cells]
    notes: list[str] = field(default_factory=list)

    def decimal(self, sep: str, is_by_position: bool) -> Decimal:
        if "rating" in self.roles and is_by_position and "time" not in self.roles:
            refuse_times(self.path, self.cells["rating"], self.roles["rating"] + 1)
        numbers = [role for role in ("rating", "weight") if role in self.roles]
        decimal = find_decimal([cell for role in numbers for cell in self.cells[role]], sep)
        if decimal == "comma":
            self.notes.append(f"{' and '.join(f'{role}s' for role in numbers)} have a decimal comma")
        return decimal

    def times(self, names: tuple[str, ...] | None) -> TimeKind:
        if "time" not in self.roles:
            missing_time(self.reading.time_format, self.path)
            return "number"
        column = self.roles["time"]
        name = f"column {column + 1}" if names is None else f"the column {names[column]!r}"
        kind, note = find_times(self.path, self.cells["time"], self.reading, name, names is not None)
        is_by_position = names is None and not self.reading.columns
        if note is None and is_by_position and _unit(self.cells["time"]) is None and kind == "number":
            self.notes.append(
                f"{name} is taken as the time, though its numbers count nothing since 1970; --columns time= leaves it "
                "out"
            )
        if note is not None:
            del self.roles["time"]
            self.notes.append(note)
        return kind

    def text_ids(self) -> frozenset[str]:
        return frozenset(
            role
            for role in ("user", "item")
            if is_text(self.path, role, self.cells[role], self.reading.id_type)
        )


def find_layout(look: Look, dialect: Dialect) -> Layout:
    """Finds header, columns and types from the first rows.

    Raises:
        ConfigError: a format of times is given, but there is no time.
        DataError: what was found contradicts itself, or is not clear; the message says how to decide.
    """
    top, reading = find_top(look, dialect), look.reading
    line, first = top.header or top.data[0]
    where = f"{look.path}, line {line}"
    if len(first) < 2:
        raise DataError(f"{where}: {_one_column(look.lines[0][1])}")
    fitting = [(number, row) for number, row in top.data if len(row) == len(first)]
    if not fitting:
        raise wrong_count(f"{look.path}, line {top.data[0][0]}", len(top.data[0][1]), len(first))
    empty = frozenset(at for at in range(len(first)) if all(row[at] == "" for _, row in fitting))
    roles = assign_roles(top.names, len(first), where, reading.columns, empty)
    is_by_position = top.names is None and not reading.columns
    has_positions = (
        is_by_position and reading.finds_positions and len(first) == 4 and _holds_positions(fitting)
    )
    if has_positions:
        roles = {"user": 0, "item": 1, "position": 2, "rating": 3}
    cells = {role: [(number, row[at]) for number, row in fitting] for role, at in roles.items()}
    columns = _Columns(look.path, reading, roles, cells, top.notes)
    if top.names is not None:
        check_named_header(look.path, top.names, roles, cells, reading)
    elif note := check_unknown_header(where, first, reading, "rating" in roles):
        columns.notes.append(note)
    if has_positions:
        columns.notes.append("the columns have no names and are user, item, position and rating")
    if is_by_position:
        _check_position(look.path, fitting, empty, roles)
    if top.names is not None:
        columns.notes += unused_columns(
            top.names,
            roles,
            reading.columns,
            lambda at: all(NUMBER.fullmatch(row[at]) for _, row in fitting),
        )
    decimal, times = columns.decimal(dialect.sep, is_by_position), columns.times(top.names)
    return Layout(
        look.path,
        dialect,
        len(first),
        top.names,
        first_line(look, dialect, top),
        roles,
        columns.text_ids(),
        empty if is_by_position else frozenset(),
        decimal,
        times,
        tuple(columns.notes),
    )


def _holds_positions(rows: list[Row]) -> bool:
    """Tells whether the third of four columns counts from 0 to 2 or more, and the last holds no times."""
    third = [row[2] for _, row in rows]
    if not all(map(PLAIN_INTEGER.fullmatch, third)) or min(map(int, third)) != 0 or max(map(int, third)) < 2:
        return False
    last = [(number, row[3]) for number, row in rows]
    return all(NUMBER.fullmatch(text) for _, text in last) and _unit(last) is None


def _unit(cells: Cells) -> str | None:
    numbers = [float(text) for _, text in cells if NUMBER.fullmatch(text)]
    return time_unit(np.array(numbers))


def _check_position(path: Path, rows: list[Row], empty: frozenset[int], roles: dict[str, int]) -> None:
    """Refuses rows without a header that are not user, item, rating, time.

    Raises:
        DataError: there are more columns, or users or items are times.
    """
    line, first = rows[0]
    filled = len(first) - len(empty)
    timed = [role for role in ("user", "item") if are_times([row[roles[role]] for _, row in rows])]
    if filled <= len(BY_POSITION) and not timed:
        return
    why = f"column {roles[timed[0]] + 1} holds times" if timed else f"there are {filled} columns"
    raise DataError(
        f"{path}, line {line}: {why}, but without a header the columns are user, item, rating, time; choose them: "
        "--columns user=1,item=2 (in Python columns={'user': 1, 'item': 2})"
    )


def first_line(look: Look, dialect: Dialect, top: Top) -> int:
    """Returns how many lines are before the data; a quoted line end does not end the header's row."""
    if not top.is_first or top.header is None:
        return top.data[0][0] - 1
    first = top.header[0]
    block = as_block([line for line in look.lines if line[0] >= first])
    return first - 1 + block.count(b"\n", 0, dialect.row_end(block))


def _one_column(line: str) -> str:
    found = [sep for sep in SEPARATORS if sep in line]
    if line.lstrip().startswith('"') and found:
        return f"the whole line is one field in quotes, {line.strip()[:40]}; take the quotes off"
    way = f"is {found[0]!r} the separator? Say it" if found else "say what is between columns"
    option = f"--sep {found[0] if found else ' '!r} (in Python sep=)"
    return f"one column found, but a user and an item are needed; {way}: {option}"


def wrong_count(where: str, found: int, num_columns: int) -> DataError:
    """Returns the error for a row with another number of columns than the first line."""
    columns = "column" if found == 1 else "columns"
    return DataError(
        f"{where}: {found} {columns}, but the first line has {num_columns}; complete the line or drop it, or say what "
        "is between columns: --sep (in Python sep=)"
    )
