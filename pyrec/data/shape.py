"""Finds out from the first lines of a text file how it is to be read; every line is held against that later."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pyrec.data.fields import NUMBER, PLAIN_INTEGER
from pyrec.data.files import Content
from pyrec.data.other_formats import refuse_foreign
from pyrec.data.reading import Reading
from pyrec.data.records import BLANKS, Dialect, Row
from pyrec.data.roles import ROLES, assign_roles, role_of
from pyrec.data.time_text import text_times
from pyrec.errors import ConfigError, DataError

SEPARATORS: Final = ("\t", ",", "::", ";", "|")
"""That are looked for, besides blanks."""
LISTS: Final = "lines 'user item item ...'"
DECIDE: Final = "say which: --format lists, or --sep ' ' (in Python format='lists', or sep=' ')"

_LOOK_ROWS = 1000
_QUOTED: Final = (",", ";")
_EXCEL_SEP: Final = re.compile(r'"?sep=(.)"?\s*')
_COMMENT: Final = ("#", "%")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]*,[0-9]{1,2}")
_DIGITS: Final = re.compile(r"[0-9]+")

Number: TypeAlias = Literal["point", "comma"]
Time: TypeAlias = Literal["number", "text"]


@dataclass(frozen=True)
class Lists:
    """A file of LightGCN's lines ``user item item ...``.

    Attributes:
        skip: lines before the first.
        is_sure: whether the caller says so; else lines that look like columns speak against it.
        is_even: whether the first lines have the same number of fields, three or more.
    """

    skip: int
    is_sure: bool
    is_even: bool


@dataclass(frozen=True)
class Layout:
    """How a delimited file is to be read.

    Attributes:
        path: the file.
        dialect: how its fields are apart.
        num_columns: columns of every line.
        header: the names of the columns, or None.
        skip: lines before the first row of data.
        roles: column number of "user", "item" and, where there are, "rating" and "time".
        text_ids: which of "user" and "item" are text; the others are integers.
        empty: columns that would have a role by their position, but hold nothing in the first lines.
        decimal: how ratings write a fraction.
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
    empty: frozenset[int] = frozenset()
    decimal: Number = "point"
    times: Time = "number"
    notes: tuple[str, ...] = ()


@dataclass
class _Look:
    """The first lines of a file, and what the caller says."""

    path: Path
    reading: Reading
    lines: list[tuple[int, str]]
    notes: list[str] = field(default_factory=list)
    comments: list[tuple[int, str]] = field(default_factory=list)
    sep: str | None = None

    def text(self) -> bytes:
        return "".join(line if line.endswith("\n") else line + "\n" for _, line in self.lines).encode()

    def rows(self, dialect: Dialect) -> list[Row]:
        block = self.text()
        block = block[: len(block) - dialect.unfinished(block)] or block
        return list(dialect.rows(block, self.lines[0][0], self.path))


def find_shape(content: Content, reading: Reading) -> Lists | Layout:
    """Finds out the shape of a text file.

    Raises:
        ConfigError: the caller says what cannot be.
        DataError: the file is of another kind, has no line of data, or its shape cannot be told; the message names what
            speaks against it and how to decide.
    """
    path = content.path
    if reading.format is None and reading.sep is None:
        refuse_foreign(content)
    look = _Look(path, reading, content.lines()[: 2 * _LOOK_ROWS])
    _pass_over(look)
    if not look.lines:
        raise DataError(f"{path} holds no interaction; give a file with one interaction a line")
    first = look.lines[0][1]
    sep = reading.sep or look.sep
    if reading.format == "lists":
        if reading.sep is not None:
            raise ConfigError(f"sep is {reading.sep!r}, but lists have blanks between; leave it out")
        return _lists(look, True)
    if sep is None and not any(one in first for one in SEPARATORS):
        return _of_blanks(look)
    if sep is None and _is_blank_apart(look):
        return _of_blanks(look)
    if sep is not None:
        return _layout(look, _dialect(look, sep))
    return _best(look, [one for one in SEPARATORS if one in first])


