"""Logs with propensities: built from arrays, read from files like Open Bandit's, and generated with a known value."""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pyrec.data import BanditLog, generate_bandit, read_bandit_log
from pyrec.data.ragged import Ragged
from pyrec.errors import ConfigError, DataError

HEADER = (
    ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user-item_affinity_0\n"
)
ROWS = (
    "0,2019-11-24 00:00:17.004101+00:00,7,3,0,0.5,ab,x,0.0\n"
    "1,2019-11-24 00:01:03.979311+00:00,0,1,1,2.5e-06,cd,x,1.0\n"
    "2,2019-11-24 00:01:45.406608+00:00,7,2,0,1.0,ab,x,0.0\n"
    "3,2019-11-24 00:02:02.396318+00:00,3,1,0,0.25,ab,y,0.0\n"
)
ARRAYS = {
    "users": [5, 9, 5],
    "items": ["b", "a", "b"],
    "rewards": [1, 0, 2.5],
    "propensities": [0.5, 0.25, 1.0],
    "positions": [0, 2, 1],
}


def written(folder: Path, text: str, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def same(one: BanditLog, other: BanditLog) -> None:
    for name in ("users", "items", "rewards", "propensities", "positions", "user_ids", "item_ids"):
        assert_array_equal(getattr(one, name), getattr(other, name))


def test_arrays_are_numbered():
    log = BanditLog.from_arrays(**ARRAYS)
    assert_array_equal(log.users, [0, 1, 0])
    assert_array_equal(log.items, [1, 0, 1])
    assert_array_equal(log.positions, [0, 2, 1])
    assert log.user_ids.tolist() == [5, 9]
    assert log.item_ids.tolist() == ["a", "b"]
    assert (log.rewards.dtype, log.propensities.dtype) == (np.float32, np.float64)
    assert repr(log) == "BanditLog(3 rounds, 2 users, 2 items, 3 positions)"
    assert (len(log), log.num_positions) == (3, 3)
    plain = BanditLog.from_arrays(**ARRAYS | {"positions": None})
    assert (plain.positions, plain.num_positions) == (None, 1)


def test_ids_may_be_listed():
    log = BanditLog.from_arrays(**ARRAYS, user_ids=[9, 5, 1], item_ids=["a", "b", "never"])
    assert_array_equal(log.users, [1, 0, 1])
    assert (log.num_users, log.num_items) == (3, 3)


def test_some_rounds_keep_the_ids():
    candidates = Ragged.from_lists([[0, 1], [0], [1]], 2)
    log = BanditLog.from_arrays(**ARRAYS, candidates=candidates)
    some = log.select(np.array([True, False, True]))
    assert_array_equal(some.items, [1, 1])
    assert some.candidates.to_lists() == [[0, 1], [1]]
    assert some.num_users == 2
    with pytest.raises(DataError, match=r"bool \(3,\) is needed"):
        log.select([True])


def test_rewarded_pairs_are_interactions_weighted_by_their_rewards():
    found = BanditLog.from_arrays(**ARRAYS).rewarded()
    assert (found.users.tolist(), found.items.tolist(), found.weights.tolist()) == ([0], [1], [3.5])
    assert (found.num_users, found.num_items) == (2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"propensities": [0.5, 0.0, 1]}, r"propensities\[1\] = 0\.0; a probability above 0 and at most 1"),
        ({"propensities": [0.5, 0.5, 1.5]}, r"propensities\[2\] = 1\.5; a probability"),
        ({"propensities": [0.5, float("nan"), 1]}, r"propensities\[1\] = nan; a probability"),
        ({"propensities": ["a", "b", "c"]}, "propensities are not numbers"),
        ({"propensities": [0.5]}, r"propensities has shape \(1,\), but \(3,\) is needed"),
        ({"rewards": [0, float("inf"), 1]}, r"rewards\[1\] = inf is not a finite number"),
        ({"positions": [0, -1, 1]}, r"positions\[1\] = -1 .* int32 numbers from 0"),
        ({"positions": [0, 0.5, 1]}, r"positions\[1\] = 0\.5 is no whole number"),
        ({"items": ["b", "a"]}, r"items has shape \(2,\), but \(3,\) is needed"),
        ({"item_ids": ["a"]}, r"items\[0\] = 'b' is not one of the 1 known item ids"),
        (
            {"candidates": Ragged.from_lists([[0], [0], [1]], 2)},
            r"items\[0\] is item 1, none of the 1 candidates",
        ),
        (
            {"candidates": Ragged.from_lists([[1], [0]], 2)},
            r"candidates has shape \(2, 2\), but \(3, 2\) is needed",
        ),
        ({"candidates": [[1], [0], [1]]}, "candidates is a list, but Ragged or a SciPy CSR matrix is needed"),
    ],
)
def test_malformed_arrays(changes, message):
    with pytest.raises(DataError, match=message):
        BanditLog.from_arrays(**ARRAYS | changes)


