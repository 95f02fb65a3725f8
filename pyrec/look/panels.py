"""What plots are made of: each function draws one thing on axes that it is given, in the colours of a theme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pyrec.evaluate.by_degree import ActivityGroups, range_label
from pyrec.evaluate.calibration import Reliability
from pyrec.models.explain import MEANING, Explanation, Kind, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEGREE_GROUPS = 4
LONGEST_NAME: Final = 48
ROOM: Final = 0.28
VALUE_AXIS: Final[Mapping[Kind, str]] = {
    "exact": "what each adds to the score",
    "left out": "how much the score falls without it",
    "similar": "how like this item it is (no part of the score)",
    "popularity": "",
}
"""What `draw_parts` shows, by the kind of explanation."""
TITLE_SIZE, LEGEND_SIZE, TICK_SIZE = 10, 8, 8


@dataclass(frozen=True)
class Theme:
    """Colours that go together on one background.

    Attributes:
        ink: Of text.
        muted: Of axes, reference lines and what is compared with.
        grid: Of grid lines.
        blue: Of the first series; ``orange`` and ``green`` of the next.
        pale: Of wide bars.
        ramp: The part of the colour map viridis for ordered groups.
    """

    ink: str
    muted: str
    grid: str
    blue: str
    orange: str
    green: str
    pale: str
    ramp: tuple[float, float]


LIGHT = Theme("#1f2328", "#777777", "#dddddd", "#1f5fa8", "#d9730d", "#2e8b57", "#8fb8de", (0.1, 0.85))
DARK = Theme("#e6e9ed", "#9aa3ad", "#3a4149", "#74b0f4", "#f0a35e", "#6fcf97", "#3f6c9e", (0.4, 1.0))


def finish_axes(figure: Figure, theme: Theme, grid: Literal["x", "y"] = "y") -> None:
    """Give every axes of the figure the house look: two spines, a light grid along one axis, the theme's ink."""
    for axes in figure.axes:
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
        for spine in axes.spines.values():
            spine.set_color(theme.muted)
        axes.grid(axis=grid, color=theme.grid, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(colors=theme.ink)
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
            text.set_color(theme.ink)
        axes.set_title(axes.get_title(loc="left"), loc="left", fontsize=TITLE_SIZE, color=theme.ink)
        if (legend := axes.get_legend()) is not None:
            for text in (*legend.get_texts(), legend.get_title()):
                text.set_color(theme.ink)


def draw_loss(axes: Axes, history: Sequence[Mapping[str, Any]], theme: Theme) -> None:
    """Draw the training loss by epoch."""
    epochs, losses = _series(history, "loss")
    axes.plot(epochs, losses, color=theme.muted, **_line(len(epochs)))
    axes.set_ylabel("training loss (mean of an epoch)")
    _epoch_axis(axes, "Loss")


def curve_metrics(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the metrics in the records, those of the test set first."""
    names = {name for record in history for name in record if "@" in name}
    return sorted(names, key=lambda name: (name.startswith("validation"), name))


KINDS = {
    "test": "test, not to choose by",
    "test_warm": "test, warm",
    "": "test, not to choose by",
}
"""Whose metrics a curve shows, by the beginning of its name."""


def draw_metrics(
    axes: Axes, history: Sequence[Mapping[str, Any]], metrics: Sequence[str], theme: Theme
) -> None:
    """Draw metrics by epoch: those of the test set solid, of its warm users dotted, of the validation set dashed."""
    colors = {"recall": theme.blue, "ndcg": theme.orange, "precision": theme.green}
    for name in metrics:
        epochs, values = _series(history, name)
        kind, _, metric = name.rpartition("_")
        style = {"validation": "--", "test_warm": ":"}.get(kind, "-")
        label = f"{metric} ({KINDS.get(kind, kind)})"
        color = colors.get(metric.split("@")[0])
        axes.plot(epochs, values, style, color=color, label=label, **_line(len(epochs)))
    axes.set_ylabel("mean over users (0 to 1)")
    axes.set_ylim(bottom=0)
    _epoch_axis(axes, "Accuracy")
    axes.legend(frameon=False, fontsize=LEGEND_SIZE)


def draw_weight_bars(axes: Axes, weights: NDArray[np.float32], title: str, theme: Theme) -> None:
    """Draw each layer's mean weight, with lines from the 5th to the 95th percentile of the nodes.

    Args:
        axes: Where to draw.
        weights: (nodes, layers); one row if all nodes have the same weights.
        title: Of the panel.
        theme: Its colours.
    """
    layers = np.arange(weights.shape[1])
    means = weights.mean(axis=0)
    axes.bar(layers, means, color=theme.pale, width=0.6)
    if len(weights) > 1:
        low, high = np.quantile(weights, [0.05, 0.95], axis=0)
        axes.vlines(layers, low, high, color=theme.ink, linewidth=1.4)
        axes.plot(layers, low, "_", layers, high, "_", color=theme.ink, markersize=10)
    axes.axhline(
        1 / len(layers), color=theme.muted, linestyle="--", linewidth=1, label="uniform (mean of layers)"
    )
    axes.set_xticks(layers, [f"{layer}\n{mean:.3f}" for layer, mean in zip(layers, means, strict=True)])
    axes.set_xlabel("layer (0: the embedding itself) and its mean weight")
    axes.set_ylabel("weight of the layer (all sum to 1)")
    axes.set_title(title, loc="left")
    axes.margins(y=0.15)  # room for the legend
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=LEGEND_SIZE, loc="upper right")


def draw_by_degree(
    axes: Axes, weights: NDArray[np.float32], degrees: NDArray[np.integer], name: str, theme: Theme
) -> None:
    """Draw a line of mean weights by layer for each quarter of the nodes, from few interactions to many.

    Args:
        axes: Where to draw.
        weights: (nodes, layers).
        degrees: Training interactions of each node, (nodes,).
        name: What the nodes are, for the title.
        theme: Its colours.
    """
    from matplotlib import colormaps

    layers = np.arange(weights.shape[1])
    quarters = np.array_split(np.argsort(degrees, kind="stable"), DEGREE_GROUPS)
    groups = [group for group in quarters if len(group)]
    colors = colormaps["viridis"](np.linspace(*theme.ramp, len(groups)))
    for group, color in zip(groups, colors, strict=True):
        label = range_label(degrees[group])
        axes.plot(layers, weights[group].mean(axis=0), "o-", color=color, label=label, markersize=4)
    axes.axhline(1 / len(layers), color=theme.muted, linestyle="--", linewidth=1)
    axes.set_xticks(layers)
    axes.set_xlabel("layer (0: the embedding itself)")
    axes.set_ylabel("mean weight of the layer")
    axes.set_title(f"{name}, by quarters of their degree", loc="left")
    axes.legend(title="interactions", frameon=False, fontsize=LEGEND_SIZE, title_fontsize=LEGEND_SIZE)


def draw_gain(axes: Axes, groups: ActivityGroups, metric: str, theme: Theme) -> None:
    """Draw the mean difference of a metric in each group of users, with its 95 % confidence interval."""
    axes.axhline(0, color=theme.muted, linewidth=1)
    axes.errorbar(
        range(len(groups.labels)), groups.means, groups.halves, fmt="o", capsize=3, color=theme.blue
    )
    _activity_axis(axes, groups)
    axes.set_ylabel(f"difference in {metric}, 95 % interval")


def draw_activity(axes: Axes, series: Mapping[str, ActivityGroups], metric: str, theme: Theme) -> None:
    """Draw the mean of a metric in each group of users under several models, the one that matters first.

    Args:
        axes: Where to draw.
        series: The same groups under each model, by the model's label.
        metric: What the means are of.
        theme: Its colours.
    """
    styles = ((theme.blue, "o", "-"), (theme.muted, "s", "--"), (theme.orange, "^", "-"))
    for at, ((label, groups), (color, marker, line)) in enumerate(zip(series.items(), styles, strict=False)):
        places = np.arange(len(groups.labels)) + 0.12 * (at - (len(series) - 1) / 2)
        axes.errorbar(
            places,
            groups.means,
            groups.halves,
            fmt=marker + line,
            color=color,
            label=label,
            capsize=2.5,
            markersize=4.5,
            linewidth=1.2,
        )
        _activity_axis(axes, groups)
    axes.set_ylabel(f"mean {metric}")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=LEGEND_SIZE)


def draw_popularity_shares(axes: Axes, series: Mapping[str, NDArray[np.float64]], theme: Theme) -> None:
    """Draw what share each part of the items has, the most popular part first.

    Args:
        axes: Where to draw.
        series: Shares (groups,) by what they are of; see `pyrec.evaluate.item_metrics.shares_by_popularity`.
        theme: Its colours.
    """
    colors = (theme.muted, theme.blue, theme.orange)
    width = 0.8 / len(series)
    for at, ((label, shares), color) in enumerate(zip(series.items(), colors, strict=False)):
        places = np.arange(len(shares)) + width * (at - (len(series) - 1) / 2)
        axes.bar(places, 100 * shares, width, label=label, color=color)
    parts = len(next(iter(series.values())))
    edges = [round(100 * at / parts) for at in range(parts + 1)]
    axes.set_xticks(
        range(parts),
        [f"{low} to\n{high}" for low, high in pairwise(edges)],
        fontsize=TICK_SIZE,
    )
    axes.set_xlabel("items by popularity, in % of all (left: most popular)")
    axes.set_ylabel("share (%)")
    axes.legend(frameon=False, fontsize=LEGEND_SIZE)


def draw_calibration(axes: Axes, curve: Reliability, theme: Theme) -> None:
    """Draw how often pairs were positive by their probability, with 95 % intervals and how many pairs a group has.

    Args:
        axes: Where to draw.
        curve: Of `pyrec.evaluate.calibration.reliability`.
        theme: Its colours.
    """
    most = max(float(curve.high.max()), float(curve.predicted.max()))
    axes.plot([0, most], [0, most], color=theme.muted, linestyle="--", linewidth=1, label="as predicted")
    halves = np.stack([curve.observed - curve.low, curve.high - curve.observed])
    axes.errorbar(
        curve.predicted, curve.observed, halves, fmt="o", capsize=3, color=theme.blue, label="observed"
    )
    for x, y, count in zip(curve.predicted, curve.high, curve.counts, strict=True):
        axes.annotate(
            f"{count:,}",
            (x, y),
            (0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=theme.muted,
        )
    axes.set_xlabel("predicted probability, mean of a group of pairs")
    axes.set_ylabel("share of positives, 95 % interval")
    axes.set_title(f"Calibration (expected error {curve.error:.4f}; numbers: pairs)", loc="left")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    axes.legend(frameon=False, fontsize=LEGEND_SIZE, loc="upper left")


def draw_scores(
    axes: Axes,
    labels: Sequence[str],
    scores: Sequence[float],
    untuned: Sequence[float],
    metric: str,
    theme: Theme,
) -> None:
    """Draw a row for each model, the first on top: the score untuned, and of the best hyperparameters.

    Args:
        axes: Where to draw.
        labels: (n,) names of the models.
        scores: (n,) of the best hyperparameters that were found.
        untuned: (n,) before the search.
        metric: What the scores are.
        theme: Its colours.
    """
    rows = np.arange(len(labels))
    axes.hlines(rows, untuned, scores, color=theme.pale, linewidth=2)
    axes.plot(untuned, rows, "o", color=theme.muted, markerfacecolor="none", label="untuned")
    axes.plot(scores, rows, "o", color=theme.blue, label="the best hyperparameters that were tried")
    axes.set_yticks(rows, labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.set_xlabel(f"{metric}, mean over held-out users")
    if list(untuned) != list(scores):
        # Falling scores leave that corner free.
        axes.legend(frameon=False, fontsize=LEGEND_SIZE, loc="lower right")


def draw_differences(
    axes: Axes, differences: Sequence[float], halves: Sequence[float], metric: str, theme: Theme
) -> None:
    """Draw a row for each model with its mean difference to the first one, and the 95 % interval of that."""
    rows = np.arange(len(differences))
    axes.axvline(0, color=theme.muted, linewidth=1)
    axes.errorbar(differences, rows, xerr=halves, fmt="o", capsize=3, color=theme.blue)
    axes.set_xlabel(f"difference in {metric} to the best, 95 % interval, paired")


def draw_parts(
    axes: Axes, rows: Sequence[Row], why: Explanation, theme: Theme, longest: int = LONGEST_NAME
) -> None:
    """Draw a bar to the right for what speaks for an item, to the left for what speaks against it.

    Args:
        axes: Where to draw.
        rows: Of the explanation, the first on top; sums are grey.
        why: What the values are of.
        theme: Its colours.
        longest: Characters of a label; a longer one is cut off.
    """
    if rows:
        _sideways_bars(axes, rows, theme, longest)
        axes.set_xlabel(VALUE_AXIS[why.kind])
        return
    told = (why.notes() or [MEANING[why.kind]])[0]
    axes.text(0.5, 0.5, told, ha="center", va="center", color=theme.ink, transform=axes.transAxes)
    axes.set_axis_off()


def draw_layers(axes: Axes, layers: Sequence[float], weights: Sequence[float], theme: Theme) -> None:
    """Draw what each layer of a user adds to a score.

    Args:
        axes: Where to draw.
        layers: (K + 1,), what each adds.
        weights: (K + 1,), the user's weight of each.
        theme: Its colours.
    """
    rows = []
    for k, (value, weight) in enumerate(zip(layers, weights, strict=True)):
        name = "layer 0 (own embedding)" if k == 0 else f"layer {k}"
        rows.append(Row(f"{name}, weight {weight:.2f}", value, True))
    _sideways_bars(axes, rows, theme)
    axes.set_xlabel("what each layer adds to the score")


def _sideways_bars(axes: Axes, rows: Sequence[Row], theme: Theme, longest: int = LONGEST_NAME) -> None:
    places, values = range(len(rows)), [row.value for row in rows]
    signs = [theme.blue if value >= 0 else theme.orange for value in values]
    colors = [sign if row.is_part else theme.muted for sign, row in zip(signs, rows, strict=True)]
    bars = axes.barh(places, values, color=colors, height=0.7)
    texts = [f"{value:+.4f}" for value in values]
    axes.bar_label(bars, texts, padding=3, fontsize=TICK_SIZE, color=theme.ink)
    axes.axvline(0, color=theme.muted, linewidth=1)
    labels = [shorten(row.label, longest) for row in rows]
    axes.set_yticks(places, labels, fontsize=TICK_SIZE, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=TICK_SIZE)
    axes.invert_yaxis()
    axes.margins(y=0.02)
    axes.locator_params(axis="x", nbins=5)
    low, high = min([0.0, *values]), max([0.0, *values])
    room = ROOM * (high - low or 1.0)  # for the numbers
    axes.set_xlim(low - room * (low < 0), high + room)


def shorten(text: str, length: int) -> str:
    """Return a text of at most so many characters, with dots where its end is cut off."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _activity_axis(axes: Axes, groups: ActivityGroups) -> None:
    labels = [label.replace(" to ", " to\n") for label in groups.labels]
    axes.set_xticks(range(len(labels)), labels, fontsize=TICK_SIZE)
    axes.set_xlabel("training interactions of the user")


def _epoch_axis(axes: Axes, title: str) -> None:
    axes.set_xlabel("epoch")
    axes.locator_params(axis="x", integer=True)
    axes.set_title(title, loc="left")


def _series(history: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    found = [(record["epoch"], record[name]) for record in history if record.get(name) is not None]
    return [epoch for epoch, _ in found], [value for _, value in found]


def _line(points: int) -> dict[str, Any]:
    """Return the line's looks: single epochs are marked while there are few."""
    return {"linewidth": 1.8, "marker": "o" if points <= 20 else "", "markersize": 4}


def draw_bars(
    axes: Axes, names: Sequence[str], values: NDArray[np.floating], what: str, theme: Theme
) -> None:
    """Draw a bar for each name, with its value.

    Args:
        axes: Where to draw.
        names: (n,) below the bars.
        values: (n,) their heights.
        what: What the values are.
        theme: Its colours.
    """
    bars = axes.bar(range(len(names)), values, 0.6, color=theme.pale)
    axes.bar_label(bars, [f"{value:.3g}" for value in values], fontsize=TICK_SIZE, color=theme.ink)
    axes.set_xticks(range(len(names)), names)
    axes.axhline(0, color=theme.muted, linewidth=0.8)
    axes.set_ylabel(what)


def draw_line(
    axes: Axes,
    x: NDArray[np.integer],
    values: NDArray[np.floating],
    x_name: str,
    what: str,
    theme: Theme,
) -> None:
    """Draw values (n,) over x (n,).

    Args:
        axes: Where to draw.
        x: Whole numbers.
        values: The line.
        x_name: What x is.
        what: What the values are.
        theme: Its colours.
    """
    axes.plot(x, values, "o-", color=theme.blue, markersize=3.5, linewidth=1.2)
    axes.set_xlabel(x_name)
    axes.set_ylabel(what)
    axes.set_ylim(bottom=0)
