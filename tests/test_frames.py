"""Tables as joins, groupings, databases and other libraries leave them."""

import uuid
from decimal import Decimal

import children
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from scipy import sparse

from pyrec.data import Interactions, as_interactions, read_interactions
from pyrec.errors import DataError

LOG = pd.DataFrame({"customer": [7, 3, 3], "product": [20, 20, 10], "stars": [1.0, 2.0, 4.0]})
PAIRS = [(3, 10, 4.0), (3, 20, 2.0), (7, 20, 1.0)]
ARROW = pa.Table.from_pandas(LOG)


def triples(x):
    ratings = [None] * len(x) if x.ratings is None else x.ratings.tolist()
    return list(zip(x.user_ids[x.users].tolist(), x.item_ids[x.items].tolist(), ratings, strict=True))


def twice(frame, name):
    return pd.concat([frame, frame[[name]]], axis=1)


class RaisingArray:
    """Of a library that fails while it is asked."""

    def __array__(self, *_, **__):
        raise RuntimeError("no")

    def __len__(self):
        return 2


SAME = {
    "another column twice": twice(twice(LOG.assign(note=0), "note"), "note"),
    "Arrow, another column twice": ARROW.append_column("x", [[0] * 3]).append_column("x", [[0] * 3]),
    "users in the index": LOG.set_index("customer"),
    "users and items in the index": LOG.set_index(["customer", "product"]),
    "an unnamed level beside named ones": LOG.set_index(["customer", "product"]).set_index(
        pd.Index([0, 0, 0]), append=True
    ),
    "a column and a level of the same role": LOG.set_index(pd.Index(["x", "y", "z"], name="user")),
    "a column that is the index as well": LOG.set_index("customer", drop=False),
    "a Series over users and items": LOG.set_index(["customer", "product"])["stars"],
    "run-end encoded": ARROW.set_column(0, "customer", pc.run_end_encode(ARROW["customer"])),
    "a subclass of a frame": type("Frame", (pd.DataFrame,), {})(LOG),
    "a Series without a name": LOG.set_index(["customer", "product"])["stars"].rename(None),
    "a sum by user and item": LOG.groupby(["customer", "product"])["stars"].sum(),
    "rows in another order, with their labels": LOG.sort_values("stars", ascending=False),
    "labels that repeat": LOG.set_index(pd.Index([0, 0, 0])),
    "record batch": ARROW.to_batches()[0],
    "record batch reader": ARROW.to_reader(),
    "chunks": pa.concat_tables([ARROW.slice(0, 1), ARROW.slice(1)]),
    "dict of lists": LOG.to_dict("list"),
    "dict of series": {name: LOG[name] for name in LOG},
    "dict of Polars series": dict(zip(LOG.columns, pl.from_pandas(LOG), strict=True)),
    "record array": LOG.to_records(index=False),
    "structured array": LOG.to_records(index=False).view(np.ndarray),
    "lazy": pl.from_pandas(LOG).lazy(),
    "lazy, with a column that fails when it is computed": pl.from_pandas(LOG)
    .lazy()
    .with_columns(bad=pl.col("stars").map_elements(lambda _: 1 / 0, return_dtype=pl.Float64)),
    "128-bit integers": pl.from_pandas(LOG).with_columns(pl.col("customer").cast(pl.Int128)),
    "decimal ids": LOG.assign(customer=list(map(Decimal, [7, 3, 3]))),
    "Arrow decimals": ARROW.set_column(0, "customer", ARROW["customer"].cast(pa.decimal128(20, 0))),
    "dictionary of integers": ARROW.set_column(0, "customer", ARROW["customer"].dictionary_encode()),
    "decimal ratings": LOG.assign(stars=list(map(Decimal, [1, 2, 4]))),
    "ratings as text": LOG.assign(stars=["1", "2.0", " 4 "]),
    "ratings as categories": LOG.assign(stars=pd.Categorical([1, 2, 4], ordered=True)),
    "nullable": LOG.convert_dtypes(),
    "PyArrow columns in pandas": LOG.convert_dtypes(dtype_backend="pyarrow"),
}


@pytest.mark.filterwarnings("ignore::polars.exceptions.PolarsInefficientMapWarning")
@pytest.mark.parametrize("name", SAME)
def test_a_table_is_read_however_it_is_held(name):
    assert triples(as_interactions(SAME[name])) == PAIRS


def test_counted_values_are_weights():
    counted = LOG.loc[LOG.index.repeat([1, 2, 4])].drop(columns="stars").value_counts()
    x = as_interactions(counted)
    assert x.ratings is None
    assert list(zip(x.users.tolist(), x.items.tolist(), x.weights.tolist(), strict=True)) == [
        (0, 0, 4),
        (0, 1, 2),
        (1, 1, 1),
    ]


