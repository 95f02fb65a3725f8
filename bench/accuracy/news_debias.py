"""Debiasing news by position and exposure: on generated impressions whose truth is known, and on EB-NeRD.

    OMP_NUM_THREADS=1 python -m bench.accuracy.news_debias run 0,1,2,3,4 ROWS.jsonl
    python -m bench.accuracy.news_debias table ROWS.jsonl

Generated: 2,000 readers, 1,200 articles, 12,800 training impressions whose order an old policy chose. A position p is
looked at with probability 1 / (1 + p). 2,560 impressions in random order are to learn from, and 640 to measure on. NRMS
has 64 dimensions and every other default; nothing is chosen. AUC and nDCG@5 are means over the random impressions;
`regret` is how far the true click probability of the article ranked first is below that of the best one. EB-NeRD's demo
has no random part, and nobody knows whether its order is the page's. So clicks are weighted by exposure alone there,
and measured as they are.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.accuracy.debias.runs import processor
from pyrec import evaluate_impressions
from pyrec.data import GeneratedNews, News, generate_news, read_news
from pyrec.debias import examination, exposure_weights, position_weights
from pyrec.evaluate.significance import holm, mean_and_half, paired_t
from pyrec.models.news import NRMS
from pyrec.nn.reader import ClickAttention
from pyrec.nn.text import WordAttention
from pyrec.train.reweight import LinearWeights

SMALL: dict[str, Any] = {"text": WordAttention(4, 16, 64), "reader": ClickAttention(4, 64)}
BASE = "clicks as they are"
POWERS = (0.25, 0.5)
METRICS = ("auc", "ndcg@5", "regret")

Fit = Callable[[GeneratedNews, int], NRMS]


def plain(made: GeneratedNews, seed: int) -> NRMS:
    return NRMS(**SMALL, seed=seed).fit(made.train)


def by_truth(made: GeneratedNews, seed: int) -> NRMS:
    weights = position_weights(made.train, made.truth.examination)
    return NRMS(**SMALL, seed=seed).fit(made.train, sample_weight=weights)


def by_random_part(made: GeneratedNews, seed: int) -> NRMS:
    weights = position_weights(made.train, examination(made.random))
    return NRMS(**SMALL, seed=seed).fit(made.train, sample_weight=weights)


def learned(made: GeneratedNews, seed: int) -> NRMS:
    model = NRMS(**SMALL, seed=seed, reweight=LinearWeights(rate=0.03))
    return model.fit(made.train, uniform=made.random)


def by_exposure(made: GeneratedNews, seed: int) -> NRMS:
    return NRMS(**SMALL, seed=seed).fit(made.train, sample_weight=exposure_weights(made.train, 0.5))


def random_alone(made: GeneratedNews, seed: int) -> NRMS:
    return NRMS(**SMALL, seed=seed).fit(made.random)


METHODS: dict[str, Fit] = {
    BASE: plain,
    "1 / examination, known": by_truth,
    "1 / examination, from the random part": by_random_part,
    "weights learned on the random part": learned,
    "1 / sqrt(shows)": by_exposure,
    "the random part alone": random_alone,
}


def measured(model: NRMS, made: GeneratedNews) -> dict[str, float]:
    """Means over the random impressions of the last day."""
    news = made.random_test
    found = evaluate_impressions(model, news).metrics
    return {"auc": found["auc"], "ndcg@5": found["ndcg@5"], "regret": regret(model.rank(news), made, news)}


def regret(ranks: NDArray[np.int32], made: GeneratedNews, news: News) -> float:
    """How far the first article's true click probability is below the best one's, the mean over impressions."""
    impressions = news.impressions
    rows, articles = impressions.candidates.rows, impressions.candidates.indices
    assert impressions.times is not None
    truth = made.truth.click_probability(impressions.users[rows], articles, impressions.times[rows])
    best = np.maximum.reduceat(truth, impressions.candidates.indptr[:-1])
    return float((best - truth[ranks == 1]).mean())


def ebnerd(seed: int) -> list[dict[str, Any]]:
    """Rows of NRMS on EB-NeRD's demo, with clicks weighted by exposure."""
    split = read_news(Path(os.environ["PYREC_DATA"]) / "news" / "ebnerd-demo")
    assert split.test is not None
    rows = []
    for power in (0.0, *POWERS):
        started = time.perf_counter()
        model = NRMS(**SMALL, seed=seed).fit(split.train, sample_weight=exposure_weights(split.train, power))
        seconds = time.perf_counter() - started
        found = evaluate_impressions(model, split.test).metrics
        name = BASE if power == 0 else f"1 / shows^{power:g}"
        rows.append({"data": "ebnerd-demo", "method": name, "auc": found["auc"], "ndcg@5": found["ndcg@5"]})
        rows[-1]["seconds"] = round(seconds, 3)
    return rows


def run(seeds: list[int], out: Path) -> None:
    done = {row["run"] for row in rows_of(out)} if out.exists() else set()
    for seed in seeds:
        made = generate_news(position_bias=1.0, seed=seed)
        for name, fit in METHODS.items():
            if f"generated, {name}, {seed}" in done:
                continue
            started = time.perf_counter()
            model = fit(made, seed)
            seconds = time.perf_counter() - started
            row = {"data": "generated", "method": name, "seconds": round(seconds, 3), **measured(model, made)}
            write(out, row, seed)
        if "PYREC_DATA" in os.environ and f"ebnerd-demo, {BASE}, {seed}" not in done:
            for row in ebnerd(seed):
                write(out, row, seed)


def write(out: Path, row: dict[str, Any], seed: int) -> None:
    told = {"run": f"{row['data']}, {row['method']}, {seed}", "seed": seed, **row}
    told |= {"model": "nrms", "dim": 64, "settings": "defaults, 64 dimensions"}
    told |= {"processor": processor(), "threads": torch.get_num_threads()}
    with out.open("a") as file:
        file.write(json.dumps(told) + "\n")


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(path: Path) -> None:
    """Prints means over seeds; a star where one differs from clicks as they are, p < .05 after Holm."""
    found: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    for row in rows_of(path):
        for metric in METRICS:
            if metric in row:
                found[row["data"], metric, row["method"]][row["seed"]] = row[metric]
    values = {key: np.array([one[seed] for seed in sorted(one)]) for key, one in found.items()}
    tests = {key: paired_t(one, values[(*key[:2], BASE)]) for key, one in values.items() if key[2] != BASE}
    p = dict(zip(tests, holm(list(tests.values())), strict=True))
    for data in dict.fromkeys(key[0] for key in values):
        metrics = [metric for metric in METRICS if (data, metric, BASE) in values]
        print(f"| {data} | {' | '.join(metrics)} |\n|---|{'---:|' * len(metrics)}")
        for method in dict.fromkeys(key[2] for key in values if key[0] == data):
            cells = []
            for metric in metrics:
                mean, half = mean_and_half(values[data, metric, method])
                cells.append(f"{mean:.4f} ± {half:.4f}{' *' * (p.get((data, metric, method), 1) < 0.05)}")
            print(f"| {method} | {' | '.join(cells)} |")
        print(f"\n{len(values[data, 'auc', BASE])} seeds, 95 % intervals of the mean; {len(tests)} tests.\n")


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run([int(seed) for seed in sys.argv[2].split(",")], Path(sys.argv[3]))
    else:
        table(Path(sys.argv[2]))
