"""Reads what items are called: MovieLens' movies.csv, movies.dat and u.item, RecBole's .item, Parquet, and others."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from pyrec.data.read.files import Content, opened
from pyrec.data.read.layout import SEPARATORS
from pyrec.data.read.parquet import MAGIC, read_columns
from pyrec.data.roles import check_column, plain_name, role_of
from pyrec.errors import ConfigError, DataError

NameColumns: TypeAlias = Mapping[str, str | int]
"""The column of the ids, ``id``, and of the names, ``name``: by its name in the header, or its number from 1."""

_ENTRIES: Final = ("id", "name")
_TITLES: Final = ("title", "name", "label")
_LOOK_ROWS: Final = 50
"""Rows that decide what is between columns."""
_INTEGER: Final = re.compile("0|-?[1-9][0-9]{0,17}")
_MEND: Final = "columns={'id': 1, 'name': 2}, or on the command line FILE:id=1,name=2"


class _Places(NamedTuple):
    """Where ids and names are, columns from 0, and whether the first row is a header."""

    id: int
    name: int
    has_header: bool


def read_item_names(
    path: str | os.PathLike[str], items: Any | None = None, columns: NameColumns | None = None
) -> dict[Any, str]:
    """Returns what items are called, by raw id.

    The file is delimited text, perhaps packed, or Parquet. A header with well-known names tells the columns: that of
    an item or ``id``, and ``title``, ``name``, ``movie_title`` or the like. Without a header, the first column has the
    ids and the second the names. Text that is not UTF-8 is taken for Latin-1. Items with an empty name are left out;
    of two names of an item the later counts.

    Args:
        path: Of the file.
        items: (m,) raw ids of the items that are asked for, such as ``train.item_ids``; the ids returned are among
            these. None for all items of the file: ids in text are integers if all are whole numbers.
        columns: Which columns have the ids, ``id``, and the names, ``name``; what it lacks is found by well-known
            names.

    Raises:
        ConfigError: If ``columns`` is no such mapping, or the file is Parquet and PyArrow is not installed.
        DataError: If the file cannot be read, a column cannot be told, a line has too few of them or quotes that do
            not close, or none of ``items`` has a name.
    """
    chosen = _checked(columns)
    if not isinstance(path, (str, os.PathLike)):
        raise DataError(f"path is {type(path).__name__} {path!r:.40}, but the path of a file is needed")
    path = Path(path)
    known = None if items is None else {str(raw): raw for raw in np.asarray(items).tolist()}
    with opened(path) as content:
        is_text = not content.head.startswith(MAGIC)
        pairs = _of_text(content, chosen, known) if is_text else _of_parquet(content, chosen)
        named = [(raw, name.strip()) for raw, name in pairs if name.strip()]
    if known is None:
        return _by_raw_id(named) if is_text else dict(named)
    names = {known[str(raw)]: name for raw, name in named if str(raw) in known}
    if not names:
        raise DataError(
            f"{path} names none of the {len(known):,} items, such as {_some(known)}; its ids are such as "
            f"{_some(str(raw) for raw, _ in named)}: is it the file of these items? Say which columns: {_MEND}"
        )
    return names


def _by_raw_id(named: list[tuple[Any, str]]) -> dict[Any, str]:
    """Returns names by raw ids, which are integers if all texts are."""
    if len(named) > 1 and named[0][0].isidentifier() and all(_INTEGER.fullmatch(raw) for raw, _ in named[1:]):
        named = named[1:]  # a header of names that are not well known
    if all(_INTEGER.fullmatch(raw) for raw, _ in named):
        return {int(raw): name for raw, name in named}
    return dict(named)


def _checked(columns: NameColumns | None) -> dict[str, str | int]:
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise ConfigError(
            f"columns is {type(columns).__name__}; it is a mapping, such as {{'id': 1, 'name': 'title'}}"
        )
    for entry, column in columns.items():
        if entry not in _ENTRIES:
            raise ConfigError(f"columns names {entry!r}; its entries are {' and '.join(_ENTRIES)}")
        check_column(entry, column)
    return dict(columns)


def _some(values: Iterable[str]) -> str:
    return ", ".join(repr(value[:40]) for value in islice(values, 3)) or "none"


# Which columns


def _places(names: Sequence[str], where: str, chosen: Mapping[str, str | int]) -> _Places:
    """Returns the columns of a table with this header."""
    plain = list(map(plain_name, names))
    known_id = _position(chosen, "id", names, where)
    if known_id is None:
        known_id = _id_column(names)
    known_name = _position(chosen, "name", names, where)
    if known_name is None:
        known_name = _name_column(plain, known_id)
    if len(names) == 2:  # whatever the other is called
        known_id = 1 - known_name if known_id is None and known_name is not None else known_id
        known_name = 1 - known_id if known_name is None and known_id is not None else known_name
    for entry, found in (("id", known_id), ("name", known_name)):
        if found is None:
            shown = ", ".join(repr(name[:40]) for name in names[:20])
            raise DataError(
                f"{where}: which column is the item's {entry}? The columns are {shown}; say it: {_MEND}"
            )
    assert known_id is not None
    assert known_name is not None
    if known_id == known_name:
        raise DataError(
            f"{where}: column {known_id + 1} cannot be both id and name; say which they are: {_MEND}"
        )
    return _Places(known_id, known_name, True)


def _position(chosen: Mapping[str, str | int], entry: str, names: Sequence[str], where: str) -> int | None:
    column = chosen.get(entry)
    if column is None:
        return None
    if isinstance(column, int):
        if not 1 <= column <= len(names):
            raise DataError(
                f"{where}: columns[{entry!r}] = {column}, but there are columns 1 to {len(names)}"
            )
        return column - 1
    plain = [name.strip() for name in names]
    short = [name.partition(":")[0] for name in plain]  # RecBole's types are behind a colon
    for spelled in (plain, short):
        if spelled.count(column) == 1:
            return spelled.index(column)
    shown = ", ".join(repr(name[:40]) for name in names[:20])
    raise DataError(
        f"{where}: columns[{entry!r}] = {column!r}, but the columns are {shown}; give one of these"
    )


def _id_column(names: Sequence[str]) -> int | None:
    """Returns the column with the ids, if its name tells: the first of an item, else one that is called id."""
    for at, name in enumerate(names):
        if role_of(name) == "item":
            return at
    return next((at for at, name in enumerate(names) if plain_name(name) == "id"), None)


def _name_column(plain: Sequence[str], id_column: int | None) -> int | None:
    """Returns the column with the names, if its own tells: first that of the thing that has the id."""
    stem = "" if id_column is None else plain[id_column].removesuffix("id")
    ending = [one for one in plain if one.endswith(("title", "name")) and not one.startswith("user")]
    for word in (f"{stem}title", f"{stem}name", *_TITLES, *(ending if len(ending) == 1 else ())):
        at = next((at for at, one in enumerate(plain) if one == word and at != id_column), None)
        if at is not None:
            return at
    return None


# Parquet


def _of_parquet(content: Content, chosen: Mapping[str, str | int]) -> Iterator[tuple[int | str, str]]:
    found: list[str] = []

    def choose(names: list[str]) -> list[str]:
        places = _places(names, str(content.path), chosen)
        found.extend((names[places.id], names[places.name]))
        return found

    table = read_columns(content, choose)
    ids, names = (table.column(name).to_pylist() for name in found)
    for raw, name in zip(ids, names, strict=True):
        if raw is not None and name is not None:
            is_whole = isinstance(raw, float) and raw.is_integer()
            yield (int(raw) if isinstance(raw, int) or is_whole else str(raw)), str(name)


# Text


def _of_text(
    content: Content, chosen: Mapping[str, str | int], known: Mapping[str, Any] | None
) -> Iterator[tuple[str, str]]:
    path = content.path
    text = _decoded(content.everything().read(), path)
    if text.lstrip()[:1] in ("{", "["):
        raise DataError(f"{path} is JSON; write it as CSV or Parquet, with a column of ids and one of names")
    lines = list(io.StringIO(text, newline=""))
    rows = _rows(lines, _separator(lines, path), path)
    first = next(rows, None)
    if first is None:
        return
    places = _text_places(first[1], f"{path}:{first[0]}", chosen, known)
    least = max(places.id, places.name) + 1
    for number, row in rows if places.has_header else chain([first], rows):
        if len(row) < least:
            told = f"one column, {row[0][:40]!r}" if len(row) == 1 else f"{len(row)} columns"
            raise DataError(
                f"{path}:{number} has {told}, but a name is in column {least}; say which: {_MEND}"
            )
        yield row[places.id], row[places.name]


def _decoded(content: bytes, path: Path) -> str:
    if b"\0" in content:
        raise DataError(f"{path} holds a NUL byte; this is no text: save it as UTF-8, or as Parquet")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _text_places(
    first: Sequence[str], where: str, chosen: Mapping[str, str | int], known: Mapping[str, Any] | None
) -> _Places:
    """Returns the columns of a table of text by its first row, which may be a header."""
    by_name = any(isinstance(column, str) for column in chosen.values())
    id_at = _id_column(first)
    is_header = id_at is not None and not (known is not None and first[id_at] in known)
    if not chosen and not any(map(str.isdecimal, first)):
        is_header = is_header or any(plain_name(cell) in _TITLES for cell in first)
    if by_name or (is_header and len(first) > 1):
        return _places(first, where, chosen)
    places = [_position(chosen, entry, first, where) for entry in _ENTRIES]
    by_position = [at if given is None else given for at, given in enumerate(places)]
    if by_position[0] == by_position[1]:
        raise DataError(
            f"{where}: column {by_position[0] + 1} cannot be both id and name; say which: {_MEND}"
        )
    return _Places(by_position[0], by_position[1], has_header=False)


def _separator(lines: list[str], path: Path) -> str:
    """Returns what is between columns: what gives the first rows as many fields each, and ids without another one."""
    found = [sep for sep in SEPARATORS if sep in "".join(lines[:1])]
    tops = {sep: _top(lines, sep, path) for sep in found}
    even = [sep for sep in found if len(set(map(len, tops[sep]))) == 1]
    apart = [sep for sep in even if not any(other in row[0] for other in even for row in tops[sep])]
    return (apart or even or found or [","])[0]


def _top(lines: list[str], sep: str, path: Path) -> list[list[str]]:
    """Returns the first rows; none if a separator leaves a quote open, which reading with it will say."""
    try:
        return [row for _, row in islice(_rows(lines, sep, path), _LOOK_ROWS)]
    except DataError:
        return []


def _rows(lines: list[str], sep: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the number of its first line, and the fields, of each row that is not blank."""
    if sep not in (",", ";"):  # quotation marks are then part of a name
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, line.rstrip("\r\n").split(sep)
        return
    rows = csv.reader(lines, delimiter=sep, strict=True)
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise DataError(f"{path}:{number}: {error}; correct the line's quotes") from None
        if row is None:
            return
        if row:
            yield number, row
