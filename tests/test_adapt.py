"""What the softmax loss estimates between epochs: the formulas, and what a step makes of them."""

import numpy as np
import pytest
import torch
from networks import make_batches, make_network
from small_models import LEARNING, SMALL
from strategies import random_graph

from pyrec import BPR, HeldOut, InBatch, OneTemperature, Ren, Softmax, Uniform, UserTemperatures
from pyrec.data import Interactions, synthetic
from pyrec.errors import ConfigError
from pyrec.models import MF, LightGCN
from pyrec.nn.combine import Weighted
from pyrec.train.adaptation import Estimates
from pyrec.train.scores import Scores

NUM_USERS, NUM_ITEMS = 50, 30


@pytest.fixture(scope="module")
def train() -> Interactions:
    found = synthetic(NUM_USERS, NUM_ITEMS, interactions_per_user=7, num_groups=4, seed=3)
    return found.select(found.users != 11)


@pytest.fixture(scope="module")
def vectors() -> torch.Tensor:
    return torch.randn(NUM_USERS + NUM_ITEMS, 6, generator=torch.Generator().manual_seed(1)) + 0.3


def cosines(vectors: torch.Tensor) -> np.ndarray:
    wide = vectors.double().numpy()
    unit = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit[:NUM_USERS] @ unit[NUM_USERS:].T


def one_temperature(train: Interactions, vectors: torch.Tensor) -> float:
    """From the formula, pair by pair."""
    of_pairs = cosines(vectors)
    many = np.flatnonzero(train.activity > np.quantile(train.activity, 0.2))
    own = [(user, item) for user, item in zip(train.users, train.items, strict=True) if user in many]
    positive = np.mean([of_pairs[pair] for pair in own])
    return (positive - of_pairs[many].mean()) / np.log(len(many) * NUM_ITEMS / (2 * len(own)))


def test_one_temperature_is_the_formula(train, vectors):
    better = vectors.clone()
    for user, item in zip(train.users, train.items, strict=True):  # positives score higher than others
        better[user] += 0.3 * vectors[NUM_USERS + item]
    expected = one_temperature(train, better)
    adapt = OneTemperature(warm_up=2)
    assert expected > 0.02
    found = adapt.estimate(2, Scores(better, train), 0.4)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    np.testing.assert_array_equal(found[1], 1)
    assert adapt.temperature(3, Scores(better, train), 0.4) == pytest.approx(expected, rel=1e-5)
    for early in (adapt.first(NUM_USERS, 0.4), adapt.estimate(1, Scores(better, train), 0.4)):
        np.testing.assert_array_equal(
            early, np.stack([np.full(NUM_USERS, 0.4), np.ones(NUM_USERS)]).astype("f4")
        )
    assert adapt.temperature(2, Scores(better, train), 0.4) == 0.4


def test_scores_that_tell_nothing_apart_have_a_temperature_above_0(train):
    same = torch.ones(NUM_USERS + NUM_ITEMS, 4)
    assert OneTemperature(1).estimate(1, Scores(same, train), 0.2)[0].min() == np.float32(0.01)


@pytest.mark.parametrize("beta", [0.05, 1.0])
def test_users_temperatures_are_lamberts_function_of_their_losses(train, vectors, beta):
    of_pairs = cosines(vectors)
    totals = np.log(np.exp(of_pairs).sum(1))
    losses = np.full(NUM_USERS, np.nan)
    for user in np.unique(train.users):
        losses[user] = totals[user] - of_pairs[user, train.items[train.users == user]].mean()
    scores = Scores(vectors, train)
    np.testing.assert_allclose(scores.losses, losses, rtol=1e-5)
    temperatures, ratio = UserTemperatures(9, beta).estimate(1, scores, 0.2).astype(float)
    assert (temperatures[11], ratio[11]) == pytest.approx((0.2, 1))  # who has nothing
    np.testing.assert_allclose(temperatures / 0.2, ratio, rtol=1e-6)
    w, above = np.log(ratio), (losses - np.nanmean(losses)) / beta
    known = np.arange(NUM_USERS) != 11
    expected = np.maximum(above, -np.exp(-1))[known]
    np.testing.assert_allclose((w * np.exp(w))[known], expected, rtol=1e-4, atol=1e-4)
    assert w.min() >= -1 - 1e-6
    assert (w > 0).any()


def test_interactions_of_weight_0_are_no_positives(train, vectors):
    kept = train.users % 2 == 0
    weights = np.where(kept, 2.0, 0.0).astype(np.float32)
    weighted = Interactions.from_codes(
        train.users, train.items, train.user_ids, train.item_ids, weights=weights
    )
    have, expected = Scores(vectors, weighted), Scores(vectors, train.select(kept))
    np.testing.assert_array_equal(have.of_positives, expected.of_positives)
    np.testing.assert_array_equal(have.losses, expected.losses)


