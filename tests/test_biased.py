"""Generated sets with known truth: what each dial does, and that the propensities are the probabilities they say."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pyrec.data import Interactions, generate_biased, read_interactions, semi_synthetic, split_random
from pyrec.data.completed import complete
from pyrec.errors import ConfigError, DataError

SMALL = {"num_users": 60, "num_items": 40, "num_interactions": 300, "num_uniform": 200}
DRAWS = 1000


def of_all_pairs(biased):
    users, items = np.divmod(
        np.arange(biased.truth.num_users * biased.truth.num_items), biased.truth.num_items
    )
    return biased.propensities.of(users, items).reshape(biased.truth.num_users, -1)


def standard_errors(estimates, truth):
    return abs(np.mean(estimates) - truth) / (np.std(estimates, ddof=1) / np.sqrt(len(estimates)))


def test_without_any_bias_the_plain_mean_is_unbiased():
    truth = generate_biased(**SMALL).truth.label_matrix().mean()
    means = [generate_biased(**SMALL, draw=draw).interactions.labels.mean() for draw in range(DRAWS)]
    assert standard_errors(means, truth) < 2
    all_alike = generate_biased(**SMALL).propensities.values
    assert np.ptp(all_alike) == 0


@pytest.mark.parametrize(
    "dials", [{"selection": 0.8}, {"popularity": 0.8}, {"selection": 0.5, "popularity": 0.5}], ids=str
)
def test_weighted_by_propensities_sums_over_the_log_are_unbiased(dials):
    truth = generate_biased(**SMALL, **dials).truth.label_matrix()
    plain, weighted, counted = [], [], []
    for draw in range(DRAWS):
        log = generate_biased(**SMALL, **dials, draw=draw)
        labels, weights = log.interactions.labels, 1 / log.propensities.values.astype(np.float64)
        plain.append(labels.mean())
        weighted.append((labels * weights).sum() / truth.size)
        counted.append(weights.sum() / truth.size)
    assert standard_errors(plain, truth.mean()) > 20  # the dial does something
    assert standard_errors(weighted, truth.mean()) < 2
    assert standard_errors(counted, 1) < 2


def test_propensities_are_how_often_a_pair_is_observed():
    dials = {"selection": 1.0, "popularity": 1.0}
    counts, expected = np.zeros((60, 40)), np.zeros((60, 40))
    for draw in range(DRAWS):
        log = generate_biased(**SMALL, **dials, draw=draw)
        counts[log.interactions.users, log.interactions.items] += 1
        expected += of_all_pairs(log)
    deviation = np.sqrt(np.maximum(expected * (1 - expected / DRAWS), 1))
    assert np.abs((counts - expected) / deviation).max() < 5  # of 2,400 pairs
    assert abs(((counts - expected) / deviation).std() - 1) < 0.1
    assert abs(expected.sum() / counts.sum() - 1) < 0.01


def test_values_are_those_of_the_observed_pairs():
    log = generate_biased(**SMALL, selection=0.7, popularity=0.4)
    x = log.interactions
    assert_array_equal(log.propensities.values, log.propensities.of(x.users, x.items, x.labels))
    assert log.propensities.values.dtype == np.float32
    assert log.propensities.values.max() < 1
    assert log.propensities.values.min() > 0


def test_counts_are_exact_and_the_uniform_pairs_are_true():
    log = generate_biased(
        num_users=1540, num_items=100, num_interactions=31_170, num_uniform=270, selection=1.0
    )
    assert (len(log.interactions), len(log.uniform)) == (31_170, 270)
    assert (log.interactions.num_users, log.interactions.num_items) == (1540, 100)
    uniform = log.uniform
    assert_array_equal(uniform.labels, log.truth.labels(uniform.users, uniform.items))
    assert_array_equal(uniform.user_ids, log.interactions.user_ids)
    assert "270 pairs" in repr(log)


def test_almost_all_pairs_may_be_asked_for():
    log = generate_biased(num_users=20, num_items=10, num_interactions=199, num_uniform=200, popularity=1.0)
    assert (len(log.interactions), len(log.uniform)) == (199, 200)


def test_selection_favours_what_is_liked():
    shares = [generate_biased(selection=dial).interactions.labels.mean() for dial in (0.0, 0.5, 1.0)]
    assert shares[0] < 0.22
    assert shares[0] + 0.1 < shares[1] < shares[2] - 0.1


def test_popularity_favours_few_items():
    heads = [
        np.sort(np.bincount(generate_biased(popularity=dial).interactions.items, minlength=500))[-50:].sum()
        for dial in (0.0, 0.5, 1.0)
    ]
    assert 1.5 * heads[0] < heads[1] < heads[2] / 1.3


def test_conformity_pulls_ratings_to_the_means_of_items():
    logs = [generate_biased(conformity=dial) for dial in (0.0, 0.5, 1.0)]
    truth = logs[0].truth
    means = truth.rating_matrix().mean(axis=0)
    assert_allclose(truth.mean_ratings(), means, atol=0.15)  # over the law of users; 1,000 of them here
    x = logs[0].interactions
    assert_array_equal(x.ratings, truth.ratings(x.users, x.items))
    distances = [np.abs(log.interactions.ratings - means[log.interactions.items]).mean() for log in logs]
    assert distances[2] < 0.3 < distances[1] < distances[0]
    assert_array_equal(logs[2].interactions.items, x.items)  # the same pairs are observed
    assert_array_equal(logs[2].interactions.ratings, np.rint(truth.mean_ratings())[x.items])


def test_position_bias_hides_what_is_liked_further_down():
    plain, log = (generate_biased(num_users=300, position=dial, list_length=20) for dial in (0.0, 1.0))
    x, true = log.interactions, plain.interactions.labels
    assert_array_equal(x.items, plain.interactions.items)
    assert (x.ratings, plain.interactions.positions, plain.propensities.examination) == (None, None, None)
    assert_allclose(log.propensities.examination, 1 / np.arange(1, 21), rtol=1e-6)
    assert not (x.labels > true).any()
    assert_array_equal(x.labels[x.positions == 0], true[x.positions == 0])
    at_place = np.bincount(x.positions, true) / np.bincount(x.positions)
    assert at_place[0] > 0.4 > 0.1 > at_place[19]  # lists are in order
    for place in (1, 4, 9):
        liked = (x.positions == place) & (true > 0)
        deviation = np.sqrt(0.25 / liked.sum())
        assert abs(x.labels[liked].mean() - 1 / (place + 1)) < 4 * deviation


def test_places_of_a_list_are_each_there_once():
    x = generate_biased(
        num_users=50, num_items=200, num_interactions=3000, position=0.5, list_length=7
    ).interactions
    for user in range(50):
        counts = np.bincount(x.positions[x.users == user], minlength=7)
        assert counts.size == 7  # lists have 7 places
        assert (np.diff(counts) <= 0).all()
        assert counts[0] - counts[-1] <= 1  # all but the last list are full


def test_labels_weighted_by_propensity_and_examination_are_unbiased():
    dials = {"position": 0.7, "popularity": 0.5, "list_length": 5}
    truth = generate_biased(**SMALL, **dials).truth.label_matrix()
    plain, weighted = [], []
    for draw in range(DRAWS):
        log = generate_biased(**SMALL, **dials, draw=draw)
        x, known = log.interactions, log.propensities
        plain.append((x.labels / known.values).sum() / truth.size)
        weighted.append((x.labels / known.values / known.examination[x.positions]).sum() / truth.size)
    assert standard_errors(plain, truth.mean()) > 20
    assert standard_errors(weighted, truth.mean()) < 2


def test_probabilities_are_those_of_the_labels():
    truth = generate_biased(num_users=2000, num_items=200).truth
    users, items = np.divmod(np.arange(2000 * 200), 200)
    expected, labels = truth.probabilities(users, items), truth.labels(users, items)
    for low in np.arange(0, 1, 0.1):
        rows = (low <= expected) & (expected < low + 0.1)
        error = labels[rows].mean() - expected[rows].mean()
        assert abs(error) < 4 * np.sqrt(0.25 / rows.sum())


def test_ratings_are_a_function_of_seed_and_pair():
    one, other = generate_biased(**SMALL).truth, generate_biased(**SMALL | {"num_interactions": 9}).truth
    assert_array_equal(one.rating_matrix(), other.rating_matrix())
    assert_array_equal(one.ratings(np.array([3]), np.array([7])), one.rating_matrix()[3, 7:8])
    assert np.mean(one.rating_matrix() != generate_biased(**SMALL, seed=1).truth.rating_matrix()) > 0.3
    assert set(np.unique(one.rating_matrix())) == {1, 2, 3, 4, 5}


def test_the_same_seeds_give_the_same_bits():
    dials = {"selection": 0.5, "popularity": 0.5, "conformity": 0.5}
    first, again, other = (generate_biased(**SMALL, **dials, draw=draw) for draw in (2, 2, 3))
    for name in ("users", "items", "ratings", "labels"):
        assert_array_equal(getattr(first.interactions, name), getattr(again.interactions, name))
    assert_array_equal(first.propensities.values, again.propensities.values)
    assert not np.array_equal(first.interactions.items, other.interactions.items)
    assert_array_equal(first.truth.rating_matrix(), other.truth.rating_matrix())


def test_many_pairs_take_no_matrix():
    truth = generate_biased(num_users=200_000, num_items=40_000, num_interactions=2000, popularity=1.0).truth
    with pytest.raises(DataError, match=r"200,000 users x 40,000 items are more than 100,000,000 pairs"):
        truth.label_matrix()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_users": 0}, "num_users = 0 must be at least 1"),
        ({"num_items": 1.5}, r"num_items = 1\.5 must be a whole number"),
        (
            {"num_interactions": 500_000},
            "num_interactions = 500000 must be at most 499999, below the number of all",
        ),
        ({"num_uniform": -1}, "num_uniform = -1 must be at least 0"),
        ({"selection": 1.1}, r"selection = 1\.1 is a dial from 0"),
        ({"popularity": -0.1}, r"popularity = -0\.1 must be at least 0"),
        ({"conformity": float("nan")}, "conformity = nan must be a finite number"),
        ({"position": "1"}, "position = '1' must be a finite number"),
        ({"list_length": 1}, "list_length = 1 must be at least 2"),
        ({"dim": 0}, "dim = 0 must be at least 1"),
        ({"seed": -1}, "seed = -1 must be at least 0"),
        ({"draw": 2**31}, "draw = 2147483648 must be at most"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ConfigError, match=message):
        generate_biased(**arguments)


def test_pairs_without_a_chance_are_refused():
    with pytest.raises(ConfigError, match="so many pairs have no chance to be observed"):
        generate_biased(
            num_users=10,
            num_items=3000,
            num_interactions=29_990,
            selection=1.0,
            popularity=1.0,
            num_uniform=0,
        )


@pytest.fixture(scope="module")
def rated():
    rng = np.random.default_rng(0)
    users, items = np.divmod(rng.choice(80 * 50, 1200, replace=False), 50)
    taste = rng.standard_normal((80, 3)) @ rng.standard_normal((3, 50))
    ratings = np.clip(np.rint(3 + taste[users, items]), 1, 5)
    return Interactions.from_arrays(users + 100, items + 7, ratings=ratings)


def test_semi_synthetic_propensities_are_how_often_a_pair_is_observed(rated, monkeypatch):
    fitted = complete(rated, 8, 0.1, 0)
    monkeypatch.setattr("pyrec.data.completed.complete", lambda *_: fitted)
    counts, weighted = np.zeros((80, 50)), []
    truth = semi_synthetic(rated, num_uniform=10).truth.label_matrix()
    for draw in range(DRAWS):
        log = semi_synthetic(rated, num_uniform=10, draw=draw)
        counts[log.interactions.users, log.interactions.items] += 1
        weighted.append((log.interactions.labels / log.propensities.values).sum() / truth.size)
    expected = of_all_pairs(log) * (DRAWS)
    assert np.abs((counts - expected) / np.sqrt(np.maximum(expected, 1))).max() < 5
    assert standard_errors(weighted, truth.mean()) < 2
    assert_allclose(expected.mean() / (DRAWS), 0.05, rtol=1e-5)


def test_semi_synthetic_ratings_have_the_shares_asked_for_and_the_order_of_the_fit(rated):
    shares = (0.5, 0.2, 0.1, 0.1, 0.1)
    log = semi_synthetic(rated, shares=shares, alpha=0.5, density=0.2, num_uniform=100)
    ratings = log.truth.rating_matrix()
    assert_allclose(
        np.bincount(ratings.astype(int).ravel(), minlength=6)[1:] / ratings.size, shares, atol=1e-9
    )
    known = ratings[rated.users, rated.items]
    assert np.corrcoef(known, rated.ratings)[0, 1] > 0.7
    chances = of_all_pairs(log)
    for rating in range(1, 5):
        ratio = chances[ratings == rating].mean() / chances[ratings == 5].mean()
        assert_allclose(ratio, 0.5 ** max(0, 4 - rating), rtol=1e-5)
    assert_array_equal(log.interactions.user_ids, rated.user_ids)
    assert_array_equal(log.interactions.labels, log.interactions.ratings >= 4)
    assert_array_equal(log.truth.probabilities(rated.users, rated.items), known >= 4)


def test_real_ratings_are_completed_near_those_held_out(data_dir):
    train, test = split_random(read_interactions(data_dir / "ml-100k" / "u.data"), 0.9)
    fitted = complete(train, 8, 0.1, 0)
    error = np.sqrt(np.mean((fitted[test.users, test.items] - test.ratings) ** 2))
    assert error < 0.92  # a constant has 1.12
    log = semi_synthetic(train)
    assert abs(len(log.interactions) / log.truth.matrix.size - 0.05) < 0.001
    assert_allclose(
        np.unique(log.propensities.values)[:-1] * 4, np.unique(log.propensities.values)[1:], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0.0}, r"alpha = 0\.0 must be above 0"),
        ({"alpha": 1.5}, r"alpha = 1\.5 must be at most 1"),
        ({"density": 1.0}, r"density = 1\.0 is a share of all pairs; it must be below 1"),
        ({"density": 0.9}, r"density = 0\.9 is beyond 0\.\d+, what is observed if every rating of 4 or 5 is"),
        ({"shares": (0.5, 0.5)}, "must be 5 numbers that sum to 1"),
        ({"shares": (-0.5, 0.5, 0.5, 0.5, 0)}, r"shares\[0\] = -0\.5 must be at least 0"),
        ({"reg": 0}, "reg = 0.0 must be above 0"),
        ({"num_uniform": 4001}, "num_uniform = 4001 must be at most 4000"),
    ],
)
def test_semi_synthetic_arguments_out_of_range(rated, arguments, message):
    with pytest.raises(ConfigError, match=message):
        semi_synthetic(rated, **{"num_uniform": 100} | arguments)


def test_semi_synthetic_needs_ratings():
    with pytest.raises(DataError, match="interactions have no ratings to be completed"):
        semi_synthetic(Interactions.from_arrays([1], [2]))
