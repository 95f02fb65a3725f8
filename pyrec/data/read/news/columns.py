"""News in named columns: EB-NeRD's Parquet files, and CSV, TSV or Parquet files of one's own."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pyrec.data.foreign import reading
from pyrec.data.ids import IdArray, Int32Array, as_ids, check_ids, factorise
from pyrec.data.ragged import Ragged
from pyrec.data.read.fields import PLAIN_INTEGER
from pyrec.data.read.files import Content, decode, opened
from pyrec.data.read.news.clock import seconds_of
from pyrec.data.read.news.mind import told_of
from pyrec.data.read.news.raw import (
    ArticleIndex,
    Bools,
    Int64Array,
    RawArticles,
    Seconds,
    Shown,
    known_history,
)
from pyrec.data.read.parquet import MAGIC, read_columns
from pyrec.errors import ConfigError, DataError

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "article": ("article", "article_id", "news_id", "item", "item_id", "id", "nid"),
    "title": ("title", "headline"),
    "abstract": ("abstract", "subtitle", "summary", "description"),
    "category": ("category_str", "category", "topic", "section"),
    "subcategories": ("subcategories", "subcategory", "tags", "topics"),
    "entities": ("entities", "ner_clusters"),
    "published": ("published", "published_time", "publish_time"),
    "user": ("user", "user_id", "uid", "reader"),
    "time": ("time", "timestamp", "impression_time", "date"),
    "history": ("history", "article_id_fixed"),
    "history_times": ("history_times", "impression_time_fixed"),
    "candidates": ("candidates", "shown", "article_ids_inview"),
    "clicked": ("clicked", "article_ids_clicked"),
    "clicks": ("clicks", "labels"),
}
"""The columns by role, and the names that tell them; the first that is there counts."""

ARTICLE_ROLES: Final = ("article", "title", "abstract", "category", "subcategories", "entities", "published")
SHOWN_ROLES: Final = ("user", "time", "history", "candidates", "clicked", "clicks")
HISTORY_ROLES: Final = ("user", "history", "history_times")

_EBNERD_TEXT: Final = ("article_id", "category", "subcategory", "title", "subtitle")
"""The columns of an ``articles.tsv`` without header."""
_BETWEEN: Final = re.compile(r"[\s,;|\[\]()'\"]+")


class Table:
    """Columns of a file by role.

    Attributes:
        path: the file.
        lines: the line of each row, or None for Parquet.
        columns: lists of text, or Arrow's arrays.
    """

    def __init__(self, path: Path, columns: Mapping[str, Any], lines: list[int] | None) -> None:
        self.path = path
        self.lines = lines
        self.columns = columns

    def where(self, row: int) -> str:
        """Returns the place of a row, for messages."""
        return f"{self.path}, row {row}" if self.lines is None else f"{self.path}, line {self.lines[row]}"

    def need(self, *roles: str) -> None:
        """Refuses a table without a column of each role.

        Raises:
            DataError: names the first.
        """
        for role in roles:
            if role not in self.columns:
                raise DataError(
                    f"{self.path} has no column for {role!r}: {', '.join(NAMES[role])}; name it: "
                    f"columns={{{role!r}: '...'}}"
                )

    def texts(self, role: str) -> list[str]:
        """Returns a column as text, "" where it is missing."""
        column = self.columns[role]
        values = column if isinstance(column, list) else column.to_pylist()
        return ["" if value is None else str(value) for value in values]

    def ids(self, role: str) -> IdArray:
        """Returns a column of ids, int64 or text.

        Raises:
            DataError: one is missing or malformed.
        """
        column = self.columns[role]
        try:
            return as_ids(check_ids(_whole(column) if isinstance(column, list) else _values(column), role))
        except DataError as error:
            raise DataError(f"{self.path}: {error}") from None

    def lists(self, role: str) -> Lists:
        """Returns a column of lists of ids or words; text is apart by blanks, commas, semicolons or bars.

        Raises:
            DataError: the column holds no lists.
        """
        column = self.columns[role]
        if isinstance(column, list):
            return _of_texts(column)
        return _of_arrow(column, f"{self.path}: the column of {role!r}")

    def seconds(self, role: str, time_format: str | None, missing: bool) -> Seconds:
        """Returns a column of times, float64 (n,) seconds since 1970; NaN where one is missing and may be.

        Raises:
            DataError: one is no time, or missing.
        """
        column = self.columns[role]
        if not isinstance(column, list):
            texts, seconds = _arrow_seconds(column)
            if texts is None:
                return self._check_missing(seconds, role, missing)
            column = texts
        filled = [at for at, text in enumerate(column) if text]
        found, bad = seconds_of([column[at] for at in filled], time_format)
        if bad is not None:
            at = filled[bad.position]
            raise DataError(f"{self.where(at)}: the time {column[at][:40]!r} {bad.reason}")
        seconds = np.full(len(column), np.nan)
        seconds[filled] = found
        return self._check_missing(seconds, role, missing)

    def _check_missing(self, seconds: Seconds, role: str, missing: bool) -> Seconds:
        lost = np.isnan(seconds)
        if not missing and lost.any():
            raise DataError(
                f"{self.where(int(lost.argmax()))}: the {role} is missing; fill it in or drop the row"
            )
        return seconds


class Lists(NamedTuple):
    """Lists of raw values, end to end: ``values`` int64 or an object array of text, and ``indptr``."""

    values: npt.NDArray[Any]
    indptr: Int64Array


def read_table(path: Path, roles: Sequence[str], columns: Mapping[str, str]) -> Table:
    """Reads the columns of some roles from CSV, TSV or Parquet.

    Args:
        path: the file; its first line, or its schema, names the columns. An ``articles.tsv`` of five columns without
            names is EB-NeRD's: id, category, subcategories, title, subtitle.
        roles: what is read, where it is there.
        columns: names of columns by role, before those of `NAMES`.

    Raises:
        ConfigError: PyArrow is needed and not installed.
        DataError: the file is malformed, or a column that is named is not there.
    """
    with opened(path) as content:
        if not content.head.startswith(MAGIC):
            return _read_text(content, roles, columns)
        found: dict[str, str] = {}

        def choose(names: list[str]) -> list[str]:
            found.update(_find(path, names, roles, columns))
            return list(dict.fromkeys(found.values()))

        table = read_columns(content, choose)
        with reading(str(path)):
            return Table(
                path,
                {role: table[name].combine_chunks() for role, name in found.items()},
                None,
            )


def _find(
    path: Path, names: Sequence[str], roles: Sequence[str], columns: Mapping[str, str]
) -> dict[str, str]:
    """Returns the names of columns by role."""
    plain = {name.strip().lower(): name for name in reversed(names)}
    found = {}
    for role in roles:
        if role in columns:
            if columns[role] not in names:
                raise DataError(
                    f"{path}: columns[{role!r}] = {columns[role]!r}, but the columns are "
                    f"{', '.join(map(repr, names[:30]))}"
                )
            found[role] = columns[role]
            continue
        name = next((plain[known] for known in NAMES[role] if known in plain), None)
        if name is not None and name not in found.values():
            found[role] = name
    return found


def check_roles(columns: Mapping[str, str] | None) -> Mapping[str, str]:
    """Returns names of columns by role.

    Raises:
        ConfigError: a role is unknown, or a name is no text.
    """
    for role, name in (columns or {}).items():
        if role not in NAMES:
            raise ConfigError(f"columns names the role {role!r}; it is one of {', '.join(NAMES)}")
        if not isinstance(name, str):
            raise ConfigError(f"columns[{role!r}] is {name!r}; it is the name of a column")
    return columns or {}


# Text


def _read_text(content: Content, roles: Sequence[str], columns: Mapping[str, str]) -> Table:
    path = content.path
    first = content.lines(1)[0][1].rstrip("\r\n")
    sep = "\t" if "\t" in first else ";" if first.count(";") > first.count(",") else ","
    rows = _rows(content, sep)
    line, names = next(rows, (0, []))
    if not names:
        raise DataError(f"{path} holds no line")
    if _is_ebnerd(names):
        rows = chain([(line, names)], rows)
        names = list(_EBNERD_TEXT)
    found = _find(path, names, roles, columns)
    for name in found.values():
        if names.count(name) > 1:
            raise DataError(f"{path}: two columns are called {name!r}; rename one")
    places = [names.index(name) for name in found.values()]
    lines: list[int] = []
    fields: list[list[str]] = []
    for line, row in rows:
        if len(row) != len(names):
            raise DataError(
                f"{path}, line {line}: {len(row)} fields, but the first line has {len(names)}; correct the line"
            )
        lines.append(line)
        fields.append([row[at].strip() for at in places])
    if not lines:
        raise DataError(f"{path} has a header but no row")
    return Table(path, dict(zip(found, map(list, zip(*fields, strict=True)), strict=True)), lines)


def _is_ebnerd(names: list[str]) -> bool:
    return len(names) == len(_EBNERD_TEXT) and PLAIN_INTEGER.fullmatch(names[0]) is not None


def _rows(content: Content, sep: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the number of the last line of each row, and its fields; in text apart by tabs quotes are text."""
    text = "".join(decode(block, number, content.path) for number, block in content.blocks(1 << 24))
    if sep == "\t":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip("\r"):
                yield number, line.rstrip("\r").split("\t")
        return
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=sep, strict=True)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise DataError(f"{content.path}, line {rows.line_num}: {error}; correct its quotes") from None
        if row is None:
            return
        if row:
            yield rows.line_num, row