# Files


def test_open_bandits_files_are_read_as_they_are(tmp_path):
    log = read_bandit_log(written(tmp_path, HEADER + ROWS))
    assert log.user_ids.tolist() == ["ab|x", "ab|y", "cd|x"]
    assert_array_equal(log.users, [0, 2, 0, 1])
    assert_array_equal(log.item_ids[log.items], [7, 0, 7, 3])
    assert_array_equal(log.positions, [2, 0, 1, 0])
    assert_array_equal(log.rewards, [0, 1, 0, 0])
    assert_array_equal(log.propensities, [0.5, 2.5e-6, 1.0, 0.25])
    assert log.notes == ("position 1 is the top, which is 0 here",)


def test_names_of_later_versions(tmp_path):
    same(
        read_bandit_log(written(tmp_path, HEADER.replace("propensity_score", "action_prob") + ROWS)),
        read_bandit_log(written(tmp_path, HEADER + ROWS)),
    )


def test_tables_and_packed_files_say_the_same(tmp_path):
    path = written(tmp_path, HEADER + ROWS)
    log = read_bandit_log(path)
    frame = pd.read_csv(path, index_col=0)
    packed = tmp_path / "log.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    frame.to_parquet(tmp_path / "log.parquet")
    columns = {name: frame[name].tolist() for name in frame.columns}
    for source in (
        frame,
        pl.from_pandas(frame),
        pa.Table.from_pandas(frame),
        columns,
        packed,
        tmp_path / "log.parquet",
    ):
        same(read_bandit_log(source), log)


def test_columns_are_chosen_by_name_or_number(tmp_path):
    text = "who\twhat\tcame\tp\tplace\n1\t4\t.5\t.1\t5\n2\t4\t0\t.2\t6\n"
    columns = {"user": "who", "item": 2, "reward": "came", "propensity": "p", "position": 5}
    log = read_bandit_log(written(tmp_path, text), columns)
    assert log.user_ids.tolist() == [1, 2]
    assert_array_equal(log.positions, [0, 1])
    assert_array_equal(read_bandit_log(written(tmp_path, text), columns, top=4).positions, [1, 2])
    assert read_bandit_log(written(tmp_path, text), columns | {"position": None}).positions is None
    both = read_bandit_log(written(tmp_path, text), columns | {"user": ["who", "what"]})
    assert both.user_ids.tolist() == ["1|4", "2|4"]
    listed = read_bandit_log(written(tmp_path, text), columns, item_ids=[3, 4])
    assert listed.item_ids.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.25", "0", r"line 5: the propensity '0' is no probability above 0"),
        ("0.25", "1.01", r"line 5: the propensity '1\.01' is no probability"),
        ("0.25", "nan", r"line 5: the propensity 'nan' is not a finite number"),
        ("0.25", "", r"line 5: the propensity '' is not a finite number"),
        ("1,1,2.5e-06", "1,yes,2.5e-06", r"line 3: the reward 'yes' is not a finite number"),
        ("0,1,1,2.5e-06", "0,-1,1,2.5e-06", r"line 3: the position '-1' is no whole number"),
        ("0,1,1,2.5e-06", "0,1.5,1,2.5e-06", r"line 3: the position '1\.5' is no whole number"),
        ("7,2,0", "seven,2,0", r"line 4: the item id 'seven'"),
        ("ab,y,0.0", "ab,y", r"line 5"),
        ("click", "clic", "0 of the columns .* have a well-known name for the reward"),
        ("timestamp", "action", "2 of the columns .* have a well-known name for the item"),
        ("user_feature_", "feature_", "0 of the columns .* have a well-known name for the user"),
    ],
)
def test_malformed_files_are_refused_with_their_line(tmp_path, old, new, message):
    text = (HEADER + ROWS).replace(old, new)
    with pytest.raises(DataError, match=message):
        read_bandit_log(written(tmp_path, text))


