"""Finds out from the first lines of a text file how it is to be read; every line is held against that later."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from pyrec.data.read.fields import NUMBER
from pyrec.data.read.files import Content
from pyrec.data.read.kinds import DIGITS
from pyrec.data.read.layout import SEPARATORS, Layout, find_layout
from pyrec.data.read.look import Look, comment_note, look_at
from pyrec.data.read.other_formats import refuse_other
from pyrec.data.read.reading import Reading
from pyrec.data.read.records import BLANKS, Dialect, Row
from pyrec.data.roles import names_both
from pyrec.errors import ConfigError, DataError

LISTS: Final = "lines 'user item item ...'"
MATRIX: Final = "a matrix of users x items"
_MATRIX_COLUMNS: Final = 5
"""That a matrix has at least to be told for one."""
DECIDE: Final = "say which: --format lists, or --sep ' ' (in Python format='lists', or sep=' ')"
_BLANK_ROWS: Final = 200
"""These lines decide between lists and columns; the rest is checked against that."""
_QUOTED: Final = (",", ";")


@dataclass(frozen=True)
class Lists:
    """A file of LightGCN's lines ``user item item ...``.

    Attributes:
        skip: lines before the first.
        is_sure: whether the caller says so; else lines that look like columns speak against it.
        is_even: whether the first lines have the same number of fields, three or more.
        notes: what was decided, a sentence each.
    """

    skip: int
    is_sure: bool
    is_even: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Matrix:
    """A file of a matrix users x items, a line a user.

    Attributes:
        skip: lines before the first.
        sep: what is between two numbers.
        notes: what was decided, a sentence each.
    """

    skip: int
    sep: str
    notes: tuple[str, ...] = ()


def find_shape(content: Content, reading: Reading) -> Lists | Layout | Matrix:
    """Finds out the shape of a text file.

    Raises:
        ConfigError: the caller says what cannot be.
        DataError: the file is of another kind, has no line of data, or its shape is not clear; the message names what
            speaks against it and how to decide.
    """
    if reading.format == "matrix":
        return _told_matrix(content, reading)
    if reading.format is None and reading.sep is None:
        refuse_other(content)
    look = look_at(content, reading)
    if not look.lines:
        raise DataError(f"{content.path} holds no interaction; give a file with one interaction a line")
    if reading.format == "lists":
        unused = (
            "columns",
            "header",
            "sep",
            "time_format",
            *(["id_type"] if reading.id_type == "str" else []),
        )
        reading.refuse(unused, f"format is 'lists', {LISTS}")
        return _lists(look, True)
    sep = reading.sep or look.sep
    if sep is not None:
        return find_layout(look, dialect_of(look, sep))
    candidates = [one for one in SEPARATORS if one in look.lines[0][1]]
    if not candidates or _is_apart_by_blanks(look):
        return _of_blanks(look)
    return _best(look, candidates)


def _told_matrix(content: Content, reading: Reading) -> Matrix:
    """Returns a matrix that the caller says is one."""
    _refuse_columns(reading, f"format is 'matrix', {MATRIX}")
    skip = 0
    while content.head.startswith(b"#", _line_start(content.head, skip)):
        skip += 1
    first = content.head[_line_start(content.head, skip) :].lstrip().split(b"\n", 1)[0]
    found = next((sep for sep in _QUOTED if sep.encode() in first), BLANKS)
    return Matrix(skip, found if reading.sep is None else reading.sep)


def _line_start(text: bytes, number: int) -> int:
    """Returns where a line starts, numbered from 0; the end of the text if it has no such line."""
    at = 0
    for _ in range(number):
        at = text.find(b"\n", at) + 1 or len(text)
    return at


def _refuse_columns(reading: Reading, where: str) -> None:
    """Refuses options of columns where there are none."""
    is_text = ["id_type"] if reading.id_type == "str" else []
    reading.refuse(("columns", "header", "time_format", *is_text), where)


def _lists(look: Look, is_sure: bool) -> Lists:
    counts = set(map(len, _fields(look)))
    notes = (comment_note(look.comments),) if look.comments else ()
    return Lists(look.lines[0][0] - 1, is_sure, len(counts) == 1 and min(counts) > 2, notes)


def _fields(look: Look) -> list[list[str]]:
    """Returns what is between the blanks of the first lines."""
    if any('"' in text for _, text in look.lines[:_BLANK_ROWS]):
        return [row for _, row in look.rows(Dialect(BLANKS, True))]
    texts = [text.strip(" \t\r\n").replace("\t", " ") for _, text in look.lines[:_BLANK_ROWS]]
    return [[field for field in text.split(" ") if field] for text in texts if text]


def _is_apart_by_blanks(look: Look) -> bool:
    """Tells whether all lines are digits and blanks, and some fields between tabs hold blanks."""
    texts = [text.strip() for _, text in look.lines]
    return all(re.fullmatch(r"[0-9 \t]*", text) for text in texts) and any(
        re.search(r"[0-9] +[0-9]", text) for text in texts
    )


def _of_blanks(look: Look) -> Lists | Layout | Matrix:
    """Tells lists, columns that blanks are between, and a matrix."""
    reading = look.reading
    rows = _fields(look)
    is_even = _is_even(rows)
    says_columns = bool(reading.given().keys() & {"columns", "header", "time_format"})
    says_columns |= is_even and reading.id_type == "str"
    if reading.format == "delimited" or (says_columns and (is_even or not _are_whole(rows))):
        return find_layout(look, dialect_of(look, BLANKS))
    if is_even and _is_matrix(rows):
        note = (
            f"each line has {len(rows[0])} numbers, most of them 0, and is a user's ratings of all items, 0 for none; "
            "if these are lines 'user item item ...' say so: --format lists (in Python format='lists')"
        )
        comments = (comment_note(look.comments),) if look.comments else ()
        return Matrix(look.lines[0][0] - 1, BLANKS, (*comments, note))
    if is_even and _are_columns(rows):
        return find_layout(look, dialect_of(look, BLANKS))
    if not _are_whole(rows[:1]):
        _refuse_line(look)
    _refuse_columns(reading, f"{look.path} holds {LISTS}")
    return _lists(look, False)


def _are_whole(rows: list[list[str]]) -> bool:
    return all(DIGITS.fullmatch(text) for row in rows for text in row)


def _is_matrix(rows: list[list[str]]) -> bool:
    """Tells rows of one length for those of a matrix: five numbers or more, of which most are 0.

    As lists some would hold the item 0 twice; columns without names are no more than four.
    """
    if len(rows[0]) < _MATRIX_COLUMNS or not all(NUMBER.fullmatch(text) for row in rows for text in row):
        return False
    zeros = sum(float(text) == 0 for row in rows for text in row)
    return 2 * zeros > len(rows) * len(rows[0])


def _are_columns(rows: list[list[str]]) -> bool:
    """Tells rows of one length for columns that no list could be: a header with names, or ratings beside other ids."""
    if names_both(rows[0]):
        return True
    data = rows[1:] if len(rows) > 1 and not any(map(NUMBER.fullmatch, rows[0])) else rows
    if len(rows[0]) < 3 or not all(NUMBER.fullmatch(row[2]) for row in data):
        return False
    is_rated = not all(DIGITS.fullmatch(text) for row in data for text in row[2:])
    return is_rated or not all(NUMBER.fullmatch(text) for row in data for text in row[:2])


def _refuse_line(look: Look) -> NoReturn:
    number, text = look.lines[0]
    raise DataError(
        f"{look.path}, line {number}: {text.strip()[:40]!r} is neither {LISTS} of whole numbers nor has it a tab, "
        "comma, '::', ';' or '|' between columns; is this the right file? If something else is between columns, say "
        "what: --sep ' ' (in Python sep=' ')"
    )


def dialect_of(look: Look, sep: str) -> Dialect:
    """Returns how fields are apart: beside commas and semicolons quotes count, elsewhere where a column has them."""
    if sep in _QUOTED:
        return Dialect(sep, True)
    if '"' not in look.lines[0][1]:
        return Dialect(sep, False)
    if sep == BLANKS:
        return Dialect(sep, True)
    rows = [row for _, row in look.rows(Dialect(sep, False))]
    columns = zip(*(row for row in rows if len(row) == len(rows[0])), strict=True)
    return Dialect(sep, any(all(len(c) > 1 and c[0] == c[-1] == '"' for c in column) for column in columns))


def _best(look: Look, candidates: list[str]) -> Layout:
    """Chooses the separator that all lines agree on and that leaves no other such one within ids."""
    dialects = [dialect_of(look, sep) for sep in candidates]
    even = [(dialect, rows) for dialect in dialects if (rows := even_rows(look, dialect))]
    if not even:
        return find_layout(look, dialects[0])
    separators = [dialect.sep for dialect, _ in even]
    fitting = [dialect for dialect, rows in even if not _is_within_ids(look, dialect, rows, separators)]
    if not fitting and len(even) > 1:
        shown = " and ".join(map(repr, separators))
        raise DataError(
            f"{look.path}, line {look.lines[0][0]}: every line has as many {shown}; which of them is between columns? "
            f"say --sep {separators[0]!r} (in Python sep={separators[0]!r})"
        )
    return find_layout(look, (fitting or [even[0][0]])[0])


def even_rows(look: Look, dialect: Dialect) -> list[Row]:
    """Returns the rows if all have the same number of fields, two or more; else none."""
    try:
        rows = look.rows(dialect)
    except DataError:
        return []
    return rows if _is_even([row for _, row in rows]) else []


def _is_even(rows: list[list[str]]) -> bool:
    """Tells whether all rows have the same number of fields, two or more; a header may lack that of row names."""
    counts = {len(row) for row in rows[1:]} or {len(rows[0])}
    is_header = names_both(rows[0])
    return (
        len(counts) == 1 and max(counts) > 1 and max(counts) - len(rows[0]) in ((0, 1) if is_header else (0,))
    )


def _is_within_ids(look: Look, dialect: Dialect, rows: list[Row], separators: list[str]) -> bool:
    """Tells whether one of the separators is within the users or items that a dialect would give."""
    try:
        found = find_layout(replace(look, reading=replace(look.reading, time_format=None)), dialect)
        columns = [found.roles[role] for role in ("user", "item")]
    except (DataError, ConfigError):
        columns = [0, 1]
    others = [sep for sep in separators if sep != dialect.sep]
    return any(sep in row[at] for sep in others for _, row in rows for at in columns)
