"""Reads features of users or items from text, Parquet files and tables."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import narwhals as nw
import numpy as np

from pyrec.data.feature_columns import Column, Kind, Missing, check_missing
from pyrec.data.features import Features, make_columns
from pyrec.data.foreign import reading as reading_of
from pyrec.data.frames import Table, frame_columns
from pyrec.data.ids import IdArray, as_ids, check_ids
from pyrec.data.read.delimited import check_id
from pyrec.data.read.files import Content, opened
from pyrec.data.read.header import find_top
from pyrec.data.read.kinds import Cells, is_text
from pyrec.data.read.look import LOOK_ROWS, Look, look_at
from pyrec.data.read.other_formats import refuse_other
from pyrec.data.read.parquet import MAGIC, read_columns
from pyrec.data.read.reading import Format, IdType, Reading
from pyrec.data.read.records import Dialect
from pyrec.data.read.text_columns import find_dialect, read_fields
from pyrec.data.roles import role_of
from pyrec.data.rows import Values, require_table, unique_ids
from pyrec.errors import ConfigError, DataError

Side: TypeAlias = Literal["users", "items"]
Chosen: TypeAlias = Sequence[str] | Mapping[str, str | int] | None
"""Columns to read, by name; or what each is to be called, and its name or its number from 1."""

_ROLES: Final[Mapping[str, str]] = {"users": "user", "items": "item"}
_RECBOLE: Final[Mapping[str, Kind]] = {"token": "codes", "float": "dense", "token_seq": "tokens"}
"""RecBole's types behind the colon of a column's name."""


class _Wanted(NamedTuple):
    """What a caller says on the columns.

    Attributes:
        role: "user" or "item".
        id_column: which column has the ids; None to find out by well-known names.
        columns: see `Chosen`.
    """

    role: str
    id_column: str | int | None
    columns: Chosen

    @property
    def has_names(self) -> bool:
        """Whether a column is chosen by its name."""
        chosen = self.columns.values() if isinstance(self.columns, Mapping) else self.columns or ()
        return any(isinstance(column, str) for column in (self.id_column, *chosen))


def read_features(
    source: str | Path | Any,
    side: Side = "items",
    ids: Values | None = None,
    id_column: str | int | None = None,
    columns: Chosen = None,
    kinds: Mapping[str, Kind] | None = None,
    separators: Mapping[str, str] | None = None,
    missing: Missing = "error",
    id_type: IdType = "auto",
    header: bool | None = None,
    sep: str | None = None,
    format: Format | None = None,  # noqa: A002
) -> Features:
    """Reads features of users or items from delimited text, a Parquet file, or a table: a row an id.

    Columns of numbers become dense, text becomes codes, lists and text with a separator become tokens; see
    `pyrec.data.Features.from_columns`. RecBole's types in names, such as ``class:token_seq``, are followed.

    Args:
        source: the file, or a table as `pyrec.data.Interactions.from_frame` takes it.
        side: "items" or "users": whose features these are.
        ids: (m,) raw ids of the rows wanted, in their order, such as ``train.item_ids``; None for the source's own.
        id_column: which column has the ids, by name or by number from 1; None for the one with a well-known name.
        columns: which others are read, by name; or a mapping from what they are to be called to their names or
            numbers; None for all.
        kinds: "dense", "codes" or "tokens" for columns that are not to be what they look like.
        separators: what is between two tokens, or the numbers of a dense column, of text: ``{"genres": "|"}``.
        missing: what is done about missing values, and ids without a row: "error", or "fill" with zeros, the code -1
            or no tokens.
        id_type: see `pyrec.data.read_interactions`; of text alone.
        header: likewise.
        sep: likewise.
        format: "delimited" or "parquet"; None to find out.

    Raises:
        ConfigError: an option is none of the above, contradicts another one or means nothing to the source, or the
            file needs a library that is not installed.
        DataError: the source is absent or malformed, an id is there twice or, unless filled in, has no row.
    """
    check_missing(missing)
    if side not in _ROLES:
        raise ConfigError(f"side is {side!r}; it is 'items' or 'users'")
    if format == "lists":
        raise ConfigError("format is 'lists', but features are columns; it is 'delimited' or 'parquet'")
    reading = Reading(id_type, None, header, sep, format)
    reading.check()
    wanted = _Wanted(_ROLES[side], id_column, columns)
    if wanted.has_names and header is False:
        raise ConfigError(
            "a column is chosen by its name, but header is False; give the numbers of columns, from 1"
        )
    found, values, notes = _read(source, wanted, reading)
    values, told = _named_kinds(values, dict(kinds or {}), dict(separators or {}))
    whole = Features(found, make_columns(values, told, separators or {}, missing), notes)
    return whole if ids is None else whole.align(ids, missing, "ids")


class _Read(NamedTuple):
    """Ids, columns of values, and notes."""

    ids: IdArray
    columns: list[Column]
    notes: tuple[str, ...]


def _read(source: Any, wanted: _Wanted, reading: Reading) -> _Read:
    if not isinstance(source, str | os.PathLike):
        if reading.format is not None:
            raise ConfigError(f"format is {reading.format!r}, but frame is a table, no file; leave it out")
        return _of_table(require_table(source), "frame", wanted, reading)
    path = Path(source)
    with opened(path) as content:
        if not content.head.startswith(MAGIC):
            if reading.format == "parquet":
                raise DataError(f"{path} is no Parquet file; leave format out, or give one that is")
            return _of_text(content, wanted, reading)
        if reading.format == "delimited":
            raise ConfigError(f"format is 'delimited', but {path} is a Parquet file; leave it out")

        def choose(names: list[str]) -> list[str]:
            at, others = _choose(names, len(names), str(path), wanted)
            found.append(
                _Wanted(wanted.role, names[at], {name: names[other] for name, other in others.items()})
            )
            return list(dict.fromkeys([names[at], *(names[other] for other in others.values())]))

        found: list[_Wanted] = []
        table = require_table(read_columns(content, choose))
        read = _of_table(table, str(path), found[0], reading)
        return read._replace(notes=tuple(content.notes))


# Which columns


def _choose(
    names: Sequence[Hashable] | None, num_columns: int, where: str, wanted: _Wanted
) -> tuple[int, dict[str, int]]:
    """Returns the position of the ids' column, and of the others by what they are to be called.

    Raises:
        DataError: a column is not there or there twice, or which one has the ids cannot be told.
    """
    texts = None if names is None else [str(name) for name in names]
    at = _id_position(texts, num_columns, where, wanted)
    columns = wanted.columns
    if columns is None:
        if texts is None:
            raise DataError(
                f"{where}: there is no header, so columns have no names; name them by their numbers: id_column=1, "
                "columns={'title': 2}, or say header=True if the first line is one"
            )
        if (twice := next((name for name in texts if name and texts.count(name) > 1), None)) is not None:
            raise DataError(
                f"{where}: two columns are called {twice!r}; choose by number: columns={{{twice!r}: 2}}"
            )
        return at, {name: other for other, name in enumerate(texts) if other != at and name}
    called = columns if isinstance(columns, Mapping) else {name: name for name in columns}
    return at, {
        name: _find(f"columns[{name!r}]", column, texts, num_columns, where)
        for name, column in called.items()
    }


def _id_position(names: list[str] | None, num_columns: int, where: str, wanted: _Wanted) -> int:
    if wanted.id_column is not None:
        return _find("id_column", wanted.id_column, names, num_columns, where)
    known = [at for at, name in enumerate(names or ()) if role_of(name) == wanted.role]
    if len(known) != 1:
        found = (
            "there are no names"
            if names is None
            else f"{len(known)} of {_listed(names)} are known names for it"
        )
        raise DataError(f"{where}: which column has the {wanted.role} ids? {found}; say which: id_column=1")
    return known[0]


def _find(argument: str, column: object, names: list[str] | None, num_columns: int, where: str) -> int:
    if isinstance(column, int) and not isinstance(column, bool):
        if not 1 <= column <= num_columns:
            raise DataError(f"{where}: {argument} = {column}, but there are columns 1 to {num_columns}")
        return column - 1
    known = "there is no header" if names is None else f"the columns are {_listed(names)}"
    count = (names or []).count(str(column))
    if count != 1:
        twice = f"; {count} have this name" if count else ""
        raise DataError(
            f"{where}: {argument} = {column!r}, but {known}{twice}; give a name of these, or a number from 1"
        )
    return (names or []).index(str(column))


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*(repr(name[:40]) for name in names[:20]), *(["..."] if len(names) > 20 else [])])


def _named_kinds(
    columns: list[Column], kinds: dict[str, Kind], separators: Mapping[str, str]
) -> tuple[list[Column], dict[str, Kind]]:
    """Returns the columns without RecBole's types in their names, and the kinds that these say beside those given."""
    suffixes = [column.name.partition(":")[2] for column in columns]
    if not columns or not all(suffix in _RECBOLE for suffix in suffixes):
        return columns, kinds
    plain = [replace(column, name=column.name.partition(":")[0]) for column in columns]
    said = {
        column.name: _RECBOLE[suffix]
        for column, suffix in zip(plain, suffixes, strict=True)
        if column.name not in separators
    }
    return plain, said | kinds


