"""The report's pictures: learning curves, weights of the layers, gain by user activity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from pyrec._atomic import replacing
from pyrec.look.plots import plot_layer_weights

from .results import Arrays

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 90
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
    finish(figure, path, title)
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


def finish(figure: Figure, path: Path, title: str) -> None:
    """Gives a figure its title and the look of all, and writes it as PNG."""
    figure.suptitle(title, fontsize=11)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
