"""The same number of random trials for everybody, on the last tenths of the training lists."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .contenders import Contender, python_of, run


def draw(space: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    """A point: uniform on a logarithmic scale between two floats or integers, or one of several choices."""
    point: dict[str, Any] = {}
    for name, told in space.items():
        if isinstance(told, dict):
            low, high = told["low"], told["high"]
            value = math.exp(generator.uniform(math.log(low), math.log(high)))
            point[name] = round(value) if isinstance(low, int) else float(f"{value:.3g}")
        else:
            point[name] = told[int(generator.integers(len(told)))]
    return point


def search(
    contender: Contender, folder: Path, peers: Mapping[str, str], threads: int, trials: int
) -> dict[str, Any]:
    """The best of the contender's own parameters and ``trials - 1`` drawn ones, by recall@20.

    Returns:
        ``params``, ``trials`` and ``search_seconds``.
    """
    generator = np.random.default_rng(0)
    points = [{}] + [draw(contender.search, generator) for _ in range(trials - 1)]
    rows = []
    for point in points if contender.search else []:
        params = {**contender.params, **point}
        rows.append(run(contender, params, folder / "chosen", python_of(contender.script, peers), threads))
    sound = [row for row in rows if "error" not in row]
    best = max(sound, key=lambda row: row["recall@20"], default={"params": contender.params})
    return {
        "params": best["params"],
        "trials": len(rows),
        "search_seconds": round(sum(row["seconds"] for row in rows), 1),
        "held_out_recall@20": best.get("recall@20"),
    }
