"""``python -m bench.readme_pictures``: the README's pictures, speed from the table of docs/figures.md.

Both have a light ground of their own, so that they read on dark pages as well.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "figures.md"
FOLDER = ROOT / "docs" / "pictures"
ACCENT, GREY, INK, GROUND, PANEL = "#0f766e", "#94a3b8", "#1e293b", "#ffffff", "#f1f5f9"
ROW = re.compile(r"^\| \*\*([\d.]+)x\*\* \| (.+?) \| (.+?) \| (.+?), .*? \|", re.MULTILINE)
SHOWN = {
    "sample, an epoch of gowalla": "sampling an epoch",
    "evaluation, all 29,858 test users of gowalla, 3 layers, d 64, K 20": "evaluation, 29,858 users",
    "topk, 2,048 users of gowalla, K 20, d 64": "top-20 of 2,048 users",
    "combine attention, forward and backward, 70,839 x 64, 4 layers, fp32": "attention over layers",
    "training step, mean, gowalla, 3 layers, d 64, batch 2,048": "training step",
    "propagate, one layer, gowalla, d 64, fp32": "one propagation layer",
    "propagate, one layer, ml-100k, d 64, fp32": "one layer, MovieLens 100k",
}
"""The table's works that are drawn, and what the picture calls them."""
FLOW = (
    ("data", "file or frame\nto interactions"),
    ("graph", "users and items\nas CSR"),
    ("propagate", "average over\nneighbours"),
    ("combine", "one vector\nof K + 1 layers"),
)
ENDS = (
    ("loss", "BPR, softmax,\npointwise"),
    ("top-K", "seen items\nleft out"),
    ("metrics", "recall, ndcg,\n…"),
)


class Race(NamedTuple):
    """A row of the table: how many times faster than the best rival, the work, and who that is."""

    ratio: float
    work: str
    rival: str


def races(page: str) -> list[Race]:
    """The rows of `SHOWN` in the table of the figures, in its order.

    Raises:
        ValueError: One is missing.
    """
    part = page.split("<!-- figures -->")[1].split("<!-- /figures -->")[0]
    rows = {
        work: Race(float(ratio), SHOWN.get(work, work), rival) for ratio, work, _, rival in ROW.findall(part)
    }
    missing = [work for work in SHOWN if work not in rows]
    if missing:
        raise ValueError(f"the table has no row {missing[0]!r}; its works are {', '.join(rows)}")
    return [rows[work] for work in SHOWN]


def draw_speed(rows: list[Race], path: Path) -> None:
    """Draws how many times faster each is than the best rival, on a logarithmic axis."""
    figure = Figure(figsize=(8, 3.1), layout="constrained", facecolor=GROUND)
    axes = figure.subplots()
    rows = rows[::-1]
    colours = [ACCENT if row.ratio >= 1 else GREY for row in rows]
    axes.barh(range(len(rows)), [row.ratio - 1 for row in rows], left=1, color=colours, height=0.62)
    axes.set(xscale="log", xlim=(0.62, 110), facecolor=GROUND)
    axes.set_yticks(range(len(rows)), [row.work for row in rows], color=INK)
    axes.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"], color=INK)
    axes.minorticks_off()
    axes.axvline(1, color=INK, linewidth=0.8)
    for at, row in enumerate(rows):
        end = max(row.ratio, 1) * 1.05
        axes.text(end, at, f"{row.ratio:.3g} times {row.rival}", va="center", fontsize=9, color=INK)
    axes.set_title("Speed beside the best rival, two CPU cores, gowalla", loc="left", color=INK, fontsize=11)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    _save(figure, path)


def draw_flow(path: Path) -> None:
    """Draws how data flow from a file to a loss, to lists and to metrics."""
    figure = Figure(figsize=(9, 2.5), facecolor=GROUND)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 9), ylim=(0, 2.5))
    axes.axis("off")
    for at, (name, text) in enumerate(FLOW):
        _box(axes, 0.15 + 1.5 * at, 0.85, name, text)
        if at:
            _arrow(axes, (1.5 * at - 0.11, 1.25), (1.5 * at + 0.11, 1.25))
    _box(axes, 6.15, 1.6, *ENDS[0])
    _arrow(axes, (5.89, 1.4), (6.11, 1.75))
    _box(axes, 6.15, 0.1, *ENDS[1])
    _arrow(axes, (5.89, 1.1), (6.11, 0.75))
    _box(axes, 7.65, 0.1, *ENDS[2])
    _arrow(axes, (7.39, 0.5), (7.61, 0.5))
    bent = {"arrowstyle": "-|>", "color": ACCENT, "linestyle": "--", "connectionstyle": "arc3,rad=.16"}
    axes.annotate("", (3.75, 1.7), (6.11, 2.1), arrowprops=bent)
    axes.text(4.1, 2.2, "gradients: the same kernel, backward", color=ACCENT, fontsize=9, ha="right")
    axes.text(
        0.15,
        0.32,
        "every box but data has a kernel in C++; all that train or rank have a CUDA twin",
        color=INK,
        fontsize=9,
    )
    _save(figure, path)


def _box(axes: Axes, x: float, y: float, name: str, text: str) -> None:
    style = "round,pad=0,rounding_size=.08"
    axes.add_patch(FancyBboxPatch((x, y), 1.2, 0.8, boxstyle=style, facecolor=PANEL, edgecolor=ACCENT))
    axes.text(x + 0.6, y + 0.6, name, ha="center", va="center", color=INK, fontsize=11, weight="bold")
    axes.text(x + 0.6, y + 0.26, text, ha="center", va="center", color=INK, fontsize=8.5, linespacing=1.1)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK})


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "pyrec"}):
        figure.savefig(path, metadata={"Date": None}, facecolor=GROUND)


if __name__ == "__main__":
    draw_flow(FOLDER / "flow.svg")
    draw_speed(races(PAGE.read_text()), FOLDER / "speed.svg")
