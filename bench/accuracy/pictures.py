"""The report's pictures: learning curves, weights of the layers, gain by user activity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from pyrec.files import replacing
from pyrec.plots import plot_layer_weights

from .paired import CONFIDENCE, Values
from .results import Arrays

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 90
GREY = "#777777"
ACTIVITY_BINS = 8
History = list[dict[str, Any]]


def draw_curves(runs: Mapping[str, list[Arrays]], cutoff: int, path: Path, title: str) -> bool:
    """Draws recall and ndcg against epochs and against seconds of training, a line a run.

    Validation metrics are drawn dashed, test metrics (``curve_every``) solid.

    Args:
        runs: The arrays of each model's runs by label.
        cutoff: Of the metrics.
        path: The PNG file.
        title: Shown on top.

    Returns:
        Whether there was anything to draw.
    """
    histories = {label: [json.loads(str(one["history"])) for one in own] for label, own in runs.items()}
    names = [f"{kind}_{name}@{cutoff}" for kind in ("validation", "test") for name in ("recall", "ndcg")]
    with_curves = {
        label: [history for history in own if any(name in record for record in history for name in names)]
        for label, own in histories.items()
    }
    with_curves = {label: own for label, own in with_curves.items() if own}
    if not with_curves:
        return False
    figure = Figure(figsize=(11, 7.5), dpi=DPI, layout="constrained")
    grid = figure.subplots(2, 2, sharey="row")
    for row, name in zip(grid, ("recall", "ndcg"), strict=True):
        for axes, by_time in zip(row, (False, True), strict=True):
            _draw_histories(axes, with_curves, f"{name}@{cutoff}", by_time)
        row[0].set_ylabel(f"{name}@{cutoff}; dashed: validation, solid: test")
    grid[0, 0].legend(frameon=False, fontsize=8)
    _finish(figure, path, title)
    return True


def _draw_histories(axes: Axes, histories: Mapping[str, list[History]], metric: str, by_time: bool) -> None:
    colors = colormaps["tab10"](np.arange(len(histories)) % 10)
    for (label, own), color in zip(histories.items(), colors, strict=True):
        for kind, style in (("validation", "--"), ("test", "-")):
            for history in own:
                x, y = _series(history, f"{kind}_{metric}", by_time)
                axes.plot(x, y, style, color=color, linewidth=1, alpha=0.8)
        axes.plot([], [], color=color, label=label)
    axes.set_xlabel("seconds of training" if by_time else "epoch")


def _series(history: History, name: str, by_time: bool) -> tuple[list[float], list[float]]:
    """The points of a curve; seconds add up over the epochs and do not count measuring."""
    seconds = np.cumsum([record["seconds"] for record in history]).tolist()
    points = [
        (spent if by_time else record["epoch"], record[name])
        for record, spent in zip(history, seconds, strict=True)
        if name in record
    ]
    return [x for x, _ in points], [y for _, y in points]


def draw_layer_weights(arrays: Arrays, path: Path, title: str) -> bool:
    """Draws a run's weights by layer and by the degree of the node; returns whether it learned any."""
    if "layer_weights" not in arrays:
        return False
    plot_layer_weights(arrays["layer_weights"], arrays["degrees"], int(arrays["num_users"]), path, title)
    return True


def draw_gain(
    degrees: NDArray[np.integer], ours: Values, base: Values, path: Path, title: str, metric: str
) -> None:
    """Draws the users' mean difference by their training interactions, with 95 % confidence intervals.

    Args:
        degrees: (U,) training interactions of the users.
        ours: (U,) their values.
        base: (U,) their values under what it is compared with.
        path: The PNG file.
        title: Shown on top.
        metric: What the values are.
    """
    groups = activity_groups(degrees)
    means, halves = zip(*(_mean_and_half((ours - base)[group]) for group in groups), strict=True)
    figure = Figure(figsize=(6.4, 4), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color=GREY, linewidth=1)
    axes.errorbar(range(len(groups)), means, halves, fmt="o", capsize=3)
    axes.set_xticks(range(len(groups)), [_range_of(degrees[group]) for group in groups], fontsize=8)
    axes.set_xlabel("training interactions of the user (groups of about equal size)")
    axes.set_ylabel(f"difference in {metric}")
    _finish(figure, path, title)


def activity_groups(degrees: NDArray[np.integer], bins: int = ACTIVITY_BINS) -> list[NDArray[np.intp]]:
    """Users in groups by degree, (U_g,) positions each: quantiles, equal degrees always together."""
    edges = np.unique(np.quantile(degrees, np.arange(1, bins) / bins, method="lower"))
    group = np.searchsorted(edges, degrees, side="left")
    return [np.flatnonzero(group == at) for at in np.unique(group)]


def _mean_and_half(values: Values) -> tuple[float, float]:
    if len(values) < 2:
        return float(values.mean()), 0.0
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return float(values.mean()), float(quantile * values.std(ddof=1) / np.sqrt(len(values)))


def _range_of(degrees: NDArray[np.integer]) -> str:
    low, high = int(degrees.min()), int(degrees.max())
    return f"{low:,}" if low == high else f"{low:,} to\n{high:,}"


def _finish(figure: Figure, path: Path, title: str) -> None:
    figure.suptitle(title, fontsize=11)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
