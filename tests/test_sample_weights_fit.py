"""``fit(train, sample_weight=w)``: the weights of the interactions by another way, and what they make up for."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_models import SMALL, fit_data, make, numbers

from pyrec import MF, Checkpoints, LightGCN, Propensities, Softmax
from pyrec.data import Dataset, Interactions, as_dataset
from pyrec.errors import DataError, StoppedError
from pyrec.models import MODELS
from pyrec.train.loss import Loss

TAKERS = [name for name in MODELS if name != "popularity"]
EACH = pytest.mark.parametrize("name", TAKERS)


def random_weights(n: int) -> np.ndarray:
    return np.random.default_rng(5).uniform(0.2, 3.0, n).astype(np.float32)


def arrays(model: Any) -> dict[str, np.ndarray]:
    return model._state()


@EACH
def test_it_is_the_same_as_weights_of_the_interactions(name: str) -> None:
    train = numbers()
    w = random_weights(len(train))
    given, own, none = (
        make(name).fit(fit_data(name, train), sample_weight=w),
        make(name).fit(fit_data(name, replace(train, weights=w))),
        make(name).fit(fit_data(name, train)),
    )
    for key, array in arrays(own).items():
        np.testing.assert_array_equal(arrays(given)[key], array)
    np.testing.assert_array_equal(given.train_.weights, w)
    learned = any(not np.array_equal(arrays(none)[key], array) for key, array in arrays(own).items())
    if not learned:  # a graph filter keeps its interactions, and learns nothing of them
        users = none.train_.user_ids[:5]
        learned = not np.array_equal(none.recommend(users, 5).scores, own.recommend(users, 5).scores)
    assert learned


@EACH
def test_it_multiplies_weights_that_there_are(name: str) -> None:
    train = numbers()
    w, own = random_weights(len(train)), 1.0 + (train.users % 4).astype(np.float32)
    twice = make(name).fit(fit_data(name, replace(train, weights=own)), sample_weight=w)
    once = make(name).fit(fit_data(name, train), sample_weight=own * w)
    for key, array in arrays(once).items():
        np.testing.assert_array_equal(arrays(twice)[key], array)


def test_a_data_set_takes_it_and_stays_as_it_was() -> None:
    train = numbers()
    dataset, w = Dataset(train), random_weights(len(train))
    weighted = as_dataset(dataset, w)
    np.testing.assert_array_equal(weighted.interactions.weights, w)
    assert dataset.interactions.weights is None
    assert as_dataset(dataset) is dataset


def test_any_weight_above_0_leaves_what_is_positive() -> None:
    labels = np.resize(np.float32([1, 0, 1, -1]), len(numbers()))
    train = replace(numbers(), labels=labels)
    tiny = np.full(len(train), 1e-30, np.float32)
    np.testing.assert_array_equal(as_dataset(train, tiny).interactions.is_positive, train.is_positive)
    some = np.where(train.users == 3, 0, tiny)
    expected = train.is_positive & (train.users != 3)
    np.testing.assert_array_equal(as_dataset(train, some).interactions.is_positive, expected)


def test_a_weight_of_0_leaves_an_interaction_out() -> None:
    """It is seen, but nothing is learned from it, and the graph has no edge of it."""
    train = numbers()
    model = LightGCN(**SMALL).fit(train, sample_weight=(train.users != 3).astype(np.float32))
    assert model.train_.activity[3] == 0
    assert not set(model.recommend([3], n=20)[0][0]) & set(train.items[train.users == 3])


@pytest.mark.parametrize(
    ("unsound", "message"),
    [
        (np.ones(3), r"sample_weight has shape \(3,\)"),
        (np.ones((3, 2)), "sample_weight has shape"),
        ("x", "sample_weight"),
        (lambda n: np.where(np.arange(n) == 4, np.nan, 1.0), r"sample_weight\[4\] = nan"),
        (lambda n: np.where(np.arange(n) == 2, np.inf, 1.0), r"sample_weight\[2\] = inf"),
        (lambda n: np.where(np.arange(n) == 7, -1.0, 1.0), r"sample_weight\[7\] = -1.0 is below 0"),
        (lambda n: np.zeros(n), "there is nothing to learn from"),
        (lambda n: np.ones(n, complex), "complex"),
    ],
)
@EACH
def test_what_is_no_weight_is_refused(name: str, unsound: Any, message: str) -> None:
    train = numbers()
    with pytest.raises(DataError, match=message):
        make(name).fit(
            fit_data(name, train), sample_weight=unsound(len(train)) if callable(unsound) else unsound
        )


@pytest.mark.parametrize(("own", "given"), [(1e30, 1e30), (1e-30, 1e-30)])
def test_products_beyond_float32_are_refused(own: float, given: float) -> None:
    train = numbers()
    weighted = replace(train, weights=np.full(len(train), own, np.float32))
    with pytest.raises(DataError, match=r"sample_weight\[0\] .* beyond float32"):
        as_dataset(weighted, np.full(len(train), given))


def test_what_has_another_order_is_refused() -> None:
    """A frame's rows are sorted and merged: weights in their order would be those of other pairs."""
    train = numbers()
    frame = {"user": train.users.tolist(), "item": train.items.tolist()}
    for data in (frame, train.to_csr()):
        with pytest.raises(DataError, match="sample_weight is in the order of Interactions"):
            MF(**SMALL).fit(data, sample_weight=np.ones(len(train)))


