"""``pyrec evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pyrec import checkpoint
from pyrec.cli.options import cutoffs_option, json_option, set_threads, threads_option
from pyrec.cli.output import metric_rows, note, print_json, table
from pyrec.cli.sources import DATA_HELP, Source, data_options, describe
from pyrec.data import Interactions
from pyrec.evaluate import ITEM_METRICS, USER_METRICS, evaluate
from pyrec.models import Recommender


@click.command(
    "evaluate",
    help=f"Measure the model in RUN_DIR, by default on the data it was trained with.{DATA_HELP}",
)
@click.argument("run_dir", type=click.Path(path_type=Path))
@data_options
@cutoffs_option("10,20")
@click.option(
    "--metrics",
    metavar="NAME,NAME",
    help=f"Which metrics, of {', '.join((*USER_METRICS, *ITEM_METRICS))}. [default: all]",
)
@threads_option
@json_option
def command(
    run_dir: Path, k: list[int], metrics: str | None, threads: int | None, as_json: bool, **options: Any
) -> None:
    """Load, measure and print."""
    set_threads(threads)
    source = Source.take(options)
    model = Recommender.load(run_dir)
    if not source.given:
        if source != Source():
            raise click.UsageError("options about the data need the data: DATA, or --train and --test")
        source = Source.from_json(checkpoint.read_config(run_dir)["run"].get("data"), str(run_dir))
    data = source.load()
    test = _in_ids_of(model.train_, data.test)
    note(describe(data.name, model.train_, test))
    evaluation = evaluate(model, test, k, None if metrics is None else metrics.split(","))
    if as_json:
        print_json(
            {
                **evaluation.metrics,
                "seconds_evaluate": evaluation.seconds,
                "num_test_users": evaluation.num_users,
            }
        )
        return
    click.echo(table(metric_rows({model.model_name: evaluation.metrics})))
    click.echo(f"\nevaluation {evaluation.seconds:.2f} s, {evaluation.num_users:,} test users")


def _in_ids_of(train: Interactions, test: Interactions) -> Interactions:
    """Return ``test`` with the id maps of ``train``; an id that the model does not know is an error."""
    return Interactions.from_arrays(
        test.user_ids[test.users],
        test.item_ids[test.items],
        user_ids=train.user_ids,
        item_ids=train.item_ids,
    )
