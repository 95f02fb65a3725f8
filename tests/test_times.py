"""Times in every type that lists, frames and text hold. Expected numbers are counted by hand from the calendar."""

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pyrec.data import Interactions, as_interactions
from pyrec.data.time_text import text_times
from pyrec.data.times import as_times, time_span, time_unit
from pyrec.errors import ConfigError, DataError

SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR
LEAP_DAY = 11_016 * DAY
"""2000-02-29: 30 years of 365 days, 7 leap days (72 to 96), and 31 + 28 days."""
NOON = datetime(2000, 2, 29, 12)
EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0),
        ("2000-02-29", LEAP_DAY),
        (" 2000-02-29 ", LEAP_DAY),
        ("2000/02/29", LEAP_DAY),
        ("2000-03-01", LEAP_DAY + DAY),
        ("2000-02-29 12:00", LEAP_DAY + 12 * HOUR),
        ("2000-02-29T12:00:07", LEAP_DAY + 12 * HOUR + 7 * SECOND),
        ("2000-02-29t12:00:07z", LEAP_DAY + 12 * HOUR + 7 * SECOND),
        ("2000-02-29 12:00:07 UTC", LEAP_DAY + 12 * HOUR + 7 * SECOND),
        ("2000-02-29 12:00:07.5", LEAP_DAY + 12 * HOUR + 7 * SECOND + 500_000_000),
        ("2000-02-29 12:00:07,25+00", LEAP_DAY + 12 * HOUR + 7 * SECOND + 250_000_000),
        ("2000-02-29T12:00:00.000000001Z", LEAP_DAY + 12 * HOUR + 1),
        ("2000-02-29T12:00+02:00", LEAP_DAY + 10 * HOUR),
        ("2000-02-29T12:00:00-0530", LEAP_DAY + 17 * HOUR + HOUR // 2),
        ("20000229T120000Z", LEAP_DAY + 12 * HOUR),
        ("1969-12-31T23:59:59.25", -750_000_000),
        ("1900-03-01", -(70 * 365 + 17 - 59) * DAY),  # 1900 is no leap year: 59 days before March
        ("2262-04-11T23:47:16.854775807", 2**63 - 1),
    ],
)
def test_text_is_read_to_the_nanosecond(text, expected):
    times, bad = text_times([text])
    assert bad is None
    assert times.tolist() == [expected]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("29/02/2000", "time_format='%d/%m/%Y'"),
        ("02-29-2000", "is no time in ISO 8601"),
        ("2000-2-29", "is no time in ISO 8601"),
        ("2000-02/29", "is no time in ISO 8601"),
        ("2000-02", "is no time in ISO 8601"),
        ("2000-02-29 12", "is no time in ISO 8601"),
        ("2000-02-29 12:00 EST", "is no time in ISO 8601"),
        ("2000-02-29" + " " * 90 + "x", "is no time in ISO 8601"),
        ("\u0662\u0660\u0660\u0660-02-29", "is no time in ISO 8601"),
        ("", "is no time in ISO 8601"),
        ("1900-02-29", "no date of the calendar"),
        ("2000-00-01", "no date of the calendar"),
        ("2000-13-01", "no date of the calendar"),
        ("2000-02-29T24:00", "no time of a day"),
        ("2000-02-29T12:00:60", "no time of a day"),
        ("2000-02-29T12:00+24:00", "no time of a day"),
        ("0000-01-01", "outside 1677-09-21"),
        ("9999-12-31", "outside 1677-09-21"),
        ("2262-04-11T23:47:16.854775808", "outside 1677-09-21"),
    ],
)
def test_text_that_is_no_time_has_its_place_and_a_way_on(text, reason):
    texts = ["2000-02-29", "2000-02-29T12:00Z", text, "2000-02-29", "never"]
    _, bad = text_times(texts)
    assert bad.position == 2
    assert reason in bad.reason
    with pytest.raises(DataError, match=r"times\[2\] = "):
        as_times(texts)


def test_the_first_of_several_faults_is_named_across_shapes_and_blocks():
    good = ["2000-02-29"] * 70_000
    assert text_times([*good, "2000-02-30", "never"])[1].position == 70_000
    assert text_times([*good, "never", "2000-02-30"])[1].position == 70_000
    times, bad = text_times([*good, "2000-02-29T00:00:01"])
    assert bad is None
    assert times[-2:].tolist() == [LEAP_DAY, LEAP_DAY + SECOND]