def test_training_goes_on_with_the_same_weights_alone(tmp_path: Any) -> None:
    train = numbers()
    w = random_weights(len(train))
    whole = MF(**SMALL).fit(train, sample_weight=w)
    checkpoints = Checkpoints(tmp_path)

    def stop(model: Any, record: dict[str, Any]) -> None:
        checkpoints.stop.make()

    with pytest.raises(StoppedError):
        MF(**SMALL).fit(train, sample_weight=w, checkpoints=checkpoints, callback=stop)
    again = Checkpoints(tmp_path)
    for others in (None, w + 1):
        with pytest.raises(DataError, match="of other data"):
            MF(**SMALL).fit(train, sample_weight=others, checkpoints=again, resume=True)
    resumed = MF(**SMALL).fit(train, sample_weight=w, checkpoints=again, resume=True)
    np.testing.assert_array_equal(resumed.user_vectors_, whole.user_vectors_)
    np.testing.assert_array_equal(resumed.item_vectors_, whole.item_vectors_)


# What weights are for: half of the items were shown to few, and their twins, which are liked as much, to many.

NUM_TWINS = 20
LOSSES: dict[str, Loss] = {"softmax": Softmax(score="inner", temperature=1.0)}
SEEDS = range(4)


def selected(seed: int) -> tuple[Interactions, np.ndarray]:
    """Clicks on what was shown and is liked, and the propensity of each: .9 of even items, .2 of odd ones."""
    rng = np.random.default_rng(seed)
    num_users = 500
    users, items = rng.normal(size=(num_users, 3)), rng.normal(size=(NUM_TWINS, 3))
    logits = 0.7 * users @ items.T - 1.0 + rng.normal(size=NUM_TWINS)
    liked = 1 / (1 + np.exp(-np.repeat(logits, 2, axis=1)))
    shown = np.tile([0.9, 0.2], NUM_TWINS)
    clicks = np.nonzero((rng.random(liked.shape) < liked) & (rng.random(liked.shape) < shown))
    ids = {"user_ids": np.arange(num_users), "item_ids": np.arange(2 * NUM_TWINS)}
    train = Interactions.from_arrays(*clicks, **ids)
    return train, shown[train.items]


def advantage(model: Any) -> float:
    """How far the twins that were shown to many are above the others, by the scores' spread; 0 is right."""
    scores = (model.user_vectors_ @ model.item_vectors_.T).numpy()
    return float((scores[:, 0::2] - scores[:, 1::2]).mean() / scores.std())


@pytest.mark.parametrize("loss", ["bpr", "softmax", "pointwise"])
@pytest.mark.parametrize("kind", [MF, LightGCN])
def test_weights_by_propensities_take_the_bias_away(kind: type, loss: str) -> None:
    """Paired over the seeds: at least a fifth of the advantage is gone, by three standard errors."""
    left = []
    for seed in SEEDS:
        train, shown = selected(seed)
        options = {
            "embedding_size": 8,
            "epochs": 5,
            "batch_size": 256,
            "learning_rate": 3e-2,
            "reg": 1e-2,
            "seed": seed,
            "loss": LOSSES.get(loss, loss),
        }
        plain, weighted = (
            advantage(kind(**options).fit(train, sample_weight=w))
            for w in (None, Propensities.given(shown).weights())
        )
        left.append(0.8 * plain - weighted)
    assert np.mean(left) > 3 * np.std(left, ddof=1) / np.sqrt(len(left))
