"""LightGCN whose users are made of their items, and training with a part of the edges left out."""

import numpy as np
import pytest
import torch
from networks import BATCH_SIZE, DIM, REFERENCES, SEED, make_network, make_trainer, make_users_from_items
from small_models import LEARNING
from strategies import random_graph
from torch.nn import functional

from pyrec.data import Ragged, split_random, synthetic
from pyrec.errors import ConfigError
from pyrec.evaluate import evaluate
from pyrec.models import LightGCN, Popularity
from pyrec.nn.encoder import FromItems
from pyrec.ops.dropout import DroppedGraph, mixed_seed
from pyrec.reference.propagate import normalised_adjacency
from pyrec.train.augment import Contrast, EdgeDropout
from pyrec.train.loss import Softmax
from pyrec.train.optimisation import Optimisation

SOFTMAX = Softmax(score="inner")
WITHOUT_PENALTY = Optimisation(1e-2)
OPTIONS = LEARNING | {"n_layers": 3, "encoder": "items"}


def cross_entropy(network, kind, graph, triples):
    """Cross-entropy over all items, in float64, from the formula."""
    adjacency = normalised_adjacency(graph, torch.float64)
    layers = [torch.cat([torch.zeros(graph.num_users, DIM), network.first.embedding[graph.num_users :]])]
    for _ in range(network.n_layers):
        layers.append(adjacency @ layers[-1])
    odd = layers[1::2]
    users = REFERENCES[kind](network.combine, odd, graph)[: graph.num_users]
    own, positives = (ids.flatten().long().cpu() for ids in (triples.users, triples.positives))
    return functional.cross_entropy(users[own] @ network.targets.T / SOFTMAX.temperature, positives)


@pytest.mark.parametrize("n_layers", [1, 3, 5])
@pytest.mark.parametrize("kind", list(REFERENCES))
def test_steps_equal_plain_torch_on_each_device(device, kind, n_layers):
    """Losses and parameters of some steps, to rounding, against autograd and torch.optim.Adam in float64."""
    graph = random_graph(60, 50, 0.15)
    network = make_users_from_items(graph, kind, n_layers).to(device.torch)
    trainer = make_trainer(network, device.put(graph), SOFTMAX, optimisation=WITHOUT_PENALTY)
    wide = make_users_from_items(graph, kind, n_layers).double()
    optimizer = torch.optim.Adam(wide.parameters(), lr=WITHOUT_PENALTY.learning_rate)
    for first in range(0, 5 * BATCH_SIZE, BATCH_SIZE):
        batch = trainer.batches.at(0, first)
        expected = cross_entropy(wide, kind, graph, batch.triples)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        assert trainer.step(batch).item() == pytest.approx(expected.item(), rel=1e-4)
    trainer.batches.graph.check()
    for (name, mine), theirs in zip(network.named_parameters(), wide.parameters(), strict=True):
        torch.testing.assert_close(mine.cpu().double(), theirs, rtol=1e-3, atol=1e-3, msg=name)
    assert not network.first.embedding[: graph.num_users].any()


