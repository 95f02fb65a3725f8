"""The kernels and the whole on a CUDA device, beside what torch has there; every call ends when the device has.

Floors on a card of bandwidth B: a layer of propagation 4 nnz + 8 N + 2 N d s bytes from memory, and nnz d s out of
the second-level cache where a half-table fits (gowalla's do: 7.6 and 10.5 MB), else from memory too; a copy of the
streamed bytes is measured as well. Combine: 252 MB forward and backward at four layers of 70,839 x 64. Top-K: 2 users
items d operations.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from bench_combine import SHAPES, both_ways, compiled, forward, same
from bench_combine import problem as combine_problem
from bench_news import model as news_model
from bench_train import BATCH, DIM, N_LAYERS, RATE, REG
from bench_train import make_trainer as make_trainer_on
from expert_gpu import ExpertSteps
from news_shapes import mind_shaped
from race import Race, row
from searches import Problem
from torch.nn import functional
from workloads import embeddings, gowalla, gowalla_graph, power_law_graph

from pyrec.ops import combine
from pyrec.ops.metrics import ranking_metrics
from pyrec.ops.propagate import propagate
from pyrec.ops.topk import topk
from pyrec.reference import combine as reference_combine
from pyrec.reference import train as reference
from pyrec.reference.propagate import normalised_adjacency
from pyrec.train.recorded import CudaRecorder

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")

DEVICE = torch.device("cuda")
K, USERS_OF_A_BATCH = 20, 2_048
NEWS_BATCH = 512
STEPS = 32
"""Training steps of a call; results are for one."""
CALLS = 10
"""Calls of a recording; results are for one."""

large_graph = cache(power_law_graph)


def on_device(make):
    """A contender whose calls end when the device has ended."""

    def prepare(problem):
        call = make(problem)

        def run():
            answer = call()
            torch.cuda.synchronize()
            return answer

        return run

    return prepare


def recorded(make):
    """A contender that makes its call CALLS times in a CUDA graph: the device's time, not the host's."""

    def prepare(problem):
        call, recorder, answers = make(problem), CudaRecorder(DEVICE), {}

        def work():
            for _ in range(CALLS):
                answers["last"] = call()

        recorder.run(work)
        replay = recorder.record(work)

        def run():
            replay()
            return answers["last"]

        run.reads = call  # a recording does not hold what it reads
        return run

    return prepare


def race(group, problem, contenders, **options):
    info = {"work": f"cuda: {group}", **options.pop("info", {})}
    ready = {name: on_device(make) for name, make in contenders.items()}
    return Race(group=f"cuda: {group}", problem=problem, contenders=ready, info=info, **options)


# Propagate ------------------------------------------------------------------------------------------------


def layer_problem(make_graph, dtype):
    graph = make_graph()
    return graph, embeddings(graph.num_nodes, DIM).to(DEVICE, dtype)


def pyrec_layer(problem):
    graph, x = problem
    there, wide = graph.to(DEVICE), x.float()
    precision = "bf16" if x.dtype == torch.bfloat16 else "fp32"
    n_layers = 2 if precision == "bf16" else 1  # of two layers both gather bf16 rows
    return lambda: propagate(wide, there, n_layers, precision=precision)[-1]


def cusparse_layer(problem, layers=1):
    graph, x = problem
    matrix = normalised_adjacency(graph, x.dtype, torch.sparse_csr).to(DEVICE)

    def run():
        out = x
        for _ in range(layers):
            out = torch.sparse.mm(matrix, out)
        return out.float()

    return run


def bag_layer(problem):
    """Torch's own sum of rows without values, between two scalings."""
    graph, x = problem
    scale, indptr, indices = (
        part.to(DEVICE) for part in (bag_scale(graph), graph.indptr, graph.indices.long())
    )

    def run():
        total = functional.embedding_bag(indices, x * scale, indptr, mode="sum", include_last_offset=True)
        return total.mul_(scale)

    return run


def fbgemm_layer(problem):
    """The same sum by FBGEMM's kernel of embedding tables, whose one table is x scaled."""
    reason = "fbgemm_gpu is not installed"
    tables = pytest.importorskip("fbgemm_gpu.split_table_batched_embeddings_ops_training", reason=reason)
    common = pytest.importorskip("fbgemm_gpu.split_table_batched_embeddings_ops_common", reason=reason)
    graph, x = problem
    place = (common.EmbeddingLocation.DEVICE, tables.ComputeDevice.CUDA)
    table = tables.SplitTableBatchedEmbeddingBagsCodegen(
        [(*x.shape, *place)], pooling_mode=common.PoolingMode.SUM
    )
    (rows,) = table.split_embedding_weights()
    scale, indptr, indices = (
        part.to(DEVICE) for part in (bag_scale(graph), graph.indptr, graph.indices.long())
    )

    def run():
        with torch.no_grad():
            torch.mul(x, scale, out=rows)
            return table(indices, indptr).mul_(scale)

    return run


