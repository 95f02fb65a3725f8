"""MIND's files: ``news.tsv`` and ``behaviors.tsv``, fields apart by tabs, quotes being text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pyrec.data.ids import MAX_ID_LENGTH, TEXT, Int32Array, text_problem
from pyrec.data.ragged import Ragged
from pyrec.data.read.files import Content, decode, opened
from pyrec.data.read.news.clock import seconds_of
from pyrec.data.read.news.raw import (
    ArticleIndex,
    Bools,
    Int64Array,
    RawArticles,
    Shown,
    known_history,
)
from pyrec.data.read.news.tokens import Cells, split_cells
from pyrec.errors import DataError

NEWS_COLUMNS: Final = (
    "id",
    "category",
    "subcategory",
    "title",
    "abstract",
    "url",
    "title entities",
    "abstract entities",
)
BEHAVIOR_COLUMNS: Final = ("impression id", "user", "time", "history", "impressions")

_BLOCK_BYTES: Final = 1 << 24
_ENTITY: Final = re.compile(r'"WikidataId"\s*:\s*"([^"]+)"')
_DASH, _ZERO, _ONE = b"-01"
_TAB, _NEWLINE = b"\t\n"


class _Rows(NamedTuple):
    """Rows of a block: the number of each one's line, and the fields of each column."""

    lines: list[int]
    columns: list[list[str]]


def read_mind_articles(path: Path) -> RawArticles:
    """Reads ``news.tsv``.

    Raises:
        DataError: a line has other than 8 fields, an id is malformed or there twice, or entities are no list.
    """
    columns: list[list[str]] = [[] for _ in NEWS_COLUMNS]
    lines: list[int] = []
    with opened(path) as content:
        for block in _blocks(content, NEWS_COLUMNS):
            lines += block.lines
            for column, more in zip(columns, block.columns, strict=True):
                column += more
    if not lines:
        raise DataError(f"{path} holds no article")
    ids, categories, subcategories, titles, abstracts, _, *entities = columns
    _check_ids(path, ids, lines)
    return RawArticles(
        np.array(ids, dtype=TEXT),
        titles,
        abstracts,
        categories,
        [[text] if text else [] for text in subcategories],
        _entities(path, lines, *entities),
        None,
    )


def _check_ids(path: Path, ids: list[str], lines: list[int]) -> None:
    first: dict[str, int] = {}
    for text, line in zip(ids, lines, strict=True):
        problem = "holds a blank" if " " in text else text_problem(text)
        if problem:
            raise DataError(f"{path}, line {line}: the article id {text[:40]!r} {problem}")
        if first.setdefault(text, line) != line:
            raise DataError(
                f"{path}, line {line}: the article {text!r} is there again, first in line {first[text]}; keep one"
            )


def _entities(path: Path, lines: list[int], titles: list[str], abstracts: list[str]) -> list[list[str]]:
    """Returns the Wikidata ids of title and abstract, each once."""
    for column in (titles, abstracts):
        odd = next((at for at, text in enumerate(column) if text and text[0] + text[-1] != "[]"), None)
        if odd is not None:
            raise DataError(
                f"{path}, line {lines[odd]}: the entities {column[odd][:40]!r} are no list of JSON, such as []; is it "
                "whole?"
            )
    both = map(str.__add__, titles, abstracts)
    return [list(dict.fromkeys(_ENTITY.findall(text))) if len(text) > len("[][]") else [] for text in both]


def read_mind_behaviors(
    path: Path, index: ArticleIndex, max_history: int, time_format: str | None = None
) -> Shown:
    """Reads ``behaviors.tsv``, with clicks or without.

    Args:
        path: the file.
        index: numbers of the articles.
        max_history: so many of the latest clicks of a history count.
        time_format: of the times; None for MIND's, ISO 8601 or seconds.

    Raises:
        DataError: a line has other than 5 fields, a user, time or label is malformed, no article is shown, labels are
            there and then not, or a candidate is unknown and ``index`` says that this is an error.
    """
    table = _Table(path, index)
    with opened(path) as content:
        for block in _blocks(content, BEHAVIOR_COLUMNS):
            table.append(block)
    return table.finish(max_history, time_format)


