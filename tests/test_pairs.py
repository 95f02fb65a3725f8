"""Metrics of labelled pairs against their definitions, pair by pair and user by user."""

import math
import warnings
from itertools import product

import numpy as np
import pytest

import pyrec
from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError, DataWarning, NotFittedError
from pyrec.evaluate.calibration import platt, reliability
from pyrec.evaluate.compare import compare
from pyrec.evaluate.pair_metrics import falling_order
from pyrec.evaluate.pairs import PAIR_METRICS, auc, evaluate_pairs, log_loss, pair_ndcg, user_auc
from pyrec.evaluate.significance import mean_and_half, paired_t
from pyrec.models import EASE, Popularity

USERS, ITEMS = 60, 25
NAN = float("nan")


class Table:
    """Scores that stand in a table, as a constant's or a propensity model's may."""

    def __init__(self, train: Interactions, scores: np.ndarray) -> None:
        self.train, self.scores = train, scores

    def training_set(self) -> Interactions:
        return self.train

    def pair_scores(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self.scores[users, items]


def labelled(cells: np.ndarray, labels: np.ndarray) -> Interactions:
    users, items = np.divmod(cells, ITEMS)
    ids = {"user_ids": [f"u{user}" for user in range(USERS)], "item_ids": list(range(ITEMS))}
    names = [f"u{user}" for user in users.tolist()]
    return Interactions.from_arrays(names, items, labels=labels, **ids)


@pytest.fixture(scope="module")
def parts() -> tuple[Interactions, Interactions, Interactions]:
    """Training, test and validation pairs; some test users have one label alone, one has no training pair."""
    rng = np.random.default_rng(5)
    cells = rng.permutation((USERS - 4) * ITEMS)
    labels = np.where(rng.random(len(cells)) < 0.25, 1, -1)
    test = cells[400:700]
    told = labels[400:700].copy()
    told[test // ITEMS < 6] = -1
    told[(test // ITEMS >= 6) & (test // ITEMS < 8)] = 1
    train = cells[:400][cells[:400] // ITEMS != 20]
    return (
        labelled(train, labels[:400][cells[:400] // ITEMS != 20]),
        labelled(test, told),
        labelled(cells[700:800], labels[700:800]),
    )


@pytest.fixture(scope="module")
def model(parts: tuple[Interactions, Interactions, Interactions]) -> Table:
    """Scores of few values, so that many are equal."""
    table = np.random.default_rng(6).integers(-3, 4, (USERS, ITEMS)) / 2
    return Table(parts[0], table.astype(np.float32))


def auc_by_definition(scores: np.ndarray, labels: np.ndarray) -> float:
    positive, negative = scores[labels > 0].tolist(), scores[labels <= 0].tolist()
    if not positive or not negative:
        return NAN
    won = sum((p > n) + (p == n) / 2 for p, n in product(positive, negative))
    return won / (len(positive) * len(negative))


def ndcg_by_definition(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    ranked = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
    gain = sum((labels[at] > 0) / math.log2(place + 2) for place, at in enumerate(ranked[:k]))
    best = sum(1 / math.log2(place + 2) for place in range(min(k, int((labels > 0).sum()))))
    return gain / best if best else NAN


def test_metrics_follow_their_definitions(model: Table, parts) -> None:
    train, test, _ = parts
    names = (*PAIR_METRICS, "ndcg@1", "ndcg@40", "ndcg_all@3")
    result = evaluate_pairs(model, test, names)
    scores = model.pair_scores(test.users, test.items)
    of_user = [
        (scores[test.users == user], test.labels[test.users == user]) for user in np.unique(test.users)
    ]
    aucs = np.array([auc_by_definition(*pairs) for pairs in of_user])
    assert 0 < np.isnan(aucs).sum() < len(aucs) == result.num_users
    np.testing.assert_array_equal(result.per_user["user_auc"], aucs)
    assert result["user_auc"] == pytest.approx(np.nanmean(aucs), rel=1e-12)
    assert result["auc"] == auc_by_definition(scores, test.labels)
    for k in (1, 5, 40):
        ndcgs = np.array([ndcg_by_definition(*pairs, k) for pairs in of_user])
        np.testing.assert_allclose(result.per_user[f"ndcg@{k}"], ndcgs, rtol=1e-12)
        assert result[f"ndcg@{k}"] == pytest.approx(np.nanmean(ndcgs), rel=1e-12)
    for k in (3, 5):
        ndcgs = [ndcg_by_definition(*pairs, k) for pairs in of_user]
        everybody = np.mean([1.0 if np.isnan(value) else value for value in ndcgs])
        assert result[f"ndcg_all@{k}"] == pytest.approx(everybody, rel=1e-12)
        assert result.per_user[f"ndcg_all@{k}"].mean() == pytest.approx(everybody, rel=1e-12)
    losses = [
        math.log(1 + math.exp(-label * score)) for label, score in zip(test.labels, scores, strict=True)
    ]
    assert result["log_loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    by_user = [np.mean(np.array(losses)[test.users == user]) for user in np.unique(test.users)]
    np.testing.assert_allclose(result.per_user["log_loss"], by_user, rtol=1e-6)
    assert result.users.tolist() == train.user_ids[np.unique(test.users)].tolist()
    assert result.seconds > 0


def test_counts_follow_their_definitions(model: Table, parts) -> None:
    train, test, _ = parts
    counts = evaluate_pairs(model, test).counts
    scores = model.pair_scores(test.users, test.items)
    positive, negative = scores[test.labels > 0], scores[test.labels <= 0]
    of_user = [test.labels[test.users == user] > 0 for user in np.unique(test.users)]
    assert counts.num_ties == sum(p == n for p, n in product(positive, negative)) > 0
    assert (counts.num_pairs, counts.num_positive_pairs) == (len(test), len(positive))
    assert counts.base_rate == len(positive) / len(test)
    assert counts.num_users == len(of_user)
    assert counts.num_users_with_positive == sum(labels.any() for labels in of_user) < len(of_user)
    assert counts.num_users_with_both == sum(labels.any() and not labels.all() for labels in of_user)
    assert counts.num_cold_users == 1
    cold_items = set(range(ITEMS)) - set(train.items.tolist())
    assert counts.num_cold_pairs == sum(
        user == 20 or item in cold_items for user, item in zip(test.users, test.items, strict=True)
    )
    assert counts.num_seen_pairs == 0


def test_arrays_and_models_have_the_same_metrics(model: Table, parts) -> None:
    _, test, _ = parts
    result = evaluate_pairs(model, test)
    scores, labels = result.scores, result.is_positive
    shuffled = np.random.default_rng(0).permutation(len(test))
    assert auc(scores[shuffled], test.labels[shuffled]) == auc(scores, labels.astype(int)) == result["auc"]
    np.testing.assert_array_equal(user_auc(scores, labels, test.users), result.per_user["user_auc"])
    np.testing.assert_array_equal(
        user_auc(scores[shuffled], labels[shuffled], test.users[shuffled]), result.per_user["user_auc"]
    )
    np.testing.assert_array_equal(pair_ndcg(scores, labels, test.users), result.per_user["ndcg@5"])
    assert log_loss(scores, labels) == result["log_loss"]


def test_auc_is_that_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    scores = rng.normal(size=5000).round(2)
    labels = rng.random(5000) < 1 / (1 + np.exp(-scores))
    assert auc(scores, labels) == pytest.approx(sklearn.roc_auc_score(labels, scores), rel=1e-14)


def test_equal_scores() -> None:
    """A constant has AUC one half, and ranks by smaller item id."""
    assert auc([2, 2, 2, 2], [1, 0, 0, 1]) == 0.5
    assert auc([0.0, -0.0], [1, 0]) == 0.5
    assert pair_ndcg([1, 1, 1], [0, 1, 0], [7, 7, 7], 2).tolist() == [1 / math.log2(3)]
    assert user_auc([1, 1, 2], [1, 0, 1], [0, 0, 9]).tolist() == pytest.approx([0.5, NAN], nan_ok=True)


def test_auc_is_exact_where_float32_is_not() -> None:
    """Counts of comparisons beyond 2^32, of which one is lost."""
    scores = np.arange(140_000)
    labels = scores >= 70_000
    labels[[69_999, 70_000]] = True, False
    assert auc(scores, labels) == (70_000**2 - 1) / 70_000**2 < 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_are_ordered_as_by_a_stable_sort(dtype) -> None:
    """Of both signs, zeros of both, subnormal ones and the ends of float32."""
    ends = np.array([0.0, -0.0, 1e-45, -1e-45, 3e38, -3e38, 1, -1], dtype=np.float32)
    scores = np.random.default_rng(4).choice(np.r_[ends, np.linspace(-2, 2, 9)], 500).astype(dtype)
    expected = sorted(range(500), key=lambda at: (-scores[at], at))
    assert falling_order(scores).tolist() == expected


def test_a_large_set_is_measured_by_users_of_all_sizes() -> None:
    """Users of one pair and of thousands, against the metrics of each alone."""
    rng = np.random.default_rng(9)
    users = np.repeat(rng.permutation(50), rng.integers(1, 400, 50))
    scores, labels = rng.integers(0, 30, len(users)), rng.random(len(users)) < 0.1
    aucs, ndcgs = user_auc(scores, labels, users), pair_ndcg(scores, labels, users, 7)
    for at, user in enumerate(np.unique(users)):
        own = users == user
        assert aucs[at] == pytest.approx(auc_by_definition(scores[own], labels[own]), nan_ok=True, rel=1e-14)
        expected = ndcg_by_definition(scores[own], labels[own], 7)
        assert ndcgs[at] == pytest.approx(expected, nan_ok=True, rel=1e-12)


def test_models_are_measured(parts) -> None:
    train, test, validation = parts
    for model in (EASE(reg=5.0).fit(train), Popularity().fit(train)):
        result = pyrec.evaluate_pairs(model, test, calibrate=validation)
        scores = model.pair_scores(test.users, test.items)
        assert result["auc"] == auc_by_definition(scores, test.labels)
        np.testing.assert_array_equal(result.scores, scores)
    with pytest.raises(NotFittedError, match="fit"):
        pyrec.evaluate_pairs(EASE(), test)


# Log losses


def test_the_constant_is_of_what_is_given(model: Table, parts) -> None:
    _, test, validation = parts
    rate = (validation.labels > 0).mean()

    def loss(of: float) -> float:
        share = (test.labels > 0).mean()
        return -share * math.log(of) - (1 - share) * math.log(1 - of)

    own = evaluate_pairs(model, test)
    assert (own.constant_of, own.constant_rate) == ("test", (test.labels > 0).mean())
    assert own["constant_log_loss"] == pytest.approx(loss(own.constant_rate), rel=1e-12)
    of_part = evaluate_pairs(model, test, calibrate=validation)
    assert (of_part.constant_of, of_part.constant_rate) == ("calibrate", rate)
    assert of_part["constant_log_loss"] == pytest.approx(loss(rate), rel=1e-12)
    assert of_part["constant_log_loss"] > own["constant_log_loss"]
    given = evaluate_pairs(model, test, calibrate=validation, constant=0.3)
    assert (given.constant_of, given["constant_log_loss"]) == (
        "constant",
        pytest.approx(loss(0.3), rel=1e-12),
    )
    other = evaluate_pairs(model, test, constant=validation)
    assert (other.constant_of, other.constant_rate) == ("constant", rate)
    none = evaluate_pairs(model, test, metrics=["auc"])
    assert list(none.metrics) == ["auc"]
    assert math.isnan(none.constant_rate)


def test_calibration_is_of_the_given_part(model: Table, parts) -> None:
    _, test, validation = parts
    result = evaluate_pairs(model, test, calibrate=validation)
    fitted = platt(model.pair_scores(validation.users, validation.items), validation.labels)
    assert result.calibration == fitted
    p = 1 / (1 + np.exp(-(fitted.slope * result.scores.astype(float) + fitted.intercept)))
    losses = -np.log(np.where(test.labels > 0, p, 1 - p))
    assert result["calibrated_log_loss"] == pytest.approx(losses.mean(), rel=1e-12)
    np.testing.assert_allclose(result.probabilities(), p, rtol=1e-12)
    assert result.per_user["calibrated_log_loss"][0] == pytest.approx(
        losses[test.users == test.users[0]].mean()
    )
    uncalibrated = evaluate_pairs(model, test)
    assert "calibrated_log_loss" not in uncalibrated.metrics
    np.testing.assert_allclose(uncalibrated.probabilities(), 1 / (1 + np.exp(-result.scores)), rtol=1e-6)


def test_calibration_undoes_a_change_of_scale() -> None:
    """Scores that are logits up to a scale and a shift get their probabilities back."""
    rng = np.random.default_rng(1)
    logits = rng.normal(-1, 1.5, 200_000)
    labels = rng.random(len(logits)) < 1 / (1 + np.exp(-logits))
    fitted = platt(1e4 + 50 * logits, labels)
    assert (50 * fitted.slope, fitted.intercept + 1e4 * fitted.slope) == pytest.approx((1, 0), abs=0.03)
    curve = reliability(fitted.probabilities(1e4 + 50 * logits), labels)
    assert curve.error < 0.005
    assert (curve.low < curve.observed).all()
    assert (curve.observed < curve.high).all()


@pytest.mark.parametrize("smoothing", [True, False])
def test_calibration_has_the_least_loss(smoothing: bool) -> None:
    """The gradient is 0 there, by the definition of the targets."""
    rng = np.random.default_rng(2)
    scores = np.r_[rng.normal(size=60), 400.0]
    labels = np.r_[rng.random(60) < 0.3, True]
    fitted = platt(scores, labels, smoothing)
    positives, negatives = labels.sum(), (~labels).sum()
    ends = ((positives + 1) / (positives + 2), 1 / (negatives + 2)) if smoothing else (1, 0)
    error = fitted.probabilities(scores) - np.where(labels, *ends)
    assert [error.sum(), error @ scores] == pytest.approx([0, 0], abs=1e-4)


def test_calibration_of_scores_that_separate_or_say_nothing() -> None:
    separate = platt([1, 2, 3, 4], [0, 0, 1, 1])
    assert 0 < separate.slope < 10
    assert platt([1, 2, 3, 4], [1, 1, 0, 0]).slope == pytest.approx(-separate.slope)
    with pytest.raises(DataError, match="separate the labels"):
        platt([1, 2, 3, 4], [0, 0, 1, 1], smoothing=False)
    with pytest.raises(DataError, match="separate the labels"):
        platt([1, 2, 2, 4], [0, 0, 1, 1], smoothing=False)
    constant = platt([3, 3, 3, 3], [0, 0, 0, 1], smoothing=False)
    assert constant.slope == 0
    assert constant.probabilities([3.0]) == pytest.approx([0.25])


def test_reliability_follows_its_definition() -> None:
    p = [0.1, 0.1, 0.1, 0.2, 0.7, 0.9]
    curve = reliability(p, [0, 0, 1, 0, 1, 1], bins=3)
    assert curve.counts.tolist() == [3, 1, 2]
    assert curve.predicted == pytest.approx([0.1, 0.2, 0.8])
    assert curve.observed == pytest.approx([1 / 3, 0, 1])
    assert curve.error == pytest.approx((3 * (1 / 3 - 0.1) + 0.2 + 2 * 0.2) / 6)
    assert (curve.low[1], curve.high[2]) == (0, 1)
    stats = pytest.importorskip("scipy.stats")
    wilson = stats.binomtest(1, 3).proportion_ci(0.95, "wilson")
    assert (curve.low[0], curve.high[0]) == pytest.approx((wilson.low, wilson.high), rel=1e-9)
    assert reliability([0.5] * 7, [1] * 7).counts.tolist() == [7]


def test_reliability_of_an_evaluation(model: Table, parts) -> None:
    _, test, validation = parts
    result = evaluate_pairs(model, test, calibrate=validation)
    curve = result.reliability(bins=4)
    assert curve.counts.sum() == len(test)
    expected = reliability(result.probabilities(), test.labels, bins=4)
    np.testing.assert_array_equal(curve.observed, expected.observed)


# Two models


def test_two_models_are_compared_over_the_users_that_a_metric_is_over(model: Table, parts) -> None:
    train, test, validation = parts
    other = Table(train, np.random.default_rng(1).normal(size=(USERS, ITEMS)).astype(np.float32))
    first, second = (evaluate_pairs(one, test, calibrate=validation) for one in (model, other))
    rows = {row.metric: row for row in compare(first, second)}
    assert list(rows) == list(first.metrics)
    for name in ("user_auc", "ndcg@5"):
        a, b = first.per_user[name], second.per_user[name]
        over = ~np.isnan(a)
        assert rows[name].num_users == over.sum() < first.num_users
        assert (rows[name].first, rows[name].second) == (first[name], second[name])
        assert rows[name].difference == pytest.approx(second[name] - first[name])
        assert rows[name].half == pytest.approx(mean_and_half(b[over] - a[over])[1])
        assert rows[name].p_t >= paired_t(b[over], a[over])
    assert rows["log_loss"].first == pytest.approx(first.per_user["log_loss"].mean())
    assert math.isnan(rows["auc"].p_t)
    warm = {row.metric: row for row in compare(first, second, users="warm")}
    assert "auc" not in warm
    assert warm["ndcg_all@5"].num_users == first.num_users - 1
    assert warm["ndcg_all@5"].first == pytest.approx(first.per_user["ndcg_all@5"][first.is_warm].mean())


# What is said


def test_the_summary_says_who_the_metrics_are_over(model: Table, parts) -> None:
    train, test, validation = parts
    result = evaluate_pairs(model, test, calibrate=validation)
    counts, text = result.counts, str(result)
    for told in (
        "300 pairs",
        f"over the {counts.num_users_with_positive} users with a positive",
        f"over all {counts.num_users}, and those without one count 1",
        f"the {counts.num_users_with_both} users with pairs of both labels",
        f"the probability {result.constant_rate:.4f}, the positive share of the validation pairs",
        "are ties and count one half",
        "users without one: 1",
    ):
        assert told in text
    assert repr(result).startswith(
        f"PairEvaluation(300 pairs, {counts.num_positive_pairs} of them positive; "
    )
    assert result.is_warm.sum() == counts.num_users - 1
    assert not result.is_warm[result.users.tolist().index("u20")]
    assert "constant_log_loss" in text
    assert train.num_users == USERS


def test_trained_pairs_are_warned_of(parts) -> None:
    train, test, _ = parts
    both = labelled(
        np.r_[train.users * ITEMS + train.items, test.users * ITEMS + test.items],
        np.r_[train.labels, test.labels],
    )
    model = Table(both, np.zeros((USERS, ITEMS)))
    with pytest.warns(DataWarning, match="300 of 300 test pairs are training pairs, too") as told:
        result = evaluate_pairs(model, test)
    assert told[0].filename == __file__
    assert result.counts.num_seen_pairs == 300
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate_pairs(Table(train, np.zeros((USERS, ITEMS))), test)["auc"] == 0.5


# Bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"metrics": "auc"}, ConfigError, r"metrics = 'auc' must be a list, such as \['auc', 'ndcg@5'\]"),
        ({"metrics": []}, ConfigError, "metrics is empty"),
        ({"metrics": ["acu"]}, ConfigError, "'acu' is none of auc, .*did you mean auc"),
        ({"metrics": ["ndcg"]}, ConfigError, "'ndcg' is none of .*did you mean ndcg@5"),
        ({"metrics": ["ndcg@0"]}, ConfigError, "'ndcg@0'"),
        ({"metrics": ["auc@5"]}, ConfigError, "'auc@5'"),
        ({"metrics": [5]}, ConfigError, "metrics: 5 is none"),
        ({"constant": 1.0}, ConfigError, "constant = 1.0 is a probability"),
        ({"constant": "half"}, ConfigError, "constant = 'half' must be a finite number"),
        ({"constant": NAN}, ConfigError, "constant = nan must be a finite number"),
        ({"metrics": ["auc"], "constant": 0.5}, ConfigError, "constant is for log_loss"),
    ],
)
def test_bad_arguments(model: Table, parts, arguments, error, message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate_pairs(model, parts[1], **arguments)


def test_bad_pairs(model: Table, parts) -> None:
    _, test, validation = parts
    liked = test.select(test.labels > 0)
    with pytest.raises(DataError, match=f"test: all {len(liked)} pairs are positive.* positive='rating>=4'"):
        evaluate_pairs(model, liked)
    with pytest.raises(DataError, match=r"calibrate: all .* pairs are negative"):
        evaluate_pairs(model, test, calibrate=validation.select(validation.labels < 0))
    with pytest.raises(DataError, match=r"constant: all .* pairs are positive"):
        evaluate_pairs(model, test, constant=liked)
    with pytest.raises(ConfigError, match="calibrate is for log_loss"):
        evaluate_pairs(model, test, metrics=["auc"], calibrate=validation)
    with pytest.raises(DataError, match="test is empty"):
        evaluate_pairs(model, test.select(np.zeros(len(test), dtype=bool)))
    with pytest.raises(DataError, match=r"calibrate has .* users x"):
        evaluate_pairs(model, test, calibrate=validation.compact())
    with pytest.raises(DataError, match="test is list"):
        evaluate_pairs(model, [1, 2])
    with pytest.raises(DataError, match="test is NoneType"):
        evaluate_pairs(model, None)


def test_bad_models(model: Table, parts) -> None:
    train, test, _ = parts
    with pytest.raises(DataError, match=r"model is a list, .*methods training_set and pair_scores"):
        evaluate_pairs([], test)
    with pytest.raises(DataError, match="model is the class EASE"):
        evaluate_pairs(EASE, test)
    broken = np.zeros((USERS, ITEMS))
    broken[test.users[7], test.items[7]] = np.inf
    with pytest.raises(DataError, match=r"pair_scores of test\[7\] = inf"):
        evaluate_pairs(Table(train, broken), test)
    short = Table(train, broken)
    short.pair_scores = lambda *_: np.zeros(3)
    with pytest.raises(DataError, match="gave 3 scores for 300 pairs"):
        evaluate_pairs(short, test)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: auc([], []), "scores is empty"),
        (lambda: auc([1, 2], [1]), "scores has 2 entries and labels 1"),
        (lambda: auc([1, 2], [1, 1]), "labels: all 2 pairs are positive"),
        (lambda: auc([1, 2], [0, -1]), "labels: all 2 pairs are negative"),
        (lambda: auc([1, NAN], [1, 0]), r"scores\[1\] = nan"),
        (lambda: auc([1, 2], [1, NAN]), r"labels\[1\] = nan"),
        (lambda: auc(["a", "b"], [1, 0]), "scores is <U1"),
        (lambda: auc([[1, 2]], [1, 0]), r"scores is int64 \(1, 2\)"),
        (lambda: auc([[1], [2, 3]], [1, 0]), "scores cannot be read"),
        (lambda: user_auc([1, 2], [1, 0], [0]), r"users is int64 \(1,\)"),
        (lambda: user_auc([1, 2], [1, 0], [0.5, 1]), r"users is float64 \(2,\)"),
        (lambda: log_loss([], []), "scores is empty"),
        (lambda: platt([1, 2], [1, 1]), "labels: all 2 pairs are positive"),
        (lambda: reliability([0.1, 1.5], [1, 0]), r"probabilities\[1\] = 1.5"),
        (lambda: reliability([], []), "empty"),
    ],
)
def test_bad_arrays(use, message: str) -> None:
    with pytest.raises(DataError, match=message):
        use()


def test_bad_counts() -> None:
    with pytest.raises(ConfigError, match="k = 0"):
        pair_ndcg([1, 2], [1, 0], [0, 0], 0)
    with pytest.raises(ConfigError, match="bins = 0"):
        reliability([0.1], [1], bins=0)
