"""``pyrec explain``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from pyrec.cli.family import refuse_news
from pyrec.cli.grouped_help import GroupedCommand
from pyrec.cli.id_lists import KnownIds, RawId, ids_in_options
from pyrec.cli.item_names import NamesFile, item_names_option, names_of
from pyrec.cli.options import json_option, picture_option, quiet_option, set_threads, threads_option
from pyrec.cli.output import note, print_json
from pyrec.look import plots
from pyrec.look.glyphs import lacking
from pyrec.models import Recommender
from pyrec.models.explain import Explanation

HELP = """Say why the model in RUN_DIR gives a user an item: which item of the history adds what to its score.

Examples:

\b
  pyrec explain run --user 17
  pyrec explain run --user 17 --item 260 --picture why.png
  pyrec explain run --history 1,260,1196"""


@click.command("explain", cls=GroupedCommand, help=HELP)
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--user", metavar="ID", help="A user of the training data.")
@click.option(
    "--history",
    multiple=True,
    metavar="ID,ID",
    help="In place of --user: the items of a new user. Quote an id with a comma as in CSV; repeatable.",
)
@click.option("--item", metavar="ID", help="The item. [default: the best one that is recommended]")
@click.option(
    "--n", type=click.IntRange(min=1), default=10, show_default=True, help="Items of the history to show."
)
@item_names_option("The run's own, if it has any, need not be named.")
@picture_option("Draw the table as bars.")
@threads_option
@quiet_option
@json_option
def command(
    run_dir: Path,
    user: str | None,
    history: tuple[str, ...],
    item: str | None,
    n: int,
    item_names: NamesFile | None,
    picture: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Load, explain and print."""
    set_threads(threads)
    if (user is None) == (not history):
        raise click.UsageError("name a user (--user ID), or the items of a new one (--history ID,ID)")
    refuse_news(
        run_dir,
        "pyrec explain",
        "pyrec train --report and evaluate --report show which words and clicks count",
    )
    model = Recommender.load(run_dir)
    names = names_of(run_dir, item_names, model.train_)
    known = KnownIds.of("item", model.train_, names)
    wanted = None if item is None else _one("--item", item, known)
    why: Explanation
    if user is not None:
        why = model.explain(_one("--user", user, KnownIds.of("user", model.train_)), wanted)
    else:
        why = model.explain_for_items(ids_in_options("--history", history, known, False), wanted)
    if as_json:
        print_json(why.as_dict(names))
    else:
        click.echo(why.summary(names, n))
    if picture is not None:
        plots.plot_explanation(why, picture, names, n)
        if boxes := lacking([why.headline(names), *(row.label for row in why.rows(names, n))]):
            note(
                f"note: the picture's font lacks {len(boxes)} characters, such as {boxes[0]}; they are boxes"
            )
        note(f"drawn in {picture}")


def _one(option: str, text: str, known: KnownIds) -> RawId:
    """Return the one id that an option names.

    Raises:
        UsageError: If there are several.
        DataError: If it is unknown.
    """
    ids: Sequence[RawId] = ids_in_options(option, (text,), known, False)
    if len(ids) != 1:
        raise click.UsageError(f"{option} names {len(ids)} {known.what}s; one score is explained at a time")
    return ids[0]