def bag_scale(graph):
    """D^-1/2, (num_nodes, 1)."""
    degree = graph.degree.double()
    return torch.where(degree > 0, degree.rsqrt(), 0.0).float()[:, None]


def copy_of_the_streamed(problem):
    """A copy that reads and writes as many bytes as a layer streams: the card's bandwidth, measured beside it."""
    graph, x = problem
    streamed = 4 * graph.num_edges + 8 * graph.num_nodes + 2 * x.nbytes
    source = torch.zeros(streamed // 2, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def half(theirs, ours):
    torch.testing.assert_close(theirs, ours, rtol=2**-6, atol=1e-3)


def recorded_race(group, problem, contenders, **options):
    scale = dict.fromkeys(contenders, 1 / CALLS)
    ready = {name: recorded(make) for name, make in contenders.items()}
    return race(group, problem, ready, scale=scale, **options)


def layer_races(scale_max):
    graphs = {"gowalla": gowalla_graph} | {
        f"{edges:.0e} edges": partial(large_graph, edges) for edges in (10**8,) if edges <= scale_max
    }
    for name, make in graphs.items():
        problem = partial(layer_problem, make, torch.float32)
        contenders = {"pyrec": pyrec_layer, "torch.sparse.mm CSR": cusparse_layer}
        bags = {"embedding_bag": bag_layer, "FBGEMM": fbgemm_layer}  # FBGEMM's call is not for a recording
        yield recorded_race(f"propagate, one layer, {name}, d {DIM}, fp32", problem, contenders)
        yield race(
            f"propagate, a single call of one layer, {name}, d {DIM}, fp32", problem, contenders | bags
        )
        yield recorded_race(
            f"copy of the bytes that this layer streams, {name}", problem, {"torch": copy_of_the_streamed}
        )
        yield recorded_race(
            f"propagate, two layers, {name}, d {DIM}, bf16",
            partial(layer_problem, make, torch.bfloat16),
            {"pyrec": pyrec_layer, "torch.sparse.mm CSR": partial(cusparse_layer, layers=2)},
            check=half,
        )


# Combine --------------------------------------------------------------------------------------------------


def combine_there(kind):
    layers, parameters, grad = combine_problem(kind)
    there = [[x.detach().to(DEVICE).requires_grad_() for x in part] for part in (layers, parameters)]
    return (*there, grad.to(DEVICE))


def pyrec_combine(kind):
    return both_ways(partial(forward, kind, combine))


def combine_race(kind):
    return race(
        f"combine {kind}, forward and backward, 4 layers of gowalla, fp32",
        partial(combine_there, kind),
        {
            "pyrec": pyrec_combine(kind),
            "torch.compile": compiled(kind),
            "torch": both_ways(partial(forward, kind, reference_combine)),
        },
        check=same,
    )


# Top-K and metrics ------------------------------------------------------------------------------------------


def lists_problem(users=None):
    """Of the first ``users``, or of all."""
    train, test = gowalla()
    vectors = embeddings(train.num_users + train.num_items, DIM)
    count = train.num_users if users is None else users
    arrays = (vectors[:count], vectors[train.num_users :])
    rows = [(part.indptr[: count + 1], part.items[: part.indptr[count]]) for part in (train, test)]
    seen, relevant = (tuple(torch.from_numpy(array).to(DEVICE) for array in part) for part in rows)
    return Problem(*(array.contiguous().to(DEVICE) for array in arrays), *seen, K), relevant


def pyrec_lists(problem):
    p, relevant = problem

    def run():
        ids, _ = topk(p.queries, p.items, p.k, seen_indptr=p.indptr, seen_indices=p.seen)
        return ranking_metrics(ids, *relevant, [K]).nanmean(0)

    return run


def torch_lists(problem):
    """Product, mask and torch.topk by batches; precision, recall and ndcg of its lists by a mask of hits."""
    p, relevant = problem
    seen = p.seen.long()

    def run():
        lists = []
        for start in range(0, len(p.queries), USERS_OF_A_BATCH):
            rows = p.indptr[start : start + USERS_OF_A_BATCH + 1]
            scores = p.queries[start : start + USERS_OF_A_BATCH] @ p.items.T
            users = torch.repeat_interleave(torch.arange(len(scores), device=DEVICE), rows.diff())
            scores[users, seen[rows[0] : rows[-1]]] = -torch.inf
            lists.append(scores.topk(p.k).indices)
        return ranking_metrics(torch.cat(lists).int(), *relevant, [K]).nanmean(0)

    return run


def lists_races():
    contenders = {"pyrec": pyrec_lists, "torch": torch_lists}
    yield race("topk and metrics, all users of gowalla, K 20", lists_problem, contenders)
    some = partial(lists_problem, USERS_OF_A_BATCH)
    yield race("topk and metrics, 2,048 users of gowalla, K 20", some, contenders)


# Training ---------------------------------------------------------------------------------------------------


def training_problem():
    graph = gowalla_graph()
    trainer = make_trainer(graph)
    triples = trainer.batches.sampler.sample(0, 0)
    whole = torch.stack([triples.users, triples.positives, triples.negatives.flatten()]).long()
    return graph, trainer.network.first.embedding.detach().clone(), whole.split(BATCH, 1)[:-1]


def make_trainer(graph, combine_kind="mean", precision="fp32"):
    return make_trainer_on(graph, combine_kind, precision, DEVICE)


def train_a_part(trainer):
    """Steps by the recording that `Trainer.epoch` uses; their mean loss."""
    samples = STEPS * BATCH
    return trainer.replayed.run(0, samples, BATCH, trainer.step_at).item() / samples


def one_by_one(problem):
    trainer = make_trainer(problem[0])

    def run():
        losses = [trainer.step(trainer.batches.at(0, first)) for first in range(0, STEPS * BATCH, BATCH)]
        return torch.stack(losses).mean().item()

    return run


def pyrec_step(problem, **options):
    trainer = make_trainer(problem[0], **options)
    return lambda: train_a_part(trainer)


def lightgcn_pytorch_step(problem):
    graph, table, batches = problem
    leaf = table.clone().requires_grad_()
    adjacency = normalised_adjacency(graph).to(DEVICE)
    optimizer = torch.optim.Adam([leaf], lr=RATE)

    def step(batch):
        return reference.step(optimizer, leaf, adjacency, N_LAYERS, batch.unbind(0), graph.num_users, REG)

    return lambda: sum(step(batch) for batch in batches[:STEPS]) / STEPS


def like_loss(theirs, ours):
    assert theirs == pytest.approx(ours, rel=1e-2)


def expert_step(problem):
    graph, table, batches = problem
    steps = ExpertSteps(graph, table, N_LAYERS, REG, RATE, BATCH)
    return lambda: steps.mean_loss(batches[:STEPS])


def training_race(name, problem, contenders):
    scale = dict.fromkeys(contenders, 1 / STEPS)
    return race(f"training step, {name}", problem, contenders, check=like_loss, scale=scale)


def training_races():
    ours = {"pyrec": pyrec_step}
    others = {"expert's torch": expert_step, "LightGCN-PyTorch's way": lightgcn_pytorch_step}
    bf16 = {"pyrec, bf16": partial(pyrec_step, precision="bf16")}
    attention = {"pyrec, attention": partial(pyrec_step, combine_kind="attention")}
    yield training_race("mean, gowalla", training_problem, ours | others)
    yield training_race(
        "mean, gowalla, recorded or not", training_problem, ours | {"step by step": one_by_one}
    )
    yield training_race("mean, bf16 layers, gowalla", training_problem, bf16 | ours | others)
    yield training_race("attention, gowalla", training_problem, attention | ours)


def large_epoch_step(problem):
    trainer = make_trainer(problem)
    return lambda: train_a_part(trainer)


def news_trainer():
    given = news_model(NEWS_BATCH)
    return given._begin(given._prepare(mind_shaped(20_000), DEVICE), None, None)


def news_steps(make, recorded=True):
    """The first steps of an epoch, the batches' making on the CPU included; their mean loss."""
    trainer = make()
    if not recorded:
        trainer.replayed = None

    def run():
        trainer.rewind()
        trainer.begin(0)
        left = iter(range(STEPS))
        return trainer.run(0, lambda: next(left, None) is None).item() / trainer.taken

    return run


def news_race():
    contenders = {"pyrec": news_steps, "step by step": partial(news_steps, recorded=False)}
    return training_race(f"NRMS, MIND-small's shape, batch {NEWS_BATCH}", lambda: news_trainer, contenders)


def races(scale_max):
    found = [
        *layer_races(scale_max),
        *(combine_race(kind) for kind in SHAPES),
        *lists_races(),
        *training_races(),
        news_race(),
        training_race("10^8 edges", partial(large_graph, 10**8), {"pyrec": large_epoch_step}),
    ]
    return [replace(one, quick=True) for one in found if scale_max >= 10**8 or "10^8" not in one.group]


def bench_gpu(benchmark, race, contender):
    row(benchmark, race, contender)
