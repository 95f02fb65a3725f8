"""Distinct ids of a batch, and rows of ragged arrays."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrec.errors import ConfigError, DataError
from pyrec.ops.distinct import distinct_ids
from pyrec.ops.ragged import ragged_take
from pyrec.reference.distinct import distinct_ids as reference


def assert_distinct(device, ids, num_ids):
    rows, position = distinct_ids(ids.to(device.torch), num_ids)
    expected = reference(ids)
    assert rows.tolist() == expected[0].tolist()
    assert torch.equal(position.cpu(), expected[1])


def test_a_batch_worked_out_by_hand(device):
    rows, position = distinct_ids(torch.tensor([[7, 3], [7, 0]], device=device.torch), 8)
    assert rows.tolist() == [7, 3, 0]
    assert position.tolist() == [[0, 1], [0, 2]]


@pytest.mark.parametrize("shape", [(1,), (255,), (257,), (40, 30), (3, 5, 700)])
def test_the_reference_agrees(device, shape):
    generator = torch.Generator().manual_seed(0)
    assert_distinct(device, torch.randint(900, shape, generator=generator), 900)


@settings(max_examples=30)
@given(ids=st.lists(st.integers(0, 30), min_size=1, max_size=600))
def test_any_ids(device, ids):
    assert_distinct(device, torch.tensor(ids), 31)


@pytest.mark.launches_nothing
def test_no_ids(device):
    rows, position = distinct_ids(torch.empty(0, 3, dtype=torch.int64, device=device.torch), 5)
    assert rows.shape == (0,)
    assert position.shape == (0, 3)


@pytest.mark.parametrize("bad", [3, -1])
def test_an_id_out_of_range(device, bad):
    with pytest.raises(DataError, match=rf"ids\[1\] = {bad}, but there are 3 ids"):
        distinct_ids(torch.tensor([0, bad, 2], device=device.torch), 3)


def test_a_device_notes_faults_and_does_not_wait(device):
    faults = torch.zeros(1, dtype=torch.bool, device=device.torch)
    ids = torch.tensor([2, 3, 1, -1, 2], device=device.torch)
    if device.name == "cpu":
        with pytest.raises(DataError, match=r"ids\[1\] = 3"):
            distinct_ids(ids, 3, faults=faults)
        return
    rows, position = distinct_ids(ids, 3, faults=faults)
    assert bool(faults)
    assert rows.tolist() == [2, 1, -1, -1, -1]
    assert position.tolist() == [0, 0, 1, 0, 0]


def test_wrong_arguments():
    with pytest.raises(DataError, match="ids has dtype int32, but int64 is needed"):
        distinct_ids(torch.tensor([1]).int(), 3)
    with pytest.raises(ConfigError, match=r"num_ids = -1, but it is 0 to 2\*\*31 - 1"):
        distinct_ids(torch.tensor([1]), -1)


def test_rows_of_a_ragged_array():
    indptr, indices = torch.tensor([0, 2, 2, 5]), torch.tensor([10, 11, 12, 13, 14])
    taken, entries = ragged_take(indptr, indices, torch.tensor([2, 1, 0, 2, -1]))
    assert taken.tolist() == [0, 3, 3, 5, 8, 8]
    assert entries.tolist() == [12, 13, 14, 10, 11, 12, 13, 14]
    taken, entries = ragged_take(indptr, indices.int(), torch.tensor([], dtype=torch.int64))
    assert taken.tolist() == [0]
    assert entries.dtype == torch.int32


@pytest.mark.parametrize(
    ("rows", "message"),
    [([0, 3], r"rows\[1\] = 3, but there are 3 rows"), ([-2], r"rows\[0\] = -2, but there are 3 rows")],
)
def test_rows_that_are_not_there(rows, message):
    with pytest.raises(DataError, match=message):
        ragged_take(torch.tensor([0, 2, 2, 5]), torch.arange(5), torch.tensor(rows))


@pytest.mark.parametrize("indptr", [[0, 7, 7, 5], [-1, 2, 2, 5], [0, 2, 1, 5]])
def test_row_pointers_that_are_wrong(indptr):
    with pytest.raises(DataError, match=r"row \d is from -?\d to \d of 5 indices"):
        ragged_take(torch.tensor(indptr), torch.arange(5), torch.arange(3))


def test_wrong_vectors():
    good = torch.tensor([0, 2])
    with pytest.raises(DataError, match=r"rows is torch.int32 \(1,\), but a vector of int64 is needed"):
        ragged_take(good, torch.arange(2), torch.tensor([0]).int())
    with pytest.raises(DataError, match=r"indptr is torch.float32 \(2,\), but a vector of int64 is needed"):
        ragged_take(good.float(), torch.arange(2), torch.tensor([0]))


def test_the_process_s_settings_are_not_looked_at():
    ids, indptr, indices = torch.tensor([3, 1, 3]), torch.tensor([0, 2, 2, 5, 6]), torch.arange(6)
    with torch.device("meta"):
        rows, position = distinct_ids(ids, 4)
        assert rows.tolist() == [3, 1]
        assert position.tolist() == [0, 1, 0]
        assert ragged_take(indptr, indices, rows)[1].tolist() == [5]