def test_other_forms_of_text_are_read_by_a_format():
    assert as_times(["29/02/2000", "01/03/2000"], time_format="%d/%m/%Y").tolist() == [
        LEAP_DAY,
        LEAP_DAY + DAY,
    ]
    assert as_times(["02/29/2000 01 PM"], time_format="%m/%d/%Y %I %p").tolist() == [LEAP_DAY + 13 * HOUR]
    assert as_times(["20000229"], time_format="%Y%m%d").tolist() == [LEAP_DAY]
    with_zone = as_times(["29/02/2000 12:00 +0530"], time_format="%d/%m/%Y %H:%M %z")
    assert with_zone.tolist() == [LEAP_DAY + 6 * HOUR + HOUR // 2]
    with pytest.raises(DataError, match=r"times\[1\] = '13/13/2000' is not written as '%d/%m/%Y'"):
        as_times(["01/01/2000", "13/13/2000"], time_format="%d/%m/%Y")
    with pytest.raises(DataError, match=r"times\[0\] = '01/01/1500' is outside"):
        as_times(["01/01/1500"], time_format="%d/%m/%Y")
    for wrong in ("%Q", "year", 7, ""):
        with pytest.raises(ConfigError, match="time_format is"):
            as_times(["2000-02-29"], time_format=wrong)


def naive_series(unit):
    return pd.Series([NOON]).astype(f"datetime64[{unit}]")


@pytest.mark.parametrize(
    ("values", "hours"),
    [
        ([NOON], 12),
        ([NOON.replace(tzinfo=timezone.utc)], 12),
        ([NOON.replace(tzinfo=EAST)], 6.5),
        ([NOON.date()], 0),
        ((np.datetime64("2000-02-29T12"),), 12),
        (np.array(["2000-02-29"], dtype="datetime64[W]") + 0, -5 * 24),  # weeks start on a Thursday
        ([pd.Timestamp(NOON)], 12),
        ([pd.Timestamp(NOON, tz="America/New_York")], 17),
        ([pd.Period("2000-02-29", "D")], 0),
        ([pd.Period("2000-02", "M")], -28 * 24),
        (pd.PeriodIndex(["2000-02-29"], freq="D"), 0),
        (pd.DatetimeIndex([NOON], tz="Asia/Tokyo"), 3),
        (naive_series("s"), 12),
        (naive_series("ns"), 12),
        (naive_series("us").dt.tz_localize("Asia/Tokyo"), 3),
        (pd.Series([NOON.replace(tzinfo=EAST)], dtype=object), 6.5),
        (pd.Series(["2000-02-29"], dtype="category"), 0),
        (pd.Series([NOON]).astype("timestamp[ms, Asia/Tokyo][pyarrow]"), 12),
        (pl.Series([NOON]), 12),
        (pl.Series([NOON]).dt.replace_time_zone("Asia/Tokyo"), 3),
        (pl.Series([NOON.date()]), 0),
        (pl.Series(["2000-02-29"], dtype=pl.Categorical), 0),
        (pa.array([NOON], pa.timestamp("ms")), 12),
        (pa.array([NOON], pa.timestamp("us", "Asia/Tokyo")), 12),
        (pa.chunked_array([pa.array([NOON.date()], pa.date32())]), 0),
        (pa.array([NOON.date()], pa.date64()), 0),
        (pa.array(["2000-02-29T12:00Z"]).dictionary_encode(), 12),
        ([pa.scalar(NOON)], 12),
        (np.array(["2000-02-29 12:00"], dtype=np.dtypes.StringDType()), 12),
        ({"2000-02-29 12:00": None}.keys(), 12),
    ],
)
def test_every_way_to_hold_a_moment_is_the_same_number(values, hours):
    times = as_times(values)
    assert times.dtype == np.int64
    assert times.tolist() == [LEAP_DAY + int(hours * HOUR)]


def test_kinds_may_be_mixed_in_one_list():
    mixed = [
        NOON,
        NOON.date(),
        pd.Timestamp(NOON) + pd.Timedelta(7, "ns"),
        np.datetime64("2000-03-01"),
        NOON.replace(tzinfo=EAST),
    ]
    hours = [12, 0, 12, 24, 6.5]
    expected = [LEAP_DAY + int(hour * HOUR) for hour in hours]
    expected[2] += 7
    assert as_times(mixed).tolist() == expected


def test_numbers_stay_what_they_are():
    assert as_times([3, 1]).dtype == np.int64
    assert as_times(np.array([3, 1], np.uint64)).tolist() == [3, 1]
    assert as_times([2**62 + 1, 1]).tolist() == [2**62 + 1, 1]
    assert as_times([1.5, 2]).tolist() == [1.5, 2.0]
    assert as_times([Decimal("1.5")]).tolist() == [1.5]
    assert as_times(["978300760", "978300761"]).tolist() == [978300760, 978300761]
    assert as_times(["1.5", "2"]).tolist() == [1.5, 2.0]
    assert as_times(pd.array([4, 5], "Int64")).tolist() == [4, 5]
    assert as_times([]).size == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([NOON, None], r"times\[1\] = None is missing"),
        ([NOON, pd.NaT], r"times\[1\] = NaT is missing"),
        ([pd.NA, 3], r"times\[0\] = <NA> is missing"),
        (pa.array([NOON, None]), r"times\[1\] = NaT is missing"),
        ([datetime(1500, 1, 1)], r"times\[0\] = 1500-01-01 .* is outside"),
        ([NOON, pd.Timestamp("9999-01-01")], r"times\[1\] = 9999-01-01 .* is outside"),
        (pd.Series([NOON, datetime(1500, 1, 1)]), r"times\[1\] = 1500-01-01.* is outside"),
        ([date(2024, 1, 1), "2024-01-02"], r"times\[1\] = '2024-01-02' \(str\) is no time"),
        ([NOON, 5], r"times\[1\] = 5 \(int\) is no time"),
        ([True, False], r"times\[0\] = True \(bool\) is no time"),
        (np.array([True]), r"times\[0\] = True \(bool\) is no time"),
        ([timedelta(1)], r"times\[0\] = 1 day.* \(timedelta\) is no time"),
        (np.array([1], "timedelta64[s]"), r"times\[0\] = 1 seconds .* is no time"),
        ([time(12)], r"times\[0\] = 12:00:00 \(time\) is no time"),
        ([b"2024-01-01"], r"times\[0\] = .* \(bytes\) is no time"),
        (np.array([1j]), r"times\[0\] = 1j .* is no time"),
        (["12", "noon"], r"times\[1\] = 'noon' is no number, and '12' before it is one"),
        (np.array([2**63], np.uint64), r"times\[0\] = 9223372036854775808 is beyond int64"),
        ([2**70], r"times\[0\] = 1180591620717411303424 is beyond int64"),
        ([1.0, float("inf")], r"times\[1\] = inf is not a finite number"),
        ("2024-01-01", "times is str"),
        ({1: 2}, "times is dict"),
        (5, "times is int 5"),
        ([[1], [2]], r"times\[0\] = \[1\] \(list\) is no time"),
        (np.zeros((2, 2)), r"times has shape \(2, 2\)"),
        (np.ma.masked_array([1, 2], [False, True]), "times is a masked array"),
    ],
)
def test_what_is_no_time_is_named(values, message):
    with pytest.raises(DataError, match=message):
        as_times(values)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
