"""Training on gowalla and ml-100k: 3 layers, d 64, batch 2,048, BPR, Adam; a step, and an epoch.

Floor of a step on gowalla: of its six products, four are over all edges (415 MB gathered each), the last forward
and the first backward one over the edges of some 5,500 rows; Adam reads four tables of 18 MB and writes three.
An epoch is 396 steps and their samples; all are timed on a part of the steps and scaled, so that rounds
stay short enough to take turns.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from expert import ExpertTrainer
from expert import Sampler as NumpySampler
from race import Race, row
from workloads import gowalla, gowalla_graph, movielens_graph

from pyrec.nn.combine import Attention, Mean
from pyrec.nn.embedding_table import EmbeddingTable, first_embeddings
from pyrec.nn.network import Network
from pyrec.ops.sample import Sampler
from pyrec.reference import combine as reference_combine
from pyrec.reference import train as reference
from pyrec.reference.propagate import normalised_adjacency
from pyrec.reference.sample import uniform_users
from pyrec.train.batches import Batches
from pyrec.train.loss import BPR
from pyrec.train.negatives import Uniform
from pyrec.train.optimisation import Optimisation
from pyrec.train.trainer import Trainer

DIM, N_LAYERS, BATCH, REG, RATE = 64, 3, 2048, 1e-4, 1e-3
PART, SLOW_PART = 20, 4  # steps of an epoch that are timed
COMBINES = {"mean": Mean(), "attention": Attention(kl=0.0)}


def make_trainer(graph, combine="mean", precision="fp32", device="cpu"):
    generator = torch.Generator().manual_seed(0)
    layers = COMBINES[combine].make(N_LAYERS, DIM, generator)
    first = EmbeddingTable(first_embeddings(graph.num_nodes, DIM, generator))
    network = Network(first, layers, N_LAYERS, precision).to(device)
    graph = graph.to(device)
    batches = Batches(graph, Sampler(graph), Uniform(), BATCH, seed=0)
    return Trainer(network, batches, BPR(), Optimisation(RATE, reg=REG))


def problem(make_graph):
    """The graph, where training starts, and an epoch's batches of triples, which all train on in turn."""
    trainer = make_trainer(make_graph())
    triples = trainer.batches.sampler.sample(0, 0)
    users, positives, negatives = triples.users, triples.positives, triples.negatives.flatten()
    whole = torch.stack([users, positives, negatives]).long()
    table = trainer.network.first.embedding.detach().clone()
    return SimpleNamespace(graph=trainer.batches.graph, table=table, batches=whole.split(BATCH, 1)[:-1])


def turns(p):
    """The batches of a problem, over and over."""
    return (p.batches[at % len(p.batches)] for at in range(10**9))


def pyrec(p, combine="mean", precision="fp32"):
    """A batch is sampled within the step; the rivals' are ready."""
    trainer = make_trainer(p.graph, combine, precision)
    firsts = (BATCH * (at % len(p.batches)) for at in range(10**9))
    return lambda: trainer.step(trainer.batches.at(0, next(firsts))).item()


def expert(p):
    trainer, batches = ExpertTrainer(p.graph, p.table, N_LAYERS, REG, RATE), turns(p)
    return lambda: trainer.step(next(batches))


def lightgcn_pytorch(p):
    step, batches = lightgcn_pytorch_step(p), turns(p)
    return lambda: step(next(batches))


def lightgcn_pytorch_step(p):
    table = p.table.clone().requires_grad_()
    adjacency = normalised_adjacency(p.graph)
    optimizer = torch.optim.Adam([table], lr=RATE)
    rest = (p.graph.num_users, REG)
    return lambda triples: reference.step(optimizer, table, adjacency, N_LAYERS, triples.unbind(0), *rest)


