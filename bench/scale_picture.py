"""The scale curve as a picture: time and bytes an edge against the number of edges, ours and the best rival."""

from __future__ import annotations

import textwrap
from pathlib import Path

from matplotlib.figure import Figure

from bench.measured import Entry, Result

INK, GREY = "#c2410c", "#64748b"


def draw(curve: list[Result], path: Path, machine: str) -> None:
    """Draws the scale races to a PNG.

    Args:
        curve: Races whose info has ``edges``.
        path: File to write.
        machine: What to write underneath.
    """
    curve = sorted(curve, key=lambda result: result.info["edges"])
    edges = [result.info["edges"] for result in curve]
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    time_axes, byte_axes = figure.subplots(1, 2)
    sides = (("pyrec", INK, [r.ours for r in curve]), ("best rival", GREY, [r.rivals[0] for r in curve]))
    for label, colour, entries in sides:
        times = [1e9 * e.median / n for e, n in zip(entries, edges, strict=True)]
        spread = [0.5e9 * e.iqr / n for e, n in zip(entries, edges, strict=True)]
        time_axes.errorbar(edges, times, spread, marker="o", color=colour, label=label, capsize=2)
        held = [(n, e.bytes / n) for e, n in zip(entries, edges, strict=True) if e.bytes is not None]
        if held:
            byte_axes.plot(*zip(*held, strict=True), marker="o", color=colour, label=label)
    _name_rivals(time_axes, edges, sides[1][2])
    _dress(time_axes, "ns an edge", "Time")
    _dress(byte_axes, "bytes an edge", "Memory: the matrix, and what a call allocates")
    figure.supxlabel("\n".join(textwrap.wrap(machine, 150)), fontsize=6, color=GREY)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _name_rivals(axes, edges: list[int], rivals: list[Entry]) -> None:
    for n, rival in zip(edges, rivals, strict=True):
        place = (n, 1e9 * rival.median / n)
        axes.annotate(
            rival.name, place, (0, 7), textcoords="offset points", ha="center", fontsize=7, color=GREY
        )


def _dress(axes, unit: str, title: str) -> None:
    axes.set(xscale="log", xlabel="edges", ylabel=unit, title=title)
    axes.margins(x=0.12, y=0.15)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