@pytest.mark.parametrize(
    "times",
    [
        [datetime(2001, 5, 2), datetime(2001, 5, 1)],
        [date(2001, 5, 2), date(2001, 5, 1)],
        ["2001-05-02", "2001-05-01T23:00:00Z"],
    ],
)
def test_of_two_ratings_the_later_is_kept_in_every_frame(make, times):
    frame = make({"user": [4, 4], "item": [9, 9], "rating": [2.0, 3.0], "timestamp": times})
    kept = as_interactions(frame)
    assert kept.ratings.tolist() == [2.0]
    assert kept.times.tolist() == [11_444 * DAY]  # 31 years, 8 leap days, and 31 + 28 + 31 + 30 + 1 days


def test_a_frame_with_other_text_takes_a_format():
    frame = pl.DataFrame({"user": [4, 4], "item": [9, 9], "when": ["02/05/2001", "01/06/2001"]})
    kept = Interactions.from_frame(frame, time="when", time_format="%d/%m/%Y")
    assert kept.times.tolist() == [11_474 * DAY]
    with pytest.raises(DataError, match="time_format="):
        Interactions.from_frame(frame, time="when")


@pytest.mark.parametrize(
    ("time", "unit"),
    [
        (951_825_600, "s"),
        (951_825_600.5, "s"),
        (951_825_600_000, "ms"),
        (951_825_600_000_000, "us"),
        (951_825_600 * SECOND, "ns"),
        (-951_825_600, "s"),
        (3, None),
        (20_000_229, None),
        (20_000_229_120_000, None),
    ],
)
def test_the_unit_is_told_by_size(time, unit):
    assert time_unit(np.array([time, time, 0])) == unit


def test_statistics_tell_unit_and_range_of_times():
    x = Interactions.from_arrays([1, 1, 2], [1, 2, 2], times=[951_825_600, 951_825_660, 951_739_200])
    stats = x.stats()
    assert stats.times == ("s", "2000-02-28T12:00:00Z", "2000-02-29T12:01:00Z")
    assert json.loads(json.dumps(stats.as_dict()))["times"] == {
        "unit": "s",
        "first": "2000-02-28T12:00:00Z",
        "last": "2000-02-29T12:01:00Z",
    }
    assert "first time" in str(stats)
    assert "s since 1970" in str(stats)
    ranks = Interactions.from_arrays([1, 2], [1, 2], times=[5, 7]).stats()
    assert ranks.times == (None, 5, 7)
    assert "not since 1970" in str(ranks)
    assert Interactions.from_arrays([1], [1]).stats().as_dict()["times"] is None
    assert time_span(np.array([], np.int64)) is None
    assert time_span(np.array([LEAP_DAY + 1])).first == "2000-02-29T00:00:00.000000001Z"
