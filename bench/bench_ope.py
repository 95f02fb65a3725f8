"""Off-policy evaluation of a model's lists of 3: 10^6 rounds x 10^4 items, and beside dense arrays on a smaller log.

Floor of the large one: the lists of 200,000 users at d 32 are 128 GFLOP of scores, some 1 to 2 s on two cores; a round
is some ten gathers of 8 bytes and a sort of its user. The terms of a round are 6 numbers of 8 bytes, 48 MB in all. The
dense way holds the new policy's probabilities as (rounds, items, positions) in float64, as obp does: 240 GB for the
large log, so it runs on 20,000 rounds x 1,000 items, .48 GB. Both predict rewards by the same means.
"""

import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from race import CLOCK, Race, growth, row

from pyrec import SVD, ope
from pyrec.data import generate_bandit
from pyrec.errors import DataWarning
from pyrec.evaluate.ope import ESTIMATORS
from pyrec.evaluate.reward_models import ItemMeans

K, SMOOTHING, FOLDS, THRESHOLD = 3, 20.0, 5, 50.0
LARGE = {"num_rounds": 10**6, "num_users": 200_000, "num_items": 10_000}
SMALL = {"num_rounds": 20_000, "num_users": 5_000, "num_items": 1_000}


def problem(sizes=SMALL):
    """A log, and a model that learned from another one of the same policy."""
    log = generate_bandit(**sizes).log
    model = SVD(embedding_size=32).fit(generate_bandit(**sizes, draw=1).log.rewarded())
    return SimpleNamespace(log=log, model=model)


def pyrec(p):
    """All five estimates with their intervals, and what they stand on."""

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            found = ope(p.log, p.model, smoothing=SMOOTHING, folds=FOLDS, threshold=THRESHOLD)
        return torch.tensor([found[name].value for name in ESTIMATORS], dtype=torch.float64)

    run.kept_bytes = 0
    return run


def dense(p):
    """The five estimates alone, from arrays of rounds x items x positions."""
    log = p.log
    rows, n = np.arange(len(log)), len(log)

    def run():
        lists = p.model.topk(np.arange(log.num_users), K, filter_seen=False)[0].numpy()
        chances = np.zeros((n, log.num_items, K))
        for place in range(K):
            chances[rows, lists[log.users, place], place] = 1
        means = ItemMeans(log, FOLDS, SMOOTHING, 0)
        every = np.tile(np.arange(log.num_items), n)
        rewards = means.predict(np.repeat(rows, log.num_items), every).reshape(n, -1)
        here = chances[rows, :, log.positions]
        weights = here[rows, log.items] / log.propensities
        direct = (here * rewards).sum(axis=1)
        residuals = weights * (log.rewards - rewards[rows, log.items])
        values = [
            (weights * log.rewards).mean(),
            (weights * log.rewards).sum() / weights.sum(),
            direct.mean(),
            (direct + residuals).mean(),
            (direct + residuals * (weights <= THRESHOLD)).mean(),
        ]
        return torch.tensor(values)

    run.kept_bytes = 0
    return run


def same(theirs, ours):
    torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-12)


def races(scale_max):
    yield Race(
        group="off-policy evaluation, {num_rounds:,} rounds x {num_items:,} items".format(**SMALL),
        problem=problem,
        contenders={"pyrec": pyrec, "dense, as obp": dense},
        check=same,
        rounds=5,
        seconds=6.0,
        quick=True,
        memory=True,
        info={"work": "ope", **SMALL, "k": K},
    )
    if scale_max >= LARGE["num_rounds"]:
        yield Race(
            group="off-policy evaluation, {num_rounds:,} rounds x {num_items:,} items".format(**LARGE),
            problem=lambda: problem(LARGE),
            contenders={"pyrec": pyrec},
            check=None,
            rounds=3,
            seconds=20.0,
            info={"work": "ope", **LARGE, "k": K},
        )


def bench_ope(benchmark, race, contender):
    row(benchmark, race, contender)


def measure():
    """The peak above log and model, in bytes, of the large evaluation."""
    pyrec(problem())()  # the code that is loaded is not its memory
    return growth(pyrec(problem(LARGE)))


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.benchmark(group="peak memory of off-policy evaluation", timer=CLOCK)
def bench_memory_of_ope(benchmark):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, check=True, capture_output=True, text=True
    )
    peak = int(done.stdout)
    assert peak < 10**9
    benchmark.extra_info |= {"memory": "pyrec", "bytes": peak, "floor": 48 * LARGE["num_rounds"]}
    benchmark.pedantic(lambda: CLOCK.advance(1e-9 * peak), rounds=1)


if __name__ == "__main__":
    print(measure())
