import builtins
import csv
import os
import re
import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrec.data import Interactions, load_data, load_training, read_folder, read_interactions, read_pair
from pyrec.data.read import files, lists, parquet, row_blocks
from pyrec.errors import ConfigError, DataError


@pytest.fixture
def write(tmp_path):
    def write(content, name="file"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def triples(x: Interactions):
    """Raw (user, item, rating, time) of every interaction, without what is absent."""
    columns = [x.user_ids[x.users].tolist(), x.item_ids[x.items].tolist()]
    columns += [values.tolist() for values in (x.ratings, x.times) if values is not None]
    return list(zip(*columns, strict=True))


EXPECTED = [(1, 10, 4, 100), (1, 20, 3, 300), (2, 10, 5, 200)]


@pytest.mark.parametrize(
    "content",
    [
        "1\t10\t4\t100\n2\t10\t5\t200\n1\t20\t3\t300\n",
        "1::10::4::100\n2::10::5::200\n1::20::3::300\n",
        "1,10,4.0,100\r\n2,10,5.0,200\r\n1,20,3.0,300\r\n",
        "\ufeff1;10;4;1e2\n\n2;10;5;200\n1;20;3;300\n",
        "userId,movieId,rating,timestamp\n1,10,4.0,100\n2,10,5.0,200\n1,20,3.0,300\n",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t4\t100\n2\t10\t5\t200\n1\t20\t3\t300\n",
        'timestamp,ITEM,title,User-ID,score\n100,10,x,1,4\n200,10,y,2,5\n300,20,"a, ""b""\nc",1,3\n',
        '"user","item","stars","time"\n"1","10","4","100"\n"2","10","5","200"\n"1","20","3","300"\n',
    ],
)
def test_delimited_formats(write, content):
    assert triples(read_interactions(write(content))) == EXPECTED


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("PK,user,item\n7,1,2\n8,3,4\n", [(1, 2), (3, 4)]),
        ("BZ10\tx\nBZ11\ty\n", [("BZ10", "x"), ("BZ11", "y")]),
        ("BZh9\tx\nBZh8\ty\n", [("BZh8", "y"), ("BZh9", "x")]),
    ],
)
def test_text_that_starts_like_an_archive(write, content, expected):
    assert triples(read_interactions(write(content))) == expected


def test_columns_without_ratings_and_headers_of_two_columns(write):
    assert triples(read_interactions(write("a,x\nb,y\n"))) == [("a", "x"), ("b", "y")]
    plays = read_interactions(write("userID\tartistID\tweight\n2\t51\t13883\n"))
    assert triples(plays) == [(2, 51)]
    assert plays.weights.tolist() == [13883]
    assert triples(read_interactions(write("userId,movieId,tag,timestamp\n2,5,fun,9\n"))) == [(2, 5, 9)]


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (
            "row,cust,prod,stars,day\n7,1,10,4,100\n8,2,10,5,200\n9,1,20,3,300\n",
            {"user": "cust", "item": "prod", "time": "day"},
        ),
        (
            "row,cust,prod,stars,day\n7,1,10,4,100\n8,2,10,5,200\n9,1,20,3,300\n",
            {"user": 2, "item": 3, "rating": 4, "time": 5},
        ),
        ("x,1,10,4,100\nx,2,10,5,200\nx,1,20,3,300\n", {"user": 2, "item": 3, "rating": 4, "time": 5}),
        ("user,item,buyer,rating,time\n9,10,1,4,100\n9,10,2,5,200\n8,20,1,3,300\n", {"user": "buyer"}),
        ("cust;prod;4\n1;10;4\n2;10;5\n1;20;3\n", {"user": "cust", "item": "prod", "rating": "4"}),
    ],
)
def test_columns_that_are_chosen(write, content, columns):
    expected = EXPECTED if "time" in columns or "time" in content else [row[:3] for row in EXPECTED]
    assert triples(read_interactions(write(content), columns=columns)) == expected


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        (
            {"user": "customer"},
            DataError,
            r"columns\['user'\] = 'customer', but the columns are 'row', 'cust', 'prod'",
        ),
        ({"user": "cust", "item": 4}, DataError, r"columns\['item'\] = 4, but there are columns 1 to 3"),
        ({"user": "cust", "item": 2}, DataError, "takes one column twice"),
        (
            {"user": "cust"},
            DataError,
            r"column 'cust' is the user, but none of .* is a known name for the item",
        ),
        ({"buyer": "cust"}, ConfigError, "columns names 'buyer'; the roles are user, item, rating, time"),
        ({"user": 1.5}, ConfigError, r"columns\['user'\] = 1.5 must be a column's name, or its number"),
        (["cust", "prod"], ConfigError, "columns is list; it is a mapping"),
    ],
)
def test_columns_that_cannot_be_chosen(write, columns, error, message):
    path = write("row,cust,prod\n7,1,10\n")
    with pytest.raises(error, match=message):
        read_interactions(path, columns=columns)


