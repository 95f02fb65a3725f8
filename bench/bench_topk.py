"""Top 20 of gowalla's users out of 40,981 items, 64 wide, without the items that each has already.

Floor: 2 * users * items * 64 operations at the peak of the vector units (32 multiply-adds a cycle with two units
of AVX-512, 16 with one or with two of AVX2): 157 GFLOP for all users. The packed items are 10 MB and stay in the
last-level cache; a block of 96 users reads them once, which hides behind the arithmetic. Above the floor is the
selection: about K (1 + ln(items / K)) = 170 items enter a list on the way.
"""

from functools import cache

import pytest
import torch
from torch import Tensor
from workloads import GOWALLA_ITEMS, GOWALLA_USERS, embeddings, gowalla

from pyrec.ops.topk import topk

K = 20
DIM = 64
SOME, ALL = 2_048, GOWALLA_USERS


def group(num_users: int):
    return pytest.mark.benchmark(group=f"topk, {num_users} users of gowalla, K {K}")


@cache
def arrays(num_users: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Users, items, and the seen items as a CSR."""
    train = gowalla()[0]
    indptr = torch.as_tensor(train.indptr)[: num_users + 1]
    seen = torch.as_tensor(train.items)[: int(indptr[-1])]
    return embeddings(num_users, DIM), embeddings(GOWALLA_ITEMS, DIM, seed=1), indptr, seen


def pyrec_topk(queries: Tensor, items: Tensor, indptr: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    return topk(queries, items, K, seen_indptr=indptr, seen_indices=seen)


def torch_topk(
    queries: Tensor, items: Tensor, indptr: Tensor, seen: Tensor, batch_size: int = 1_024
) -> tuple[Tensor, Tensor]:
    """Matrix product, mask and torch.topk, a batch of users at a time; ties fall as they may."""
    seen = seen.long()
    lists = []
    for start in range(0, len(queries), batch_size):
        rows = indptr[start : start + batch_size + 1]
        scores = queries[start : start + batch_size] @ items.T
        users = torch.repeat_interleave(torch.arange(len(scores)), rows.diff())
        scores[users, seen[rows[0] : rows[-1]]] = -torch.inf
        lists.append(scores.topk(K))
    return torch.cat([best.indices for best in lists]), torch.cat([best.values for best in lists])


@cache
def answers_agree(num_users: int) -> bool:
    (ids, scores), (torch_ids, torch_scores) = (f(*arrays(num_users)) for f in (pyrec_topk, torch_topk))
    torch.testing.assert_close(scores, torch_scores, rtol=1e-5, atol=1e-6)
    return float((ids == torch_ids).float().mean()) > 0.999  # the rest are swaps within rounding


@group(SOME)
def bench_pyrec_some_users(benchmark):
    assert answers_agree(SOME)
    benchmark.pedantic(pyrec_topk, args=arrays(SOME), rounds=10, warmup_rounds=1)


@group(SOME)
def bench_torch_some_users(benchmark):
    assert answers_agree(SOME)
    benchmark.pedantic(torch_topk, args=arrays(SOME), rounds=3, warmup_rounds=1)


@group(ALL)
def bench_pyrec_all_users(benchmark):
    assert answers_agree(SOME)
    benchmark.pedantic(pyrec_topk, args=arrays(ALL), rounds=3)


@group(ALL)
def bench_torch_all_users(benchmark):
    assert answers_agree(SOME)
    benchmark.pedantic(torch_topk, args=arrays(ALL), rounds=1)
