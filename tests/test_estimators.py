"""Estimates from a log that was not drawn at random, against a population whose every label is known."""

import math

import numpy as np
import pytest
from known_truth import ITEMS, Draws, K, Lists, Population, interactions, standard_errors

import pyrec
from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError, DataWarning, NotFittedError
from pyrec.evaluate import bootstrap, evaluate
from pyrec.evaluate.bootstrap import Statistic, intervals, ratio
from pyrec.evaluate.calibration import platt
from pyrec.evaluate.estimators import ESTIMATED, ESTIMATORS, propensities_of_split
from pyrec.models import EASE, Popularity

DRAWS, USERS = 1000, 300
NAN = float("nan")
NAMES = [f"{name}@{K}" for name in ESTIMATED]


class Known:
    """Propensities that are known, by a method ``of``."""

    clip = 0.1

    def __init__(self, table: np.ndarray) -> None:
        self.table, self.asked = table, []

    def of(self, users, items, labels=None) -> np.ndarray:
        self.asked.append(labels)
        return self.table[users, items].astype(np.float32)


@pytest.fixture(scope="module")
def population() -> Population:
    return Population()


@pytest.fixture(scope="module")
def imputed(population: Population) -> np.ndarray:
    """Probabilities that know something of the labels, and not all."""
    return 1 / (1 + np.exp(1.2 - population.taste)) * 0.8 + 0.05


