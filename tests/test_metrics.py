"""The metrics kernel against worked examples, the reference and counting in plain Python."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrec import _core
from pyrec.errors import ConfigError, DataError
from pyrec.ops import metrics as metrics_op
from pyrec.ops.metrics import METRICS
from pyrec.reference import metrics as reference


def csr(rows):
    """(indptr, indices) of a list of ascending lists."""
    lengths = torch.tensor([0, *map(len, rows)], dtype=torch.int64)
    return lengths.cumsum(0), torch.tensor([item for row in rows for item in row], dtype=torch.int32)


def int32(rows):
    return torch.tensor(rows, dtype=torch.int32)


def make(num_users, num_items, k, seed=0, most_test=10):
    """Lists of distinct ids, some of them short, and test items."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randperm(num_items, generator=g)[:k] for _ in range(num_users)]).int()
    lengths = torch.randint(0, 2 * k, (num_users, 1), generator=g)
    ids[torch.arange(k) >= lengths] = -1
    counts = torch.randint(0, most_test + 1, (num_users,), generator=g).tolist()
    test = [sorted(torch.randperm(num_items, generator=g)[:count].tolist()) for count in counts]
    return ids, *csr(test)


def ranking_metrics(device, *arguments):
    return metrics_op.ranking_metrics(*there(device, arguments)).cpu()


def item_counts(device, *arguments):
    return metrics_op.item_counts(*there(device, arguments)).cpu()


def there(device, arguments):
    return [a.to(device.torch) if isinstance(a, torch.Tensor) else a for a in arguments]


def assert_same(ours, expected):
    torch.testing.assert_close(ours, expected, rtol=1e-13, atol=0, equal_nan=True)


# The answers ----------------------------------------------------------------------------------------------


def test_a_list_worked_out_by_hand(kernels):
    ids = int32([[4, 7, 1, 9], [3, 2, 1, 0], [5, -1, -1, -1]])
    table = ranking_metrics(kernels, ids, *csr([[1, 7, 8], [9], [5]]), [1, 3, 4])
    assert table.shape == (3, 3, len(METRICS))
    assert table.dtype == torch.float64
    gain, ideal = 1 / math.log2(3) + 1 / 2, 1 + 1 / math.log2(3) + 1 / 2
    expected = {"precision": 2 / 3, "recall": 2 / 3, "ndcg": gain / ideal, "hit": 1, "mrr": 1 / 2}
    expected["map"] = (1 / 2 + 2 / 3) / 3
    assert dict(zip(METRICS, table[0, 1].tolist(), strict=True)) == pytest.approx(expected, rel=1e-15)
    assert table[0, 0].tolist() == [0] * 6
    assert table[1].tolist() == [[0] * 6] * 3
    assert table[2, 0].tolist() == [1] * 6
    assert table[2, 2].tolist() == [1 / 4, 1, 1, 1, 1, 1]


def test_a_perfect_list_scores_one(kernels):
    ids = torch.arange(20, dtype=torch.int32)[None]
    table = ranking_metrics(kernels, ids, *csr([range(30)]), [1, 5, 20])
    assert table[0, :, 0].tolist() == [1] * 3
    assert table[0, :, 1].tolist() == [1 / 30, 5 / 30, 20 / 30]
    assert table[0, :, 2:].tolist() == [[1] * 4] * 3


def test_users_without_test_items_have_nan(kernels):
    table = ranking_metrics(kernels, int32([[1, 2], [1, 2]]), *csr([[], [2]]), [1, 2])
    assert bool(table[0].isnan().all())
    assert not bool(table[1].isnan().any())


def test_no_test_items_at_all_and_no_users(kernels):
    assert bool(ranking_metrics(kernels, int32([[1, 2]]), *csr([[]]), [2]).isnan().all())
    assert ranking_metrics(kernels, torch.empty(0, 5, dtype=torch.int32), *csr([]), [2]).shape == (0, 1, 6)


