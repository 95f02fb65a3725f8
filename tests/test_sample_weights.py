"""Weights of interactions reach the losses: a sample counts as much as its weight says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from networks import BATCH_SIZE, SEED, make_batches, make_network, make_trainer
from small_models import LEARNING

from pyrec import MF, LightGCN, Recommender
from pyrec.data import Interactions, synthetic
from pyrec.errors import DataError
from pyrec.graph import Graph
from pyrec.ops.sample import Sampler
from pyrec.train.batches import Batches
from pyrec.train.loss import BPR, Loss, Pointwise, Softmax
from pyrec.train.negatives import Hard, Uniform
from pyrec.train.optimisation import Optimisation
from pyrec.train.samples import Samples
from pyrec.train.trainer import Trainer

LOSSES: dict[str, Loss] = {
    "bpr": BPR(),
    "bpr, hard": BPR(negatives=Hard(4)),
    "softmax": Softmax(),
    "softmax, sampled": Softmax(negatives=Uniform(2)),
    "softmax, in the batch": Softmax(negatives="batch"),
    "pointwise": Pointwise(),
}
EACH = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def weighted(weights: Any, scale: float = 1.0) -> Interactions:
    """The same interactions with weights: an array, or a function of users."""
    x = synthetic(60, 40, interactions_per_user=8, num_groups=4)
    given = weights(x.users) if callable(weights) else weights
    given = None if given is None else scale * np.broadcast_to(given, len(x)).astype(np.float32)
    return Interactions.from_codes(x.users, x.items, x.user_ids, x.item_ids, weights=given)


def steps(loss: Loss, data: Interactions) -> Trainer:
    """A trainer on weighted samples, without a penalty."""
    graph = Graph.from_interactions(data)
    samples = Samples.of_interactions(data, None, torch.device("cpu"))
    batches = Batches(graph, Sampler(graph), loss.source(graph.num_items), BATCH_SIZE, SEED, samples)
    return Trainer(make_network(graph, "mean"), batches, loss, Optimisation(1e-2))


@EACH
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_equal_weights_are_none_to_rounding(loss: Loss, weight: float) -> None:
    for kind in (MF, LightGCN):
        options = {**LEARNING, "loss": loss} | ({"combine": "mean"} if kind is LightGCN else {})
        plain, equal = (kind(**options).fit(weighted(given)) for given in (None, weight))
        torch.testing.assert_close(equal.user_vectors_, plain.user_vectors_, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(equal.item_vectors_, plain.item_vectors_, rtol=1e-3, atol=1e-3)


@EACH
def test_a_users_pairs_of_weight_0_leave_its_embedding_alone(loss: Loss) -> None:
    """A user's embedding is in its own samples alone, where there are neither layers nor a penalty."""
    data = weighted(lambda users: (users % 3 != 0).astype(float))
    before, after = (
        MF(**LEARNING | {"epochs": 1, "learning_rate": rate, "reg": 0.0}, loss=loss).fit(data)
        for rate in (1e-30, 1e-2)
    )
    start, end = (model.network_.first.embedding.detach()[:60] for model in (before, after))
    moved = (start != end).any(1)
    assert moved.tolist() == [user % 3 != 0 for user in range(60)]


@EACH
def test_a_pair_of_weight_0_counts_as_if_its_gradient_were_not_there(loss: Loss) -> None:
    """A batch's gradient is the mean of single samples' ones, by their weights."""
    data = weighted(lambda users: (users % 3).astype(float))
    trainer = steps(loss, data)
    batch = trainer.batches.at(0, 0)
    vectors = torch.randn(len(batch.rows), 16, generator=torch.Generator().manual_seed(1))
    found = gradient(loss, batch, vectors)
    assert set(batch.weight.tolist()) == {0.0, 1.0, 2.0}
    total = torch.zeros_like(vectors)
    for at, weight in enumerate(batch.weight.tolist()):
        alone = torch.zeros(batch.size)
        alone[at] = 1.0
        total += weight * gradient(loss, replace(batch, weight=alone), vectors)
    expected = total / batch.weight.sum()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def gradient(loss: Loss, batch: Any, vectors: torch.Tensor) -> torch.Tensor:
    leaf = vectors.clone().requires_grad_()
    negatives = loss.source(40)
    (found,) = torch.autograd.grad(loss(negatives.chosen(batch, vectors), leaf), leaf)
    return found


@EACH
def test_only_ratios_of_weights_count(loss: Loss) -> None:
    one, other = (
        MF(**LEARNING, loss=loss).fit(weighted(lambda users: 1.0 + users % 2, scale)) for scale in (1.0, 8.0)
    )
    torch.testing.assert_close(one.user_vectors_, other.user_vectors_, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(one.user_vectors_, MF(**LEARNING, loss=loss).fit(weighted(None)).user_vectors_)


def test_weights_are_those_of_the_sampled_pairs() -> None:
    rng = np.random.default_rng(0)
    data = weighted(None)
    data = weighted(rng.random(len(data)))
    batch = steps(BPR(), data).batches.at(3, 64)
    known = dict(
        zip(zip(data.users.tolist(), data.items.tolist(), strict=True), data.weights.tolist(), strict=True)
    )
    pairs = zip(batch.triples.users.tolist(), batch.triples.positives.tolist(), strict=True)
    assert batch.weight.tolist() == [known[pair] for pair in pairs]


def test_without_weights_a_batch_has_none() -> None:
    graph = Graph.from_interactions(weighted(None))
    trainer = make_trainer(make_network(graph, "mean"), graph)
    assert trainer.batches.at(0, 0).weight is None
    assert make_batches(graph, BPR()).samples is None
    assert Samples.of_interactions(weighted(None), None, torch.device("cpu")) is None


def test_a_saved_model_keeps_its_weights(tmp_path: Any) -> None:
    model = MF(**LEARNING).fit(weighted(lambda users: 1.0 + users % 2))
    model.save(tmp_path)
    np.testing.assert_array_equal(Recommender.load(tmp_path).train_.weights, model.train_.weights)


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_weights_that_are_all_0_are_refused(loss: str) -> None:
    with pytest.raises(DataError, match=r"the weights of all .* interactions are 0"):
        MF(**LEARNING, loss=loss).fit(weighted(0.0))


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_few_weights_above_0_are_enough(loss: str) -> None:
    """Most batches of all interactions would have the sum 0."""
    data = weighted(lambda users: (users == 7).astype(float))
    model = MF(**LEARNING | {"batch_size": 4}, loss=loss).fit(data)
    assert np.isfinite([record["loss"] for record in model.history_]).all()
