"""New users as commands take them: each by the items that they had, in an option or in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyrec.cli.id_lists import (
    KnownIds,
    RawId,
    column_of,
    list_hint,
    only_known,
    read_lines,
    table_cells,
    whole_numbers,
    words_of,
)
from pyrec.cli.output import note
from pyrec.errors import DataError


class Histories(NamedTuple):
    """New users.

    Attributes:
        key: What their column is called: ``history`` where they are numbered, ``user`` where they have ids.
        keys: Numbers from 1, or ids (B,).
        items: Raw ids of the items of each, in the order in which they were given.
    """

    key: str
    keys: NDArray[Any]
    items: list[list[RawId]]


def histories_in_options(option: str, texts: Sequence[str], known: KnownIds, skip: bool) -> Histories:
    """Return a history for each value of an option: a list of ids as `ids_in_options` reads them.

    Raises:
        DataError: If an item is unknown or empty, or a quote does not close.
    """
    words = {at: words_of(option, text, known) for at, text in enumerate(texts, start=1)}
    return _numbered(option, words, known, skip, list_hint(option, texts, known))


def histories_in_file(option: str, path: str, known: KnownIds, skip: bool) -> Histories:
    """Return the histories in a file.

    The file, which may be packed, has a history a line, its items apart by commas, and these users are called by the
    number of the line. Or it is a table with a header that names the columns of users and items, a row for each thing
    that a user had: CSV, or apart by tabs or semicolons.

    Raises:
        DataError: If the file cannot be read or holds no history, or an item is unknown.
    """
    lines = read_lines(path)
    first = next((line for line in lines if line.strip()), "")
    user, item = (column_of(first, what) for what in ("user", "item"))
    if user is not None and item is not None and not known.has(first):
        return _of_table(f"{option} {path}", lines, user, item, known, skip, path)
    words = {
        number: words_of(f"{option} {path}, line {number}", line, known)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    }
    if not words:
        raise DataError(f"{option} {path} holds no history; write one a line, or a table with a header")
    return _numbered(f"{option} {path}", words, known, skip, list_hint(option, lines, known))


def _of_table(
    source: str,
    lines: list[str],
    user: tuple[str, int],
    item: tuple[str, int],
    known: KnownIds,
    skip: bool,
    path: str,
) -> Histories:
    users = table_cells(lines, *user, path)
    items = table_cells(lines, *item, path)
    words: dict[str, list[str]] = {}
    for (_, who), (_, what) in zip(users, items, strict=True):
        words.setdefault(who, []).append(what)
    if not words:
        raise DataError(f"{source} holds no row below its header; write one for each thing that a user had")
    keys, kept = _known(source, words, known, skip, "")
    return Histories("user", whole_numbers(keys), kept)


def _numbered(source: str, words: dict[int, list[str]], known: KnownIds, skip: bool, hint: str) -> Histories:
    keys, kept = _known(source, words, known, skip, hint)
    return Histories("history", np.array(keys, dtype=np.int64), kept)


def _known(
    source: str, words: dict[Any, list[str]], known: KnownIds, skip: bool, hint: str
) -> tuple[list[Any], list[list[RawId]]]:
    """Return whose histories are left, and these, once unknown items are left out, if they are to be."""
    values = [known.value_of(word) for one in words.values() for word in one]
    unknown = known.unknown(values)
    only_known(source, values, unknown, known, skip, hint if unknown else "")
    strange = {values[at] for at in unknown}
    left: dict[Any, list[RawId]] = {}
    for key, one in words.items():
        if items := [value for value in map(known.value_of, one) if value not in strange]:
            left[key] = items
    if lost := len(words) - len(left):
        note(f"note: {source}: {lost:,} of {len(words):,} histories hold no known item; left out")
    return list(left), list(left.values())
