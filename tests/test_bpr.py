import pytest
import torch

from pyrec.errors import DataError
from pyrec.ops.bpr import bpr
from pyrec.reference import bpr as reference

WIDTHS = [1, 3, 4, 7, 8, 9, 15, 16, 17, 33, 64, 100]


def batch(num_rows=40, num_samples=60, num_negatives=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(num_samples,), (num_samples,), (num_samples, num_negatives)]
    return [torch.randint(num_rows, shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", WIDTHS)
@pytest.mark.parametrize("num_negatives", [1, 3])
def test_loss_and_gradient(kernels, dim, dtype, num_negatives):
    compare(kernels, 40, dim, dtype, batch(num_negatives=num_negatives))


def compare(device, num_rows, dim, dtype, samples, terms=20):
    """Against the reference in float64, within the rounding of some ``terms`` numbers of the largest size."""
    vectors = torch.randn(num_rows, dim, dtype=dtype, device=device.torch, requires_grad=True)
    wide = vectors.detach().double().cpu().requires_grad_()
    ours = bpr(vectors, *(rows.to(device.torch) for rows in samples))
    expected = reference.bpr(wide, *samples)
    tolerance = terms * torch.finfo(dtype).eps
    assert ours.item() == pytest.approx(expected.item(), rel=tolerance)
    (3 * ours).backward()
    (3 * expected).backward()
    limit = tolerance * float(wide.grad.abs().max())
    torch.testing.assert_close(vectors.grad.double().cpu(), wide.grad, rtol=0, atol=limit)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("num_rows", "num_samples", "num_negatives"),
    [(1, 1, 1), (2, 300, 1), (3, 7, 100), (1000, 40, 33), (20_000, 5, 1)],
)
def test_rows_named_often_and_rows_never_named(device, dtype, num_rows, num_samples, num_negatives):
    compare(device, num_rows, 8, dtype, batch(num_rows, num_samples, num_negatives), terms=100)


def test_the_order_of_threads_does_not_change_a_bit(device):
    samples = [rows.to(device.torch) for rows in batch(7, 200)]
    vectors = torch.randn(7, 48, device=device.torch, requires_grad=True)
    losses = [bpr(vectors, *samples) for _ in range(4)]
    grads = [torch.autograd.grad(loss, [vectors])[0] for loss in losses]
    assert all(torch.equal(loss, losses[0]) for loss in losses)
    assert all(torch.equal(grad, grads[0]) for grad in grads)


def test_large_margins_neither_overflow_nor_vanish(device):
    vectors = torch.tensor([[100.0], [100.0], [-100.0]], device=device.torch, requires_grad=True)
    user, right, wrong = torch.arange(3, device=device.torch)[:, None]
    good, bad = bpr(vectors, user, right, wrong[None]), bpr(vectors, user, wrong, right[None])
    assert good.item() == 0
    assert bad.item() == 20_000
    (grad,) = torch.autograd.grad(bad, [vectors])
    assert grad.flatten().tolist() == [200, 100, -100]


def test_same_bits_at_any_number_of_threads(threads):
    samples = batch(500, 3000)
    vectors = torch.randn(500, 48, generator=torch.Generator().manual_seed(1), requires_grad=True)
    results = []
    for count in (1, 3):
        threads(count)
        loss = bpr(vectors, *samples)
        results.append((loss, *torch.autograd.grad(loss, [vectors])))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_gradcheck_and_opcheck(device):
    samples = [rows.to(device.torch) for rows in batch(6, 5)]
    vectors = torch.randn(6, 3, dtype=torch.float64, device=device.torch, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: bpr(v, *samples), (vectors,))
    torch.library.opcheck(torch.ops.pyrec.bpr, (vectors, *samples))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": torch.tensor([0, 5])}, r"users\[1\] = 5, but there are 5 vectors"),
        ({"positives": torch.tensor([-1, 0])}, r"positives\[0\] = -1, but there are 5 vectors"),
        ({"negatives": torch.tensor([[0], [9]])}, r"negatives\[1\] = 9, but there are 5 vectors"),
        ({"negatives": torch.tensor([0, 1])}, r"negatives has shape \(2,\), but \(2, any\) is needed"),
        ({"negatives": torch.empty(2, 0, dtype=torch.int64)}, "negatives is empty"),
        ({"users": torch.tensor([0, 1], dtype=torch.int32)}, "users has dtype int32, but int64 is needed"),
        ({"vectors": torch.ones(5, 2).bfloat16()}, "vectors has dtype bfloat16"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {
        "vectors": torch.ones(5, 2),
        "users": torch.tensor([0, 1]),
        "positives": torch.tensor([2, 3]),
        "negatives": torch.tensor([[3], [4]]),
    }
    with pytest.raises(DataError, match=message):
        bpr(**arguments | change)


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("row", [5, -1])
def test_a_device_makes_the_loss_of_a_bad_row_nan(device, at, row):
    samples = [torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([[3], [4]])]
    samples[at][1] = row
    samples = [rows.to(device.torch) for rows in samples]
    vectors = torch.randn(5, 2, device=device.torch, requires_grad=True)
    if device.name == "cpu":
        with pytest.raises(DataError, match=rf"\[1\] = {row}, but there are 5 vectors"):
            bpr(vectors, *samples)
        return
    loss, grad = torch.ops.pyrec.bpr(vectors.detach(), *samples)
    assert bool(loss.isnan())
    (expected,) = torch.autograd.grad(bpr(vectors, *(rows[:1] for rows in samples)) / 2, [vectors])
    torch.testing.assert_close(grad, expected)
