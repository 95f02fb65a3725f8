"""The distinct articles and words of batches of MIND-small's shape, and where each entry went.

Floor: 8 bytes an id read and 16 written, 4 bytes of each possible id cleared, and a read at a random place of these 4
bytes for each id, which the second-level cache holds. numpy.unique and torch.unique sort; their ids are in ascending
order, so only what both agree on is compared: that rows[position] are the ids, and how many rows there are.
"""

import numpy as np
import torch
from race import Race, row

from pyrec.ops.distinct import distinct_ids

WORKLOADS = {
    "articles of 512 impressions": (17_000, 51_282, 1.05),
    "words of their titles": (70_000, 40_000, 1.2),
}


def ids_of(count, num_ids, exponent):
    """Ids as often as a power of their rank."""
    generator = np.random.default_rng(0)
    weights = np.arange(1, num_ids + 1) ** -exponent
    drawn = generator.choice(num_ids, count, p=weights / weights.sum())
    return torch.from_numpy(generator.permutation(num_ids)[drawn])


def numpy_unique(ids):
    array = ids.numpy()
    return lambda: tuple(map(torch.from_numpy, np.unique(array, return_inverse=True)))


def same(theirs, ours):
    assert len(theirs[0]) == len(ours[0])
    assert torch.equal(theirs[0][theirs[1]], ours[0][ours[1]])


def races(scale_max):  # noqa: ARG001
    return [
        Race(
            group=f"distinct ids, {name}",
            problem=lambda shape=shape: ids_of(*shape),
            contenders={
                "pyrec": lambda ids, num_ids=shape[1]: lambda: distinct_ids(ids, num_ids),
                "torch.unique": lambda ids: lambda: torch.unique(ids, return_inverse=True),
                "numpy.unique": numpy_unique,
            },
            check=same,
            rounds=25,
            seconds=1.0,
            quick=True,
            info={"work": "distinct", "ids": shape[0], "num_ids": shape[1]},
        )
        for name, shape in WORKLOADS.items()
    ]


def bench_distinct(benchmark, race, contender):
    row(benchmark, race, contender)
