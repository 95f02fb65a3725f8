"""``pyrec recommend``."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from pyrec.cli.options import set_threads, threads_option
from pyrec.cli.output import print_json, table
from pyrec.errors import DataError
from pyrec.models import Recommender

HEADER = ["user", "rank", "item", "score"]


@click.command("recommend")
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--users", required=True, metavar="ID,ID", help="Users, by the ids of the training data.")
@click.option("--n", type=int, help="Items a user. [default: 10, or all if there are fewer]")
@click.option("--items", metavar="ID,ID", help="Recommend only these items.")
@click.option("--exclude", metavar="ID,ID", help="Never recommend these items.")
@click.option("--include-seen", is_flag=True, help="Also items that the user had in training.")
@click.option(
    "--format", "layout", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)
@threads_option
def command(
    run_dir: Path,
    users: str,
    n: int | None,
    items: str | None,
    exclude: str | None,
    include_seen: bool,
    layout: str,
    threads: int | None,
) -> None:
    """Print the best items for users of the model in RUN_DIR."""
    set_threads(threads)
    model = Recommender.load(run_dir)
    wanted = parse_ids("--users", users, model.train_.user_ids)
    known = model.train_.item_ids
    best_items, scores = model.recommend(
        wanted,
        n,
        filter_seen=not include_seen,
        items=None if items is None else parse_ids("--items", items, known),
        exclude=None if exclude is None else parse_ids("--exclude", exclude, known),
    )
    lists = [
        [(item, score) for item, score in zip(row.tolist(), values.tolist(), strict=True) if score > -np.inf]
        for row, values in zip(best_items, scores, strict=True)
    ]
    if layout == "json":
        print_json(
            [
                {"user": user, "items": [item for item, _ in best], "scores": [score for _, score in best]}
                for user, best in zip(wanted.tolist(), lists, strict=True)
            ],
            indent=None,
        )
        return
    rows = [
        [str(user), str(rank), str(item), f"{score:.6g}"]
        for user, best in zip(wanted.tolist(), lists, strict=True)
        for rank, (item, score) in enumerate(best, start=1)
    ]
    click.echo(table([HEADER, *rows]) if layout == "table" else _as_csv([HEADER, *rows]))


def parse_ids(option: str, text: str, known: NDArray[Any]) -> NDArray[Any]:
    """Return raw ids from a comma-separated list, as integers if the known ids are.

    Raises:
        DataError: If one is empty, or is no integer though the known ids are.
    """
    parts = [part.strip() for part in text.split(",")]
    if known.dtype.kind != "i":
        return np.array(parts, dtype=str)
    for part in parts:
        if not _is_integer(part):
            raise DataError(f"{option}: {part[:40]!r} is no id; the ids of this model are integers")
    return np.array([int(part) for part in parts], dtype=np.int64)


def _is_integer(text: str) -> bool:
    """Whether the text is an integer of 64 bits in plain digits, of which 19 are enough."""
    return re.fullmatch("-?[0-9]{1,19}", text) is not None and -(2**63) <= int(text) < 2**63


def _as_csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().rstrip("\n")
