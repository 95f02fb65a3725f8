"""Accuracy over parts of the impressions: by history, by age of what was clicked, known against new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pyrec.evaluate.impressions import ImpressionEvaluation, Slice
from pyrec.look.panels import LEGEND_SIZE, Theme
from pyrec.look.report.news.data import NewsReportData
from pyrec.look.report.news.facts import shown
from pyrec.look.report.pictures import Picture, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES: Final = {
    "history": "By the clicks in the reader's history",
    "age": "By the age of the youngest article clicked",
    "article": "By whether training showed what was clicked",
    "reader": "By whether training knows the reader",
    "hour": "By the hour of the day (UTC)",
    "day": "By day (UTC)",
}
"""The divisions that are shown, in this order."""
PICTURED: Final = ("history", "age")


@dataclass(frozen=True)
class SliceTable:
    """A table of means over the parts of one division."""

    title: str
    header: list[str]
    rows: list[list[str]]


def tables(data: NewsReportData) -> list[SliceTable]:
    """Return a table for each division that is known."""
    found, names = data.evaluation.slices, shown(data)
    base = {} if data.baseline is None else data.baseline.slices
    beside = ["auc of popularity"] if base else []
    header = ["", "impressions", *names, *beside]
    return [
        SliceTable(title, header, _rows(found[by], base.get(by, ()), names))
        for by, title in TITLES.items()
        if by in found
    ]


def _rows(parts: tuple[Slice, ...], base: tuple[Slice, ...], names: list[str]) -> list[list[str]]:
    rows = []
    for at, part in enumerate(parts):
        means = [f"{part.metrics[name]:.4f}" for name in names]
        beside = [f"{base[at].metrics['auc']:.4f}"] if base else []
        rows.append([part.label, f"{part.num_impressions:,}", *means, *beside])
    return rows


def pictures(data: NewsReportData) -> list[Picture]:
    """Return the AUC by history and by age, as far as they are known."""
    return [
        draw(
            lambda axes, theme, by=by: _draw(axes, data.columns, by, theme),  # type: ignore[misc]
            f"Mean AUC, {TITLES[by].lower()}.",
            f"Mean AUC. {TITLES[by]}.",
        )
        for by in PICTURED
        if len(data.evaluation.slices.get(by, ())) > 1
    ]


def _draw(axes: Axes, columns: dict[str, ImpressionEvaluation], by: str, theme: Theme) -> None:
    styles = ((theme.blue, "o", "-"), (theme.muted, "s", "--"))
    for (label, found), (color, marker, line) in zip(columns.items(), styles, strict=False):
        parts = found.slices[by]
        values = [part.metrics["auc"] for part in parts]
        axes.plot(
            np.arange(len(parts)),
            values,
            marker + line,
            color=color,
            label=label,
            markersize=4.5,
            linewidth=1.2,
        )
        axes.set_xticks(np.arange(len(parts)), [part.label.replace(" clicks", "") for part in parts])
    axes.tick_params(axis="x", labelrotation=30)
    axes.set_ylabel("mean auc")
    axes.axhline(0.5, color=theme.grid, linewidth=1)
    axes.legend(frameon=False, fontsize=LEGEND_SIZE)
