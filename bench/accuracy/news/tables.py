"""The tables and pictures of bench/accuracy/results/news.jsonl."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyrec._atomic import replacing
from pyrec.evaluate.significance import clustered_t, holm, paired_t

from ..debias.runs import Kept, Row
from .plan import Entry, Plan
from .runs import METRICS, PARTS

HEADS = {
    "validation": "EB-NeRD demo's validation part",
    "choosing": "The last 1.75 days of the training week, on which settings were chosen",
}


class Test(NamedTuple):
    """An entry beside another, by AUC: means over seeds first, then the tests over impressions and over readers."""

    entry: str
    against: str
    difference: float
    half: float
    p_impressions: float
    p_readers: float


def write(plan: Plan, kept: Kept, path: Path) -> None:
    """Writes the tables, and the pictures beside them."""
    rows = [row for row in kept.rows() if "metrics" in row]
    lines = ["# Models of news on EB-NeRD demo", "", "Made by `python -m bench.accuracy.news table`.", ""]
    for part in PARTS:
        own = [row for row in rows if row["part"] == part]
        if own:
            lines += [f"## {HEADS[part]}", "", *_part(plan, own)]
            tests = tests_of(plan, own, kept)
            lines += ["### Tests", "", *_told(tests), ""] if tests else []
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    draw(plan, [row for row in rows if row["part"] == "validation"], path.with_suffix(""))


def _part(plan: Plan, rows: Sequence[Row]) -> list[str]:
    lines: list[str] = []
    for table in dict.fromkeys(entry.table for entry in plan.entries):
        own = [
            line for entry in plan.entries if entry.table == table for line in [_line(entry, rows)] if line
        ]
        if own:
            lines += [
                f"### {table}",
                "",
                f"| | {' | '.join(METRICS)} | seeds | fit, s |",
                "|---|" + "---|" * 6,
                *own,
                "",
            ]
    return lines


def _line(entry: Entry, rows: Sequence[Row]) -> str | None:
    own = [row for row in rows if row["label"] == entry.label]
    if not own:
        return None
    cells = []
    for key in METRICS:
        values = np.array([row["metrics"][key] for row in own])
        spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 and key == "auc" else ""
        cells.append(f"{values.mean():.4f}{spread}")
    seconds = float(np.median([row["seconds"] for row in own]))
    return f"| {entry.label} | {' | '.join(cells)} | {len(own)} | {seconds:.0f} |"


def tests_of(plan: Plan, rows: Sequence[Row], kept: Kept) -> list[Test]:
    """Each entry beside those that it names; p-values are corrected by Holm over all tests of a kind."""
    found = []
    for entry in plan.entries:
        ours = _values(entry.label, rows, kept)
        for against in entry.against:
            theirs = _values(against, rows, kept)
            if ours is not None and theirs is not None:
                _, clusters = np.unique(ours["readers"], return_inverse=True)
                by_reader = clustered_t(ours["auc"] - theirs["auc"], clusters)
                over = paired_t(ours["auc"], theirs["auc"])
                found.append(Test(entry.label, against, by_reader[0], by_reader[1], over, by_reader[2]))
    impressions = holm([one.p_impressions for one in found])
    readers = holm([one.p_readers for one in found])
    return [
        one._replace(p_impressions=p, p_readers=q)
        for one, p, q in zip(found, impressions, readers, strict=True)
    ]


def _values(label: str, rows: Sequence[Row], kept: Kept) -> dict[str, NDArray[Any]] | None:
    """The values of each measured impression, means over seeds."""
    all_ = [kept.users(row["run"]) for row in rows if row["label"] == label]
    there = [one for one in all_ if one is not None]
    if not there:
        return None
    measured = ~np.isnan(there[0]["auc"])
    auc = np.mean([one["auc"][measured] for one in there], axis=0, dtype=np.float64)
    return {"readers": there[0]["readers"][measured], "auc": auc}


def _told(tests: Sequence[Test]) -> list[str]:
    lines = [
        "Difference of AUC, mean over seeds, with its 95 % interval over readers. t-tests, corrected by Holm over "
        "all of the part.",
        "",
        "| | beside | difference | p, paired over impressions | p, clustered by reader |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {one.entry} | {one.against} | {one.difference:+.4f} ± {one.half:.4f} | {one.p_impressions:.2g} | "
        f"{one.p_readers:.2g} |"
        for one in tests
    ]


def draw(plan: Plan, rows: Sequence[Row], folder: Path) -> None:
    """Draws AUC by history's length and by whether the article was there in training, a line an entry."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    for by in ("history", "age", "article", "hour"):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for entry in plan.entries:
            own = [row["slices"].get(by) for row in rows if row["label"] == entry.label]
            if own and all(own) and len(own[0]) > 1:
                labels = list(own[0])
                means = [float(np.mean([one[label][1] for one in own])) for label in labels]
                axes.plot(labels, means, marker="o", label=entry.label)
        if not axes.lines:
            continue
        axes.set_ylabel("AUC, mean over impressions")
        axes.set_title(f"By {by}")
        axes.tick_params(axis="x", rotation=20)
        axes.legend(fontsize=6)
        with replacing(folder / f"{by}.png") as temporary:
            figure.savefig(temporary, format="png", dpi=90)
