"""``--report FILE.html``: the report on a run, written by ``pyrec train`` and ``pyrec evaluate``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pyrec._atomic import check_writable, writing
from pyrec._optional import need
from pyrec.cli.grouped_help import OUTPUT, grouped
from pyrec.cli.output import note
from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.models import Recommender


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--report`` and ``--item-names``, which `Report.take` takes."""
    names = grouped(
        OUTPUT,
        "--item-names",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="With --report: what items are called, a CSV or TSV file with a line ITEM,NAME each.",
    )
    return grouped(
        OUTPUT,
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE.html",
        help="Write a report on the run, one HTML file without scripts or links.",
    )(names(command))


@dataclass(frozen=True)
class Report:
    """A report that was asked for.

    Attributes:
        path: The file to write.
        item_names: The file that names the items, if there is one.
    """

    path: Path
    item_names: Path | None

    @classmethod
    def take(cls, options: dict[str, Any]) -> Report | None:
        """Take the options of a report out of a command's; None if there is to be none.

        Raises:
            UsageError: If there are names without a report.
            ConfigError: If matplotlib or Jinja is missing.
            DataError: If the file cannot be written: before training, not after it.
        """
        path, item_names = options.pop("report"), options.pop("item_names")
        if path is None:
            if item_names is not None:
                raise click.UsageError("--item-names is for the report; name its file: --report FILE.html")
            return None
        for module in ("matplotlib", "jinja2"):
            need(module, "a report", "report")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        check_writable(path.parent)
        return cls(path, item_names)

    def names(self, train: Interactions) -> dict[Any, str]:
        """Return what the items are called, by raw id.

        Raises:
            DataError: If their file cannot be read.
        """
        return {} if self.item_names is None else read_names(self.item_names, train)

    def write(self, model: Recommender, test: Interactions, **about: Any) -> None:
        """Write the page; ``about`` are the keyword arguments of `pyrec.look.report.write_report`.

        Raises:
            DataError: If it cannot be written.
        """
        from pyrec.look.report import write_report

        write_report(self.path, model, test, **about)
        note(f"report in {self.path}")


def read_names(path: Path, train: Interactions) -> dict[Any, str]:
    """Return what items are called, by raw id, from lines ``ITEM,NAME`` (or with tabs, or ``|``).

    Columns beyond the second, and items that the model does not know, such as those of a header, are left out. Text
    that is not UTF-8 is taken for Latin-1.

    Raises:
        DataError: If the file cannot be read, a line has one column or quotes that do not close, or no item is known.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    known = {str(raw): raw for raw in train.item_ids.tolist()}
    names: dict[Any, str] = {}
    for number, row in _rows(text, path):
        if len(row) == 1:
            raise DataError(f"{path}:{number} has one column, {row[0][:40]!r}; a line is ITEM,NAME")
        if row and row[0] in known:
            names[known[row[0]]] = row[1]
    if not names:
        raise DataError(f"{path} names none of the model's items; its first column holds their ids")
    return names


def _rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its first line; the first line's sign between columns is that of all."""
    lines = list(io.StringIO(text, newline=""))
    delimiter = next((sign for sign in ("\t", "|", ",") if sign in "".join(lines[:1])), ",")
    plain = delimiter != ","  # quotation marks are then part of a name
    rows = csv.reader(
        lines, delimiter=delimiter, quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL, strict=True
    )
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise DataError(f"{path}:{number}: {error}; correct the line's quotes") from None
        if row is None:
            return
        yield number, row
