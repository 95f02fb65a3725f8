"""Estimates from random pairs, against lists of all items of which every label is known."""

import math

import numpy as np
import pytest
from known_truth import ITEMS, Drawn, Draws, K, Lists, Population, interactions, standard_errors

import pyrec
from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError, NotFittedError
from pyrec.evaluate.uniform import UNIFORM_METRICS, evaluate_uniform
from pyrec.models import EASE, Popularity

DRAWS, USERS, SHOWN = 1000, 150, 8
NAN = float("nan")


def random_pairs(drawn: Drawn, rng: np.random.Generator) -> Interactions:
    """SHOWN random items of each user, of all items."""
    keys = rng.random(drawn.labels.shape)
    shown = keys <= np.partition(keys, SHOWN - 1, axis=1)[:, SHOWN - 1 : SHOWN]
    return interactions(shown, drawn.labels)


@pytest.fixture(scope="module")
def population() -> Population:
    return Population()


@pytest.fixture(scope="module")
def draws(population: Population) -> dict[str, Draws]:
    """Each metric over a thousand draws of users and of their random pairs; and two that serve as controls."""
    rng = np.random.default_rng(0)
    values: dict[str, list[tuple[float, float, float]]] = {}
    of_these, naive = [], []
    recall = population.found / np.maximum(population.positives, 1)
    for _ in range(DRAWS):
        drawn = population.draw(USERS, rng)
        test = random_pairs(drawn, rng)
        result = evaluate_uniform(drawn.model, test, K, resamples=500)
        for name, value in result.metrics.items():
            values.setdefault(name, []).append((value, *result.intervals[name]))
        has = ~np.isnan(result.per_user[f"recall@{K}"])
        of_these.append(result[f"recall@{K}"] - recall[drawn.who[result.users[has]]].mean())
        naive.append((result.num_found / result.num_positive_pairs, NAN, NAN))
    # A user is one of those whom recall is over if a random item is positive and new.
    none = [math.comb(ITEMS - n, SHOWN) / math.comb(ITEMS, SHOWN) for n in population.positives.tolist()]
    chance = 1 - np.array(none)
    truth = population.truth() | {f"recall@{K}": float(chance @ recall / chance.sum())}
    found = {name: Draws(np.array(drawn), truth[name]) for name, drawn in values.items()}
    found["these users"] = Draws(np.array([(error, NAN, NAN) for error in of_these]), 0.0)
    found["mean over users"] = Draws(found[f"recall@{K}"].values, float(recall.mean()))
    return found


@pytest.mark.parametrize("name", UNIFORM_METRICS)
def test_estimates_are_unbiased_and_intervals_cover(draws: dict[str, Draws], name: str) -> None:
    of_metric = draws[f"{name}@{K}"]
    assert len(of_metric.values) == DRAWS
    assert abs(of_metric.bias) < 2
    assert 0.93 <= of_metric.coverage <= 0.97


def test_recall_is_unbiased_for_the_users_it_is_over(draws: dict[str, Draws]) -> None:
    """And not for the plain mean over all users, in which those with few positives count as much as others."""
    assert abs(draws["these users"].bias) < 2
    assert abs(draws["mean over users"].bias) > 3


def test_ranking_the_random_pairs_alone_is_another_thing(population: Population) -> None:
    """The control: recall among a user's own random pairs, which is what this is instead of."""
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(50):
        drawn = population.draw(USERS, rng)
        test = random_pairs(drawn, rng)
        scores = population.taste[drawn.who]
        tops = []
        for user in range(USERS):
            own = test.users == user
            ranked = np.argsort(-scores[user, test.items[own]])[:K]
            if (test.labels[own] > 0).any():
                tops.append((test.labels[own][ranked] > 0).sum() / (test.labels[own] > 0).sum())
        errors.append(np.mean(tops) - population.truth()[f"pooled_recall@{K}"])
    assert standard_errors(np.array(errors)) > 20


