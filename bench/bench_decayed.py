"""Decayed clicks and shows of each candidate, before its impression: 2 million events of 20,000 articles.

Floor: an exp2 for each event and half-life, and some 100 bytes of a key's sums read and written at a random place; two
amounts, four half-lives, so 8 million event-half-lives. The rival in NumPy goes through the events of each article by
itself, with one step an event; it runs over the first articles alone, and is scaled.
"""

import numpy as np
import torch
from race import Race, row

from pyrec.ops.decayed import decayed_counts

EVENTS, KEYS, SOME = 2_000_000, 20_000, 200
HALF_LIVES = (3_600.0, 21_600.0, 86_400.0, float("inf"))


def events():
    """Keys as often as a power of their rank, whole seconds of a week, shows, and clicks on a tenth of them."""
    generator = np.random.default_rng(0)
    weights = np.arange(1, KEYS + 1) ** -0.8
    keys = generator.permutation(KEYS)[generator.choice(KEYS, EVENTS, p=weights / weights.sum())].astype(
        np.int32
    )
    times = np.sort(generator.integers(0, 604_800, EVENTS)).astype(np.float64)
    amounts = np.stack([np.ones(EVENTS), generator.random(EVENTS) < 0.1], axis=1).astype(np.float32)
    return torch.from_numpy(keys), torch.from_numpy(times), torch.from_numpy(amounts)


def ours(problem):
    some = problem[0] < SOME

    def run():
        found = decayed_counts(*problem, HALF_LIVES, KEYS)[0]
        return found, some

    return run


def numpy_loop(problem):
    keys, times, amounts = (array.numpy() for array in problem)
    rates = 1 / np.array(HALF_LIVES)
    chosen = np.flatnonzero(keys < SOME)

    def run():
        out = np.zeros((len(chosen), 2, len(rates)))
        sums = np.zeros((SOME, 2, len(rates)))
        pending, last = np.zeros((SOME, 2)), np.full(SOME, -np.inf)
        for at, event in enumerate(chosen):
            key, time = keys[event], times[event]
            if time > last[key]:
                if np.isfinite(last[key]):
                    sums[key] = (sums[key] + pending[key][:, None]) * np.exp2(-(time - last[key]) * rates)
                pending[key] = 0
                last[key] = time
            out[at] = sums[key]
            pending[key] += amounts[event]
        return torch.from_numpy(out)

    return run


def same(theirs, found):
    sums, some = found
    torch.testing.assert_close(theirs.float(), sums[some], rtol=1e-5, atol=1e-6)


def races(scale_max):  # noqa: ARG001
    share = float((events()[0] < SOME).float().mean())
    return [
        Race(
            group="decayed counts, 2 million events, four half-lives",
            problem=events,
            contenders={"pyrec": ours, "NumPy, a loop": numpy_loop},
            check=same,
            rounds=9,
            seconds=3.0,
            scale={"NumPy, a loop": 1 / share},
            quick=True,
            info={"work": "decayed", "events": EVENTS, "half_lives": len(HALF_LIVES)},
        )
    ]


def bench_decayed(benchmark, race, contender):
    row(benchmark, race, contender)
