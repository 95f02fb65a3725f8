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
def test_loss_and_gradient(isa, dim, dtype, num_negatives):
    samples = batch(num_negatives=num_negatives)
    vectors = torch.randn(40, dim, dtype=dtype, requires_grad=True)
    wide = vectors.detach().double().requires_grad_()
    ours, expected = bpr(vectors, *samples), reference.bpr(wide, *samples)
    tolerance = 20 * torch.finfo(dtype).eps
    assert ours.item() == pytest.approx(expected.item(), rel=tolerance)
    (3 * ours).backward()
    (3 * expected).backward()
    limit = tolerance * float(wide.grad.abs().max())
    torch.testing.assert_close(vectors.grad.double(), wide.grad, rtol=0, atol=limit)


def test_large_margins_neither_overflow_nor_vanish():
    vectors = torch.tensor([[100.0], [100.0], [-100.0]], requires_grad=True)
    right, wrong = torch.tensor([1]), torch.tensor([2])
    user = torch.tensor([0])
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


def test_gradcheck_and_opcheck():
    samples = batch(6, 5)
    vectors = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
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
