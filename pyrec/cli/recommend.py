"""``pyrec recommend``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from numpy.typing import NDArray

from pyrec.cli.family import holds_news_model
from pyrec.cli.grouped_help import GroupedCommand, grouped
from pyrec.cli.histories import histories_in_file, histories_in_options
from pyrec.cli.id_lists import KnownIds, ids_asked, ids_in_options
from pyrec.cli.item_names import Names, names_of
from pyrec.cli.list_writers import Columns, layout_of
from pyrec.cli.lists import IDS_HELP, Wanted, asked_options, list_options, write_lists
from pyrec.cli.news.lists import candidates_asked, time_option
from pyrec.cli.news.lists import recommend as recommend_news
from pyrec.cli.news.options import refuse_others
from pyrec.cli.options import fallback_option, set_threads
from pyrec.cli.output import note
from pyrec.cli.run_data import chosen_column
from pyrec.models import NewsRecommender, Recommender
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
  cut -d, -f1 today.csv | pyrec recommend run --users-from - --format csv
  pyrec recommend news-run --users U13740 --candidates today.txt --at 2019-11-15T08:00"""

WAYS = {
    "users": "--users ID,ID",
    "users_from": "--users-from FILE (- for standard input)",
    "history": "--history ITEM,ITEM for a new one",
    "histories_from": "--histories-from FILE",
    "everybody": "--all",
}
"""How the options that name users are written."""
NEWS = "News"
OF_NEWS = {*WAYS, "n", "items", "candidates", "at", "include_seen", "unknown", "out", "layout"}
"""The options that mean something for a model of news."""


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
@grouped(
    NEWS,
    "--candidates",
    metavar="FILE",
    help="Of news: recommend only the articles in this file, an id a line, or a table; - for standard input. "
    "[default: those that are alive, shown or published in the three days before]",
)
@grouped(
    NEWS,
    "--at",
    callback=time_option,
    metavar="TIME",
    help="Of news: the time of asking, as seconds since 1970 or 2019-11-15T08:00 (UTC). [default: right after what the "
    "model has learned from]",
)
@click.option("--include-seen", is_flag=True, help="Also items that the user had.")
@fallback_option
@list_options
@click.pass_context
def command(
    ctx: click.Context, /, run_dir: Path, n: int | None, out: Path | None, layout: str | None, **options: Any
) -> None:
    """Load, rank block by block and write."""
    set_threads(options["threads"])
    _check_one_way([words.split()[0] for name, words in WAYS.items() if options[name]])
    layout = layout_of(out, layout)
    if holds_news_model(run_dir):
        refuse_others(ctx, OF_NEWS)
        model = NewsRecommender.load(run_dir)
        skip = options["unknown"] == "skip"
        candidates = candidates_asked(model, options["items"], options["candidates"], skip)
        recommend_news(model, options, n, candidates, options["at"], out, layout)
        return
    if options["candidates"] is not None or options["at"] is not None:
        raise click.UsageError(
            "--candidates and --at are of news; this run learned from interactions: --items ID,ID"
        )
    _recommend(run_dir, options, n, out, layout)


def _recommend(run_dir: Path, given: Mapping[str, Any], n: int | None, out: Path | None, layout: str) -> None:
    model = Recommender.load(run_dir)
    names = names_of(run_dir, given["item_names"], model.train_)
    known_items, skip = KnownIds.of("item", model.train_, names), given["unknown"] == "skip"
    n = list_length(model.train_.num_items, n, None, None)
    options: dict[str, Any] = {
        "n": n,
        "filter_seen": not given["include_seen"],
        "fallback": given["fallback"],
    }
    for name in ("items", "exclude"):
        texts = given[name]
        options[name] = ids_in_options(f"--{name}", texts, known_items, skip) if texts else None
    if given["history"] or given["histories_from"] is not None:
        wanted = _new_users(
            model, given["history"], given["histories_from"], known_items, skip, names, options
        )
    else:
        known, column = KnownIds.of("user", model.train_), chosen_column(run_dir, "user")
        asked = ids_asked("--users", given["users"], given["users_from"], known, skip, column)
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