def test_what_is_no_log_is_refused(tmp_path):
    with pytest.raises(DataError, match="is empty; give a file that holds lines"):
        read_bandit_log(written(tmp_path, ""))
    with pytest.raises(DataError, match="holds no row; give a file with a header"):
        read_bandit_log(written(tmp_path, "\n \n"))
    with pytest.raises(DataError, match="has a header but no line of data"):
        read_bandit_log(written(tmp_path, HEADER))
    with pytest.raises(DataError, match="absent"):
        read_bandit_log(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="is no Parquet file"):
        read_bandit_log(written(tmp_path, HEADER + ROWS), format="parquet")
    with pytest.raises(DataError, match=r"is above the top, 2"):
        read_bandit_log(written(tmp_path, HEADER + ROWS), top=2)
    with pytest.raises(DataError, match="frame is int"):
        read_bandit_log(3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"rating": 1}}, "columns names the role 'rating'; roles are user, item"),
        ({"columns": {"item": None}}, r"columns\['item'\] is None, but every log needs it"),
        ({"columns": {"item": [1, 2]}}, "only the user may be several columns"),
        ({"columns": {"user": []}}, "only the user may be several columns, one at the least"),
        ({"columns": {"user": [1.5]}}, r"columns\['user'\] = 1\.5; it is a name, or a number"),
        ({"columns": "item"}, "columns is 'item'; it is a mapping"),
        ({"format": "lists"}, "format is 'lists', but a log is columns"),
        ({"top": -1}, "top = -1 must be at least 0"),
        ({"sep": ""}, "sep is ''"),
        ({"id_type": "float"}, "id_type is 'float'"),
    ],
)
def test_options_out_of_range(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        read_bandit_log(written(tmp_path, HEADER + ROWS), **options)


def test_columns_that_are_not_there(tmp_path):
    path = written(tmp_path, HEADER + ROWS)
    with pytest.raises(DataError, match=r"columns\['item'\] = 40, but there are columns 1 to 9"):
        read_bandit_log(path, {"item": 40})
    with pytest.raises(DataError, match=r"columns\['item'\] = 'sku' is the name of 0 columns"):
        read_bandit_log(path, {"item": "sku"})


# Generated logs


def test_propensities_are_how_often_an_item_is_shown():
    made = generate_bandit(num_rounds=200_000, num_users=40, num_items=12, num_positions=2)
    log = made.log
    pairs = log.users * 12 + log.items
    counts = np.bincount(pairs, minlength=480)
    expected = np.zeros(480)
    expected[pairs] = log.propensities
    expected *= np.bincount(log.users, minlength=40).repeat(12)
    seen = counts > 0
    assert np.abs((counts - expected)[seen] / np.sqrt(expected[seen])).max() < 5
    assert_allclose((1 / log.propensities).mean(), 12, rtol=0.05)


def test_the_value_of_lists_is_what_they_earn():
    made = generate_bandit(num_rounds=10, num_users=30, num_items=12, num_positions=2)
    lists = np.argsort(np.random.default_rng(0).random((30, 12)), axis=1)[:, :2]
    lists[4, 1] = -1
    rng = np.random.default_rng(1)
    users, positions = rng.integers(30, size=10**6), rng.integers(2, size=10**6)
    items = lists[users, positions]
    there = items >= 0
    earned = np.zeros(10**6)
    chances = made.expected_rewards(users[there], items[there], positions[there])
    earned[there] = rng.random(there.sum()) < chances
    assert abs(earned.mean() - made.value(lists)) < 4 * earned.std() / 1000
    with pytest.raises(
        DataError, match=r"lists have shape \(30, 3\), but a row is needed for each of 30 users, of at"
    ):
        made.value(np.zeros((30, 3), dtype=int))


def test_another_draw_is_of_the_same_policy():
    options = {"num_rounds": 500, "num_users": 20, "num_items": 8}
    one, again, other = (generate_bandit(**options, draw=draw) for draw in (0, 0, 1))
    same(one.log, again.log)
    assert not np.array_equal(one.log.items, other.log.items)
    assert_array_equal(one.truth.rating_matrix(), other.truth.rating_matrix())
    assert "500 rounds" in repr(one)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_rounds": 0}, "num_rounds = 0 must be at least 1"),
        ({"num_positions": 1.5}, r"num_positions = 1\.5 must be a whole number"),
        ({"temperature": 0}, r"temperature = 0\.0 must be above 0"),
        ({"exploration": 2}, r"exploration = 2\.0 is a probability"),
        ({"seed": -1}, "seed = -1 must be at least 0"),
    ],
)
def test_generated_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        generate_bandit(**options)


@pytest.mark.skipif(
    "PYREC_OBD" not in os.environ, reason="PYREC_OBD, the folder obd of Open Bandit, is not given"
)
@pytest.mark.parametrize("policy", ["random", "bts"])
@pytest.mark.parametrize(("campaign", "num_items"), [("men", 34), ("women", 46), ("all", 80)])
def test_open_bandits_own_files(policy, campaign, num_items):
    path = Path(os.environ["PYREC_OBD"]) / policy / campaign / f"{campaign}.csv"
    log = read_bandit_log(path, item_ids=np.arange(num_items))
    assert (len(log), log.num_positions) == (10_000, 3)
    if policy == "random":
        assert_allclose(log.propensities, 1 / num_items)
