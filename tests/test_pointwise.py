import pytest
import torch
from torch.nn import functional

from pyrec.errors import ConfigError, DataError
from pyrec.ops.pointwise import pointwise
from pyrec.reference import pointwise as reference

WIDTHS = [1, 3, 4, 7, 8, 9, 15, 16, 17, 33, 64, 100]
KINDS = ["logistic", "squared"]
NUM_ROWS = 40


def pairs(num_rows=NUM_ROWS, num_samples=60, seed=0):
    """Users and items, any two rows."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(num_rows, (num_samples,), generator=generator) for _ in range(2)]


def numbers(dtype, dim, num_rows=NUM_ROWS, num_samples=60, seed=1):
    """Vectors, labels between 0 and 1, weights some of which are 0, and biases."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(num_rows, dim, generator=generator, dtype=torch.float64)
    label = torch.rand(num_samples, generator=generator, dtype=torch.float64)
    label[::3], label[1::3] = 0, 1
    weight = torch.rand(num_samples, generator=generator, dtype=torch.float64).mul(6).exp()
    weight[::5] = 0
    bias = torch.randn(num_rows, generator=generator, dtype=torch.float64)
    return [array.to(dtype) for array in (vectors, label, weight, bias)]


def compare(device, kind, named, arrays, terms=30):
    """Value and all gradients against the reference in float64, within the rounding of some ``terms`` numbers."""
    ours = [array.to(device.torch).requires_grad_() for array in arrays]
    wide = [array.double().requires_grad_() for array in arrays]
    users, items = (rows.to(device.torch) for rows in named)
    loss = pointwise(ours[0], users, items, ours[1], kind, *ours[2:])
    expected = reference.pointwise(wide[0], *named, wide[1], kind, *wide[2:])
    tolerance = terms * torch.finfo(arrays[0].dtype).eps
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    gradients = torch.autograd.grad(3 * loss, ours), torch.autograd.grad(3 * expected, wide)
    for have, right in zip(*gradients, strict=True):
        limit = tolerance * float(right.abs().max())
        torch.testing.assert_close(have.double().cpu(), right, rtol=0, atol=limit)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradients(kernels, kind, dim, dtype):
    compare(kernels, kind, pairs(), numbers(dtype, dim))


@pytest.mark.parametrize("given", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_without_weights_or_biases(kernels, kind, given):
    compare(kernels, kind, pairs(), numbers(torch.float32, 24)[: 2 + given])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("num_rows", "num_samples"), [(1, 1), (2, 300), (1000, 40), (20_000, 5)])
def test_rows_named_often_and_rows_never_named(device, kind, num_rows, num_samples):
    arrays = numbers(torch.float64, 8, num_rows, num_samples)
    arrays[2] += 0.5
    compare(device, kind, pairs(num_rows, num_samples), arrays, terms=200)


def test_the_logistic_loss_is_the_binary_cross_entropy(device):
    vectors, label, weight, bias = (array.to(device.torch) for array in numbers(torch.float64, 8))
    users, items = (rows.to(device.torch) for rows in pairs())
    score = (vectors[users] * vectors[items]).sum(1) + bias[users] + bias[items]
    each = functional.binary_cross_entropy_with_logits(score, label, reduction="none")
    loss = pointwise(vectors, users, items, label, "logistic", weight, bias)
    torch.testing.assert_close(loss, (weight * each).sum() / weight.sum())


