import pytest
import torch

from pyrec.errors import ConfigError, DataError
from pyrec.ops.agreement import agreement, weight_gradient
from pyrec.ops.pointwise import pointwise
from pyrec.reference import agreement as reference

WIDTHS = [1, 3, 4, 7, 8, 9, 15, 16, 17, 33, 64, 100]
KINDS = ["logistic", "squared"]
NUM_ROWS, NUM_PAIRS, NUM_GROUPS = 40, 60, 5
NAMES = ("label", "weight", "bias", "bias_direction")


def problem(dtype, dim, num_rows=NUM_ROWS, num_pairs=NUM_PAIRS, seed=0):
    """Arguments by name; labels are between 0 and 1, and some weights are 0."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    def whole(bound):
        return torch.randint(bound, (num_pairs,), generator=generator)

    weight = torch.rand(num_pairs, generator=generator, dtype=torch.float64).mul(3).exp()
    weight[::5] = 0
    return {
        "vectors": normal(num_rows, dim),
        "direction": normal(num_rows, dim),
        "users": whole(num_rows),
        "items": whole(num_rows),
        "label": torch.rand(num_pairs, generator=generator, dtype=torch.float64).to(dtype),
        "weight": weight.to(dtype),
        "bias": normal(num_rows),
        "bias_direction": normal(num_rows),
        "groups": whole(NUM_GROUPS - 1),
    }


def chosen(arrays, *names):
    return {name: arrays[name] for name in ("vectors", "direction", "users", "items", *names)}


def on(device, arrays):
    return {name: array.to(device.torch) for name, array in arrays.items()}


def wide(arrays):
    return {name: one.double() if one.is_floating_point() else one for name, one in arrays.items()}


def near(have, right, dtype, terms=30):
    limit = terms * torch.finfo(dtype).eps * float(right.abs().max())
    torch.testing.assert_close(have.double().cpu(), right, rtol=0, atol=limit)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", WIDTHS)
def test_agreement(kernels, dim, dtype):
    arrays = chosen(problem(dtype, dim), "bias_direction")
    near(agreement(**on(kernels, arrays)), reference.agreement(**wide(arrays)), dtype)


def test_agreement_is_the_derivative_of_the_score_in_the_direction(device):
    arrays = chosen(problem(torch.float64, 12), "bias_direction")

    def score(step):
        vectors = arrays["vectors"] + step * arrays["direction"]
        bias = step * arrays["bias_direction"]
        users, items = arrays["users"], arrays["items"]
        return (vectors[users] * vectors[items]).sum(1) + bias[users] + bias[items]

    slope = (score(1) - score(-1)) / 2  # exact: a score is quadratic in the step
    torch.testing.assert_close(agreement(**on(device, arrays)).cpu(), slope)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_weights_and_labels(kernels, kind, dim, dtype):
    arrays = problem(dtype, dim)
    more = {"kind": kind, "rate": 0.3, "num_groups": NUM_GROUPS}
    have = weight_gradient(**on(kernels, arrays), **more)
    right = reference.weight_gradient(**wide(arrays), **more)
    for one, expected in zip(have, right, strict=True):
        near(one, expected, dtype)
    assert have.sums[-1] == 0  # no pair is of the last group


@pytest.mark.parametrize("left_out", [*NAMES[1:], "groups"])
def test_what_is_not_given(device, left_out):
    arrays = problem(torch.float64, 7)
    del arrays[left_out]
    more = {"kind": "squared", "rate": -2.0, "num_groups": NUM_GROUPS}
    have = weight_gradient(**on(device, arrays), **more)
    for one, expected in zip(have, reference.weight_gradient(**arrays, **more), strict=True):
        near(one, expected, torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_the_closed_form_is_the_gradient_through_a_virtual_step(device, kind):
    """Against torch's derivative of the step, without the reference of the kernel."""
    arrays = problem(torch.float64, 6)
    rate, rows, pairs = 0.05, arrays["vectors"], (arrays["users"], arrays["items"])
    second = problem(torch.float64, 6, seed=9)
    weight, label = (arrays[name].clone().requires_grad_() for name in ("weight", "label"))
    a, b = rows.clone().requires_grad_(), arrays["bias"].clone().requires_grad_()
    loss = pointwise(a, *pairs, label, kind, weight, b) * weight.sum()
    by_vectors, by_bias = torch.autograd.grad(loss, [a, b], create_graph=True)
    moved = (a - rate * by_vectors, b - rate * by_bias)
    held_out = pointwise(moved[0], second["users"], second["items"], second["label"], kind, bias=moved[1])
    direction, bias_direction, by_weight, by_label = torch.autograd.grad(held_out, [*moved, weight, label])
    given = {**arrays, "direction": direction, "bias_direction": bias_direction}
    del given["groups"]
    have = weight_gradient(**on(device, given), kind=kind, rate=rate)
    torch.testing.assert_close(have.by_weight.cpu(), by_weight, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(have.by_label.cpu(), by_label, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("num_rows", "num_pairs"), [(1, 1), (2, 3000), (20_000, 5)])
def test_rows_named_often_and_rows_never_named(device, num_rows, num_pairs):
    arrays = problem(torch.float32, 8, num_rows, num_pairs)
    more = {"kind": "squared", "rate": 1.0, "num_groups": NUM_GROUPS}
    have = weight_gradient(**on(device, arrays), **more)
    for one, expected in zip(have, reference.weight_gradient(**wide(arrays), **more), strict=True):
        near(one, expected, torch.float32, terms=300)


def test_same_bits_at_any_number_of_threads_and_at_each_call(device, threads):
    arrays = on(device, problem(torch.float32, 48, 7, 9000))
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(weight_gradient(**arrays, kind="logistic", rate=0.1, num_groups=NUM_GROUPS))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("with_bias", [False, True])
def test_gradcheck_gradgradcheck_and_opcheck(device, with_bias):
    arrays = on(device, chosen(problem(torch.float64, 3, 6, 5), "bias_direction"))
    users, items = arrays["users"], arrays["items"]
    learned = [arrays[name].requires_grad_() for name in ("vectors", "direction", "bias_direction")][
        : 2 + with_bias
    ]

    def moved(vectors, direction, *bias):
        return agreement(vectors, direction, users, items, *bias)

    assert torch.autograd.gradcheck(moved, learned)
    assert torch.autograd.gradgradcheck(moved, learned)
    torch.library.opcheck(torch.ops.pyrec.agreement, (*learned[:2], users, items, *learned[2:]))


def test_opcheck_of_the_gradient_of_weights(device):
    arrays = on(device, problem(torch.float64, 3, 6, 5))
    rest = [arrays[name] for name in ("weight", "bias", "bias_direction", "groups")]
    first = [arrays[name] for name in ("vectors", "direction", "users", "items", "label")]
    torch.library.opcheck(torch.ops.pyrec.weight_gradient, (*first, "squared", 0.1, *rest, NUM_GROUPS))


SOUND = {
    "vectors": torch.ones(5, 2),
    "direction": torch.ones(5, 2),
    "users": torch.tensor([0, 1]),
    "items": torch.tensor([2, 3]),
    "label": torch.tensor([0.0, 1.0]),
    "kind": "logistic",
    "rate": 0.1,
    "groups": torch.tensor([0, 2]),
    "num_groups": 3,
}
NONE = torch.empty(0, dtype=torch.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": torch.tensor([0, 5])}, r"users\[1\] = 5, but there are 5 vectors"),
        ({"items": torch.tensor([-1, 0])}, r"items\[0\] = -1, but there are 5 vectors"),
        ({"items": torch.tensor([0])}, r"items has shape \(1,\), but \(2,\) is needed"),
        ({"users": torch.tensor(0)}, r"users has shape \(\), but \(n,\) is needed"),
        ({"users": NONE, "items": NONE}, "users is empty"),
        ({"users": torch.tensor([0, 1], dtype=torch.int32)}, "users has dtype int32, but int64 is needed"),
        ({"vectors": torch.ones(5, 2).bfloat16()}, "vectors has dtype bfloat16"),
        ({"vectors": torch.ones(2, 5).t()}, "vectors is not contiguous"),
        ({"direction": torch.ones(5, 3)}, r"direction has shape \(5, 3\), but \(5, 2\) is needed"),
        ({"direction": torch.ones(5, 2).double()}, "direction has dtype float64, but float32 is needed"),
        ({"bias_direction": torch.ones(4)}, r"bias_direction has shape \(4,\), but \(5,\) is needed"),
        ({"label": torch.ones(3)}, r"label has shape \(3,\), but \(2,\) is needed"),
        ({"label": torch.tensor([0, 1.5])}, r"label\[1\] = 1.5\d*, but a label of the logistic loss"),
        ({"weight": torch.ones(3)}, r"weight has shape \(3,\), but \(2,\) is needed"),
        ({"bias": torch.ones(10)[::2]}, "bias is not contiguous"),
        ({"groups": torch.tensor([0, 3])}, r"groups\[1\] = 3, but there are 3 groups"),
        ({"groups": torch.tensor([0])}, r"groups has shape \(1,\), but \(2,\) is needed"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(DataError, match=message):
        weight_gradient(**SOUND | change)
    if not change.keys() & {"label", "weight", "bias", "groups"}:
        given = SOUND | change
        with pytest.raises(DataError, match=message):
            agreement(
                **{
                    name: given[name]
                    for name in given
                    if name in ("vectors", "direction", "users", "items", "bias_direction")
                }
            )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "hinge"}, "kind = 'hinge' is neither"),
        ({"kind": None}, "kind = None is neither"),
        ({"rate": float("nan")}, "rate = nan, but a finite number is needed"),
        ({"rate": "1"}, "rate = '1', but a finite number is needed"),
        ({"num_groups": -1}, "num_groups = -1, but a number from 0"),
        ({"num_groups": 1.0}, "num_groups = 1.0, but a whole number is needed"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        weight_gradient(**SOUND | change)


BAD_PAIRS = [{"users": 5}, {"users": -1}, {"items": 5}, {"label": 1.5}, {"groups": 3}, {"groups": -1}]


@pytest.mark.parametrize("change", BAD_PAIRS, ids=str)
def test_a_device_makes_the_gradient_of_a_bad_pair_nan(device, change):
    arguments = {name: value.clone() for name, value in SOUND.items() if isinstance(value, torch.Tensor)}
    for name, value in change.items():
        arguments[name][1] = value
    more = {"kind": "logistic", "rate": 0.1, "num_groups": 3}
    if device.name == "cpu":
        with pytest.raises(DataError, match=next(iter(change))):
            weight_gradient(**on(device, arguments), **more)
        return
    have = weight_gradient(**on(device, arguments), **more)
    assert have.by_weight.isnan().tolist() == [False, True]
    alone = {name: one[:1] if len(one) == 2 else one for name, one in arguments.items()}
    torch.testing.assert_close(have.by_weight[:1], weight_gradient(**on(device, alone), **more).by_weight)
