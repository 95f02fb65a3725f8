"""Doubly robust learning: the estimate is the dense one, and right if propensities or imputed labels are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import numbers, texts
from torch import Tensor, nn

from pyrec import Checkpoints, DoublyRobust, Propensities, Recommender, evaluate_pairs, propensities
from pyrec.data import Dataset, Interactions
from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.train.balance import balanced
from pyrec.train.doubly_robust import (
    VARIANTS,
    Observed,
    Scorer,
    Steps,
    estimate,
    imputed_error,
    mean_score,
)
from pyrec.train.early_stopping import EarlyStopping

NUM_USERS, NUM_ITEMS, DIM = 50, 30, 5
EACH = pytest.mark.parametrize("variant", VARIANTS)


def scorer(seed: int, dtype: torch.dtype = torch.float64) -> Scorer:
    generator = torch.Generator().manual_seed(seed)
    made = Scorer(NUM_USERS, NUM_ITEMS, DIM, 0.1, generator)
    with torch.no_grad():
        made.vectors.copy_(torch.randn(made.vectors.shape, generator=generator))
        made.bias.copy_(torch.randn(made.bias.shape, generator=generator))
    return made.to(dtype)


def dense(model: Scorer) -> Tensor:
    """The scores of all pairs, (num_users, num_items)."""
    users, items = model.vectors.split([NUM_USERS, NUM_ITEMS])
    of_users, of_items = model.bias.split([NUM_USERS, NUM_ITEMS])
    return users @ items.T + of_users[:, None] + of_items


def some(seen: np.ndarray, labels: np.ndarray, p: np.ndarray) -> Observed:
    """The observed pairs (U, I) as they are learned from."""
    users, items = np.nonzero(seen)
    known = p[users, items]
    parts = (users, items + NUM_USERS, labels[users, items], 1 / known, (1 - known) / known)
    return Observed(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))


def estimated(predicted: Scorer, imputed: Scorer, observed: Observed) -> Any:
    scores, labels = (one.of(observed.users, observed.items) for one in (predicted, imputed))
    return estimate(predicted, imputed, observed, scores, labels, observed.inverse)


# The algebra


def test_scores_of_pairs_are_those_of_the_matrix() -> None:
    model = scorer(0)
    users, items = (torch.from_numpy(at.ravel()) for at in np.indices((NUM_USERS, NUM_ITEMS)))
    torch.testing.assert_close(
        model.of(users, items + NUM_USERS), dense(model).ravel(), rtol=1e-12, atol=1e-12
    )
    left, right = model.sides()
    torch.testing.assert_close(left @ right.T, dense(model), rtol=1e-12, atol=1e-12)
    assert mean_score(model) == pytest.approx(float(dense(model).detach().mean()), rel=1e-12)


def test_gram_matrices_give_the_sum_over_all_pairs() -> None:
    """In float64, value and gradient, against the dense sum by autograd."""
    predicted, imputed = scorer(0), scorer(1)
    expected = (dense(predicted) - dense(imputed).detach()).square().mean() / 2
    expected.backward()
    value, of_users, of_items = imputed_error(predicted, imputed)
    assert value == pytest.approx(float(expected.detach()), rel=1e-12)
    vectors = torch.cat([of_users[:, :DIM], of_items[:, :DIM]])
    bias = torch.cat([of_users[:, DIM], of_items[:, DIM + 1]])
    torch.testing.assert_close(vectors, predicted.vectors.grad, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(bias, predicted.bias.grad, rtol=1e-10, atol=1e-14)


def test_the_estimate_is_the_dense_one() -> None:
    rng = np.random.default_rng(0)
    predicted, imputed = scorer(2), scorer(3)
    seen = rng.random((NUM_USERS, NUM_ITEMS)) < 0.2
    labels, p = np.where(rng.random(seen.shape) < 0.5, 1.0, -1.0), rng.uniform(0.1, 0.9, seen.shape)
    observed = some(seen, labels, p)
    scores, guesses = dense(predicted), dense(imputed).detach()
    error, guessed = (scores - torch.from_numpy(labels)).square() / 2, (scores - guesses).square() / 2
    expected = (guessed + torch.from_numpy(seen / p) * (error - guessed)).mean()
    expected.backward()
    found = estimated(predicted, imputed, observed)
    assert found.value == pytest.approx(float(expected.detach()), rel=1e-12)
    vectors = torch.cat([found.of_users[:, :DIM], found.of_items[:, :DIM]])
    own, other = predicted.vectors.detach()[observed.users], predicted.vectors.detach()[observed.items]
    vectors.index_add_(0, observed.users, found.by_score[:, None] * other)
    vectors.index_add_(0, observed.items, found.by_score[:, None] * own)
    torch.testing.assert_close(vectors, predicted.vectors.grad, rtol=1e-10, atol=1e-14)


@EACH
def test_a_step_goes_down_the_gradient_of_the_estimate(variant: str) -> None:
    """Adam's first step moves each number by the learning rate against the sign of its gradient."""
    rng = np.random.default_rng(1)
    seen = rng.random((NUM_USERS, NUM_ITEMS)) < 0.3
    labels, p = np.where(rng.random(seen.shape) < 0.5, 1.0, -1.0), rng.uniform(0.2, 0.9, seen.shape)
    observed = Observed(*(x.float() if x.is_floating_point() else x for x in some(seen, labels, p)))
    models = nn.ModuleDict({"predicted": scorer(4, torch.float32), "imputed": scorer(5, torch.float32)})
    before = models["predicted"].vectors.detach().clone()
    steps = Steps(models, observed, variant, 1e-3, 0.05, 10.0, 10)
    steps.step()
    moved = models["predicted"].vectors.detach() - before
    guesses = dense(models["imputed"]).detach().double()
    again = scorer(4)
    scores, target = dense(again), torch.from_numpy(labels)
    error, guessed = (scores - target).square() / 2, (scores - guesses).square() / 2
    with torch.no_grad():
        inverse = steps._inverse(scores[seen].float(), guesses[seen].float()).double()
    weight = torch.zeros_like(scores)
    weight[torch.from_numpy(seen)] = inverse
    loss = (
        (weight * error).sum() / weight.sum()
        if variant == "stable"
        else (guessed + weight * (error - guessed)).mean()
    )
    (loss + 0.05 * again.penalty()).backward()
    clear = again.vectors.grad.abs() > 1e-4
    assert clear.float().mean() > 0.9
    assert (moved[clear] * again.vectors.grad[clear] < 0).float().mean() > 0.999