# Tables


def _of_table(table: Table, where: str, wanted: _Wanted, reading: Reading) -> _Read:
    reading.refuse(("id_type", "header", "sep"), f"{where} is a table, whose columns have types and names")
    at, others = _choose(table.names, len(table.names), where, wanted)
    name = table.names[at]
    try:
        raw = frame_columns(table, {wanted.role: name})[wanted.role]
        ids = unique_ids(raw, f"column {name!r}")
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    with reading_of(f"{where}: one of the columns {_listed(list(others))}"):
        taken = table.take(list(others.values()))
    columns = [
        Column(called, _cells(column, f"{where}: column {called!r}"), _row_of(where, called))
        for called, column in zip(others, taken, strict=True)
    ]
    return _Read(ids, columns, ())


def _cells(column: Any, name: str) -> Any:
    """Returns a column's numbers as an array, others as a list."""
    if not isinstance(column, nw.Series):
        return column
    with reading_of(name):
        is_plain = column.dtype.is_numeric() and not column.is_null().any()
        values = np.asarray(column.to_numpy()) if is_plain or column.dtype == nw.Boolean else None
        return values if values is not None and values.dtype.kind in "biuf" else column.to_list()


def _row_of(where: str, name: str) -> Any:
    return lambda at: f"{where}, row {at}: the column {name!r}"


