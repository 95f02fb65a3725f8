"""``pyrec similar``."""

from __future__ import annotations

from pathlib import Path

import click

from pyrec.cli.family import holds_news_model
from pyrec.cli.grouped_help import GroupedCommand
from pyrec.cli.id_lists import KnownIds, ids_asked
from pyrec.cli.item_names import NamesFile, names_of
from pyrec.cli.list_writers import Columns, layout_of
from pyrec.cli.lists import Wanted, asked_options, list_options, write_lists
from pyrec.cli.news.lists import similar as similar_news
from pyrec.cli.news.options import refuse_others
from pyrec.cli.options import set_threads
from pyrec.cli.run_data import chosen_column
from pyrec.models import NewsRecommender, Recommender
from pyrec.models.requests import list_length

HELP = """Print the items most like some items of the model in RUN_DIR, or write them to a file.

Examples:

\b
  pyrec similar run --items 1,260 --n 5 --item-names movies.csv
  pyrec similar run --all --out similar.parquet"""

WAYS = "--items ID,ID, --items-from FILE (- for standard input), or --all"


OF_NEWS = {"items", "items_from", "every", "n", "unknown", "out", "layout"}
"""The options that mean something for a model of news."""


@click.command("similar", cls=GroupedCommand, help=HELP)
@click.argument("run_dir", type=click.Path(path_type=Path))
@asked_options("items")
@click.option("--all", "every", is_flag=True, help="All items of the training data.")
@list_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    run_dir: Path,
    items: tuple[str, ...],
    items_from: str | None,
    every: bool,
    n: int | None,
    unknown: str,
    item_names: NamesFile | None,
    out: Path | None,
    layout: str | None,
    threads: int | None,
) -> None:
    """Load, compare block by block and write."""
    set_threads(threads)
    given = [bool(items), items_from is not None, every].count(True)
    if given != 1:
        raise click.UsageError(f"name the items{'' if given == 0 else ' in one way alone'}: {WAYS}")
    layout = layout_of(out, layout)
    if holds_news_model(run_dir):
        refuse_others(ctx, OF_NEWS)
        similar_news(NewsRecommender.load(run_dir), items, items_from, unknown == "skip", n, out, layout)
        return
    model = Recommender.load(run_dir)
    names = names_of(run_dir, item_names, model.train_)
    known, skip = KnownIds.of("item", model.train_, names), unknown == "skip"
    wanted = ids_asked("--items", items, items_from, known, skip, chosen_column(run_dir, "item"))
    n = list_length(model.train_.num_items, n, None, None)
    columns = Columns("similar_to", names, key_is_item=True)
    lists = Wanted(wanted, "items", columns, lambda rows: model.similar_items(wanted[rows], n))
    write_lists(lists, n, min(n, model.train_.num_items - 1), out, layout)
