"""Half a sweep of implicit ALS on gowalla: every user solved for against all items, their Gram matrix included.

Floor at d columns: each interaction adds an outer product to its user's system, of which the upper triangle is needed,
d (d + 1) operations; each user's Cholesky factor takes d³ / 3, and the items' Gram matrix d (d + 1) an item. On gowalla
(810,128 interactions, 29,858 users, 40,981 items) that is 3.4 + 2.6 + 0.2 GFLOP at d 64 and 13 + 21 + 0.7 GFLOP at
d 128: some 50 and 290 ms on a core of 120 GFLOP/s in float32, half of it on two. The rows that are gathered, 4 d bytes
an interaction, are 207 and 415 MB, from a table of 10 and 21 MB.

`implicit` solves the same systems: exactly, by LAPACK, and by three steps of conjugate gradients, which end before the
solution. With blocks (iALS++) a round of ours ends before the solution as well. So answers are compared in the race of
the exact solvers; the race of the others has the exact one beside them.
"""

import numpy as np
import pytest
import torch
from race import Race, row
from workloads import embeddings, gowalla

from pyrec._arrays import tensor_of
from pyrec.ops.als import als, gram

REG = 10.0
CONFIDENCE = 2.0
"""Of an interaction, implicit's: all pairs have 1. So w = 1 on top of the Gram matrix, and y = 2."""


def problem(dim):
    """The interactions by users, vectors of the items, and where the users start."""

    def make():
        train = gowalla()[0]
        return train, embeddings(train.num_items, dim), embeddings(train.num_users, dim)

    return make


def ours(block=None):
    def make(problem):
        train, vectors, start = problem
        entries = (tensor_of(train.indptr), tensor_of(train.items))
        weight = torch.full((len(train),), CONFIDENCE - 1)
        target = torch.full((len(train),), CONFIDENCE / (CONFIDENCE - 1))
        reg = torch.full((train.num_users,), REG)
        x = torch.empty_like(start)

        def run():
            x.copy_(start)
            als(x, vectors, *entries, weight, target, reg, gram=gram(vectors).float(), block=block)
            return x

        return run

    return make


def implicit(cg_steps=None):
    def make(problem):
        compiled = pytest.importorskip("implicit.cpu._als")
        from scipy.sparse import csr_matrix

        train, vectors, start = problem
        shape = (train.num_users, train.num_items)
        data = np.full(len(train), CONFIDENCE, dtype=np.float32)
        matrix = csr_matrix((data, train.items, train.indptr.astype(np.int32)), shape=shape)
        y, x = vectors.numpy(), start.numpy().copy()
        threads = torch.get_num_threads()

        def run():
            x[:] = start.numpy()
            if cg_steps is None:
                compiled.least_squares(matrix, x, y, REG, num_threads=threads)
            else:
                compiled.least_squares_cg(matrix, x, y, REG, num_threads=threads, cg_steps=cg_steps)
            return torch.from_numpy(x)

        return run

    return make


def torch_batches(problem):
    """Plain torch: the systems of users of about as many interactions at a time, padded, by its Cholesky."""
    train, vectors, _ = problem
    dim = vectors.shape[1]
    lengths = np.diff(train.indptr)
    order = np.argsort(lengths, kind="stable")
    groups = np.array_split(order, max(1, len(order) // 512))
    batches = []
    for users in groups:
        width = max(1, int(lengths[users].max()))
        at = train.indptr[users][:, None] + np.arange(width)
        there = np.arange(width) < lengths[users][:, None]
        items = np.where(there, train.items[np.minimum(at, len(train) - 1)], train.num_items)
        batches.append((torch.from_numpy(users), torch.from_numpy(items.astype(np.int64))))

    def run():
        table = torch.cat([vectors, torch.zeros(1, dim)])
        whole = vectors.T @ vectors + REG * torch.eye(dim)
        x = torch.empty(train.num_users, dim)
        for users, items in batches:
            rows = table[items]
            factor = torch.linalg.cholesky(whole + (CONFIDENCE - 1) * rows.mT @ rows)
            right = CONFIDENCE * rows.sum(dim=1)
            x[users] = torch.cholesky_solve(right[:, :, None], factor)[:, :, 0]
        return x

    return run


def same(theirs, ours):
    torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-4 * float(ours.abs().max()))


def exact_race(dim):
    return Race(
        group=f"als, users of gowalla, d {dim}",
        problem=problem(dim),
        contenders={"pyrec": ours(), "implicit": implicit(), "torch, batches of Cholesky": torch_batches},
        check=same,
        rounds=9,
        seconds=30.0,
        quick=dim == 64,
        info={"work": "als half-sweep", "dim": dim},
    )


def approximate_race(dim):
    """Rounds that end before the solution: blocks of ours, conjugate gradients of implicit."""
    return Race(
        group=f"als, users of gowalla, not to the end, d {dim}",
        problem=problem(dim),
        contenders={
            "pyrec, blocks of 64": ours(64),
            "pyrec, exact": ours(),
            "implicit, 3 steps of cg": implicit(3),
        },
        check=None,
        rounds=9,
        seconds=30.0,
        info={"work": "als half-sweep, approximate", "dim": dim},
    )


def races(scale_max):  # noqa: ARG001
    return [exact_race(64), exact_race(128), approximate_race(256)]


def bench_als(benchmark, race, contender):
    row(benchmark, race, contender)
