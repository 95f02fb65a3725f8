"""``--item-names FILE``: what items are called, from a file that is named or as the run remembers it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pyrec.cli.grouped_help import OUTPUT, Command, grouped
from pyrec.cli.output import note
from pyrec.data import Interactions, read_item_names
from pyrec.data.read.files import is_pipe
from pyrec.data.read.item_names import NameColumns
from pyrec.store import item_names as kept

Names = dict[Any, str]
"""What items are called, by raw id."""

_BESIDE = ("movies.csv", "movies.dat", "u.item")
"""Files of well-known data sets that name the items and lie beside the interactions."""
_COLUMNS = re.compile(r"(?P<path>.+):(?P<columns>(?:id|name)=[^,=]+(?:,(?:id|name)=[^,=]+)?)", re.DOTALL)


@dataclass(frozen=True)
class NamesFile:
    """A file that says what items are called.

    Attributes:
        path: Absolute.
        columns: See `pyrec.data.read_item_names`.
    """

    path: Path
    columns: NameColumns | None = None

    @classmethod
    def of(cls, text: str) -> NamesFile:
        """Return what ``FILE`` or ``FILE:id=COLUMN,name=COLUMN`` means.

        Raises:
            click.BadParameter: If a column is named twice, or the file is the standard input or a pipe.
        """
        match = None if Path(text).exists() else _COLUMNS.fullmatch(text)
        path = Path(text if match is None else match["path"])
        if is_pipe(str(path)):
            raise click.BadParameter(f"{path} is a pipe, which can be read once; name a file")
        if match is None:
            return cls(path.resolve())
        words = [word.partition("=") for word in match["columns"].split(",")]
        columns = {entry: int(column) if column.isdecimal() else column for entry, _, column in words}
        if len(columns) < len(words):
            raise click.BadParameter(f"{text!r} names one column twice; write FILE:id=COLUMN,name=COLUMN")
        return cls(path.resolve(), columns)

    def __str__(self) -> str:
        columns = ",".join(f"{entry}={column}" for entry, column in (self.columns or {}).items())
        return f"{self.path}:{columns}" if columns else str(self.path)

    def read(self, train: Interactions) -> Names:
        """Return what the items are called, and say how many have no name.

        Raises:
            DataError: If the file cannot be read, or names none of the items.
        """
        names = read_item_names(self.path, train.item_ids, self.columns)
        if nameless := train.num_items - len(names):
            note(f"note: {nameless:,} of {train.num_items:,} items have no name in {self.path}")
        return names


def item_names_option(use: str) -> Callable[[Command], Command]:
    """Return the option ``--item-names``, whose value is a `NamesFile`.

    Args:
        use: What the command does with the names, a sentence.
    """
    return grouped(
        OUTPUT,
        "--item-names",
        callback=_value,
        metavar="FILE",
        help="What items are called, by a table with a column of ids and one of names, such as MovieLens' movies.csv; "
        f"FILE:id=COLUMN,name=COLUMN says which. {use}",
    )


def note_names_beside(data: str | None) -> None:
    """Say that a file beside the interactions names their items, where there is one."""
    if data is None or is_pipe(data):
        return
    folder, own = Path(data).parent, Path(data)
    for path in (*(folder / name for name in _BESIDE), own.with_suffix(".item")):
        if path.is_file() and path != own:
            note(f"note: {path} names the items; --item-names {path} keeps the names with the run")
            return


def names_of(run: Path, file: NamesFile | None, train: Interactions) -> Names:
    """Return what the items of a saved model are called: by a file, else as the run remembers; perhaps nothing.

    Raises:
        DataError: If the file, or what the run remembers, cannot be read.
    """
    return dict(kept.read(run)) if file is None else file.read(train)


def _value(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> NamesFile | None:
    return None if value is None else NamesFile.of(value)