def _of_texts(texts: list[str]) -> Lists:
    split = [[word for word in _BETWEEN.split(text) if word] for text in texts]
    indptr = np.append(0, np.cumsum([len(words) for words in split], dtype=np.int64))
    flat = np.empty(int(indptr[-1]), dtype=object)
    flat[:] = list(chain.from_iterable(split))
    return Lists(flat, indptr)


def _whole(texts: list[str]) -> list[Any]:
    """Returns ids as integers if all are written as such, else as text."""
    if all(map(PLAIN_INTEGER.fullmatch, texts)) and all(abs(int(text)) < 2**63 for text in texts):
        return list(map(int, texts))
    return texts


# Arrow


def _values(array: Any) -> Any:
    """Returns the values of an Arrow array without missing ones as NumPy's; text as objects."""
    if array.null_count:
        at = array.is_null().to_pylist().index(True)
        raise DataError(f"row {at} is missing; fill it in or drop the row")
    return array.to_numpy(zero_copy_only=False)


def _of_arrow(array: Any, what: str) -> Lists:
    import pyarrow as pa  # type: ignore[import-untyped]

    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return _of_texts(["" if text is None else text for text in array.to_pylist()])
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        raise DataError(f"{what} holds {array.type}, but lists are needed")
    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    try:
        values = _values(array.flatten())
    except DataError as error:
        raise DataError(f"{what}: in its lists {error}") from None
    if values.dtype.kind == "u":
        values = values.astype(np.int64)
    return Lists(values, np.append(0, np.cumsum(lengths)))