# Text


def _of_text(content: Content, wanted: _Wanted, reading: Reading) -> _Read:
    if reading.format is None and reading.sep is None:
        refuse_other(content)
    look = look_at(content, reading)
    if not look.lines:
        raise DataError(f"{content.path} holds no row; give a file with one {wanted.role} a line")
    dialect = find_dialect(look)
    top = find_top(_told_header(look, dialect, wanted), dialect)
    line, first = top.header or top.data[0]
    at, others = _choose(top.names, len(first), f"{content.path}, line {line}", wanted)
    notes = top.notes
    lines, fields = read_fields(content, look, dialect, top, [at, *others.values()], notes)
    ids = _ids(content.path, wanted.role, list(zip(lines, fields[0], strict=True)), reading, dialect)
    columns = [
        Column(name, values, _line_of(content.path, lines, name), is_written=True)
        for name, values in zip(others, fields[1:], strict=True)
    ]
    return _Read(ids, columns, (*content.notes, *notes))


def _told_header(look: Look, dialect: Dialect, wanted: _Wanted) -> Look:
    """Returns the look with a header that column names tell; what nothing tells is found out later."""
    rows = look.rows(dialect)
    is_told = wanted.has_names or (bool(rows) and any(role_of(name) == wanted.role for name in rows[0][1]))
    if look.reading.header is None and is_told:
        return replace(look, reading=replace(look.reading, header=True))
    return look


def _ids(path: Path, role: str, cells: Cells, reading: Reading, dialect: Dialect) -> IdArray:
    """Returns the ids of the rows.

    Raises:
        DataError: an id is malformed, or another row has it, too.
    """
    as_text = is_text(path, role, cells[:LOOK_ROWS], reading.id_type)
    first: dict[str | int, int] = {}
    for line, text in cells:
        where = f"{path}, line {line}"
        check_id(text, role, where, as_text, reading.id_type == "auto", dialect.quotes)
        raw = text if as_text else int(text)
        if raw in first:
            raise DataError(
                f"{where}: the {role} id {text[:40]!r} is there again, first in line {first[raw]}; keep one row an id"
            )
        first[raw] = line
    return as_ids(check_ids(list(first), f"{role} ids"))


def _line_of(path: Path, lines: list[int], name: str) -> Any:
    return lambda at: f"{path}, line {lines[at]}: the column {name!r}"