@pytest.fixture(scope="module")
def draws(population: Population, imputed: np.ndarray) -> dict[tuple[str, str], Draws]:
    """Each estimator's metrics over a thousand draws of users and of their logs, and what the logs say as they are."""
    rng = np.random.default_rng(7)
    truth = population.truth()
    values: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for _ in range(DRAWS):
        drawn = population.draw(USERS, rng)
        observed = (rng.random(drawn.labels.shape) < drawn.propensities) & ~drawn.train
        log = interactions(observed, drawn.labels)
        known = drawn.propensities[log.users, log.items]
        for estimator in ESTIMATORS:
            imputation = imputed[drawn.who] if estimator == "dr" else None
            result = evaluate(
                drawn.model,
                log,
                K,
                propensities=known,
                estimator=estimator,
                imputation=imputation,
                resamples=300,
            )
            for name, value in result.metrics.items():
                values.setdefault((estimator, name), []).append((value, *result.intervals[name]))
                values.setdefault(("naive", name), []).append((result.naive[name], NAN, NAN))
    return {(of, name): Draws(np.array(drawn), truth[name]) for (of, name), drawn in values.items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimates_are_unbiased_and_intervals_cover(draws, estimator: str, name: str) -> None:
    of_metric = draws[estimator, name]
    assert len(of_metric.values) == DRAWS
    assert abs(of_metric.bias) < 2
    assert 0.93 <= of_metric.coverage <= 0.97


@pytest.mark.parametrize("name", NAMES)
def test_what_is_imputed_lowers_the_error(draws, name: str) -> None:
    assert draws["dr", name].error < 0.95 * draws["ips", name].error


@pytest.mark.parametrize("name", NAMES)
def test_the_log_as_it_is_is_biased(draws, name: str) -> None:
    """The control, without which the test above could not fail."""
    assert abs(draws["naive", name].bias) > 50


def test_wrong_propensities_bias_ips_and_not_dr_with_right_imputation(population: Population) -> None:
    rng = np.random.default_rng(5)
    errors: dict[str, list[float]] = {"ips": [], "dr": []}
    for _ in range(100):
        drawn = population.draw(USERS, rng)
        observed = (rng.random(drawn.labels.shape) < drawn.propensities) & ~drawn.train
        log = interactions(observed, drawn.labels)
        exact = (drawn.labels * population.gains[drawn.who] > 0).sum(axis=1).mean() / K
        for estimator, imputation in (("ips", None), ("dr", drawn.labels.astype(float))):
            result = evaluate(
                drawn.model,
                log,
                K,
                propensities=np.full(len(log), 0.15),
                estimator=estimator,
                imputation=imputation,
                resamples=0,
            )
            errors[estimator].append(result[f"precision@{K}"] - exact)
    assert abs(standard_errors(np.array(errors["ips"]))) > 20
    assert np.abs(errors["dr"]).max() < 1e-12


def example() -> tuple[Lists, Interactions]:
    """Lists (4, 0) and (1, 2) of two users of five items, and a third without a pair; user 8 had item 3."""
    ids = {"user_ids": [7, 8, 9], "item_ids": list(range(5))}
    train = Interactions.from_arrays([8], [3], **ids)
    test = Interactions.from_arrays([7, 7, 7, 8, 8], [0, 3, 4, 1, 2], labels=[1, 1, 0, 1, 0], **ids)
    return Lists(train, np.array([[4, 0], [1, 2], [0, -1]], dtype=np.int32)), test


def test_estimates_follow_their_definitions() -> None:
    model, test = example()
    p = np.array([0.5, 0.25, 0.5, 0.2, 0.4])
    w = 1 / p
    ips = pyrec.evaluate(model, test, 2, propensities=p)
    assert ips.estimator == "ips"
    assert ips["precision@2"] == pytest.approx((w[0] + w[3]) / 2 / 3)
    assert ips["dcg@2"] == pytest.approx((w[0] / math.log2(3) + w[3]) / 3)
    assert ips["pooled_recall@2"] == pytest.approx((w[0] + w[3]) / (w[0] + w[1] + w[3]))
    assert ips.per_user["precision@2"].tolist() == pytest.approx([w[0] / 2, w[3] / 2, 0])
    assert ips.naive["pooled_recall@2"] == pytest.approx(2 / 3)
    assert ips.effective_size == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert (ips.num_users, ips.num_users_observed, ips.num_pairs, ips.num_positive_pairs) == (3, 2, 5, 3)
    assert (ips.smallest, ips.clip) == (0.2, 0)

    snips = pyrec.evaluate(model, test, 2, propensities=p, estimator="snips")
    found = (2 + 2 + 1) * (w[0] + w[3]) / (w[0] + w[2] + w[3] + w[4])
    everything = (5 + 4 + 5) * (w[0] + w[1] + w[3]) / w.sum()
    assert snips["precision@2"] == pytest.approx(found / 2 / 3)
    assert snips["pooled_recall@2"] == pytest.approx(found / everything)
    assert snips.per_user == {}

    m = np.arange(15).reshape(3, 5) / 20
    dr = pyrec.evaluate(model, test, 2, propensities=p, estimator="dr", imputation=m)
    found = m[0, [4, 0]].sum() + m[1, [1, 2]].sum() + m[2, 0]
    found += (1 - m[0, 0]) * w[0] + (0 - m[0, 4]) * w[2] + (1 - m[1, 1]) * w[3] + (0 - m[1, 2]) * w[4]
    everything = m.sum() - m[1, 3] + ((test.labels > 0) - m[test.users, test.items]) @ w
    assert dr["precision@2"] == pytest.approx(found / 2 / 3)
    assert dr["pooled_recall@2"] == pytest.approx(found / everything)
    assert dr.imputed_by == "a given array"


def test_propensities_of_one_are_the_metrics_of_all_pairs() -> None:
    rng = np.random.default_rng(8)
    labels, seen = rng.random((30, ITEMS)) < 0.3, rng.random((30, ITEMS)) < 0.2
    model = EASE(reg=3.0).fit(interactions(seen, np.ones_like(seen)))
    test = interactions(~seen, labels)
    exact = evaluate(model, test, (3, 10))
    for estimator in ESTIMATORS:
        result = evaluate(model, test, (3, 10), propensities=np.ones(len(test)), estimator=estimator)
        for k in (3, 10):
            assert result[f"precision@{k}"] == pytest.approx(exact[f"precision@{k}"], rel=1e-12)
        assert result.effective_size == len(test)


def test_propensities_come_as_an_object_or_as_an_array(population: Population) -> None:
    rng = np.random.default_rng(1)
    drawn = population.draw(60, rng)
    log = interactions((rng.random(drawn.labels.shape) < drawn.propensities) & ~drawn.train, drawn.labels)
    known = Known(np.maximum(drawn.propensities, 0.1))
    by_object = evaluate(drawn.model, log, K, propensities=known, estimator="snips")
    by_array = evaluate(
        drawn.model,
        log,
        K,
        propensities=known.table[log.users, log.items].astype(np.float32),
        estimator="snips",
    )
    assert by_object.metrics == by_array.metrics
    assert by_object.intervals == by_array.intervals
    np.testing.assert_array_equal(known.asked[0], log.labels)
    clipped = (drawn.propensities[log.users, log.items] <= 0.1).sum()
    assert (by_object.clip, by_object.num_clipped) == (0.1, clipped)
    assert f"{clipped} propensities were raised to 0.1" in str(by_object)
    assert "raised" not in str(by_array)


def test_propensities_are_estimated_by_debias(population: Population) -> None:
    """The way from a log to an estimate: what is estimated by item comes much nearer than the log as it is."""
    debias = pytest.importorskip("pyrec.debias")
    rng = np.random.default_rng(2)
    drawn = population.draw(400, rng)
    observed = (rng.random(drawn.labels.shape) < drawn.propensities) & ~drawn.train
    log = interactions(observed, drawn.labels)
    shown = interactions(rng.random(observed.shape) < 0.2, drawn.labels)
    p = debias.propensities(log, shown, method="naive-bayes")
    result = evaluate(drawn.model, log, K, propensities=p, estimator="ips")
    truth = population.truth()[f"pooled_recall@{K}"]
    assert result.effective_size < result.num_pairs
    assert np.isfinite(result[f"pooled_recall@{K}"])
    assert abs(result[f"precision@{K}"] - population.truth()[f"precision@{K}"]) < abs(
        result.naive[f"precision@{K}"] - population.truth()[f"precision@{K}"]
    )
    assert 0 < truth < 1


def test_a_test_part_has_its_own_propensities() -> None:
    """Of a log of which a share is drawn for the test, given that a pair is not in training."""
    rng = np.random.default_rng(3)
    p = rng.uniform(0.1, 1, 200_000)
    observed, tested = rng.random(p.size) < p, rng.random(p.size) < 0.2
    not_trained = ~(observed & ~tested)
    for low, high in ((0.1, 0.2), (0.5, 0.6), (0.9, 1)):
        group = (p > low) & (p < high)
        share = (observed & tested & group).sum() / (not_trained & group).sum()
        assert propensities_of_split(p[group], 0.2).mean() == pytest.approx(share, abs=0.02)
    assert propensities_of_split([0.3, 1.0], 1.0).tolist() == [0.3, 1.0]


# What is imputed


def test_a_function_and_an_array_impute_alike(population: Population, imputed: np.ndarray) -> None:
    drawn = population.draw(60, np.random.default_rng(1))
    observed = (np.random.default_rng(2).random(drawn.labels.shape) < drawn.propensities) & ~drawn.train
    log = interactions(observed, drawn.labels)
    table = imputed[drawn.who]
    results = [
        evaluate(drawn.model, log, K, propensities=np.full(len(log), 0.4), estimator="dr", imputation=one)
        for one in (table, lambda users, items: table[users, items])
    ]
    assert results[0].metrics == results[1].metrics
    assert results[1].imputed_by == "a given function"


def test_a_model_imputes_by_scores_calibrated_on_the_other_half() -> None:
    rng = np.random.default_rng(8)
    labels, seen = rng.random((30, ITEMS)) < 0.3, rng.random((30, ITEMS)) < 0.2
    train = interactions(seen, np.ones_like(seen))
    model, other = EASE(reg=3.0).fit(train), Popularity().fit(train)
    log = interactions(~seen & (rng.random(seen.shape) < 0.5), labels)
    p = rng.uniform(0.3, 0.7, len(log))
    table = np.empty(labels.shape)
    users, items = np.divmod(np.arange(30 * ITEMS), ITEMS)
    scores = other.pair_scores(log.users, log.items)
    for half in (0, 1):
        rest = log.users % 2 != half
        fit = platt(scores[rest], log.labels[rest], weights=1 / p[rest])
        all_of_them = fit.probabilities(other.pair_scores(users, items)).reshape(labels.shape)
        table[half::2] = all_of_them[half::2]
    by_model, by_table = (
        evaluate(model, log, 5, propensities=p, estimator="dr", imputation=one) for one in (other, table)
    )
    for name, value in by_model.metrics.items():
        assert value == pytest.approx(by_table[name], rel=1e-9)
    assert "calibrated for each half of the users on the other half" in str(by_model)
    itself, named = (
        evaluate(model, log, 5, propensities=p, estimator="dr", imputation=one) for one in (None, model)
    )
    assert itself.metrics == named.metrics != by_model.metrics


def test_weights_of_a_calibration_are_repeats() -> None:
    scores, labels, times = np.array([0.1, 0.4, 0.2, 0.9]), np.array([0, 1, 1, 0]), [1, 3, 2, 4]
    weighted = platt(scores, labels, smoothing=False, weights=times)
    repeated = platt(np.repeat(scores, times), np.repeat(labels, times), smoothing=False)
    assert (weighted.slope, weighted.intercept) == pytest.approx(
        (repeated.slope, repeated.intercept), rel=1e-6
    )
    with pytest.raises(DataError, match=r"weights\[1\] = 0"):
        platt(scores, labels, weights=[1, 0, 1, 1])
    with pytest.raises(DataError, match="weights has 2 entries for 4 pairs"):
        platt(scores, labels, weights=[1, 1])


# Intervals


def test_intervals_are_those_of_scipy() -> None:
    """BCa, of a mean and of a ratio of skewed values, to what the random draws differ by."""
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    columns = rng.exponential(size=(80, 2)) ** 2
    of = {
        "mean": Statistic(columns[:, :1] / 80, lambda sums: sums[..., 0]),
        "ratio": Statistic(columns, ratio),
    }
    ours = intervals(of, resamples=20_000)
    mean = stats.bootstrap((columns[:, 0],), np.mean, n_resamples=20_000, rng=rng).confidence_interval
    other = stats.bootstrap(
        (columns[:, 0], columns[:, 1]),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        n_resamples=20_000,
        rng=rng,
    ).confidence_interval
    assert tuple(ours["mean"]) == pytest.approx((mean.low, mean.high), rel=0.02)
    assert tuple(ours["ratio"]) == pytest.approx((other.low, other.high), rel=0.02)


def test_intervals_at_the_ends() -> None:
    same = intervals({"x": Statistic(np.ones((5, 1)), lambda sums: sums[..., 0])}, resamples=50)
    assert same["x"] == (5, 5)
    sometimes = intervals({"x": Statistic(np.array([[1.0, 1.0], [0.0, 0.0]]), ratio)}, resamples=200)
    assert np.isnan(sometimes["x"]).all()
    none = intervals({"x": Statistic(np.ones((5, 1)), lambda sums: sums[..., 0])}, resamples=0)
    assert np.isnan(none["x"]).all()


def test_intervals_of_more_users_than_are_drawn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    of = {"x": Statistic(np.random.default_rng(0).normal(size=(50, 2)) + 5, ratio)}
    whole = intervals(of, resamples=100, seed=3)
    monkeypatch.setattr(bootstrap, "DRAWN_AT_A_TIME", 120)
    assert intervals(of, resamples=100, seed=3)["x"] == pytest.approx(whole["x"], rel=1e-12)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"propensities": [0.5, 0.0, 0.5, 0.5, 0.5]},
            DataError,
            r"propensities\[1\] = 0.0, but .* clip estimates",
        ),
        (
            {"propensities": [0.5, 0.5, NAN, 0.5, 0.5]},
            DataError,
            r"propensities\[2\] = nan, but a finite number",
        ),
        ({"propensities": [0.5, 0.5, 0.5, 1.5, 0.5]}, DataError, r"propensities\[3\] = 1.5"),
        ({"propensities": [-0.5, 0.5, 0.5, 0.5, 0.5]}, DataError, r"propensities\[0\] = -0.5"),
        ({"propensities": [0.5]}, DataError, "propensities has 1 entries for 5 test pairs"),
        ({"propensities": 0.5}, DataError, r"propensities is float64 \(\)"),
        ({"propensities": ["a"]}, DataError, "propensities is <U1"),
        ({"estimator": "isp"}, ConfigError, "estimator = 'isp' is none of ips, snips, dr; did you mean ips"),
        ({"estimator": 3}, ConfigError, "estimator = 3"),
        ({"imputation": np.zeros((3, 5))}, ConfigError, "imputation is for estimator 'dr'"),
        ({"estimator": "dr", "imputation": np.zeros((2, 5))}, DataError, r"imputation is float64 \(2, 5\)"),
        ({"estimator": "dr", "imputation": np.full((3, 5), 2.0)}, DataError, "imputation of user .* is 2.0"),
        ({"estimator": "dr", "imputation": lambda *_: [0.5]}, DataError, "imputation gave 1 numbers"),
        ({"estimator": "dr", "imputation": "x"}, DataError, "imputation is a str, but a model"),
        ({"estimator": "dr"}, DataError, "imputation is a Lists, but a model with pair_scores"),
        ({"metrics": ["ndcg"]}, ConfigError, "corrected for precision, pooled_recall, dcg alone"),
        ({"metrics": "dcg"}, ConfigError, "metrics = 'dcg' must be a list"),
        ({"resamples": -1}, ConfigError, "resamples = -1"),
        ({"batch_size": 0}, ConfigError, "batch_size = 0"),
        ({"k": 6}, DataError, "k = 6 must be at most 5"),
        ({"propensities": None, "estimator": "ips"}, ConfigError, "give propensities, too"),
        ({"candidates": 5}, ConfigError, "candidates and propensities exclude each other"),
    ],
)
def test_bad_arguments(arguments, error, message: str) -> None:
    model, test = example()
    with pytest.raises(error, match=message):
        evaluate(model, test, **({"k": 2, "propensities": np.full(5, 0.5)} | arguments))


