"""Top 20 of gowalla's users out of 40,981 items, without the items that each has already.

Floor of all scores at d 64: 2 * users * items * 64 operations at the peak of the vector units (16 multiply-adds of
float32 a cycle and core on a Zen 4, as on AVX2): 157 GFLOP for all users, 0.66 s on 2 cores at 3.7 GHz. Codes of 8 bits
(AVX-512 VNNI) are multiplied four times as fast: 0.17 s. Above that floor is what bounds let through: some
K (1 + ln(items / K)) = 170 items enter a list on the way, and half as many again are scored in vain. The codes are
2.6 MB and stay in the last-level cache; a block of 96 users reads them once, which hides behind the arithmetic.

Vectors are N(0, 0.1^2), for which no bound can pass over a panel, and once those of an SVD of gowalla: lengths
differ there, and most panels are too short to matter.

Finished scores are read once: 164 KB for a user of gowalla, 67 MB for 409 users, 1.7 ms at the 39 GB/s of one core
here.

One to 64 users, out of 100,000 items of which none are left out, are what a service asks for. The floor of one user is
reading the items once, 25.6 MB: 0.7 ms at the 39 GB/s of one core here.
"""

from functools import partial

import numpy as np
import torch
from race import Race, row
from searches import SCORE_SEARCHES, SEARCHES, Problem, Scores, same_lists
from workloads import GOWALLA_ITEMS, GOWALLA_USERS, embeddings, gowalla

from pyrec.models import SVD

K = 20
FEW_ITEMS = 100_000
SCORED_USERS = 409  # whose rows of scores take 64 MiB


def drawn_vectors(num_users, dim):
    return embeddings(num_users, dim), embeddings(GOWALLA_ITEMS, dim, seed=1)


def fitted_vectors(num_users, dim):
    model = SVD(dim).fit(gowalla()[0])
    return model._query_vectors(np.arange(num_users)), model._item_vectors()


def problem(num_users, dim, vectors):
    train = gowalla()[0]
    indptr = torch.as_tensor(train.indptr)[: num_users + 1]
    seen = torch.as_tensor(train.items)[: int(indptr[-1])]
    return Problem(*vectors(num_users, dim), indptr, seen, K)


def few_problem(num_users, dim):
    indptr = torch.zeros(num_users + 1, dtype=torch.int64)
    none = torch.empty(0, dtype=torch.int32)
    return Problem(embeddings(num_users, dim), embeddings(FEW_ITEMS, dim, seed=1), indptr, none, K)


def scores_problem():
    train = gowalla()[0]
    indptr = torch.as_tensor(train.indptr)[: SCORED_USERS + 1]
    scores = embeddings(SCORED_USERS, GOWALLA_ITEMS)
    return Scores(scores, indptr, torch.as_tensor(train.items)[: int(indptr[-1])], K)


def scores_race():
    return Race(
        group=f"topk of finished scores, {SCORED_USERS} users of gowalla, K {K}",
        problem=scores_problem,
        contenders=SCORE_SEARCHES,
        check=same_lists,
        info={"work": "topk", "users": SCORED_USERS, "k": K, "dtype": "float32"},
    )


def few_race(num_users, dim):
    users = "1 user" if num_users == 1 else f"{num_users} users"
    return Race(
        group=f"topk, {users}, {FEW_ITEMS:,} items, K {K}, d {dim}",
        problem=partial(few_problem, num_users, dim),
        contenders={name: SEARCHES[name] for name in ("pyrec", "FAISS flat", "torch")},
        check=same_lists,
        info={"work": "topk", "users": num_users, "dim": dim, "k": K, "dtype": "float32"},
    )


def race(num_users, dim, quick=False, without=(), vectors=drawn_vectors):
    fitted = ", of an SVD" if vectors is fitted_vectors else ""
    return Race(
        group=f"topk, {num_users:,} users of gowalla, K {K}, d {dim}{fitted}",
        problem=partial(problem, num_users, dim, vectors),
        contenders={name: search for name, search in SEARCHES.items() if name not in without},
        check=same_lists,
        rounds=7,
        seconds=4.0,
        quick=quick,
        info={"work": "topk", "users": num_users, "dim": dim, "k": K, "dtype": "float32"},
    )


def races(scale_max):  # noqa: ARG001
    slowest = ("usearch exact",)  # its place is seen on fewer users
    return [
        race(2_048, 64, quick=True),
        race(2_048, 128),
        race(GOWALLA_USERS, 64, without=slowest),
        race(GOWALLA_USERS, 64, without=slowest, vectors=fitted_vectors),
        *(few_race(num_users, 64) for num_users in (1, 8, 64)),
        scores_race(),
    ]


def bench_topk(benchmark, race, contender):
    row(benchmark, race, contender)
