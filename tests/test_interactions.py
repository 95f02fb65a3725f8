import json
from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.sparse import coo_array, csr_array, csr_matrix

from pyrec.data import Interactions, as_interactions
from pyrec.data.sort import stable_order
from pyrec.errors import DataError

INT_IDS = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 20)
TEXT_IDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=5)


@st.composite
def logs(draw, ids):
    """Pairs with repeats, each with a rating and a time that may be equal to another's."""
    known = draw(st.lists(ids, min_size=1, max_size=5))
    row = st.tuples(st.sampled_from(known), st.sampled_from(known), st.integers(1, 5), st.integers(0, 3))
    return draw(st.lists(row, min_size=1, max_size=30))


@given(logs(INT_IDS) | logs(TEXT_IDS), st.booleans())
def test_a_log_becomes_its_latest_pairs_in_order(log, with_times):
    users, items, ratings, times = map(list, zip(*log, strict=True))
    x = Interactions.from_arrays(users, items, ratings, times if with_times else None)
    latest = {}
    for user, item, rating, time in log:
        if not with_times or (user, item) not in latest or time >= latest[user, item][1]:
            latest[user, item] = (rating, time)
    expected = sorted((user, item, *values) for (user, item), values in latest.items())
    columns = [x.user_ids[x.users].tolist(), x.item_ids[x.items].tolist(), x.ratings.tolist()]
    assert list(zip(*columns, strict=True)) == [row[:3] for row in expected]
    if with_times:
        assert x.times.tolist() == [row[3] for row in expected]
    assert x.user_ids.tolist() == sorted(set(users))
    assert_array_equal(x.user_ids[x.encode_users(users)], users)
    assert_array_equal(x.item_ids[x.encode_items(items)], items)
    assert (x.users.dtype, x.items.dtype, x.ratings.dtype) == (np.int32, np.int32, np.float32)


@given(st.lists(st.integers(0, 6), max_size=40))
def test_stable_order_is_argsort(codes):
    codes = np.array(codes, dtype=np.int32)
    assert_array_equal(stable_order(codes, 7), np.argsort(codes, kind="stable"))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, np.float32, object])
def test_integer_ids_of_every_dtype(dtype):
    x = Interactions.from_arrays(np.array([100, 7, 100], dtype=dtype), [1, 2, 3])
    assert x.user_ids.dtype == np.int64
    assert x.user_ids.tolist() == [7, 100]


def test_the_whole_int8_range_does_not_overflow():
    x = Interactions.from_arrays(np.arange(-128, 128, dtype=np.int8), np.zeros(256, int))
    assert_array_equal(x.users, np.arange(256))
    assert_array_equal(x.encode_users([-128, 127]), [0, 255])


@pytest.mark.parametrize("text", [np.array(["b", "a"]), np.array(["b", "a"], dtype=np.dtypes.StringDType())])
def test_text_ids_of_every_dtype(text):
    x = Interactions.from_arrays(text, [1, 2])
    assert x.user_ids.tolist() == ["a", "b"]
    assert x.encode_users(text).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([1.0, 2.5, 3.0], r"users\[1\] = 2.5 is not a whole number"),
        ([1.0, float("nan"), 3.0], r"users\[1\] = nan is not an id"),
        ([1, None, 3], r"users\[1\] = None \(NoneType\)"),
        (["a", None, "c"], r"users\[1\] = None \(NoneType\)"),
        (["a", float("nan"), "c"], r"users\[1\] = nan \(float\)"),
        (["a", 2, "c"], r"users\[1\] = 2 \(int\)"),
        (["a", "", "c"], r"users\[1\] = '' is empty text"),
        (["a", "b\0", "c"], r"users\[1\] = 'b\\x00' holds a NUL"),
        (["a", "b" * 2000, "c"], r"users\[1\] = 'b+' is longer than 1024"),
        (["a", "\ud800", "c"], r"users\[1\] = '.ud800' holds half a surrogate pair"),
        ([1, 2**63, 3], r"users\[1\] = 9223372036854775808 is beyond int64"),
        (np.array([1, 2**63, 3], dtype=np.uint64), r"users\[1\] = 9223372036854775808 is beyond int64"),
        ([1.0, 2.0**60, 3.0], r"users\[1\] = .* beyond 2\*\*53"),
        ([True, False, True], r"users\[0\] = True \(bool\)"),
        (np.array([True, False, True]), "users has dtype bool"),
        (np.array([b"a", b"b", b"c"]), r"users has dtype \|S1"),
        (np.zeros((3, 1), int), r"users has shape \(3, 1\)"),
        ("abc", r"users is str 'abc'"),
        (7, "users is int 7"),
        ([1, 2], r"items has shape \(3,\), but \(2,\) is needed"),
    ],
)
def test_malformed_ids_are_named_with_their_position(users, message):
    with pytest.raises(DataError, match=message):
        Interactions.from_arrays(users, [1, 2, 3])


