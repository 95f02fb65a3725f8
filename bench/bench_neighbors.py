"""ItemKNN's neighbours on gowalla and beside a user of all 20,000 items, against implicit's CosineRecommender.

Floor: an addition for each pair of a user of an item and an item of that user, 63 million on gowalla and 400 million
for the user of 20,000 items, at random places of a row of counts that the second-level cache holds; one division for
each pair of items with a user in common. Both sides run on one thread and keep K neighbours; implicit is asked for
K + 1, for its list has the item itself. ``python bench/bench_neighbors.py`` measures a fit in a process of its own:
processor time, and peak memory above that of loading the data.
"""

import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from race import Race, row
from workloads import gowalla

import pyrec
from pyrec.data import Interactions

K = 20


def hub(num_items=20_000):
    """A user of every item beside 3,000 users of 10."""
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(1, 3001), 10), rng.integers(0, num_items, 30_000)
    users, items = np.r_[users, np.zeros(num_items, int)], np.r_[items, np.arange(num_items)]
    return Interactions.from_arrays(users, items)


WORKLOADS = {"gowalla": lambda: gowalla()[0], "one user of 20,000 items": hub}


def ours(interactions):
    def run():
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return pyrec.ItemKNN(K, 0.0).fit(interactions).weights_.tocsc()
        finally:
            torch.set_num_threads(before)

    return run


def implicit(interactions):
    library = pytest.importorskip("implicit.nearest_neighbours", reason="implicit is not installed")
    matrix = interactions.to_csr()

    def run():
        model = library.CosineRecommender(K + 1, num_threads=1)
        model.fit(matrix, show_progress=False)
        return model.similarity

    return run


def same_weights(theirs, found):
    """The sorted weights of each item, but for the item itself: ties are kept by another rule."""
    theirs = theirs.tocsr(copy=True)
    theirs.setdiag(0)
    for item in range(0, found.shape[1], 97):
        have = np.sort(theirs.data[theirs.indptr[item] : theirs.indptr[item + 1]])[::-1][:K]
        wanted = np.sort(found.data[found.indptr[item] : found.indptr[item + 1]])[::-1]
        np.testing.assert_allclose(have[: len(wanted)], wanted, rtol=1e-4)


def races(scale_max):  # noqa: ARG001
    return [
        Race(
            group=f"neighbours of all items, {name}, one thread",
            problem=make,
            contenders={"pyrec": ours, "implicit": implicit},
            check=same_weights,
            rounds=5,
            seconds=20.0,
            quick=name == "gowalla",
            info={"work": "neighbors", "k": K},
        )
        for name, make in WORKLOADS.items()
    ]


def bench_neighbors(benchmark, race, contender):
    row(benchmark, race, contender)


def measure(workload, contender):
    """Processor time and peak memory of one fit in this process, above what loading the data took."""
    run = {"pyrec": ours, "implicit": implicit}[contender](WORKLOADS[workload]())
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    run()
    seconds = time.process_time() - started
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{workload:26} {contender:9} {seconds:6.2f} s of processor time, {peak:5.0f} MiB")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(*sys.argv[1:])
    else:
        for one in WORKLOADS:
            for who in ("pyrec", "implicit"):
                subprocess.run([sys.executable, __file__, one, who], check=True)
