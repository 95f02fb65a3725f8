"""Evaluation against its formulas, written out user by user."""

import math

import numpy as np
import pytest
import torch

from pyrec.data import Interactions
from pyrec.data.split import split_random
from pyrec.data.synthetic import synthetic
from pyrec.errors import ConfigError, DataError, DataWarning
from pyrec.evaluate import ITEM_METRICS, USER_METRICS, Evaluation, evaluate
from pyrec.evaluate.counts import EvaluationCounts
from pyrec.models import EASE, Popularity, Recommender

K = (1, 5, 12)
SEEN = pytest.mark.filterwarnings("ignore:.*are in the training set too:pyrec.DataWarning")


@pytest.fixture(scope="module")
def parts() -> tuple[Interactions, Interactions]:
    train, test = split_random(synthetic(50, 40, interactions_per_user=8, num_groups=4), 0.7)
    return train, test.select(test.users % 5 != 0)  # some users without test items


@pytest.fixture(scope="module")
def model(parts: tuple[Interactions, Interactions]) -> Recommender:
    return EASE(reg=5.0).fit(parts[0])


def lists_of(model: Recommender, test: Interactions) -> dict[int, list[int]]:
    users = np.unique(test.users)
    ids, _ = model.topk(users, max(K))
    return dict(zip(users.tolist(), ids.tolist(), strict=True))


def test_accuracy_follows_the_formulas(model: Recommender, parts: tuple[Interactions, Interactions]) -> None:
    _, test = parts
    result = evaluate(model, test, K)
    lists = lists_of(model, test)
    assert result.num_users == len(lists) == len(result.users) < 50
    for k in K:
        expected: dict[str, list[float]] = {name: [] for name in USER_METRICS}
        for user, ranked in lists.items():
            relevant = set(test.items[test.users == user].tolist())
            hits = [item in relevant for item in ranked[:k]]
            best = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
            gain = sum(hit / math.log2(place + 1) for place, hit in enumerate(hits, 1))
            precisions = [sum(hits[:place]) / place for place in range(1, k + 1) if hits[place - 1]]
            expected["precision"].append(sum(hits) / k)
            expected["recall"].append(sum(hits) / len(relevant))
            expected["ndcg"].append(gain / best)
            expected["hit"].append(float(any(hits)))
            expected["mrr"].append(1 / (hits.index(True) + 1) if any(hits) else 0.0)
            expected["map"].append(sum(precisions) / min(k, len(relevant)))
        for name in USER_METRICS:
            np.testing.assert_allclose(result.per_user[f"{name}@{k}"], expected[name], rtol=1e-12)
            assert result[f"{name}@{k}"] == pytest.approx(np.mean(expected[name]), rel=1e-12)


def test_exposure_follows_the_formulas(model: Recommender, parts: tuple[Interactions, Interactions]) -> None:
    train, test = parts
    result = evaluate(model, test, K)
    lists = lists_of(model, test)
    users_of = [int((train.items == item).sum()) for item in range(train.num_items)]
    for k in K:
        shown = [item for ranked in lists.values() for item in ranked[:k] if item >= 0]
        counts = sorted(shown.count(item) for item in range(train.num_items))
        bits = [-math.log2(max(users_of[item], 1) / train.num_users) for item in shown]
        pairs = sum(abs(a - b) for a in counts for b in counts)  # Gini: half the relative mean difference
        assert result[f"coverage@{k}"] == pytest.approx(len(set(shown)) / train.num_items)
        assert result[f"popularity@{k}"] == pytest.approx(np.mean([users_of[item] for item in shown]))
        assert result[f"novelty@{k}"] == pytest.approx(np.mean(bits))
        assert result[f"gini@{k}"] == pytest.approx(pairs / (2 * len(counts) * sum(counts)))