@pytest.mark.parametrize(
    ("ratings", "times", "message"),
    [
        ([1, float("nan")], None, r"ratings\[1\] = nan is not a finite number"),
        ([1, 1e300], None, r"ratings\[1\] = inf"),
        ([1], None, r"ratings has shape \(1,\)"),
        (["good", "bad"], None, "ratings are not numbers"),
        (None, [0, float("inf")], r"times\[1\] = inf"),
        (None, ["now", "then"], r"times\[0\] = \'now\' is no time in ISO 8601"),
        (None, np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"), r"times\[1\] = NaT is missing"),
    ],
)
def test_malformed_ratings_and_times_are_named(ratings, times, message):
    with pytest.raises(DataError, match=message):
        Interactions.from_arrays([1, 2], [1, 2], ratings, times)


@pytest.mark.parametrize(
    ("unit", "step"),
    [("ns", 1), ("us", 10**3), ("25us", 25_000), ("ms", 10**6), ("s", 10**9), ("D", 86_400 * 10**9)],
)
def test_datetimes_to_the_last_that_nanoseconds_hold(unit, step):
    most = (2**63 - 1) // step
    times = np.array([most, -most]).astype(f"datetime64[{unit}]")
    assert Interactions.from_arrays([1, 2], [1, 2], times=times).times.tolist() == [most * step, -most * step]
    for beyond in (most + 1, -most - 1) if step > 1 else ():
        times = np.array([0, beyond]).astype(f"datetime64[{unit}]")
        with pytest.raises(DataError, match=r"times\[1\] = .* is outside 1677-09-21 to 2262-04-11.*; drop"):
            Interactions.from_arrays([1, 2], [1, 2], times=times)


def test_datetimes_in_months_years_and_finer_units():
    for unit, times, beyond in (("Y", ["1678", "2262"], "1677"), ("M", ["1677-10", "2262-04"], "2262-05")):
        x = Interactions.from_arrays([1, 2], [1, 2], times=np.array(times, dtype=f"datetime64[{unit}]"))
        assert x.times.astype("datetime64[ns]").astype(f"datetime64[{unit}]").astype(str).tolist() == times
        with pytest.raises(DataError, match=rf"times\[0\] = {beyond} is outside"):
            Interactions.from_arrays([1], [1], times=np.array([beyond], dtype=f"datetime64[{unit}]"))
    fine = np.array([2**63 - 1, 1500]).astype("datetime64[ps]")
    assert Interactions.from_arrays([1, 2], [1, 2], times=fine).times.tolist() == [(2**63 - 1) // 1000, 1]
    assert len(Interactions.from_arrays([], [], times=np.array([], dtype="datetime64"))) == 0


def test_the_latest_of_a_frame_is_not_a_time_that_wrapped():
    frame = pl.DataFrame(
        {"user": [1, 1], "item": [2, 3], "time": [datetime(9999, 12, 31), datetime(2020, 1, 1)]}
    )
    with pytest.raises(
        DataError, match=r"column 'time'\[0\] = 9999-12-31T00:00:00.000000 is outside 1677-09-21 to"
    ):
        as_interactions(frame)


def test_given_id_maps_set_the_numbers():
    x = Interactions.from_arrays([5, 3], ["x", "y"], user_ids=[9, 5, 3], item_ids=["y", "x", "z"])
    assert (x.num_users, x.num_items, len(x)) == (3, 3, 2)
    assert list(zip(x.users, x.items, strict=True)) == [(1, 1), (2, 0)]
    assert x.encode_users([3, 9]).tolist() == [2, 0]
    with pytest.raises(DataError, match=r"users\[1\] = 4 is not one of the 2 known user ids \(3, 5\)"):
        Interactions.from_arrays([5, 4], [1, 1], user_ids=[3, 5])
    with pytest.raises(DataError, match=r"user_ids\[1\] = 3 is listed more than once"):
        Interactions.from_arrays([3], [1], user_ids=[5, 3, 3])


@pytest.mark.parametrize("ids", [[1, 2, 3, 4], [10, 20, 30, 40], ["a", "b", "c", "d"]])
def test_encode_refuses_unknown_ids_and_the_other_type(ids):
    x = Interactions.from_arrays(ids, ids)
    unknown, other = ("zz", 3) if isinstance(ids[0], str) else (99, "zz")
    with pytest.raises(
        DataError, match=rf"items\[1\] = {unknown!r} is not one of the 4 known item ids .*\.\.\.\)"
    ):
        x.encode_items([ids[0], unknown])
    with pytest.raises(DataError, match=r"users\[0\] = .* the user ids are (text|integers), not"):
        x.encode_users([other])
    assert x.encode_users([]).tolist() == []


def test_no_interactions_at_all():
    x = Interactions.from_arrays([], [])
    assert (x.num_users, x.num_items, len(x)) == (0, 0, 0)
    assert x.indptr.tolist() == [0]
    assert x.to_csr().shape == (0, 0)
    assert x.stats().density == 0
    with pytest.raises(DataError, match=r"users\[0\] = 1 is not one of the 0"):
        x.encode_users([1])


@pytest.mark.parametrize("make", [csr_array, csr_matrix, coo_array])
def test_csr_round_trip_keeps_empty_rows_and_columns(make):
    dense = np.array([[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=np.float32)
    x = as_interactions(make(dense))
    assert x.ratings is None
    assert_array_equal(x.to_csr().toarray(), dense)
    assert_array_equal(x.indptr, [0, 2, 2, 3])
    assert as_interactions(x) is x


def test_csr_values_are_ratings_and_stored_zeros_are_dropped():
    matrix = csr_array(([5.0, 0.0, 3.0], [2, 1, 0], [0, 2, 3]), shape=(2, 3))
    x = Interactions.from_csr(matrix)
    assert list(zip(x.users, x.items, x.ratings, strict=True)) == [(0, 2, 5), (1, 0, 3)]


def test_csr_values_that_float32_rounds_to_zero_are_interactions():
    matrix = csr_array(([5.0, 0.0, 1e-50], [2, 1, 0], [0, 2, 3]), shape=(2, 3))
    x = Interactions.from_csr(matrix)
    assert list(zip(x.users, x.items, x.ratings, strict=True)) == [(0, 2, 5), (1, 0, 0)]


def test_csr_values_are_copied():
    matrix = csr_array(np.array([[2, 3]], dtype=np.float32))
    x = Interactions.from_csr(matrix)
    matrix.data[:] = 9
    assert x.ratings.tolist() == [2, 3]


def broken_csr(**parts):
    matrix = csr_array(np.array([[1.0, 0, 1], [0, 1, 1]]))
    for name, (at, value) in parts.items():
        getattr(matrix, name)[at] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (
            broken_csr(indices=(2, 7)),
            r"indices\[2\] = 7, but there are 3 items; did you pass item x user\? Try .T",
        ),
        (broken_csr(indices=(0, -1)), r"indices\[0\] = -1, but there are 3 items"),
        (broken_csr(indptr=(1, 5)), r"indptr\[2\] = 4 is less than indptr\[1\] = 5"),
        (broken_csr(indptr=(2, 3)), "indptr ends at 3, but there are 4 indices"),
        (broken_csr(indptr=(0, 1)), "indptr has 3 entries from .1."),
        (broken_csr(data=(3, np.nan)), r"user_items.data\[3\] = nan is not a finite number"),
        (broken_csr(data=(3, 1e39)), r"user_items.data\[3\] = inf is not a finite number"),
        (csr_array(np.eye(2, dtype=complex)), "data has dtype complex128"),
        (np.eye(2), "interactions are ndarray, but a scipy CSR matrix"),
    ],
)
def test_malformed_matrices(matrix, message):
    with pytest.raises(DataError, match=message):
        as_interactions(matrix)


FRAME = {"userId": ["u", "v", "u"], "movieId": [3, 1, 3], "rating": [4.0, 5.0, 2.0], "timestamp": [2, 3, 1]}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_frames_of_every_library(make):
    x = as_interactions(make(FRAME))
    assert x.user_ids.tolist() == ["u", "v"]
    assert x.ratings.tolist() == [4, 5]
    assert x.times.tolist() == [2, 3]
    plain = Interactions.from_frame(make(FRAME), user="userId", item="movieId")
    assert plain.ratings is None


def test_frame_columns_that_are_not_plain():
    frame = pd.DataFrame({"user": pd.Categorical(["a", "b"]), "item": pd.array([1, 2], dtype="Int64")})
    frame["time"] = pd.to_datetime(["2020-01-01", "2020-01-02"])
    x = as_interactions(frame)
    assert x.user_ids.tolist() == ["a", "b"]
    assert np.diff(x.times).tolist() == [86_400 * 10**9]


@pytest.mark.parametrize(
    "items",
    [
        pd.Series(pd.Categorical([30, 1, 30])),
        pd.Series(pd.Categorical([30, 1, 30], ordered=True)),
        pd.Series(pd.Categorical([30.0, 1.0, 30.0])),
        pd.Series(pd.array([30, 1, 30], dtype="Int64")).astype("category"),
        pa.array([30, 1, 30]).dictionary_encode(),
    ],
    ids=["integers", "ordered", "floats", "nullable", "arrow"],
)
def test_categories_that_are_numbers_stay_numbers(items):
    make = pd.DataFrame if isinstance(items, pd.Series) else pa.table
    x = as_interactions(make({"user": ["a", "b", "b"], "item": items}))
    assert x.item_ids.tolist() == [1, 30]
    assert x.item_ids.dtype == np.int64


@pytest.mark.parametrize(
    "users",
    [
        pd.Series(pd.Categorical(["b", "a", "b"])),
        pd.Series(pd.Categorical(["b", "a", "b"], ordered=True)),
        pl.Series(["b", "a", "b"]).cast(pl.Categorical),
        pl.Series(["b", "a", "b"]).cast(pl.Enum(["b", "a"])),
        pa.array(["b", "a", "b"]).dictionary_encode(),
    ],
    ids=["pandas", "ordered", "polars", "enum", "arrow"],
)
def test_categories_that_are_text_are_text(users):
    make = {pd.Series: pd.DataFrame, pl.Series: pl.DataFrame}.get(type(users), pa.table)
    assert as_interactions(make({"user": users, "item": [1, 2, 3]})).user_ids.tolist() == ["a", "b"]


def test_missing_categories_are_named():
    frame = pd.DataFrame({"user": ["a", "b"], "item": pd.Categorical([30, None])})
    with pytest.raises(DataError, match="frame column 'item' is missing in row 1"):
        as_interactions(frame)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"user": [1, None], "item": [1, 2]}), "frame column 'user' is missing in row 1"),
        (pl.DataFrame({"user": ["a", None], "item": [1, 2]}), "frame column 'user' is missing in row 1"),
        (
            pl.DataFrame({"user": [1], "item": [1], "rating": [None]}),
            "frame column 'rating' is missing in row 0",
        ),
        (pl.DataFrame({"user": [1], "thing": [1]}), "'user' is the user, but none of 'user', 'thing'"),
        (pl.DataFrame({"a": [1], "b": [1]}), "frame has the columns 'a', 'b', none with a well-known name"),
        (pl.DataFrame({"user": [1], "userId": [1], "item": [2]}), "'user' and 'userId' both name the user"),
    ],
)
def test_malformed_frames(frame, message):
    with pytest.raises(DataError, match=message):
        as_interactions(frame)