def _pass_over(look: _Look) -> None:
    """Takes blank lines, Excel's ``sep=`` and comments from the start of the lines."""
    lines = look.lines
    while lines and (not lines[0][1].strip() or lines[0][1].startswith(_COMMENT)):
        if lines[0][1].strip():
            look.comments.append(lines[0])
        lines.pop(0)
    if lines and (match := _EXCEL_SEP.fullmatch(lines[0][1])):
        look.sep = match[1]
        lines.pop(0)
        while lines and not lines[0][1].strip():
            lines.pop(0)
    if not lines and look.comments:
        look.lines, look.comments = look.comments, []


def _lists(look: _Look, is_sure: bool) -> Lists:
    if look.comments:
        look.notes.append(_comment_note(look.comments))
    counts = {len(line.split()) for _, line in look.lines if line.strip()}
    return Lists(look.lines[0][0] - 1, is_sure, len(counts) == 1 and min(counts) > 2)


def _comment_note(comments: Sequence[tuple[int, str]]) -> str:
    numbers = [number for number, _ in comments]
    which = (
        f"line {numbers[0]} is a comment" if len(numbers) == 1 else f"{len(numbers)} first lines are comments"
    )
    return f"{which} and left out: {comments[0][1].strip()[:40]!r}"


def _is_blank_apart(look: _Look) -> bool:
    """Tells whether all lines are digits and blanks, and some fields between tabs hold blanks."""
    texts = [line.strip() for _, line in look.lines]
    return all(re.fullmatch(r"[0-9 \t]*", text) for text in texts) and any(
        re.search(r"[0-9] +[0-9]", text) for text in texts
    )


def _of_blanks(look: _Look) -> Lists | Layout:
    """Tells lists from columns that blanks are between."""
    reading = look.reading
    rows = [line.split() for _, line in look.lines if line.strip()]
    is_even = len({len(row) for row in rows}) == 1 and len(rows[0]) > 1
    asked = set(reading.given()) & {"columns", "header", "time_format"}
    is_asked = reading.format == "delimited" or (asked and (is_even or not _are_whole(rows)))
    if is_asked or (is_even and _are_columns(rows)):
        return _layout(look, _dialect(look, BLANKS))
    if not _are_whole(rows[:1]):
        _refuse_blanks(look)
    reading.refuse(
        ("columns", "header", "time_format", *(["id_type"] if reading.id_type == "str" else [])),
        f"{look.path} holds {LISTS}",
    )
    return _lists(look, False)


def _are_whole(rows: list[list[str]]) -> bool:
    return all(_DIGITS.fullmatch(text) for row in rows for text in row)


def _are_columns(rows: list[list[str]]) -> bool:
    """Tells rows of one length for columns that no list could be: a header with names, or ratings beside other ids."""
    if {"user", "item"} <= set(map(role_of, rows[0])):
        return True
    data = rows[1:] if len(rows) > 1 and not any(map(NUMBER.fullmatch, rows[0])) else rows
    if len(rows[0]) < 3 or not all(NUMBER.fullmatch(row[2]) for row in data):
        return False
    is_rated = not all(_DIGITS.fullmatch(text) for row in data for text in row[2:])
    return is_rated or not all(NUMBER.fullmatch(text) for row in data for text in row[:2])


def _refuse_blanks(look: _Look) -> None:
    number, line = look.lines[0]
    raise DataError(
        f"{look.path}, line {number}: {line.strip()[:40]!r} is neither {LISTS} of whole numbers nor has it a tab, "
        "comma, '::', ';' or '|' between columns; is this the right file? If something else is between columns, say "
        "what: --sep ' ' (in Python sep=' ')"
    )


def _dialect(look: _Look, sep: str) -> Dialect:
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


def _best(look: _Look, candidates: list[str]) -> Layout:
    """Chooses the separator that all lines agree on and that leaves no other one within ids."""
    dialects = [_dialect(look, sep) for sep in candidates]
    even = []
    for dialect in dialects:
        try:
            rows = look.rows(dialect)
        except DataError:
            continue
        if len({len(row) for _, row in rows}) == 1 and len(rows[0][1]) > 1:
            even.append((dialect, rows))
    if not even:
        return _layout(look, dialects[0])
    fitting = [dialect for dialect, rows in even if not _is_within_ids(look, dialect, rows, even)]
    if not fitting and len(even) > 1:
        shown = " and ".join(repr(dialect.sep) for dialect, _ in even)
        raise DataError(
            f"{look.path}, line {look.lines[0][0]}: every line has as many {shown}; which of them is between columns? "
            f"say --sep {even[0][0].sep!r} (in Python sep={even[0][0].sep!r})"
        )
    return _layout(look, (fitting or [dialect for dialect, _ in even])[0])


