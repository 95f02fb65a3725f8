"""Features from text, Parquet files and tables."""

from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pyrec.data import Features, read_features
from pyrec.data.feature_columns import Codes, Dense, Tokens
from pyrec.data.read import row_blocks
from pyrec.errors import ConfigError, DataError

FILMS = """movieId,title,year,genres
7,"Heat, the ""film""\",1995,Action|Crime
2,Up,2009.5,Animation
5,Up,1970,Crime|Action|Crime
"""


@pytest.fixture
def write(tmp_path):
    def write(content: str, name: str = "films.csv"):
        path = tmp_path / name
        path.write_text(content)
        return path

    return write


def words(x: Features, name: str) -> list:
    feature = x[name]
    if isinstance(feature, Dense):
        return feature.values.tolist()
    if isinstance(feature, Codes):
        return [None if code < 0 else feature.vocabulary[code] for code in feature.codes.tolist()]
    return [feature.vocabulary[row].tolist() for row in feature.rows.to_lists()]


def check_films(x: Features) -> None:
    assert x.ids.tolist() == [7, 2, 5]
    assert x.ids.dtype == np.int64
    assert words(x, "title") == ['Heat, the "film"', "Up", "Up"]
    assert words(x, "year") == [[1995], [2009.5], [1970]]
    assert words(x, "genres") == [["Action", "Crime"], ["Animation"], ["Crime", "Action", "Crime"]]


def test_text_is_read_by_what_it_looks_like(write, monkeypatch) -> None:
    path = write(FILMS)
    check_films(read_features(path, separators={"genres": "|"}))
    monkeypatch.setattr(row_blocks, "_BLOCK_BYTES", 8)
    check_films(read_features(path, separators={"genres": "|"}))
    assert list(read_features(path, columns=["year"]).columns) == ["year"]
    assert words(read_features(path, columns={"when": 3}, kinds={"when": "codes"}), "when") == [
        "1995",
        "2009.5",
        "1970",
    ]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table, dict])
def test_tables_and_parquet_give_the_same(make, tmp_path) -> None:
    columns = {
        "movieId": [7, 2, 5],
        "title": ['Heat, the "film"', "Up", "Up"],
        "year": [1995.0, 2009.5, 1970.0],
        "genres": [["Action", "Crime"], ["Animation"], ["Crime", "Action", "Crime"]],
    }
    check_films(read_features(make(columns)))
    pq.write_table(pa.table(columns), tmp_path / "films.parquet")
    check_films(read_features(tmp_path / "films.parquet"))
    some = read_features(tmp_path / "films.parquet", id_column=1, columns={"when": 3, "kinds": "genres"})
    assert list(some.columns) == ["when", "kinds"]
    assert words(some, "when") == [[1995], [2009.5], [1970]]


def test_lists_of_fractions_are_vectors_and_booleans_numbers(tmp_path) -> None:
    table = pa.table({"item": ["a", "b"], "vector": [[0.5, 1.0], [2.0, 3.0]], "new": [True, False]})
    pq.write_table(table, tmp_path / "v.parquet")
    for source in (table, tmp_path / "v.parquet", pl.DataFrame(table)):
        x = read_features(source)
        assert words(x, "vector") == [[0.5, 1], [2, 3]]
        assert words(x, "new") == [[1], [0]]


def test_a_header_of_types_says_the_kinds(write) -> None:
    path = write(
        "item_id:token\ttitle:token_seq\tyear:token\tprice:float\n1\tup and up\t1990\t2.5\n2\tdown\t1991\t3\n"
    )
    x = read_features(path)
    assert words(x, "title") == [["up", "and", "up"], ["down"]]
    assert words(x, "year") == [1990, 1991]
    assert words(x, "price") == [[2.5], [3]]


def test_users_and_files_without_a_header(write) -> None:
    path = write("u1\tf\t30\t0.1 0.2\nu2\tm\t40\t0.3 0.4\n", "users.tsv")
    chosen = {"sex": 2, "age": 3, "vector": 4}
    x = read_features(
        path,
        "users",
        id_column=1,
        columns=chosen,
        kinds={"vector": "dense"},
        separators={"vector": " "},
        header=False,
    )
    assert x.ids.tolist() == ["u1", "u2"]
    assert words(x, "sex") == ["f", "m"]
    assert words(x, "age") == [[30], [40]]
    assert x["vector"].values.tolist() == np.array([[0.1, 0.2], [0.3, 0.4]], np.float32).tolist()
    with pytest.raises(DataError, match="line 1: which column has the user ids"):
        read_features(path, "users")
    with pytest.raises(DataError, match="there is no header, so columns have no names"):
        read_features(path, "users", id_column=1)


def test_rows_follow_the_ids_wanted(write) -> None:
    path = write(FILMS)
    x = read_features(path, ids=np.array([5, 7]), columns=["title"])
    assert (x.ids.tolist(), words(x, "title")) == ([5, 7], ["Up", 'Heat, the "film"'])
    with pytest.raises(DataError, match=r"ids\[1\] = 9 has none of the 3 rows of features"):
        read_features(path, ids=[5, 9])
    assert words(read_features(path, ids=[9, 5], columns=["title"], missing="fill"), "title") == [None, "Up"]