def test_the_squared_loss_is_half_the_mean_squared_error(device):
    vectors, label, _, _ = (array.to(device.torch) for array in numbers(torch.float64, 8))
    users, items = (rows.to(device.torch) for rows in pairs())
    expected = functional.mse_loss((vectors[users] * vectors[items]).sum(1), 7 * label - 3) / 2
    torch.testing.assert_close(pointwise(vectors, users, items, 7 * label - 3, "squared"), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_weights_have_the_bits_of_none(kernels, kind):
    vectors, label, _, _ = (array.to(kernels.torch) for array in numbers(torch.float32, 24))
    vectors.requires_grad_()
    users, items = (rows.to(kernels.torch) for rows in pairs())
    losses = [
        pointwise(vectors, users, items, label, kind, weight)
        for weight in (None, torch.ones_like(label), torch.full_like(label, 4.0))
    ]
    grads = [torch.autograd.grad(loss, [vectors])[0] for loss in losses]
    for other in (1, 2):
        assert torch.equal(losses[0], losses[other])
        assert torch.equal(grads[0], grads[other])


def test_a_pair_that_is_almost_right_keeps_its_small_loss(device):
    vectors = torch.tensor([[8.0], [8.0], [-8.0]], device=device.torch, requires_grad=True)
    user, liked, disliked = torch.arange(3, device=device.torch)[:, None]
    label = torch.ones(1, device=device.torch)
    for item, right, sign in [(liked, label, -1), (disliked, 0 * label, 1)]:
        loss = pointwise(vectors, user, item, right, "logistic")
        (grad,) = torch.autograd.grad(loss, [vectors])
        assert loss.item() == pytest.approx(torch.tensor(-64.0).exp().item(), rel=1e-6)
        assert grad[item].item() == pytest.approx(sign * 8 * loss.item(), rel=1e-6)


def test_large_scores_do_not_overflow(device):
    vectors = torch.tensor([[100.0], [100.0]], device=device.torch, requires_grad=True)
    user, item = torch.arange(2, device=device.torch)[:, None]
    loss = pointwise(vectors, user, item, torch.zeros(1, device=device.torch), "logistic")
    assert loss.item() == 10_000
    (grad,) = torch.autograd.grad(loss, [vectors])
    assert grad.flatten().tolist() == [100, 100]


@pytest.mark.parametrize("kind", KINDS)
def test_same_bits_at_any_number_of_threads_and_at_each_call(device, threads, kind):
    arrays = numbers(torch.float32, 48, 7, 900)
    arrays = [array.to(device.torch).requires_grad_() for array in arrays]
    users, items = (rows.to(device.torch) for rows in pairs(7, 900))
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        loss = pointwise(arrays[0], users, items, arrays[1], kind, *arrays[2:])
        results.append((loss, *torch.autograd.grad(loss, arrays)))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("given", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck_gradgradcheck_and_opcheck(device, kind, given):
    vectors, label, *optional = numbers(torch.float64, 3, 6, 5)
    optional[0] += 0.5
    label = label * 0.8 + 0.1  # so that a step of the check leaves labels between 0 and 1
    arrays = [array.to(device.torch).requires_grad_() for array in (vectors, label, *optional[:given])]
    users, items = (rows.to(device.torch) for rows in pairs(6, 5))

    def loss(vectors, label, *optional):
        return pointwise(vectors, users, items, label, kind, *optional)

    assert torch.autograd.gradcheck(loss, arrays)
    assert torch.autograd.gradgradcheck(loss, arrays)
    arguments = (arrays[0], users, items, arrays[1], kind, *arrays[2:])
    torch.library.opcheck(torch.ops.pyrec.pointwise, arguments)


SOUND = {
    "vectors": torch.ones(5, 2),
    "users": torch.tensor([0, 1]),
    "items": torch.tensor([2, 3]),
    "label": torch.tensor([0.0, 1.0]),
    "kind": "logistic",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": torch.tensor([0, 5])}, r"users\[1\] = 5, but there are 5 vectors"),
        ({"items": torch.tensor([-1, 0])}, r"items\[0\] = -1, but there are 5 vectors"),
        ({"items": torch.tensor([0])}, r"items has shape \(1,\), but \(2,\) is needed"),
        (
            {"users": torch.empty(0, dtype=torch.int64), "items": torch.empty(0, dtype=torch.int64)},
            "users is empty",
        ),
        ({"users": torch.tensor([0, 1], dtype=torch.int32)}, "users has dtype int32, but int64 is needed"),
        ({"vectors": torch.ones(5, 2).bfloat16()}, "vectors has dtype bfloat16"),
        ({"vectors": torch.ones(2, 5).t()}, "vectors is not contiguous"),
        ({"label": torch.ones(3)}, r"label has shape \(3,\), but \(2,\) is needed"),
        ({"label": torch.ones(2).double()}, "label has dtype float64, but float32 is needed"),
        (
            {"label": torch.tensor([0, 1.5])},
            r"label\[1\] = 1.5\d*, but a label of the logistic loss is between 0",
        ),
        ({"label": torch.tensor([-0.1, 1])}, r"label\[0\] = -0.1\d*, but a label of the logistic"),
        ({"label": torch.tensor([torch.nan, 1])}, r"label\[0\] = -?nan, but a label"),
        (
            {"label": torch.tensor([0, torch.inf]), "kind": "squared"},
            r"label\[1\] = inf, but a label of the squared loss is a finite number",
        ),
        ({"weight": torch.ones(3)}, r"weight has shape \(3,\), but \(2,\) is needed"),
        ({"weight": torch.ones(2).double()}, "weight has dtype float64, but float32 is needed"),
        ({"weight": torch.tensor([1, -0.5])}, r"weight\[1\] = -0.5\d*, but a weight is a finite number"),
        ({"weight": torch.zeros(2)}, r"weight has the sum 0.0\d*, but a weighted mean divides by it"),
        ({"bias": torch.ones(4)}, r"bias has shape \(4,\), but \(5,\) is needed"),
        ({"bias": torch.ones(10)[::2]}, "bias is not contiguous"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(DataError, match=message):
        pointwise(**SOUND | change)


@pytest.mark.parametrize("kind", ["hinge", "", None, 3])
def test_another_kind_is_an_error(kind):
    with pytest.raises(ConfigError, match=r"kind = .* is neither 'logistic' nor 'squared'"):
        pointwise(**SOUND | {"kind": kind})


BAD_SAMPLES = [{"users": 5}, {"users": -1}, {"items": 5}, {"label": 1.5}, {"label": torch.nan}]


@pytest.mark.parametrize("change", BAD_SAMPLES, ids=str)
def test_a_device_makes_the_loss_of_a_bad_sample_nan(device, change):
    arguments = {name: value.clone() for name, value in SOUND.items() if name != "kind"}
    for name, value in change.items():
        arguments[name][1] = value
    vectors, *rest = (value.to(device.torch) for value in arguments.values())
    vectors.requires_grad_()
    if device.name == "cpu":
        with pytest.raises(DataError, match=next(iter(change))):
            pointwise(vectors, *rest, "logistic")
        return
    loss, grad, grad_label, *_ = torch.ops.pyrec.pointwise(vectors.detach(), *rest, "logistic")
    assert bool(loss.isnan())
    assert grad_label.isnan().tolist() == [False, True]
    alone = pointwise(vectors, *(one[:1] for one in rest), "logistic") / 2
    torch.testing.assert_close(grad, *torch.autograd.grad(alone, [vectors]))


@pytest.mark.parametrize("weight", [[1, -1], [1, torch.nan], [torch.inf, 1], [0, 0]])
def test_a_device_makes_the_loss_of_bad_weights_nan(device, weight):
    arguments = {**SOUND, "weight": torch.tensor(weight, dtype=torch.float32)}
    on_device = {
        name: value if name == "kind" else value.to(device.torch) for name, value in arguments.items()
    }
    if device.name == "cpu":
        with pytest.raises(DataError, match="weight"):
            pointwise(**on_device)
        return
    loss, grad, *_ = torch.ops.pyrec.pointwise(*on_device.values())
    assert bool(loss.isnan())
    assert bool(grad[:4].isnan().all())
