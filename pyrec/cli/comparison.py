"""What ``pyrec evaluate --compare`` does: two runs, measured on the same test users, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pyrec.cli.options import cutoffs_that_fit
from pyrec.cli.output import note, print_json
from pyrec.cli.run_data import check_same, in_ids_of, known_part, load_parts, read_as, source_of, unseen_part
from pyrec.cli.sources import Source, describe, note_reading
from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.evaluate.compare import Difference, compare, pair_users, warm_in_both
from pyrec.evaluate.ranking import Evaluation, evaluate
from pyrec.evaluate.tables import table
from pyrec.look import plots
from pyrec.models import Recommender
from pyrec.models.fallback import Fallback

PICTURED = ("ndcg", "recall", "precision", "map", "mrr", "hit")
"""The metrics of users; the first one that is compared is drawn."""


def compare_runs(
    runs: tuple[Path, Path],
    source: Source,
    k: Sequence[int],
    metrics: Sequence[str] | None,
    picture: Path | None,
    skip: bool,
    as_json: bool,
    fallback: Fallback = "popularity",
) -> None:
    """Measure both runs, print the comparison, and draw the gain by user activity.

    Args:
        runs: Their folders.
        source: The data to measure on, read as the first run's; those that both runs were trained with if it names
            none.
        k: Cut-offs.
        metrics: Which; None for all.
        picture: The PNG file to draw, if any.
        skip: Leave out test interactions with a user or an item that one of the models does not know.
        as_json: Print JSON and nothing else.
        fallback: See `pyrec.evaluate`.

    Raises:
        ConfigError: If a metric or cut-off is unknown, or matplotlib is missing for the picture.
        DataError: If a run cannot be read, the runs have different data, or an id is unknown to one of them.
    """
    models = [Recommender.load(run) for run in runs]
    own = not source.given
    source = _common_source(runs) if own else read_as(runs[0], source)
    name, train, test = load_parts(source, own)
    note_reading(*([] if train is None else [train]), test)
    if own:
        for run, model in zip(runs, models, strict=True):
            check_same(run, model, train)
    by_run = dict(zip(runs, models, strict=True))
    known = known_part(by_run, test, skip)
    known = known if own else unseen_part(by_run, known)
    tests = [in_ids_of(model, known) for model in models]
    k = cutoffs_that_fit(list(k), min(model.train_.num_items for model in models))
    for run, model, test in zip(runs, models, tests, strict=True):
        note(f"{run}: {model.label}; {describe(name, model.train_, test)}")
    first, second = (
        evaluate(model, test, k, metrics, fallback=fallback)
        for model, test in zip(models, tests, strict=True)
    )
    rows = compare(first, second)
    num_warm = int(warm_in_both(first, second).sum())
    warm = compare(first, second, users="warm") if num_warm else []
    if as_json:
        print_json(
            {
                "runs": [str(run) for run in runs],
                "num_users": first.num_users,
                "metrics": _as_json(rows),
                "num_warm_users": num_warm,
                "warm": _as_json(warm) if warm else None,
            }
        )
    else:
        _print(rows, warm if num_warm < first.num_users else [], [run.name or str(run) for run in runs])
    if picture is not None:
        _draw(runs, models[0].train_, (first, second), picture)
        note(f"drawn in {picture}")


def _print(rows: Sequence[Difference], warm: Sequence[Difference], names: Sequence[str]) -> None:
    click.echo(table(_table(rows, names)))
    num_users = rows[0].num_users
    over = f"{num_users:,} test users"
    if warm:
        click.echo(f"\nover the {warm[0].num_users:,} users with training interactions of both runs:\n")
        click.echo(table(_table(warm, names)))
        over = f"above over all {over}, below over the {warm[0].num_users:,} warm ones"
    click.echo(
        f"\n{over}; differences are the second run's less the first's, with 95 % intervals;\np-values are two-sided, "
        f"paired over users, corrected by Holm over the metrics of users {'of a table' if warm else 'above'}"
    )


def _common_source(runs: tuple[Path, Path]) -> Source:
    first, second = (source_of(run) for run in runs)
    if first != second:
        raise DataError(
            f"{runs[0]} and {runs[1]} were trained on different data ({' '.join(first.arguments()) or 'generated'}; "
            f"{' '.join(second.arguments()) or 'generated'}); name the data to compare on: DATA, or --train and --test"
        )
    return first


def _table(rows: Sequence[Difference], names: Sequence[str]) -> list[list[str]]:
    labels = names if names[0] != names[1] else ["first", "second"]
    header = ["metric", *labels, "difference", "", "relative", "p, t-test", "p, Wilcoxon"]
    return [header, *(_cells(row) for row in rows)]


def _cells(row: Difference) -> list[str]:
    tested = not math.isnan(row.half)
    return [
        row.metric,
        f"{row.first:.4f}",
        f"{row.second:.4f}",
        f"{row.difference:+.4f}",
        f"± {row.half:.4f}" if tested else "",
        f"{row.difference / row.first:+.1%}" if row.first else "",
        p_value(row.p_t),
        p_value(row.p_wilcoxon),
    ]


def p_value(p: float) -> str:
    """Return a p-value with two digits; nothing for NaN, where there was no test."""
    if math.isnan(p):
        return ""
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


def _as_json(rows: Sequence[Difference]) -> dict[str, Any]:
    """JSON knows no NaN: what was not tested is null."""
    return {
        row.metric: {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(row).items()
            if name != "metric"
        }
        for row in rows
    }


def _draw(
    runs: tuple[Path, Path], train: Interactions, measured: tuple[Evaluation, Evaluation], path: Path
) -> None:
    first, second = measured
    names = [name for kind in PICTURED for name in first.per_user if name.startswith(f"{kind}@")]
    if not names:
        raise DataError("--picture draws a metric of users; name one in --metrics, such as ndcg")
    users = train.encode_users(first.users)
    degrees = train.activity[users]
    theirs = second.per_user[names[0]][pair_users(first.users, second.users)]
    title = f"{runs[1].name} against {runs[0].name}"
    plots.plot_gain(degrees, theirs, first.per_user[names[0]], path, title, names[0])
