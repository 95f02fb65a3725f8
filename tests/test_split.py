import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrec.data import Interactions, split_random, split_time, synthetic
from pyrec.errors import ConfigError, DataError


def pairs(x):
    return set(zip(x.users.tolist(), x.items.tolist(), strict=True))


def split_or_none(x, fraction, seed):
    """The parts, or None where keeping a training pair for every user leaves nothing to test."""
    try:
        return split_random(x, fraction, seed)
    except DataError:
        return None


@given(
    st.sets(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1),
    st.floats(0.05, 0.95),
    st.integers(0, 2**32),
)
def test_a_random_split_parts_the_pairs_and_trains_every_user(log, fraction, seed):
    users, items = map(list, zip(*sorted(log), strict=True))
    x = Interactions.from_arrays(users, items, ratings=np.arange(len(users)))
    least = max(round(fraction * len(x)), 1)
    parts = split_or_none(x, fraction, seed)
    if parts is None:
        assert len(x) <= least + x.num_users - 1
        return
    train, test = parts
    assert pairs(train) | pairs(test) == pairs(x)
    assert not pairs(train) & pairs(test)
    assert set(train.users.tolist()) == set(x.users.tolist())
    assert round(fraction * len(x)) <= len(train) <= least + x.num_users - 1
    assert train.user_ids is test.user_ids is x.user_ids
    assert sorted([*train.ratings, *test.ratings]) == list(range(len(x)))


def test_a_random_split_follows_its_seed():
    x = synthetic(200, 100, 20)
    first, again, other = (split_random(x, seed=seed)[0] for seed in (1, 1, 2))
    assert pairs(first) == pairs(again) != pairs(other)
    assert len(first) == pytest.approx(0.8 * len(x), rel=0.01)


def test_a_time_split_takes_the_earliest_and_breaks_ties_by_position():
    x = Interactions.from_arrays([2, 1, 1, 0, 0], [1, 1, 0, 1, 0], times=[5, 9, 5, 5, 1])
    train, test = split_time(x, 0.6)
    assert pairs(train) == {(0, 0), (0, 1), (1, 0)}
    assert pairs(test) == {(2, 1), (1, 1)}
    assert test.times.tolist() == [9, 5]


@pytest.mark.parametrize("split", [split_random, split_time])
def test_bad_fractions_and_empty_parts(split):
    x = Interactions.from_arrays([1, 1], [1, 2], times=[1, 2])
    for fraction in (0, 1, -0.5, float("nan"), "0.8", None, True):
        with pytest.raises(ConfigError, match=f"train_fraction = {fraction!r}"):
            split(x, fraction)
    with pytest.raises(DataError, match=r"the test part of 2 interactions is empty at train_fraction = 0\.9"):
        split(x, 0.9)
    with pytest.raises(DataError, match="the training part of 0 interactions is empty"):
        split(x.select([False, False]))


def test_what_else_a_split_refuses():
    x = Interactions.from_arrays([1, 2], [1, 2])
    with pytest.raises(DataError, match="no times to split by"):
        split_time(x)
    with pytest.raises(ConfigError, match="seed = -1 must be at least 0"):
        split_random(x, seed=-1)
    for seed in (1.5, "a", None, True):
        with pytest.raises(ConfigError, match=f"seed = {seed!r} must be a whole number of at least 0"):
            split_random(x, seed=seed)


def test_numpy_numbers_are_numbers():
    x = synthetic(20, 20, interactions_per_user=4)
    parts = [split_random(x, *how)[0] for how in ((0.5, 3), (np.float32(0.5), np.int64(3)))]
    assert pairs(parts[0]) == pairs(parts[1])
