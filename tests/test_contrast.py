"""The contrastive loss against autograd through plain torch, in float64."""

import pytest
import torch
from networks import BATCH_SIZE, N_LAYERS, OPTIMISATION, REFERENCES, REG, SEED, make_network, make_trainer
from small_models import LEARNING
from strategies import random_graph
from torch.nn import functional

from pyrec.data import split_random, synthetic
from pyrec.errors import ConfigError
from pyrec.evaluate import evaluate
from pyrec.models import MF, LightGCN, Popularity
from pyrec.ops.dropout import DroppedGraph, mixed_seed
from pyrec.ops.propagate import propagate_gradient
from pyrec.reference import train as reference_train
from pyrec.reference.propagate import normalised_adjacency
from pyrec.train.augment import Contrast
from pyrec.train.augment.contrast import EDGE_VIEWS, VIEWS, add_noise, info_nce

CONTRAST = Contrast(weight=0.7, temperature=0.3, rate=0.2)


def contrast_trainer(device, graph, combine, kind):
    network = make_network(graph, combine).to(device.torch)
    return make_trainer(network, device.put(graph), augment=[CONTRAST.replaced(views=kind)])


def view_layers(kind, wide, graph, batch, nodes):
    """Both views' layers at ``nodes``, from the definitions."""
    for view in range(2):
        if kind == "edges":
            dropped = DroppedGraph(graph, CONTRAST.rate, mixed_seed(SEED, batch.epoch, view, EDGE_VIEWS))
            adjacency = normalised_adjacency(dropped, torch.float64).to_dense()
        else:
            adjacency = normalised_adjacency(graph, torch.float64).to_dense()
        layers = [wide.first.embedding]
        for _ in range(N_LAYERS):
            layers.append(adjacency @ layers[-1])
        yield [layer[nodes] for layer in layers]


def with_noise(views, batch):
    device = batch.rows.device  # whose random numbers are its own
    generator = torch.Generator(device).manual_seed(mixed_seed(SEED, batch.epoch, batch.first))
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


@pytest.mark.parametrize("kind", VIEWS)
@pytest.mark.parametrize("combine", list(REFERENCES))
def test_loss_and_gradients(device, combine, kind):
    graph = random_graph(60, 50, 0.15)
    trainer = contrast_trainer(device, graph, combine, kind)
    batch = trainer.batches.at(2, BATCH_SIZE)
    with torch.no_grad():
        layers = trainer.network(trainer.batches.graph, batch.rows)
    grads = [torch.zeros_like(layer) for layer in layers]
    nodes = trainer.nodes and trainer.nodes.at(batch.rows)
    (contrast,) = trainer.auxiliaries
    loss, base = contrast.step(batch, layers, nodes, grads, None)
    assert (base is None) == (kind == "noise")
    ours = propagate_gradient(grads, trainer.batches.graph, batch.rows, base=base)
    trainer.batches.graph.check()

    wide = make_network(graph, combine).double()
    expected = contrastive_loss(kind, combine, wide, graph, batch)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    mine = [ours, *(parameter.grad for parameter in trainer.network.combine.parameters())]
    for one, parameter in zip(mine, wide.parameters(), strict=True):
        limit = 1e-5 * float(parameter.grad.abs().max())
        assert limit > 0
        torch.testing.assert_close(one.double().cpu(), parameter.grad, rtol=0, atol=limit)


@pytest.mark.parametrize("kind", VIEWS)
def test_steps_equal_plain_torch(device, kind):
    """Losses and parameters of some steps against autograd and torch.optim.Adam in float64."""
    graph = random_graph(60, 50, 0.15)
    trainer = contrast_trainer(device, graph, "attention", kind)
    wide = make_network(graph, "attention").double()
    optimizer = torch.optim.Adam(wide.parameters(), lr=OPTIMISATION.learning_rate)
    adjacency = normalised_adjacency(graph, torch.float64)
    for epoch in range(3):
        batch = trainer.batches.at(epoch, 0)
        triples = tuple(ids.flatten().long().cpu() for ids in batch.triples)
        expected = contrastive_loss(kind, "attention", wide, graph, batch) + reference_train.loss(
            wide.first.embedding,
            adjacency,
            N_LAYERS,
            lambda layers: REFERENCES["attention"](wide.combine, layers, graph),
            triples,
            graph.num_users,
            REG,
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
    trainer = make_trainer(make_network(graph, "mean"), graph, augment=[CONTRAST])
    (contrast,) = trainer.auxiliaries
    dropouts = []
    for epoch, first in [(0, 0), (0, 64), (1, 0)]:
        trainer.step(trainer.batches.at(epoch, first))
        dropouts.append([view.dropout for view in contrast._dropped])
    assert dropouts[0] == dropouts[1] != dropouts[2]
    assert dropouts[0][0] != dropouts[0][1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", VIEWS)
@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_it_learns(kind, loss, precision):
    train, test = split_random(synthetic(300, 200, interactions_per_user=12, num_groups=5))
    arguments = LEARNING | {"epochs": 25, "loss": loss, "precision": precision}
    model = LightGCN(**arguments, augment=Contrast(kind, weight=0.01)).fit(train)
    losses = [record["loss"] for record in model.history_]
    assert losses[-1] < losses[0]
    ours, popular = (evaluate(m, test, 20)["recall@20"] for m in (model, Popularity().fit(train)))
    assert ours > 1.2 * popular


@pytest.mark.parametrize(
    ("contrast", "message"),
    [
        (Contrast("nodes"), "augment__views = 'nodes' must be one of 'edges', 'noise'"),
        (Contrast("noise", weight=0.0), "augment__weight = 0.0 must be above 0"),
        (Contrast("noise", temperature=-1.0), "augment__temperature = -1.0 must be above 0"),
        (Contrast("noise", rate=0.0), "augment__rate = 0.0 must be above 0"),
        (Contrast("edges", rate=1.0), "augment__rate = 1.0 is a share of the edges"),
    ],
)
def test_bad_hyperparameters(contrast, message):
    with pytest.raises(ConfigError, match=message):
        LightGCN(**LEARNING, augment=contrast).fit(synthetic(30, 20))


def test_without_layers_there_is_nothing_to_perturb():
    with pytest.raises(
        ConfigError, match=r"augment = Contrast\(.*changes what is propagated, but n_layers = 0"
    ):
        LightGCN(**LEARNING, n_layers=0, combine="mean", augment="contrast").fit(synthetic(30, 20))
    assert "augment" not in MF().get_params()