class _Table:
    """Impressions, filled block after block."""

    def __init__(self, path: Path, index: ArticleIndex) -> None:
        self._path = path
        self._index = index
        self._lines: list[int] = []
        self._users: list[str] = []
        self._times: list[str] = []
        self._histories: dict[str, int] = {}
        self._history_rows: list[int] = []
        self._lengths: list[Int64Array] = []
        self._codes: list[Int32Array] = []
        self._clicks: list[Bools] = []
        self._is_labelled: bool | None = None
        self._dropped = 0

    def append(self, block: _Rows) -> None:
        """Adds the rows of a block."""
        _, users, times, histories, shown = block.columns
        if "" in users or max(map(len, users)) > MAX_ID_LENGTH:
            at, problem = next((at, why) for at, user in enumerate(users) if (why := text_problem(user)))
            raise DataError(f"{self._where(block.lines[at])}: the user id {users[at][:40]!r} {problem}")
        self._lines += block.lines
        self._users += users
        self._times += times
        number = self._histories
        self._history_rows += [number.setdefault(text, len(number)) for text in histories]
        self._append_candidates(split_cells(shown), block.lines)

    def _append_candidates(self, cells: Cells, lines: list[int]) -> None:
        lengths = np.diff(cells.indptr)
        if not lengths.all():
            line = lines[int((lengths == 0).argmax())]
            raise DataError(f"{self._path}, line {line}: the impression shows no article; drop the line")
        ends, clicks = self._labels(cells, lines)
        codes = self._index.find(cells, ends)

        def spelling(at: int) -> str:
            return bytes(cells.text[cells.starts[at] : ends[at]]).decode()

        keep = self._index.settle(codes, spelling, lambda at: self._where(lines[cells.cell_of(at)]))
        if keep is not None:
            self._dropped += int(codes.size - np.count_nonzero(keep))
            lengths = np.diff(np.append(0, np.cumsum(keep))[cells.indptr])
            codes = codes[keep]
            clicks = None if clicks is None else clicks[keep]
        self._lengths.append(lengths)
        self._codes.append(codes)
        if clicks is not None:
            self._clicks.append(clicks)

    def _where(self, line: int) -> str:
        return f"{self._path}, line {line}"

    def _labels(self, cells: Cells, lines: list[int]) -> tuple[Int64Array, Bools | None]:
        """Returns where the ids of candidates end, and the clicks behind them; None where there are none."""
        text, ends = cells.text, cells.ends
        has_label = (ends - cells.starts > 2) & (text[ends - 2] == _DASH)
        if self._is_labelled is None:
            self._is_labelled = bool(has_label[0])
        odd = has_label != self._is_labelled
        if odd.any():
            at = int(odd.argmax())
            told = ("no label", "a label") if self._is_labelled else ("a label", "none")
            raise DataError(
                f"{self._where(lines[cells.cell_of(at)])}: the candidate {cells.spelling(at)[:40]!r} has "
                f"{told[0]}, but the first one has {told[1]}; '-1' is clicked, '-0' is not"
            )
        if not self._is_labelled:
            return ends, None
        label = text[ends - 1]
        wrong = (label != _ZERO) & (label != _ONE)
        if wrong.any():
            at = int(wrong.argmax())
            raise DataError(
                f"{self._where(lines[cells.cell_of(at)])}: the candidate {cells.spelling(at)[:40]!r} has the label "
                f"{chr(label[at])!r}; '-1' is clicked, '-0' is not"
            )
        return ends - 2, label == _ONE

    def finish(self, max_history: int, time_format: str | None) -> Shown:
        """Returns the impressions."""
        if not self._lines:
            raise DataError(f"{self._path} holds no impression")
        seconds, bad = seconds_of(self._times, time_format)
        if bad is not None:
            raise DataError(
                f"{self._where(self._lines[bad.position])}: the time {self._times[bad.position][:40]!r} {bad.reason}"
            )
        cells = split_cells(self._histories)
        num_articles = self._index.ids.size
        histories, unknown = known_history(cells.indptr, self._index.find(cells), num_articles, max_history)
        lengths = np.concatenate(self._lengths)
        candidates = Ragged(
            np.append(0, np.cumsum(lengths)),
            np.concatenate(self._codes),
            num_articles + len(self._index.added),
        )
        return Shown(
            np.array(self._users, dtype=TEXT),
            seconds,
            candidates,
            np.concatenate(self._clicks) if self._is_labelled else None,
            histories,
            np.array(self._history_rows, dtype=np.int32),
            told_of(self._path, unknown, self._dropped),
        )


def told_of(path: Path, unknown: int, dropped: int) -> tuple[str, ...]:
    """Returns notes on unknown clicks of histories and on candidates left out."""
    notes = []
    if unknown:
        notes.append(
            f"{path}: {unknown:,} clicks of distinct histories are of unknown articles and are left out"
        )
    if dropped:
        notes.append(f"{path}: {dropped:,} candidates are unknown articles and are left out")
    return tuple(notes)


def _blocks(content: Content, columns: tuple[str, ...]) -> Iterator[_Rows]:
    """Yields the rows of a file, block after block; blank lines are passed over.

    Raises:
        DataError: a line has another number of fields, holds a NUL or is not UTF-8.
    """
    for number, block in content.blocks(_BLOCK_BYTES):
        text = decode(block, number, content.path)
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        if _is_even(text.encode(), len(columns)):
            fields = text.replace("\n", "\t").split("\t")
            fields.pop()
            lines = list(range(number, number + len(fields) // len(columns)))
            yield _Rows(lines, [fields[at :: len(columns)] for at in range(len(columns))])
        elif rows := _rows(text, number, content.path, columns):
            yield rows


def _is_even(block: bytes, num_columns: int) -> bool:
    """Tells whether each line of a block has so many fields."""
    text = np.frombuffer(block, np.uint8)
    between = text[(text == _TAB) | (text == _NEWLINE)]
    if between.size % num_columns:
        return False
    is_last = between.reshape(-1, num_columns) == _NEWLINE
    return bool(is_last[:, -1].all() and not is_last[:, :-1].any())


def _rows(text: str, number: int, path: Path, columns: tuple[str, ...]) -> _Rows | None:
    """Returns the rows of a block in which a line is blank; None where all are.

    Raises:
        DataError: a line has another number of fields.
    """
    lines, rows = [], []
    for line, written in enumerate(text.split("\n")[:-1], start=number):
        if not written.strip():
            continue
        row = written.split("\t")
        if len(row) != len(columns):
            raise DataError(
                f"{path}, line {line}: {len(row)} fields apart by tabs, but {len(columns)} are needed: "
                f"{', '.join(columns)}; is the line torn?"
            )
        lines.append(line)
        rows.append(row)
    return _Rows(lines, list(map(list, zip(*rows, strict=True)))) if rows else None