def test_columns_mean_nothing_to_lists_and_generated_data(write):
    with pytest.raises(ConfigError, match=r"holds lines 'user item item .*'; leave it out"):
        read_interactions(write("1 2 3\n2 3\n"), columns={"user": 1, "item": 2})
    with pytest.raises(ConfigError, match="generated data are no file"):
        load_data(columns={"user": 1, "item": 2})


def test_text_ids_keep_their_zeros_and_letters(write):
    path = write("A3,0012,5\nB1,B00X,4\nA3,0012,1\n")
    assert triples(read_interactions(path)) == [("A3", "0012", 1), ("B1", "B00X", 4)]
    numbers = write("1,2\n3,4\n")
    assert triples(read_interactions(numbers, id_type="str")) == [("1", "2"), ("3", "4")]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELLS, CELLS, st.integers(-9, 9)), min_size=1, max_size=8))
def test_quoted_csv_round_trip(tmp_path, rows):
    path = tmp_path / "quoted.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([("user", "item", "rating"), *rows])
    latest = {(user, item): rating for user, item, rating in rows}
    expected = sorted((user, item, rating) for (user, item), rating in latest.items())
    assert triples(read_interactions(path, id_type="str")) == expected


def test_chunks_do_not_show(write, monkeypatch):
    rows = [f"{user},i{item},{item % 5}" for user in range(30) for item in range(7)]
    path = write("\n".join(rows) + "\n")
    whole = triples(read_interactions(path))
    monkeypatch.setattr(files, "LOOK_BYTES", 30)
    monkeypatch.setattr(row_blocks, "_BLOCK_BYTES", 50)
    assert triples(read_interactions(path)) == whole


@pytest.mark.parametrize("block", [1, 7, 1 << 24])
def test_ragged_lines(write, monkeypatch, block):
    monkeypatch.setattr(files, "LOOK_BYTES", 3)
    monkeypatch.setattr(lists, "_BLOCK_BYTES", block)
    x = read_interactions(write("3 9 4\r\n\n0 4 \n7\n 3 5 9\n"))
    assert triples(x) == [(0, 4), (3, 4), (3, 5), (3, 9)]
    assert x.user_ids.tolist() == [0, 3, 7]


def test_parquet_in_every_naming(write, tmp_path):
    columns = {"user": [1, 2, 1], "item": [10, 10, 20], "rating": [4.0, 5.0, 3.0], "time": [100, 200, 300]}
    path = tmp_path / "x.bin"
    for names in (["time", "user", "item", "rating"], ["user", "item", "rating", "time"]):
        pq.write_table(pa.table({name: columns[name] for name in names}), path)
        assert triples(read_interactions(path)) == EXPECTED
    pq.write_table(pa.table(dict(zip("abcd", columns.values(), strict=True))), path)
    with pytest.raises(DataError, match=r"none of 'a', 'b', 'c', 'd' is a known name"):
        read_interactions(path)
    chosen = {"user": "a", "item": 2, "rating": "c", "time": "d"}
    assert triples(read_interactions(path, columns=chosen)) == EXPECTED
    pq.write_table(pa.table({"user": ["a", None], "item": [1, 2]}), path)
    with pytest.raises(DataError, match=r"x\.bin: frame column 'user' is missing in row 1"):
        read_interactions(path)
    pq.write_table(pa.table({"user": [1], "thing": [1]}), path)
    with pytest.raises(DataError, match=r"x\.bin: column 'user' is the user, but none of"):
        read_interactions(path)
    with pytest.raises(DataError, match=r"is not a sound Parquet file"):
        read_interactions(write(b"PAR1 and no more"))