@pytest.mark.parametrize(
    "negatives",
    ["all", "batch", Uniform(2), InBatch(corrected=True)],
    ids=["all", "batch", "uniform", "corrected"],
)
@pytest.mark.parametrize("exponent", [1.0, 0.7])
def test_a_loss_has_the_temperature_of_each_user_in_its_sum(negatives, exponent):
    """From the formula in float64, sample by sample: c log Σ exp(s / τ_u) - s⁺ / τ₀."""
    graph = random_graph(30, 20, 0.2)
    loss = Softmax(0.3, negatives=negatives, exponent=exponent, adapt=UserTemperatures())
    batch = make_batches(graph, loss).at(0, 0)
    temperatures = torch.rand(graph.num_users, generator=torch.Generator().manual_seed(0)) + 0.2
    estimates = torch.stack([temperatures, temperatures / 0.3])
    batch.estimates = estimates[:, batch.triples.users.long()]
    vectors = make_network(graph, "mean").all_nodes(graph)[batch.rows].double().requires_grad_()
    unit = torch.nn.functional.normalize(vectors, dim=1)
    users, positives, others = (unit[at] for at in batch.positions())
    _, own, pool = batch.positions()
    cooled = users / temperatures[batch.triples.users.long()].double()[:, None]
    logits = cooled @ others.T
    if batch.log_expected is not None:
        batch.log_expected = batch.log_expected.double()
        logits = logits - batch.log_expected
    positive = (cooled * positives).sum(1)
    is_own = own[:, None] == pool[None, :]
    total = torch.cat([positive[:, None], logits.masked_fill(is_own, -torch.inf)], 1).logsumexp(1)
    expected = (exponent * total - (users * positives).sum(1) / 0.3).mean()
    batch.estimates = batch.estimates.double()
    have = loss(batch, vectors)
    torch.testing.assert_close(have, expected, rtol=1e-6, atol=0)
    grads = [torch.autograd.grad(one, vectors)[0] for one in (have, expected)]
    torch.testing.assert_close(*grads, rtol=1e-5, atol=1e-9)


def test_equal_temperatures_are_the_given_one():
    graph = random_graph(30, 20, 0.2)
    loss = Softmax(0.3, negatives=Uniform(1))
    adapted = loss.replaced(adapt=OneTemperature())
    batch = make_batches(graph, loss).at(0, 0)
    vectors = torch.randn(len(batch.rows), 8, generator=torch.Generator().manual_seed(0))
    expected = loss(batch, vectors)
    torch.testing.assert_close(adapted(batch, vectors), expected, rtol=0, atol=0)
    batch.estimates = torch.tensor([[0.3], [1.0]]).expand(2, batch.size)
    torch.testing.assert_close(adapted(batch, vectors), expected, rtol=1e-6, atol=0)


def test_estimates_are_made_at_the_start_of_each_epoch_but_the_first(train, vectors):
    held = Estimates(UserTemperatures(1), 0.3, train, torch.device("cpu"))
    place = held.values.data_ptr()
    held.begin(0, lambda: pytest.fail("the first epoch has nothing to estimate from"))
    assert (held.values == torch.tensor([[0.3], [1.0]])).all()
    held.begin(1, lambda: vectors)
    expected = UserTemperatures(1).estimate(1, Scores(vectors, train), 0.3)
    np.testing.assert_array_equal(held.values.numpy(), expected)
    assert held.values.data_ptr() == place


@pytest.mark.parametrize("adapt", ["one-temperature", "user-temperatures"])
def test_a_model_saves_its_estimates_ways(train, adapt, tmp_path):
    """New users are folded in at the temperature of the trained model, which a loaded one finds again."""
    loss = Softmax(adapt=adapt).replaced(adapt__warm_up=1)
    model = LightGCN(**LEARNING | {"epochs": 4}, combine="mean", loss=loss).fit(train)
    plain = LightGCN(**LEARNING | {"epochs": 4}, combine="mean").fit(train)
    assert not torch.equal(model.item_vectors_, plain.item_vectors_)
    model.save(tmp_path)
    again = LightGCN.load(tmp_path)
    assert again.loss == loss
    assert again._fitted_temperature() == model._fitted_temperature() != 0.2
    items = [train.item_ids[:3].tolist()]
    for have, expected in zip(
        again.recommend_for_items(items, 5), model.recommend_for_items(items, 5), strict=True
    ):
        np.testing.assert_array_equal(have, expected)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (
            {"loss": Softmax(score="inner", adapt="one-temperature")},
            "adapt = 'one-temperature' is for cosines",
        ),
        ({"loss": Softmax(adapt=OneTemperature(0))}, "loss__adapt__warm_up = 0 must be"),
        ({"loss": Softmax(adapt=UserTemperatures(beta=0.0))}, "loss__adapt__beta = 0.0 must be above 0"),
        ({"loss": Softmax(adapt="each")}, "loss__adapt = 'each' must be one of 'one-temperature'"),
        (
            {"loss": Softmax(adapt="one-temperature"), "combine": Weighted(HeldOut())},
            "learned on other pairs",
        ),
        ({"loss": Softmax(adapt="one-temperature", negatives=1), "reweight": Ren()}, "reweight"),
    ],
)
def test_what_does_not_go_together_is_refused(train, params, told):
    with pytest.raises(ConfigError, match=told):
        LightGCN(**SMALL, **params).fit(train)


def test_losses_that_estimate_nothing_have_no_estimates(train):
    assert BPR().adapting is None
    assert MF(**SMALL).fit(train).loss_.adapting is None
