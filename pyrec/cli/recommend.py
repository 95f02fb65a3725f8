"""``pyrec recommend``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from numpy.typing import NDArray

from pyrec.cli.grouped_help import GroupedCommand
from pyrec.cli.histories import histories_in_file, histories_in_options
from pyrec.cli.id_lists import KnownIds, ids_asked, ids_in_options
from pyrec.cli.item_names import Names, NamesFile, names_of
from pyrec.cli.list_writers import Columns, layout_of
from pyrec.cli.lists import IDS_HELP, Wanted, asked_options, list_options, write_lists
from pyrec.cli.options import fallback_option, set_threads
from pyrec.cli.output import note
from pyrec.cli.run_data import chosen_column
from pyrec.models import Recommender
from pyrec.models.fallback import Fallback
from pyrec.models.requests import list_length

HELP = """Print the best items for users of the model in RUN_DIR, or write them to a file. New users are known by what
they had: their history.

Examples:

\b
  pyrec recommend run --users 17,42 --n 5
  pyrec recommend run --users '"Neil, Ann",Bob'
  pyrec recommend run --history 1,260 --history 318 --item-names movies.csv
  pyrec recommend run --all --out lists.parquet
  pyrec recommend run --users-from today.csv --unknown skip --out lists.csv
  cut -d, -f1 today.csv | pyrec recommend run --users-from - --format csv"""

WAYS = {
    "--users": "--users ID,ID",
    "--users-from": "--users-from FILE (- for standard input)",
    "--history": "--history ITEM,ITEM for a new one",
    "--histories-from": "--histories-from FILE",
    "--all": "--all",
}


@click.command("recommend", cls=GroupedCommand, help=HELP)
@click.argument("run_dir", type=click.Path(path_type=Path))
@asked_options("users")
@click.option(
    "--history",
    multiple=True,
    metavar="ITEM,ITEM",
    help="A new user, by the items of their history, the oldest first; repeatable, each time another user.",
)
@click.option(
    "--histories-from",
    metavar="FILE",
    help="New users from a file, or from standard input for -: a history a line, or a table whose header names users "
    "and items.",
)
@click.option("--all", "everybody", is_flag=True, help="All users of the training data.")
@click.option("--items", multiple=True, metavar="ID,ID", help=f"Recommend only these items. {IDS_HELP}")
@click.option("--exclude", multiple=True, metavar="ID,ID", help=f"Never recommend these items. {IDS_HELP}")
@click.option("--include-seen", is_flag=True, help="Also items that the user had.")
@fallback_option
@list_options
def command(
    run_dir: Path,
    users: tuple[str, ...],
    users_from: str | None,
    history: tuple[str, ...],
    histories_from: str | None,
    everybody: bool,
    n: int | None,
    items: tuple[str, ...],
    exclude: tuple[str, ...],
    include_seen: bool,
    fallback: Fallback,
    unknown: str,
    item_names: NamesFile | None,
    out: Path | None,
    layout: str | None,
    threads: int | None,
) -> None:
    """Load, rank block by block and write."""
    set_threads(threads)
    given = dict(zip(WAYS, (users, users_from, history, histories_from, everybody), strict=True))
    _check_one_way([flag for flag, value in given.items() if value])
    layout = layout_of(out, layout)
    model = Recommender.load(run_dir)
    names = names_of(run_dir, item_names, model.train_)
    known_items, skip = KnownIds.of("item", model.train_, names), unknown == "skip"
    n = list_length(model.train_.num_items, n, None, None)
    options: dict[str, Any] = {
        "n": n,
        "filter_seen": not include_seen,
        "fallback": fallback,
        "items": ids_in_options("--items", items, known_items, skip) if items else None,
        "exclude": ids_in_options("--exclude", exclude, known_items, skip) if exclude else None,
    }
    if history or histories_from is not None:
        wanted = _new_users(model, history, histories_from, known_items, skip, names, options)
    else:
        known = KnownIds.of("user", model.train_)
        asked = ids_asked("--users", users, users_from, known, skip, chosen_column(run_dir, "user"))
        wanted = _known_users(model, asked, names, options)
    most = n if options["items"] is None else min(n, len(set(options["items"])))
    write_lists(wanted, n, most, out, layout)


def _check_one_way(given: Sequence[str]) -> None:
    *first, last = WAYS.values()
    ways = f"{', '.join(first)}, or {last}"
    if not given:
        raise click.UsageError(f"name the users: {ways}")
    if len(given) > 1:
        raise click.UsageError(f"name the users in one way alone, not by {' and '.join(given)}: {ways}")


def _known_users(model: Recommender, users: NDArray[Any], names: Names, options: Mapping[str, Any]) -> Wanted:
    if options["fallback"] == "none":
        _note_cold(model, users)
    columns = Columns("user", names)
    return Wanted(users, "users", columns, lambda rows: model.recommend(users[rows], **options))


def _new_users(
    model: Recommender,
    texts: Sequence[str],
    path: str | None,
    known: KnownIds,
    skip: bool,
    names: Names,
    options: Mapping[str, Any],
) -> Wanted:
    found = (
        histories_in_options("--history", texts, known, skip)
        if path is None
        else histories_in_file("--histories-from", path, known, skip)
    )
    columns = Columns(found.key, names)
    return Wanted(
        found.keys,
        "histories",
        columns,
        lambda rows: model.recommend_for_items(found.items[rows], **options),
    )


def _note_cold(model: Recommender, users: NDArray[Any]) -> None:
    """Say for how many users the model has no history to go by."""
    if not model.personal:
        return
    cold = int((model.train_.activity[model.train_.encode_users(users)] == 0).sum())
    if cold:
        note(
            f"note: {cold:,} of {len(users):,} users have no training interaction; their lists follow no history"
        )
