"""Which column is the user, item, rating, time, weight and position: as chosen, by well-known names, or by position."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from pyrec.errors import ConfigError, DataError

ROLES = ("user", "item", "rating", "time", "weight", "position")
BY_POSITION = ROLES[:4]
"""The roles of columns without names, in this order."""

Columns: TypeAlias = Mapping[str, str | int | None]
"""The column of a role, of `ROLES`: its name in the header, its number from 1, or None for no such column."""

_PLAIN: Final = re.compile(r"[^\s,=]*[^\s,=0-9][^\s,=]*")
"""Names that ``--columns`` can take."""
_NONE: Final[Mapping[str, int]] = {}

# Compared without case, underscores, hyphens and spaces; RecBole's ":token", ":float" are cut off first.
_NAMES = {
    "user": {
        "user",
        "userid",
        "uid",
        "customer",
        "customerid",
        "reviewer",
        "reviewerid",
        "member",
        "memberid",
    },
    "item": {
        "item",
        "itemid",
        "iid",
        "movie",
        "movieid",
        "artist",
        "artistid",
        "product",
        "productid",
        "asin",
    }
    | {"parentasin", "book", "bookid", "isbn", "track", "trackid", "song", "songid", "business", "businessid"}
    | {"article", "articleid", "news", "newsid", "venue", "venueid", "poi", "poiid"},
    "rating": {
        "rating",
        "ratings",
        "bookrating",
        "score",
        "stars",
        "overall",
        "value",
    },
    "time": {"time", "timestamp", "unixtime", "unixtimestamp", "unixreviewtime", "ts"},
    "weight": {
        "weight",
        "weights",
        "count",
        "counts",
        "plays",
        "playcount",
        "numplays",
        "listencount",
        "clickcount",
    }
    | {"viewcount", "purchasecount", "quantity", "qty", "frequency"},
    "position": {"position"},
}

_LABEL: Final = "label:float"
"""RecBole's column of labels, which is the rating where no other column is."""

_LOOKS_LIKE: Final[Mapping[str, re.Pattern[str]]] = {
    "rating": re.compile("rating|score|stars|(?<![a-z])label(?![a-z])"),
    "time": re.compile("time|date"),
    "weight": re.compile(
        r"(?<![a-z])(weights?|counts?|plays?|listens?|clicks?|views?|purchases?|quantity|qty|freq(uency)?)(?![a-z])"
    ),
}
"""What may name the column of a role that no well-known name has, in lower case; of weights whole words."""

_HAS_NUMBERS: Final = re.compile(rf"{_LOOKS_LIKE['weight'].pattern}|label")
"""Of these, what names a column of anything unless it holds numbers."""


def role_of(name: str) -> str | None:
    """Returns the role that a column name stands for, or None if it is not a well-known one."""
    return next((role for role, names in _NAMES.items() if plain_name(name) in names), None)


def plain_name(name: str) -> str:
    """Returns a column name as well-known ones are compared: small letters, without underscores, hyphens and spaces."""
    return "".join(c for c in name.strip().partition(":")[0].lower() if c not in "_- ")


def weight_candidates(names: Sequence[str]) -> list[int]:
    """Returns the columns whose names are well-known ones of a weight."""
    return [column for column, name in enumerate(names) if role_of(name) == "weight"]


def names_both(names: Sequence[str]) -> bool:
    """Tells whether names have well-known ones of a user and of an item column."""
    return {"user", "item"} <= set(map(role_of, names))


def named_roles(
    names: Sequence[str], where: str, chosen: Mapping[str, int] = _NONE, absent: Collection[str] = ()
) -> dict[str, int]:
    """Returns the columns whose names are well known, beside those that the caller chose.

    Args:
        names: the header.
        where: what the message calls it.
        chosen: column numbers by role, which no name overrules.
        absent: roles that no column has.

    Raises:
        DataError: two columns have the same role, or one of user and item is named and the other is not. Of several
            that may be the weight none is.
    """
    found = dict(chosen)
    unclear = {"weight"} if len(weight_candidates(names)) > 1 else set()
    for column, name in enumerate(names):
        role = None if column in chosen.values() else role_of(name)
        if role is None or role in chosen or role in absent or role in unclear:
            continue
        if role in found:
            raise DataError(
                f"{where}: columns {names[found[role]]!r} and {name!r} both name the {role}; rename one, or "
                "choose which it is, by its name or number"
            )
        found[role] = column
    if "rating" not in found and "rating" not in absent and _LABEL in names:
        label = list(names).index(_LABEL)
        found |= {} if label in found.values() else {"rating": label}
    for role, other in (("user", "item"), ("item", "user")):
        if role in found and other not in found:
            raise DataError(
                f"{where}: column {names[found[role]]!r} is the {role}, but none of {_listed(names)} is a known name "
                f"for the {other}; rename that column to {other!r}, or say which it is"
            )
    return found