def _arrow_seconds(array: Any) -> tuple[list[str] | None, Seconds]:
    """Returns text to be read, or seconds."""
    import pyarrow as pa

    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return ["" if text is None else text for text in array.to_pylist()], np.empty(0)
    with reading("a column of times"):
        if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
            ticks = array.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
            return None, np.asarray(ticks.cast(pa.float64()).to_numpy(zero_copy_only=False)) / 1e6
        numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return None, np.asarray(numbers, dtype=np.float64)


# Articles and impressions


def read_articles(path: Path, columns: Mapping[str, str], time_format: str | None) -> RawArticles:
    """Reads articles from named columns.

    Raises:
        ConfigError: see `read_table`.
        DataError: there is no column of ids or titles, or an id is malformed or there twice.
    """
    table = read_table(path, ARTICLE_ROLES, columns)
    table.need("article", "title")
    ids = table.ids("article")
    unique, first, counts = np.unique(ids, return_index=True, return_counts=True)
    if unique.size != ids.size:
        place = int(first[counts > 1].min())
        again = np.flatnonzero(ids == ids[place])[1]
        raise DataError(
            f"{table.where(int(again))}: the article {ids[place : place + 1].tolist()[0]!r} is there again; keep one"
        )

    def words(role: str) -> list[list[str]] | None:
        if role not in table.columns:
            return None
        lists = table.lists(role)
        flat = list(map(str, lists.values.tolist()))
        return [flat[a:b] for a, b in zip(lists.indptr[:-1].tolist(), lists.indptr[1:].tolist(), strict=True)]

    there = table.columns
    return RawArticles(
        ids,
        table.texts("title"),
        table.texts("abstract") if "abstract" in there else [""] * ids.size,
        table.texts("category") if "category" in there else None,
        words("subcategories"),
        words("entities"),
        table.seconds("published", time_format, missing=True) if "published" in there else None,
    )