def test_estimates_follow_their_definitions() -> None:
    """Two users of six items: lists hold (4, 0) and (1, 2); user 1 had item 5."""
    ids = {"user_ids": [7, 8, 9], "item_ids": list(range(6))}
    train = Interactions.from_arrays([8, 9], [5, 0], **ids)
    test = Interactions.from_arrays(
        [7, 7, 7, 8, 8, 8, 8], [0, 3, 4, 0, 1, 2, 5], labels=[1, 1, 0, 0, 1, 0, 1], **ids
    )
    model = Lists(train, np.array([[4, 0], [1, 2], [1, 2]], dtype=np.int32))
    result = evaluate_uniform(model, test, (1, 2))
    # User 7 has 6 items, 3 random ones, of 2 positives one at place 2; user 8 has 5, 3 that count, one positive at 1.
    assert result.users.tolist() == [7, 8]
    assert result["recall@2"] == pytest.approx((1 / 2 + 1) / 2)
    assert result["recall@1"] == pytest.approx((0 + 1) / 2)
    assert result["pooled_recall@2"] == pytest.approx((6 / 3 + 5 / 3) / (2 * 6 / 3 + 5 / 3))
    assert result["precision@2"] == pytest.approx((6 / 3 / 2 + 5 / 3 / 2) / 2)
    assert result["dcg@2"] == pytest.approx((6 / 3 / math.log2(3) + 5 / 3) / 2)
    assert result.per_user["recall@1"].tolist() == [0, 1]
    assert (result.num_pairs, result.num_positive_pairs, result.num_seen_pairs) == (6, 3, 1)
    assert (result.num_found, result.num_users_with_positive) == (2, 2)
    assert result.share_shown == pytest.approx((3 / 6 + 3 / 5) / 2)
    assert "1 random pairs are of what a user has had already" in str(result)


def test_all_pairs_shown_is_the_truth() -> None:
    """Then the estimates are the metrics of `evaluate`, and have no error."""
    rng = np.random.default_rng(8)
    labels = rng.random((30, ITEMS)) < 0.3
    seen = rng.random((30, ITEMS)) < 0.2
    train = interactions(seen, np.ones_like(seen))
    model = EASE(reg=3.0).fit(train)
    test = interactions(~seen, labels)
    result = pyrec.evaluate_uniform(model, test, (3, 10))
    exact = pyrec.evaluate(model, test, (3, 10))
    for k in (3, 10):
        np.testing.assert_allclose(result.per_user[f"recall@{k}"], exact.per_user[f"recall@{k}"])
        assert result[f"precision@{k}"] == pytest.approx(exact[f"precision@{k}"])
    assert result.share_shown == 1


def test_seen_pairs_may_be_ranked_too() -> None:
    """With filter_seen=False training items are in lists, and random pairs of them count."""
    rng = np.random.default_rng(2)
    seen = rng.random((30, ITEMS)) < 0.2
    train = interactions(seen, np.ones_like(seen))
    model = EASE(reg=3.0).fit(train)
    labels = rng.random((30, ITEMS)) < 0.4
    everything = interactions(np.ones_like(seen), labels)
    result = evaluate_uniform(model, everything, 5, filter_seen=False)
    lists = model.topk(np.arange(30), 5, filter_seen=False)[0].numpy()
    expected = np.take_along_axis(labels, lists.astype(np.int64), axis=1).mean()
    assert result["precision@5"] == pytest.approx(expected)
    assert result.num_seen_pairs == 0


