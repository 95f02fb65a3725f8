"""The contrastive loss against autograd through plain torch, in float64."""

from dataclasses import replace

import pytest
import torch
from networks import N_LAYERS, REFERENCES, SETTINGS, make_network
from small_models import LEARNING
from strategies import random_graph
from torch.nn import functional

from pyrec.data import split_random, synthetic
from pyrec.errors import ConfigError
from pyrec.evaluate import evaluate
from pyrec.models import MF, LightGCN, Popularity
from pyrec.ops.dropout import DroppedGraph
from pyrec.ops.propagate import propagate_gradient
from pyrec.reference import train as reference_train
from pyrec.reference.propagate import normalised_adjacency
from pyrec.train.contrast import EDGE_VIEWS, add_noise, info_nce, mixed_seed
from pyrec.train.settings import CONTRASTS, ContrastSettings
from pyrec.train.trainer import Trainer

CONTRAST = ContrastSettings(kind="noise", weight=0.7, temperature=0.3, rate=0.2, seed=11)


def make_trainer(device, graph, combine, kind):
    settings = replace(SETTINGS, contrast=replace(CONTRAST, kind=kind))
    return Trainer(make_network(graph, combine).to(device.torch), device.put(graph), settings)


def view_layers(kind, wide, graph, batch, nodes):
    """Both views' layers at ``nodes``, from the definitions."""
    for view in range(2):
        if kind == "edges":
            dropped = DroppedGraph(
                graph, CONTRAST.rate, mixed_seed(CONTRAST.seed, batch.epoch, view, EDGE_VIEWS)
            )
            adjacency = normalised_adjacency(dropped, torch.float64).to_dense()
        else:
            adjacency = normalised_adjacency(graph, torch.float64).to_dense()
        layers = [wide.embedding]
        for _ in range(N_LAYERS):
            layers.append(adjacency @ layers[-1])
        yield [layer[nodes] for layer in layers]


def with_noise(views, batch):
    device = batch.rows.device  # whose random numbers are its own
    generator = torch.Generator(device).manual_seed(mixed_seed(CONTRAST.seed, batch.epoch, batch.first))
    for layers in views:
        for k in range(1, len(layers)):
            noise = torch.rand(layers[k].shape, generator=generator, device=device).cpu().double()
            length = noise.norm(dim=1, keepdim=True)
            layers[k] = layers[k] + CONTRAST.rate * layers[k].sign() * noise / length
        yield layers


def contrastive_loss(kind, combine, wide, graph, batch):
    users = torch.unique(batch.triples.users).long().cpu()
    items = torch.unique(batch.triples.positives).long().cpu() + graph.num_users
    # In the order of the batch's rows, for the noise is drawn row by row.
    nodes = batch.rows[: len(users) + len(items)].cpu()
    assert torch.equal(nodes.sort().values, torch.cat([users, items]))
    views = view_layers(kind, wide, graph, batch, nodes)
    views = with_noise(views, batch) if kind == "noise" else views
    one, other = (REFERENCES[combine](wide.combine, layers, graph, nodes) for layers in views)
    total = 0
    for side in (slice(0, len(users)), slice(len(users), None)):
        cosines = functional.cosine_similarity(one[side, None], other[None, side], dim=2)
        total = total + functional.cross_entropy(cosines / CONTRAST.temperature, torch.arange(len(cosines)))
    return CONTRAST.weight * total


@pytest.mark.parametrize("kind", CONTRASTS)
@pytest.mark.parametrize("combine", list(REFERENCES))
def test_loss_and_gradients(device, combine, kind):
    graph = random_graph(60, 50, 0.15)
    trainer = make_trainer(device, graph, combine, kind)
    batch = trainer.batches.at(2, 64, 64)
    with torch.no_grad():
        layers = trainer.network(trainer.graph, batch.rows)
    grads = [torch.zeros_like(layer) for layer in layers]
    nodes = trainer.nodes and trainer.nodes.at(batch.rows)
    loss, base = trainer.contrast.step(batch, layers, nodes, grads)
    assert (base is None) == (kind == "noise")
    ours = propagate_gradient(grads, trainer.graph, batch.rows, base=base)
    trainer.graph.check()

    wide = make_network(graph, combine).double()
    expected = contrastive_loss(kind, combine, wide, graph, batch)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    mine = [ours, *(parameter.grad for parameter in trainer.network.combine.parameters())]
    for one, parameter in zip(mine, wide.parameters(), strict=True):
        limit = 1e-5 * float(parameter.grad.abs().max())
        assert limit > 0
        torch.testing.assert_close(one.double().cpu(), parameter.grad, rtol=0, atol=limit)


