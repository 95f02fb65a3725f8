"""MIND's files: ``news.tsv`` and ``behaviors.tsv``, fields apart by tabs, quotes being text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pyrec.data.ids import TEXT, Int32Array, text_problem
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


class _Rows(NamedTuple):
    """Rows of a block: the number of each one's line, and its fields."""

    lines: list[int]
    fields: list[list[bytes]]


def read_mind_articles(path: Path) -> RawArticles:
    """Reads ``news.tsv``.

    Raises:
        DataError: a line has other than 8 fields, an id is malformed or there twice, or entities are no list.
    """
    rows: list[list[str]] = []
    lines: list[int] = []
    with opened(path) as content:
        for block in _blocks(content, NEWS_COLUMNS):
            lines += block.lines
            rows += [[field.decode() for field in row] for row in block.fields]
    if not rows:
        raise DataError(f"{path} holds no article")
    ids, categories, subcategories, titles, abstracts, _, *entities = map(list, zip(*rows, strict=True))
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
    found = []
    for line, title, abstract in zip(lines, titles, abstracts, strict=True):
        for text in (title, abstract):
            if text and not (text.startswith("[") and text.endswith("]")):
                raise DataError(
                    f"{path}, line {line}: the entities {text[:40]!r} are no list of JSON, such as []; is it whole?"
                )
        both = title + abstract
        found.append(list(dict.fromkeys(_ENTITY.findall(both))) if len(both) > len("[][]") else [])
    return found


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
        self._histories: dict[bytes, int] = {}
        self._history_rows: list[int] = []
        self._lengths: list[Int64Array] = []
        self._codes: list[Int32Array] = []
        self._clicks: list[Bools] = []
        self._is_labelled: bool | None = None
        self._dropped = 0

    def append(self, block: _Rows) -> None:
        """Adds the rows of a block."""
        _, users, times, histories, shown = zip(*block.fields, strict=True)
        self._check_users(users, block.lines)
        self._lines += block.lines
        self._users += [user.decode() for user in users]
        self._times += [time.decode() for time in times]
        number = self._histories
        self._history_rows += [number.setdefault(text, len(number)) for text in histories]
        self._append_candidates(split_cells(shown), block.lines)

    def _check_users(self, users: tuple[bytes, ...], lines: list[int]) -> None:
        for user in set(users):
            if problem := text_problem(user.decode()):
                line = lines[users.index(user)]
                raise DataError(f"{self._path}, line {line}: the user id {user.decode()[:40]!r} {problem}")

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
        decode(block, number, content.path)
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        texts = block.split(b"\n")
        texts.pop()
        lines = list(range(number, number + len(texts)))
        if not all(texts):
            lines = [line for line, text in zip(lines, texts, strict=True) if text.strip()]
            texts = [text for text in texts if text.strip()]
        fields = [text.split(b"\t") for text in texts]
        odd = next((at for at, row in enumerate(fields) if len(row) != len(columns)), None)
        if odd is not None:
            raise DataError(
                f"{content.path}, line {lines[odd]}: {len(fields[odd])} fields apart by tabs, but {len(columns)} are "
                f"needed: {', '.join(columns)}; is the line torn?"
            )
        if fields:
            yield _Rows(lines, fields)
