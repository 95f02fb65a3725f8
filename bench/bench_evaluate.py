"""Evaluating LightGCN on all test users of gowalla, end to end: propagation, lists of 20, metrics at 5, 10 and 20.

Floor: 3 products (415 MB gathered each, some 15 ms), the scores (bench_topk.py: 0.66 s in full, 0.17 s by codes), and
8 MB of lists and test items: the scores are nine tenths of it or more. LightGCN-PyTorch propagates the graph again for
every 100 users: a few such batches are timed and scaled to all users. All exclude the training items.
"""

from types import SimpleNamespace

import numpy as np
import torch
from expert import ExpertTrainer
from race import Race, row
from searches import Problem, torch_batches
from workloads import gowalla, gowalla_graph

from pyrec import LightGCN, evaluate
from pyrec.ops.metrics import METRICS
from pyrec.reference import metrics as reference_metrics
from pyrec.reference.propagate import normalised_adjacency
from pyrec.reference.propagate import propagate as reference_propagate

N_LAYERS, DIM, CUTOFFS = 3, 64, [5, 10, 20]
K = max(CUTOFFS)
THEIR_BATCH, THEIR_BATCHES = 100, 2


def problem():
    """A model after one step on all interactions, the data, and the users that have test items."""
    train, test = gowalla()
    model = LightGCN(DIM, N_LAYERS, "mean", loss="bpr", epochs=1, batch_size=1 << 20).fit(train)
    users = np.flatnonzero(np.diff(test.indptr))
    table = model.network_.first.embedding.detach()
    return SimpleNamespace(model=model, train=train, test=test, users=users, table=table)


def pyrec(p):
    """Recall@20 of each test user; all ten metrics are computed."""
    graph = gowalla_graph()

    def run():
        p.model.network_.all_nodes(graph)
        found = evaluate(p.model, p.test, k=CUTOFFS)
        return torch.from_numpy(found.per_user[f"recall@{K}"])

    return run


def batched_torch(p):
    """The expert's propagation, then 1,024 users at a time by torch; six metrics."""
    graph = gowalla_graph()
    trainer = ExpertTrainer(graph, p.table, N_LAYERS, 0.0, 1e-3)
    indptr, items = torch.as_tensor(p.train.indptr), torch.as_tensor(p.train.items)
    test_indptr, test_items = torch.as_tensor(p.test.indptr), torch.as_tensor(p.test.items)

    def run():
        users, of_items = trainer.vectors().split([graph.num_users, graph.num_items])
        ids = torch_batches(Problem(users, of_items, indptr, items, K))()[0].int()
        table = reference_metrics.ranking_metrics(ids, test_indptr, test_items, CUTOFFS)
        return table[p.users][:, -1, METRICS.index("recall")]

    return run


def lightgcn_pytorch(p):
    """For each 100 users: propagation, sigmoid of the scores, mask, topk; then three metrics in Python."""
    adjacency = normalised_adjacency(gowalla_graph())
    rows = np.split(p.train.items, p.train.indptr[1:-1])
    truth = np.split(p.test.items, p.test.indptr[1:-1])

    @torch.no_grad()
    def ratings(batch):
        vectors = torch.stack(reference_propagate(p.table, adjacency, N_LAYERS), dim=1).mean(dim=1)
        users, items = vectors.split([p.train.num_users, p.train.num_items])
        return torch.sigmoid(users[torch.from_numpy(batch)] @ items.T)

    def run():
        recalls = []
        for first in range(0, THEIR_BATCH * THEIR_BATCHES, THEIR_BATCH):
            batch = p.users[first : first + THEIR_BATCH]
            scores = ratings(batch)
            for at, user in enumerate(batch):
                scores[at, torch.from_numpy(rows[user]).long()] = -(1 << 10)
            ids = torch.topk(scores, K).indices.numpy()
            hits = np.array(
                [[item in set(truth[u]) for item in row] for u, row in zip(batch, ids, strict=True)]
            )
            recalls.append(_metrics(hits, [len(truth[u]) for u in batch]))
        return torch.from_numpy(np.concatenate(recalls))

    return run


def _metrics(hits, num_test):
    """Precision, recall and ndcg at each cut-off, of which recall at the last is returned, (users,)."""
    num_test = np.array(num_test)
    for k in CUTOFFS:
        found = hits[:, :k].sum(1)
        recall, _ = found / num_test, found.mean() / k
        discount = 1 / np.log2(np.arange(2, k + 2))
        ideal = (np.arange(k) < num_test[:, None]) @ discount
        _ = (hits[:, :k] @ discount) / ideal
    return recall


def same_recall(theirs, ours):
    """But for items whose scores are equal within rounding."""
    ours = ours[: len(theirs)]
    share = float(((theirs - ours).abs() < 1e-9).double().mean())
    assert share > 0.98, f"recall agrees for only {share:.2%} of the users"
    torch.testing.assert_close(theirs.mean(), ours.mean(), rtol=0.02, atol=1e-3)


def races(scale_max):  # noqa: ARG001
    num_users = int((np.diff(gowalla()[1].indptr) > 0).sum())
    evaluation = Race(
        group=f"evaluation, all {num_users:,} test users of gowalla, {N_LAYERS} layers, d {DIM}, K {K}",
        problem=problem,
        contenders={
            "pyrec": pyrec,
            "batched torch": batched_torch,
            "LightGCN-PyTorch's way": lightgcn_pytorch,
        },
        check=same_recall,
        rounds=5,
        seconds=6.0,
        scale={"LightGCN-PyTorch's way": num_users / (THEIR_BATCH * THEIR_BATCHES)},
        quick=True,
        info={"work": "evaluation", "users": num_users, "dim": DIM, "k": K, "dtype": "float32"},
    )
    return [evaluation]


def bench_evaluate(benchmark, race, contender):
    row(benchmark, race, contender)
