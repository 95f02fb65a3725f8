"""Off-policy estimates: against dense formulas on small logs, and against the known value on generated ones."""

import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import pyrec
from pyrec.data import BanditLog, Interactions, generate_bandit
from pyrec.data.ragged import Ragged
from pyrec.errors import ConfigError, DataError, DataWarning, NotFittedError, UnknownIdError
from pyrec.evaluate.ope import ESTIMATORS
from pyrec.evaluate.reward_models import ItemMeans

DRAWS = 1000


class Fixed:
    """A model whose scores (num_users, num_items) are given."""

    def __init__(self, scores, user_ids=None, item_ids=None):
        self.scores = np.asarray(scores, dtype=np.float32)
        ids = [
            np.arange(n) if of is None else of
            for n, of in zip(self.scores.shape, (user_ids, item_ids), strict=True)
        ]
        self.train = Interactions.from_arrays(ids[0][:1], ids[1][:1], user_ids=ids[0], item_ids=ids[1])

    def training_set(self):
        return self.train

    def topk(self, users, k, filter_seen=True, allowed=None, candidates=None):  # noqa: ARG002
        scores = np.full((len(users), self.scores.shape[1]), -np.inf, np.float32)
        if candidates is not None:
            scores[candidates.rows, candidates.indices] = self.scores[
                users[candidates.rows], candidates.indices
            ]
        elif allowed is not None:
            scores[:, allowed] = self.scores[users][:, allowed]
        else:
            scores = self.scores[users]
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int32)
        best = np.take_along_axis(scores, ids, axis=1)
        return torch.as_tensor(np.where(np.isfinite(best), ids, -1)), torch.as_tensor(best)


class Told:
    """A reward model that holds the expected reward of each round and item, (n, num_items)."""

    def __init__(self, rewards):
        self.rewards = rewards

    def predict(self, rounds, items):
        return self.rewards[rounds, items]

    def predict_mean(self, rounds):
        return self.rewards[rounds].mean(axis=1)


def small_log(n=40, positions=2, seed=0):
    rng = np.random.default_rng(seed)
    return BanditLog.from_arrays(
        rng.integers(4, size=n),
        rng.integers(5, size=n),
        rng.integers(2, size=n),
        rng.uniform(0.1, 0.9, n),
        rng.integers(positions, size=n) if positions else None,
        user_ids=np.arange(4),
        item_ids=np.arange(5),
    )


def dense_chances(log, lists):
    """How probable each item is in each round, (n, num_items), if place p of a list is shown at position p."""
    chances = np.zeros((len(log), log.num_items))
    for at in range(len(log)):
        chances[at, lists[log.users[at], log.positions[at]]] = 1
    return chances


def by_formula(log, chances, rewards, threshold):
    """Each estimator's value from dense chances and rewards (n, num_items)."""
    rows = np.arange(len(log))
    w = chances[rows, log.items] / log.propensities
    r, q, direct = log.rewards, rewards[rows, log.items], (chances * rewards).sum(axis=1)
    return {
        "ips": (w * r).mean(),
        "snips": (w * r).sum() / w.sum(),
        "dm": direct.mean(),
        "dr": (direct + w * (r - q)).mean(),
        "switch-dr": (direct + (w <= threshold) * w * (r - q)).mean(),
    }


