"""Plots of a training run, written as PNG files; needs matplotlib (``pip install '.[plots]'``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyrec._atomic import replacing
from pyrec.errors import ConfigError
from pyrec.evaluate.by_degree import by_activity
from pyrec.evaluate.calibration import Reliability
from pyrec.evaluate.significance import Values
from pyrec.look.glyphs import boxes_without_warnings
from pyrec.look.panels import (
    LIGHT,
    LONGEST_NAME,
    curve_metrics,
    draw_by_degree,
    draw_calibration,
    draw_differences,
    draw_gain,
    draw_layers,
    draw_loss,
    draw_metrics,
    draw_parts,
    draw_scores,
    draw_weight_bars,
    finish_axes,
    shorten,
)
from pyrec.models.explain import Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150


def available() -> bool:
    """Return whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def plot_curves(history: Sequence[Mapping[str, Any]], path: Path, title: str = "") -> None:
    """Draw the loss and the metrics by epoch.

    Args:
        history: A record an epoch with ``epoch``, ``loss`` and, in some or all, metrics such as
            ``test_recall@20`` and ``validation_recall@20``.
        path: The PNG file to write.
        title: Shown on top.

    Raises:
        ConfigError: If matplotlib is missing or ``history`` is empty.
        DataError: If the file cannot be written.
    """
    if not history:
        raise ConfigError("history is empty: a model that does not train by epochs has no curves")
    metrics = curve_metrics(history)
    figure = _figure(width=10 if metrics else 5.4, height=4.2)
    panels = figure.subplots(1, 2 if metrics else 1, squeeze=False)[0]
    draw_loss(panels[0], history, LIGHT)
    if metrics:
        draw_metrics(panels[1], history, metrics, LIGHT)
    _finish(figure, path, title)


def plot_layer_weights(
    weights: NDArray[np.float32], degrees: NDArray[np.integer], num_users: int, path: Path, title: str = ""
) -> None:
    """Draw how much each layer weighs: over all nodes, and if weights differ by node, by the node's degree.

    Args:
        weights: Weights that sum to 1, (layers,), or (nodes, layers) with users first.
        degrees: Training interactions of each node, (nodes,).
        num_users: How many of the nodes are users.
        path: The PNG file to write.
        title: Shown on top.

    Raises:
        ConfigError: If matplotlib is missing.
        DataError: If the file cannot be written.
    """
    if weights.ndim == 1:
        figure = _figure(width=5.4, height=4.2)
        draw_weight_bars(figure.subplots(), weights[None, :], "all nodes", LIGHT)
    else:
        figure = _figure(width=13, height=4.2)
        panels = figure.subplots(1, 3, sharey=True)
        for axes, name, part in (
            (panels[1], "users", slice(0, num_users)),
            (panels[2], "items", slice(num_users, None)),
        ):
            draw_by_degree(axes, weights[part], degrees[part], name, LIGHT)
        # Last, as it fixes the limits that all share.
        draw_weight_bars(panels[0], weights, "all nodes: mean, and 5 % to 95 % of them", LIGHT)
        for axes in panels[1:]:
            axes.set_ylabel("")
    _finish(figure, path, title)


def plot_gain(
    degrees: NDArray[np.integer], ours: Values, base: Values, path: Path, title: str, metric: str
) -> None:
    """Draw the users' mean difference by their training interactions, with 95 % confidence intervals.

    Args:
        degrees: (U,) training interactions of the users.
        ours: (U,) their values.
        base: (U,) their values under what it is compared with.
        path: The PNG file to write.
        title: Shown on top.
        metric: What the values are.

    Raises:
        ConfigError: If matplotlib is missing.
        DataError: If the file cannot be written.
    """
    figure = _figure(width=6.4, height=4)
    draw_gain(figure.subplots(), by_activity(degrees, ours - base), metric, LIGHT)
    _finish(figure, path, title)


def plot_calibration(curve: Reliability, path: Path, title: str = "") -> None:
    """Draw how often labelled pairs were positive by their predicted probability.

    Args:
        curve: Such as `pyrec.evaluate.PairEvaluation.reliability` returns.
        path: The PNG file to write.
        title: Shown on top.

    Raises:
        ConfigError: If matplotlib is missing.
        DataError: If the file cannot be written.
    """
    figure = _figure(width=5.4, height=4.8)
    draw_calibration(figure.subplots(), curve, LIGHT)
    _finish(figure, path, title)


def plot_explanation(
    why: Explanation, path: Path, item_names: Mapping[Any, str] | None = None, n: int = 10
) -> None:
    """Draw what each item of the history has to do with the score, as bars, and what each layer adds if there are any.

    A character that the font lacks is drawn as a box; `lacking` finds them.

    Args:
        why: Of one score.
        path: The PNG file to write.
        item_names: What items are called, by raw id; None for what the model knows.
        n: Parts to show.

    Raises:
        ConfigError: If matplotlib is missing.
        DataError: If the file cannot be written.
    """
    rows = why.rows(item_names, n)
    bars = max(1, len(rows)) + (0 if why.layers is None else len(why.layers) + 3)
    figure = _figure(width=8, height=1.9 + 0.3 * bars)
    if why.layers is None or why.layer_weights is None:
        draw_parts(figure.subplots(), rows, why, LIGHT)
    else:
        heights = [len(rows), len(why.layers)]
        parts, layers = figure.subplots(2, 1, height_ratios=heights)
        draw_parts(parts, rows, why, LIGHT)
        draw_layers(layers, why.layers, why.layer_weights, LIGHT)
    title = shorten(why.called(why.item, item_names), 2 * LONGEST_NAME)
    _finish(figure, path, f"{title}\n{why.standing()}", grid="x")


def plot_models(
    labels: Sequence[str],
    scores: Sequence[float],
    untuned: Sequence[float],
    differences: Sequence[float],
    halves: Sequence[float],
    path: Path,
    title: str,
    metric: str,
) -> None:
    """Draw models side by side, the best on top: their scores, and their differences to the best with intervals.

    Args:
        labels: (n,) names of the models, the best first.
        scores: (n,) of the best hyperparameters that were found.
        untuned: (n,) before the search.
        differences: (n,) to the best model.
        halves: (n,) half the widths of their intervals; NaN for none.
        path: The PNG file to write.
        title: Shown on top.
        metric: What the scores are.

    Raises:
        ConfigError: If matplotlib is missing.
        DataError: If the file cannot be written.
    """
    figure = _figure(width=10, height=1.6 + 0.42 * len(labels))
    left, right = figure.subplots(1, 2, sharey=True)
    draw_scores(left, labels, scores, untuned, metric, LIGHT)
    draw_differences(right, differences, halves, metric, LIGHT)
    _finish(figure, path, title)


def _figure(width: float, height: float) -> Figure:
    """Return a figure of its own, drawn without a display and outside pyplot's global state."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ConfigError("plots need matplotlib: pip install '.[plots]'") from None
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _finish(figure: Figure, path: Path, title: str, grid: Literal["x", "y"] = "y") -> None:
    if title:
        figure.suptitle(title, fontsize=11, parse_math=False)
    finish_axes(figure, LIGHT, grid)
    with replacing(path) as temporary, boxes_without_warnings():
        figure.savefig(temporary, format="png")
