"""Random extra edges and the contrastive loss on MovieLens 100k: a row of validation metrics a run.

    OMP_NUM_THREADS=1 python bench/accuracy/augmentation.py run GRID MODEL SEEDS ML_100K_FOLDER ROWS.jsonl
    python bench/accuracy/augmentation.py table ROWS.jsonl...

Of each of the splits u1 to u5 (ratings of 4 and 5) the training part alone is used: 90 % to learn from, 10 % to
measure on. Runs that the file has are not repeated.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from pyrec import Graph, LightGCN, evaluate
from pyrec.data import read_pair, split_random
from pyrec.data.random_pairs import add_random_pairs
from pyrec.models.format_1 import from_flat

METRICS = ("precision@20", "recall@20", "ndcg@20")
FOLDS = range(1, 6)
PLAIN = {"combine": "mean", "schedule": "constant"}
MODELS = {
    "softmax": PLAIN | {"loss": "softmax", "n_layers": 2, "epochs": 36, "learning_rate": 5e-3},
    "bpr": PLAIN | {"loss": "bpr", "n_layers": 3, "epochs": 60, "learning_rate": 5e-3},
}


EXTRA = [{"extra_edges": rate} for rate in (0, 0.01, 0.05, 0.1, 0.2)]
CONTRAST = [
    {"contrast": kind, "contrast_rate": rate, "contrast_weight": weight}
    for weight, rate in ((0.02, 0.1), (0.1, 0.1), (0.5, 0.1), (0.1, 0.3))
    for kind in ("noise", "edges")
]
GRIDS = {"extra": EXTRA, "contrast": [EXTRA[0], *CONTRAST]}


def run(grid: str, name: str, seeds: str, folder: Path, out: Path) -> None:
    done = {line["run"] for line in map(json.loads, out.read_text().splitlines())} if out.exists() else set()
    for seed, fold, options in itertools.product(map(int, seeds.split(",")), FOLDS, GRIDS[grid]):
        key = json.dumps([name, options, fold, seed])
        if key not in done:
            row = {"run": key, "model": name, "options": options, "fold": fold, "seed": seed}
            row |= measure(MODELS[name] | options, folder, fold, seed)
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")


def measure(arguments: dict, folder: Path, fold: int, seed: int) -> dict:
    train, _ = read_pair(folder / f"u{fold}.base", folder / f"u{fold}.test", min_rating=4)
    learned, held_out = split_random(train, 0.9, seed=fold)
    model = LightGCN(**from_flat("lightgcn", arguments | {"seed": seed}, learned.num_items)).fit(learned)
    row = {"metrics": metrics(model, held_out)}
    if arguments.get(
        "extra_edges"
    ):  # the same parameters with final vectors that propagate over the random pairs, too
        model._graph = Graph.from_interactions(add_random_pairs(learned, arguments["extra_edges"], seed))
        model._refresh()
        row["metrics_with_pairs"] = metrics(model, held_out)
    return row


def metrics(model: LightGCN, held_out) -> dict[str, float]:
    result = evaluate(model, held_out, 20)
    return {name: result[name] for name in METRICS}


def table(rows: list[dict]) -> None:
    """Means over the runs, and differences from the plain model with their p (paired t over the folds' means)."""
    print("| model | options | runs | " + " | ".join(f"{m} | change | p" for m in METRICS) + " |")
    print("|---|---|---|" + "---|---|---|" * len(METRICS))
    plain = {(r["model"], r["fold"], r["seed"]): r for r in rows if r["options"] == {"extra_edges": 0}}
    for kind in ("metrics", "metrics_with_pairs"):
        for name, options in dict.fromkeys((r["model"], json.dumps(r["options"])) for r in rows if kind in r):
            chosen = [r for r in rows if r["model"] == name and json.dumps(r["options"]) == options]
            chosen = [r for r in chosen if (name, r["fold"], r["seed"]) in plain]
            cells = [cell(chosen, plain, kind, metric) for metric in METRICS]
            shown = options + (", final vectors over the pairs too" if kind != "metrics" else "")
            print(f"| {name} | {shown} | {len(chosen)} | " + " | ".join(cells) + " |")


def cell(chosen: list[dict], plain: dict, kind: str, metric: str) -> str:
    mean = np.mean([r[kind][metric] for r in chosen])
    base = {r["run"]: plain[r["model"], r["fold"], r["seed"]]["metrics"][metric] for r in chosen}
    changes = [
        np.mean([r[kind][metric] - base[r["run"]] for r in chosen if r["fold"] == fold])
        for fold in sorted({r["fold"] for r in chosen})
    ]
    p = stats.ttest_1samp(changes, 0).pvalue if len(changes) > 1 and np.ptp(changes) > 0 else 1.0
    change = np.mean(changes) / np.mean(list(base.values()))
    return f"{mean:.4f} | {change:+.1%} | {p:.3f}"


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(*sys.argv[2:5], *map(Path, sys.argv[5:7]))
    else:
        table([json.loads(line) for file in sys.argv[2:] for line in Path(file).read_text().splitlines()])
