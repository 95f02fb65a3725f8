"""Weights of samples that are learned on a second data set, through what the trainer calls around its steps."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import BATCH_SIZE, OPTIMISATION, make_batches, make_network
from torch import Tensor, nn
from torch.nn import functional

from pyrec.data import Interactions
from pyrec.errors import DataError, StoppedError
from pyrec.graph import Graph
from pyrec.nn.network import Network
from pyrec.ops.sample import Sampler
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays
from pyrec.train.batch import Batch
from pyrec.train.batches import Batches
from pyrec.train.bilevel import Bilevel, SecondBatches
from pyrec.train.loss import BPR, Loss
from pyrec.train.optimisation import Optimisation
from pyrec.train.trainer import Trainer

USERS, ITEMS, LEAST, RATE, EPOCHS = 60, 40, 0.05, 1e5, 25


class SampleWeights(Bilevel):
    """A weight of each interaction, which falls where a step on it raises the loss of the second data set.

    With θ' = θ - η Σ_s w_s ∇l_s(θ) / Σ_s w_s that loss L has the derivative -η <∇L(θ'), ∂/∂w_s of the mean's gradient>
    in w_s. θ is the table, without layers.
    """

    def __init__(
        self, network: Network, batches: Batches, loss: Loss, pairs: np.ndarray, rate: float
    ) -> None:
        self.weights = torch.ones(len(pairs))
        self.moved = torch.zeros(len(pairs))
        self._network, self._second, self._loss = network, SecondBatches(batches), loss
        self._pairs, self._rate = torch.from_numpy(pairs), rate
        self._before: list[Tensor] = []

    def learns(self) -> Sequence[nn.Parameter]:
        """See `Bilevel.learns`: none of the network's."""
        return ()

    def before(self, batch: Batch) -> Batch:
        """See `Bilevel.before`."""
        self._before = self._network(self._second.batches.graph, batch.rows)
        wanted = batch.triples.users.long() * ITEMS + batch.triples.positives
        self._at = torch.searchsorted(self._pairs, wanted)
        return replace(batch, weight=self.weights[self._at])

    def after(self, batch: Batch) -> None:
        """See `Bilevel.after`."""
        second = self._second.next()
        (vectors,) = self._network(self._second.batches.graph, second.rows)
        loss = self._loss(second, vectors.requires_grad_())
        (of_rows,) = torch.autograd.grad(loss, vectors)
        direction = torch.zeros(USERS + ITEMS, vectors.shape[1]).index_add_(0, second.rows, of_rows)[
            batch.rows
        ]
        weight = batch.weight.clone().requires_grad_()
        (before,) = self._before
        mean = self._loss(replace(batch, weight=weight), before.requires_grad_())
        (gradient,) = torch.autograd.grad(mean, before, create_graph=True)
        (slope,) = torch.autograd.grad(-OPTIMISATION.learning_rate * (gradient * direction).sum(), weight)
        self.moved = torch.zeros_like(self.weights).index_add_(0, self._at, -self._rate * slope)
        self.weights = (self.weights + self.moved).clamp_(LEAST, 1)

    def state(self) -> Arrays:
        """See `Bilevel.state`."""
        return {"weights": self.weights.numpy()} | self._second.state()

    def restore(self, state: State) -> None:
        """See `Bilevel.restore`."""
        self.weights = torch.from_numpy(state.array("weights", np.float32, (len(self._pairs),)).copy())
        self._second.restore(state)


LIKES = np.arange(USERS)[:, None] % 4 == np.arange(ITEMS) % 4


def interactions(chosen: np.ndarray) -> Interactions:
    users, items = np.nonzero(chosen)
    return Interactions.from_arrays(users, items, user_ids=np.arange(USERS), item_ids=np.arange(ITEMS))


def data() -> tuple[Interactions, Interactions, np.ndarray]:
    """Noisy pairs of users and items, clean ones beside them, and which of the noisy ones are clean."""
    rng = np.random.default_rng(2)
    part = rng.random(LIKES.shape) < 0.5
    noise = ~LIKES & (rng.random(LIKES.shape) < 0.15)
    train, clean = interactions((LIKES & part) | noise), interactions(LIKES & ~part)
    return train, clean, LIKES[train.users, train.items]


def make_trainer(rate: float = RATE, batch_size: int = BATCH_SIZE) -> tuple[Trainer, SampleWeights]:
    train, clean, _ = data()
    graph, second = (Graph.from_interactions(one) for one in (train, clean))
    network, loss = make_network(graph, "mean", 0), BPR()
    with torch.no_grad():
        network.first.embedding *= 0.1
    whole = Graph.from_interactions(interactions(to_dense(train) | to_dense(clean)))
    unseen = Batches(graph, Sampler(whole, second), loss.source(ITEMS), batch_size, seed=7)
    pairs = train.users.astype(np.int64) * ITEMS + train.items
    learner = SampleWeights(network, unseen, loss, pairs, rate)
    optimisation = Optimisation(OPTIMISATION.learning_rate)
    return Trainer(
        network, make_batches(graph, loss, batch_size=batch_size), loss, optimisation, (), learner
    ), learner


