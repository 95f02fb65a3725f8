"""The race's tables, the least time to each target, and a picture a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..pictures import DPI, finish
from .contenders import Race

Row = dict[str, Any]


def write(plan: Race, rows: Sequence[Row], path: Path) -> None:
    """Writes the Markdown file and the pictures beside it."""
    searches = {(row["data"], row["label"]): row for row in rows if row["of"] == "search"}
    text = ["# The race to accuracy", ""]
    for data in plan.splits:
        last = {row["label"]: row for row in rows if row["of"] == "race" and row["data"] == data}
        raced = [row for row in last.values() if "error" not in row]
        if raced:
            text += _section(data, raced, searches, plan.targets.get(data, []))
            draw(raced, path.parent / "minutes" / f"{data}.png", data)
            text += [f"![{data}](minutes/{data}.png)", ""]
    path.write_text("\n".join(text))


def _section(
    data: str, rows: Sequence[Row], searches: dict[tuple[str, str], Row], targets: Sequence[float]
) -> list[str]:
    lines = [f"## {data}", "", "| model | seconds, files to lists | recall@20 | ndcg@20 | peak MB | search |"]
    lines.append("|---|---:|---:|---:|---:|---|")
    for row in sorted(rows, key=lambda row: row["seconds"]):
        told = searches[data, row["label"]]
        searched = f"{told['trials']} trials, {told['search_seconds']:.0f} s" if told["trials"] else "none"
        scaled = " (scaled)" if row.get("scaled") else ""
        lines.append(
            f"| {row['label']} | {row['seconds']:,.1f}{scaled} | {row['recall@20']:.4f} | {row['ndcg@20']:.4f} "
            f"| {row['peak_mb']:,} | {searched} |"
        )
    return [*lines, "", *_targets(rows, targets)]


def _targets(rows: Sequence[Row], targets: Sequence[float]) -> list[str]:
    """The fastest row of each library that reaches a target."""
    lines = []
    for target in targets:
        reached = sorted((row for row in rows if row["recall@20"] >= target), key=lambda row: row["seconds"])
        fastest: dict[str, Row] = {}
        for row in reached:
            fastest.setdefault(row["script"], row)
        told = "; ".join(f"{row['label']} {row['seconds']:,.0f} s" for row in fastest.values())
        lines.append(f"- recall@20 of {target:.4f}: {told or 'none'}.")
    return [*lines, ""] if lines else []


def draw(rows: Sequence[Row], path: Path, title: str) -> None:
    """A point a row: seconds on a logarithmic axis, recall."""
    path.parent.mkdir(exist_ok=True)
    figure = Figure(figsize=(8, 5), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for row in rows:
        ours = row["script"] == "pyrec_lists"
        axes.plot(row["seconds"], row["recall@20"], "o" if ours else "s", color="C0" if ours else "C7")
        axes.annotate(
            row["label"],
            (row["seconds"], row["recall@20"]),
            xytext=(5, 3),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_xscale("log")
    axes.set_xlabel("seconds from files to lists")
    axes.set_ylabel("recall@20")
    finish(figure, path, title)