def test_from_frame_names_the_columns_it_lacks():
    with pytest.raises(DataError, match=r"no column 'stars'.*'user', 'item'"):
        Interactions.from_frame(pl.DataFrame({"user": [1], "item": [1]}), rating="stars")
    with pytest.raises(DataError, match="frame is list"):
        Interactions.from_frame([1, 1])


def test_select_keeps_the_id_maps_and_compact_drops_the_unused():
    x = Interactions.from_arrays([1, 1, 2], ["a", "b", "b"], ratings=[1, 2, 3])
    part = x.select(x.ratings < 2)
    assert (part.num_users, part.num_items, len(part)) == (2, 2, 1)
    small = part.compact()
    assert (small.user_ids.tolist(), small.item_ids.tolist()) == ([1], ["a"])
    with pytest.raises(DataError, match=r"mask has dtype int64 and shape \(3,\); bool \(3,\) is needed"):
        x.select(np.array([0, 1, 0]))


def test_with_ids_renumbers_in_any_order():
    x = Interactions.from_arrays([1, 2], [5, 6])
    y = x.with_ids(np.array([3, 2, 1]), np.array([6, 5]))
    assert list(zip(y.users, y.items, strict=True)) == [(1, 0), (2, 1)]
    with pytest.raises(DataError, match=r"user_ids\[1\] = 2 is not one of"):
        x.with_ids(np.array([1]), x.item_ids)