# Double robustness: draws of what is observed, where one of the two is wrong

DRAWS = 600


def draws(right: str) -> tuple[np.ndarray, np.ndarray]:
    """Estimates, and their gradients in the users' biases, less the truth; p or the imputed labels are right."""
    rng = np.random.default_rng(7)
    predicted, truth = scorer(0), scorer(1)
    expected = dense(truth).detach().numpy()
    p = 1 / (1 + np.exp(1.0 - 0.5 * expected))  # what is liked is observed more
    noisy = 0.5 if right == "propensities" else 0.0
    imputed = truth if right == "labels" else scorer(9)
    given = p if right == "propensities" else np.clip(p**2, 0.02, 1)
    scores = dense(predicted).detach().numpy()
    values, gradients = [], []
    for _ in range(DRAWS):
        labels = expected + noisy * rng.normal(size=p.shape)
        found = estimated(predicted, imputed, some(rng.random(p.shape) < p, labels, given))
        true = ((scores - labels) ** 2).mean() / 2
        values.append(found.value - true)
    for _ in range(DRAWS):
        labels = expected + 0.5 * rng.normal(size=p.shape)
        seen = rng.random(p.shape) < p
        found = estimated(predicted, imputed, some(seen, labels, given))
        own = np.bincount(np.nonzero(seen)[0], found.by_score.numpy(), NUM_USERS)
        gradients.append(found.of_users[:, DIM].numpy() + own - (scores - expected).sum(1) / p.size)
    return np.array(values), np.array(gradients)


