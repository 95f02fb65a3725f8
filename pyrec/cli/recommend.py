"""``pyrec recommend``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm  # type: ignore[import-untyped]

from pyrec.cli.id_lists import KnownIds, ids_in_file, ids_in_options
from pyrec.cli.list_writers import FORMATS, Lists, layout_of, writer
from pyrec.cli.options import set_threads, threads_option, unknown_option
from pyrec.cli.output import is_watched, note
from pyrec.cli.run_data import source_of
from pyrec.errors import DataError
from pyrec.models import Recommender
from pyrec.models.requests import list_length

BLOCK_ROWS = 2**17
"""Recommendations that are held at a time."""
SECONDS_BETWEEN_NOTES = 10.0

IDS = "Quote an id with a comma as in CSV; repeatable."


HELP = """Print the best items for users of the model in RUN_DIR, or write them to a file.

Examples:

\b
  pyrec recommend run --users 17,42 --n 5
  pyrec recommend run --users '"Neil, Ann",Bob'
  pyrec recommend run --all --out lists.parquet
  cut -d, -f1 today.csv | pyrec recommend run --users-from - --unknown skip --out lists.csv"""


@click.command("recommend", help=HELP)
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option(
    "--users", multiple=True, metavar="ID,ID", help=f"Users, by the ids of the training data. {IDS}"
)
@click.option(
    "--users-from",
    metavar="FILE",
    help="Users from a file, or from standard input for -: an id a line, or a table whose header names the users.",
)
@click.option("--all", "everybody", is_flag=True, help="All users of the training data.")
@click.option("--n", type=int, help="Items a user. [default: 10, or all if there are fewer]")
@click.option("--items", multiple=True, metavar="ID,ID", help=f"Recommend only these items. {IDS}")
@click.option("--exclude", multiple=True, metavar="ID,ID", help=f"Never recommend these items. {IDS}")
@click.option("--include-seen", is_flag=True, help="Also items that the user had in training.")
@unknown_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to this file: .csv, .json, .jsonl or .parquet. It is replaced when all lists are there.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(FORMATS),
    help="How to write. [default: by the name of --out, else table]",
)
@threads_option
def command(
    run_dir: Path,
    users: tuple[str, ...],
    users_from: str | None,
    everybody: bool,
    n: int | None,
    items: tuple[str, ...],
    exclude: tuple[str, ...],
    include_seen: bool,
    unknown: str,
    out: Path | None,
    layout: str | None,
    threads: int | None,
) -> None:
    """Load, rank block by block and write."""
    set_threads(threads)
    _check_one_way(users, users_from, everybody)
    layout = layout_of(out, layout)
    model = Recommender.load(run_dir)
    known_users, known_items = (KnownIds(what, model.train_) for what in ("user", "item"))
    skip = unknown == "skip"
    if everybody:
        wanted = model.train_.user_ids
    elif users_from is not None:
        asked = ids_in_file("--users-from", users_from, known_users, skip, _user_columns(run_dir))
        wanted = known_users.array(asked)
    else:
        wanted = known_users.array(ids_in_options("--users", users, known_users, skip))
    n = list_length(model.train_.num_items, n, None, None)
    options: dict[str, Any] = {
        "filter_seen": not include_seen,
        "items": ids_in_options("--items", items, known_items, skip) if items else None,
        "exclude": ids_in_options("--exclude", exclude, known_items, skip) if exclude else None,
    }
    _note_cold(model, wanted)
    lengths: list[NDArray[np.int64]] = []
    with writer(out, layout) as write:
        for block in _in_blocks(wanted, max(1, BLOCK_ROWS // n)):
            lists = Lists(block, *model.recommend(block, n, **options))
            write(lists)
            lengths.append(lists.lengths)
    most = n if options["items"] is None else min(n, len(set(options["items"])))
    _note_outcome(np.concatenate(lengths), most, out)


def _check_one_way(users: Sequence[str], users_from: str | None, everybody: bool) -> None:
    ways = "--users ID,ID, --users-from FILE (- for standard input), or --all"
    given = [bool(users), users_from is not None, everybody].count(True)
    if given == 0:
        raise click.UsageError(f"name the users: {ways}")
    if given > 1:
        raise click.UsageError(f"name the users in one way alone: {ways}")


def _user_columns(run_dir: Path) -> tuple[str, ...]:
    """Return what the column of users is called in the data of the run, if it was chosen."""
    try:
        columns = source_of(run_dir).columns or {}
    except DataError:  # saved from Python, without a word on its data
        return ()
    name = columns.get("user")
    return (name,) if isinstance(name, str) else ()


def _in_blocks(users: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    """Yield users (B,) in blocks, with a bar on a terminal and a line now and then elsewhere, on stderr."""
    starts = range(0, len(users), size)
    bar = tqdm(total=len(users), unit="user", file=sys.stderr, disable=not is_watched() or len(starts) == 1)
    noted = time.monotonic()
    with bar:
        for start in starts:
            block = users[start : start + size]
            yield block
            bar.update(len(block))
            if not is_watched() and time.monotonic() - noted > SECONDS_BETWEEN_NOTES:
                noted = time.monotonic()
                note(f"{start + len(block):,} of {len(users):,} users")


def _note_cold(model: Recommender, users: NDArray[Any]) -> None:
    """Say for how many users the model has no history to go by."""
    if not model.personal:
        return
    cold = int((np.diff(model.train_.indptr)[model.train_.encode_users(users)] == 0).sum())
    if cold:
        note(
            f"note: {cold:,} of {len(users):,} users have no training interaction; their lists follow no history"
        )


def _note_outcome(lengths: NDArray[np.int64], n: int, out: Path | None) -> None:
    """Say who got fewer items than asked for, and where the lists are."""
    short, empty = int((lengths < n).sum()), int((lengths == 0).sum())
    if short:
        note(
            f"note: {short:,} of {len(lengths):,} users have fewer than {n} items left, {empty:,} of them none"
        )
    if out is not None:
        note(f"{lengths.sum():,} recommendations for {len(lengths):,} users in {out}")
