"""Comparing two models: against scipy's own tests, and what does not fit together."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pyrec import EASE, Popularity, evaluate
from pyrec.cli.comparison import _cells
from pyrec.data import Interactions, split_random
from pyrec.data.synthetic import synthetic
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate import Evaluation
from pyrec.evaluate.compare import compare


@pytest.fixture(scope="module")
def measured() -> tuple[Evaluation, Evaluation]:
    train, test = split_random(synthetic(60, 40, interactions_per_user=8, num_groups=4), 0.7)
    metrics = ["recall", "ndcg", "gini"]
    first, second = (evaluate(model.fit(train), test, (3, 7), metrics) for model in (Popularity(), EASE(5.0)))
    return first, second


def test_differences_and_tests(measured: tuple[Evaluation, Evaluation]) -> None:
    first, second = measured
    rows = compare(first, second)
    assert [row.metric for row in rows] == list(first.metrics)
    tested = [row for row in rows if not row.metric.startswith("gini")]
    raw = [stats.ttest_rel(second.per_user[row.metric], first.per_user[row.metric]) for row in tested]
    for row, test in zip(tested, raw, strict=True):
        low, high = test.confidence_interval()
        assert row.difference == pytest.approx(second[row.metric] - first[row.metric])
        assert (row.difference - row.half, row.difference + row.half) == pytest.approx((low, high))
        assert test.pvalue <= row.p_t * (1 + 1e-6)
        assert row.p_t <= min(1, len(tested) * test.pvalue) * (1 + 1e-6)
    smallest = min(test.pvalue for test in raw)
    assert min(row.p_t for row in tested) == pytest.approx(min(1, len(tested) * smallest), rel=1e-6)
    gini = next(row for row in rows if row.metric == "gini@7")
    assert gini.difference == pytest.approx(second["gini@7"] - first["gini@7"])
    assert np.isnan([gini.half, gini.p_t, gini.p_wilcoxon]).all()


def test_users_are_paired_by_id(measured: tuple[Evaluation, Evaluation]) -> None:
    first, second = measured
    order = np.random.default_rng(0).permutation(len(second.users))
    shuffled = replace(
        second,
        users=second.users[order],
        per_user={name: values[order] for name, values in second.per_user.items()},
    )
    for have, expected in zip(compare(first, shuffled), compare(first, second), strict=True):
        np.testing.assert_allclose(
            [have.difference, have.half, have.p_t, have.p_wilcoxon],
            [expected.difference, expected.half, expected.p_t, expected.p_wilcoxon],
            rtol=1e-9,
        )


def test_a_model_against_itself_differs_by_nothing(measured: tuple[Evaluation, Evaluation]) -> None:
    for row in compare(measured[0], measured[0]):
        assert row.difference == 0
        assert row.metric.startswith("gini") or row.p_t == row.p_wilcoxon == 1


def test_what_does_not_fit_is_refused(measured: tuple[Evaluation, Evaluation]) -> None:
    first, second = measured
    with pytest.raises(DataError, match="no metric in common"):
        compare(first, replace(second, metrics={"recall@99": 0.5}))
    other = second.users.copy()
    other[4] = 777
    with pytest.raises(DataError, match=r"are of \d+ and \d+ users, and \d+ is in one of them alone"):
        compare(first, replace(second, users=other))
    with pytest.raises(DataError, match="in one of them alone"):
        compare(first, replace(second, users=second.users.astype(str)))


def test_interactions_without_a_difference_have_no_wilcoxon_error() -> None:
    train = Interactions.from_arrays([0, 0, 1, 1], [0, 1, 1, 2], item_ids=[0, 1, 2, 3], user_ids=[0, 1])
    test = Interactions.from_arrays([0, 1], [2, 0], item_ids=[0, 1, 2, 3], user_ids=[0, 1])
    one = evaluate(Popularity().fit(train), test, 1)
    assert {row.p_t for row in compare(one, one) if row.metric in one.per_user} == {1.0}


def test_one_test_user_has_no_interval_and_no_test() -> None:
    train = Interactions.from_arrays([0, 0, 1, 1], [0, 1, 1, 2], item_ids=[0, 1, 2, 3], user_ids=[0, 1])
    test = Interactions.from_arrays([0], [2], item_ids=[0, 1, 2, 3], user_ids=[0, 1])
    first, second = (evaluate(model.fit(train), test, 1) for model in (Popularity(), EASE(5.0)))
    for row in compare(first, second):
        assert np.isnan([row.half, row.p_t, row.p_wilcoxon]).all()
        assert _cells(row)[4] == ""
        assert _cells(row)[6:] == ["", ""]


# Warm users


@pytest.fixture(scope="module")
def half_cold(measured: tuple[Evaluation, Evaluation]) -> tuple[Evaluation, Evaluation]:
    """The two evaluations, as if every second user had no training interaction."""
    is_warm = np.arange(measured[0].num_users) % 2 == 0
    first, second = (
        replace(one, is_warm=is_warm, warm_metrics={name: at + len(name) for name in one.metrics})
        for at, one in enumerate(measured)
    )
    return first, second


def test_warm_users_alone_are_compared(half_cold: tuple[Evaluation, Evaluation]) -> None:
    first, second = half_cold
    rows = {row.metric: row for row in compare(first, second, users="warm")}
    assert list(rows) == list(first.metrics)
    ours, theirs = (one.per_user["ndcg@7"][::2] for one in (second, first))
    test = stats.ttest_rel(ours, theirs)
    assert rows["ndcg@7"].num_users == len(ours)
    assert rows["ndcg@7"].first == pytest.approx(theirs.mean())
    assert rows["ndcg@7"].second == pytest.approx(ours.mean())
    row = rows["ndcg@7"]
    low, high = test.confidence_interval()
    assert (row.difference - row.half, row.difference + row.half) == pytest.approx((low, high))
    assert rows["gini@7"].first == first.warm_metrics["gini@7"]
    assert rows["gini@7"].difference == pytest.approx(1)
    assert {row.num_users for row in compare(first, second)} == {first.num_users}


def test_models_that_differ_in_who_is_warm_are_compared_over_the_common_users(
    half_cold: tuple[Evaluation, Evaluation],
) -> None:
    first, second = half_cold
    third = np.arange(first.num_users) % 3 == 0
    rows = compare(first, replace(second, is_warm=third), users="warm")
    assert [row.metric for row in rows] == [
        "recall@3",
        "ndcg@3",
        "recall@7",
        "ndcg@7",
    ]  # gini is of other lists
    both = np.arange(first.num_users) % 6 == 0
    assert rows[0].num_users == both.sum()
    assert rows[0].first == pytest.approx(first.per_user["recall@3"][both].mean())
    assert rows[0].second == pytest.approx(second.per_user["recall@3"][both].mean())


def test_nobody_warm_in_both_and_an_unknown_choice_are_refused(
    half_cold: tuple[Evaluation, Evaluation],
) -> None:
    first, second = half_cold
    with pytest.raises(DataError, match="no test user has training interactions of both models"):
        compare(first, replace(second, is_warm=~first.is_warm), users="warm")
    with pytest.raises(ConfigError, match="users = 'cold' is neither 'all' nor 'warm'"):
        compare(first, second, users="cold")  # type: ignore[arg-type]