def text_ids(column):
    return pl.DataFrame({"user": column, "item": [1, 2, 1]})


@pytest.mark.parametrize(
    ("frame", "ids"),
    [
        (text_ids(pl.Series(["b", "a", "b"], dtype=pl.Enum(["b", "a"]))), ["a", "b"]),
        (
            pd.DataFrame({"user": [True, False, True], "item": [1, 2, 1]}).astype({"user": str}),
            ["False", "True"],
        ),
        (pa.table({"user": pa.array(["b", "a", "b"], pa.string_view()), "item": [1, 2, 1]}), ["a", "b"]),
        (
            text_ids(pl.Series([2**64 - 1, 2**63, 0], dtype=pl.UInt64).cast(pl.String)),
            ["0", "18446744073709551615", "9223372036854775808"],
        ),
        (
            text_ids([9_007_199_254_740_993, 999_999_999_999_999_999, -(2**63)]),
            [-(2**63), 9_007_199_254_740_993, 999_999_999_999_999_999],
        ),
    ],
)
def test_ids_are_exact(frame, ids):
    assert as_interactions(frame).user_ids.tolist() == ids


def test_bool_ratings_are_one_and_zero():
    assert as_interactions(LOG.assign(stars=[True, False, True])).ratings.tolist() == [1, 0, 1]


