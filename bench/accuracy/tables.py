"""The report's tables, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .grid import USER_METRICS
from .paired import Comparison
from .pairs import finished
from .results import Row


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table, the first column to the left and the others to the right."""
    rules = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rules, *rows[1:]])


def accuracy_table(by_label: Mapping[str, list[Row]], cutoffs: Sequence[int]) -> str:
    """Mean ± standard deviation over seeds and splits, a row a model; the best mean of a column is bold.

    Args:
        by_label: Rows of one data set.
        cutoffs: Of the metrics.
    """
    done = {label: finished(rows) for label, rows in by_label.items()}
    done = {label: rows for label, rows in done.items() if rows}
    metrics = [f"{name}@{k}" for k in sorted(cutoffs, reverse=True) for name in USER_METRICS]
    header = ["model", *metrics, "seconds to train", "best epoch", "runs"]
    columns = [_metric_column(done, metric) for metric in metrics]
    table = [header]
    for at, (label, rows) in enumerate(done.items()):
        seconds = mean_sd([row["seconds_train"] for row in rows], 1)
        epochs = np.mean([row["best_epoch"] for row in rows])
        shown = f"{epochs:.0f}" if epochs else ""
        table.append([label, *(column[at] for column in columns), seconds, shown, str(len(rows))])
    return markdown(table)


def _metric_column(done: Mapping[str, list[Row]], metric: str) -> list[str]:
    values = [[row["metrics"][metric] for row in rows if metric in row["metrics"]] for rows in done.values()]
    best = max((np.mean(own) for own in values if own), default=0)
    cells = [mean_sd(own, 4) for own in values]
    return [
        f"**{cell}**" if own and np.mean(own) == best else cell
        for cell, own in zip(cells, values, strict=True)
    ]


def mean_sd(values: Sequence[float], digits: int) -> str:
    """Mean ± sample standard deviation; the mean alone of a single value."""
    if not values:
        return ""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.{digits}f}"


def failures(by_label: Mapping[str, list[Row]]) -> str:
    """A line for each run that failed."""
    return "\n".join(
        f"- {label}, split {row['split']}, seed {row['seed']}: {row['error']}"
        for label, rows in by_label.items()
        for row in rows
        if "error" in row
    )


def comparison_table(family: Sequence[Comparison], ours: str, base: str) -> str:
    """A row a metric: means over users, gain with its interval, and the corrected p-values."""
    header = ["metric", ours, base, "gain, 95 % interval"]
    tests = [
        f"p, t over {family[0].num_users:,} users",
        "p, Wilcoxon over users",
        f"p, t over folds and seeds, {family[0].num_runs} pairs",
    ]
    rows = [
        [
            *(one.metric, f"{one.ours:.4f}", f"{one.base:.4f}"),
            f"{one.gain:+.2f} % [{one.low:+.2f}, {one.high:+.2f}]",
            *(p_value(p) for p in (one.p_users, one.p_wilcoxon, one.p_runs)),
        ]
        for one in family
    ]
    return markdown([header + tests, *rows])


def p_value(p: float) -> str:
    """Two significant digits."""
    return "" if np.isnan(p) else f"{p:.2g}"