@pytest.mark.parametrize("kind", list(REFERENCES))
def test_the_vectors_with_a_gradient_and_those_of_all_nodes_are_the_pooled_ones(kind):
    graph = random_graph(60, 50, 0.15)
    network = make_users_from_items(graph, kind, 3)
    rows = torch.tensor([3, 59, 60, 109])
    nodes = network.nodes(graph)
    nodes = nodes and nodes.at(rows)
    layers = [layer[rows] for layer in network.layers(graph)]
    pooled, _ = network.pool([layer.clone() for layer in layers], nodes, rows)
    torch.testing.assert_close(network.vectors(layers, nodes, rows).detach(), pooled)
    torch.testing.assert_close(network.all_nodes(graph)[rows], pooled, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("combine", ["mean", "attention"])
def test_a_new_user_with_a_known_users_items_has_its_vector(combine):
    train = synthetic(100, 80, interactions_per_user=10)
    model = LightGCN(**OPTIONS, combine=combine).fit(train)
    again = model._query_from_items(Ragged.from_csr(train.to_csr()[:20]))
    torch.testing.assert_close(again, model.user_vectors_[:20], rtol=1e-4, atol=1e-5)


def test_users_weigh_odd_layers_and_items_have_vectors_of_their_own():
    train = synthetic(100, 80, interactions_per_user=10)
    model = LightGCN(**OPTIONS).fit(train)
    expected = functional.normalize(model.network_.targets.detach(), dim=1)
    torch.testing.assert_close(model.item_vectors_, expected)
    weights = model.layer_weights_
    assert weights.shape == (180, 4)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    assert not weights[:100, ::2].any()
    assert (weights[100:, 0] == 1).all()


def test_the_first_vectors_can_be_spectral():
    train = synthetic(100, 80, interactions_per_user=10)
    normal, spectral = (
        LightGCN(**OPTIONS | {"encoder": FromItems(init)}, seed=1).fit(train)
        for init in ("normal", "spectral")
    )
    assert spectral.history_[0]["loss"] < normal.history_[0]["loss"]
    assert not spectral.network_.first.embedding[:100].any()


@pytest.mark.parametrize("combine", ["mean", "weighted", "attention", "self-attention"])
def test_a_saved_model_recommends_the_same(tmp_path, combine):
    train = synthetic(100, 80, interactions_per_user=10)
    model = LightGCN(**OPTIONS, combine=combine, augment=EdgeDropout(0.3)).fit(train)
    model.save(tmp_path / "model")
    again = LightGCN.load(tmp_path / "model")
    for mine, theirs in zip(
        model.recommend(train.user_ids, 5), again.recommend(train.user_ids, 5), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("first", [0, 64])
def test_a_step_with_dropout_is_one_on_the_dropped_graph(first):
    graph = random_graph(60, 50, 0.15)
    seed = mixed_seed(SEED, 0, first)
    found = []
    for of, augment in ((graph, [EdgeDropout(0.4)]), (DroppedGraph(graph, 0.4, seed), []), (graph, [])):
        network = make_network(graph, "mean", 2)
        trainer = make_trainer(network, of, augment=augment, sampled=graph)
        loss = trainer.step(trainer.batches.at(0, first)).item()
        found.append((loss, network.first.embedding.detach()))
    dropping, dropped, whole = found
    assert dropping[0] == dropped[0] != whole[0]
    assert torch.equal(dropping[1], dropped[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoder": "history"}, "encoder = 'history' must be one of 'table', 'items', or an"),
        ({"encoder": "items"}, "n_layers = 2 with encoder = 'items'"),
        ({"encoder": "items", "n_layers": 0}, "n_layers = 0 with encoder = 'items'"),
        (
            {"encoder": "items", "n_layers": 3, "augment": Contrast("noise")},
            r"augment = Contrast\(views='noise', .* compares views",
        ),
        ({"augment": EdgeDropout(1.0)}, "augment__share = 1.0 is a share of the edges; it must be below 1"),
        ({"augment": EdgeDropout(-0.1)}, "augment__share = -0.1 must be above 0"),
        ({"augment": EdgeDropout(float("nan"))}, "augment__share = nan"),
    ],
)
def test_what_does_not_go_together_is_an_error(arguments, message):
    with pytest.raises(ConfigError, match=message):
        LightGCN(**arguments).fit(synthetic(20, 20, 4, num_groups=2))


def test_users_are_found_by_their_items():
    train, test = split_random(synthetic(200, 150, interactions_per_user=20), 0.8, 0)
    model = LightGCN(**{**OPTIONS, "epochs": 30}, augment=EdgeDropout(0.5)).fit(train)
    recall, of_popular = (
        evaluate(of, test, 10, ["recall"]).metrics["recall@10"] for of in (model, Popularity().fit(train))
    )
    assert recall > 1.5 * of_popular