def test_logs_of_positives_alone() -> None:
    """IPS needs no negatives; the others do, for what is not there may be either."""
    model, test = example()
    liked = test.select(test.labels > 0)
    result = evaluate(model, liked, 2, propensities=[0.5, 0.25, 0.2])
    assert result["pooled_recall@2"] == pytest.approx((2 + 5) / (2 + 4 + 5))
    for estimator in ("snips", "dr"):
        with pytest.raises(DataError, match=f"test has no negative, which estimator '{estimator}' needs"):
            evaluate(model, liked, 2, propensities=[0.5, 0.25, 0.2], estimator=estimator)


def test_pairs_of_training_do_not_count() -> None:
    model, test = example()
    ids = {"user_ids": [7, 8, 9], "item_ids": list(range(5))}
    more = Interactions.from_arrays(
        [*[7] * 3, *[8] * 3], [0, 3, 4, 1, 2, 3], labels=[1, 1, 0, 1, 0, 1], **ids
    )
    with pytest.warns(DataWarning, match="1 of 6 test pairs are training pairs"):
        result = evaluate(model, more, 2, propensities=np.full(6, 0.5))
    assert result.num_seen_pairs == 1
    assert result.metrics == evaluate(model, test, 2, propensities=np.full(5, 0.5)).metrics
    assert "1 test pairs are training pairs" in str(result)


def test_nothing_observed_in_the_lists() -> None:
    model, test = example()
    away = test.select(test.items == 3)
    with pytest.raises(DataError, match="no negative"):
        evaluate(model, away, 1, propensities=[0.5], estimator="snips")
    ids = {"user_ids": [7, 8, 9], "item_ids": list(range(5))}
    away = Interactions.from_arrays([7, 7], [2, 3], labels=[0, 1], **ids)
    result = evaluate(model, away, 2, propensities=[0.5, 0.5], estimator="snips")
    assert np.isnan(result["precision@2"])
    assert "a metric is NaN where no test pair is in any list" in str(result)
    assert repr(result).startswith("Estimation(snips; 3 users, 2 pairs: precision@2 nan")


def test_models_that_are_none() -> None:
    _, test = example()
    with pytest.raises(DataError, match="methods training_set and topk"):
        evaluate([], test, propensities=np.full(5, 0.5))
    with pytest.raises(NotFittedError):
        evaluate(EASE(), test, propensities=np.full(5, 0.5))
