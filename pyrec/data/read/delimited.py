"""Delimited text: CSV, TSV, RecBole's .inter, MovieLens' u.data and ratings.dat."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import numpy as np

from pyrec.data.ids import MAX_COUNT, text_problem
from pyrec.data.read.blocks import (
    IdColumn,
    IntegerColumn,
    NumberColumn,
    PositionColumn,
    TextColumn,
    TimeColumn,
)
from pyrec.data.read.fields import NUMBER, PADDED_INTEGER, PLAIN_INTEGER, Fields
from pyrec.data.read.files import Content, decode
from pyrec.data.read.header import header_again
from pyrec.data.read.kinds import odd_id, text_oddity
from pyrec.data.read.layout import Layout, wrong_count
from pyrec.data.read.reading import Reading
from pyrec.data.read.row_blocks import open_end, row_blocks
from pyrec.data.rows import Rows
from pyrec.data.time_text import text_times
from pyrec.errors import DataError


def read_delimited(content: Content, layout: Layout, reading: Reading) -> Rows:
    """Reads a delimited text file in blocks of lines, each line held against the layout.

    Args:
        content: the file.
        layout: how it is to be read.
        reading: what the caller says.

    Raises:
        DataError: a line is malformed or contradicts the layout; the message names file and line.
    """
    table = _Table(layout, reading)
    for block in row_blocks(content, layout.dialect, layout.num_columns, layout.skip):
        if block.ends_open:
            table.notes.append(open_end(block.text))
        if not block.is_whole:
            table.explain(block.text, block.number)
        table.append(block.text, block.number)
    return table.finish(tuple(content.notes))


class _Table:
    """The columns of a file, filled block after block."""

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self._layout = layout
        self._reading = reading
        self.notes = list(layout.notes)
        self._is_auto = reading.id_type == "auto"
        point = b"," if layout.decimal == "comma" else b"."
        self._ids: dict[str, IdColumn] = {
            role: TextColumn(self._oddity) if role in layout.text_ids else IntegerColumn(self._is_auto)
            for role in ("user", "item")
        }
        self._rating = NumberColumn(point) if "rating" in layout.roles else None
        self._weight = NumberColumn(point, least=0) if "weight" in layout.roles else None
        self._position = PositionColumn() if "position" in layout.roles else None
        self._time: TimeColumn | None = None
        if "time" in layout.roles:
            self._time = TimeColumn(layout.times, reading.time_format)
        self._header = layout.header

    def append(self, block: bytes, number: int) -> None:
        """Adds whole rows; the first has this line number."""
        layout = self._layout
        decode(block, number, layout.path)
        column = layout.dialect.table(block, layout.num_columns)
        if column is None or not self._fits(block, column):
            self.explain(block, number)

    def _fits(self, block: bytes, column: Callable[[int], Fields]) -> bool:
        columns = {
            **self._ids,
            "rating": self._rating,
            "time": self._time,
            "weight": self._weight,
            "position": self._position,
        }
        if self._repeats_header(block):
            return False
        if any((cells.ends > cells.starts).any() for cells in map(column, self._layout.empty)):
            return False
        return all(
            one.append(column(self._layout.roles[role])) for role, one in columns.items() if one is not None
        )

    def _repeats_header(self, block: bytes) -> bool:
        if self._header is None:
            return False
        written = self._layout.dialect.sep.join(self._header).encode()
        return block.startswith(written) or b"\n" + written in block

    def explain(self, block: bytes, number: int) -> NoReturn:
        """Raises the error for the first malformed row of a block that could not be read."""
        layout = self._layout
        for line, row in layout.dialect.rows(block, number, layout.path):
            where = f"{layout.path}, line {line}"
            if self._header is not None and tuple(row) == self._header:
                raise header_again(where)
            if len(row) != layout.num_columns:
                raise wrong_count(where, len(row), layout.num_columns)
            for at in layout.empty:
                if row[at]:
                    raise DataError(
                        f"{where}: column {at + 1} was empty so far, and is {row[at][:40]!r} here; choose columns: "
                        "--columns user=1,item=2 (in Python columns={'user': 1, 'item': 2})"
                    )
            for role, at in layout.roles.items():
                self._check_cell(row[at], role, where)
        last = number + block.count(b"\n") - 1
        raise DataError(f"{layout.path}, lines {number} to {last}: a field is malformed; correct these lines")

    def _check_cell(self, text: str, role: str, where: str) -> None:
        has_comma = self._layout.decimal == "comma"
        if role == "rating":
            _check_number(text, role, np.float32, where, has_comma)
        elif role == "weight":
            _check_number(text, role, np.float32, where, has_comma)
            _check_not_negative(text, where)
        elif role == "position":
            _check_position(text, where)
        elif role == "time" and self._layout.times == "number":
            _check_number(text, role, np.float64, where)
        elif role == "time":
            if bad := text_times([text], self._reading.time_format)[1]:
                raise DataError(f"{where}: the time {text[:40]!r} {bad.reason}; {_leave_out('time')}")
        else:
            is_text = role in self._layout.text_ids
            check_id(text, role, where, is_text, self._is_auto, self._layout.dialect.quotes)

    def _oddity(self, text: str) -> str | None:
        return text_oddity(text, self._layout.dialect.quotes) if self._is_auto else None

    def finish(self, notes: tuple[str, ...]) -> Rows:
        """Returns the rows."""
        users, user_ids = self._ids["user"].finish()
        items, item_ids = self._ids["item"].finish()
        rating = None if self._rating is None else self._rating.finish()
        time = None if self._time is None else self._time.finish()
        weight = None if self._weight is None else self._weight.finish()
        position = None if self._position is None else self._position.finish()
        told = notes + tuple(self.notes)
        for role, column in self._ids.items():
            if isinstance(column, IntegerColumn) and column.padded:
                told += (
                    f"{column.padded:,} {role} ids have leading zeros and are read as the integers they are",
                )
        return Rows(users, items, user_ids, item_ids, rating, time, told, weight, position)


def check_id(text: str, role: str, where: str, is_text: bool, is_auto: bool, has_quotes: bool) -> None:
    """Refuses a field that cannot be an id as those of the first lines are.

    Args:
        text: the field.
        role: "user" or "item".
        where: file and line.
        is_text: whether ids are text; the others are integers.
        is_auto: whether nobody said so.
        has_quotes: whether fields may be in quotes.

    Raises:
        DataError: says why, and what to do.
    """
    if not is_text:
        if not (PLAIN_INTEGER if is_auto else PADDED_INTEGER).fullmatch(text) or abs(int(text)) >= 2**63:
            raise odd_id(where, role, text, "all of the first lines'")
        return
    if problem := text_problem(text):
        raise DataError(f"{where}: the {role} id {text[:40]!r} {problem}")
    if is_auto and (problem := text_oddity(text, has_quotes)):
        raise DataError(
            f"{where}: the {role} id {text[:40]!r} {problem}; correct or drop the line, or if it is an id say that "
            "all are text: --id-type str (in Python id_type='str')"
        )


def _check_number(
    text: str, role: str, dtype: type[np.floating], where: str, has_comma: bool = False
) -> None:
    written = text.replace(",", ".") if has_comma else text
    if not NUMBER.fullmatch(written) or not abs(float(written)) <= float(np.finfo(dtype).max):
        comma = "a decimal comma is to be a point; " if "," in text else ""
        raise DataError(
            f"{where}: the {role} {text[:40]!r} is not a finite number; {comma}correct the line, or {_leave_out(role)}"
        )


def _check_not_negative(text: str, where: str) -> None:
    if text.startswith("-") and float(text.replace(",", ".")) < 0:
        raise DataError(
            f"{where}: the weight {text[:40]!r} is below 0; a weight is 0 or more: correct the line, or "
            f"{_leave_out('weight')}"
        )


def _check_position(text: str, where: str) -> None:
    if not PADDED_INTEGER.fullmatch(text) or not 0 <= int(text) <= MAX_COUNT:
        raise DataError(
            f"{where}: the position {text[:40]!r} is no whole number from 0, at the top, to {MAX_COUNT}; correct the "
            f"line, or {_leave_out('position')}"
        )


def _leave_out(role: str) -> str:
    return f"leave the column out if it is not a {role}: --columns {role}= (in Python columns={{{role!r}: None}})"