def attention_in_torch(p):
    """LightGCN-PyTorch's way with the attention of plain torch in place of the mean."""
    network = make_trainer(
        p.graph, "attention"
    ).network  # its table is drawn after the attention's parameters
    table = network.first.embedding.detach().clone().requires_grad_()
    parameters = [network.combine.weight, network.combine.bias, network.combine.vector]
    optimizer = torch.optim.Adam([table, *parameters], lr=RATE)
    adjacency, batches = normalised_adjacency(p.graph), turns(p)

    def combine(layers):
        return reference_combine.combine_attention(layers, *parameters)[0]

    def run():
        optimizer.zero_grad()
        triples = next(batches).unbind(0)
        loss = reference.loss(table, adjacency, N_LAYERS, combine, triples, p.graph.num_users, REG)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def same_loss(theirs, ours):
    assert theirs == pytest.approx(ours, rel=2e-5)


def like_loss(theirs, ours):
    assert theirs == pytest.approx(ours, rel=1e-3)


def step_race(name, make_graph, contenders, combine="mean", check=same_loss, quick=False):
    return Race(
        group=f"training step, {combine}, {name}, {N_LAYERS} layers, d {DIM}, batch {BATCH:,}",
        problem=partial(problem, make_graph),
        contenders=contenders,
        check=check,
        proofs=4,
        rounds=20,
        quick=quick,
        info={"work": f"training step, {combine}", "data": name, "dim": DIM, "dtype": "float32"},
    )


# An epoch ----------------------------------------------------------------------------------------------


def pyrec_epoch(p):
    trainer = make_trainer(p.graph)

    def run():
        for at in range(PART):
            trainer.step(trainer.batches.at(0, BATCH * at))

    return run


def expert_epoch(p):
    trainer = ExpertTrainer(p.graph, p.table, N_LAYERS, REG, RATE)
    sampler = NumpySampler(gowalla()[0], seed=0)

    def run():
        for triples in sampler.epoch(PART * BATCH).split(BATCH, 1):
            trainer.step(triples)

    return run


def lightgcn_pytorch_epoch(p):
    step, train, rng = lightgcn_pytorch_step(p), gowalla()[0], np.random.default_rng(0)
    draws = SLOW_PART * BATCH

    def run():
        drawn = uniform_users(train.indptr, train.items, train.num_items, rng, draws)
        triples = torch.from_numpy(drawn.T.copy())
        for batch in triples.split(BATCH, 1):
            step(batch)

    return run


def epoch_race():
    steps = len(gowalla()[0]) / BATCH
    return Race(
        group=f"training epoch, mean, gowalla, {N_LAYERS} layers, d {DIM}, batch {BATCH:,}",
        problem=partial(problem, gowalla_graph),
        contenders={
            "pyrec": pyrec_epoch,
            "expert's torch": expert_epoch,
            "LightGCN-PyTorch's way": lightgcn_pytorch_epoch,
        },
        proofs=0,  # the steps are those compared above; the samples differ
        rounds=3,
        seconds=8.0,
        scale={
            "pyrec": steps / PART,
            "expert's torch": steps / PART,
            "LightGCN-PyTorch's way": steps / SLOW_PART,
        },
        info={"work": "training epoch", "dim": DIM, "dtype": "float32"},
    )


def races(scale_max):  # noqa: ARG001
    mean = {"pyrec": pyrec, "expert's torch": expert, "LightGCN-PyTorch's way": lightgcn_pytorch}
    attention = {"pyrec": partial(pyrec, combine="attention"), "LightGCN-PyTorch's way": attention_in_torch}
    half = {
        "pyrec, bf16 layers": partial(pyrec, precision="bf16"),
        "pyrec, fp32": pyrec,
        "expert's torch": expert,
        "LightGCN-PyTorch's way": lightgcn_pytorch,
    }
    cost = {"pyrec, attention": partial(pyrec, combine="attention"), "pyrec, mean": pyrec}
    return [
        step_race("gowalla", gowalla_graph, mean, quick=True),
        step_race("ml-100k", movielens_graph, mean),
        step_race("gowalla", gowalla_graph, half, "mean, bf16 layers", check=like_loss),
        step_race("gowalla", gowalla_graph, attention, "attention"),
        step_race("gowalla", gowalla_graph, cost, "attention against mean", check=None, quick=True),
        epoch_race(),
    ]


def bench_train(benchmark, race, contender):
    row(benchmark, race, contender)
