import copy

import numpy as np
import pytest
import torch
from networks import BATCH_SIZE, OPTIMISATION, SEED, make_network
from small_models import LEARNING
from strategies import random_graph
from torch.nn import functional

from pyrec.data import Dataset, Interactions, split_random, synthetic
from pyrec.errors import ConfigError, DataError
from pyrec.models import LightGCN
from pyrec.nn.combine import Attention, Mean, SelfAttention, Weighted
from pyrec.nn.fit import HeldOut
from pyrec.ops.sample import Sampler
from pyrec.train.batches import Batches
from pyrec.train.bilevel import LayerWeights, SecondBatches
from pyrec.train.loss import BPR, Pointwise
from pyrec.train.negatives import Uniform
from pyrec.train.pair_batches import PairBatches

OPTIONS = LEARNING | {"epochs": 10, "loss": "bpr"}


@pytest.fixture(scope="module")
def interactions():
    return synthetic(300, 200, interactions_per_user=12, num_groups=5)


RATE = OPTIMISATION.learning_rate * HeldOut().rate


def layer_weights(network, graph, held_out, batch_size=BATCH_SIZE):
    batches = Batches(graph, Sampler(held_out), Uniform(), batch_size, SEED)
    return LayerWeights(network, graph, batches, BPR(), RATE)


def bpr_by_hand(vectors, triples, num_users):
    users, items = vectors[:num_users], vectors[num_users:]
    own, positive, negative = (
        triples.users.long(),
        triples.positives.long(),
        triples.negatives.long().squeeze(1),
    )
    margin = (users[own] * (items[positive] - items[negative])).sum(1)
    return functional.softplus(-margin).mean()


@pytest.mark.parametrize("kind", ["weighted", "attention"])
def test_a_step_goes_down_the_held_out_pairs_loss_by_adam(kind):
    graph, held_out = random_graph(30, 20, 0.2), random_graph(30, 20, 0.1)
    network = make_network(graph, kind)
    (learned,) = network.combine.transferable()
    before = copy.deepcopy(network.state_dict())
    steps = layer_weights(network, graph, held_out)
    batch = steps._second.batches.at(0, 0)
    layers = network.layers(graph)
    vectors = network.combine([layer.detach() for layer in layers], network.nodes(graph))
    (gradient,) = torch.autograd.grad(bpr_by_hand(vectors, batch.triples, graph.num_users), learned)
    steps.after(batch)
    moved = learned.detach() - before[f"combine.{'logits' if kind == 'weighted' else 'prior'}"]
    # Adam's first step is its rate against the gradient's sign.
    expected = -RATE * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-9)
    for name, value in network.state_dict().items():
        if value.data_ptr() != learned.data_ptr():
            assert torch.equal(value, before[name]), name


