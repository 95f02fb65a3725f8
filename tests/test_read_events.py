"""Events from files and frames: the rows that interactions are made of, before they are merged."""

from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from pyrec.data import Events, read_events, read_interactions
from pyrec.errors import ConfigError, DataError

LOG = [("a", "x", 3, 30), ("b", "y", 4, 20), ("a", "y", 5, 10), ("a", "x", 1, 20), ("b", "y", 2, 40)]
SORTED = [("a", "y", 5, 10), ("a", "x", 1, 20), ("a", "x", 3, 30), ("b", "y", 4, 20), ("b", "y", 2, 40)]
AS_GIVEN = [("a", "x", 3), ("a", "y", 5), ("a", "x", 1), ("b", "y", 4), ("b", "y", 2)]


def rows(x: Events) -> list[tuple]:
    columns = [x.user_ids[x.users].tolist(), x.item_ids[x.items].tolist()]
    columns += [values.tolist() for values in (x.values, x.times) if values is not None]
    return list(zip(*columns, strict=True))


def text(sep: str, header: str = "user,item,rating,timestamp") -> str:
    lines = [header.replace(",", sep), *(sep.join(map(str, row)) for row in LOG)]
    return "".join(line + "\n" for line in lines if line)


@pytest.mark.parametrize(
    "content",
    [
        text(","),
        text("\t"),
        text("::", ""),
        text(";"),
        text("\t", "user_id:token,item_id:token,rating:float,timestamp:float"),
    ],
)
def test_text_of_every_separator_is_read_unmerged(tmp_path, content: str) -> None:
    path = tmp_path / "log"
    path.write_text(content)
    assert rows(read_events(path)) == SORTED
    assert rows(read_events(path, order="file")) == AS_GIVEN


def test_parquet_and_its_parts_are_read_unmerged(tmp_path) -> None:
    columns = dict(zip(("user_id", "item_id", "rating", "timestamp"), zip(*LOG, strict=True), strict=True))
    table = pa.table({name: list(values) for name, values in columns.items()})
    pq.write_table(table, tmp_path / "whole.parquet")
    assert rows(read_events(tmp_path / "whole.parquet")) == SORTED
    parts = tmp_path / "parts"
    parts.mkdir()
    for at in range(2):
        pq.write_table(table.slice(3 * at, 3), parts / f"{at}.parquet")
    found = read_events(parts)
    assert rows(found) == SORTED
    assert found.notes == ("2 Parquet files are read as one",)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table, dict])
def test_tables_are_read_by_well_known_and_chosen_names(make) -> None:
    users, items, ratings, times = (list(column) for column in zip(*LOG, strict=True))
    frame = make({"user": users, "item": items, "rating": ratings, "time": times})
    assert rows(read_events(frame)) == SORTED
    assert rows(read_events(frame, order="file")) == AS_GIVEN
    other = make({"buyer": users, "what": items, "n": ratings, "at": times})
    chosen = {"user": "buyer", "item": 2, "time": "at"}
    assert rows(read_events(other, columns=chosen)) == [(*row[:2], row[3]) for row in SORTED]


def test_lists_keep_the_order_of_their_items(tmp_path) -> None:
    path = tmp_path / "seq.txt"
    path.write_text("1 5 3 5\n2 4\n1 9\n")
    found = read_events(path, order="file")
    assert [found.item_ids[row].tolist() for row in found.histories().to_lists()] == [[5, 3, 5, 9], [4]]
    with pytest.raises(DataError, match=r"seq.txt has no known time column .* order='file'"):
        read_events(path)


def test_interactions_of_events_are_those_of_the_file(tmp_path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text(","))
    merged, expected = read_events(path).to_interactions(), read_interactions(path)
    for name in ("users", "items", "ratings", "times", "user_ids", "item_ids"):
        assert_array_equal(getattr(merged, name), getattr(expected, name))


def test_times_as_text_order_events(tmp_path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,time\na,x,13/07/2018\na,y,02/08/2017\n")
    with pytest.raises(DataError, match=r"line 2: the time '13/07/2018'"):
        read_events(path)
    found = read_events(path, time_format="%d/%m/%Y")
    assert found.item_ids[found.items].tolist() == ["y", "x"]
    frame = pl.DataFrame(
        {"user": [1, 1], "item": [2, 3], "time": [datetime(2020, 1, 2), datetime(2020, 1, 1)]}
    )
    assert read_events(frame).item_ids[read_events(frame).items].tolist() == [3, 2]


@pytest.mark.parametrize(
    ("source", "more", "error", "message"),
    [
        (
            pd.DataFrame({"user": [1], "item": [2]}),
            {},
            DataError,
            "frame has no known time column to order events by",
        ),
        (
            pd.DataFrame({"user": [1], "item": [2]}),
            {"time_format": "%Y"},
            ConfigError,
            "time_format is '%Y', but frame",
        ),
        (pd.DataFrame({"user": [1], "thing": [2]}), {}, DataError, "none of .* is a known name for the item"),
        (pd.DataFrame({"user": [], "item": [], "time": []}), {}, DataError, "frame holds no row"),
        (
            pd.DataFrame({"user": [1], "item": [2]}),
            {"sep": ","},
            ConfigError,
            "sep is ',', but frame is a table",
        ),
        (
            pd.DataFrame({"user": [1], "item": [2]}),
            {"format": "lists"},
            ConfigError,
            "format is 'lists', but frame",
        ),
        (
            pd.DataFrame({"user": [1], "item": [2]}),
            {"columns": {"time": "at"}},
            DataError,
            r"columns\['time'\] = 'at'",
        ),
        (7, {}, DataError, "frame is int"),
        ("nowhere.csv", {}, DataError, "nowhere.csv does not exist"),
        ("nowhere.csv", {"order": "user"}, ConfigError, "order is 'user'; it is 'time' or 'file'"),
    ],
)
def test_bad_sources_are_refused_by_name(source, more, error, message: str) -> None:
    with pytest.raises(error, match=message):
        read_events(source, **more)


def test_an_empty_file_and_a_malformed_line_are_refused(tmp_path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,time\n1,2,3\n1,x,4\n" + "1,2,3\n" * 5)
    with pytest.raises(DataError, match="line 3: the item id 'x' is not a plain integer"):
        read_events(path)
    path.write_text("user,item,time\n")
    with pytest.raises(DataError, match="header but no line of data"):
        read_events(path)


def test_published_sequences_are_read(data_dir) -> None:
    path = data_dir / "seq" / "beauty.txt"
    found = read_events(path, order="file")
    lines = [line.split() for line in path.read_text().splitlines()]
    assert len(found) == sum(len(line) - 1 for line in lines)
    at = len(lines) // 2
    assert found.item_ids[found.histories().row(at)].tolist() == list(map(int, lines[at][1:]))
    assert np.array_equal(found.user_ids, [int(line[0]) for line in lines])
