"""An epoch of gowalla's BPR triples.

Floor: 12 bytes written a triple and some 40 read at random places that fit the last-level cache; about 60
integer operations for the random numbers and a binary search of some 5 steps for the negative.
"""

import numpy as np
import torch
from expert import Sampler as NumpySampler
from race import Race, row
from workloads import gowalla, gowalla_graph

from pyrec.ops.sample import Sampler
from pyrec.reference.sample import uniform_users


def pyrec(problem):  # noqa: ARG001
    sampler = Sampler(gowalla_graph())

    def run():
        users, positives, negatives = sampler.sample(0, 0)
        return users, positives, negatives.flatten()

    return run


def expert(train):
    sampler = NumpySampler(train, seed=0)
    return lambda: sampler.epoch().unbind(0)


def lightgcn_pytorch(train):
    arguments = (train.indptr, train.items, train.num_items, np.random.default_rng(0))
    return lambda: torch.from_numpy(uniform_users(*arguments)).unbind(1)


def valid(theirs, ours):
    """Random draws differ, but as many triples are drawn, positives are the user's and negatives are not."""
    train = gowalla()[0]
    keys = train.users.astype(np.int64) * train.num_items + train.items
    for users, positives, negatives in (theirs, ours):
        assert len(users) == len(train)
        base = users.numpy().astype(np.int64) * train.num_items
        assert np.isin(base + positives.numpy(), keys).all()
        assert not np.isin(base + negatives.numpy(), keys).any()


def races(scale_max):  # noqa: ARG001
    sample = Race(
        group="sample, an epoch of gowalla",
        problem=lambda: gowalla()[0],
        contenders={
            "pyrec": pyrec,
            "expert's NumPy": expert,
            "LightGCN-PyTorch's way, NumPy": lightgcn_pytorch,
        },
        check=valid,
        quick=True,
        info={"work": "sample", "triples": len(gowalla()[0])},
    )
    return [sample]


def bench_sample(benchmark, race, contender):
    row(benchmark, race, contender)
