"""The part of a report on weights that a uniform set taught: by label, position, activity and popularity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pyrec.evaluate.by_degree import by_activity
from pyrec.look import panels
from pyrec.look.report.data import ReportData
from pyrec.look.report.pictures import Picture, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS: Final = ("negative", "positive")
IMPUTED: Final = ("not observed", "negative", "positive")


def learned_weights(data: ReportData) -> list[Picture]:
    """Return pictures of the weights of pairs; nothing for a model without any."""
    by_label = _array(data, "label_weights_")
    if by_label is None or not by_label.size:
        return []
    pictures = [_bars(LABELS, by_label, "weight", "How much a pair counts by its label.")]
    if (imputed := _array(data, "imputed_")) is not None and imputed.size == len(IMPUTED):
        caption = "The label, from -1 to 1, that the term of all pairs is drawn to."
        pictures.append(_bars(IMPUTED, imputed, "imputed label", caption))
    for name, degrees, what, counted in (
        ("user_weights_", data.train.activity, "users", "training items of the user"),
        ("item_weights_", data.train.popularity, "items", "training users of the item"),
    ):
        if (weights := _array(data, name)) is not None and np.ptp(weights) > 0:
            pictures.append(_by_degree(weights, degrees, what, counted))
    positions = _array(data, "position_weights_")
    if positions is not None and len(positions) > 1:
        pictures.append(_by_position(positions))
    return pictures


def _array(data: ReportData, name: str) -> NDArray[np.float64] | None:
    found: Any = getattr(data.model, name, None)
    return None if found is None else np.asarray(found, dtype=np.float64)


def _bars(names: tuple[str, ...], values: NDArray[np.float64], what: str, caption: str) -> Picture:
    return draw(
        lambda axes, theme: panels.draw_bars(axes, names, values, what, theme),
        f"Bars: the {what} of pairs that are {', '.join(names)}.",
        caption,
    )


def _by_degree(
    weights: NDArray[np.float64], degrees: NDArray[np.integer], what: str, counted: str
) -> Picture:
    groups = by_activity(degrees, weights)

    def panel(axes: Axes, theme: panels.Theme) -> None:
        panels.draw_activity(axes, {what: groups}, f"weight of {what}", theme)
        axes.set_xlabel(counted)

    caption = f"The factor that {what} give to a pair's weight, in groups of about equal size by {counted}."
    return draw(panel, f"Mean weight of {what} in groups.", f"{caption} Means with 95 % intervals.")


def _by_position(weights: NDArray[np.float64]) -> Picture:
    return draw(
        lambda axes, theme: panels.draw_line(
            axes, np.arange(len(weights)), weights, "position", "weight", theme
        ),
        "A line: the weight of a pair by its position.",
        "How much a pair counts by its position in the list, 0 on top.",
    )