def test_what_else_was_learned_from_is_left_out() -> None:
    rng = np.random.default_rng(4)
    kinds = rng.integers(0, 3, (30, ITEMS))  # training, random ones to learn from, random ones to test
    train, learned = interactions(kinds == 0, kinds == 0), interactions(kinds <= 1, kinds == 1)
    labels = rng.random((30, ITEMS)) < 0.4
    model = EASE(reg=3.0).fit(train)
    shown = interactions(np.ones_like(labels), labels)
    result = evaluate_uniform(model, shown, 5, seen=learned)
    lists = model.topk(np.arange(30), 5, excluded=learned.to_csr())[0].numpy().astype(np.int64)
    assert result["precision@5"] == pytest.approx(np.take_along_axis(labels, lists, axis=1).mean())
    assert result.num_pairs == (kinds == 2).sum()
    assert result.share_shown == 1
    alone = interactions(kinds == 1, kinds == 1)
    ranked = evaluate_uniform(model, shown, 5, seen=alone, filter_seen=False)
    assert ranked.num_pairs == (kinds != 1).sum()
    assert ranked.share_shown == 1


def test_batches_and_seeds(population: Population) -> None:
    rng = np.random.default_rng(6)
    drawn = population.draw(60, rng)
    test = random_pairs(drawn, rng)
    first, same, batched = (
        evaluate_uniform(drawn.model, test, K, batch_size=size) for size in (16_384, 16_384, 7)
    )
    assert first.metrics == same.metrics == batched.metrics
    assert first.intervals == same.intervals == batched.intervals
    other = evaluate_uniform(drawn.model, test, K, seed=1)
    assert other.metrics == first.metrics
    assert other.intervals != first.intervals
    none = evaluate_uniform(drawn.model, test, K, metrics=["recall"], resamples=0)
    assert list(none.metrics) == [f"recall@{K}"]
    assert np.isnan(none.intervals[f"recall@{K}"]).all()


def test_what_is_said_of_few_pairs(population: Population) -> None:
    rng = np.random.default_rng(6)
    drawn = population.draw(4, rng)
    result = evaluate_uniform(drawn.model, random_pairs(drawn, rng), K)
    assert result.num_found < 20
    assert f"so few pairs in the lists, {result.num_found}, tell little" in str(result)
    assert repr(result).startswith("UniformEvaluation(4 users, ")
    nothing = evaluate_uniform(drawn.model, interactions(~drawn.train, np.zeros_like(drawn.train)), K)
    assert np.isnan(nothing[f"recall@{K}"])
    assert np.isnan(nothing.intervals[f"pooled_recall@{K}"]).all()
    assert nothing[f"precision@{K}"] == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ConfigError, "k = 0"),
        ({"k": 41}, DataError, "k = 41 must be at most 40"),
        (
            {"metrics": ["ndcg"]},
            ConfigError,
            "an unbiased estimate of recall, pooled_recall, precision, dcg alone",
        ),
        ({"metrics": []}, ConfigError, r"metrics = \[\]"),
        ({"metrics": "recall"}, ConfigError, "metrics = 'recall' must be a list"),
        ({"batch_size": 0}, ConfigError, "batch_size = 0"),
        ({"resamples": -1}, ConfigError, "resamples = -1"),
        ({"seed": 0.5}, ConfigError, "seed = 0.5"),
        ({"seen": [1]}, DataError, "seen is list"),
    ],
)
def test_bad_arguments(population: Population, arguments, error, message: str) -> None:
    rng = np.random.default_rng(0)
    drawn = population.draw(5, rng)
    with pytest.raises(error, match=message):
        evaluate_uniform(drawn.model, random_pairs(drawn, rng), **arguments)


def test_bad_pairs_and_models(population: Population) -> None:
    rng = np.random.default_rng(0)
    drawn = population.draw(5, rng)
    test = random_pairs(drawn, rng)
    with pytest.raises(DataError, match=r"all \d+ pairs of test are training pairs, so none can be"):
        evaluate_uniform(drawn.model, interactions(drawn.train, drawn.labels))
    with pytest.raises(DataError, match="test is empty"):
        evaluate_uniform(drawn.model, test.select(np.zeros(len(test), dtype=bool)))
    with pytest.raises(DataError, match="methods training_set and topk"):
        evaluate_uniform([], test)
    with pytest.raises(NotFittedError):
        evaluate_uniform(Popularity(), test)