def test_parquet_whose_counts_lie_takes_no_memory(tmp_path, monkeypatch):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": [1, 2], "item": [3, 4]}), path)
    with monkeypatch.context() as patch:
        patch.setattr(parquet, "available_memory", lambda: 31)
        with pytest.raises(DataError, match=r"log\.parquet: its 2 rows take .* at least, and .* are free"):
            read_interactions(path)
    metadata = pq.read_metadata(path)
    lying = SimpleNamespace(num_rows=3, num_row_groups=1, row_group=metadata.row_group)
    with pytest.raises(DataError, match=r"its row groups have 2 rows, but it has 3"):
        parquet._check_counts(lying, path)


def test_parquet_without_pyarrow_says_how_to_mend(write, monkeypatch):
    genuine = builtins.__import__

    def without_pyarrow(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    path = write(b"PAR1")
    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(ConfigError, match=r"PyArrow.*pip install"):
        read_interactions(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "line 1: no tab|holds no interaction"),
        ("5\n6\n", "holds no interaction"),
        ("user,item\n", "has a header but no line of data"),
        ("1,2,3\n4,5", "line 2: the last line has no newline and 2 of 3 columns"),
        ("0 1 2\n1", "line 2: the last line has no newline and no item"),
        ("1\t2\t3\n4\t5\n", "line 2: 2 columns, but the first line has 3"),
        ("1,2,3\n4,5,6,7\n", "line 2: 4 columns, but the first line has 3"),
        ("1,2,3\n1,2,3\n4,x,6\n", "line 3: the item id 'x' is not a plain integer, but most"),
        ("1,2,3\n4,5,six\n", "line 2: the rating 'six' is not a finite number"),
        ("1,2,3\n4,5,\n", "line 2: the rating '' is not a finite number"),
        ("1,2,3\n4,5,nan\n", "line 2: the rating 'nan' is not a finite number"),
        ("1,2,3\n4,5,1e39\n", "line 2: the rating '1e39' is not a finite number"),
        ("1,2,3,4\n4,5,6,now\n", "line 2: the time 'now' is not a finite number"),
        ("a,b,3\n,y,4\nz,w,3\n", "line 2: the user id '' is empty text"),
        ("a,b,3\n" + "u" * 2000 + ",y,4\n", "line 2: the user id 'u+' is longer than 1024"),
        ('a,b,3\n"z,w,3\n', "line 2: a quote opens and never closes"),
        ("a,b,3\n" + '"' + "z" * 200_000 + '",w,3\n', "line 2: the user id 'z+' is longer than 1024"),
        ("user\n1\n", "line 1: 'user' is neither lines"),
        ("user,rating\n1,2\n", "line 1: column 'user' is the user, but none of"),
        (
            "rating,a,b\n1,2,3\n",
            r"line 1: which columns are the user and the item\? none .* --columns user=a,item=b",
        ),
        ("user,uid,item\n1,2,3\n", "line 1: columns 'user' and 'uid' both name the user"),
        (b"1,2,3\n\xe9,5,6\n", "line 2: not UTF-8"),
        (b"\xff\xfe1\x00,\x002\x00\n\x00", "line 1: UTF-16 text; save it as UTF-8"),
        ("0 1 2\n1 -3 4\n", "line 2: -3 is negative"),
        ("0 1 2\n1 3 x4\n", "line 2: 'x4' is not a whole number"),
        ("0 1 2\n1 3.5 4\n", "line 2: '3.5' is not a whole number"),
        (b"0 1 2\n1 \xe9\n", "line 2: not UTF-8"),
        ("0 1 2\n1 9223372036854775808\n", "line 2: 9223372036854775808 is beyond int64's"),
        ("0 1 2\n1 12345678901234567890\n", "line 2: 12345678901234567890 is beyond int64's"),
    ],
)
def test_malformed_files_are_named_with_their_line(write, content, message):
    path = write(content)
    with pytest.raises(DataError, match=message) as caught:
        read_interactions(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_late_line_is_found_across_chunks_and_blocks(write, monkeypatch):
    monkeypatch.setattr(files, "LOOK_BYTES", 1000)
    monkeypatch.setattr(row_blocks, "_BLOCK_BYTES", 500)
    rows = [f"{k},{k}" for k in range(5000)]
    with pytest.raises(DataError, match="line 4001: the user id 'abc' is not a plain integer, but all"):
        read_interactions(write("\n".join([*rows[:4000], "abc,1", *rows[4000:]]) + "\n"))
    monkeypatch.setattr(lists, "_BLOCK_BYTES", 100)
    rows = [f"{k} {k}" for k in range(1000)]
    with pytest.raises(DataError, match="line 901: 'abc' is not"):
        read_interactions(write("\n".join([*rows[:900], "abc 1", *rows[900:]]) + "\n"))


def test_paths_that_cannot_be_read(tmp_path, write):
    with pytest.raises(DataError, match="nowhere does not exist"):
        read_interactions(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a folder; give a file"):
        read_interactions(tmp_path)
    with pytest.raises(DataError, match=r"is not a folder with train\.txt and test\.txt"):
        read_folder(write("0 1\n"))
    for name, size in (("a.csv", 6), ("b.csv", 9), ("c.csv", 1), ("d.csv", 7)):
        (tmp_path / name).write_bytes(b"x" * size)
    largest = ", ".join(re.escape(str(tmp_path / name)) for name in ("b.csv", "d.csv", "a.csv"))
    with pytest.raises(
        DataError, match=rf"has no train\.txt.* a single file of it \({largest}, \.\.\.\), or"
    ):
        read_folder(tmp_path)
    with pytest.raises(DataError, match=rf"has no train\.txt.* a single file of it \({largest}"):
        load_training(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_interactions(tmp_path / ("x" * 300))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_file_without_permission(write):
    path = write("1,2\n")
    path.chmod(0)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read_interactions(path)


def test_min_rating_looks_at_merged_ratings_and_drops_the_rest(write):
    path = write("1,10,5,1\n1,10,2,2\n1,20,4,3\n2,20,3.5,4\n")
    assert triples(read_interactions(path, min_rating=4)) == [(1, 20, 4, 3)]
    with pytest.raises(DataError, match="no rating reaches min_rating = 6; the largest is 4"):
        read_interactions(path, min_rating=6)
    with pytest.raises(DataError, match="has no ratings to compare with min_rating = 4"):
        read_interactions(write("0 1 2\n", "ragged"), min_rating=4)
    with pytest.raises(ConfigError, match="min_rating is nan"):
        read_interactions(path, min_rating=float("nan"))
    with pytest.raises(ConfigError, match="id_type is 'float'"):
        read_interactions(path, id_type="float")


def test_a_pair_shares_the_union_of_ids(write):
    train, test = read_pair(write("1,a,5\n3,c,1\n", "train"), write("2,b,5\n3,a,5\n", "test"), min_rating=4)
    assert train.user_ids.tolist() == test.user_ids.tolist() == [1, 2, 3]
    assert train.item_ids.tolist() == ["a", "b"]
    assert triples(train) == [(1, "a", 5)]
    assert triples(test) == [(2, "b", 5), (3, "a", 5)]
    with pytest.raises(DataError, match=r"the item ids of .*train are text, those of .*other are integers"):
        read_pair(write("1,a\n2,b\n", "train"), write("1,2\n", "other"))
    with pytest.raises(DataError, match="test is empty"):
        read_pair(write("0 1\n", "train"), write("", "test"))
    with pytest.raises(DataError, match="test holds no interaction"):
        read_pair(write("0 1\n", "train"), write("0\n", "test"))


def test_load_data_serves_folder_file_pair_and_nothing(write):
    train, test = write("0 1 2\n1 3\n", "set/train.txt"), write("0 3\n", "set/test.txt")
    assert load_data(train.parent).name == "set"
    assert load_data(train=train, test=test).name == "train"
    assert [len(part) for part in load_data(train.parent)[1:]] == [3, 1]
    log = write("".join(f"{k % 4},{k},{k % 5 + 1},{k}\n" for k in range(100)), "log.csv")
    name, first, second = load_data(log, split="time")
    assert (name, len(first), len(second)) == ("log", 80, 20)
    assert first.times.max() < second.times.min()
    assert [len(part) for part in load_data(log, split=0.5, min_rating=5)[1:]] == [10, 10]
    name, first, second = load_data()
    assert name == "synthetic"
    assert len(first) > 20_000


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"data": "a", "train": "b"}, ConfigError, "both data and train/test are given"),
        ({"train": "b"}, ConfigError, "train is given without test"),
        ({"test": "b"}, ConfigError, "test is given without train"),
        ({"split": "random"}, ConfigError, "split is 'random'"),
        ({"split": 1.0}, ConfigError, r"train_fraction = 1\.0"),
        ({"split": "time"}, DataError, "no times to split by"),
        ({"min_rating": 4}, DataError, "generated data have no ratings"),
        ({"data": "nowhere"}, DataError, "nowhere does not exist"),
    ],
)
def test_load_data_refuses_what_does_not_fit(arguments, error, message):
    with pytest.raises(error, match=message):
        load_data(**arguments)


