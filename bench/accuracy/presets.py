"""``python -m bench.accuracy.presets DATA/SPLIT ... [--models NAME,NAME] [--out FILE]``: presets beside models.

A model is a preset's name or a model's, which has its defaults then. A row is a model on a split: test metrics at 20
and seconds to fit. The test part chooses nothing: a preset's rules read the training part, and a fusion holds a tenth
of that out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyrec
from pyrec.models import MODELS, Recommender
from pyrec.presets import PRESETS

from .datasets import Pair, read

METRICS = ("precision", "recall", "ndcg")
COMPARED = "popularity,itemknn,graph-filter,ease,quick"


def rows(specs: Sequence[str], names: Sequence[str], seed: int) -> Iterator[dict[str, Any]]:
    """Measure models on splits, one after the other."""
    for spec in specs:
        data, split = spec.split("/")
        for name in names:
            yield {
                "data": data,
                "split": split,
                "model": name,
                "seed": seed,
                **measured(name, read(data, split), seed),
            }


def measured(name: str, pair: Pair, seed: int) -> dict[str, Any]:
    """Fit a model and return its test metrics and its seconds."""
    train, test = pair
    model = _model(name, pair, seed)
    started = time.perf_counter()
    model.fit(train)
    seconds = time.perf_counter() - started
    found = pyrec.evaluate(model, test, 20, METRICS).metrics
    weight = {"weight": model.weight_} if isinstance(model, pyrec.Fusion) else {}
    return {
        **{metric: round(value, 5) for metric, value in found.items()},
        "seconds": round(seconds, 2),
        **weight,
    }


def _model(name: str, pair: Pair, seed: int) -> Recommender:
    model = pyrec.preset(name, pair[0]).model if name in PRESETS else MODELS[name]()
    seeds = {one: seed for one in model.get_params() if one.split("__")[-1] == "seed"}
    return model.set_params(**seeds)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy.presets", description=__doc__)
    parser.add_argument("specs", nargs="+", metavar="DATA/SPLIT")
    parser.add_argument("--models", default=COMPARED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    for row in rows(asked.specs, asked.models.split(","), asked.seed):
        line = json.dumps(row)
        print(line, flush=True)
        if asked.out is not None:
            with asked.out.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
