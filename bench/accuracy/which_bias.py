"""Which method helps against which bias, on generated logs whose truth is known: a row a dial, a method and a seed.

    OMP_NUM_THREADS=1 python -m bench.accuracy.which_bias run 0,1,2,3,4,5,6,7,8,9 ROWS.jsonl
    python -m bench.accuracy.which_bias table ROWS.jsonl

1,000 users, 500 items, 30,000 interactions, of which each dial makes one bias; 3,000 uniform pairs, half to learn from
and half to choose an epoch by. Every model has its defaults, and nothing is chosen. AUC is over all pairs that are in
neither part, by their true labels. Rows that the file has are not made again.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.accuracy.debias.runs import processor
from pyrec import EASE, AutoDebias, Popularity, Recommender, WholeMF, propensities
from pyrec.data import Interactions, UniformParts, generate_biased, split_uniform
from pyrec.data.biased import Biased
from pyrec.evaluate.pair_metrics import auc
from pyrec.evaluate.significance import holm, mean_and_half, paired_t

USERS, ITEMS, INTERACTIONS, UNIFORM = 1_000, 500, 30_000, 3_000
STRENGTH = 0.8
BIASES = ("none", "selection", "popularity", "position", "conformity")
BY = {"selection": "naive-bayes", "popularity": "item", "position": "position", "conformity": "naive-bayes"}
"""What propensities are estimated by where each bias is; without a bias there are none."""
BASE = "the log as it is"

Fit = Callable[[Interactions, UniformParts, str, int], Recommender]


def as_it_is(log: Interactions, parts: UniformParts, bias: str, seed: int) -> Recommender:  # noqa: ARG001
    return WholeMF(unobserved=0.0, seed=seed).fit(log, validation=parts.validation)


def by_propensity(log: Interactions, parts: UniformParts, bias: str, seed: int) -> Recommender:
    weights = propensities(log, parts.train, BY.get(bias, "item")).weights(normalised=True)
    model = WholeMF(unobserved=0.0, seed=seed)
    return model.fit(log, sample_weight=weights, validation=parts.validation)


def whole(log: Interactions, parts: UniformParts, bias: str, seed: int) -> Recommender:  # noqa: ARG001
    return WholeMF(seed=seed).fit(log, validation=parts.validation)


def with_uniform(log: Interactions, parts: UniformParts, bias: str, seed: int) -> Recommender:  # noqa: ARG001
    return WholeMF(seed=seed).fit(log, uniform=parts.train, validation=parts.validation)


def autodebias(log: Interactions, parts: UniformParts, bias: str, seed: int) -> Recommender:  # noqa: ARG001
    return AutoDebias(seed=seed).fit(log, uniform=parts.train, validation=parts.validation)


METHODS: dict[str, Fit] = {
    "popularity": lambda log, *_: Popularity().fit(log),
    "EASE": lambda log, *_: EASE().fit(log),
    BASE: as_it_is,
    "propensities": by_propensity,
    "all pairs": whole,
    "all pairs, uniform pairs": with_uniform,
    "AutoDebias": autodebias,
}


def make(bias: str, seed: int) -> Biased:
    dials: dict[str, Any] = {} if bias == "none" else {bias: STRENGTH}
    return generate_biased(USERS, ITEMS, INTERACTIONS, UNIFORM, seed=seed, **dials)


def measured(model: Recommender, made: Biased) -> float:
    """AUC over all pairs of neither part."""
    new = np.ones((USERS, ITEMS), dtype=bool)
    for part in (made.interactions, made.uniform):
        new[part.users, part.items] = False
    users, items = np.nonzero(new)
    return auc(model.pair_scores(users, items), made.truth.label_matrix()[new] > 0)


def run(seeds: list[int], out: Path) -> None:
    done = {row["run"] for row in rows_of(out)} if out.exists() else set()
    for seed in seeds:
        for bias in BIASES:
            made = make(bias, seed)
            parts = split_uniform(made.uniform, (0.5, 0.5, 0.0), seed)
            for name, fit in METHODS.items():
                key = f"{bias}, {name}, {seed}"
                if key in done:
                    continue
                started = time.perf_counter()
                model = fit(made.interactions, parts, bias, seed)
                seconds = time.perf_counter() - started
                row = {"run": key, "bias": bias, "method": name, "seed": seed}
                row |= {"auc": measured(model, made), "seconds": round(seconds, 3), "strength": STRENGTH}
                row |= {"dim": model.get_params().get("embedding_size"), "settings": "defaults"}
                row |= {"processor": processor(), "threads": torch.get_num_threads()}
                with out.open("a") as file:
                    file.write(json.dumps(row) + "\n")


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(path: Path) -> None:
    """Prints AUC by bias and method; a star where it differs from that of the log as it is, p < .01 after Holm."""
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in rows_of(path):
        found[row["bias"], row["method"]][row["seed"]] = row["auc"]
    others = [name for name in METHODS if name != BASE]
    values = {key: np.array([one[seed] for seed in sorted(one)]) for key, one in found.items()}
    tests = {(b, m): paired_t(values[b, m], values[b, BASE]) for b in BIASES for m in others}
    p = dict(zip(tests, holm(list(tests.values())), strict=True))
    print(f"| bias | {' | '.join(METHODS)} |\n|---|{'---:|' * len(METHODS)}")
    for bias in BIASES:
        cells = []
        for name in METHODS:
            mean, half = mean_and_half(values[bias, name])
            star = " *" if p.get((bias, name), 1) < 0.01 else ""
            cells.append(f"{mean:.3f} ± {half:.3f}{star}")
        print(f"| {bias} | {' | '.join(cells)} |")
    print(f"\n{len(values['none', BASE])} seeds, 95 % intervals of the mean; {len(tests)} tests.")


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run([int(seed) for seed in sys.argv[2].split(",")], Path(sys.argv[3]))
    else:
        table(Path(sys.argv[2]))
