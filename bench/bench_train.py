"""One training step on gowalla: 3 layers, d 64, batch 2,048, BPR, the mean over the layers, Adam.

Floor: of the six products of a step, four are over all edges (415 MB gathered each), the last forward and the
first backward one over the edges of some 5,500 rows; Adam reads four tables of 18 MB and writes three.
"""

import pytest
import torch
from workloads import gowalla_graph

from pyrec.models.combine import make_combine
from pyrec.models.network import LightGCNNetwork
from pyrec.reference import train as reference
from pyrec.reference.propagate import normalised_adjacency
from pyrec.train import Settings, Trainer

GROUP = "training step, gowalla, 3 layers, d 64, batch 2,048"
DIM, N_LAYERS, BATCH, REG, RATE = 64, 3, 2048, 1e-4, 1e-3
SETTINGS = Settings(
    loss="bpr", batch_size=BATCH, learning_rate=RATE, reg=REG, temperature=0.2, num_negatives=None, seed=0
)


def make_trainer(combine: str = "mean") -> Trainer:
    graph = gowalla_graph()
    generator = torch.Generator().manual_seed(0)
    layers = make_combine(combine, N_LAYERS, DIM, generator=generator)
    network = LightGCNNetwork(graph.num_nodes, DIM, N_LAYERS, layers, generator)
    return Trainer(network, graph, SETTINGS)


@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize("combine", ["mean", "attention"])
def bench_pyrec(benchmark, combine):
    trainer = make_trainer(combine)
    starts = iter(range(0, trainer.sampler.num_samples, BATCH))
    benchmark.pedantic(
        lambda: trainer.step(trainer.batch(0, next(starts), BATCH)), rounds=20, warmup_rounds=3
    )


@pytest.mark.benchmark(group=GROUP)
def bench_lightgcn_pytorch(benchmark):
    trainer = make_trainer()
    first = trainer.batch(0, 0, BATCH)
    triples = tuple(ids.flatten().long() for ids in first.triples)
    table = trainer.network.embedding.detach().clone().requires_grad_()
    adjacency = normalised_adjacency(trainer.graph)
    optimizer = torch.optim.Adam([table], lr=RATE)
    problem = (table, adjacency, N_LAYERS)
    rest = (triples, trainer.graph.num_users, REG)
    theirs = float(reference.loss(*problem, reference.mean, *rest).detach())
    ours = trainer.loss(first, trainer.network(trainer.graph, first.rows)).item()
    assert ours == pytest.approx(theirs, rel=1e-5)
    benchmark.pedantic(reference.step, args=(optimizer, *problem, *rest), rounds=5, warmup_rounds=1)