@pytest.mark.parametrize("right", ["propensities", "labels"])
def test_the_estimate_is_right_if_propensities_or_imputed_labels_are(right: str) -> None:
    """Bias below 2 standard errors; of the gradient's entries 5 % may be above it by chance, and 10 % are allowed."""
    values, gradients = draws(right)
    spread = values.std(ddof=1) / np.sqrt(DRAWS)
    assert abs(values.mean()) < 2 * spread + 1e-12
    error = gradients.std(axis=0, ddof=1) / np.sqrt(DRAWS)
    assert (np.abs(gradients.mean(axis=0)) < 2 * error).mean() > 0.9


def test_the_estimate_is_wrong_if_neither_is() -> None:
    values, _ = draws("neither")
    assert abs(values.mean()) > 5 * values.std(ddof=1) / np.sqrt(DRAWS)


# Weights that balance


def test_weights_balance_what_is_known_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    columns = rng.normal(size=(4000, 2))
    seen = rng.random(4000) < 1 / (1 + np.exp(1 - columns[:, 0]))
    flat = np.full(seen.sum(), 4000 / seen.sum())
    weights = balanced(flat, columns[seen], columns.mean(axis=0), 4000, 1e6)
    assert weights.sum() == pytest.approx(4000, rel=1e-4)
    np.testing.assert_allclose(weights @ columns[seen] / 4000, columns.mean(axis=0), atol=1e-4)
    assert (weights > 0).all()
    before = np.abs(flat @ columns[seen] / 4000 - columns.mean(axis=0))[0]
    gaps = [
        np.abs(balanced(flat, columns[seen], columns.mean(axis=0), 4000, c) @ columns[seen] / 4000)[0]
        for c in (0.1, 1.0, 10.0)
    ]
    assert before > gaps[0] > gaps[1] > gaps[2]
    np.testing.assert_allclose(
        balanced(flat, columns[seen], columns.mean(axis=0), 4000, 1e-9), flat, rtol=1e-6
    )


def test_weights_that_cannot_balance_stay_finite() -> None:
    """No weights above 0 move a mean out of the range of its values; a constant column has nothing to balance."""
    weights = balanced(np.ones(50), np.linspace(0, 1, 50)[:, None], np.array([3.0]), 100, 1e3)
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    constant = balanced(np.ones(50), np.ones((50, 1)), np.array([1.0]), 50, 1e3)
    np.testing.assert_allclose(constant, 1.0)


# The estimator


def rated(seed: int) -> tuple[Interactions, Interactions, Interactions]:
    """Labels of low rank, observed by rates of items and labels; what is uniform to learn from, and to test on."""
    rng = np.random.default_rng(seed)
    num_users, num_items = 150, 60
    logits = 2 * rng.normal(size=(num_users, 2)) @ rng.normal(size=(2, num_items)) + rng.normal(
        size=num_items
    )
    labels = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    p = np.where(labels > 0, 0.5, 0.2) * np.linspace(0.4, 1.6, num_items)
    ids = {"user_ids": np.arange(num_users), "item_ids": np.arange(num_items)}

    def drawn(rates: Any) -> Interactions:
        users, items = np.nonzero(rng.random(logits.shape) < rates)
        return Interactions.from_arrays(users, items, labels=labels[users, items], **ids)

    return drawn(p), drawn(0.03), drawn(0.2)


@EACH
def test_it_learns_to_rank_random_pairs(variant: str) -> None:
    """Above popularity among positives by far, on pairs that were not chosen."""
    train, uniform, test = rated(0)
    test = test.select(~train.has_pairs(test.users, test.items))
    model = DoublyRobust(variant, embedding_size=4).fit(train, uniform=uniform)
    found = evaluate_pairs(model, test, metrics=("auc",))["auc"]
    liked = np.bincount(train.items, train.labels, train.num_items) / np.bincount(
        train.items, minlength=train.num_items
    )
    scores = liked[test.items]
    positive = test.labels > 0
    by_item = (scores[positive][:, None] > scores[~positive]).mean()
    assert found > by_item + 0.03
    assert model.propensities_.method == "naive-bayes"
    assert model.user_vectors_.shape == (150, 6)
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]


