"""Sums of events that decay, against every pair of events."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrec.errors import ConfigError, DataError
from pyrec.ops.decayed import DecayedState, decayed_counts
from pyrec.reference.decayed import decayed_counts as reference

LIVES = (2.0, 30.0, math.inf)


def make(n, num_keys, seed=0, last=50, num_amounts=2):
    """Events of whole times, many of them at once."""
    g = torch.Generator().manual_seed(seed)
    keys = torch.randint(0, num_keys, (n,), generator=g, dtype=torch.int32)
    times = torch.randint(0, last, (n,), generator=g).double().sort().values
    return keys, times, torch.randint(-1, 3, (n, num_amounts), generator=g).float()


def assert_close(ours, expected):
    torch.testing.assert_close(ours, expected.float(), rtol=1e-6, atol=1e-6)


def test_worked_out_by_hand():
    keys = torch.tensor([0, 1, 0, 0, 0]).int()
    times = torch.tensor([0.0, 1, 2, 2, 4])
    sums, state = decayed_counts(
        keys, times.double(), torch.tensor([[1.0], [5], [3], [1], [0]]), (2.0, math.inf), 2
    )
    assert sums[:, 0].tolist() == [[0, 0], [0, 0], [0.5, 1], [0.5, 1], [(0.5 + 4) / 2, 5]]
    assert state.times.tolist() == [4, 1]
    assert state.at(torch.tensor([1, 0]), torch.tensor([3.0, 6.0]).double())[:, 0].tolist() == [
        [2.5, 5],
        [1.125, 5],
    ]


@settings(max_examples=40)
@given(n=st.integers(0, 120), num_keys=st.integers(1, 9), seed=st.integers(0, 2**31), last=st.integers(1, 60))
def test_every_pair_of_events(n, num_keys, seed, last):
    events = make(n, num_keys, seed, last)
    assert_close(decayed_counts(*events, LIVES, num_keys)[0], reference(*events, LIVES))


def test_events_of_one_time_do_not_count_for_each_other():
    sums, state = decayed_counts(
        torch.zeros(4).int(), torch.full((4,), 9.0).double(), torch.ones(4, 1), (1.0,), 1
    )
    assert sums.abs().max() == 0
    assert state.at(torch.tensor([0]), torch.tensor([9.0]).double()).item() == 0
    assert state.at(torch.tensor([0]), torch.tensor([10.0]).double()).item() == 2


@pytest.mark.parametrize("cut", [0, 1, 333, 500, 999, 1000])
def test_two_calls_have_the_bits_of_one(cut):
    events = make(1000, 20)
    whole, end = decayed_counts(*events, LIVES, 20)
    first, state = decayed_counts(*(array[:cut] for array in events), LIVES, 20)
    before = [array.clone() for array in state]
    second, after = decayed_counts(*(array[cut:].contiguous() for array in events), LIVES, 20, state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert all(torch.equal(a, b) for a, b in zip(end, after, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))


def test_the_state_says_what_the_next_event_would_see():
    events = make(500, 15)
    _, state = decayed_counts(*events, LIVES, 16)
    keys = torch.arange(16, dtype=torch.int32)
    for later in (49.0, 49.5, 1000.0):
        times = torch.full((16,), later).double()
        asked, _ = decayed_counts(keys, times, torch.zeros(16, 2), LIVES, 16, state)
        torch.testing.assert_close(state.at(keys, times), asked, rtol=1e-6, atol=0)
    assert state.at(torch.tensor([15]), torch.tensor([0.0]).double()).abs().max() == 0


def test_threads_do_not_change_a_bit(threads):
    events = make(20_000, 700, last=4000)
    found = []
    for count in (1, 2, 3, 7):
        threads(count)
        found.append(decayed_counts(*events, LIVES, 700)[0])
    assert all(torch.equal(sums, found[0]) for sums in found)
    assert_close(found[0], reference(*events, LIVES))


def test_ages_long_past_are_forgotten():
    keys, times = torch.zeros(2).int(), torch.tensor([-1e308, 1e308], dtype=torch.float64)
    sums, state = decayed_counts(keys, times, torch.ones(2, 1), (1.0, math.inf), 1)
    assert sums[1, 0].tolist() == [0, 1]
    _, early = decayed_counts(keys[:1], times[:1], torch.ones(1, 1), (1.0, math.inf), 1)
    assert early.at(keys[:1], times[1:])[0, 0].tolist() == [0, 1]
    assert state.at(keys[:1], times[1:])[0, 0].tolist() == [0, 1]


SOUND = {
    "keys": torch.tensor([0, 2, 1]).int(),
    "times": torch.tensor([1.0, 2.0, 2.0]).double(),
    "amounts": torch.ones(3, 1),
    "half_lives": [1.0],
    "num_keys": 3,
}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"keys": torch.tensor([0, 3, 1]).int()}, r"keys\[1\] = 3, but there are 3 keys"),
        ({"keys": torch.tensor([0, -1, 1]).int()}, r"keys\[1\] = -1, but there are 3 keys"),
        ({"keys": torch.tensor([0, 2, 1])}, r"keys has dtype int64, but int32 is needed"),
        (
            {"times": torch.tensor([1.0, 2.0, 1.5]).double()},
            r"times\[2\] = 1.5\d* lies before 2.0\d*, the time before",
        ),
        (
            {"times": torch.tensor([1.0, math.nan, 2]).double()},
            r"times\[1\] = -?nan, but a time is a finite number",
        ),
        (
            {"amounts": torch.tensor([[1.0], [math.inf], [0]])},
            r"amounts\[1, 0\] = inf, but every value must be",
        ),
        ({"amounts": torch.ones(3)}, r"amounts has shape \(3,\), but \(n, M\) is needed"),
        ({"amounts": torch.ones(3, 0)}, r"amounts.shape\[1\] = 0"),
    ],
)
def test_wrong_events(wrong, message):
    with pytest.raises((DataError, ConfigError), match=message):
        decayed_counts(**{**SOUND, **wrong})


@pytest.mark.parametrize(
    ("lives", "message"),
    [
        ([], r"half_lives = \[\], but a list of numbers above 0"),
        ([1.0, 0.0], r"half_lives\[1\]"),
        ([math.nan], r"half_lives\[0\]"),
        ([-math.inf], r"half_lives\[0\]"),
        ([1.0] * 65, r"half_lives has 65 numbers, but at most 64"),
    ],
)
def test_wrong_half_lives(lives, message):
    with pytest.raises(ConfigError, match=message):
        decayed_counts(**{**SOUND, "half_lives": lives})


def test_wrong_states():
    _, state = decayed_counts(**SOUND)
    with pytest.raises(
        DataError, match=r"times\[0\] = 1.0\d* lies before 2.0\d*, the last time of the state"
    ):
        decayed_counts(**SOUND, state=state)
    later = {**SOUND, "times": SOUND["times"] + 5}
    with pytest.raises(
        DataError, match=r"with half-lives \[1.0\], but \(3, 1, 1\) with \[2.0\] are asked for"
    ):
        decayed_counts(**{**later, "half_lives": [2.0]}, state=state)
    with pytest.raises(DataError, match=r"state has sums of shape \(3, 1, 1\)"):
        decayed_counts(**{**later, "num_keys": 4}, state=state)
    with pytest.raises(DataError, match="state is a tuple, but a DecayedState is needed"):
        decayed_counts(**later, state=tuple(state))
    broken = state._replace(values=torch.full_like(state.values, math.nan))
    with pytest.raises(DataError, match=r"values\[0, 0\] = -?nan"):
        decayed_counts(**later, state=broken)
    assert isinstance(state, DecayedState)


def test_wrong_questions():
    _, state = decayed_counts(**SOUND)
    with pytest.raises(DataError, match=r"keys\[1\] = 3, but there are 3 keys"):
        state.at(torch.tensor([0, 3]), torch.tensor([3.0, 3.0]).double())
    with pytest.raises(DataError, match=r"times\[0\] = 0.5 is not at or behind 1.0, the key's last event"):
        state.at(torch.tensor([0]), torch.tensor([0.5]).double())
    with pytest.raises(DataError, match="integers and float64 of one length are needed"):
        state.at(torch.tensor([0, 1]), torch.tensor([3.0]).double())


def test_the_process_s_settings_are_not_looked_at():
    events = make(300, 9)
    keys, times = torch.arange(9), torch.full((9,), 60.0).double()
    whole, state = decayed_counts(*events, LIVES, 9)
    asked = state.at(keys, times)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            found, again = decayed_counts(*events, LIVES, 9)
            assert torch.equal(again.at(keys, times), asked)
            assert torch.equal(found, whole)
    finally:
        torch.set_default_dtype(torch.float32)