def test_options_that_mean_nothing_are_refused(write):
    train, test = write("0 1 2\n1 3\n", "set/train.txt"), write("0 3\n", "set/test.txt")
    whole = (
        ({"data": train.parent}, "the folder .*set holds"),
        ({"train": train, "test": test}, "train and test are"),
    )
    for load in (load_data, load_training):
        for source, what in whole:
            for more, name in (({"split": 0.8}, "split is 0.8"), ({"seed": 0}, "the split's seed is 0")):
                with pytest.raises(ConfigError, match=f"{name}, but {what} both parts and nothing is split"):
                    load(**source, **more)
        with pytest.raises(ConfigError, match="seed is 3, but a split by time draws nothing; leave it out"):
            load(train, split="time", seed=3)


def test_types_of_ids_that_a_format_has_itself_are_refused(write, tmp_path):
    lists = write("0 1 2\n1 3\n", "lists")
    with pytest.raises(
        ConfigError, match=r"id_type is 'str', but .*lists holds lines 'user item item \.\.\.'"
    ):
        read_interactions(lists, id_type="str")
    assert read_interactions(lists, id_type="int").user_ids.tolist() == [0, 1]
    pq.write_table(pa.table({"user": [1, 2], "item": [3, 4]}), tmp_path / "log.parquet")
    for id_type in ("int", "str"):
        with pytest.raises(
            ConfigError, match=r"but .*log\.parquet is a Parquet file, whose columns have types"
        ):
            read_interactions(tmp_path / "log.parquet", id_type=id_type)