def read_impressions(
    path: Path,
    history_path: Path | None,
    index: ArticleIndex,
    max_history: int,
    columns: Mapping[str, str],
    time_format: str | None,
) -> Shown:
    """Reads impressions from named columns, and the histories of their users from another file, if there is one.

    Args:
        path: the impressions, with users and candidates, and with times, clicks and histories where there are any.
        history_path: a history for each user, or None.
        index: numbers of the articles.
        max_history: so many of the latest clicks of a history count.
        columns: names of columns by role.
        time_format: of times as text.

    Raises:
        ConfigError: see `read_table`.
        DataError: a column is missing or malformed, no article is shown, or a candidate is unknown and ``index`` says
            that this is an error.
    """
    table = read_table(path, SHOWN_ROLES, columns)
    table.need("user", "candidates")
    users = table.ids("user")
    shown = table.lists("candidates")
    lengths = np.diff(shown.indptr)
    if not lengths.all():
        raise DataError(
            f"{table.where(int((lengths == 0).argmax()))}: the impression shows no article; drop it"
        )
    codes = index.find_values(_raw(shown.values))
    rows = np.repeat(np.arange(users.size), lengths)
    clicks, notes = _clicks(table, shown, rows)
    keep = index.settle(
        codes, lambda at: shown.values[at : at + 1].tolist()[0], lambda at: table.where(int(rows[at]))
    )
    dropped = 0
    indptr = shown.indptr
    if keep is not None:
        dropped = int(codes.size - np.count_nonzero(keep))
        indptr = np.append(0, np.cumsum(keep))[indptr]
        codes = codes[keep]
        clicks = None if clicks is None else clicks[keep]
    histories, history_rows, unknown, first = _histories(
        table, history_path, users, index, max_history, columns
    )
    return Shown(
        users,
        table.seconds("time", time_format, missing=False) if "time" in table.columns else None,
        Ragged(indptr, codes, index.ids.size + len(index.added)),
        clicks,
        histories,
        history_rows,
        (*notes, *told_of(path, unknown, dropped)),
        first,
    )


