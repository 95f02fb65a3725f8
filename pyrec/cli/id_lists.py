"""Ids as commands take them: in an option, apart by commas and quoted as in CSV, or in a file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrec.cli.near_ids import did_you_mean, like_name, like_spelling
from pyrec.cli.output import note
from pyrec.data import Interactions
from pyrec.data.ids import IdMap, text_problem
from pyrec.data.read.files import opened
from pyrec.data.roles import role_of
from pyrec.errors import DataError

RawId = int | str
MOST_COMMAS = 8
"""Of an id that is looked for among words that are no ids."""

_QUOTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?:,|$)')
_PLAIN = re.compile(r"[^,]*")


class KnownIds:
    """The users, or the items, that a model knows.

    Attributes:
        what: "user" or "item".
        ids: Their raw ids, int64 or text (n,).
        names: What they are called, by raw id, as far as that is known.
    """

    def __init__(
        self,
        what: str,
        ids: NDArray[Any],
        names: Mapping[Any, str] | None = None,
        counts: NDArray[np.int64] | None = None,
    ) -> None:
        """Take what is known.

        Args:
            what: What one of them is called.
            ids: Raw ids (n,), each there once.
            names: What they are called, by raw id.
            counts: How often each was had (n,): those of most are suggested first.
        """
        self.what = what
        self.ids = ids
        self.names = names or {}
        self._counts = counts
        self._map = IdMap(ids, what)
        self._integers = ids.dtype.kind == "i"

    @classmethod
    def of(cls, what: str, train: Interactions, names: Mapping[Any, str] | None = None) -> KnownIds:
        """Return those of a model of interactions.

        Args:
            what: "user" or "item".
            train: What the model learned from.
            names: What items are called, by raw id.
        """
        if what == "user":
            return cls(what, train.user_ids, names)
        return cls(what, train.item_ids, names, train.popularity if names else None)

    def value_of(self, text: str) -> RawId:
        """Return an id from its text: an integer if the known ids are and the text is one, else the text."""
        return int(text) if self._integers and _is_integer(text) else text

    def has(self, text: str) -> bool:
        """Return whether the text is a known id."""
        return not self.unknown([self.value_of(text)])

    def unknown(self, values: Sequence[RawId]) -> list[int]:
        """Return the positions of the values that are no known ids."""
        can_be = [at for at, value in enumerate(values) if self._can_be(value)]
        codes = self._map.encode(self.array([values[at] for at in can_be]), f"{self.what}s", "skip")
        known = {at for at, code in zip(can_be, codes.tolist(), strict=True) if code >= 0}
        return [at for at in range(len(values)) if at not in known]

    def _can_be(self, value: RawId) -> bool:
        if self._integers:
            return isinstance(value, int)
        return isinstance(value, str) and text_problem(value) is None

    def array(self, values: Sequence[RawId]) -> NDArray[Any]:
        """Return known ids as an array: int64, or text as objects, so that a long id widens no other."""
        return np.array(values, dtype=np.int64 if self._integers else object)

    def suggestion(self, value: RawId) -> str:
        """Return a question whether ids of a like name or spelling are meant by an unknown one; empty for none."""
        if near := like_name(str(value), self.names, self._most_frequent):
            return did_you_mean([f"{raw} ({self.names[raw][:60]})" for raw in near])
        ids = () if self._integers else self.ids.tolist()
        return did_you_mean([repr(raw[:40]) for raw in like_spelling(str(value), ids)])

    def _most_frequent(self, items: list[Any]) -> list[Any]:
        """Return raw ids of items by their number of training users, most first; without those that are unknown."""
        strange = set(self.unknown(items))
        known = [raw for at, raw in enumerate(items) if at not in strange]
        if self._counts is None:
            return known
        counts = self._counts[self._map.encode(self.array(known), f"{self.what}s")]
        return [known[at] for at in np.argsort(-counts, kind="stable").tolist()]

    def __str__(self) -> str:
        kind = "integer" if self._integers else "text"
        return (
            f"the {len(self.ids):,} {kind} ids of this model's {self.what}s ({some(self.ids[:4].tolist())})"
        )


def ids_asked(
    option: str, texts: Sequence[str], path: str | None, known: KnownIds, skip: bool, columns: Collection[str]
) -> NDArray[Any]:
    """Return the ids that a command is asked for: those of a file, of an option, or all if neither is given.

    Args:
        option: The option; that of the file is called like it, with ``-from``.
        texts: Its values; see `ids_in_options`.
        path: The file; see `ids_in_file`.
        known: The ids that there are.
        skip: See `ids_in_options`.
        columns: See `ids_in_file`.

    Raises:
        DataError: See `ids_in_options` and `ids_in_file`.
    """
    if path is not None:
        return known.array(ids_in_file(f"{option}-from", path, known, skip, columns))
    return known.array(ids_in_options(option, texts, known, skip)) if texts else known.ids


def ids_in_options(option: str, texts: Sequence[str], known: KnownIds, skip: bool) -> list[RawId]:
    """Return the ids in the values of an option that may be given more than once.

    A value is one id if a known id reads so as a whole. Else it is a list, apart by commas. An id that holds a comma,
    a quotation mark or blanks at its ends is put in double quotes there, with ``""`` for a quotation mark.

    Args:
        option: For messages.
        texts: Its values.
        known: The ids that there are.
        skip: Leave out unknown ids and print how many.

    Raises:
        DataError: If an id is unknown or empty, a quote does not close, or a value reads both ways.
    """
    found: list[str] = []
    for text in texts:
        found += words_of(option, text, known)
    values = [known.value_of(word) for word in found]
    unknown = known.unknown(values)
    return only_known(
        option, values, unknown, known, skip, list_hint(option, texts, known) if unknown else ""
    )


def ids_in_file(option: str, path: str, known: KnownIds, skip: bool, columns: Collection[str]) -> list[RawId]:
    """Return the ids in a file, each once, in the order of the file.

    The file, which may be packed, has an id a line, or it is a table with a header that names the column of the ids:
    CSV, or apart by tabs or semicolons.

    Args:
        option: For messages.
        path: Of the file; ``-`` for standard input.
        known: The ids that there are.
        skip: Leave out unknown ids and print how many.
        columns: Names of the column, beside the well-known ones.

    Raises:
        DataError: If the file cannot be read, is not UTF-8, holds no id, or an id is unknown.
    """
    lines = read_lines(path)
    header = next((line for line in lines if line.strip()), "")
    at = None if known.has(header) else column_of(header, known.what, columns)
    rows = table_cells(lines, *at, path) if at is not None else _whole_lines(lines, known)
    where: dict[RawId, int] = {}
    for number, text in rows:
        where.setdefault(known.value_of(text), number)
    values = list(where)
    if not values:
        raise DataError(f"{option} {path} holds no id; write one a line, or a table with a header")
    unknown = known.unknown(values)
    hint = ""
    if unknown:
        first = where[values[unknown[0]]]
        hint = f" (the first is in line {first})"
        if at is None and (first == 1 or any(sign in str(values[unknown[0]]) for sign in "\t,;|")):
            hint += f"; a line is one id, unless the first line names the columns, one of them {known.what}"
    return only_known(f"{option} {path}", values, unknown, known, skip, hint)


def list_hint(option: str, texts: Sequence[str], known: KnownIds) -> str:
    """Return what may be wrong with lists that hold unknown ids; empty where nothing shows."""
    return _joined(texts, known) or _other_ways(option, texts, known)


def only_known(
    source: str, values: list[RawId], unknown: list[int], known: KnownIds, skip: bool, hint: str
) -> list[RawId]:
    """Return the known ones of some ids, if the others are to be left out; else refuse these."""
    if not unknown:
        return values
    strange = [values[at] for at in unknown]
    many = f"{len(unknown):,} of {len(values):,} ids unknown: " if len(values) > 1 else "unknown: "
    told = f"{source}: {many}{some(strange)}{hint}"
    if len(unknown) == len(values) or not skip:
        way = "" if hint else known.suggestion(strange[0])
        way = way or f"choose among {known}"
        or_skip = "" if len(unknown) == len(values) else ", or leave out what is unknown: --unknown skip"
        raise DataError(f"{told}; {way}{or_skip}")
    note(f"note: {told}; left out")
    left_out = set(unknown)
    return [value for at, value in enumerate(values) if at not in left_out]


def some(values: Sequence[RawId]) -> str:
    """Return the first three of some ids, each cut at 40 characters, and dots if there are more."""
    shown = [repr(value if isinstance(value, int) else value[:40]) for value in values[:3]]
    return ", ".join([*shown, *(["..."] if len(values) > 3 else [])])


def quoted(text: str) -> str:
    """Return a cell of CSV; in quotes where reading would take it for two, or for less."""
    if text == text.strip() and not any(sign in text for sign in ',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def words_of(option: str, text: str, known: KnownIds) -> list[str]:
    """Return the ids in a text, as `ids_in_options` reads them.

    Raises:
        DataError: If an id is empty, a quote does not close, or the text reads both ways.
    """
    if known.has(text) and text == text.strip() and "," not in text:
        return [text]
    whole = known.has(text)
    try:
        words = list(_split(option, text, known))
    except DataError:
        if whole:
            return [text]
        raise
    if not whole:
        return words
    if len(words) > 1 and all(known.has(word) for word in words):
        raise DataError(
            f"{option}: {text[:80]!r} is one {known.what} and also a list of {len(words)}; for the one write "
            f"{quoted(text)} with its quotes, for the list repeat {option}"
        )
    return [text]


def _split(option: str, text: str, known: KnownIds) -> Iterator[str]:
    """Yield the ids of a list; one that is not quoted without the blanks around it, unless it is known with them."""
    at = 0
    while True:
        match = _QUOTED.match(text, at)
        if match is not None:
            word = match[1].replace('""', '"')
            at = match.end()
            ended = not match[0].endswith(",")
        else:
            plain = _PLAIN.match(text, at)
            assert plain is not None  # it matches nothing, too
            word = plain[0] if known.has(plain[0]) else plain[0].strip()
            if word.startswith('"') and not known.has(word):
                raise DataError(
                    f"{option}: {word[:40]!r} begins with a quotation mark that closes nowhere before a comma; write "
                    'the whole id in double quotes, with "" for a quotation mark in it'
                )
            ended = plain.end() == len(text)
            at = plain.end() + 1
        if not word:
            raise DataError(f"{option}: {text[:40]!r} holds an empty id; leave out the comma, or name the id")
        yield word
        if ended:
            return


def _joined(texts: Sequence[str], known: KnownIds) -> str:
    """Return a hint at a known id that was taken apart at its commas, if there is one."""
    for text in texts:
        parts = text.split(",")
        for first in range(len(parts)):
            for last in range(first + 2, min(first + MOST_COMMAS + 1, len(parts)) + 1):
                joined = ",".join(parts[first:last])
                for candidate in (joined, joined.strip()):
                    if known.has(candidate):
                        return f"; {quoted(candidate)} is one id: keep these double quotes around it"
    return ""


def _other_ways(option: str, texts: Sequence[str], known: KnownIds) -> str:
    """Return a hint where ids are named in a way that other programs have."""
    if option == "--users" and any(text in ("all", "*", "-") or text.startswith("@") for text in texts):
        return "; all users are --all, those of a file --users-from FILE, of standard input --users-from -"
    if any(all(map(known.has, re.split(r"[;\s]+", text.strip()))) and not known.has(text) for text in texts):
        return "; write ids apart by commas"
    return ""


def read_lines(path: str) -> list[str]:
    """Return the lines of a file, or of the standard input for ``-``, which may be packed.

    Raises:
        DataError: If it cannot be read or is not UTF-8.
    """
    with opened(Path(path)) as file:
        content = file.everything().read()
    try:
        return re.split("\r\n|\n", content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line} is no text in UTF-8; save the file as UTF-8") from None


def column_of(header: str, what: str, columns: Collection[str] = ()) -> tuple[str, int] | None:
    """Return the sign between the cells of a header, and which of these names the ids; None if none does."""
    for delimiter in ("\t", ",", ";"):
        for cells in csv.reader([header], delimiter=delimiter):
            for column, name in enumerate(cells):
                if name.strip() in columns or role_of(name) == what:
                    return delimiter, column
    return None


def table_cells(lines: list[str], delimiter: str, column: int, path: str) -> Iterator[tuple[int, str]]:
    """Yield the number of a row's last line and the cell of one column, for each row below the header."""
    rows = csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter=delimiter, strict=True)
    is_header = True
    try:
        for row in rows:
            if not any(row):
                continue
            if not is_header:
                if len(row) <= column or not row[column]:
                    raise DataError(f"{path}:{rows.line_num} has no id in column {column + 1}; drop the line")
                yield rows.line_num, row[column]
            is_header = False
    except csv.Error as error:
        raise DataError(f"{path}:{rows.line_num}: {error}; correct the line's quotes") from None


def _whole_lines(lines: list[str], known: KnownIds) -> Iterator[tuple[int, str]]:
    """Yield the number and the id of each line that is not blank; quotes around a whole line are no part of the id."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _QUOTED.fullmatch(line)
        if match is not None and not known.has(line):
            yield number, match[1].replace('""', '"')
        else:
            yield number, line if known.has(line) else line.strip()


def whole_numbers(texts: Sequence[str]) -> NDArray[Any]:
    """Return ids from texts: int64 if all are whole numbers, else text as objects."""
    integers = all(map(_is_integer, texts))
    return np.array(
        [int(text) for text in texts] if integers else texts, dtype=np.int64 if integers else object
    )


def _is_integer(text: str) -> bool:
    """Whether the text is an integer of 64 bits in plain digits, at most 19."""
    return re.fullmatch("-?[0-9]{1,19}", text) is not None and -(2**63) <= int(text) < 2**63
