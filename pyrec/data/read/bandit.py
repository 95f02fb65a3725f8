"""Reads logs with propensities, such as Open Bandit's, from text, Parquet files and tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from pyrec._checks import check_count
from pyrec.data.bandit import BanditLog
from pyrec.data.frames import Table, frame_columns
from pyrec.data.ids import MAX_COUNT, text_problem
from pyrec.data.read.delimited import check_id
from pyrec.data.read.fields import NUMBER, PADDED_INTEGER
from pyrec.data.read.files import Content, opened
from pyrec.data.read.header import find_top
from pyrec.data.read.kinds import is_text
from pyrec.data.read.look import LOOK_ROWS, look_at
from pyrec.data.read.other_formats import refuse_other
from pyrec.data.read.parquet import MAGIC, read_columns
from pyrec.data.read.reading import Format, IdType, Reading
from pyrec.data.read.records import Dialect
from pyrec.data.read.text_columns import find_dialect, read_fields
from pyrec.data.roles import plain_name, role_of
from pyrec.data.rows import Values, require_table
from pyrec.errors import ConfigError, DataError

BanditColumns: TypeAlias = Mapping[str, str | int | Sequence[str | int] | None]
"""The column of a role by its name or its number from 1; of the user also several; None for no positions."""

_ROLES: Final = ("user", "item", "reward", "propensity", "position")
_NAMES: Final[Mapping[str, frozenset[str]]] = {
    "user": frozenset({"context", "contextid"}),
    "item": frozenset({"action", "arm"}),
    "reward": frozenset({"reward", "click", "clicked"}),
    "propensity": frozenset({"propensity", "propensityscore", "actionprob", "pscore"}),
    "position": frozenset({"slot"}),
}
"""Well-known names beside those of `pyrec.data.roles`, as `plain_name` writes them."""
_FEATURES: Final = "userfeature"
"""What the names of columns begin with that make up the context where no column is the user."""
_BETWEEN: Final = "|"


def read_bandit_log(
    source: str | Path | Any,
    columns: BanditColumns | None = None,
    item_ids: Values | None = None,
    top: int | None = None,
    id_type: IdType = "auto",
    sep: str | None = None,
    format: Format | None = None,  # noqa: A002
) -> BanditLog:
    """Reads a log of what a policy showed: a row a round, with the probability of what was shown.

    Open Bandit's files are read as they are: ``item_id``, ``position``, ``click`` and ``propensity_score``. They have
    no users, so the columns ``user_feature_0`` and so on, with ``|`` between them, are the user; contexts that are
    alike are one user then. Other columns are left out.

    Args:
        source: delimited text with a header, a Parquet file, or a table as `pyrec.data.Interactions.from_frame` takes
            it.
        columns: the column of a role, ``user``, ``item``, ``reward``, ``propensity`` or ``position``, by its name or
            its number from 1; several for ``user``; None if there is no ``position``. Those not given are found by
            well-known names.
        item_ids: every item that could be shown; by default those that were shown.
        top: the number of the first position; None for the smallest that occurs.
        id_type: "int" or "str" for ids of text that are all integers or all text; "auto" finds out.
        sep: what is between the columns of text; None to find out.
        format: "delimited" or "parquet"; None to find out.

    Raises:
        ConfigError: an option is none of the above or means nothing to the source, or the file needs a library that is
            not installed.
        DataError: the source is absent or malformed, a column is not there, or a value is none of its role; the message
            names file and line.
    """
    if format == "lists":
        raise ConfigError("format is 'lists', but a log is columns; it is 'delimited' or 'parquet'")
    _check_columns(columns or {})
    if top is not None:
        top = check_count("top", top, 0, MAX_COUNT, ConfigError)
    reading = Reading(id_type, None, None, sep, format)
    reading.check()
    if not isinstance(source, str | os.PathLike):
        if format is not None:
            raise ConfigError(f"format is {format!r}, but source is a table, no file; leave it out")
        return _of_table(require_table(source), "source", columns or {}, item_ids, top, reading)
    with opened(Path(source)) as content:
        if not content.head.startswith(MAGIC):
            if format == "parquet":
                raise DataError(f"{source} is no Parquet file; leave format out, or give one that is")
            return _of_text(content, columns or {}, item_ids, top, reading)
        if format == "delimited":
            raise ConfigError(f"format is 'delimited', but {source} is a Parquet file; leave it out")

        def choose(names: list[str]) -> list[str]:
            found = _choose(names, str(source), columns or {})
            chosen.append({role: [names[at] for at in places] for role, places in found.items()})
            return list(dict.fromkeys(name for group in chosen[0].values() for name in group))

        chosen: list[dict[str, list[str]]] = []
        table = require_table(read_columns(content, choose))
        exact: BanditColumns = {"position": None, **chosen[0]}
        return _of_table(table, str(source), exact, item_ids, top, reading)


# Which columns


def _check_columns(columns: object) -> None:
    if not isinstance(columns, Mapping):
        raise ConfigError(f"columns is {columns!r}; it is a mapping from roles to columns")
    for role, column in columns.items():
        if role not in _ROLES:
            raise ConfigError(f"columns names the role {role!r}; roles are {', '.join(_ROLES)}")
        if column is None and role != "position":
            raise ConfigError(f"columns[{role!r}] is None, but every log needs it; name its column")
        several = isinstance(column, list | tuple)
        if several and (role != "user" or not column):
            raise ConfigError(
                f"columns[{role!r}] = {column!r}: only the user may be several columns, one at the least"
            )
        for one in column if several else [column]:
            if one is not None and (isinstance(one, bool) or not isinstance(one, str | int)):
                raise ConfigError(f"columns[{role!r}] = {one!r}; it is a name, or a number from 1")


def _choose(names: Sequence[str], where: str, columns: BanditColumns) -> dict[str, list[int]]:
    """Returns the places of each role's columns; no position if there is none.

    Raises:
        DataError: a column is not there or there twice, or nothing tells which it is.
    """
    found = {}
    for role in _ROLES:
        column = columns.get(role)
        if column is not None:
            chosen = column if isinstance(column, list | tuple) else [column]
            found[role] = [_find(role, one, names, where) for one in chosen]
        elif role not in columns:
            found[role] = _known(role, names, where)
    return {role: places for role, places in found.items() if places}


def _find(role: str, column: object, names: Sequence[str], where: str) -> int:
    if isinstance(column, int):
        if not 1 <= column <= len(names):
            raise DataError(f"{where}: columns[{role!r}] = {column}, but there are columns 1 to {len(names)}")
        return column - 1
    count = list(names).count(str(column))
    if count != 1:
        shown = ", ".join(repr(name[:40]) for name in names[:20])
        raise DataError(
            f"{where}: columns[{role!r}] = {column!r} is the name of {count} columns; they are {shown}; give another "
            "name, or a number from 1"
        )
    return list(names).index(str(column))


def _known(role: str, names: Sequence[str], where: str) -> list[int]:
    """Returns the columns with well-known names of a role."""
    found = [at for at, name in enumerate(names) if plain_name(name) in _NAMES[role] or role_of(name) == role]
    if role == "user" and not found:
        found = [at for at, name in enumerate(names) if plain_name(name).startswith(_FEATURES)]
        if found:
            return found
    if len(found) > 1 or (not found and role != "position"):
        shown = ", ".join(repr(name[:40]) for name in names[:20])
        raise DataError(
            f"{where}: {len(found)} of the columns {shown} have a well-known name for the {role}; say which: "
            f"columns={{{role!r}: 1}}"
        )
    return found


# Tables


def _of_table(
    table: Table,
    where: str,
    columns: BanditColumns,
    item_ids: Values | None,
    top: int | None,
    reading: Reading,
) -> BanditLog:
    reading.refuse(("id_type", "sep"), f"{where} is a table, whose columns have types and names")
    names = list(map(str, table.names))
    found = _choose(names, where, columns)
    taken = {
        role: [frame_columns(table, {role: table.names[at]})[role] for at in places]
        for role, places in found.items()
    }
    users = taken["user"][0] if len(taken["user"]) == 1 else _joined(taken["user"])
    try:
        log = BanditLog.from_arrays(
            users,
            taken["item"][0],
            taken["reward"][0],
            taken["propensity"][0],
            positions=taken["position"][0] if "position" in taken else None,
            item_ids=item_ids,
        )
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    return _from_top(log, top)


def _joined(columns: Sequence[Any]) -> list[str]:
    return [_BETWEEN.join(map(str, row)) for row in zip(*map(list, columns), strict=True)]


def _from_top(log: BanditLog, top: int | None) -> BanditLog:
    """Returns the log with positions from 0."""
    if log.positions is None or not len(log):
        return log
    first = int(log.positions.min()) if top is None else top
    if log.positions.min() < first:
        at = int(log.positions.argmin())
        raise DataError(f"positions[{at}] = {log.positions[at]} is above the top, {first}; correct top")
    note = (f"position {first} is the top, which is 0 here",) if first else ()
    return replace(log, positions=log.positions - np.int32(first), notes=(*log.notes, *note))


# Text


def _of_text(
    content: Content, columns: BanditColumns, item_ids: Values | None, top: int | None, reading: Reading
) -> BanditLog:
    if reading.format is None and reading.sep is None:
        refuse_other(content)
    look = look_at(content, replace(reading, header=True))
    path = content.path
    if not look.lines:
        raise DataError(f"{path} holds no row; give a file with a header and one round a line")
    dialect = find_dialect(look)
    start = find_top(look, dialect)
    names = start.names or ()
    found = _choose(names, f"{path}, line {start.header[0] if start.header else 1}", columns)
    notes = start.notes
    places = [at for role in found.values() for at in role]
    lines, fields = read_fields(content, look, dialect, start, places, notes)
    by_place = dict(zip(places, fields, strict=True))
    of = {role: [by_place[at] for at in role_places] for role, role_places in found.items()}
    users = of["user"][0]
    if len(of["user"]) == 1:
        user_ids: Any = _ids(path, "user", lines, users, reading, dialect)
    else:
        user_ids = _contexts(path, lines, of["user"])
    log = BanditLog.from_arrays(
        user_ids,
        _ids(path, "item", lines, of["item"][0], reading, dialect),
        _numbers(path, "reward", lines, of["reward"][0]),
        _chances(path, lines, of["propensity"][0]),
        positions=_places(path, lines, of["position"][0]) if "position" in of else None,
        item_ids=item_ids,
    )
    return _from_top(replace(log, notes=(*content.notes, *notes)), top)


def _ids(
    path: Path, role: str, lines: list[int], texts: list[str], reading: Reading, dialect: Dialect
) -> list[Any]:
    """Returns ids as they are meant, integers or text.

    Raises:
        DataError: one is malformed.
    """
    cells = list(zip(lines[:LOOK_ROWS], texts[:LOOK_ROWS], strict=True))
    as_text = is_text(path, role, cells, reading.id_type)
    for line, text in zip(lines, texts, strict=True):
        check_id(text, role, f"{path}, line {line}", as_text, reading.id_type == "auto", dialect.quotes)
    return texts if as_text else list(map(int, texts))


def _contexts(path: Path, lines: list[int], columns: list[list[str]]) -> list[str]:
    joined = _joined(columns)
    for text in set(joined):
        if problem := text_problem(text):
            line = lines[joined.index(text)]
            raise DataError(f"{path}, line {line}: the context {text[:40]!r} {problem}")
    return joined


def _numbers(path: Path, role: str, lines: list[int], texts: list[str]) -> npt.NDArray[np.float64]:
    for line, text in zip(lines, texts, strict=True):
        if not NUMBER.fullmatch(text) or abs(float(text)) > float(np.finfo(np.float32).max):
            raise DataError(f"{path}, line {line}: the {role} {text[:40]!r} is not a finite number")
    return np.array(texts, dtype=np.float64)


def _chances(path: Path, lines: list[int], texts: list[str]) -> npt.NDArray[np.float64]:
    values = _numbers(path, "propensity", lines, texts)
    bad = ~((values > 0) & (values <= 1))
    if bad.any():
        at = int(bad.argmax())
        raise DataError(
            f"{path}, line {lines[at]}: the propensity {texts[at][:40]!r} is no probability above 0 and at most 1, but "
            "the item was shown"
        )
    return values


def _places(path: Path, lines: list[int], texts: list[str]) -> npt.NDArray[np.int64]:
    for line, text in zip(lines, texts, strict=True):
        if not PADDED_INTEGER.fullmatch(text) or not 0 <= int(text) <= 2**24:
            raise DataError(
                f"{path}, line {line}: the position {text[:40]!r} is no whole number from 0 to 2**24"
            )
    return np.array(list(map(int, texts)), dtype=np.int64)
