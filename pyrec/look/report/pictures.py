"""The pictures of a report: each drawn twice, for a light and a dark page, as SVG in a data URI."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyrec._optional import need
from pyrec.evaluate.by_degree import by_activity
from pyrec.evaluate.item_metrics import recommendation_counts, shares_by_popularity
from pyrec.look import panels
from pyrec.look.glyphs import boxes_without_warnings
from pyrec.look.panels import DARK, LIGHT, Theme
from pyrec.look.report.data import ReportData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (4.7, 3.4)
"""Inches; small, so that letters can be read on a phone."""


@dataclass(frozen=True)
class Picture:
    """A picture for either theme.

    Attributes:
        light: Data URI of the SVG for a light page.
        dark: And for a dark one.
        alt: What it shows, for those who do not see it.
        caption: How to read it.
    """

    light: str
    dark: str
    alt: str
    caption: str


def draw(
    panel: Callable[[Axes, Theme], None], alt: str, caption: str, grid: Literal["x", "y"] = "y"
) -> Picture:
    """Draw one panel in both themes, with lines of a grid along one axis.

    Raises:
        ConfigError: If matplotlib is missing.
    """
    return Picture(_data_uri(panel, LIGHT, grid), _data_uri(panel, DARK, grid), alt, caption)


def _data_uri(panel: Callable[[Axes, Theme], None], theme: Theme, grid: Literal["x", "y"]) -> str:
    rc_context = need("matplotlib", "a report", "report").rc_context
    figure = need("matplotlib.figure", "a report", "report").Figure(figsize=SIZE, layout="constrained")
    figure.patch.set_alpha(0)
    panel(figure.subplots(), theme)
    panels.finish_axes(figure, theme, grid)
    buffer = io.BytesIO()
    same_bytes = rc_context({"svg.hashsalt": "pyrec"})
    with same_bytes, boxes_without_warnings():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def curves(data: ReportData) -> list[Picture]:
    """Return loss and accuracy by epoch; nothing without a history."""
    return loss_and_metrics(data.history)


def loss_and_metrics(history: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Return loss and accuracy by epoch; nothing without a record."""
    if not history:
        return []
    pictures = [
        draw(
            lambda axes, theme: panels.draw_loss(axes, history, theme),
            "The training loss by epoch.",
            "The mean loss of each epoch.",
        )
    ]
    if metrics := panels.curve_metrics(history):
        pictures.append(
            draw(
                lambda axes, theme: panels.draw_metrics(axes, history, metrics, theme),
                "Accuracy by epoch.",
                "Accuracy after each epoch. The test set is measured for this curve only and chooses nothing.",
            )
        )
    return pictures


def layer_weights(data: ReportData) -> list[Picture]:
    """Return the layers' weights over all nodes, and by degree where they differ by node; nothing without any."""
    weights = getattr(data.model, "layer_weights_", None)
    if weights is None:
        return []
    if weights.ndim == 1:
        return [_weight_bars(weights[None, :], "all nodes", "How much each layer weighs, for every node.")]
    num_users = data.train.num_users
    caption = "Mean weight of each layer; the lines reach from the 5th to the 95th percentile of the nodes."
    return [
        _weight_bars(weights, "all nodes", caption),
        _weights_by_degree(weights[:num_users], data.items_of_users, "users"),
        _weights_by_degree(weights[num_users:], data.users_of_items, "items"),
    ]


def _weight_bars(weights: Any, title: str, caption: str) -> Picture:
    return draw(
        lambda axes, theme: panels.draw_weight_bars(axes, weights, title, theme),
        "Bars: the mean weight of each layer.",
        caption,
    )


def _weights_by_degree(weights: Any, degrees: Any, name: str) -> Picture:
    return draw(
        lambda axes, theme: panels.draw_by_degree(axes, weights, degrees, name, theme),
        f"Lines: mean weights by layer of four groups of {name}.",
        f"Mean weights of {name} with few and with many interactions; a quarter of them each.",
    )


def activity(data: ReportData) -> list[Picture]:
    """Return recall and ndcg of the model and of popularity by user activity."""
    degrees = data.items_of_users[data.users]
    return [_by_activity(data, degrees, f"{name}@{data.k}") for name in ("recall", "ndcg")]


def _by_activity(data: ReportData, degrees: Any, metric: str) -> Picture:
    series = {
        label: by_activity(degrees, one.per_user[metric])
        for label, one in ((data.label, data.evaluation), ("popularity", data.baseline))
    }
    return draw(
        lambda axes, theme: panels.draw_activity(axes, series, metric, theme),
        f"Mean {metric} of the model and of popularity in groups of users by activity.",
        "Test users in groups of about equal size by training interactions; 95 % intervals of the means.",
    )


def exposure(data: ReportData) -> list[Picture]:
    """Return which share of the recommendations goes to which tenth of the items."""
    users_of = data.users_of_items
    parts = min(10, len(users_of))
    counts = {
        "training interactions": users_of,
        f"recommended by {data.label}": recommendation_counts(data.evaluation.lists, len(users_of)),
        "recommended by popularity": recommendation_counts(data.baseline.lists, len(users_of)),
    }
    series = {label: shares_by_popularity(np.asarray(one), users_of, parts) for label, one in counts.items()}
    return [
        draw(
            lambda axes, theme: panels.draw_popularity_shares(axes, series, theme),
            "Bars: shares of training interactions and of recommendations by tenths of the items.",
            f"Items in {parts} equal parts by training users. Bars further left than those of the training "
            "interactions mean that popular items are shown more than they are used.",
        )
    ]