@pytest.mark.parametrize("num_users", [1, 2, 255, 256, 257, 600])
def test_the_reference_agrees(kernels, num_users):
    case = make(num_users, 100, 30, seed=num_users)
    cutoffs = [1, 2, 10, 29, 30]
    assert_same(ranking_metrics(kernels, *case, cutoffs), reference.ranking_metrics(*case, cutoffs))


def test_long_lists_and_many_test_items(kernels):
    case = make(5, 3000, 1024, most_test=2500)
    assert_same(ranking_metrics(kernels, *case, [10, 1024]), reference.ranking_metrics(*case, [10, 1024]))


@st.composite
def cases(draw):
    num_items, k = draw(st.integers(1, 40)), draw(st.integers(1, 12))
    k = min(k, num_items)
    case = make(draw(st.integers(1, 12)), num_items, k, draw(st.integers(0, 2**31)))
    cutoffs = draw(st.sets(st.integers(1, k), min_size=1))
    return case, num_items, sorted(cutoffs)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_any_case(kernels, case):
    (ids, indptr, indices), num_items, cutoffs = case
    table = ranking_metrics(kernels, ids, indptr, indices, cutoffs)
    assert_same(table, reference.ranking_metrics(ids, indptr, indices, cutoffs))
    for user, row in enumerate(ids.tolist()):
        test = set(indices[indptr[user] : indptr[user + 1]].tolist())
        for c, k in enumerate(cutoffs):
            if test:
                assert table[user, c, 0] == len(test & set(row[:k])) / k
    counts = item_counts(kernels, ids, num_items, cutoffs)
    assert torch.equal(counts, reference.item_counts(ids, num_items, cutoffs))


def test_threads_and_instruction_sets_do_not_change_a_bit(threads):
    case = make(1000, 200, 20)
    before = _core.isa()
    tables = []
    for isa in _core.isa_levels():
        _core.use_isa(isa)
        for count in (1, 2, 3, 7):
            threads(count)
            tables.append(metrics_op.ranking_metrics(*case, [5, 20]).nan_to_num(-1))
    _core.use_isa(before)
    assert all(torch.equal(table, tables[0]) for table in tables)


# Item counts ----------------------------------------------------------------------------------------------


def test_item_counts_worked_out_by_hand(kernels):
    ids = int32([[4, 0, 1], [4, 1, -1], [-1, -1, -1]])
    assert item_counts(kernels, ids, 6, [1, 2, 3]).tolist() == [
        [0, 0, 0, 0, 2, 0],
        [1, 1, 0, 0, 2, 0],
        [1, 2, 0, 0, 2, 0],
    ]


def test_item_counts_of_nothing(kernels):
    assert item_counts(kernels, torch.empty(0, 3, dtype=torch.int32), 2, [1, 3]).tolist() == [[0, 0], [0, 0]]
    assert item_counts(kernels, int32([[-1, -1]]), 0, [2]).shape == (1, 0)


def test_item_counts_of_many(kernels):
    ids, *_ = make(700, 90, 25)
    counts = item_counts(kernels, ids, 90, [3, 25])
    assert torch.equal(counts, reference.item_counts(ids, 90, [3, 25]))
    assert int(counts[1].sum()) == int((ids >= 0).sum())


# The operators --------------------------------------------------------------------------------------------


def test_opcheck():
    ids, *_ = make(6, 30, 5)
    indptr, indices = csr([[user, user + 9] for user in range(6)])  # opcheck takes NaN for a difference
    torch.library.opcheck(metrics_op._ranking_metrics.overload, (ids, indptr, indices, [1, 5]))
    torch.library.opcheck(metrics_op._item_counts.overload, (ids, 30, [1, 5]))


