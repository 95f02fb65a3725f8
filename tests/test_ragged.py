import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.sparse import coo_array, csr_array

from pyrec.data import Ragged
from pyrec.data.ragged import as_ragged
from pyrec.errors import DataError

LISTS = st.lists(st.lists(st.integers(0, 6), max_size=6), max_size=8)


def ragged(indptr, indices, num_columns=5):
    return Ragged(np.array(indptr, np.int64), np.array(indices, np.int32), num_columns)


def broken() -> csr_array:
    matrix = csr_array((np.ones(2), np.array([0, 1]), np.array([0, 1, 2])), shape=(2, 3))
    matrix.indices[1] = 7
    return matrix


@given(LISTS)
def test_lists_come_back_in_order_with_repeats(lists):
    rows = Ragged.from_lists(lists, 7)
    assert rows.to_lists() == lists
    assert len(rows) == len(lists)
    assert rows.lengths.tolist() == list(map(len, lists))
    assert rows.rows.tolist() == [at for at, row in enumerate(lists) for _ in row]
    assert [rows.row(at).tolist() for at in range(len(rows))] == lists
    assert (rows.indptr.dtype, rows.indices.dtype) == (np.int64, np.int32)


@given(LISTS)
def test_csr_holds_each_row_as_a_sorted_set_of_ones(lists):
    matrix = Ragged.from_lists(lists, 7).csr()
    assert (matrix.shape, matrix.dtype) == ((len(lists), 7), np.float32)
    assert_array_equal(matrix.data, 1)
    rows = np.split(matrix.indices, matrix.indptr[1:-1]) if lists else []
    assert [row.tolist() for row in rows] == [sorted(set(row)) for row in lists]


@given(LISTS, st.data())
def test_rows_are_chosen_by_numbers_masks_and_slices(lists, data):
    rows = Ragged.from_lists(lists, 7)
    numbers = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=9)) if lists else []
    assert rows[np.array(numbers, np.int64)].to_lists() == [lists[at] for at in numbers]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(lists), max_size=len(lists))), bool)
    assert rows[mask].to_lists() == [row for row, keep in zip(lists, mask, strict=True) if keep]
    cut = slice(
        data.draw(st.integers(-9, 9)), data.draw(st.integers(-9, 9)), data.draw(st.sampled_from([1, 2, -1]))
    )
    assert rows[cut].to_lists() == lists[cut]


@given(LISTS, st.integers(0, 6))
def test_entries_are_left_out_one_by_one(lists, out):
    rows = Ragged.from_lists(lists, 7)
    assert rows.entries(rows.indices != out).to_lists() == [[k for k in row if k != out] for row in lists]


def test_a_sparse_matrix_gives_what_it_has_stored():
    matrix = csr_array(np.array([[0, 2.0, 1.0], [0, 0, 0], [3.0, 0, 0]]))
    for form in (matrix, matrix.tocsc(), coo_array(matrix)):
        assert as_ragged("candidates", form, (3, 3)).to_lists() == [[1, 2], [], [0]]
    rows = Ragged.from_lists([[1, 1]], 3)
    assert as_ragged("candidates", rows, (1, 3)) is rows


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ragged([0, 2, 1], [1]), r"indptr\[2\] = 1 is less than indptr\[1\] = 2"),
        (lambda: ragged([1, 1], [1]), "indptr starts at 1 and ends at 1, but it goes from 0 to .* 1"),
        (lambda: ragged([0, 2], [1]), "ends at 2, but .* number of indices, 1"),
        (lambda: ragged([], []), "indptr is empty"),
        (lambda: ragged([0, 2], [1, 5]), r"indices\[1\] = 5, but there are 5 columns"),
        (lambda: ragged([0, 2], [-1, 0]), r"indices\[0\] = -1"),
        (lambda: ragged([0], [], -1), "num_columns = -1"),
        (
            lambda: Ragged(np.array([0, 0], np.int32), np.empty(0, np.int32), 3),
            "indptr is int32.* int64 is needed",
        ),
        (lambda: Ragged(np.array([0, 0]), np.empty(0, np.int64), 3), "indices is int64.* int32 is needed"),
        (lambda: Ragged([0, 0], np.empty(0, np.int32), 3), "indptr is list"),
        (
            lambda: Ragged.from_lists([[1], [0, 9]], 3, "histories"),
            r"histories\[1\]\[1\] = 9, but there are 3",
        ),
        (lambda: Ragged.from_lists([[0.5]], 3), r"rows\[0\] is float64"),
        (lambda: Ragged.from_lists(["ab"], 3), r"rows\[0\] is <U1"),
        (lambda: Ragged.from_lists([4], 3), r"rows\[0\] is int64 \(\)"),
        (lambda: Ragged.from_lists([[1]], 3)[np.array([1])], r"positions\[0\] = 1, but there are 1 rows"),
        (lambda: Ragged.from_lists([[1]], 3)[np.array([True, False])], "a mask of 1 is needed"),
        (lambda: Ragged.from_lists([[1]], 3).row(1), "row 1 of 1 rows"),
        (lambda: Ragged.from_lists([[1]], 3).entries(np.ones(2, bool)), r"bool \(1,\) is needed"),
        (
            lambda: as_ragged("candidates", broken(), (2, 3)),
            r"candidates.indices\[1\] = 7, but there are 3 items",
        ),
        (lambda: as_ragged("candidates", [[1]], (1, 3)), "candidates is a list"),
        (
            lambda: as_ragged("candidates", csr_array((2, 3)), (1, 3)),
            r"candidates has shape \(2, 3\), but \(1, 3\)",
        ),
        (
            lambda: as_ragged("candidates", Ragged.from_lists([[1]], 2), (1, 3)),
            r"shape \(1, 2\), but \(1, 3\)",
        ),
    ],
)
def test_malformed_rows_are_refused_by_name(make, message):
    with pytest.raises(DataError, match=message):
        make()
