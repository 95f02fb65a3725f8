"""What the commands that print ranked lists share: their options, the blocks, and what is said of the outcome."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm  # type: ignore[import-untyped]

from pyrec.cli.grouped_help import OTHER, OUTPUT, Command, grouped
from pyrec.cli.item_names import item_names_option
from pyrec.cli.list_writers import FORMATS, Columns, Lists, writer
from pyrec.cli.options import quiet_option, threads_option, unknown_option
from pyrec.cli.output import counted, is_watched, note
from pyrec.models.lists import Recommendations

BLOCK_ROWS: Final = 2**17
"""Recommendations that are held at a time."""
SECONDS_BETWEEN_NOTES: Final = 10.0
IDS_HELP: Final = "Quote an id with a comma as in CSV; repeatable."

Rank = Callable[[slice], Recommendations]
"""Gives the lists of a slice of those who get some."""


class Wanted(NamedTuple):
    """Whose lists are written.

    Attributes:
        keys: What is written of each, (B,).
        what: What messages call them: ``users``.
        columns: What is written of each recommendation.
        rank: Ranks for a slice of them.
    """

    keys: NDArray[Any]
    what: str
    columns: Columns
    rank: Rank


def asked_options(things: str) -> Callable[[Command], Command]:
    """Return the options that name known ``users`` or ``items``, for `pyrec.cli.id_lists.ids_asked`."""
    by_id = grouped(
        OTHER,
        f"--{things}",
        multiple=True,
        aliases=(f"--{things.removesuffix('s')}",),
        metavar="ID,ID",
        help=f"{things.capitalize()}, by the ids of the training data. {IDS_HELP}",
    )
    by_file = click.option(
        f"--{things}-from",
        metavar="FILE",
        help=f"{things.capitalize()} from a file, or from standard input for -: an id a line, or a table whose header "
        f"names the {things}.",
    )
    return lambda command: by_id(by_file(command))


def list_options(command: Command) -> Command:
    """Add ``--n``, ``--unknown``, ``--item-names``, ``--out``, ``--format``, ``--threads`` and ``--quiet``."""
    for decorate in (
        quiet_option,
        threads_option,
        grouped(
            OUTPUT,
            "--format",
            "layout",
            type=click.Choice(FORMATS),
            help="How to write. [default: by the name of --out, else table]",
        ),
        grouped(
            OUTPUT,
            "--out",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write to this file: .csv, .json, .jsonl or .parquet. It is replaced when all lists are there.",
        ),
        item_names_option("[default: what the run was trained with]"),
        unknown_option,
        grouped(
            OTHER,
            "--n",
            type=int,
            aliases=("-n", "--k", "-k"),
            aka=("topk", "top-n", "num-items", "limit"),
            metavar="N",
            help="Items of a list. [default: 10, or all if there are fewer]",
        ),
    ):
        command = decorate(command)
    return command


def write_lists(
    wanted: Wanted, n: int, most: int, out: Path | None, layout: str, block: int | None = None
) -> None:
    """Rank block by block, write, and say who got fewer items than asked for, and where the lists are.

    Args:
        wanted: Whose lists.
        n: Items of a list.
        most: Items of the longest list that is possible.
        out: The file; None for standard output.
        layout: One of `FORMATS`.
        block: Lists that are ranked at a time; None for what `BLOCK_ROWS` says.
    """
    size = max(1, BLOCK_ROWS // n)
    lengths, popular = [], []
    with writer(out, layout, wanted.columns) as write:
        for rows in _in_blocks(len(wanted.keys), min(size, block or size), wanted.what):
            lists = Lists.of(wanted.rank(rows), wanted.keys[rows])
            write(lists)
            lengths.append(lists.lengths)
            popular.append(lists.popular)
    _note_popular(np.concatenate(lengths), np.concatenate(popular), wanted.what)
    _note_outcome(np.concatenate(lengths), wanted.what, most, out)


def _in_blocks(count: int, size: int, what: str) -> Iterator[slice]:
    """Yield slices, with a bar on a terminal and a line now and then elsewhere, on stderr."""
    starts = range(0, count, size)
    bar = tqdm(total=count, unit=f" {what}", file=sys.stderr, disable=not is_watched() or len(starts) == 1)
    noted = time.monotonic()
    with bar:
        for start in starts:
            stop = min(start + size, count)
            yield slice(start, stop)
            bar.update(stop - start)
            if not is_watched() and time.monotonic() - noted > SECONDS_BETWEEN_NOTES:
                noted = time.monotonic()
                note(f"{stop:,} of {count:,} {what}")


def _note_popular(lengths: NDArray[np.int64], popular: NDArray[np.int64], what: str) -> None:
    whole = int(((popular == lengths) & (popular > 0)).sum())
    if part := int((popular > 0).sum()) - whole:
        note(
            f"note: {part:,} of {len(lengths):,} {what} get popular items behind the last one that has a score"
        )
    if whole:
        note(f"note: {whole:,} of {len(lengths):,} {what} have no history to go by and get popular items")


def _note_outcome(lengths: NDArray[np.int64], what: str, most: int, out: Path | None) -> None:
    short, empty = int((lengths < most).sum()), int((lengths == 0).sum())
    if short:
        note(
            f"note: {short:,} of {counted(len(lengths), what)} have fewer than {counted(most, 'items')} left, "
            f"{empty:,} of them none"
        )
    if out is not None:
        found = counted(int(lengths.sum()), "recommendations")
        note(f"{found} for {counted(len(lengths), what)} in {out}")
