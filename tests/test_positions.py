"""Positions at which items were shown: read, checked, and kept wherever other values of an interaction are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrec import EASE
from pyrec.data import (
    Events,
    Interactions,
    as_interactions,
    read_events,
    read_interactions,
    split_random,
    union,
)
from pyrec.errors import DataError

POSITIONS = [0, 3, 2, 0, 24]


def shown(**told: Any) -> Interactions:
    return Interactions.from_arrays([1, 1, 2, 2, 3], [1, 2, 1, 3, 3], **{"positions": POSITIONS, **told})


def triples(x: Any) -> list[tuple[int, int, int]]:
    ids = x.user_ids[x.users].tolist(), x.item_ids[x.items].tolist()
    return list(zip(*ids, x.positions.tolist(), strict=True))


def test_positions_go_with_their_interactions() -> None:
    x = shown()
    assert x.positions.dtype == np.int32
    assert triples(x) == [(1, 1, 0), (1, 2, 3), (2, 1, 2), (2, 3, 0), (3, 3, 24)]
    assert "positions" in repr(x)
    few = x.select(x.positions > 0)
    assert triples(few) == [(1, 2, 3), (2, 1, 2), (3, 3, 24)]
    assert triples(few.compact()) == triples(few)
    assert triples(few.with_ids(np.array([3, 2, 1, 9]), np.array([7, 3, 2, 1]))) == [
        (3, 3, 24),
        (2, 1, 2),
        (1, 2, 3),
    ]
    train, test = split_random(x, 0.6)
    assert sorted(triples(train) + triples(test)) == triples(x)
    assert triples(union(train, test)) == triples(x)
    assert (
        union(train, Interactions.from_arrays([], [], user_ids=[1, 2, 3], item_ids=[1, 2, 3])).positions
        is None
    )


def test_the_position_of_the_row_that_counts_is_kept() -> None:
    last = Interactions.from_arrays([1, 1], [2, 2], ratings=[1, 2], positions=[7, 3])
    assert (last.ratings.tolist(), last.positions.tolist()) == ([2], [3])
    latest = Interactions.from_arrays([1, 1], [2, 2], times=[9, 5], positions=[7, 3])
    assert latest.positions.tolist() == [7]


@pytest.mark.parametrize(
    "given", [np.array([0, 3, 2, 0, 24], np.uint64), [0.0, 3.0, 2.0, 0.0, 24.0], POSITIONS]
)
def test_whole_numbers_of_any_type_are_positions(given: Any) -> None:
    assert shown(positions=given).positions.tolist() == POSITIONS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            [0, 3, -2, 0, 4],
            r"positions\[2\] = -2 is no position: a whole number from 0, at the top, to 2147483647",
        ),
        ([0, 0.5, 2, 0, 4], r"positions\[1\] = 0.5 is no position"),
        ([0, 1, 2, float("nan"), 4], r"positions\[3\] = nan is no position"),
        ([0, 1, 2, 3, float("inf")], r"positions\[4\] = inf is no position"),
        ([0, 1, 2, 3, 2**31], r"positions\[4\] = 2147483648 is no position"),
        ([0, 1, 2, 3], r"positions has shape \(4,\), but \(5,\) is needed"),
        (["top"] * 5, "positions have dtype <U3, but whole numbers are needed, 0 at the top"),
        ([True] * 5, "positions have dtype bool, but whole numbers"),
        (np.ma.masked_array([1] * 5, [1, 0, 0, 0, 0]), "positions is a masked array"),
    ],
)
def test_what_is_no_position_is_refused(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        shown(positions=given)
    with pytest.raises(DataError, match=message):
        Events.from_arrays([1] * 5, [1] * 5, positions=given)


def test_codes_are_checked_too() -> None:
    codes = np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([1]), np.array([1])
    with pytest.raises(DataError, match="positions has dtype int64, but int32 is needed"):
        Interactions.from_codes(*codes, positions=np.array([1]))
    with pytest.raises(DataError, match=r"positions\[0\] = -1 is no position"):
        Interactions.from_codes(*codes, positions=np.array([-1], np.int32))


def test_columns_of_tables_and_files(tmp_path: Path) -> None:
    frame = {"user": [1, 1], "item": [5, 6], "position": [1, 0], "slot": [3, 4]}
    assert as_interactions(frame).positions.tolist() == [1, 0]
    assert Interactions.from_frame(frame).positions is None
    assert Interactions.from_frame(frame, position="slot").positions.tolist() == [3, 4]
    path = tmp_path / "log.csv"
    path.write_text("user,item,position,rating\n1,5,1,3\n1,6,0,4\n")
    assert read_interactions(path).positions.tolist() == [1, 0]
    assert read_interactions(path, columns={"position": None}).positions is None
    assert read_interactions(path, columns={"position": 4}).positions.tolist() == [3, 4]
    events = read_events(path, order="file")
    assert triples(events) == [(1, 5, 1), (1, 6, 0)]
    assert triples(events.to_interactions()) == triples(events.select([True, True])) == triples(events)
    assert triples(events.with_ids(np.array([1]), np.array([6, 5]))) == [(1, 5, 1), (1, 6, 0)]
    path.write_text("1,5,1,3\n1,6,0,4\n")
    bare = read_interactions(path, columns={"user": 1, "item": 2, "position": 3, "rating": 4})
    assert (bare.positions.tolist(), bare.ratings.tolist()) == ([1, 0], [3, 4])


def test_parquet_has_positions(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "log.parquet"
    parquet.write_table(arrow.table({"user": [1, 1], "item": [5, 6], "position": [1, 0]}), path)
    assert read_interactions(path).positions.tolist() == [1, 0]
    parquet.write_table(arrow.table({"user": [1, 1], "item": [5, 6], "position": [1, -1]}), path)
    with pytest.raises(DataError, match=r"column 'position'\[1\] = -1 is no position"):
        read_interactions(path)


@pytest.mark.parametrize("text", ["-1", "0.5", "top", "2147483648", "", "1e3", "99999999999999999999"])
def test_a_malformed_position_names_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"user,item,position\n1,5,1\n1,6,{text}\n")
    with pytest.raises(
        DataError, match=rf"line 3: the position '{text}' is no whole number from 0.*--columns position="
    ):
        read_interactions(path)


def test_a_saved_model_keeps_them(tmp_path: Path) -> None:
    EASE().fit(shown()).save(tmp_path / "run")
    assert EASE.load(tmp_path / "run").train_.positions.tolist() == POSITIONS