def unused_columns(
    names: Sequence[str],
    roles: Mapping[str, int],
    columns: Columns | None,
    is_number: Callable[[int], bool],
) -> list[str]:
    """Returns a note on a column that may be the rating, the time or the weight, for each of them that no column is.

    Args:
        names: the header.
        roles: the column of each role that was found.
        columns: what the caller chose.
        is_number: tells whether a column holds numbers, as a weight has to.
    """
    notes = []
    free = [at for at in range(len(names)) if at not in roles.values()]
    for role, pattern in _LOOKS_LIKE.items():
        if role in roles or role in (columns or {}):
            continue
        found = [at for at in free if pattern.search(_words(names[at]))]
        found = [at for at in found if not _HAS_NUMBERS.search(_words(names[at])) or is_number(at)]
        sure = [at for at in found if role == "weight" and role_of(names[at]) == role]
        if len(sure) > 1:
            both = " and ".join(repr(names[at]) for at in sure)
            notes.append(
                f"the columns {both} may be the weight, so none is used; --columns weight={sure[0] + 1} takes one"
            )
        elif found:
            at = found[0]
            notes.append(
                f"the column {names[at]!r} is not used; --columns {role}={at + 1} takes it as the {role}"
            )
    return notes


def _words(name: str) -> str:
    """Returns a name in lower case, an underscore before what starts with a capital: playCount becomes play_count."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.partition(":")[0]).lower()


def assign_roles(
    names: Sequence[str] | None,
    num_columns: int,
    where: str,
    columns: Columns | None = None,
    empty: Collection[int] = (),
) -> dict[str, int]:
    """Returns the column number of each role that a table has.

    Columns that are chosen come first, then well-known names. A table without names and choices has its columns by
    position: user, item, rating, time.

    Args:
        names: the header, or None.
        num_columns: number of columns.
        where: what the message calls the table, e.g. its file and line.
        columns: see `Columns`.
        empty: columns without any contents, which get no role by position.

    Raises:
        DataError: fewer than two columns, no column that is the user or the item, or names that contradict each
            other.
    """
    if num_columns < 2:
        raise DataError(
            f"{where}: one column found, but a user and an item are needed; is the delimiter right?"
        )
    given = columns or {}
    absent = [role for role, column in given.items() if column is None]
    chosen = {
        role: _find(role, column, names, num_columns, where)
        for role, column in given.items()
        if column is not None
    }
    if names is None and not chosen:
        filled = [at for at in range(num_columns) if at not in empty]
        if len(filled) < 2:
            raise DataError(f"{where}: all columns but one are empty, but a user and an item are needed")
        return {role: at for role, at in zip(BY_POSITION, filled, strict=False) if role not in absent}
    if len(set(chosen.values())) < len(chosen):
        raise DataError(
            f"{where}: columns = {dict(columns or {})} takes one column twice; give each role its own"
        )
    found = chosen if names is None else named_roles(names, where, chosen, absent)
    if not {"user", "item"} <= set(found):
        known = "there are no names" if names is None else f"none of {_listed(names)} is a known name"
        raise DataError(f"{where}: which columns are the user and the item? {known}; {_mend(names, found)}")
    return found


def _find(role: str, column: str | int, names: Sequence[str] | None, num_columns: int, where: str) -> int:
    if isinstance(column, int):
        if not 1 <= column <= num_columns:
            raise DataError(
                f"{where}: columns[{role!r}] = {column}, but there are columns 1 to {num_columns}"
            )
        return column - 1
    if names is None or column not in names:
        known = "the file has no header" if names is None else f"the columns are {_listed(names)}"
        raise DataError(
            f"{where}: columns[{role!r}] = {column!r}, but {known}; give a name or a number of these"
        )
    if (count := list(names).count(column)) > 1:
        raise DataError(
            f"{where}: columns[{role!r}] = {column!r}, but {count} columns have this name; give the number from 1"
        )
    return list(names).index(column)


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*(repr(name[:40]) for name in names[:20]), *(["..."] if len(names) > 20 else [])])


def _mend(names: Sequence[str] | None, found: Mapping[str, int]) -> str:
    """Says how to choose columns, in Python and on the command line, by two that may be meant."""
    free = (
        range(1, 3)
        if names is None
        else [
            name if _PLAIN.fullmatch(name) else at + 1
            for at, name in enumerate(names)
            if at not in found.values()
        ]
    )
    some = dict(zip(("user", "item"), free, strict=False))
    words = ",".join(f"{role}={column}" for role, column in some.items())
    return f"choose them: columns={some}, or --columns {words}, if these are they"


def missing_time(time_format: str | None, path: Path) -> None:
    """Refuses a format of times where there is no time column.

    Raises:
        ConfigError: says how to choose one.
    """
    if time_format is not None:
        raise ConfigError(
            f"time_format is {time_format!r}, but {path} has no known time column; choose it: "
            "columns={'time': ...}, or --columns time=..."
        )


def check_columns(columns: Columns | None) -> None:
    """Raises ConfigError for columns that are no mapping from roles to names and numbers."""
    if columns is None:
        return
    if not isinstance(columns, Mapping):
        raise ConfigError(
            f"columns is {type(columns).__name__}; it is a mapping, such as {{'user': 'customer'}}"
        )
    for role, column in columns.items():
        if role not in ROLES:
            raise ConfigError(f"columns names {role!r}; the roles are {', '.join(ROLES)}")
        if column is None and role in ("user", "item"):
            raise ConfigError(
                f"columns[{role!r}] is None, but every interaction has a {role}; name its column"
            )
        if column is not None:
            check_column(role, column)


def check_column(entry: str, column: object) -> None:
    """Raises ConfigError where an entry of ``columns`` is neither a column's name nor a number."""
    if not isinstance(column, (str, int)) or isinstance(column, bool):
        raise ConfigError(f"columns[{entry!r}] = {column!r} must be a column's name, or its number from 1")