def _is_within_ids(
    look: _Look, dialect: Dialect, rows: list[Row], even: list[tuple[Dialect, list[Row]]]
) -> bool:
    others = [other.sep for other, _ in even if other.sep != dialect.sep]
    try:
        layout = _layout(_Look(look.path, look.reading, look.lines), dialect)
    except (DataError, ConfigError):
        at = [0, 1]
    else:
        at = [layout.roles["user"], layout.roles["item"]]
    return any(other in row[column] for other in others for _, row in rows for column in at)


def _layout(look: _Look, dialect: Dialect) -> Layout:
    reading, path = look.reading, look.path
    rows = look.rows(dialect)[: _LOOK_ROWS + 1]
    notes = list(look.notes)
    if not rows:
        raise DataError(f"{path} holds no interaction; give a file with one interaction a line")
    num_columns = len(rows[0][1])
    header_row, comments = _header(look, dialect, rows)
    if comments:
        notes.append(_comment_note(comments))
    is_first = header_row is not None and header_row is rows[0]
    data = rows[1:] if is_first else rows
    if not data:
        raise DataError(f"{path} has a header but no line of data; give a file with one interaction a line")
    first_line, first = header_row or rows[0]
    where = f"{path}, line {first_line}"
    if num_columns < 2:
        raise DataError(f"{where}: {_one_column(look.lines[0][1])}")
    fitting = [(number, row) for number, row in data if len(row) == num_columns]
    if not fitting:
        raise wrong_count(f"{path}, line {data[0][0]}", len(data[0][1]), num_columns)
    header = None if header_row is None else tuple(first)
    again = next((number for number, row in data if header is not None and tuple(row) == header), None)
    if again is not None:
        raise header_again(f"{path}, line {again}")
    empty = [at for at in range(num_columns) if all(row[at] == "" for _, row in fitting)]
    roles = assign_roles(header, num_columns, where, reading.columns, empty)
    cells = {role: [(number, row[at]) for number, row in fitting] for role, at in roles.items()}
    told = header_row is not None or reading.header is not None
    if not told and not any(map(NUMBER.fullmatch, first)):
        if not reading.columns and "rating" in roles:
            _refuse_unknown_header(where, first)
        notes.append(f"line {first_line} is read as data, not as a header: {', '.join(map(repr, first[:4]))}")
    if told and header_row is not None and reading.header is None:
        _check_header(path, tuple(first), roles, cells, reading)
    decimal: Number = "point"
    if "rating" in roles:
        decimal = _check_ratings(
            path, cells["rating"], dialect, header is None and not reading.columns, roles
        )
        if decimal == "comma":
            notes.append("ratings have a decimal comma")
    times: Time = "number"
    if "time" in roles:
        found = _times(path, cells["time"], reading, header, roles["time"], notes)
        if found is None:
            del roles["time"]
        else:
            times = found
    elif reading.time_format is not None:
        raise ConfigError(
            f"time_format is {reading.time_format!r}, but {path} has no known time column; choose it: "
            "columns={'time': ...}, or --columns time=..."
        )
    text_ids = frozenset(
        role for role in ("user", "item") if _is_text(path, role, cells[role], reading.id_type)
    )
    skip = (data[0][0] if not is_first else _next_line(look, dialect, rows[0][0])) - 1
    unused = frozenset(empty) - set(roles.values()) if header is None and not reading.columns else frozenset()
    return Layout(
        path, dialect, num_columns, header, skip, roles, text_ids, unused, decimal, times, tuple(notes)
    )


def _next_line(look: _Look, dialect: Dialect, line: int) -> int:
    """Returns the line behind the row that starts at a line; a quoted line end does not end a row."""
    block = b"".join(text.encode() for number, text in look.lines if number >= line)
    return line + block.count(b"\n", 0, dialect.row_end(block))


