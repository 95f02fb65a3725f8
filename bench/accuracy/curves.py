"""``python -m bench.accuracy.curves CURVES.csv PICTURE.png``: test metrics against minutes, from a file of points.

The file has the columns ``model``, ``epoch``, ``seconds`` (of training up to there), ``recall@20`` and ``ndcg@20``.
Dashed lines are figures that others published for LightGCN's split of gowalla.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

from .pictures import DPI, finish

PUBLISHED = {
    "recall@20": {"LightGCN": 0.1824, "SimpleX": 0.1872, "BSPM": 0.1920, "ChebyCF": 0.1941},
    "ndcg@20": {"LightGCN": 0.1547, "UltraGCN": 0.1580, "NESCL": 0.1617},
}

Points = dict[str, list[dict[str, str]]]


def read(path: Path) -> Points:
    """The points of each model, in the file's order."""
    points: Points = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            points[row["model"]].append(row)
    return points


def draw(points: Points, path: Path) -> None:
    """Draws a panel a metric; minutes are on a logarithmic axis."""
    figure = Figure(figsize=(12, 5), dpi=DPI, layout="constrained")
    for axes, (metric, published) in zip(figure.subplots(1, 2), PUBLISHED.items(), strict=True):
        for model, rows in points.items():
            minutes = [float(row["seconds"]) / 60 for row in rows]
            axes.plot(minutes, [float(row[metric]) for row in rows], ".-", linewidth=1.2, label=model)
        for name, value in published.items():
            axes.axhline(value, color="#888888", linewidth=0.8, linestyle="--")
            axes.annotate(f"{name} {value:.4f}", (0.06, value), fontsize=8, va="bottom", color="#555555")
        axes.set_xscale("log")
        axes.set_xlabel("minutes of training")
        axes.set_ylabel(metric)
    figure.axes[0].legend(frameon=False, fontsize=8, loc="lower right")
    finish(figure, path, "Test metrics of gowalla, LightGCN's split")


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    draw(read(source), target)