def test_training_items_are_never_recommended() -> None:
    train = Interactions.from_arrays([0, 0, 1, 1], [0, 1, 1, 2], item_ids=[0, 1, 2, 3], user_ids=[0, 1])
    test = Interactions.from_arrays([0, 1], [2, 0], item_ids=[0, 1, 2, 3], user_ids=[0, 1])
    assert evaluate(Popularity().fit(train), test, 1)["recall@1"] == 1.0


@SEEN
def test_places_of_short_lists_count_nowhere() -> None:
    ids = {"user_ids": [0, 1], "item_ids": [0, 1, 2]}
    train = Interactions.from_arrays([0, 0, 0, 1], [0, 1, 2, 0], **ids)
    test = Interactions.from_arrays([0, 1], [1, 1], **ids)
    result = evaluate(Popularity().fit(train), test, 3)
    assert result["precision@3"] == pytest.approx(1 / 6)  # user 0 has nothing left, user 1 finds 1 in 3
    assert result["coverage@3"] == pytest.approx(2 / 3)
    assert result["gini@3"] == pytest.approx(1 / 3)  # counts 0, 1, 1
    assert result.lists[0].tolist() == [-1, -1, -1]
    assert sorted(result.lists[1].tolist()) == [-1, 1, 2]


@SEEN
def test_a_user_who_has_everything_alone() -> None:
    everything = Interactions.from_arrays([0, 0], [0, 1])
    result = evaluate(Popularity().fit(everything), everything, 1)
    assert set(result.metrics.values()) == {0.0}


def test_names_and_order_of_the_metrics(model: Recommender, parts: tuple[Interactions, Interactions]) -> None:
    _, test = parts
    names = [f"{name}@{k}" for k in (2, 9) for name in (*USER_METRICS, *ITEM_METRICS)]
    assert list(evaluate(model, test, [9, 2, 9]).metrics) == names
    chosen = evaluate(model, test, 3, metrics=["gini", "recall"])
    assert list(chosen.metrics) == ["gini@3", "recall@3"]
    assert list(chosen.per_user) == ["recall@3"]
    assert chosen.seconds > 0