def quiet_ope(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return pyrec.ope(*args, **kwargs)


def check(found, log, chances, rewards, threshold):
    expected = by_formula(log, chances, rewards, threshold)
    assert list(found.estimates) == list(ESTIMATORS)
    for name, value in expected.items():
        assert_allclose(found[name].value, value, rtol=1e-12, err_msg=name)


@pytest.fixture(name="log")
def _log():
    return small_log()


@pytest.fixture(name="model")
def _model():
    return Fixed(np.random.default_rng(1).standard_normal((4, 5)))


@pytest.fixture(name="rewards")
def _rewards(log):
    return np.random.default_rng(2).random((len(log), 5))


def test_a_list_by_position_is_as_the_dense_formula(log, model, rewards):
    lists = np.argsort(-model.scores, axis=1)
    found = quiet_ope(log, model, reward_model=Told(rewards), threshold=2.0)
    check(found, log, dense_chances(log, lists), rewards, 2.0)
    w = dense_chances(log, lists)[np.arange(40), log.items] / log.propensities
    assert_allclose(found.matched, (w > 0).mean())
    assert_allclose(found.effective_sample_size, w.sum() ** 2 / (w**2).sum())
    assert_allclose([found.mean_weight, found.max_weight], [w.mean(), w.max()])
    assert_allclose(found.logged.value, log.rewards.mean())
    assert found.threshold == 2.0


def test_standard_errors_are_those_of_the_means(log, model, rewards):
    found = quiet_ope(log, model, reward_model=Told(rewards), threshold=2.0, confidence=0.9)
    w = dense_chances(log, np.argsort(-model.scores, axis=1))[np.arange(40), log.items] / log.propensities
    r = log.rewards
    value = (w * r).sum() / w.sum()
    assert_allclose(found["ips"].standard_error, np.std(w * r, ddof=1) / np.sqrt(40))
    assert_allclose(
        found["snips"].standard_error, np.sqrt((w**2 * (r - value) ** 2).sum() * 40 / 39) / w.sum()
    )
    one = found["ips"]
    assert_allclose(
        [one.low, one.high], one.value + np.array([-1, 1]) * 1.6448536269514722 * one.standard_error
    )


def test_without_positions_each_of_k_items_is_as_probable(model):
    log = small_log(positions=0)
    rewards = np.random.default_rng(2).random((40, 5))
    lists = np.argsort(-model.scores, axis=1)[:, :2]
    chances = np.zeros((40, 5))
    np.put_along_axis(chances, lists[log.users], 0.5, axis=1)
    check(quiet_ope(log, model, k=2, reward_model=Told(rewards), threshold=1.0), log, chances, rewards, 1.0)


def test_epsilon_greedy_adds_every_item(log, model, rewards):
    chances = 0.7 * dense_chances(log, np.argsort(-model.scores, axis=1)) + 0.3 / 5
    policy = pyrec.EpsilonGreedyPolicy(model, epsilon=0.3)
    check(quiet_ope(log, policy, reward_model=Told(rewards), threshold=1.5), log, chances, rewards, 1.5)


@pytest.mark.parametrize("size", [2, 5, 100])
def test_softmax_draws_by_score_among_the_best(log, model, rewards, size):
    scores = model.scores.astype(np.float64) / 0.5
    scores[scores < np.sort(scores, axis=1)[:, [-min(size, 5)]]] = -np.inf
    powers = np.exp(scores)
    chances = (powers / powers.sum(axis=1, keepdims=True))[log.users]
    policy = pyrec.SoftmaxPolicy(model, temperature=0.5, size=size)
    found = quiet_ope(log, policy, reward_model=Told(rewards), threshold=1.0)
    check(found, log, chances, rewards, 1.0)


@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_candidates_bound_what_is_shown(log, model, rewards, epsilon):
    rng = np.random.default_rng(5)
    rows = [np.union1d(rng.choice(5, 2, replace=False), [item]) for item in log.items]
    limited = BanditLog(
        log.users, log.items, log.rewards, log.propensities, log.user_ids, log.item_ids, log.positions,
        Ragged.from_lists(rows, 5),
    )  # fmt: skip
    chances = np.zeros((40, 5))
    for at, row in enumerate(rows):
        best = row[np.argsort(-model.scores[log.users[at], row])]
        chances[at, best[log.positions[at]]] += 1 - epsilon
        chances[at, row] += epsilon / len(row)
    policy = pyrec.EpsilonGreedyPolicy(model, epsilon=epsilon)
    check(quiet_ope(limited, policy, reward_model=Told(rewards), threshold=3.0), log, chances, rewards, 3.0)


def test_item_means_are_of_the_other_folds(log, model):
    lists = np.argsort(-model.scores, axis=1)
    found = quiet_ope(log, model, smoothing=3.0, folds=4, seed=7)
    fold = np.random.default_rng(7).permutation(40) % 4
    rewards, earned = np.empty((40, 5)), log.rewards.astype(np.float64)
    for at in range(40):
        others = fold != fold[at]
        mean = earned[others].mean()
        here = others & (log.positions == log.positions[at])
        of_position = (earned[here].sum() + 3 * mean) / (here.sum() + 3)
        for item in range(5):
            of_item = others & (log.items == item)
            prior = (earned[of_item].sum() + 3 * mean) / (of_item.sum() + 3) + of_position - mean
            cell = of_item & here
            rewards[at, item] = (earned[cell].sum() + 3 * prior) / (cell.sum() + 3)
    check(found, log, dense_chances(log, lists), rewards, found.threshold)


def test_scores_add_slopes_of_the_other_folds(log):
    model = pyrec.EASE(reg=1.0).fit(small_log(seed=5).rewarded())
    scores = model.pair_scores(*np.divmod(np.arange(20), 5)).reshape(4, 5).astype(np.float64)
    lists = model.topk(np.arange(4), 2, filter_seen=False).ids.numpy()
    found = quiet_ope(log, model, reward_model="score", smoothing=3.0, folds=4, seed=7)
    fold = np.random.default_rng(7).permutation(40) % 4
    of_log = scores[log.users, log.items]
    means = np.array([of_log[log.items == item].mean() for item in range(5)])
    base = ItemMeans(log, 4, 3.0, 7)
    rewards = np.empty((40, 5))
    for at in range(40):
        of_others = np.flatnonzero((fold != fold[at]) & (log.positions == log.positions[at]))
        x = (of_log - means[log.items])[of_others]
        y = log.rewards[of_others] - base.means[fold[at], log.positions[at], log.items[of_others]]
        slope = np.linalg.lstsq(x[:, None], y)[0][0]
        mean = base.predict(np.full(5, at), np.arange(5))
        rewards[at] = np.clip(mean + slope * (scores[log.users[at]] - means), 0, 1)
    check(found, log, dense_chances(log, lists), rewards, found.threshold)


def test_scores_make_dr_err_less_and_leave_it_unbiased():
    options = {"num_rounds": 3000, "num_users": 200, "num_items": 20, "exploration": 0.5, "temperature": 1.0}
    model = pyrec.SVD(embedding_size=8).fit(generate_bandit(**options).log.rewarded())
    lists = model.topk(np.arange(200), 3, filter_seen=False).ids.numpy()
    value = generate_bandit(**options).value(lists)
    found = {"item": [], "score": []}
    for draw in range(1, 101):
        log = generate_bandit(**options, draw=draw).log
        for kind, values in found.items():
            values.append(quiet_ope(log, model, reward_model=kind)["dr"].value - value)
    errors = {kind: np.sqrt(np.mean(np.square(values))) for kind, values in found.items()}
    assert errors["score"] < errors["item"]
    assert abs(np.mean(found["score"])) < 2 * np.std(found["score"], ddof=1) / np.sqrt(100)


def test_scores_need_a_model_that_scores_pairs_and_does_not_explore(log, model):
    with pytest.raises(ConfigError, match="reward_model is 'score', but a Fixed has no method pair_scores"):
        pyrec.ope(log, model, reward_model="score")
    fitted = pyrec.EASE().fit(log.rewarded())
    with pytest.raises(ConfigError, match="reward_model is 'score', but the policy explores"):
        pyrec.ope(log, pyrec.EpsilonGreedyPolicy(fitted), reward_model="score")
    short = pyrec.EASE().fit(Interactions.from_arrays([0, 1, 2, 3], [0, 1, 2, 3]))  # does not know item 4
    quiet_ope(log, short, reward_model="score", unknown="skip")


def test_fewer_positions_leave_rounds_out(model):
    log = small_log(n=90, positions=3)
    found = quiet_ope(log, model, k=2)
    alone = quiet_ope(log.select(log.positions < 2), model)
    assert found.num_rounds == (log.positions < 2).sum()
    assert found.estimates == alone.estimates
    assert "rounds of unknown users or positions beyond k are left out" in found.notes[0]


# Against the known value


@pytest.fixture(scope="module", name="drawn")
def _drawn():
    """Values, standard errors, whether intervals hold the truth, (DRAWS, estimators) each; and the truth."""
    options = {"num_rounds": 4000, "num_users": 300, "num_items": 20, "temperature": 1.0, "exploration": 0.5}
    truth = generate_bandit(**options)
    users, items = np.divmod(np.arange(300 * 20), 20)
    scores = truth.truth.scores(users, items).reshape(300, 20)
    model = Fixed(scores + np.random.default_rng(3).standard_normal(scores.shape))
    value = truth.value(np.argsort(-model.scores, axis=1, kind="stable")[:, :3])
    found, snips_bias = [], []
    for draw in range(DRAWS):
        result = quiet_ope(generate_bandit(**options, draw=draw).log, model, seed=draw)
        found.append([(e.value, e.standard_error, e.low < value < e.high) for e in result.estimates.values()])
        snips_bias.append(result.snips_bias)
    values, errors, held = np.moveaxis(np.array(found, dtype=float), 2, 0)
    columns = {name: at for at, name in enumerate(ESTIMATORS)}
    return columns, values, errors, held, value, np.mean(snips_bias)


def deviations(drawn, name):
    columns, values, *_, value, _ = drawn
    of_it = values[:, columns[name]]
    return (of_it.mean() - value) / (of_it.std(ddof=1) / np.sqrt(DRAWS))


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_estimates_are_unbiased(drawn, name):
    assert abs(deviations(drawn, name)) < 2


def test_the_bias_of_snips_is_told(drawn):
    columns, values, *_, value, told = drawn
    of_it = values[:, columns["snips"]]
    assert abs(of_it.mean() - value - told) < 2 * of_it.std(ddof=1) / np.sqrt(DRAWS)
    assert abs(told) < 0.1 * of_it.std()


def test_a_poor_reward_model_leaves_dm_biased(drawn):
    assert deviations(drawn, "dm") < -100  # it knows nothing of users


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_intervals_hold_the_truth_as_often_as_they_say(drawn, name):
    columns, _, _, held, *_ = drawn
    assert 0.93 <= held[:, columns[name]].mean() <= 0.97


@pytest.mark.parametrize("name", ["ips", "snips", "dm", "dr"])
def test_standard_errors_are_the_deviations_over_logs(drawn, name):
    columns, values, errors, *_ = drawn
    at = columns[name]
    assert_allclose(np.sqrt((errors[:, at] ** 2).mean()), values[:, at].std(ddof=1), rtol=0.1)


def test_dr_errs_less_than_ips(drawn):
    columns, values, *_, value, _ = drawn
    rmse = np.sqrt(((values - value) ** 2).mean(axis=0))
    assert rmse[columns["dr"]] < 0.9 * rmse[columns["ips"]]
    assert rmse[columns["switch-dr"]] < rmse[columns["ips"]]


def test_with_the_true_expected_rewards_all_estimators_are_unbiased():
    options = {"num_rounds": 500, "num_users": 100, "num_items": 10, "temperature": 1.0, "exploration": 0.5}
    truth = generate_bandit(**options)
    users, items = np.divmod(np.arange(100 * 10), 10)
    model = Fixed(np.random.default_rng(0).standard_normal((100, 10)))
    value = truth.value(np.argsort(-model.scores, axis=1, kind="stable")[:, :3])
    liked = truth.truth.probabilities(users, items).reshape(100, 10)
    found = []
    for draw in range(DRAWS):
        log = generate_bandit(**options, draw=draw).log
        told = Told(liked[log.users] * truth.examination[log.positions][:, None])
        result = quiet_ope(log, model, reward_model=told, threshold=8.0)
        found.append([estimate.value for estimate in result.estimates.values()])
    errors = np.std(found, axis=0, ddof=1) / np.sqrt(DRAWS)
    assert_array_equal(abs((np.mean(found, axis=0) - value) / errors) < 2, True)


def test_the_policy_that_logged_is_worth_what_it_earned():
    made = generate_bandit(num_rounds=20_000, num_users=50, num_items=10, exploration=1.0)
    policy = pyrec.EpsilonGreedyPolicy(Fixed(np.zeros((50, 10))), epsilon=1.0)
    found = pyrec.ope(made.log, policy)
    for name in ("ips", "snips"):
        assert_allclose(found[name].value, made.log.rewards.mean(), rtol=1e-6)
    assert_allclose(found.effective_sample_size, 20_000)
    assert abs(found["dm"].value - found.logged.value) < found.logged.standard_error


def test_bootstrap_and_normal_intervals_agree():
    made = generate_bandit(num_rounds=5000, num_users=100, num_items=10, exploration=0.5, temperature=1.0)
    model = Fixed(np.random.default_rng(0).standard_normal((100, 10)))
    normal, resampled = (quiet_ope(made.log, model, interval=kind) for kind in ("normal", "bootstrap"))
    for name in ("ips", "snips", "dm", "dr"):
        assert normal[name].value == resampled[name].value
        wide = normal[name].high - normal[name].low
        assert_allclose(resampled[name].high - resampled[name].low, wide, rtol=0.15)
        assert abs(resampled[name].low - normal[name].low) < 0.15 * wide


def test_the_same_seed_gives_the_same_bits(log, model):
    one, again, other = (quiet_ope(log, model, interval="bootstrap", seed=seed) for seed in (1, 1, 2))
    assert repr(one) == repr(again)
    assert one["dr"] != other["dr"]


# Models, ids, support


def test_a_fitted_model_is_a_policy():
    options = {"num_rounds": 20_000, "num_users": 80, "num_items": 30, "exploration": 0.5}
    made = generate_bandit(**options)
    model = pyrec.EASE().fit(generate_bandit(**options, draw=1).log.rewarded())
    lists = model.topk(np.arange(80), 3, filter_seen=False)[0].numpy()
    found = pyrec.ope(made.log, model)
    assert abs(found["dr"].value - made.value(lists)) < 3 * found["dr"].standard_error
    assert found["dr"].value > found.logged.value
    with pytest.raises(NotFittedError):
        pyrec.ope(made.log, pyrec.EASE())


def test_training_items_are_left_out_only_if_asked_for():
    made = generate_bandit(num_rounds=5000, num_users=20, num_items=30, exploration=0.5)
    model = pyrec.EASE().fit(made.log.rewarded())
    unseen = quiet_ope(made.log, pyrec.TopKPolicy(model, filter_seen=True))
    assert unseen["ips"].value == 0  # rewarded items are training items
    assert quiet_ope(made.log, model)["ips"].value > 0


def test_ids_are_matched_by_name(log, model, rewards):
    expected = quiet_ope(log, model, reward_model=Told(rewards))
    users, items = np.array([30, 10, 20, 0]), np.array([7, 100, 9, 50, 8, 1])  # the model knows item 100, too
    scores = np.full((4, 6), 9.0)
    scores[np.ix_([3, 1, 2, 0], [5, 0, 4, 2, 3])] = model.scores
    other = Fixed(scores, users, items)
    renamed = BanditLog.from_arrays(
        log.users * 10,
        np.array([1, 7, 8, 9, 50])[log.items],
        log.rewards,
        log.propensities,
        log.positions,
        user_ids=np.arange(4) * 10,
        item_ids=[1, 7, 8, 9, 50],
    )
    assert quiet_ope(renamed, other, reward_model=Told(rewards)).estimates == expected.estimates


def test_unknown_users_and_items(log, model):
    short = Fixed(model.scores[:3])
    with pytest.raises(UnknownIdError, match=r"log\.user_ids\[3\] = 3 is not one of the 3 known user"):
        pyrec.ope(log, short)
    with pytest.raises(UnknownIdError, match=r"log\.item_ids\[4\] = 4 is not one of the 4 known item"):
        pyrec.ope(log, Fixed(model.scores[:, :4]))
    found = quiet_ope(log, short, unknown="skip")
    assert found.num_rounds == (log.users < 3).sum()
    assert found.estimates == quiet_ope(log.select(log.users < 3), model).estimates
    quiet_ope(log, Fixed(model.scores[:, :4]), unknown="skip")
    with pytest.raises(DataError, match="the model knows none of the log's items"):
        pyrec.ope(log, Fixed(model.scores, item_ids=np.arange(10, 15)), unknown="skip")
    with pytest.raises(DataError, match=r"0 of the log's 40 rounds are of users that the model knows"):
        pyrec.ope(log, Fixed(model.scores, user_ids=np.arange(10, 14)), unknown="skip")


def test_missing_support_is_told(log):
    rows = log.items != 4
    favours_four = Fixed(np.eye(5)[[4, 4, 4, 4]])
    with pytest.warns(
        DataWarning, match=r"\d+ % of what the policy shows the log never has: to ips it earns nothing"
    ):
        found = pyrec.ope(log.select(rows), favours_four, k=1)
    assert found.unsupported == 1
    assert (found["ips"].value, found.matched) == (0, 0)
    assert np.isnan(found["snips"].value)


def test_wrong_propensities_are_told():
    made = generate_bandit(num_rounds=5000, num_users=50, num_items=10, exploration=1.0)
    log = made.log
    wrong = BanditLog(
        log.users, log.items, log.rewards, log.propensities * 0.5, log.user_ids, log.item_ids, log.positions
    )
    model = Fixed(np.random.default_rng(0).standard_normal((50, 10)))
    with pytest.warns(DataWarning, match="the mean weight is .* and should be near 1"):
        assert pyrec.ope(wrong, model).notes
    assert not pyrec.ope(log, model).notes


def test_a_model_that_learned_from_the_rounds_is_told():
    options = {"num_rounds": 3000, "num_users": 500, "num_items": 50, "exploration": 0.5}
    log, other = (generate_bandit(**options, draw=draw).log for draw in (0, 1))
    with pytest.warns(DataWarning, match="should be near 1: the model learned from these rounds"):
        too_high = pyrec.ope(log, pyrec.SVD(embedding_size=16).fit(log.rewarded()))
    sound = pyrec.ope(log, pyrec.SVD(embedding_size=16).fit(other.rewarded()))
    assert too_high["snips"].low > sound["snips"].high


def test_memory_goes_by_rounds_and_not_by_rounds_times_items():
    made = generate_bandit(num_rounds=100_000, num_users=20_000, num_items=20_000)
    model = Fixed(np.zeros((1, 20_000)))
    lists = np.random.default_rng(0).integers(20_000, size=(20_000, 3)).astype(np.int32)
    model.train = Interactions.from_arrays([0], [0], user_ids=np.arange(20_000), item_ids=np.arange(20_000))
    model.topk = lambda users, k, **_: (torch.as_tensor(lists[users, :k]), torch.zeros((len(users), k)))
    tracemalloc.start()
    quiet_ope(made.log, model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # rounds x items of bits would be 250 MB


def test_summary_says_it_all(log, model):
    text = repr(quiet_ope(log, model, confidence=0.9))
    for word in (*ESTIMATORS, "logged", "90 % interval", "40 rounds", "effective sample size"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimators": "dr"}, "estimators = 'dr': give a list of some of ips"),
        ({"estimators": ["drs"]}, r"estimators = \['drs'\]: give a list of some of"),
        ({"k": 3}, "k = 3 must be at most 2, the log's number of positions"),
        ({"k": 0}, "k = 0 must be at least 1"),
        ({"reward_model": "items"}, "reward_model is 'items'; it is 'item', 'score' or an object"),
        ({"reward_model": 3}, "reward_model is a int; it is 'item', 'score' or an object with predict"),
        ({"smoothing": 0}, r"smoothing = 0\.0 must be above 0"),
        ({"folds": 1}, "folds = 1 must be at least 2"),
        ({"threshold": -1}, r"threshold = -1\.0 must be at least 0"),
        ({"interval": "t"}, "interval is 't'; it is 'normal' or 'bootstrap'"),
        ({"confidence": 1.0}, r"confidence = 1\.0 is a share"),
        ({"resamples": 1}, "resamples = 1 must be at least 2"),
        ({"unknown": "drop"}, "unknown is 'drop'"),
        ({"seed": -1}, "seed = -1 must be at least 0"),
    ],
)
def test_options_out_of_range(log, model, arguments, message):
    with pytest.raises(ConfigError, match=message):
        pyrec.ope(log, model, **arguments)


@pytest.mark.parametrize(
    ("policy", "options", "message"),
    [
        (pyrec.EpsilonGreedyPolicy, {"epsilon": 1.5}, r"epsilon = 1\.5 is a probability"),
        (pyrec.SoftmaxPolicy, {"temperature": 0}, r"temperature = 0\.0 must be above 0"),
        (pyrec.SoftmaxPolicy, {"size": 2000}, "size = 2000 must be at most 1024"),
    ],
)
def test_policies_out_of_range(model, policy, options, message):
    with pytest.raises(ConfigError, match=message):
        policy(model, **options)


def test_positions_beyond_every_list_are_left_out_by_k(log, model):
    far = BanditLog(
        log.users, log.items, log.rewards, log.propensities, log.user_ids, log.item_ids, log.positions * 2**20
    )
    with pytest.raises(
        ConfigError, match="the log has 1048577 positions, but lists have at most 1024 places; give k"
    ):
        pyrec.ope(far, model)
    assert quiet_ope(far, model, k=1).num_rounds == (log.positions == 0).sum()


def test_what_is_no_log_or_no_policy(log, model):
    with pytest.raises(DataError, match="log is Interactions, but a BanditLog is needed"):
        pyrec.ope(log.rewarded(), model)
    with pytest.raises(DataError, match="model is the class EASE, but a fitted model is needed"):
        pyrec.ope(log, pyrec.EASE)
    with pytest.raises(DataError, match="model is a list, but a fitted model is needed"):
        pyrec.ope(log, [1, 2])
    with pytest.raises(DataError, match="0 of the log's 0 rounds"):
        pyrec.ope(log.select(np.zeros(40, dtype=bool)), model)
