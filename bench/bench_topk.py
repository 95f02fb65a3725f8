"""Top 20 of gowalla's users out of 40,981 items, without the items that each has already.

Floor at d 64: 2 * users * items * 64 operations at the peak of the vector units (32 multiply-adds a cycle with two
units of AVX-512, 16 with one or with two of AVX2): 157 GFLOP for all users. The packed items are 10 MB and stay in
the last-level cache; a block of 96 users reads them once, which hides behind the arithmetic. Above the floor is the
selection: about K (1 + ln(items / K)) = 170 items enter a list on the way.
"""

from functools import partial

import torch
from race import Race, row
from searches import SEARCHES, Problem, same_lists
from workloads import GOWALLA_USERS, embeddings, gowalla

K = 20


def problem(num_users, dim):
    train = gowalla()[0]
    indptr = torch.as_tensor(train.indptr)[: num_users + 1]
    seen = torch.as_tensor(train.items)[: int(indptr[-1])]
    return Problem(embeddings(num_users, dim), embeddings(train.num_items, dim, seed=1), indptr, seen, K)


def race(num_users, dim, quick=False, without=()):
    return Race(
        group=f"topk, {num_users:,} users of gowalla, K {K}, d {dim}",
        problem=partial(problem, num_users, dim),
        contenders={name: search for name, search in SEARCHES.items() if name not in without},
        check=same_lists,
        rounds=7,
        seconds=4.0,
        quick=quick,
        info={"work": "topk", "users": num_users, "dim": dim, "k": K, "dtype": "float32"},
    )


def races(scale_max):  # noqa: ARG001
    slowest = ("usearch exact",)  # its place is seen on fewer users
    return [race(2_048, 64, quick=True), race(2_048, 128), race(GOWALLA_USERS, 64, without=slowest)]


def bench_topk(benchmark, race, contender):
    row(benchmark, race, contender)
