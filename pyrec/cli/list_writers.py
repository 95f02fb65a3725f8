"""Ranked lists written block by block, on standard output or into a file that is whole or absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from pyrec._atomic import replacing
from pyrec._optional import need
from pyrec.cli.id_lists import quoted
from pyrec.cli.output import terminal_width
from pyrec.errors import ConfigError
from pyrec.evaluate.tables import table
from pyrec.models.lists import Recommendations

FORMATS = ("table", "csv", "json", "jsonl", "parquet")
SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@dataclass(frozen=True)
class Lists:
    """Ranked lists.

    Attributes:
        keys: Whose they are, raw ids (B,).
        items: Raw ids (B, n), best first.
        scores: float32 (B, n), -inf pads a short list.
        is_fallback: Whether an item is there by popularity, bool (B, n).
    """

    keys: NDArray[Any]
    items: NDArray[Any]
    scores: NDArray[np.float32]
    is_fallback: NDArray[np.bool_]

    @classmethod
    def of(cls, found: Recommendations, keys: NDArray[Any]) -> Lists:
        """Return what a model recommends for whom."""
        return cls(keys, found.ids, found.scores, found.is_fallback)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Items that are there in each list, int64 (B,)."""
        return np.asarray(np.count_nonzero(self.scores > -np.inf, axis=1))

    @property
    def popular(self) -> NDArray[np.int64]:
        """Items of each list that are there by popularity, int64 (B,)."""
        return np.asarray(np.count_nonzero(self.is_fallback & (self.scores > -np.inf), axis=1))

    def by_key(self) -> Iterator[tuple[Any, list[Any], list[float], list[bool]]]:
        """Yield whose a list is, its items, the scores and which are by popularity, without padding."""
        columns = (self.keys, self.items, self.scores, self.is_fallback, self.lengths)
        for key, items, scores, popular, length in zip(*(column.tolist() for column in columns), strict=True):
            yield key, items[:length], scores[:length], popular[:length]


@dataclass(frozen=True)
class Columns:
    """What is written of each recommendation.

    Attributes:
        key: What the column is called that says whose a list is: ``user``, ``history`` or ``similar_to``.
        names: What items are called, by raw id; if there are none, no column has them.
        key_is_item: Whether the lists are those of items, which have names too; popularity then fills up none.
    """

    key: str
    names: Mapping[Any, str]
    key_is_item: bool = False

    @property
    def fallback(self) -> list[str]:
        """The column that tells what is there by popularity, if there is one."""
        return [] if self.key_is_item else ["fallback"]

    @property
    def key_name(self) -> list[str]:
        """The column with the name of who has the list, if there is one."""
        return [f"{self.key}_name"] if self.key_is_item and self.names else []

    @property
    def header(self) -> list[str]:
        """The columns' names in a file."""
        return [
            *self.shown[: self.shown.index("score") + 1],
            *self.fallback,
            *(["name"] if self.names else []),
        ]

    @property
    def shown(self) -> list[str]:
        """The columns' names in a table."""
        return [self.key, *self.key_name, "rank", "item", "score", *(["name"] if self.names else [])]

    def rows(self, lists: Lists) -> list[dict[str, str]]:
        """Return the texts of each recommendation, by the columns' names."""
        return [
            {
                self.key: str(key),
                **{column: self.names.get(key, "") for column in self.key_name},
                "rank": str(rank),
                "item": str(item),
                "score": f"{score:.6g}",
                "fallback": str(popular).lower(),
                "name": self.names.get(item, ""),
            }
            for key, items, scores, populars in lists.by_key()
            for rank, (item, score, popular) in enumerate(zip(items, scores, populars, strict=True), start=1)
        ]

    def cells(self, lists: Lists, columns: list[str]) -> list[list[str]]:
        """Return a row of text for each recommendation, in the order of some columns."""
        return [[row[column] for column in columns] for row in self.rows(lists)]

    def object(self, key: Any, items: list[Any], scores: list[float], populars: list[bool]) -> str:
        """Return a list as JSON; null for an item without a name."""
        named = {column: self.names.get(key) for column in self.key_name}
        values = {self.key: key, **named, "items": items, "scores": scores}
        values |= dict.fromkeys(self.fallback, populars)
        values |= {"names": [self.names.get(item) for item in items]} if self.names else {}
        return json.dumps(values, ensure_ascii=False)


Write = Callable[[Lists], None]


