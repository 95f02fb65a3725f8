"""Six metrics of all gowalla users at three cut-offs, from lists of 20.

Floor: the ids and the test items read once and 18 numbers a user written, some 8 MB: about 1 ms of memory
traffic. Above it is a binary search of some 3 to 5 steps for each of 600,000 ids.
"""

from functools import cache

import pytest
import torch
from torch import Tensor
from workloads import GOWALLA_ITEMS, GOWALLA_USERS, gowalla

from pyrec.data import synthetic
from pyrec.ops.metrics import item_counts, ranking_metrics
from pyrec.reference import metrics as reference

CUTOFFS = [5, 10, 20]
METRICS_GROUP = "metrics, all users of gowalla"
COUNTS_GROUP = "item counts, all users of gowalla"


@cache
def arrays() -> tuple[Tensor, Tensor, Tensor]:
    """Lists of 20, about one id in eight a test item, and the test items as a CSR."""
    test = gowalla()[1] or synthetic(GOWALLA_USERS, GOWALLA_ITEMS, interactions_per_user=7.3, seed=1)
    indptr, indices = torch.as_tensor(test.indptr), torch.as_tensor(test.items)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(GOWALLA_ITEMS, (GOWALLA_USERS, max(CUTOFFS)), generator=generator, dtype=torch.int32)
    place = indptr[:-1, None] + torch.arange(0, max(CUTOFFS), 8)
    ids[:, ::8] = torch.where(
        place < indptr[1:, None], indices[place.clamp(max=len(indices) - 1)], ids[:, ::8]
    )
    return ids, indptr, indices


@cache
def answers_agree() -> bool:
    ours, expected = ranking_metrics(*arrays(), CUTOFFS), reference.ranking_metrics(*arrays(), CUTOFFS)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=0, equal_nan=True)
    counts = (arrays()[0], GOWALLA_ITEMS, CUTOFFS)
    return torch.equal(item_counts(*counts), reference.item_counts(*counts))


@pytest.mark.benchmark(group=METRICS_GROUP)
def bench_pyrec_metrics(benchmark):
    assert answers_agree()
    benchmark.pedantic(ranking_metrics, args=(*arrays(), CUTOFFS), rounds=10, warmup_rounds=1)


@pytest.mark.benchmark(group=METRICS_GROUP)
def bench_torch_metrics(benchmark):
    assert answers_agree()
    benchmark.pedantic(reference.ranking_metrics, args=(*arrays(), CUTOFFS), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group=COUNTS_GROUP)
def bench_pyrec_item_counts(benchmark):
    assert answers_agree()
    benchmark.pedantic(item_counts, args=(arrays()[0], GOWALLA_ITEMS, CUTOFFS), rounds=10, warmup_rounds=1)


@pytest.mark.benchmark(group=COUNTS_GROUP)
def bench_torch_item_counts(benchmark):
    assert answers_agree()
    arguments = (arrays()[0], GOWALLA_ITEMS, CUTOFFS)
    benchmark.pedantic(reference.item_counts, args=arguments, rounds=5, warmup_rounds=1)
