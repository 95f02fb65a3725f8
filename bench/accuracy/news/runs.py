"""One entry with one seed: it is fitted and measured, and a row of it is kept.

A row has ``run`` (part, label, seed), ``metrics``, ``impressions`` (measured, and left out), ``seconds`` (the fit) and
``seconds_measuring``, ``threads``, ``processor``, ``versions``, ``commit`` and ``date``; or ``error`` in their place.
The values of each impression are kept beside it.
"""

from __future__ import annotations

import time
import traceback
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec.data import read_news
from pyrec.data.news import News
from pyrec.evaluate.impressions import evaluate_impressions

from ..debias.runs import DIGITS, Kept, Row, processor
from ..worker import commit, versions
from .fits import FITS
from .plan import Entry, Plan

PARTS: Final = ("validation", "choosing")
METRICS: Final = ("auc", "mrr", "ndcg@5", "ndcg@10")
CHOOSING_FROM: Final = 5.25 * 86400
"""Seconds of the training week before those that settings are chosen on."""


def sets_of(folder: Path, part: str) -> tuple[News, News]:
    """What is learned from and what is measured on."""
    split = read_news(folder)
    if part == "validation":
        assert split.test is not None
        return split.train, split.test
    times = split.train.impressions.times
    assert times is not None
    late = times >= times.min() + CHOOSING_FROM
    return split.train.select(~late), split.train.select(late)


def run_all(plan: Plan, folder: Path, part: str, kept: Kept, seeds: int | None) -> int:
    """Makes the rows that the file does not have, seed by seed, and returns how many failed."""
    there = {row["run"] for row in kept.rows() if "error" not in row}
    train, test = sets_of(folder, part)
    failed = 0
    for seed in range(plan.seeds if seeds is None else min(seeds, plan.seeds)):
        for entry in plan.entries:
            most = (plan.seeds if entry.seeds is None else entry.seeds) if entry.draws else 1
            name = f"{part}, {entry.label}, {seed}"
            if seed < most and name not in there:
                row, values = one(entry, name, part, seed, train, test)
                kept.append(row, values)
                failed += "error" in row
                print(summary(row), flush=True)
    return failed


def one(
    entry: Entry, name: str, part: str, seed: int, train: News, test: News
) -> tuple[Row, dict[str, NDArray[Any]] | None]:
    """The row of a run, and the values of its impressions; an entry that fails leaves a row with its error."""
    row: Row = {
        "run": name,
        "part": part,
        "label": entry.label,
        "seed": seed,
        "params": dict(entry.params),
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "versions": versions(),
        "commit": commit(),
        "date": date.today().isoformat(),
    }
    try:
        began = time.perf_counter()
        scorer = FITS[entry.fit](train, seed, **entry.params)
        seconds = time.perf_counter() - began
        found = evaluate_impressions(scorer, test)
    except Exception as error:
        traceback.print_exc()
        return row | {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}, None
    row["metrics"] = {key: round(value, DIGITS) for key, value in found.metrics.items()}
    row["impressions"] = [found.num_impressions, found.num_left_out]
    row["seconds"], row["seconds_measuring"] = round(seconds, 1), round(found.seconds, 2)
    row["slices"] = {
        by: {one.label: [one.num_impressions, round(one.metrics["auc"], DIGITS)] for one in slices}
        for by, slices in found.slices.items()
    }
    values = {key: found.per_impression[key].astype(np.float32) for key in METRICS}
    return row, {"readers": found.readers, **values}


def summary(row: Row) -> str:
    """A row as a line."""
    if "error" in row:
        return f"{row['run']}: {row['error']}"
    shown = "  ".join(f"{key} {row['metrics'][key]:.4f}" for key in METRICS)
    return f"{row['run']}: {shown}, {row['seconds']:.0f} s"