def test_the_uniform_set_may_be_in_the_data_set() -> None:
    train, uniform, _ = rated(1)
    one = DoublyRobust(epochs=2).fit(train, uniform=uniform)
    other = DoublyRobust(epochs=2).fit(Dataset(train, uniform=uniform))
    given = DoublyRobust(epochs=2).fit(train, propensities=propensities(train, uniform, clip=0.05))
    for model in (other, given):
        assert torch.equal(one.user_vectors_, model.user_vectors_)
        assert torch.equal(one.item_vectors_, model.item_vectors_)
    with pytest.raises(ConfigError, match="uniform is given twice"):
        DoublyRobust().fit(Dataset(train, uniform=uniform), uniform=uniform)
    assert DoublyRobust(epochs=1).fit(train).propensities_.method == "user-item"


def test_sample_weights_multiply_the_inverse_propensities() -> None:
    train, _, _ = rated(1)
    p = np.full(len(train), 0.5)
    w = np.where(train.users % 2, 2.0, 1.0)
    weighted = DoublyRobust(epochs=2).fit(train, sample_weight=w, propensities=Propensities.given(p))
    given = DoublyRobust(epochs=2).fit(train, propensities=Propensities.given(p / w))
    torch.testing.assert_close(weighted.user_vectors_, given.user_vectors_, rtol=1e-4, atol=1e-5)
    plain = DoublyRobust(epochs=2).fit(train, propensities=Propensities.given(p))
    assert not torch.allclose(plain.user_vectors_, given.user_vectors_, rtol=1e-4, atol=1e-5)


@EACH
def test_the_epoch_is_chosen_by_auc_on_labelled_pairs(variant: str) -> None:
    train, uniform, test = rated(2)
    test = test.select(~train.has_pairs(test.users, test.items))
    options: dict[str, Any] = {"embedding_size": 4, "epochs": 8, "learning_rate": 0.05, "reg": 0.01}
    model = DoublyRobust(variant, **options).fit(train, uniform=uniform, validation=test)
    scores = [record["validation_auc"] for record in model.history_]
    assert model.best_epoch_ == 1 + int(np.argmax(scores))
    assert evaluate_pairs(model, test, metrics=("auc",))["auc"] == pytest.approx(max(scores), abs=1e-9)


def test_a_share_is_held_out_of_the_interactions() -> None:
    train, uniform, _ = rated(2)
    model = DoublyRobust(epochs=4, stopping=EarlyStopping(0.2)).fit(train, uniform=uniform)
    assert len(model.history_) == 4
    assert all(0 < record["validation_auc"] < 1 for record in model.history_)
    lists = DoublyRobust(epochs=2, stopping=EarlyStopping(0.2, k=5)).fit(numbers())
    assert "validation_ndcg@5" in lists.history_[0]


@EACH
def test_a_fit_goes_on_to_the_same_bits(
    variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, uniform, _ = rated(3)

    def make() -> DoublyRobust:
        return DoublyRobust(variant, embedding_size=4, epochs=3)

    whole = make().fit(train, uniform=uniform)
    checkpoints = Checkpoints(tmp_path)
    step, left = Steps.step, iter(range(13, -1, -1))

    def counted(self: Steps) -> float:
        if next(left, None) == 0:
            checkpoints.stop.make()
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Steps, "step", counted)
        with pytest.raises(StoppedError, match="epoch 2, after 4 of 10 steps"):
            make().fit(train, uniform=uniform, checkpoints=checkpoints)
    again = Checkpoints(tmp_path)
    with pytest.raises(DataError, match="of other data"):
        make().fit(
            train, propensities=Propensities.given(np.full(len(train), 0.5)), checkpoints=again, resume=True
        )
    resumed = make().fit(train, uniform=uniform, checkpoints=again, resume=True)
    assert torch.equal(resumed.user_vectors_, whole.user_vectors_)
    assert torch.equal(resumed.item_vectors_, whole.item_vectors_)
    assert [one["loss"] for one in resumed.history_] == [one["loss"] for one in whole.history_]


@EACH
def test_any_number_of_threads_gives_the_same_bits(variant: str) -> None:
    train, uniform, _ = rated(4)
    known, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(DoublyRobust(variant, epochs=2).fit(train, uniform=uniform))
    finally:
        torch.set_num_threads(known)
    for other in found[1:]:
        assert torch.equal(other.user_vectors_, found[0].user_vectors_)
        assert torch.equal(other.item_vectors_, found[0].item_vectors_)


