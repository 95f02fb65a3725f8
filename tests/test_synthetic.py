import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import diags_array
from scipy.sparse.linalg import svds

from pyrec.data import split_random, synthetic
from pyrec.errors import ConfigError


def recall(scores, train, test, k=20):
    scores = scores.copy()
    scores[train.users, train.items] = -np.inf
    best = np.argpartition(-scores, k, axis=1)[:, :k]
    wanted = test.to_csr().toarray() > 0
    has_test = wanted.any(axis=1)
    hits = np.take_along_axis(wanted, best, axis=1).sum(axis=1)
    return (hits[has_test] / wanted.sum(axis=1)[has_test]).mean()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_spectral_model_beats_popularity_clearly(seed):
    train, test = split_random(synthetic(seed=seed), seed=seed)
    ratings = train.to_csr()
    popularity = ratings.sum(axis=0)
    by_user = diags_array(ratings.sum(axis=1) ** -0.5)
    by_item = diags_array(np.maximum(popularity, 1) ** -0.5)
    u, s, v = svds((by_user @ ratings @ by_item).tocsr(), k=20, rng=np.random.default_rng(0))
    of_popularity = recall(np.tile(popularity, (train.num_users, 1)), train, test)
    assert recall((u * s) @ v, train, test) > 1.7 * of_popularity
    assert of_popularity > 3 * 20 / train.num_items


def test_the_same_seed_gives_the_same_data():
    first, again, other = synthetic(seed=3), synthetic(seed=3), synthetic(seed=4)
    assert_array_equal(first.users, again.users)
    assert_array_equal(first.items, again.items)
    assert not np.array_equal(first.items[:1000], other.items[:1000])


def test_sizes_and_tails():
    x = synthetic()
    assert (x.num_users, x.num_items) == (1500, 1000)
    assert 35_000 < len(x) < 45_000
    stats = x.stats()
    assert stats.users_without_interactions == 0
    assert stats.item_degrees["max"] > 10 * stats.item_degrees["50%"]
    assert stats.user_degrees["max"] > 4 * stats.user_degrees["50%"]


def test_the_smallest():
    x = synthetic(num_users=1, num_items=1, interactions_per_user=1, num_groups=1)
    assert (x.num_users, x.num_items, len(x)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_users": 0}, "num_users = 0 must be at least 1"),
        ({"num_users": True}, "num_users = True must be a whole number"),
        ({"num_users": 2.5}, r"num_users = 2\.5 must be a whole number"),
        ({"num_items": 5}, "num_items = 5 must be at least 20"),
        ({"num_groups": 0}, "num_groups = 0 must be at least 1"),
        ({"interactions_per_user": 0.5}, r"interactions_per_user = 0\.5 must be at least 1"),
        ({"interactions_per_user": float("nan")}, "interactions_per_user = nan must be a finite number"),
        ({"interactions_per_user": 1e9}, r"interactions_per_user = 1e\+09 or num_groups = 20 are more than"),
        ({"seed": -1}, "seed = -1 must be at least 0"),
        ({"seed": 2**31}, "seed = 2147483648 must be at most 2147483647"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ConfigError, match=message):
        synthetic(**arguments)
