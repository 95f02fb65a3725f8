"""Propensities: each method against its definition and on generated sets where they are known; errors; weights."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from pyrec import Propensities, propensities
from pyrec.data import Dataset, Features, Interactions
from pyrec.data.random_pairs import unseen_pairs
from pyrec.debias import METHODS, logistic
from pyrec.errors import ConfigError, DataError

NUM_USERS, NUM_ITEMS = 120, 80
IDS = {"user_ids": np.arange(NUM_USERS), "item_ids": np.arange(NUM_ITEMS)}


def observed(p: np.ndarray, ratings: np.ndarray, seed: int) -> Interactions:
    """Pairs of a full matrix of ratings (U, I), each with its probability p (U, I)."""
    users, items = np.nonzero(np.random.default_rng(seed).random(p.shape) < p)
    return Interactions.from_arrays(users, items, ratings[users, items], **IDS)


def rated(seed: int = 0) -> np.ndarray:
    return (
        np.random.default_rng(seed).choice(5, (NUM_USERS, NUM_ITEMS), p=[0.4, 0.25, 0.15, 0.12, 0.08]) + 1.0
    )


BY_RATING = np.array([0.03, 0.04, 0.08, 0.2, 0.35])


@pytest.fixture
def train() -> Interactions:
    return observed(BY_RATING[rated().astype(int) - 1], rated(), 1)


@pytest.fixture
def uniform() -> Interactions:
    return observed(np.full((NUM_USERS, NUM_ITEMS), 0.05), rated(), 2)


# Naive Bayes


def test_naive_bayes_is_its_formula(train: Interactions, uniform: Interactions) -> None:
    found = propensities(train, uniform, clip=0, smoothing=0.5)
    for rating in range(1, 6):
        of_observed = ((train.ratings == rating).sum() + 0.5) / (len(train) + 2.5)
        of_all = ((uniform.ratings == rating).sum() + 0.5) / (len(uniform) + 2.5)
        expected = of_observed * len(train) / (NUM_USERS * NUM_ITEMS) / of_all
        np.testing.assert_allclose(found.values[train.ratings == rating], expected, rtol=1e-6)


def test_naive_bayes_finds_what_ratings_were_observed_by() -> None:
    """Of draws of both sets: the mean estimate is within 4 standard errors of the truth, or 5 % of it (smoothing)."""
    draws = []
    for seed in range(40):
        train = observed(BY_RATING[rated(seed).astype(int) - 1], rated(seed), 100 + seed)
        uniform = observed(np.full((NUM_USERS, NUM_ITEMS), 0.2), rated(seed), 200 + seed)
        draws.append(propensities(train, uniform, clip=0).of(labels=np.arange(1, 6)))
    error = 4 * np.std(draws, axis=0, ddof=1) / np.sqrt(len(draws)) + 0.05 * BY_RATING
    assert (np.abs(np.mean(draws, axis=0) - BY_RATING) < error).all()


def test_naive_bayes_goes_by_labels_where_there_are_some(train: Interactions, uniform: Interactions) -> None:
    labelled = [
        replace(one, labels=np.where(one.ratings >= 4, 1, 0).astype(np.float32)) for one in (train, uniform)
    ]
    by_label, by_rating = propensities(*labelled), propensities(*labelled, target="rating")
    assert len(np.unique(by_label.values)) == 2
    np.testing.assert_array_equal(by_rating.values, propensities(train, uniform).values)
    np.testing.assert_array_equal(by_label.of(labels=labelled[0].labels), by_label.values)
    assert len(np.unique(by_rating.values)) == 5


@pytest.mark.parametrize("lacking", ["train", "uniform"])
def test_a_class_that_one_set_lacks_has_a_finite_weight(
    train: Interactions, uniform: Interactions, lacking: str
) -> None:
    kept = {"train": train, "uniform": uniform}
    kept[lacking] = kept[lacking].select(kept[lacking].ratings != 5)
    found = propensities(**kept, clip=0)
    of_classes = found.of(labels=np.arange(1, 6))
    assert ((of_classes > 0) & (of_classes <= 1)).all()
    assert np.isfinite(found.weights()).all()


def test_a_data_set_brings_its_uniform_set(train: Interactions, uniform: Interactions) -> None:
    train, uniform = (replace(one, labels=one.ratings) for one in (train, uniform))
    alone = propensities(train, uniform).values
    np.testing.assert_array_equal(propensities(Dataset(train, uniform=uniform)).values, alone)


def test_naive_bayes_needs_a_uniform_set_and_labels(train: Interactions, uniform: Interactions) -> None:
    for none in (None, uniform.select(np.zeros(len(uniform), bool))):
        with pytest.raises(DataError, match="needs pairs that were shown at random"):
            propensities(train, none)
    bare = replace(train, ratings=None)
    with pytest.raises(DataError, match=r"train has no labels"):
        propensities(bare, uniform, target="label")
    with pytest.raises(DataError, match=r"train has no ratings"):
        propensities(bare, uniform)
    with pytest.raises(DataError, match=r"uniform has no ratings"):
        propensities(train, replace(uniform, ratings=None))


def test_labels_of_two_scales_are_refused(train: Interactions, uniform: Interactions) -> None:
    zero, minus = (
        replace(one, labels=np.where(one.ratings >= 4, 1, low).astype(np.float32))
        for one, low in ((train, 0), (uniform, -1))
    )
    with pytest.raises(DataError, match="observed labels are 0 and 1, the uniform ones -1 and 1"):
        propensities(zero, minus)


def test_numbers_without_end_are_no_classes(train: Interactions, uniform: Interactions) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="distinct values"):
        propensities(replace(train, ratings=rng.random(len(train)).astype(np.float32)), uniform)


def test_an_unknown_class_is_refused(train: Interactions, uniform: Interactions) -> None:
    with pytest.raises(DataError, match=r"labels\[1\] = 7, but the classes are 1, 2, 3, 4, 5"):
        propensities(train, uniform).of(labels=[1, 7])


# By user, item, both


def test_rates_of_users_and_items_are_their_shares(train: Interactions) -> None:
    s, p = 2.0, len(train) / (NUM_USERS * NUM_ITEMS)
    by_user = (np.bincount(train.users, minlength=NUM_USERS) + s * p) / (NUM_ITEMS + s)
    by_item = (np.bincount(train.items, minlength=NUM_ITEMS) + s * p) / (NUM_USERS + s)
    options = {"clip": 0, "smoothing": s}
    for method, expected in (
        ("user", by_user[train.users]),
        ("item", by_item[train.items]),
        ("user-item", by_user[train.users] * by_item[train.items] / p),
    ):
        found = propensities(train, method=method, **options)
        np.testing.assert_allclose(found.values, expected, rtol=1e-6)
        np.testing.assert_array_equal(found.of(train.users, train.items), found.values)


@pytest.mark.parametrize("method", ["user", "item", "user-item", "logistic"])
def test_who_was_never_observed_has_a_propensity_above_0(train: Interactions, method: str) -> None:
    some = train.select((train.users != 7) & (train.items != 3))
    found = propensities(some, method=method, clip=0)
    of_unseen = found.of(np.array([7, 7]), np.array([3, 5]))
    assert ((of_unseen > 0) & (of_unseen < 1)).all()


def test_rank_one_finds_rates_that_multiply() -> None:
    rng = np.random.default_rng(3)
    users, items = rng.uniform(0.1, 0.9, NUM_USERS), rng.uniform(0.1, 0.9, NUM_ITEMS)
    p = np.outer(users, items)
    draws = []
    for seed in range(60):
        found = propensities(observed(p, rated(), seed), method="user-item", clip=0)
        draws.append(found.of(*(at.ravel() for at in np.indices(p.shape))))
    bias = np.abs(np.mean(draws, axis=0) - p.ravel())
    error = np.std(draws, axis=0, ddof=1) / np.sqrt(len(draws))
    assert np.mean(bias < 2 * error + 0.01 * p.ravel()) > 0.93


# Logistic


def featured(seed: int = 4) -> tuple[Dataset, np.ndarray]:
    """A set whose log-odds are linear in a number of the user and a word of the item, and its propensities (U, I)."""
    rng = np.random.default_rng(seed)
    age, kind = rng.normal(size=NUM_USERS), rng.integers(0, 3, NUM_ITEMS)
    logits = -1.5 + 0.8 * age[:, None] + np.array([-1.0, 0.0, 1.2])[kind]
    p = 1 / (1 + np.exp(-logits))
    users = Features.from_columns(IDS["user_ids"], {"age": age})
    items = Features.from_columns(IDS["item_ids"], {"kind": [f"k{one}" for one in kind]})
    return Dataset(observed(p, rated(), seed), users=users, items=items), p


def test_logistic_regression_is_the_minimum_over_all_pairs() -> None:
    dataset, _ = featured()
    train = dataset.interactions
    found = propensities(dataset, method="logistic", clip=0, smoothing=2.0, counts=True)
    users, items = (at.ravel() for at in np.indices((NUM_USERS, NUM_ITEMS)))
    of_users = np.stack(
        [np.log1p(np.bincount(train.users, minlength=NUM_USERS)), dataset.users["age"].values[:, 0]], 1
    )
    words = np.eye(3)[dataset.items["kind"].codes]
    of_items = np.column_stack([np.log1p(np.bincount(train.items, minlength=NUM_ITEMS)), words])
    of_users, of_items = ((one - one.mean(0)) / one.std(0) for one in (of_users, of_items))
    x = np.column_stack([np.ones(len(users)), of_users[users], of_items[items]])
    seen = np.zeros((NUM_USERS, NUM_ITEMS))
    seen[train.users, train.items] = 1.0

    def loss(c: np.ndarray) -> tuple[float, np.ndarray]:
        logits, ridge = x @ c, np.append(0.0, c[1:])
        value = (np.logaddexp(0, logits) - seen.ravel() * logits).sum() + ridge @ ridge
        return value, x.T @ (1 / (1 + np.exp(-logits)) - seen.ravel()) + 2 * ridge

    best = minimize(
        loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"gtol": 1e-8, "ftol": 1e-15}
    )
    expected = 1 / (1 + np.exp(-x @ best.x))
    np.testing.assert_allclose(found.of(users, items), expected, rtol=1e-4)


def test_logistic_regression_finds_what_features_say() -> None:
    errors, plain = [], []
    for seed in range(5):
        dataset, p = featured(seed)
        at = [one.ravel() for one in np.indices(p.shape)]
        for data, kept in ((dataset, errors), (dataset.interactions, plain)):
            found = propensities(data, method="logistic", clip=0).of(*at)
            kept.append(np.abs(found - p.ravel()).mean() / p.mean())
    assert np.mean(errors) < 0.1
    assert np.mean(plain) < 0.25


def test_a_sample_of_the_unobserved_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, _ = featured()
    users, items = (at.ravel() for at in np.indices((NUM_USERS, NUM_ITEMS)))
    whole = propensities(dataset, method="logistic", clip=0).of(users, items)
    monkeypatch.setattr(logistic, "SAMPLED", 3000)
    draws = np.array([
        propensities(dataset, method="logistic", clip=0, seed=seed).of(users, items) for seed in range(30)
    ])  # fmt: skip
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    assert error.max() > 0
    assert np.mean(np.abs(draws.mean(axis=0) - whole) < 3 * error + 0.01 * whole) > 0.95
    np.testing.assert_array_equal(
        draws[3], propensities(dataset, method="logistic", clip=0, seed=3).of(users, items)
    )


def test_dependent_and_constant_columns_are_no_trouble(train: Interactions) -> None:
    age = np.arange(NUM_USERS, dtype=float)
    users = Features.from_columns(
        IDS["user_ids"], {"age": age, "months": 12 * age, "one": np.ones(NUM_USERS)}
    )
    tags = [[f"t{item % 3}", f"t{item % 2}"] for item in range(NUM_ITEMS)]
    items = Features.from_columns(IDS["item_ids"], {"tags": tags})
    found = propensities(Dataset(train, users=users, items=items), method="logistic", counts=True)
    assert found.values.sum() > 0
    assert np.isfinite(found.weights()).all()


def test_logistic_regression_refuses_what_it_cannot_do(train: Interactions) -> None:
    users, items = (at.ravel() for at in np.indices((NUM_USERS, NUM_ITEMS)))
    with pytest.raises(DataError, match="each propensity is 1"):
        propensities(Interactions.from_arrays(users, items, **IDS), method="logistic")
    wide = Features.from_columns(IDS["user_ids"], {"x": np.random.default_rng(0).random((NUM_USERS, 1001))})
    with pytest.raises(ConfigError, match="the features of users make 1,001 columns"):
        propensities(Dataset(train, users=wide), method="logistic")
    with pytest.raises(ConfigError, match="leaves nothing to go by"):
        propensities(train, method="logistic", counts=False)


def test_unseen_pairs_are_unseen_and_distinct(train: Interactions) -> None:
    everything = NUM_USERS * NUM_ITEMS - len(train)
    users, items = unseen_pairs(train, everything, 0)
    pairs = set(zip(users.tolist(), items.tolist(), strict=True))
    assert len(pairs) == everything
    assert not pairs & set(zip(train.users.tolist(), train.items.tolist(), strict=True))
    again, other = (unseen_pairs(train, 50, seed) for seed in (0, 1))
    np.testing.assert_array_equal(again[0], unseen_pairs(train, 50, 0)[0])
    assert not np.array_equal(again[0], other[0])


# By position

EXAMINED = np.array([1.0, 0.7, 0.5, 0.35, 0.2])


def listed(seed: int, by_liking: bool) -> tuple[Interactions, Interactions]:
    """Lists of 5 items and their clicks, in random order or with what is liked first; and a uniform set."""
    rng = np.random.default_rng(seed)
    liked = rng.uniform(0.1, 0.9, NUM_ITEMS)
    users = np.repeat(np.arange(NUM_USERS), 5)
    items = np.concatenate([rng.choice(NUM_ITEMS, 5, replace=False) for _ in range(NUM_USERS)])
    if by_liking:
        order = np.lexsort((-liked[items] + rng.normal(scale=0.1, size=len(items)), users))
        items = items[order]
    positions = np.tile(np.arange(5, dtype=np.int32), NUM_USERS)
    clicks = (rng.random(len(users)) < EXAMINED[positions] * liked[items]).astype(np.float32)
    train = Interactions.from_arrays(users, items, labels=clicks, positions=positions, **IDS)
    shown = np.nonzero(rng.random((NUM_USERS, NUM_ITEMS)) < 0.5)
    labels = (rng.random(len(shown[0])) < liked[shown[1]]).astype(np.float32)
    return train, Interactions.from_arrays(*shown, labels=labels, **IDS)


@pytest.mark.parametrize("by_liking", [False, True])
def test_positions_find_how_they_are_examined(by_liking: bool) -> None:
    """Lists in random order need no uniform set, lists with what is liked first do; by 3 standard errors and 2 %."""
    alone, corrected = [], []
    for seed in range(200):
        train, uniform = listed(seed, by_liking)
        for data, kept in ((None, alone), (uniform, corrected)):
            found = propensities(train, data, method="position", clip=0, smoothing=1e-3)
            kept.append(found.of(positions=np.arange(5)))
            np.testing.assert_array_equal(found.values, kept[-1][train.positions])
    biases = [np.mean(kept, axis=0) / EXAMINED - 1 for kept in (alone, corrected)]
    errors = [np.std(kept, axis=0, ddof=1) / EXAMINED / np.sqrt(len(kept)) for kept in (alone, corrected)]
    assert (np.abs(biases[1]) < 3 * errors[1] + 0.02).all()
    if by_liking:
        assert (biases[0][2:] < -0.15).all()
    else:
        assert (np.abs(biases[0]) < 3 * errors[0] + 0.02).all()


def test_positions_need_what_they_go_by(train: Interactions) -> None:
    shown, uniform = listed(0, False)
    with pytest.raises(DataError, match="train has no positions"):
        propensities(train, method="position")
    with pytest.raises(DataError, match="train has no labels"):
        propensities(replace(shown, labels=None), method="position")
    with pytest.raises(DataError, match="train has none"):
        propensities(replace(shown, labels=np.zeros(len(shown), np.float32)), method="position")
    with pytest.raises(DataError, match="uniform needs labels"):
        propensities(shown, replace(uniform, labels=None), method="position")
    with pytest.raises(DataError, match="differ at"):
        propensities(shown, uniform.select(uniform.items < 9).compact(), method="position")


# Weights


def test_weights_are_the_inverse_and_normalised_have_mean_1(
    train: Interactions, uniform: Interactions
) -> None:
    found = propensities(train, uniform)
    assert found.weights().dtype == found.values.dtype == np.float32
    np.testing.assert_allclose(found.weights(), 1 / found.values, rtol=1e-6)
    normalised = found.weights(normalised=True)
    assert normalised.mean(dtype=float) == pytest.approx(1)
    np.testing.assert_allclose(normalised * found.weights().mean(dtype=float), found.weights(), rtol=1e-5)
    w = found.weights().astype(float)
    assert found.effective_size() == pytest.approx(w.sum() ** 2 / (w**2).sum())


def test_clipping_raises_and_counts_what_is_below(train: Interactions, uniform: Interactions) -> None:
    whole, clipped = (propensities(train, uniform, clip=clip) for clip in (0, 0.1))
    below = whole.values < 0.1
    assert 0 < below.sum() < len(train)
    assert (whole.clipped, clipped.clipped) == (0, below.sum())
    np.testing.assert_array_equal(clipped.values, np.maximum(whole.values, np.float32(0.1)))
    assert clipped.weights().max() <= 10
    assert f"{below.sum():,} below clip = 0.1" in repr(clipped)
    assert "naive-bayes" in repr(clipped)
    np.testing.assert_array_equal(clipped.of(labels=train.ratings), clipped.values)


def test_given_propensities_are_taken_as_they_are() -> None:
    found = Propensities.given([0.5, 0.01, 1.0], clip=0.05)
    np.testing.assert_allclose(found.values, [0.5, 0.05, 1.0])
    assert (found.method, found.clipped, len(found)) == ("given", 1, 3)
    with pytest.raises(DataError, match="not known of other pairs"):
        found.of(users=[0], items=[0])
    assert len(Propensities.given([])) == 0
    assert Propensities.given([]).weights(normalised=True).shape == (0,)
    assert repr(Propensities.given([])) == "Propensities(given, 0 pairs)"


@pytest.mark.parametrize("value", [0.0, -0.1, 1.5, np.nan, np.inf])
def test_what_is_no_propensity_is_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"values\[1\]"):
        Propensities.given([0.5, value])
    with pytest.raises(DataError, match="shape"):
        Propensities.given([[0.5], [0.5]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "naive"}, "method = 'naive' is none of .*; did you mean naive-bayes"),
        ({"method": 3}, "method = 3"),
        ({"clip": 1.0}, "clip = 1.0"),
        ({"clip": -0.1}, "clip = -0.1"),
        ({"clip": "x"}, "clip = 'x'"),
        ({"smoothing": 0}, "smoothing = 0"),
        ({"seed": -1, "method": "logistic"}, "seed = -1"),
        ({"counts": True, "method": "item"}, "of method = 'logistic' alone"),
        ({"counts": "x", "method": "logistic"}, "counts = 'x'"),
        ({"target": "stars"}, "target = 'stars'"),
        ({"target": "rating", "method": "user"}, "of method = 'naive-bayes' alone"),
    ],
)
def test_arguments_out_of_range_are_refused(train: Interactions, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        propensities(train, **options)


def test_sets_that_are_none_are_refused(train: Interactions) -> None:
    with pytest.raises(DataError, match="train is empty"):
        propensities(train.select(np.zeros(len(train), bool)), method="user")
    with pytest.raises(DataError, match="uniform is dict"):
        propensities(train, {"user": [0]})


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("user", {"items": [0]}, "go by users"),
        ("user-item", {"users": [0]}, "go by items"),
        ("user", {"users": [NUM_USERS]}, rf"users\[0\] = {NUM_USERS}, but it is at least 0 and below"),
        ("item", {"items": [0, -1]}, r"items\[1\] = -1"),
        ("item", {"items": [0.5]}, "whole numbers"),
        ("user-item", {"users": [0, 1], "items": [0]}, "items is"),
        ("logistic", {"users": [0], "items": [NUM_ITEMS]}, r"items\[0\]"),
        ("naive-bayes", {"labels": [np.nan]}, r"labels\[0\]"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(
    train: Interactions, uniform: Interactions, method: str, given: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        propensities(train, uniform, method=method).of(**given)


@pytest.mark.parametrize("method", list(METHODS))
def test_what_is_assumed_is_said(method: str) -> None:
    shown, uniform = listed(0, False)
    found = propensities(shown, uniform, method=method)
    assert found.assumes
    assert found.method == method
    assert found.values.dtype == np.float32
