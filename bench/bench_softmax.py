"""The softmax loss of a pool that a batch shares: each user meets each item once, or every sample meets the pool.

A batch of 2,048 as on MovieLens latest-small (ratings from 4), one uniform negative of each positive: 590 distinct
users and 1,770 distinct items in the pool. The value and the gradient of the vectors are one round. Floor of three
products of distinct users and items: 6 * 590 * 1,770 * 64 = .40 GFLOP; of samples and the whole pool it is 1.61.
"""

from types import SimpleNamespace

import torch
from race import Race, row

from pyrec.train.loss.cross_entropy import pooled_softmax, sampled_softmax

BATCH, USERS, ITEMS, POOLED, DIM, TEMPERATURE = 2048, 590, 3000, 1770, 64, 0.2


def problem():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(USERS + ITEMS, DIM, generator=generator)
    user = torch.cat([torch.arange(USERS), torch.randint(USERS, (BATCH - USERS,), generator=generator)])
    item = torch.randint(ITEMS, (BATCH,), generator=generator) + USERS
    once = torch.randperm(ITEMS, generator=generator)[:POOLED] + USERS
    again = once[torch.randint(POOLED, (BATCH - POOLED,), generator=generator)]
    rows = torch.nn.functional.normalize(vectors, dim=1)
    return SimpleNamespace(rows=rows, user=user, item=item, pool=torch.cat([once, again]))


def round_of(p, loss):
    def run():
        rows = p.rows.clone().requires_grad_()
        value = loss(rows)
        value.backward()
        return value.detach(), rows.grad

    return run


def once(p):
    return round_of(p, lambda rows: pooled_softmax(rows, p.user, p.item, p.pool, TEMPERATURE))


def by_sample(p):
    def loss(rows):
        return sampled_softmax(rows[p.user], rows[p.item], rows[p.pool], p.item, p.pool, TEMPERATURE)

    return round_of(p, loss)


def races(scale_max):  # noqa: ARG001
    return [
        Race(
            group=f"softmax of a pool, batch {BATCH:,}, {USERS} users, {POOLED:,} items, d {DIM}",
            problem=problem,
            contenders={"pyrec": once, "by sample": by_sample},
            info={"work": "softmax loss and gradient", "dim": DIM, "dtype": "float32"},
        )
    ]


def bench_softmax(benchmark, race, contender):
    row(benchmark, race, contender)