def to_dense(one: Interactions) -> np.ndarray:
    return one.to_csr().toarray() > 0


def by_hand(table: Tensor, batch: Batch) -> Tensor:
    """The loss of each sample, (size,), from the whole table."""
    users, positives, negatives = (ids.flatten().long() for ids in batch.triples)
    difference = table[USERS + positives] - table[USERS + negatives]
    return functional.softplus(-(table[users] * difference).sum(1))


def test_a_weight_moves_against_the_product_of_two_gradients() -> None:
    """By eta <∇L(θ'), ∇l_s(θ)> over the number of samples, less the mean of these, for weights of 1; in float64."""
    trainer, learner = make_trainer(rate=1.0)
    batch, second = trainer.batches.at(0, 0), learner._second.batches.at(0, 0)
    table = trainer.network.first.embedding
    before = table.detach().double().clone().requires_grad_()
    trainer.step(batch)
    after = table.detach().double().clone().requires_grad_()
    (of_second,) = torch.autograd.grad(by_hand(after, second).mean(), after)
    products = []
    for loss in by_hand(before, batch):
        (gradient,) = torch.autograd.grad(loss, before, retain_graph=True)
        products.append((gradient * of_second).sum())
    product = torch.stack(products)
    slope = OPTIMISATION.learning_rate * (product - product.mean()) / batch.size
    wanted = batch.triples.users.long() * ITEMS + batch.triples.positives
    found = learner.moved[torch.searchsorted(learner._pairs, wanted)]
    assert len(wanted.unique()) == batch.size
    torch.testing.assert_close(found.double(), slope, rtol=1e-3, atol=1e-4 * float(slope.abs().max()))
    assert product.max() > 0 > product.min()


def test_the_step_is_on_the_weighted_samples() -> None:
    trainer, learner = make_trainer()
    learner.weights = torch.linspace(0.1, 1, len(learner.weights))
    batch = trainer.batches.at(0, 0)
    table = trainer.network.first.embedding.detach().clone()
    weight = learner.before(batch).weight
    assert len(set(weight.tolist())) > 30
    losses = by_hand(table, batch)
    expected = (weight * losses).sum() / weight.sum()
    assert abs(expected - losses.mean()) > 1e-4
    assert trainer.step(batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_of_pairs_that_are_none_fall() -> None:
    train, _, clean = data()
    trainer, learner = make_trainer()
    for epoch in range(EPOCHS):
        trainer.epoch(epoch)
    weights = learner.weights.numpy()
    assert len(weights) == len(train)
    assert weights[~clean].mean() < 0.6 * weights[clean].mean()
    assert (weights[clean][:, None] > weights[~clean]).mean() > 0.8


def test_likes_stand_out_further_than_with_equal_weights() -> None:
    found = {}
    for rate in (0.0, RATE):
        trainer, _ = make_trainer(rate)
        for epoch in range(EPOCHS):
            trainer.epoch(epoch)
        table = trainer.network.first.embedding.detach()
        scores, likes = table[:USERS] @ table[USERS:].T, torch.from_numpy(LIKES)
        found[rate] = float((scores[likes].mean() - scores[~likes].mean()) / scores.std())
    assert found[RATE] > 1.1 * found[0.0] > 0


@pytest.mark.parametrize("stop_before", [1, 3])
def test_a_learner_goes_on_where_it_was_stopped(stop_before: int) -> None:
    (whole, expected), (stopped, _), (another, learner) = (make_trainer(batch_size=32) for _ in range(3))
    losses = [whole.epoch(epoch) for epoch in range(2)]
    assert stopped.epoch(0) == losses[0]
    asked = iter(range(stop_before + 1))
    with pytest.raises(StoppedError):
        stopped.epoch(1, stop=lambda: next(asked) == stop_before)
    another.restore(State("test", {name: array.copy() for name, array in stopped.state().items()}))
    assert another.epoch(1) == losses[1]
    assert torch.equal(learner.weights, expected.weights)
    assert torch.equal(another.network.first.embedding, whole.network.first.embedding)


def test_a_learner_whose_state_is_missing_is_an_error() -> None:
    trainer, _ = make_trainer()
    state = trainer.state()
    del state["bilevel.weights"]
    with pytest.raises(DataError, match="array 'weights' is missing"):
        trainer.restore(State("test", state))


def test_the_trainer_leaves_alone_what_a_learner_learns() -> None:
    class Frozen(Bilevel):
        def __init__(self, network: Network) -> None:
            self._network = network

        def learns(self) -> Sequence[nn.Parameter]:
            return list(self._network.combine.parameters())

    train, _, _ = data()
    graph = Graph.from_interactions(train)
    for frozen in (True, False):
        network = make_network(graph, "attention", 2)
        bilevel = Frozen(network) if frozen else Bilevel()
        start = {name: value.clone() for name, value in network.combine.state_dict().items()}
        batches = make_batches(graph, BPR())
        Trainer(network, batches, BPR(), Optimisation(0.1), (), bilevel).epoch(0)
        same = [torch.equal(value, start[name]) for name, value in network.combine.state_dict().items()]
        assert all(same) if frozen else not any(same)
