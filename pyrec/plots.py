"""Plots of a training run, written as PNG files; needs matplotlib (``pip install '.[plots]'``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyrec.errors import ConfigError
from pyrec.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
BLUE, ORANGE, GREEN, GREY, LIGHT_BLUE = "#1f5fa8", "#d9730d", "#2e8b57", "#777777", "#8fb8de"
METRIC_COLORS = {"recall": BLUE, "ndcg": ORANGE, "precision": GREEN}
DEGREE_GROUPS = 4


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
    metrics = sorted({name for record in history for name in record if "@" in name}, key=_metric_order)
    figure = _figure(width=10 if metrics else 5.4, height=4.2)
    panels = figure.subplots(1, 2 if metrics else 1, squeeze=False)[0]
    _draw_loss(panels[0], history)
    if metrics:
        _draw_metrics(panels[1], history, metrics)
    for axes in panels:
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
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
        _draw_weight_bars(figure.subplots(), weights[None, :], "all nodes")
    else:
        figure = _figure(width=13, height=4.2)
        panels = figure.subplots(1, 3, sharey=True)
        _draw_weight_bars(panels[0], weights, "all nodes: mean, and 5 % to 95 % of them")
        for axes, name, part in (
            (panels[1], "users", slice(0, num_users)),
            (panels[2], "items", slice(num_users, None)),
        ):
            _draw_by_degree(axes, weights[part], degrees[part], name)
        for axes in panels[1:]:
            axes.set_ylabel("")
    _finish(figure, path, title)


def _figure(width: float, height: float) -> Figure:
    """Return a figure of its own, drawn without a display and outside pyplot's global state."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ConfigError("plots need matplotlib: pip install '.[plots]'") from None
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _finish(figure: Figure, path: Path, title: str) -> None:
    if title:
        figure.suptitle(title, fontsize=11)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_loss(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    epochs, losses = _series(history, "loss")
    axes.plot(epochs, losses, color=GREY, **_line(len(epochs)))
    axes.set_ylabel("training loss (mean of an epoch)")
    axes.set_title("Loss", loc="left", fontsize=10)


def _draw_metrics(axes: Axes, history: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> None:
    for name in metrics:
        epochs, values = _series(history, name)
        kind, _, metric = name.rpartition("_")
        color = METRIC_COLORS.get(metric.split("@")[0])
        style = "--" if kind == "validation" else "-"
        label = f"{metric} ({kind or 'test'})"
        axes.plot(epochs, values, style, color=color, label=label, **_line(len(epochs)))
    axes.set_ylabel("mean over users (0 to 1)")
    axes.set_ylim(bottom=0)
    axes.set_title("Accuracy", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=9)


def _draw_weight_bars(axes: Axes, weights: NDArray[np.float32], title: str) -> None:
    """Draw each layer's mean weight, with bars from the 5th to the 95th percentile of the nodes."""
    layers = np.arange(weights.shape[1])
    means = weights.mean(axis=0)
    axes.bar(layers, means, color=LIGHT_BLUE, width=0.6)
    if len(weights) > 1:
        low, high = np.quantile(weights, [0.05, 0.95], axis=0)
        axes.vlines(layers, low, high, color="black", linewidth=1.4)
        axes.plot(layers, low, "_", layers, high, "_", color="black", markersize=10)
    axes.axhline(1 / len(layers), color=GREY, linestyle="--", linewidth=1, label="uniform (mean of layers)")
    axes.set_xticks(layers, [f"{layer}\n{mean:.3f}" for layer, mean in zip(layers, means, strict=True)])
    axes.set_xlabel("layer (0: the embedding itself) and its mean weight")
    axes.set_ylabel("weight of the layer (all sum to 1)")
    axes.set_title(title, loc="left", fontsize=10)
    axes.margins(y=0.15)  # room for the legend
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def _draw_by_degree(
    axes: Axes, weights: NDArray[np.float32], degrees: NDArray[np.integer], name: str
) -> None:
    """Draw a line of mean weights by layer for each quarter of the nodes, from few interactions to many."""
    from matplotlib import colormaps

    layers = np.arange(weights.shape[1])
    quarters = np.array_split(np.argsort(degrees, kind="stable"), DEGREE_GROUPS)
    groups = [group for group in quarters if len(group)]
    colors = colormaps["viridis"](np.linspace(0.1, 0.85, len(groups)))
    for group, color in zip(groups, colors, strict=True):
        low, high = int(degrees[group].min()), int(degrees[group].max())
        label = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        axes.plot(layers, weights[group].mean(axis=0), "o-", color=color, label=label, markersize=4)
    axes.axhline(1 / len(layers), color=GREY, linestyle="--", linewidth=1)
    axes.set_xticks(layers)
    axes.set_xlabel("layer (0: the embedding itself)")
    axes.set_title(f"{name}, by quarters of their degree", loc="left", fontsize=10)
    axes.legend(title="interactions", frameon=False, fontsize=8, title_fontsize=8)


def _series(history: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    found = [(record["epoch"], record[name]) for record in history if record.get(name) is not None]
    return [epoch for epoch, _ in found], [value for _, value in found]


def _line(points: int) -> dict[str, Any]:
    """Return the line's looks: single epochs are marked while there are few."""
    return {"linewidth": 1.8, "marker": "o" if points <= 20 else "", "markersize": 4}


def _metric_order(name: str) -> tuple[bool, str]:
    return name.startswith("validation"), name