REFUSED = {
    "a needed column twice": (
        twice(LOG, "product"),
        r"'product' and 'product' both name the item; rename one",
    ),
    "two columns for the users": (
        LOG.assign(user=1),
        r"'customer' and 'user' both name the user; rename one",
    ),
    "two-level columns": (pd.concat({"a": LOG}, axis=1), r"\('a', 'customer'\).*frame.columns = \["),
    "no names": (
        pd.DataFrame(LOG.to_numpy()),
        r"frame has the columns 0, 1, 2.*from_frame\(frame, user=..., item=...\)",
    ),
    "hundreds of columns": (pd.DataFrame(np.zeros((1, 500))), r"0, 1, .* 19, \.\.\. \(500 columns\)"),
    "an empty dict": ({}, "none with a well-known name"),
    "a gap": (LOG.assign(product=pd.array([1, None, 2], "Int64")), "column 'product' is missing in row 1"),
    "a gap in the index": (
        LOG.assign(customer=[3.0, 3, np.nan]).set_index("customer"),
        "column 'customer' is missing in row 2",
    ),
    "mixed ids": (
        LOG.assign(product=pd.Series([1, "1", 2], dtype=object)),
        r"column 'product'\[1\] = '1' \(str\) among",
    ),
    "UUIDs": (
        LOG.assign(customer=[uuid.UUID(int=k) for k in (7, 3, 3)]),
        r"column 'customer'\[0\] = .* \(UUID\) .*str\(value\)",
    ),
    "bytes": (
        LOG.assign(product=[b"a", b"b", b"c"]),
        r"column 'product'\[0\] = b'a' \(bytes\) .*\.decode\(\)",
    ),
    "bool ids": (
        LOG.assign(product=[True, False, True]),
        r"column 'product' has dtype bool.*\.astype\(str\)",
    ),
    "dates as ids": (
        LOG.assign(product=pd.date_range("2024", periods=3)),
        "column 'product' has dtype datetime64",
    ),
    "half a decimal": (
        LOG.assign(product=list(map(Decimal, ["1", "1.5", "2"]))),
        r"column 'product'\[1\] = 1.5 is not a whole",
    ),
    "NaN in decimals": (
        LOG.assign(product=[Decimal(1), Decimal("NaN"), Decimal(2)]),
        "column 'product'",
    ),
    "hashes beyond int64": (
        text_ids(pl.Series([1, 2**63, 3], dtype=pl.UInt64)),
        r"column 'user'\[1\] = 9223372036854775808 is beyond int64's .*pl.String",
    ),
    "128-bit integers beyond int64": (
        text_ids(pl.Series([1, 2**70, 3], dtype=pl.Int128)),
        "frame column 'user' cannot be read",
    ),
    "lists as ids": (text_ids([[1], [2], [3]]), "column 'user'"),
    "structs as ids": (text_ids([{"a": 1}] * 3), "column 'user'"),
    "floats beyond 2**53": (
        LOG.assign(product=[1e17, 2, 3]),
        r"column 'product'\[0\] = 1e\+17 is beyond 2\*\*53",
    ),
    "a rating of words": (LOG.assign(stars=["good", "1", "2"]), "column 'stars' are not numbers"),
    "a date as rating": (
        LOG.assign(stars=pd.date_range("2024", periods=3)),
        "column 'stars' have dtype datetime64",
    ),
    "an infinite rating": (LOG.assign(stars=[1, np.inf, 2]), r"column 'stars'\[1\] = inf"),
    "a time of day": (LOG.assign(timestamp=[True, False, True]), r"column 'timestamp'\[0\] = True"),
    "columns of a dict that differ": ({"user": [1, 2], "item": [1]}, "column 'item' has shape"),
    "a scalar in a dict": ({"user": 1, "item": 2}, "column 'user' is int 1"),
    "a lazy frame that fails": (
        pl.LazyFrame({"user": ["a"], "item": [1]}).with_columns(pl.col("user").cast(pl.Int64)),
        "cannot be read: ",
    ),
    "a lazy frame of a column that is not": (
        pl.LazyFrame({"user": ["a"], "item": [1]}).select("x"),
        "frame cannot be read: ",
    ),
    "a mapping as a column": ({"user": {1: 2}, "item": [1]}, "column 'user' is dict"),
    "an array that raises": (
        {"user": RaisingArray(), "item": [1, 2]},
        "column 'user' cannot be read: RuntimeError: no",
    ),
    "a tensor with a gradient": (
        {"user": [1], "item": [1], "rating": torch.ones(1, requires_grad=True)},
        "column 'rating' cannot be read: RuntimeError",
    ),
    "intervals": (LOG.assign(customer=pd.interval_range(0, 3)), r"column 'customer'\[0\] = .* \(Interval\)"),
    "a pivot table": (
        LOG.pivot_table(index="customer", columns="product", values="stars"),
        "none of '10', '20', 'customer' is a known name for the item",
    ),
    "a grouping": (LOG.groupby("customer"), "interactions are DataFrameGroupBy"),
    "seconds beyond the nanoseconds": (
        ARROW.append_column("time", pa.array([1, 2**62, 3], pa.timestamp("s"))),
        r"column 'time'\[1\] = .* is outside 1677-09-21",
    ),
    "text that is not UTF-8": (
        pa.table({"user": pa.array([b"\xff", b"b"]).view(pa.string()), "item": [1, 2]}),
        "frame column 'user' cannot be read",
    ),
    "a masked structured array": (
        np.ma.masked_array(np.zeros(2, [("user", "i8"), ("item", "i8")]), [(True, False), (False, False)]),
        r"column 'user'\[0\] = 0 is masked",
    ),
    "an array without names": (LOG.to_numpy(), "interactions are ndarray"),
    "a Polars series": (pl.Series([1, 2]), "interactions are Series"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_column_and_a_way_on(name):
    frame, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        as_interactions(frame)


def test_a_column_that_is_chosen_must_be_there_once():
    frame = twice(LOG, "stars")
    x = Interactions.from_frame(frame, user="customer", item="product")
    assert triples(x) == [(3, 10, None), (3, 20, None), (7, 20, None)]
    with pytest.raises(DataError, match=r"2 columns 'stars' \(for rating=\); rename or drop"):
        Interactions.from_frame(frame, user="customer", item="product", rating="stars")
    levels = pd.concat({"a": LOG}, axis=1)
    assert (
        triples(Interactions.from_frame(levels, ("a", "customer"), ("a", "product"), ("a", "stars"))) == PAIRS
    )
    numbered = pd.DataFrame(LOG.to_numpy())
    assert triples(Interactions.from_frame(numbered, 0, 1, 2)) == PAIRS


@pytest.mark.parametrize("values", [pl.Series([1, 2], dtype=pl.Int128), pl.Series([2**70], dtype=pl.Int128)])
def test_arrays_of_other_libraries_raise_no_error_of_theirs(values):
    for arguments in ((values, [1] * len(values)), ([1] * len(values),) * 2 + (values,)):
        with pytest.raises(DataError, match="cannot be read"):
            Interactions.from_arrays(*arguments)


def test_parquet_files_have_the_same_kinds(tmp_path):
    path = tmp_path / "log.parquet"
    columns = [
        ARROW["customer"].dictionary_encode(),
        ARROW["product"],
        ARROW["stars"].cast(pa.decimal128(8, 2)),
    ]
    pq.write_table(pa.table([*columns, ARROW["stars"], ARROW["stars"]], names=[*LOG.columns, "x", "x"]), path)
    assert triples(read_interactions(path)) == PAIRS
    pq.write_table(pa.table([*columns, ARROW["stars"]], names=[*LOG.columns, "stars"]), path)
    with pytest.raises(DataError, match="stars"):
        read_interactions(path)
    pq.write_table(pa.table({"user": pa.array([1, 2**63], pa.uint64()), "item": [1, 2]}), path)
    with pytest.raises(DataError, match=r"log.parquet: column 'user'\[1\] = 9223372036854775808"):
        read_interactions(path)


@pytest.mark.parametrize("columns", ["user=1,item=3", "user=u,item=i"])
def test_a_column_twice_is_one_line_on_the_command_line(tmp_path, columns):
    path = tmp_path / "twice.parquet"
    pq.write_table(pa.table([[1, 1], [5, 6], [8, 9]], names=["u", "i", "i"]), path)
    out = children.run("-m", "pyrec.cli", "data", "stats", path, "--columns", columns)
    assert out.returncode == 2
    assert "2 columns are called 'i', which is the item; rename or drop all but one" in out.stderr
    assert "Traceback" not in out.stderr


# Sparse matrices: cell (0, 1) is stored as 100 + 100, (1, 0) as 2 - 2, (1, 2) as 0, (2, 2) as 1 + 2.

VALUES = [100, 100, 2, -2, 0, 1, 2]
CELLS = ([0, 0, 1, 1, 1, 2, 2], [1, 1, 0, 0, 2, 2, 2])
INDPTR = [0, 2, 5, 7]
SUMS = [(0, 1, 200.0), (2, 2, 3.0)]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_a_cell_that_is_stored_twice_is_the_sum_in_every_format(dtype, kind, index):
    values = np.array([v % 256 if dtype == np.uint8 else v for v in VALUES]).astype(dtype)
    if dtype == np.uint8:
        values[3] = 0
        values[2] = 0  # no minus in unsigned numbers
    rows, columns = (np.array(part, index) for part in CELLS)
    make = {
        name: getattr(sparse, f"{name}_{kind}") for name in ("coo", "csr", "csc", "bsr", "lil", "dok", "dia")
    }
    coo = make["coo"]((values, (rows, columns)), shape=(3, 4))
    order = np.argsort(columns, kind="stable")
    starts = np.searchsorted(columns[order], np.arange(5)).astype(index)
    wide = sparse.coo_array((values.astype(np.float64), (rows, columns)), shape=(3, 4))
    matrices = {
        "COO": coo,
        "COO, shuffled": make["coo"]((values[::-1], (rows[::-1], columns[::-1])), shape=(3, 4)),
        "CSR": make["csr"]((values, columns, np.array(INDPTR, index)), shape=(3, 4)),
        "CSC": make["csc"]((values[order], rows[order], starts), shape=(3, 4)),
        "BSR": make["bsr"](
            (values[:, None, None], columns, np.array(INDPTR, index)), shape=(3, 4), blocksize=(1, 1)
        ),
        **{name: make[name](wide) for name in ("lil", "dok", "dia")},
    }
    for name, matrix in matrices.items():
        x = Interactions.from_csr(matrix)
        assert triples(x) == SUMS, name
        assert (x.num_users, x.num_items) == (3, 4), name


def test_a_boolean_cell_that_is_stored_twice_is_true():
    cells = ([0, 0, 1], [1, 1, 0])
    for matrix in (
        sparse.coo_array((np.ones(3, bool), cells), shape=(2, 2)),
        sparse.csr_array((np.ones(3, bool), cells[1], [0, 2, 3]), shape=(2, 2)),
    ):
        assert triples(Interactions.from_csr(matrix)) == [(0, 1, None), (1, 0, None)]


def test_ones_that_are_stored_twice_are_counts():
    matrix = sparse.coo_array((np.ones(3, np.int8), ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert triples(Interactions.from_csr(matrix)) == [(0, 1, 2.0), (1, 0, 1.0)]


@pytest.mark.parametrize("make", [sparse.coo_array, sparse.csr_array, sparse.csc_matrix])
def test_values_that_are_no_numbers_are_refused_in_every_format(make):
    with pytest.raises(DataError, match="is not a finite number"):
        Interactions.from_csr(make(np.array([[1.0, np.nan], [0, 2]])))
    repeated = sparse.csr_array(([1.0, np.nan, np.inf], [1, 1, 0], [0, 2, 3]), shape=(2, 2))
    with pytest.raises(DataError, match=r"user_items.data\[1\] = nan is not a finite number"):
        Interactions.from_csr(repeated)
    assert triples(Interactions.from_csr(make(np.array([[0, -3.0]])))) == [(0, 1, -3.0)]