def test_batches_change_nothing(model: Recommender, parts: tuple[Interactions, Interactions]) -> None:
    _, test = parts
    assert evaluate(model, test, K, batch_size=7).metrics == evaluate(model, test, K).metrics


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ConfigError, "k = 0 must be at least 1"),
        ({"k": (5, -1)}, ConfigError, "k = -1"),
        ({"k": []}, ConfigError, "k is empty"),
        ({"k": 2.5}, ConfigError, "k = 2.5 must be a whole number"),
        ({"k": 1025}, ConfigError, "k = 1025 must be at most 1024"),
        ({"k": 41}, DataError, "k = 41 must be at most 40, the number of items"),
        ({"metrics": ["recall", "auc"]}, ConfigError, "auc.*known are precision"),
        ({"metrics": []}, ConfigError, "known are"),
        (
            {"metrics": "recall"},
            ConfigError,
            r"metrics = 'recall' must be a list, such as \['recall', 'ndcg'\]",
        ),
        ({"metrics": 5}, ConfigError, "metrics = 5 must be a list"),
        ({"batch_size": 0}, ConfigError, "batch_size = 0"),
    ],
)
def test_bad_arguments(model: Recommender, parts, arguments, error, message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate(model, parts[1], **arguments)


def test_an_empty_test_set(model: Recommender, parts: tuple[Interactions, Interactions]) -> None:
    _, test = parts
    with pytest.raises(DataError, match="test is empty"):
        evaluate(model, test.select(np.zeros(len(test), dtype=bool)))


@pytest.mark.parametrize(
    ("numbered", "message"),
    [
        ({"user_ids": np.arange(50) + 1}, "test's user number 0 is 1, the model's is 0; split one"),
        ({"item_ids": [*range(39), 99]}, "test's item number 39 is 99, the model's is 39"),
        ({"item_ids": [f"i{n:02}" for n in range(40)]}, "test's item number 0 is 'i00', the model's is 0"),
    ],
)
def test_as_many_others_are_not_taken_for_the_models(model: Recommender, numbered, message: str) -> None:
    ids = {"user_ids": np.arange(50), "item_ids": np.arange(40)} | numbered
    users, items = (np.array(ids[name])[:3] for name in ("user_ids", "item_ids"))
    with pytest.raises(DataError, match=message):
        evaluate(model, Interactions.from_arrays(users, items, **ids))


def test_a_test_set_of_other_users(model: Recommender) -> None:
    with pytest.raises(DataError, match=r"test has 2 users x 1 items, the model 50 x 40"):
        evaluate(model, Interactions.from_arrays([0, 1], [0, 0]))


# Who the means are over

USERS, ITEMS = ["ann", "bob", "eve", "max", "zoe"], ["p", "q", "r", "s", "t"]


def ids_apart(pairs: str) -> Interactions:
    """Interactions of the users and items above, from words such as ``ann-p``."""
    users, items = zip(*(pair.split("-") for pair in pairs.split()), strict=True)
    return Interactions.from_arrays(users, items, user_ids=USERS, item_ids=ITEMS)


@pytest.fixture
def cold() -> Evaluation:
    """Popularity, measured on two users with a history and two without.

    By users p and q have 2, r has 1, s and t none. The lists of two are ann r s, bob q s, and p q for eve and zoe.
    """
    train = ids_apart("ann-p ann-q bob-p bob-r max-q")
    test = ids_apart("ann-r bob-s bob-t eve-p zoe-t")
    return evaluate(Popularity().fit(train), test, 2)


def test_cold_users_are_counted_and_have_a_mean_of_their_own(cold: Evaluation) -> None:
    bob = (1 / math.log2(3)) / (1 + 1 / math.log2(3))  # found at the second place, of two to find
    expected = {
        "precision@2": ((1 / 2 + 1 / 2 + 1 / 2 + 0) / 4, (1 / 2 + 1 / 2) / 2),
        "recall@2": ((1 + 1 / 2 + 1 + 0) / 4, (1 + 1 / 2) / 2),
        "ndcg@2": ((1 + bob + 1 + 0) / 4, (1 + bob) / 2),
        "mrr@2": ((1 + 1 / 2 + 1 + 0) / 4, (1 + 1 / 2) / 2),
        "coverage@2": (4 / 5, 3 / 5),
        "popularity@2": ((1 + 0 + 2 + 0 + 2 + 2 + 2 + 2) / 8, (1 + 0 + 2 + 0) / 4),
    }
    for name, (over_all, over_warm) in expected.items():
        assert cold[name] == pytest.approx(over_all), name
        assert cold.warm_metrics[name] == pytest.approx(over_warm), name
    assert list(cold.warm_metrics) == list(cold.metrics)
    assert dict(zip(cold.users.tolist(), cold.is_warm.tolist(), strict=True)) == {
        "ann": True,
        "bob": True,
        "eve": False,
        "zoe": False,
    }
    assert cold.counts == EvaluationCounts(
        num_users=4,
        num_cold_users=2,
        num_users_without_test=1,
        num_interactions=5,
        num_items=4,
        num_cold_items=2,
        num_cold_interactions=3,
        num_seen_interactions=0,
    )


def test_an_evaluation_tells_who_it_is_over(cold: Evaluation) -> None:
    lines = str(cold).splitlines()
    assert lines[0].split() == ["metric", "4", "users", "2", "warm", "ones"]
    assert lines[2].split() == ["recall@2", "0.6250", "0.7500"]
    assert [line for line in lines if line.startswith("note: ")] == [f"note: {note}" for note in cold.notes]
    assert cold.notes[0].startswith("2 of 4 test users are cold: they have no training interaction")
    assert cold.notes[1].startswith("3 of 5 test interactions are with 2 cold items of 4: nobody had them")
    assert cold.notes[2:] == ("without cold items recall@2 of the warm users is 1.0000, with them 0.7500",)
    assert repr(cold) == (
        "Evaluation(4 users, 2 of them cold; 4 items, 2 of them cold: precision@2 0.3750, recall@2 0.6250, "
        "ndcg@2 0.5967, ...)"
    )


def test_without_cold_items_the_warm_users_have_a_third_mean(cold: Evaluation) -> None:
    alone = {
        "precision": 1 / 2,
        "recall": 1,
        "ndcg": 1,
        "hit": 1,
        "mrr": 1,
        "map": 1,
    }  # ann-r; all of bob's are cold
    assert cold.warm_item_metrics == {f"{name}@2": value for name, value in alone.items()}
    train = ids_apart("ann-p ann-q bob-p bob-r max-q")
    model = Popularity().fit(train)
    every = evaluate(model, ids_apart("ann-r bob-q eve-p"), 2)
    assert every.warm_item_metrics == {name: every.warm_metrics[name] for name in every.per_user}
    nobody = evaluate(model, ids_apart("ann-s eve-p"), 2)
    assert all(math.isnan(value) for value in nobody.warm_item_metrics.values())


@pytest.mark.filterwarnings("always")
def test_whoever_measures_on_what_was_learned_is_warned_at_their_line() -> None:
    train = ids_apart("ann-p ann-q bob-p bob-r max-q")
    model = EASE().fit(train)
    for measure in (lambda: evaluate(model, train, 2), lambda: model.score(train)):
        with pytest.warns(
            DataWarning, match="5 of 5 test interactions are in the training set too"
        ) as caught:
            measure()
        assert {warning.filename for warning in caught} == {__file__}


def test_without_cold_users_there_is_one_mean(
    model: Recommender, parts: tuple[Interactions, Interactions]
) -> None:
    result = evaluate(model, parts[1], 5, metrics=["recall", "gini"])
    assert result.num_cold_users == 0
    assert result.warm_metrics == result.metrics
    assert result.columns("ease") == {"ease": result.metrics}
    assert "warm" not in result.summary()


def test_if_every_user_is_cold_there_is_no_warm_mean() -> None:
    train, test = ids_apart("ann-p bob-q"), ids_apart("eve-p zoe-q")
    result = evaluate(Popularity().fit(train), test, 1)
    assert result["recall@1"] == 0.5  # the list of both is p
    assert all(math.isnan(value) for value in result.warm_metrics.values())
    assert result.columns("popularity") == {"popularity": result.metrics}
    assert result.notes[0].startswith("2 of 2 test users are cold")


def test_what_cannot_be_found_and_short_lists_are_told() -> None:
    train = ids_apart("ann-p ann-q ann-r ann-s bob-p max-t")
    test = ids_apart("ann-p ann-t bob-q")
    with pytest.warns(
        DataWarning, match=r"1 of 3 test interactions are in .* by pyrec.data.split_random"
    ) as caught:
        result = evaluate(Popularity().fit(train), test, 3)
    assert [warning.filename for warning in caught] == [__file__]
    assert result["recall@3"] == pytest.approx((1 / 2 + 1) / 2)  # ann-p is left out of ann's list: t alone
    assert result["precision@3"] == pytest.approx((1 / 3 + 1 / 3) / 2)
    assert result.counts.num_seen_interactions == 1
    assert result.num_short_lists == 1
    assert result.notes == (
        "1 of 3 test interactions are in the training set too and count as never found",
        "1 of 2 test users have fewer than 3 items left to recommend; precision@3 still divides by 3",
    )


def test_anything_with_two_methods_is_evaluated(
    model: Recommender, parts: tuple[Interactions, Interactions]
) -> None:
    class Wrapped:
        def training_set(self) -> Interactions:
            return model.train_

        def topk(self, user_indices: np.ndarray, k: int) -> tuple[torch.Tensor, torch.Tensor]:
            return model.topk(user_indices, k)

    assert evaluate(Wrapped(), parts[1], K).metrics == evaluate(model, parts[1], K).metrics
    for none in (Wrapped, object(), None):
        with pytest.raises(DataError, match=r"a fitted model is needed.*training_set and topk"):
            evaluate(none, parts[1], K)