def _one_column(line: str) -> str:
    found = [sep for sep in SEPARATORS if sep in line]
    if line.lstrip().startswith('"') and found:
        return f"the whole line is one field in quotes, {line.strip()[:40]}; take the quotes off"
    way = f"is {found[0]!r} the separator? Say it" if found else "say what is between columns"
    option = f"--sep {found[0] if found else ' '!r} (in Python sep=)"
    return f"one column found, but a user and an item are needed; {way}: {option}"


def _header(look: _Look, dialect: Dialect, rows: list[Row]) -> tuple[Row | None, Sequence[tuple[int, str]]]:
    """Returns the header, if there is one, and the comments that are none."""
    comments, reading = look.comments, look.reading
    if comments and reading.header is not False:
        number, line = comments[-1]
        text = line.lstrip("".join(_COMMENT)).encode().rstrip(b"\n") + b"\n"
        names = next(iter(dialect.rows(text, number, look.path)), (number, [""]))
        known = {"user", "item"} <= set(map(role_of, names[1]))
        if known or (reading.header and len(names[1]) == len(rows[0][1])):
            return names, comments[:-1]
    if comments:
        number, line = comments[-1]
        (_, row), *_ = dialect.rows(line.encode().rstrip(b"\n") + b"\n", number, look.path)
        if len(row) == len(rows[0][1]) > 1:
            raise DataError(
                f"{look.path}, line {number}: {line.strip()[:40]!r} may be a comment, a header or data; drop its "
                f"{line[0]!r} and say which: --header or --no-header (in Python header=True or False), or drop the line"
            )
    return (rows[0] if _is_header([row for _, row in rows], reading) else None), comments


def _is_header(rows: list[list[str]], reading: Reading) -> bool:
    """Tells whether the first row is a header.

    It is if the caller says so, or chooses columns by name; if it names a user and an item column; or if none of its
    fields is a number and some column holds nothing but numbers, or times, below a field that is none.
    """
    if reading.header is not None:
        return reading.header
    if any(isinstance(column, str) for column in (reading.columns or {}).values()):
        return True
    first, data = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if {"user", "item"} <= set(map(role_of, first)):
        return True
    if any(map(NUMBER.fullmatch, first)) or not data:
        return False
    columns = [[row[at] for row in data if row[at]] for at in range(len(first))]
    return any(
        column and (all(map(NUMBER.fullmatch, column)) or (_are_times(column) and not _are_times([name])))
        for name, column in zip(first, columns, strict=True)
    )


def _are_times(texts: list[str]) -> bool:
    return text_times(texts)[1] is None


def _refuse_unknown_header(where: str, first: list[str]) -> None:
    raise DataError(
        f"{where}: which columns are the user and the item? {', '.join(map(repr, first))} are no known names and may "
        "be a header or data; say which, --header or --no-header, and choose columns: --columns user=1,item=2 (in "
        "Python header=True or False, columns={'user': 1, 'item': 2})"
    )


def _check_header(
    path: Path,
    names: tuple[str, ...],
    roles: dict[str, int],
    cells: dict[str, list[tuple[int, str]]],
    reading: Reading,
) -> None:
    """Refuses a header that was believed for a column chosen by name, and whose names look like the data."""
    for role in ("user", "item"):
        name = names[roles[role]]
        if role_of(name) == role or not isinstance((reading.columns or {}).get(role), str):
            continue
        again = next((number for number, text in cells[role] if text == name), None)
        alike = all(_pattern(text) == _pattern(name) for _, text in cells[role])
        if again is not None or (alike and any(map(str.isdigit, name))):
            line = cells[role][0][0] if again is None else again
            raise DataError(
                f"{path}, line {line}: the column {name!r} holds {name if again else cells[role][0][1]!r} here, so the "
                f"first line may be data; say so: --no-header --columns {role}={roles[role] + 1} (in Python "
                f"header=False, columns={{{role!r}: {roles[role] + 1}}}), or header=True if it is a header"
            )


def _pattern(text: str) -> str:
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", text))


