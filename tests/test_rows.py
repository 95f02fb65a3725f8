"""Taking rows of a table, and adding to it, against plain torch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyrec import _core
from pyrec._arrays import capsule
from pyrec.errors import DataError
from pyrec.ops import rows as ops
from pyrec.reference import rows as reference

WIDTHS = [1, 3, 4, 7, 8, 9, 15, 16, 17, 33, 64, 65, 100, 128, 200]
REALS = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", [*REALS, torch.bfloat16])
@pytest.mark.parametrize("dim", WIDTHS)
@pytest.mark.parametrize("scaled", [False, True])
def test_taken_rows(kernels, dim, dtype, scaled):
    x = torch.randn(30, dim).to(dtype)
    rows = torch.tensor([3, -1, 29, 3, 0, -1])
    result = torch.float32 if dtype == torch.bfloat16 else dtype
    factor = torch.rand(30, dtype=result) if scaled else None
    there = (array if array is None else array.to(kernels.torch) for array in (x, rows, factor))
    x_there, rows_there, factor_there = there
    ours = ops.take(x_there, rows_there, 30, factor_there, result)
    assert torch.equal(ours.cpu(), reference.take(x.to(result), rows, factor))


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("dim", [1, 8, 65])
def test_rows_scaled_where_they_are(kernels, dim, dtype):
    x, factor = torch.randn(4, dim, dtype=dtype), torch.rand(30, dtype=dtype)
    rows = torch.tensor([7, -1, 29, 7])
    there = [array.to(kernels.torch) for array in (x, rows, factor)]
    ours = ops.take(*there[:2], 30, there[2], by_entry=True)
    assert torch.equal(ours.cpu(), torch.where(rows[:, None] >= 0, x * factor[rows, None], 0.0))


def compare(where, num_rows, index, dim, dtype):
    x = torch.randn(num_rows, dim, dtype=dtype, device=where.torch, requires_grad=True)
    wide = x.detach().double().cpu().requires_grad_()
    grad = torch.randn(len(index), dim, dtype=dtype)
    ours = ops.gather(x, index.to(where.torch))
    ours.backward(grad.to(where.torch))
    expected = reference.gather(wide, index)
    expected.backward(grad.double())
    assert torch.equal(ours.detach().double().cpu(), expected.detach())
    most = max(int(index.bincount().max()), 1) if len(index) else 1
    limit = most * torch.finfo(dtype).eps * most**0.5 * 4
    torch.testing.assert_close(x.grad.double().cpu(), wide.grad, rtol=0, atol=limit)


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("dim", WIDTHS)
def test_rows_and_their_gradient(kernels, dim, dtype):
    compare(kernels, 40, torch.randint(40, (150,)), dim, dtype)


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("num_rows", "count"), [(1, 1), (1, 2000), (2, 700), (5000, 3), (600, 0), (3000, 9000)]
)
def test_rows_named_often_and_never(device, num_rows, count):
    compare(device, num_rows, torch.randint(num_rows, (count,)), 8, torch.float32)


@given(st.lists(st.integers(0, 11), max_size=60), st.sampled_from([1, 4, 5, 32]))
def test_any_index(kernels, index, dim):
    compare(kernels, 12, torch.tensor(index, dtype=torch.int64), dim, torch.float64)


def test_the_gradient_has_the_same_bits_each_time(device):
    index = torch.randint(5, (4000,), device=device.torch)
    x = torch.randn(5, 64, device=device.torch, requires_grad=True)
    grad = torch.randn(4000, 64, device=device.torch)
    grads = [torch.autograd.grad(ops.gather(x, index), x, grad)[0] for _ in range(4)]
    assert all(torch.equal(one, grads[0]) for one in grads)
    in_order = torch.zeros(5, 64)
    for row, of_row in zip(index.cpu(), grad.cpu(), strict=True):
        in_order[row] += of_row
    assert torch.equal(grads[0].cpu(), in_order)


def test_padding_is_left_out_of_a_sum(device):
    rows = torch.tensor([-1, 2, 0, 2, 3], device=device.torch)
    x = torch.arange(5.0, device=device.torch)[:, None] + 1
    assert ops._add_rows(x, rows, 3).flatten().tolist() == [3, 0, 6]


def test_gradcheck_and_opcheck(device):
    x = torch.randn(6, 5, dtype=torch.float64, device=device.torch, requires_grad=True)
    index = torch.tensor([1, 5, 1, 0], device=device.torch)
    torch.autograd.gradcheck(ops.gather, (x, index))
    torch.library.opcheck(ops._gather.overload, (x, index))
    torch.library.opcheck(ops._add_rows.overload, (x[:4].detach(), index, 7))


@pytest.mark.parametrize(
    ("x", "index", "message"),
    [
        (torch.ones(3, 2), torch.tensor([0, 3]), "index reaches from 0 to 3, but x has rows 0 to 2"),
        (torch.ones(3, 2), torch.tensor([-1]), "index reaches from -1 to -1"),
        (torch.ones(3, 2), torch.tensor([0]).int(), r"int64 \(count,\) are needed"),
        (torch.ones(3), torch.tensor([0]), r"x has shape \(3,\)"),
        (torch.ones(2, 3).T, torch.tensor([0]), "x is not contiguous"),
        ([1.0], torch.tensor([0]), "x is a list, but a tensor is needed"),
    ],
)
def test_wrong_arrays(x, index, message):
    with pytest.raises(DataError, match=message):
        ops.gather(x, index)


def test_wrong_arrays_of_the_kernels():
    rows, x, out = torch.tensor([0, 1]), torch.ones(3, 2), torch.empty(2, 2)
    with pytest.raises(DataError, match=r"x has shape \(3, 2\), but \(4, any\) is needed"):
        _core.take_rows(rows, x, out, num_nodes=4)
    with pytest.raises(DataError, match=r"factor has shape \(2,\), but \(3,\) is needed"):
        _core.take_rows(rows, x, out, factor=torch.ones(2), num_nodes=3)
    with pytest.raises(DataError, match=r"x has shape \(3, 2\), but \(2, any\) is needed"):
        _core.add_rows(rows, x, torch.empty(5, 2), torch.empty(0, dtype=torch.uint8))
    with pytest.raises(DataError, match="x has dtype int64, but float32 or float64 is needed"):
        _core.add_rows(rows, capsule(rows[:, None]), out, torch.empty(0, dtype=torch.uint8))