def test_the_seed_is_all_that_differs() -> None:
    train, uniform, _ = rated(4)
    one, same, other = (DoublyRobust(epochs=1, seed=seed).fit(train, uniform=uniform) for seed in (0, 0, 1))
    assert torch.equal(one.item_vectors_, same.item_vectors_)
    assert not torch.equal(one.item_vectors_, other.item_vectors_)


def test_a_saved_model_scores_the_same(tmp_path: Path) -> None:
    train, uniform, test = rated(5)
    model = DoublyRobust("mrdr", epochs=2).fit(train, uniform=uniform)
    model.save(tmp_path)
    loaded = Recommender.load(tmp_path)
    np.testing.assert_array_equal(
        loaded.pair_scores(test.users, test.items), model.pair_scores(test.users, test.items)
    )
    assert loaded.get_params() == model.get_params()


def test_similar_items_compare_vectors_without_biases() -> None:
    model = DoublyRobust(epochs=3, embedding_size=4).fit(texts())
    q = model.item_vectors_[:, :4]
    unit = q / q.norm(dim=1, keepdim=True)
    expected = torch.sort(unit @ unit[3], descending=True).values[1:4]
    _, scores = model.similar_items([model.train_.item_ids[3]], n=3)
    np.testing.assert_allclose(scores[0], expected, atol=1e-6)


def test_a_new_user_gets_what_goes_with_the_history() -> None:
    """The ranking of a known user and of a new one with the same likes go together."""
    train, uniform, _ = rated(6)
    model = DoublyRobust(embedding_size=4).fit(train, uniform=uniform)
    agreements = []
    for user in range(30):
        own = train.users == user
        likes = train.items[own & (train.labels > 0)]
        if len(likes) < 4:
            continue
        rows = [
            model.recommend([user], n=60, filter_seen=False),
            model.recommend_for_items([likes], n=60, filter_seen=False),
        ]
        places = [np.argsort(np.asarray(ids[0])) for ids, _ in rows]
        agreements.append(np.corrcoef(*places)[0, 1])
    assert np.mean(agreements) > 0.5


def test_it_tells_memory_and_time_beforehand() -> None:
    train, _, _ = rated(0)
    model = DoublyRobust(epochs=2)
    assert model.training_bytes(train, validated=True) > model.training_bytes(train) > 0
    assert model.training_seconds(train, limit=0.05) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "dr"}, "variant = 'dr' must be one of"),
        ({"propensities": "bayes"}, "propensities = 'bayes'"),
        ({"clip": 0.0}, "clip = 0.0"),
        ({"clip": 1.0}, "clip = 1.0"),
        ({"balance": 0.0, "variant": "stable"}, "balance = 0.0"),
        ({"balance": 3.0}, "acts on nothing"),
        ({"embedding_size": 0}, "embedding_size = 0"),
        ({"reg": -1.0}, "reg = -1.0"),
    ],
)
def test_hyperparameters_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DoublyRobust(**options).fit(numbers())


def test_propensities_that_do_not_fit_are_refused() -> None:
    train, uniform, _ = rated(0)
    known = propensities(train, uniform)
    with pytest.raises(DataError, match="propensities has"):
        DoublyRobust().fit(train.select(train.users < 9), propensities=known)
    with pytest.raises(DataError, match="propensities is ndarray"):
        DoublyRobust().fit(train, propensities=known.values)
    with pytest.raises(ConfigError, match="leave out one of the two"):
        DoublyRobust(propensities="item").fit(train, propensities=known)
    with pytest.raises(DataError, match="needs pairs that were shown at random"):
        DoublyRobust(propensities="naive-bayes").fit(train)
    with pytest.raises(DataError, match="user_ids"):
        DoublyRobust().fit(train, uniform=replace(uniform, user_ids=uniform.user_ids + 1))


def test_weights_beyond_float32_are_refused() -> None:
    train, uniform, _ = rated(0)
    huge = np.full(len(train), np.finfo(np.float32).max)
    with pytest.raises(
        DataError, match=r"the largest weight, 3\.4.*e\+38, by a propensity is beyond float32"
    ):
        DoublyRobust(epochs=1).fit(train, uniform=uniform, sample_weight=huge)