def _check_ratings(
    path: Path, cells: list[tuple[int, str]], dialect: Dialect, is_by_position: bool, roles: dict[str, int]
) -> Number:
    """Returns how ratings write a fraction.

    Raises:
        DataError: they are times, or no numbers.
    """
    odd = [(number, text) for number, text in cells if not NUMBER.fullmatch(text)]
    column = roles["rating"] + 1
    chosen = f"--columns user=1,item=2,time={column} (in Python columns={{'user': 1, 'item': 2, 'time': {column}}})"
    if is_by_position and "time" not in roles:
        texts = [text for _, text in cells]
        if (not odd and all(_is_unix_time(text) for text in texts)) or (odd and _are_times(texts)):
            raise DataError(
                f"{path}, line {cells[0][0]}: column {column} would be the rating, but {texts[0]!r} is like a time; "
                f"choose columns: {chosen}"
            )
    has_commas = bool(odd) and dialect.sep != "," and all(_DECIMAL_COMMA.fullmatch(text) for _, text in odd)
    return "comma" if has_commas and not any("." in text for _, text in cells) else "point"


def _is_unix_time(text: str) -> bool:
    return bool(PLAIN_INTEGER.fullmatch(text)) and int(text) >= 10**8


def _times(
    path: Path,
    cells: list[tuple[int, str]],
    reading: Reading,
    header: tuple[str, ...] | None,
    column: int,
    notes: list[str],
) -> Time | None:
    """Tells how times are written; None, with a note, for a column without times that nobody chose or needs."""
    texts = [text for _, text in cells]
    odd = [(number, text) for number, text in cells if not NUMBER.fullmatch(text)]
    if reading.time_format is None and 2 * len(odd) <= len(cells):
        return "number"
    _, bad = text_times(texts, reading.time_format)
    if bad is None:
        return "text"
    number, text = cells[bad.position]
    if reading.needs_times or reading.time_format is not None or "time" in (reading.columns or {}):
        raise DataError(
            f"{path}, line {number}: the time {text[:40]!r} {bad.reason}; on the command line --time-format"
        )
    name = f"column {column + 1}" if header is None else f"the column {header[column]!r}"
    notes.append(
        f"{name} is left out: line {number} has {text[:40]!r}, which is no time in ISO 8601 (--time-format says how "
        "times are written)"
    )
    return None


def _is_text(path: Path, role: str, cells: list[tuple[int, str]], id_type: str) -> bool:
    """Tells whether ids are text: at most half of the first rows hold a plain integer, or some have leading zeros."""
    if id_type != "auto":
        return id_type == "str"
    odd = [(number, text) for number, text in cells if not _is_integer(text)]
    strange = [(number, text) for number, text in odd if not _DIGITS.fullmatch(text)]
    if odd and not strange:
        return True  # leading zeros, or more digits than an int64 has
    if odd and (2 * len(odd) < len(cells) or all(NUMBER.fullmatch(text) for _, text in cells)):
        raise odd_id(f"{path}, line {strange[0][0]}", role, strange[0][1], "most of the first lines'")
    return bool(odd)


def _is_integer(text: str) -> bool:
    return bool(PLAIN_INTEGER.fullmatch(text)) and abs(int(text)) < 2**63


def header_again(where: str) -> DataError:
    """Returns the error for a row that repeats the header."""
    return DataError(
        f"{where}: the header again; is the file made of several? drop the line, or read them one by one"
    )


def wrong_count(where: str, found: int, num_columns: int) -> DataError:
    """Returns the error for a row with another number of columns than the first line."""
    return DataError(
        f"{where}: {found} columns, but the first line has {num_columns}; complete the line or drop it, or say what is "
        "between columns: --sep (in Python sep=)"
    )


def odd_id(where: str, role: str, text: str, which: str) -> DataError:
    """Returns the error for an id that is no plain integer where others are."""
    if NUMBER.fullmatch(text):
        return DataError(
            f"{where}: the {role} id {text[:40]!r} is a number, but not written as a plain integer within int64, as "
            f"{which} are; mend the column, or if ids are text say so: --id-type str (in Python id_type='str')"
        )
    return DataError(
        f"{where}: the {role} id {text[:40]!r} is not a plain integer, but {which} are; mend the line, or if ids are "
        "text say so: --id-type str (in Python id_type='str')"
    )


__all__ = ["ROLES", "Layout", "Lists", "find_shape", "odd_id"]