def _raw(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(np.int64) if values.dtype.kind in "iu" else values


def _clicks(table: Table, shown: Lists, rows: Int64Array) -> tuple[Bools | None, tuple[str, ...]]:
    """Returns whether each candidate was clicked; None where the table does not say."""
    if "clicks" in table.columns:
        return _marked(table, shown), ()
    if "clicked" not in table.columns:
        return None, ()
    lists = table.lists("clicked")
    both = [_raw(shown.values), _raw(lists.values)]
    if both[0].dtype != both[1].dtype:
        both = [values.astype(str).astype(object) for values in both]
    codes, kinds = factorise(np.concatenate(both), "candidates")
    theirs = rows * np.int64(kinds.size) + codes[: rows.size]
    ours = np.repeat(np.arange(lists.indptr.size - 1), np.diff(lists.indptr)) * np.int64(kinds.size)
    ours += codes[rows.size :]
    absent = int(np.count_nonzero(~np.isin(ours, theirs)))
    note = f"{table.path}: {absent:,} clicks are of articles that the impression does not show"
    return np.isin(theirs, ours), (note,) * (absent > 0)


def _marked(table: Table, shown: Lists) -> Bools:
    lists = table.lists("clicks")
    odd = np.diff(lists.indptr) != np.diff(shown.indptr)
    if odd.any():
        at = int(odd.argmax())
        counts = np.diff(lists.indptr)[at], np.diff(shown.indptr)[at]
        raise DataError(
            f"{table.where(at)}: {counts[0]} clicks for {counts[1]} candidates; give one for each"
        )
    texts = np.array([str(value) for value in lists.values.tolist()], dtype=object)
    clicked, others = np.isin(texts, ["1", "True", "true"]), np.isin(texts, ["0", "False", "false"])
    wrong = ~(clicked | others)
    if wrong.any():
        at = int(wrong.argmax())
        row = int(np.searchsorted(lists.indptr, at, side="right")) - 1
        raise DataError(f"{table.where(row)}: the click {texts[at][:40]!r} is neither 0 nor 1")
    return np.asarray(clicked)


def _histories(
    table: Table,
    path: Path | None,
    users: IdArray,
    index: ArticleIndex,
    max_history: int,
    columns: Mapping[str, str],
) -> tuple[Ragged, Int32Array, int, Seconds | None]:
    """Returns the distinct histories, and which of them each impression has.

    After that come how many of their clicks are unknown, and when each article was first clicked, where that is known.
    """
    if path is None and "history" not in table.columns:
        none = Ragged(np.zeros(2, np.int64), np.empty(0, np.int32), index.ids.size)
        return none, np.zeros(users.size, np.int32), 0, None
    first = None
    if path is None:
        lists, rows = _distinct(table.lists("history"))
    else:
        other = read_table(path, HISTORY_ROLES, columns)
        other.need("user", "history")
        first = _first_clicks(other, index)
        lists, rows = _of_users(other, users)
    codes = index.find_values(_raw(lists.values))
    histories, unknown = known_history(lists.indptr, codes, index.ids.size, max_history)
    return histories, rows, unknown, first


def _first_clicks(other: Table, index: ArticleIndex) -> Seconds | None:
    """Returns when each article was first clicked, float64 (num_articles,), inf for never."""
    if "history_times" not in other.columns or isinstance(other.columns["history_times"], list):
        return None
    articles, times = other.lists("history"), other.columns["history_times"].flatten()
    seconds = _arrow_seconds(times)[1]
    if seconds.size != articles.values.size:
        return None
    codes = index.find_values(_raw(articles.values))
    first = np.full(index.ids.size, np.inf)
    there = (codes >= 0) & ~np.isnan(seconds)
    np.minimum.at(first, codes[there], seconds[there])
    return first


def _distinct(lists: Lists) -> tuple[Lists, Int32Array]:
    """Returns each distinct list once, and which of them each row has."""
    values = lists.values
    keys: dict[bytes | tuple[Any, ...], int] = {}
    firsts: list[int] = []
    rows = np.empty(lists.indptr.size - 1, np.int32)
    ends = lists.indptr.tolist()
    for at, (a, b) in enumerate(pairwise(ends)):
        part = values[a:b]
        key = tuple(part.tolist()) if part.dtype.kind == "O" else part.tobytes()
        rows[at] = keys.setdefault(key, len(keys))
        if rows[at] == len(firsts):
            firsts.append(at)
    return _taken(lists, np.array(firsts, np.int64)), rows


def _of_users(other: Table, users: IdArray) -> tuple[Lists, Int32Array]:
    """Returns the histories of some users, the last one empty for those without."""
    theirs = other.ids("user")
    if theirs.dtype.kind != users.dtype.kind:
        raise DataError(
            f"{other.path}: users are {theirs.dtype}, but those of the impressions are {users.dtype}"
        )
    order = np.argsort(theirs, kind="stable")
    if theirs.size and (again := theirs[order][1:] == theirs[order][:-1]).any():
        at = int(order[1:][int(again.argmax())])
        raise DataError(
            f"{other.where(at)}: the user {theirs[at : at + 1].tolist()[0]!r} is there again; keep one row"
        )
    place = np.minimum(np.searchsorted(theirs[order], users), max(theirs.size - 1, 0))
    found = theirs[order][place] == users if theirs.size else np.zeros(users.size, bool)
    needed, rows = np.unique(
        np.where(found, order[place] if theirs.size else 0, theirs.size), return_inverse=True
    )
    lists = other.lists("history")
    padded = Lists(lists.values, np.append(lists.indptr, lists.indptr[-1]))
    return _taken(padded, needed), rows.astype(np.int32)


def _taken(lists: Lists, rows: Int64Array) -> Lists:
    lengths = np.diff(lists.indptr)[rows]
    indptr = np.append(0, np.cumsum(lengths))
    shift = np.repeat(lists.indptr[rows] - indptr[:-1], lengths)
    return Lists(lists.values[np.arange(int(indptr[-1])) + shift], indptr)