def test_the_held_out_pairs_are_gone_through_epoch_by_epoch():
    graph, held_out = random_graph(30, 20, 0.2), random_graph(30, 20, 0.1)
    network = make_network(graph, "attention")
    steps = layer_weights(network, graph, held_out, batch_size=32)
    second = steps._second
    samples = second.batches.num_samples
    assert samples > 32
    for _ in range(-(-samples // 32)):
        assert second._epoch == 0
        steps.after(second.batches.at(0, 0))
    assert (second._epoch, second._first) == (1, 0)


@pytest.mark.parametrize("combine", [Weighted(), Attention()], ids=["weighted", "attention"])
def test_bpr_learns_weights_on_held_out_pairs_and_keeps_them(interactions, combine):
    model = LightGCN(**OPTIONS, combine=combine).fit(interactions)
    (learned,) = model.network_.combine.transferable()
    assert not learned.requires_grad
    assert learned.abs().max() > 0
    assert len(model.history_) == OPTIONS["epochs"]
    on_training_data = LightGCN(**OPTIONS, combine=combine.replaced(fit="train")).fit(interactions)
    weights = [np.atleast_2d(fitted.layer_weights_)[:, 0].mean() for fitted in (model, on_training_data)]
    assert weights[0] < weights[1]


def test_a_users_training_items_are_no_negatives_of_the_held_out_pairs(interactions, monkeypatch):
    drawn = []
    following = SecondBatches.next

    def watched(second):
        batch = following(second)
        users, negatives = batch.triples.users.tolist(), batch.triples.negatives.flatten().tolist()
        drawn.extend(zip(users, negatives, strict=True))
        return batch

    monkeypatch.setattr(SecondBatches, "next", watched)
    LightGCN(**OPTIONS, combine="weighted").fit(interactions)
    known = set(zip(interactions.users.tolist(), interactions.items.tolist(), strict=True))
    assert len(drawn) > 50
    assert not known & set(drawn)


def test_the_softmax_loss_learns_weights_with_the_embeddings(interactions):
    default, train = (
        LightGCN(**OPTIONS | {"loss": "softmax"}, combine=Attention(fit=fit)).fit(interactions)
        for fit in (None, "train")
    )
    assert torch.equal(default.user_vectors_, train.user_vectors_)
    assert default.network_.combine.vector.abs().max() > 0
    held_out = LightGCN(**OPTIONS | {"loss": "softmax"}, combine=Attention(fit="held-out")).fit(interactions)
    assert held_out.network_.combine.vector.abs().max() == 0


def test_validation_pairs_are_neither_learned_nor_weighed_on(interactions):
    train, validation = split_random(interactions, 0.8)
    model = LightGCN(**OPTIONS, combine="attention")
    with_validation = model.fit(train, validation=validation)
    without = LightGCN(**OPTIONS, combine="attention").fit(train)
    assert torch.equal(with_validation.network_.combine.prior, without.network_.combine.prior)


def uniform_pairs(interactions, seed=0):
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((interactions.num_users, interactions.num_items)) < 0.05)
    labels = (users % 5 == items % 5).astype(np.float32)
    ids = {"user_ids": interactions.user_ids, "item_ids": interactions.item_ids}
    return Interactions.from_arrays(
        interactions.user_ids[users], interactions.item_ids[items], labels=labels, **ids
    )


def test_a_step_goes_down_the_uniform_pairs_loss_by_adam(interactions):
    graph = random_graph(300, 200, 0.1)
    uniform = uniform_pairs(interactions)
    network = make_network(graph, "weighted")
    steps = LayerWeights(
        network, graph, PairBatches.of(uniform, uniform.labels, graph, 128, SEED), Pointwise(), RATE
    )
    (learned,) = network.combine.transferable()
    before = learned.detach().clone()
    batch = steps._second.batches.at(0, 0)
    assert batch.size == 128
    vectors = network.combine([layer.detach() for layer in network.layers(graph)], None)
    users, items = batch.triples.users.long(), batch.triples.positives.long()
    scores = (vectors[users] * vectors[300 + items]).sum(1)
    loss = functional.binary_cross_entropy_with_logits(scores, batch.label)
    (gradient,) = torch.autograd.grad(loss, learned)
    steps.after(batch)
    moved = learned.detach() - before
    torch.testing.assert_close(moved, -RATE * gradient / (gradient.abs() + 1e-8), rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("loss", ["bpr", "softmax", "pointwise"])
def test_weights_are_learned_on_uniform_pairs_and_kept(interactions, loss):
    uniform = uniform_pairs(interactions)
    combine = Attention(fit="uniform")
    model = LightGCN(**OPTIONS | {"epochs": 2, "loss": loss}, combine=combine)
    one, other = (
        model.clone().fit(interactions, uniform=uniform_pairs(interactions, seed)) for seed in (0, 1)
    )
    assert one.network_.combine.prior.abs().max() > 0
    assert not torch.equal(one.network_.combine.prior, other.network_.combine.prior)
    again = model.clone().fit(Dataset(interactions, uniform=uniform))
    assert torch.equal(one.user_vectors_, again.user_vectors_)
    with pytest.raises(
        DataError,
        match="combine__fit = 'uniform' learns from pairs that were shown at random, and there are none",
    ):
        model.clone().fit(interactions)


@pytest.mark.parametrize("kind", [Mean, SelfAttention])
def test_a_combine_without_such_parameters_has_no_choice(kind):
    with pytest.raises(TypeError, match="fit"):
        kind(fit="held-out")


def test_a_fit_that_there_is_not_is_refused(interactions):
    with pytest.raises(
        ConfigError, match=r"combine__fit = 'test' must be one of 'train', 'held-out', 'uniform', or an"
    ):
        LightGCN(combine=Weighted(fit="test")).fit(interactions)


@pytest.mark.parametrize("shape", [{"n_layers": 0}, {"n_layers": 1, "encoder": "items"}], ids=str)
def test_one_layer_has_no_weights_to_learn(interactions, shape):
    options = OPTIONS | shape
    with pytest.raises(
        ConfigError,
        match=r"combine = 'attention' has no weights to learn where n_layers = \d leaves one layer",
    ):
        LightGCN(**options, combine=Attention(fit="held-out")).fit(interactions)
    LightGCN(**options | {"epochs": 1}, combine="mean").fit(interactions)


@pytest.mark.parametrize(("share", "rate"), [(0.3, 0.1), (0.1, 1.0)])
def test_the_share_and_the_rate_are_those_that_are_given(interactions, share, rate):
    default, other = (
        LightGCN(**OPTIONS | {"epochs": 2}, combine=Weighted(fit=fit)).fit(interactions).layer_weights_
        for fit in (HeldOut(), HeldOut(share, rate))
    )
    assert not np.array_equal(default, other)


def test_the_same_bits_at_any_number_of_threads(interactions, threads):
    vectors = []
    for number in (1, 2, 3):
        threads(number)
        vectors.append(
            LightGCN(**OPTIONS | {"epochs": 3}, combine="attention").fit(interactions).user_vectors_
        )
    assert torch.equal(vectors[0], vectors[1])
    assert torch.equal(vectors[0], vectors[2])
