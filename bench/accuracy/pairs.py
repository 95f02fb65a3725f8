"""The rows of a grid, by data set and by the grid's label of the model, and their users' values side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from pyrec.evaluate.significance import Values

from .grid import Grid
from .results import Arrays, Row

RowsOf = dict[str, dict[str, list[Row]]]
Load = Callable[[Row], Arrays | None]


def select(grid: Grid, rows: Mapping[str, Row]) -> RowsOf:
    """The grid's rows by data set and label, in the grid's order.

    A row belongs to the runs that have its key, whatever the label it was made under. Rows of other runs, such as
    those with parameters that the grid no longer has, are left out.
    """
    found: RowsOf = defaultdict(lambda: defaultdict(list))
    for run in grid.runs:
        if run.key in rows:
            found[run.data][run.label].append(rows[run.key])
    return {data: dict(by_label) for data, by_label in found.items()}


def finished(rows: Iterable[Row]) -> list[Row]:
    """Those that did not fail."""
    return [row for row in rows if "error" not in row]


def common_splits(ours: list[Row], base: list[Row]) -> tuple[list[Row], list[Row]]:
    """The finished rows of two models on the splits that both have."""
    both = {row["split"] for row in finished(ours)} & {row["split"] for row in finished(base)}
    kept = [[row for row in finished(rows) if row["split"] in both] for rows in (ours, base)]
    return kept[0], kept[1]


def pair_runs(ours: list[Row], base: list[Row], metric: str) -> tuple[Values, Values]:
    """A metric of two models by split and seed, (R,) each.

    Where one of the two has no seeds, its run on a split is compared with the mean over the other's seeds.
    """
    ours, base = common_splits(ours, base)
    values = [_by_seed(rows, metric) for rows in (ours, base)]
    if any(row["seed"] is None for row in [*ours, *base]):
        values = [_over_seeds(of) for of in values]
    both = sorted(values[0].keys() & values[1].keys())
    paired = [np.array([of[key] for key in both], dtype=np.float64) for of in values]
    return paired[0], paired[1]


BySeed = dict[tuple[str, int], float]


def _by_seed(rows: list[Row], metric: str) -> BySeed:
    return {(row["split"], row["seed"] or 0): row["metrics"][metric] for row in rows}


def _over_seeds(values: BySeed) -> BySeed:
    splits = {split for split, _ in values}
    return {
        (split, 0): float(np.mean([value for (own, _), value in values.items() if own == split]))
        for split in splits
    }


def pair_users(ours: list[Row], base: list[Row], metric: str, load: Load) -> tuple[Values, Values]:
    """A metric of two models by user, (U,) each: see `paired`; empty where arrays were not kept.

    Args:
        ours: Rows of one data set.
        base: Rows of the same data set.
        metric: Such as ``recall@20``.
        load: The arrays of a row.
    """
    values = [user_means(rows, metric, load) for rows in common_splits(ours, base)]
    both = sorted(values[0].keys() & values[1].keys())
    paired = [np.array([of[user] for user in both], dtype=np.float64) for of in values]
    return paired[0], paired[1]


def user_means(rows: list[Row], metric: str, load: Load) -> dict[object, float]:
    """Each user's value by raw id: the mean over seeds on a split, then over the splits that test the user."""
    splits: dict[str, list[tuple[NDArray[np.generic], Values]]] = defaultdict(list)
    for row in rows:
        arrays = load(row)
        if arrays is None:
            return {}
        splits[row["split"]].append((arrays["users"], arrays[metric].astype(np.float64)))
    values: dict[object, list[float]] = defaultdict(list)
    for runs in splits.values():
        users = runs[0][0]
        means = np.mean([own for _, own in runs], axis=0)
        for user, mean in zip(users.tolist(), means.tolist(), strict=True):
            values[user].append(mean)
    return {user: float(np.mean(own)) for user, own in values.items()}