# Bad input ------------------------------------------------------------------------------------------------


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("cutoffs", "message"),
    [
        ([], r"cutoffs is empty; pass one or more"),
        ([0, 1], r"cutoffs\[0\] = 0 is outside 1 to 2, the length of the lists in ids"),
        ([1, 3], r"cutoffs\[1\] = 3 is outside 1 to 2"),
        ([-1], r"cutoffs\[0\] = -1 is outside 1 to 2"),
        ([2, 1], r"cutoffs\[1\] = 1, but the one before is 2; pass each cut-off once, in ascending order"),
        ([2, 2], r"cutoffs\[1\] = 2, but the one before is 2"),
    ],
)
def test_wrong_cutoffs(device, cutoffs, message):
    ids = int32([[1, 2]])
    with pytest.raises(ConfigError, match=message):
        ranking_metrics(device, ids, *csr([[1]]), cutoffs)
    with pytest.raises(ConfigError, match=message):
        item_counts(device, ids, 3, cutoffs)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[1, 2], [0, -2]], r"ids\[1, 1\] = -2, but ids are items from 0 up, or -1 behind the end"),
        ([[1, 2], [-1, 2]], r"ids\[1, 1\] = 2, behind the -1 that ends the list"),
        ([[1, 2], [0, 2**31 - 1]], r"ids\[1, 1\] = 2147483647, but items are 0 to"),
    ],
)
def test_wrong_lists(device, ids, message):
    with pytest.raises(DataError, match=message):
        ranking_metrics(device, int32(ids), *csr([[1], [2]]), [1])
    with pytest.raises(DataError, match=message):
        item_counts(device, int32(ids), 3, [1])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (int32([[1, 2], [0, 1]]).long(), r"ids has dtype int64, but int32 is needed"),
        (int32([[1, 2, 3], [0, 1, 2]])[:, :2], r"ids is not contiguous"),
        (int32([1, 2]), r"ids has shape \(2,\), but \(any, any\) is needed"),
        (int32(1), r"ids has shape \(\), but \(any, any\) is needed"),
    ],
)
def test_wrong_arrays(ids, message):
    with pytest.raises(DataError, match=message):
        metrics_op.ranking_metrics(ids, *csr([[1], [2]]), [1])
    with pytest.raises(DataError, match=message):
        metrics_op.item_counts(ids, 3, [1])


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 1], [1], r"test_indptr has shape \(2,\), but \(3,\) is needed"),
        ([0, 1, 1], [1, 2], r"test_indptr\[2\] = 1, but there are 2 indices"),
        ([0, 2, 1], [1], r"test_indptr\[2\] = 1, less than the 2 before it"),
        ([0, 1, 2], [1, -1], r"test_indices\[1\] = -1, but items are 0 to"),
        ([1, 1, 2], [1, 2], r"test_indptr\[0\] = 1, but row pointers start at 0"),
        ([0, 1, 2], [1, 2**31 - 1], r"test_indices\[1\] = 2147483647, but items are 0 to"),
        ([0, 2, 2], [2, 1], r"test_indices\[1\] = 1, out of order in row 0"),
        ([0, 0, 2], [2, 2], r"test_indices\[1\] = 2, a duplicate in row 1"),
    ],
)
def test_wrong_test_items(device, indptr, indices, message):
    ids = int32([[1, 2], [0, -1]])
    with pytest.raises(DataError, match=message):
        ranking_metrics(device, ids, torch.tensor(indptr), int32(indices), [1])


def test_wrong_test_dtypes():
    ids, (indptr, indices) = int32([[1, 2]]), csr([[1]])
    with pytest.raises(DataError, match=r"test_indptr has dtype int32, but int64 is needed"):
        metrics_op.ranking_metrics(ids, indptr.int(), indices, [1])
    with pytest.raises(DataError, match=r"test_indices has dtype int64, but int32 is needed"):
        metrics_op.ranking_metrics(ids, indptr, indices.long(), [1])


def test_item_counts_beyond_the_items(device):
    with pytest.raises(DataError, match=r"ids\[0, 1\] = 3, but items are 0 to 2"):
        item_counts(device, int32([[1, 3]]), 3, [2])
    with pytest.raises(ConfigError, match=r"num_items = -1, but it is 0 to 2\*\*31 - 1"):
        metrics_op.item_counts(int32([[1, 3]]), -1, [2])
