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


def weights(num_samples, dtype, seed=1):
    """Of very different sizes, some of them 0."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.rand(num_samples, generator=generator, dtype=torch.float64).mul(8).exp()
    weight[::5] = 0
    return weight.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", WIDTHS)
@pytest.mark.parametrize("num_negatives", [1, 3])
def test_weighted_loss_and_gradients(kernels, dim, dtype, num_negatives):
    samples, weight = batch(num_negatives=num_negatives), weights(60, dtype)
    vectors = torch.randn(40, dim, dtype=dtype, generator=torch.Generator().manual_seed(2))
    ours = [one.to(kernels.torch).requires_grad_() for one in (vectors, weight)]
    wide = [one.double().requires_grad_() for one in (vectors, weight)]
    loss = bpr(ours[0], *(rows.to(kernels.torch) for rows in samples), ours[1])
    expected = reference.bpr(wide[0], *samples, wide[1])
    tolerance = 20 * torch.finfo(dtype).eps
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    gradients = torch.autograd.grad(3 * loss, ours), torch.autograd.grad(3 * expected, wide)
    for have, right in zip(*gradients, strict=True):
        limit = tolerance * float(right.abs().max())
        torch.testing.assert_close(have.double().cpu(), right, rtol=0, atol=limit)


def test_equal_weights_have_the_bits_of_none(kernels):
    samples = [rows.to(kernels.torch) for rows in batch(num_negatives=3)]
    vectors = torch.randn(40, 24, device=kernels.torch, requires_grad=True)
    ones = torch.ones(60, device=kernels.torch)
    for weight in (ones, 4 * ones):  # a power of two does not round
        plain, weighted = bpr(vectors, *samples), bpr(vectors, *samples, weight)
        assert torch.equal(plain, weighted)
        assert torch.equal(*(torch.autograd.grad(loss, [vectors])[0] for loss in (plain, weighted)))


def test_a_weight_of_zero_leaves_the_sample_out(device):
    samples = [rows.to(device.torch) for rows in batch(num_negatives=2)]
    vectors = torch.randn(40, 24, device=device.torch, requires_grad=True)
    weight = torch.ones(60, device=device.torch)
    weight[20:] = 0
    whole, part = bpr(vectors, *samples, weight), bpr(vectors, *(rows[:20] for rows in samples))
    torch.testing.assert_close(whole, part)
    torch.testing.assert_close(*(torch.autograd.grad(loss, [vectors])[0] for loss in (whole, part)))


def test_the_gradient_of_equal_losses_in_their_weights_is_zero(device):
    vectors = torch.tensor([[1.0], [2.0], [3.0]], device=device.torch)
    samples = [torch.full((4,), row, device=device.torch) for row in range(2)]
    weight = torch.tensor([1.0, 2.0, 0.0, 5.0], device=device.torch, requires_grad=True)
    loss = bpr(vectors, *samples, torch.full((4, 1), 2, device=device.torch), weight)
    (grad,) = torch.autograd.grad(loss, [weight])
    assert grad.abs().max() < 1e-7


def test_large_margins_neither_overflow_nor_vanish(device):
    vectors = torch.tensor([[100.0], [100.0], [-100.0]], device=device.torch, requires_grad=True)
    user, right, wrong = torch.arange(3, device=device.torch)[:, None]
    good, bad = bpr(vectors, user, right, wrong[None]), bpr(vectors, user, wrong, right[None])
    assert good.item() == 0
    assert bad.item() == 20_000
    (grad,) = torch.autograd.grad(bad, [vectors])
    assert grad.flatten().tolist() == [200, 100, -100]


@pytest.mark.parametrize("weighted", [False, True])
def test_same_bits_at_any_number_of_threads(threads, weighted):
    samples = batch(500, 3000)
    vectors = torch.randn(500, 48, generator=torch.Generator().manual_seed(1), requires_grad=True)
    weight = [weights(3000, torch.float32).requires_grad_()] if weighted else []
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        loss = bpr(vectors, *samples, *weight)
        results.append((loss, *torch.autograd.grad(loss, [vectors, *weight])))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_gradcheck_and_opcheck(device):
    samples = [rows.to(device.torch) for rows in batch(6, 5)]
    vectors = torch.randn(6, 3, dtype=torch.float64, device=device.torch, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: bpr(v, *samples), (vectors,))
    torch.library.opcheck(torch.ops.pyrec.bpr, (vectors, *samples))


def test_gradcheck_and_opcheck_of_weights(device):
    samples = [rows.to(device.torch) for rows in batch(6, 5)]
    vectors = torch.randn(6, 3, dtype=torch.float64, device=device.torch, requires_grad=True)
    weight = (weights(5, torch.float64) + 0.5).to(device.torch).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, w: bpr(v, *samples, w), (vectors, weight))
    torch.library.opcheck(torch.ops.pyrec.bpr, (vectors, *samples, weight))


@pytest.mark.parametrize("weighted", [False, True])
def test_second_derivatives(device, weighted):
    samples = [rows.to(device.torch) for rows in batch(6, 5)]
    vectors = torch.randn(6, 3, dtype=torch.float64, device=device.torch, requires_grad=True)
    weight = [(weights(5, torch.float64) + 0.5).to(device.torch).requires_grad_()] if weighted else []
    assert torch.autograd.gradgradcheck(lambda v, *w: bpr(v, *samples, *w), (vectors, *weight))


def test_weights_learn_from_the_loss_after_a_step(device):
    """As bilevel methods do: the step's gradient is differentiated by the weights that it was taken with."""
    training, held_out = ([rows.to(device.torch) for rows in batch(12, 9, seed=seed)] for seed in (3, 4))
    vectors = torch.randn(12, 3, dtype=torch.float64, device=device.torch, requires_grad=True)
    start = torch.linspace(0.5, 2, 9, dtype=torch.float64, device=device.torch)

    def after_a_step(weight, create_graph):
        loss = bpr(vectors, *training, weight)
        (grad,) = torch.autograd.grad(loss, [vectors], create_graph=create_graph)
        return bpr(vectors - 0.7 * grad, *held_out)

    weight = start.clone().requires_grad_()
    (have,) = torch.autograd.grad(after_a_step(weight, create_graph=True), [weight])
    shifts = 1e-5 * torch.eye(9, dtype=torch.float64, device=device.torch)
    up, down = ([after_a_step(start + sign * one, False).item() for one in shifts] for sign in (1, -1))
    slopes = (torch.tensor(up, dtype=torch.float64) - torch.tensor(down, dtype=torch.float64)) / 2e-5
    assert have.abs().max() > 1e-3
    torch.testing.assert_close(have.cpu(), slopes, rtol=0, atol=1e-9)


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
        ({"weight": torch.ones(3)}, r"weight has shape \(3,\), but \(2,\) is needed"),
        ({"weight": torch.ones(2, 1)}, r"weight has shape \(2, 1\), but \(2,\) is needed"),
        ({"weight": torch.ones(2).double()}, "weight has dtype float64, but float32 is needed"),
        ({"weight": torch.ones(4)[::2]}, "weight is not contiguous"),
        ({"weight": [1.0, 1.0]}, "weight is a list"),
        ({"weight": torch.tensor([1, -0.5])}, r"weight\[1\] = -0.5\d*, but a weight is a finite number"),
        ({"weight": torch.tensor([torch.nan, 1])}, r"weight\[0\] = nan, but a weight is a finite number"),
        ({"weight": torch.tensor([1, torch.inf])}, r"weight\[1\] = inf, but a weight is a finite number"),
        ({"weight": torch.zeros(2)}, r"weight has the sum 0.0\d*, but a weighted mean divides by it"),
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
    loss, grad, _ = torch.ops.pyrec.bpr(vectors.detach(), *samples)
    assert bool(loss.isnan())
    (expected,) = torch.autograd.grad(bpr(vectors, *(rows[:1] for rows in samples)) / 2, [vectors])
    torch.testing.assert_close(grad, expected)


@pytest.mark.parametrize("weight", [[1, -1], [1, torch.nan], [torch.inf, 1], [0, 0]])
def test_a_device_makes_the_loss_of_bad_weights_nan(device, weight):
    samples = [torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([[3], [4]])]
    samples = [rows.to(device.torch) for rows in samples]
    vectors = torch.randn(5, 2, device=device.torch)
    weight = torch.tensor(weight, dtype=torch.float32, device=device.torch)
    if device.name == "cpu":
        with pytest.raises(DataError, match="weight"):
            bpr(vectors, *samples, weight)
        return
    loss, grad, grad_weight = torch.ops.pyrec.bpr(vectors, *samples, weight)
    assert bool(loss.isnan())
    assert bool(grad.isnan().all())
    assert bool(grad_weight.isnan().all())
