"""Ranked lists written block by block, on standard output or into a file that is whole or absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
from pyrec.errors import ConfigError
from pyrec.evaluate.tables import table

HEADER = ["user", "rank", "item", "score"]
FORMATS = ("table", "csv", "json", "jsonl", "parquet")
SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@dataclass(frozen=True)
class Lists:
    """Ranked lists of some users.

    Attributes:
        users: Raw ids (B,).
        items: Raw ids (B, n), best first.
        scores: float32 (B, n), -inf pads a short list.
    """

    users: NDArray[Any]
    items: NDArray[Any]
    scores: NDArray[np.float32]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Items that are there in each list, int64 (B,)."""
        return np.asarray(np.count_nonzero(self.scores > -np.inf, axis=1))

    def by_user(self) -> Iterator[tuple[Any, list[Any], list[float]]]:
        """Yield a user, their items and the scores, without padding."""
        columns = (self.users.tolist(), self.items.tolist(), self.scores.tolist(), self.lengths.tolist())
        for user, items, scores, length in zip(*columns, strict=True):
            yield user, items[:length], scores[:length]

    def cells(self) -> list[list[str]]:
        """Return a row of text for each recommendation, in the order of `HEADER`."""
        return [
            [str(user), str(rank), str(item), f"{score:.6g}"]
            for user, items, scores in self.by_user()
            for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1)
        ]


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
def writer(path: Path | None, layout: str) -> Iterator[Write]:
    """Yield what writes blocks of lists; a file takes its place when the block ends well.

    Raises:
        ConfigError: If PyArrow is missing for Parquet.
        DataError: If the file cannot be written.
    """
    if path is None:
        with _OPEN[layout](_echo) as write:
            yield write
        return
    if layout == "parquet":
        need("pyarrow", "a Parquet file", "io")
    with replacing(path) as temporary:
        if layout == "parquet":
            with _parquet(temporary) as write:
                yield write
            return
        with temporary.open("w", encoding="utf-8", newline="") as file, _OPEN[layout](file.write) as write:
            yield write


def _echo(text: str) -> None:
    click.echo(text, nl=False)


@contextmanager
def _as_table(put: Callable[[str], Any]) -> Iterator[Write]:
    """A block's columns are as wide as it needs; the header is the first block's."""
    begun = False

    def write(lists: Lists) -> None:
        nonlocal begun
        lines = table([HEADER, *lists.cells()]).split("\n")
        put("".join(f"{line}\n" for line in lines[begun:]))
        begun = True

    yield write


@contextmanager
def _as_csv(put: Callable[[str], Any]) -> Iterator[Write]:
    put(",".join(HEADER) + "\n")

    def write(lists: Lists) -> None:
        put("".join(",".join(map(quoted, row)) + "\n" for row in lists.cells()))

    yield write


def _object(user: Any, items: list[Any], scores: list[float]) -> str:
    return json.dumps({"user": user, "items": items, "scores": scores}, ensure_ascii=False)


@contextmanager
def _as_json_lines(put: Callable[[str], Any]) -> Iterator[Write]:
    yield lambda lists: put("".join(_object(*one) + "\n" for one in lists.by_user()))


@contextmanager
def _as_json(put: Callable[[str], Any]) -> Iterator[Write]:
    before = "["

    def write(lists: Lists) -> None:
        nonlocal before
        for one in lists.by_user():
            put(before + _object(*one))
            before = ", "

    yield write
    put("[]\n" if before == "[" else "]\n")


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    arrow: Any = need("pyarrow", "a Parquet file", "io")
    parquet: Any = need("pyarrow.parquet", "a Parquet file", "io")
    file: Any = None

    def write(lists: Lists) -> None:
        nonlocal file
        there = lists.scores > -np.inf
        users, ranks = np.nonzero(there)
        columns = {
            "user": arrow.array(lists.users[users].tolist(), _arrow_type(arrow, lists.users)),
            "rank": arrow.array(ranks + 1, arrow.int32()),
            "item": arrow.array(lists.items[there].tolist(), _arrow_type(arrow, lists.items)),
            "score": arrow.array(lists.scores[there], arrow.float32()),
        }
        block = arrow.table(columns)
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
