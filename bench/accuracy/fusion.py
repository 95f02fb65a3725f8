"""``python -m bench.accuracy.fusion``: a fusion beside its members, over seeds, with paired tests over users.

The weight is chosen once, on the last tenths of the training lists. A seed that the results file has is not run again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from pyrec import Fusion, evaluate
from pyrec.data import read_pair
from pyrec.evaluate.compare import compare
from pyrec.evaluate.ranking import Evaluation
from pyrec.models import MODELS, Recommender

from . import datasets
from .debias.runs import Kept, Row, processor
from .minutes import files
from .worker import versions

HERE = Path(__file__).parent
K = 20
METRICS = ("recall", "ndcg")


def member(told: Mapping[str, Any], seed: int) -> Recommender:
    """A member, not fitted; a filter draws nothing."""
    params = {name: value for name, value in told.items() if name != "model"}
    model = MODELS[told["model"]]()
    return model.set_params(**params, **({"seed": seed} if "seed" in model.get_params() else {}))


def chosen(data: str, told: Mapping[str, Any], seed: int) -> Row:
    """The weight that the last tenths choose, and the ndcg of each."""
    with tempfile.TemporaryDirectory() as made:
        folder = files.write(data, "given", Path(made)) / "chosen"
        train, held_out = read_pair(folder / "train.txt", folder / "test.txt")
    parts = {name: member(told[name], seed) for name in ("first", "second")}
    fitted = Fusion(**parts).fit(train, validation=held_out)
    return {"of": "weight", "data": data, "weight": fitted.weight_, "ndcg_by_weight": fitted.ndcg_by_weight_}


def run(data: str, told: Mapping[str, Any], weight: float, seed: int) -> Row:
    """A row of a seed: the metrics of the fusion and its members, and the tests."""
    train, test = datasets.read(data, "given")
    started = time.perf_counter()
    parts = {name: member(told[name], seed) for name in ("first", "second")}
    model = Fusion(**parts, weight=weight).fit(train)
    seconds = time.perf_counter() - started
    found = {
        "fusion": evaluate(model, test, K, METRICS),
        "first": evaluate(model.first_, test, K, METRICS),
        "second": evaluate(model.second_, test, K, METRICS),
    }
    row = {"of": "run", "data": data, "seed": seed, "weight": weight, "seconds_train": round(seconds, 1)}
    return (
        row
        | measured(found)
        | {
            "date": str(date.today()),
            "processor": processor(),
            "versions": versions(),
        }
    )


def measured(found: Mapping[str, Evaluation]) -> Row:
    """Metrics by model, and what the fusion has more than each member with its p-value."""
    metrics = {
        name: {metric: round(value, 5) for metric, value in one.metrics.items()}
        for name, one in found.items()
    }
    tests = {
        f"fusion against {name}": {
            row.metric: {"difference": round(row.difference, 5), "half": round(row.half, 5), "p": row.p_t}
            for row in compare(found[name], found["fusion"])
        }
        for name in ("first", "second")
    }
    return {"metrics": metrics, "tests": tests}


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy.fusion", description=__doc__)
    parser.add_argument("--data", nargs="*")
    parser.add_argument("--out", type=Path, default=HERE / "results/fusion.jsonl")
    options = parser.parse_args()
    plan = yaml.safe_load((HERE / "fusion.yaml").read_text())
    kept = Kept(options.out)
    for data in options.data or plan["data"]:
        told, seeds = plan["data"][data], plan["seeds"]
        weight = made(kept, f"weight, {data}", lambda: chosen(data, told, seeds[0]))["weight"]  # noqa: B023
        for seed in seeds:
            made(kept, f"{data}, {seed}", lambda: run(data, told, weight, seed))  # noqa: B023


def made(kept: Kept, name: str, make: Callable[[], Row]) -> Row:
    """The row of a name, which is made and kept if it is not there."""
    for row in kept.rows():
        if row["run"] == name:
            return row
    row = {"run": name, **make()}
    kept.append(row)
    print(row, file=sys.stderr, flush=True)
    return row


if __name__ == "__main__":
    main()