@pytest.mark.parametrize("kind", CONTRASTS)
def test_steps_equal_plain_torch(device, kind):
    """Losses and parameters of some steps against autograd and torch.optim.Adam in float64."""
    graph = random_graph(60, 50, 0.15)
    trainer = make_trainer(device, graph, "attention", kind)
    wide = make_network(graph, "attention").double()
    optimizer = torch.optim.Adam(wide.parameters(), lr=SETTINGS.learning_rate)
    adjacency = normalised_adjacency(graph, torch.float64)
    for epoch in range(3):
        batch = trainer.batches.at(epoch, 0, 64)
        triples = tuple(ids.flatten().long().cpu() for ids in batch.triples)
        expected = contrastive_loss(kind, "attention", wide, graph, batch) + reference_train.loss(
            wide.embedding,
            adjacency,
            N_LAYERS,
            lambda layers: REFERENCES["attention"](wide.combine, layers, graph),
            triples,
            graph.num_users,
            SETTINGS.reg,
        )
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        assert trainer.step(batch).item() == pytest.approx(expected.item(), rel=1e-4)
    for mine, theirs in zip(trainer.network.parameters(), wide.parameters(), strict=True):
        torch.testing.assert_close(mine.cpu().double(), theirs, rtol=1e-3, atol=1e-3)


def test_views_of_equal_vectors_are_told_apart_by_the_others_alone():
    vectors = functional.normalize(torch.randn(5, 8), dim=1)
    assert info_nce(vectors[:1], 3 * vectors[:1], 0.2).item() == pytest.approx(0, abs=1e-6)
    same = vectors[:1].expand(5, -1)
    assert info_nce(same, same, 0.2).item() == pytest.approx(torch.tensor(5.0).log().item(), rel=1e-5)


def test_noise_has_its_length_and_stays_in_the_orthant():
    x = torch.randn(200, 16)
    x[3, 5] = 0
    noise = add_noise(x, 0.25, torch.Generator().manual_seed(1)) - x
    assert ((noise * x) >= 0).all()
    assert noise[3, 5] == 0
    lengths = noise.norm(dim=1)
    torch.testing.assert_close(lengths[4:], torch.full((196,), 0.25), rtol=1e-5, atol=1e-5)
    assert torch.equal(add_noise(x, 0.25, torch.Generator().manual_seed(1)) - x, noise)


def test_seeds_differ():
    seeds = {
        mixed_seed(*numbers) for numbers in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (2**63 - 1, 9, 9)]
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_dropped_edges_stay_for_an_epoch():
    graph = random_graph(60, 50, 0.15)
    trainer = Trainer(
        make_network(graph, "mean"), graph, replace(SETTINGS, contrast=replace(CONTRAST, kind="edges"))
    )
    dropouts = []
    for epoch, first in [(0, 0), (0, 64), (1, 0)]:
        trainer.step(trainer.batches.at(epoch, first, 64))
        dropouts.append([view.dropout for view in trainer.contrast._dropped])
    assert dropouts[0] == dropouts[1] != dropouts[2]
    assert dropouts[0][0] != dropouts[0][1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", CONTRASTS)
@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_it_learns(kind, loss, precision):
    train, test = split_random(synthetic(300, 200, interactions_per_user=12, num_groups=5))
    arguments = LEARNING | {"epochs": 25, "loss": loss, "precision": precision}
    model = LightGCN(**arguments, contrast=kind, contrast_weight=0.01).fit(train)
    losses = [record["loss"] for record in model.history_]
    assert losses[-1] < losses[0]
    ours, popular = (evaluate(m, test, 20)["recall@20"] for m in (model, Popularity().fit(train)))
    assert ours > 1.2 * popular


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"contrast": "nodes"}, "contrast = 'nodes' must be one of None, 'edges', 'noise'"),
        ({"contrast": "noise", "contrast_weight": 0.0}, "contrast_weight = 0.0 must be above 0"),
        ({"contrast": "noise", "contrast_temperature": -1.0}, "contrast_temperature = -1.0 must be above 0"),
        ({"contrast": "noise", "contrast_rate": 0.0}, "contrast_rate = 0.0 must be above 0"),
        ({"contrast": "edges", "contrast_rate": 1.0}, "contrast_rate = 1.0 is a share of the edges"),
        ({"contrast": "edges", "n_layers": 0}, "contrast = 'edges' perturbs layers, but n_layers = 0"),
    ],
)
def test_bad_hyperparameters(arguments, message):
    with pytest.raises(ConfigError, match=message):
        LightGCN(**LEARNING, **arguments).fit(synthetic(30, 20))
    assert "contrast" not in MF().get_params()