def test_missing_fields_are_an_error_or_filled(write) -> None:
    path = write("item,maker,price,tags\na,ann,1,x y\nb,,,\n")
    for column in ("maker", "price"):
        with pytest.raises(
            DataError, match=rf"films.csv, line 3: the column '{column}' is missing; .*missing='fill'"
        ):
            read_features(path, columns=[column])
    x = read_features(path, kinds={"tags": "tokens"}, missing="fill")
    assert (words(x, "maker"), words(x, "price"), words(x, "tags")) == (
        ["ann", None],
        [[1], [0]],
        [["x", "y"], []],
    )
    frame = pl.DataFrame({"item": [1, 2], "price": [1, None]})
    with pytest.raises(DataError, match="frame, row 1: the column 'price' is missing"):
        read_features(frame)
    assert words(read_features(frame, missing="fill"), "price") == [[1], [0]]


def test_the_separator_with_most_columns_is_taken(write) -> None:
    x = read_features(write("item;price;name\na;1,5;x\nb;2,5;y\n"), columns=["name"])
    assert words(x, "name") == ["x", "y"]
    with pytest.raises(DataError, match="every line has as many ',' and ';'"):
        read_features(write("item;a,b\n1;a,b\n"))


@pytest.mark.parametrize(
    ("content", "more", "error", "message"),
    [
        ("item,a\n1,x\n1,y\n", {}, DataError, "line 3: the item id '1' is there again, first in line 2"),
        ("item,a\n1,x\n2\n", {}, DataError, "line 3: 1 column, but the first line has 2"),
        ("item,a\n1,x\nitem,a\n", {}, DataError, "line 3: the header again"),
        ("item,a\n1,x\nz,y\n3,z\n4,z\n", {}, DataError, "line 3: the item id 'z' is not a plain integer"),
        ("item,a\n1,x\n2,y", {}, None, "the last line has no newline"),
        ("item,a\n1,x\n2", {}, DataError, "cut off"),
        ('item,a\n1,x\n2,"y\n', {}, DataError, "line 3: a quote opens and never closes"),
        (
            "item,a\n1,3\n2,x\n",
            {"kinds": {"a": "dense"}},
            DataError,
            r"line 3: the column 'a' is 'x', which is no number",
        ),
        (
            "item,a\n1,3\n2,x\n",
            {"kinds": {"b": "dense"}},
            ConfigError,
            "kinds names 'b'; the columns are 'a'",
        ),
        (
            "item,a\n1,3\n",
            {"columns": ["b"]},
            DataError,
            r"columns\['b'\] = 'b', but the columns are 'item', 'a'",
        ),
        ("item,a\n1,3\n", {"id_column": 3}, DataError, "id_column = 3, but there are columns 1 to 2"),
        ("item,a\n1,3\n", {"side": "users"}, DataError, "which column has the user ids"),
        ("item,a,a\n1,3,4\n", {}, DataError, "two columns are called 'a'"),
        ("item,a\n1,3\n", {"side": "item"}, ConfigError, "side is 'item'; it is 'items' or 'users'"),
        ("item,a\n1,3\n", {"format": "lists"}, ConfigError, "format is 'lists'"),
        ("item,a\n1,3\n", {"format": "parquet"}, DataError, "is no Parquet file"),
        ("item,a\n1,3\n", {"columns": ["a"], "header": False}, ConfigError, "header is False"),
        ("item,a\n1,3\n", {"missing": "drop"}, ConfigError, "missing is 'drop'"),
        ("", {}, DataError, "empty"),
        ("item,a\n", {}, DataError, "header but no line of data"),
        ('{"item": 1}\n', {}, DataError, "JSON"),
    ],
)
def test_bad_files_are_refused_by_name(write, content: str, more, error, message: str) -> None:
    path = write(content)
    if error is None:
        assert any(message in note for note in read_features(path, **more).notes)
        return
    with pytest.raises(error, match=message):
        read_features(path, **more)


@pytest.mark.parametrize(
    ("frame", "more", "error", "message"),
    [
        (
            pd.DataFrame({"item": [1, 1]}),
            {},
            DataError,
            r"frame: column 'item'\[0\] = 1 is listed more than once",
        ),
        (pd.DataFrame({"sku": [1]}), {}, DataError, "frame: which column has the item ids"),
        (
            pd.DataFrame({"item": [1], "at": [datetime.now()]}),
            {},
            DataError,
            "row 0: the column 'at' is .*choose|numbers",
        ),
        (pd.DataFrame({"item": [1, None]}), {}, DataError, "frame: frame column 'item' is missing in row 1"),
        (pd.DataFrame({"item": [1]}), {"sep": ","}, ConfigError, "sep is ',', but frame is a table"),
        (
            pd.DataFrame({"item": [1]}),
            {"format": "delimited"},
            ConfigError,
            "format is 'delimited', but frame",
        ),
        (5, {}, DataError, "frame is int"),
    ],
)
def test_bad_tables_are_refused_by_name(frame, more, error, message: str) -> None:
    with pytest.raises(error, match=message):
        read_features(frame, **more)


def test_published_articles_are_read(data_dir) -> None:
    path = data_dir / "news" / "mind-sample" / "news.tsv"
    chosen = {"category": 2, "title": 4}
    x = read_features(path, id_column=1, columns=chosen, separators={"title": " "}, sep="\t", header=False)
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    assert x.ids.tolist() == [line[0] for line in lines]
    assert words(x, "category") == [line[1].strip() for line in lines]
    assert words(x, "title") == [line[3].split() for line in lines]
    assert isinstance(x["title"], Tokens)