def test_gowalla(data_dir):
    train, test = read_folder(data_dir / "gowalla")
    assert (train.num_users, train.num_items, len(train), len(test)) == (29_858, 40_981, 810_128, 217_242)
    assert np.array_equal(train.user_ids, np.arange(29_858))


@pytest.mark.timing
def test_gowalla_is_read_within_a_second(data_dir):
    seconds = []
    for _ in range(3):  # the best of three: the machine may be busy
        start = time.perf_counter()
        read_folder(data_dir / "gowalla")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.0


def test_movielens_100k_pair(data_dir):
    folder = data_dir / "ml-100k"
    _, test = read_pair(folder / "u1.base", folder / "u1.test", min_rating=4)
    assert np.unique(test.users).size == 456
    assert len(read_interactions(folder / "u.data")) == 100_000


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("ml-latest-small/ratings.csv", (610, 9_724, 100_836)),
        ("hetrec2011-lastfm/user_artists.dat", (1_892, 17_632, 92_834)),
        ("coat/user.txt", (290, 300, 6_960)),
    ],
)
def test_real_files(data_dir, path, shape):
    x = read_interactions(data_dir / path)
    assert (x.num_users, x.num_items, len(x)) == shape
    assert (x.weights if "artists" in path else x.ratings) is not None


def test_an_option_that_no_loader_has_is_named():
    for load in (load_data, load_training):
        with pytest.raises(
            TypeError, match=r"no option is called 'min_ratings'; they are split, seed, min_rating, "
        ):
            load(min_ratings=4)