def layout_of(path: Path | None, layout: str | None) -> str:
    """Return the format to write: the one asked for, else the one that a file's name says, else a table.

    Raises:
        ConfigError: If the name says none, or the format cannot go where it should.
    """
    if path is None:
        if layout == "parquet":
            raise ConfigError(
                "--format parquet is no text for standard output; name a file: --out FILE.parquet"
            )
        return layout or "table"
    chosen = layout or SUFFIXES.get(path.suffix.lower())
    if chosen is None or chosen == "table":
        raise ConfigError(f"--out {path}: name a file {', '.join(SUFFIXES)}, or give a --format of these")
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise ConfigError(f"--out {path} is no regular file; leave out --out to write to standard output")
    return chosen


@contextmanager
def writer(path: Path | None, layout: str, columns: Columns) -> Iterator[Write]:
    """Yield what writes blocks of lists; a file takes its place when the block ends well.

    Raises:
        ConfigError: If PyArrow is missing for Parquet.
        DataError: If the file cannot be written.
    """
    if path is None:
        with _OPEN[layout](_echo, columns) as write:
            yield write
        return
    if layout == "parquet":
        need("pyarrow", "a Parquet file", "io")
    with replacing(path) as temporary:
        if layout == "parquet":
            with _parquet(temporary, columns) as write:
                yield write
            return
        with (
            temporary.open("w", encoding="utf-8", newline="") as file,
            _OPEN[layout](file.write, columns) as write,
        ):
            yield write


def _echo(text: str) -> None:
    click.echo(text, nl=False)


@contextmanager
def _as_table(put: Callable[[str], Any], columns: Columns) -> Iterator[Write]:
    """A block's columns are as wide as it needs, names as a terminal leaves room; the header is the first block's."""
    begun = False

    def write(lists: Lists) -> None:
        nonlocal begun
        shown = columns.shown
        names = [at for at, column in enumerate(shown) if column.endswith("name")]
        rows = [shown, *columns.cells(lists, shown)]
        lines = table(rows, {0, *names}, names, terminal_width()).split("\n")
        put("".join(f"{line}\n" for line in lines[begun:]))
        begun = True

    yield write


@contextmanager
def _as_csv(put: Callable[[str], Any], columns: Columns) -> Iterator[Write]:
    put(",".join(columns.header) + "\n")

    def write(lists: Lists) -> None:
        put("".join(",".join(map(quoted, row)) + "\n" for row in columns.cells(lists, columns.header)))

    yield write


@contextmanager
def _as_json_lines(put: Callable[[str], Any], columns: Columns) -> Iterator[Write]:
    yield lambda lists: put("".join(columns.object(*one) + "\n" for one in lists.by_key()))


@contextmanager
def _as_json(put: Callable[[str], Any], columns: Columns) -> Iterator[Write]:
    before = "["

    def write(lists: Lists) -> None:
        nonlocal before
        for one in lists.by_key():
            put(before + columns.object(*one))
            before = ", "

    yield write
    put("[]\n" if before == "[" else "]\n")


@contextmanager
def _parquet(path: Path, columns: Columns) -> Iterator[Write]:
    arrow: Any = need("pyarrow", "a Parquet file", "io")
    parquet: Any = need("pyarrow.parquet", "a Parquet file", "io")
    file: Any = None

    def named(ids: list[Any]) -> Any:
        return arrow.array([columns.names.get(raw) for raw in ids], arrow.string())

    def write(lists: Lists) -> None:
        nonlocal file
        there = lists.scores > -np.inf
        keys, ranks = np.nonzero(there)
        whose, items = lists.keys[keys].tolist(), lists.items[there].tolist()
        values = {
            columns.key: arrow.array(whose, _arrow_type(arrow, lists.keys)),
            "rank": arrow.array(ranks + 1, arrow.int32()),
            "item": arrow.array(items, _arrow_type(arrow, lists.items)),
            "score": arrow.array(lists.scores[there], arrow.float32()),
        }
        if columns.fallback:
            values["fallback"] = arrow.array(lists.is_fallback[there], arrow.bool_())
        if columns.names:
            values |= {"name": named(items), **{column: named(whose) for column in columns.key_name}}
        block = arrow.table({column: values[column] for column in columns.header})
        if file is None:
            file = parquet.ParquetWriter(path, block.schema)
        file.write_table(block)

    try:
        yield write
    finally:
        if file is not None:
            file.close()


def _arrow_type(arrow: Any, ids: NDArray[Any]) -> Any:
    return arrow.int64() if ids.dtype.kind == "i" else arrow.string()


_OPEN = {"table": _as_table, "csv": _as_csv, "json": _as_json, "jsonl": _as_json_lines}
