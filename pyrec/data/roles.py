"""Which column is the user, the item, the rating and the time: by well-known names, else by position."""

from __future__ import annotations

from collections.abc import Sequence

from pyrec.errors import DataError

ROLES = ("user", "item", "rating", "time")

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
        "weight",
        "score",
        "stars",
        "overall",
        "value",
        "count",
        "playcount",
        "plays",
    },
    "time": {"time", "timestamp", "unixtime", "unixtimestamp", "unixreviewtime", "ts"},
}


def role_of(name: str) -> str | None:
    """Returns the role that a column name stands for, or None if it is not a well-known one."""
    plain = "".join(c for c in name.strip().partition(":")[0].lower() if c not in "_- ")
    return next((role for role, names in _NAMES.items() if plain in names), None)


def named_roles(names: Sequence[str], where: str) -> dict[str, int]:
    """Returns the columns whose names are well known.

    Args:
        names: the header.
        where: what the message calls it.

    Raises:
        DataError: two columns have the same role, or one of user and item is named and the other is not.
    """
    found: dict[str, int] = {}
    for column, name in enumerate(names):
        role = role_of(name)
        if role in found:
            raise DataError(
                f"{where}: columns {names[found[role]]!r} and {name!r} both name the {role}; rename one"
            )
        if role is not None:
            found[role] = column
    for role, other in (("user", "item"), ("item", "user")):
        if role in found and other not in found:
            listed = ", ".join(map(repr, names))
            raise DataError(
                f"{where}: column {names[found[role]]!r} is the {role}, but none of {listed} is a known name "
                f"for the {other}; rename that column to {other!r}"
            )
    return found


def assign_roles(names: Sequence[str] | None, num_columns: int, where: str) -> dict[str, int]:
    """Returns the column number of each role that a table has.

    With user and item named, rating and time count only if named too. With neither named, or no header,
    columns are by position: user, item, rating, time.

    Args:
        names: the header, or None.
        num_columns: number of columns.
        where: what the message calls the table, e.g. its file and line.

    Raises:
        DataError: fewer than two columns, or the names contradict each other.
    """
    if num_columns < 2:
        raise DataError(
            f"{where}: one column found, but a user and an item are needed; is the delimiter right?"
        )
    found = {} if names is None else named_roles(names, where)
    if "user" in found:
        return found
    for role, column in found.items():
        if column < 2:
            raise DataError(f"{where}: column {column + 1} is the {role}; name the user and item columns too")
    taken = set(found.values())
    for column, role in enumerate(ROLES[:num_columns]):
        if role not in found and column not in taken:
            found[role] = column
    return found
