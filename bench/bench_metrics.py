"""Ranking metrics of all gowalla users at three cut-offs, from lists of 20; and how often each item was listed.

Floor: the ids and the test items read once and 18 numbers a user written, some 8 MB: about 1 ms of memory
traffic. Above it is a binary search of some 3 to 5 steps for each of 600,000 ids. Ours computes six metrics; the
rivals the four that all define alike: precision, recall, ndcg, hit.
"""

import numpy as np
import pytest
import torch
from race import Race, row
from workloads import gowalla

from pyrec.ops.metrics import METRICS, item_counts, ranking_metrics
from pyrec.reference import metrics as reference

CUTOFFS = [5, 10, 20]
SHARED = [METRICS.index(name) for name in ("precision", "recall", "ndcg", "hit")]
TORCHMETRICS_USERS = 100


def arrays():
    """Lists of 20, about one id in eight a test item, and the test items as a CSR."""
    test = gowalla()[1]
    indptr, indices = torch.as_tensor(test.indptr), torch.as_tensor(test.items)
    generator = torch.Generator().manual_seed(0)
    order = torch.randint(
        test.num_items, (test.num_users, max(CUTOFFS)), generator=generator, dtype=torch.int32
    )
    ids = (order[:, :1] + 1009 * torch.arange(max(CUTOFFS), dtype=torch.int32)) % test.num_items  # distinct
    place = indptr[:-1, None] + torch.arange(0, max(CUTOFFS), 8)
    hits = torch.where(place < indptr[1:, None], indices[place.clamp(max=len(indices) - 1)], ids[:, ::8])
    clash = (hits[:, :, None] == ids[:, None, :]).any(2)
    ids[:, ::8] = torch.where(clash, ids[:, ::8], hits)
    return ids, indptr, indices


def pytrec_eval(problem):
    """trec_eval's C code, as ir-measures calls it; its dicts are made beforehand. Only users with test items."""
    library = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier is not installed")
    ids, indptr, indices = (array.numpy() for array in problem)
    users = np.flatnonzero(np.diff(indptr))
    names = {str(item): str(item) for item in range(int(max(ids.max(), indices.max())) + 1)}
    truth = {str(u): {names[str(i)]: 1 for i in indices[indptr[u] : indptr[u + 1]]} for u in users}
    found = {str(u): {names[str(i)]: -float(at) for at, i in enumerate(ids[u])} for u in users}
    cuts = ",".join(map(str, CUTOFFS))
    kinds = ("P", "recall", "ndcg_cut", "success")
    evaluator = library.RelevanceEvaluator(truth, {f"{kind}.{cuts}" for kind in kinds})
    columns = [f"{kind}_{cut}" for cut in CUTOFFS for kind in kinds]

    def run():
        values = evaluator.evaluate(found)
        table = np.full((len(ids), len(columns)), np.nan)
        table[users] = [[values[str(u)][column] for column in columns] for u in users]
        return torch.from_numpy(table).view(len(ids), len(CUTOFFS), len(kinds))

    return run


def torchmetrics(problem):
    """One user after the other, as its retrieval metrics do; the first users only, and scaled."""
    library = pytest.importorskip("torchmetrics.functional.retrieval", reason="torchmetrics is not installed")
    ids, indptr, indices = problem
    kinds = [
        library.retrieval_precision,
        library.retrieval_recall,
        library.retrieval_normalized_dcg,
        library.retrieval_hit_rate,
    ]

    def of(user):
        truth = indices[indptr[user] : indptr[user + 1]]
        if len(truth) == 0:
            return [[torch.nan] * len(kinds)] * len(CUTOFFS)
        missed = truth[~torch.isin(truth, ids[user])]
        target = torch.cat([torch.isin(ids[user], truth), torch.ones(len(missed), dtype=torch.bool)])
        scores = torch.arange(len(target), 0, -1, dtype=torch.float32)  # above 0, or they do not count
        return [[float(kind(scores, target, top_k=k)) for kind in kinds] for k in CUTOFFS]

    return lambda: torch.tensor([of(user) for user in range(TORCHMETRICS_USERS)], dtype=torch.float64)


def same_metrics(theirs, ours):
    expected = ours[: len(theirs), :, : theirs.shape[2]]
    if theirs.shape[2] == len(SHARED):
        expected = ours[: len(theirs)][:, :, SHARED]
    torch.testing.assert_close(theirs, expected, rtol=1e-5, atol=1e-6, equal_nan=True)


def metrics_race():
    num_users = gowalla()[0].num_users
    return Race(
        group="metrics, all users of gowalla, cut-offs 5, 10, 20",
        problem=arrays,
        contenders={
            "pyrec": lambda problem: lambda: ranking_metrics(*problem, CUTOFFS),
            "torch, vectorised": lambda problem: lambda: reference.ranking_metrics(*problem, CUTOFFS),
            "pytrec-eval": pytrec_eval,
            "torchmetrics": torchmetrics,
        },
        check=same_metrics,
        rounds=9,
        seconds=3.0,
        scale={"torchmetrics": num_users / TORCHMETRICS_USERS},
        quick=True,
        info={"work": "metrics", "users": num_users, "k": max(CUTOFFS)},
    )


def counts_race():
    num_items = gowalla()[0].num_items
    return Race(
        group="item counts, all users of gowalla",
        problem=lambda: arrays()[0],
        contenders={
            "pyrec": lambda ids: lambda: item_counts(ids, num_items, CUTOFFS),
            "torch": lambda ids: lambda: reference.item_counts(ids, num_items, CUTOFFS),
        },
        rounds=9,
        info={"work": "item counts", "k": max(CUTOFFS)},
    )


def races(scale_max):  # noqa: ARG001
    return [metrics_race(), counts_race()]


def bench_metrics(benchmark, race, contender):
    row(benchmark, race, contender)
