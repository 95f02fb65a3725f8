"""An epoch of gowalla's BPR triples.

Floor: 12 bytes written a triple and some 40 read at random places that fit the last-level cache; about 60
integer operations for the random numbers and a binary search of some 5 steps for the negative.
"""

import numpy as np
import pytest
from workloads import gowalla, gowalla_graph

from pyrec.ops.sample import Sampler
from pyrec.reference.sample import uniform_users

GROUP = "sample, an epoch of gowalla"


@pytest.mark.benchmark(group=GROUP)
def bench_pyrec(benchmark):
    sampler = Sampler(gowalla_graph())
    triples = benchmark.pedantic(lambda: sampler.sample(0, 0), rounds=10, warmup_rounds=1)
    assert len(triples.users) == len(gowalla()[0])


@pytest.mark.benchmark(group=GROUP)
def bench_lightgcn_pytorch_numpy(benchmark):
    train = gowalla()[0]
    generator = np.random.default_rng(0)
    arguments = (train.indptr, train.items, train.num_items, generator)
    triples = benchmark.pedantic(uniform_users, args=arguments, rounds=1)
    assert len(triples) == len(train)