def test_stats_count_and_print():
    stats = Interactions.from_csr(csr_array(np.array([[1, 1, 0, 0], [0, 0, 0, 0]]))).stats()
    assert (stats.num_users, stats.num_items, stats.num_interactions, stats.density) == (2, 4, 2, 0.25)
    assert (stats.users_without_interactions, stats.items_without_interactions) == (1, 2)
    assert stats.user_degrees == {
        "min": 0,
        "25%": 0.5,
        "50%": 1,
        "75%": 1.5,
        "90%": 1.8,
        "99%": 1.98,
        "max": 2,
    }
    assert json.loads(json.dumps(stats.as_dict()))["item_degree_mean"] == 0.5
    lines = str(stats).splitlines()
    assert len({len(line) for line in lines[:6]}) == 1
    assert len({len(line) for line in lines[7:]}) == 1


def test_masked_ids_are_missing():
    users = np.ma.masked_array([3, 4, 5], [False, True, False])
    with pytest.raises(DataError, match=r"users\[1\] = 4 is masked; drop the missing ids"):
        Interactions.from_arrays(users, [1, 2, 3])
    unmasked = Interactions.from_arrays(np.ma.masked_array([3, 4, 5]), [1, 2, 3])
    assert unmasked.user_ids.tolist() == [3, 4, 5]
    with pytest.raises(DataError, match="user_ids is a masked array"):
        unmasked.with_ids(np.ma.masked_array([3, 4, 5]), unmasked.item_ids)


def test_notes_say_what_was_merged_and_are_kept():
    x = Interactions.from_arrays([1, 1, 2, 1], ["a", "a", "b", "a"], ratings=[1, 2, 3, 4])
    told = ("2 of 4 rows repeat a user and an item; the last one counts",)
    assert x.notes == told
    assert x.select(x.ratings > 3).notes == x.compact().notes == told
    assert x.with_ids(np.array([0, 1, 2]), np.array(["a", "b"])).notes == told
    assert x.stats().as_dict()["notes"] == told
    assert str(x.stats()).endswith(f"\n\nnote: {told[0]}")
    timed = Interactions.from_arrays([1, 1], [5, 5], times=[4, 3])
    assert timed.notes == ("1 of 2 rows repeat a user and an item; the latest one counts",)
    assert Interactions.from_arrays([1, 2], [5, 5]).notes == ()
