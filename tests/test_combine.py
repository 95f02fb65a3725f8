import math

import pytest
import torch
from layers import DIMS, DTYPES, make_layers, make_mask, make_parameters
from networks import COMBINES

from pyrec import _core
from pyrec.errors import ConfigError, DataError
from pyrec.nn.combine import Attention, Mean, SelfAttention
from pyrec.ops.combine import combine_attention, combine_self_attention, combine_weighted
from pyrec.reference import combine as reference

LAYERS = [1, 2, 4, 64]


# Problems: layers, parameters, and both sides as functions of (layers, *parameters). ------------------------


def heads_for(dim):
    return next(heads for heads in (4, 3, 2, 1) if dim % heads == 0)


def ours(kind, layers, parameters, mask=None):
    if kind == "weighted":
        return (combine_weighted(layers, *parameters),)
    if kind == "attention":
        return combine_attention(layers, *parameters, mask=mask, return_alpha=True)
    heads = heads_for(layers[0].shape[1]) if layers else 1
    return combine_self_attention(layers, *parameters, heads, mask=mask, return_alpha=True)


def theirs(kind, layers, parameters, mask=None):
    if kind == "weighted":
        return (reference.combine_weighted(layers, *parameters),)
    if kind == "attention":
        return reference.combine_attention(layers, *parameters, mask=mask)
    return reference.combine_self_attention(layers, *parameters, heads_for(layers[0].shape[1]), mask=mask)


def with_gradients(run, kind, layers, parameters, mask, weights):
    """Results and the gradients of sum <weight, result> in layers and parameters."""
    inputs = [tensor.detach().requires_grad_() for tensor in (*layers, *parameters)]
    results = run(kind, inputs[: len(layers)], inputs[len(layers) :], mask)
    total = sum((r * w.to(r.dtype)).sum() for r, w in zip(results, weights, strict=False))
    return [*results, *torch.autograd.grad(total, inputs)]


def compare(device, kind, num_rows, num_layers, dim, dtype, masked=False, hidden=11, apart=True):
    """Results and gradients against the reference in float64."""
    layers = make_layers(num_rows, num_layers, dim, dtype)
    parameters = make_parameters(kind, num_layers, dim, dtype, hidden=hidden)
    mask = make_mask(num_rows, num_layers) if masked else None
    generator = torch.Generator().manual_seed(3)
    weights = [
        torch.randn(num_rows, columns, dtype=torch.float64, generator=generator).to(dtype)
        for columns in (dim, num_layers)
    ]
    wide = [[tensor.double() for tensor in tensors] for tensors in (layers, parameters)]
    exact = with_gradients(theirs, kind, *wide, mask, weights)
    layers = make_layers(num_rows, num_layers, dim, dtype, device.torch)
    if not apart:
        layers = [layer.contiguous() for layer in layers]
    there = [tensor.to(device.torch) for tensor in (*parameters, *weights)]
    mask = None if mask is None else mask.to(device.torch)
    mine = with_gradients(ours, kind, layers, there[: len(parameters)], mask, there[len(parameters) :])
    for a, b in zip(mine, exact, strict=True):
        scale = max(1.0, float(b.detach().abs().max())) if b.numel() else 1.0
        atol = 40 * torch.finfo(dtype).eps * scale
        torch.testing.assert_close(a.double().cpu(), b, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_layers", LAYERS)
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_every_width(kernels, kind, dim, num_layers, dtype):
    compare(kernels, kind, 37 if num_layers < 64 else 17, num_layers, dim, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_layers", [1, 3, 5, 64])
@pytest.mark.parametrize("dim", [7, 32])
@pytest.mark.parametrize("kind", ["attention", "self-attention"])
def test_masks(kernels, kind, dim, num_layers, dtype):
    compare(kernels, kind, 41, num_layers, dim, dtype, masked=True)


@pytest.mark.parametrize("hidden", [1, 2, 15, 16, 33, 64, 512])
def test_every_hidden_width(kernels, hidden):
    compare(kernels, "attention", 35, 4, 24, torch.float32, hidden=hidden)


@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
@pytest.mark.parametrize("dim", [128, 510, 512])
def test_wide_rows(device, kind, dim):
    compare(device, kind, 20, 2, dim, torch.float64)


@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
@pytest.mark.parametrize("num_rows", [0, 1, 15, 16, 17, 1100])
def test_every_number_of_rows(kernels, kind, num_rows):
    compare(kernels, kind, num_rows, 4, 20, torch.float64)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("num_layers", [1, 3, 4, 5])
@pytest.mark.parametrize(("dim", "hidden"), [(16, 16), (64, 64), (65, 64), (64, 1), (64, 100), (128, 100)])
@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_rows_side_by_side(device, kind, dim, hidden, num_layers, masked):
    """A device reads them 16 bytes at a time; one tile, parts of one, and several."""
    masked = masked and kind != "weighted"
    compare(device, kind, 75, num_layers, dim, torch.float32, masked, hidden, apart=False)


@pytest.mark.parametrize(("dtype", "num_rows"), [(torch.float32, 600), (torch.float64, 300)])
@pytest.mark.parametrize("kind", ["attention", "self-attention"])
def test_more_tiles_than_stripes(device, kind, dtype, num_rows):
    """A device sums several tiles into a stripe."""
    compare(device, kind, num_rows, 64, 9, dtype, masked=True)


@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_same_bits_from_run_to_run(device, kind):
    layers = make_layers(300, 3, 20, torch.float32, device.torch)
    parameters = make_parameters(kind, 3, 20, torch.float32, device.torch)
    weights = [torch.randn(300, columns, device=device.torch) for columns in (20, 3)]
    first, *others = (with_gradients(ours, kind, layers, parameters, None, weights) for _ in range(3))
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("kind", ["attention", "self-attention"])
def test_a_node_without_rows_is_zero_and_has_no_gradient(kernels, kind):
    layers = [layer.requires_grad_() for layer in make_layers(20, 3, 8, torch.float32, kernels.torch)]
    mask = torch.ones(20, 3, dtype=torch.bool, device=kernels.torch)
    mask[5] = False
    out, alpha = ours(kind, layers, make_parameters(kind, 3, 8, torch.float32, kernels.torch), mask)
    assert not out[5].any()
    assert not alpha[5].any()
    for grad in torch.autograd.grad((out * out.detach().cos()).sum(), layers):
        assert not grad[5].any()
        assert grad[4].any()


@pytest.mark.parametrize("kind", ["attention", "self-attention"])
def test_masked_rows_do_not_matter(device, kind):
    layers = make_layers(20, 4, 8, torch.float64, device.torch)
    parameters = make_parameters(kind, 4, 8, torch.float64, device.torch)
    mask = torch.ones(20, 4, dtype=torch.bool, device=device.torch)
    mask[:, 2] = False
    out, alpha = ours(kind, layers, parameters, mask)
    without, alpha_without = ours(kind, [layers[0], layers[1], layers[3]], parameters)
    torch.testing.assert_close(out, without, rtol=0, atol=1e-14)
    torch.testing.assert_close(alpha[:, [0, 1, 3]], alpha_without, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_rows_that_lie_apart_give_the_same_bits(device, kind):
    layers = make_layers(50, 4, 24, torch.float32, device.torch)
    parameters = make_parameters(kind, 4, 24, torch.float32, device.torch)
    packed = [layer.contiguous() for layer in layers]
    unbound = torch.stack(packed, dim=1).unbind(1)
    first = ours(kind, packed, parameters)
    for others in (layers, unbound):
        for a, b in zip(first, ours(kind, others, parameters), strict=True):
            assert torch.equal(a, b)


def node_results(kind, layers, parameters, mask, grads):
    """What belongs to a node: its output, its alpha and the gradient of its layers."""
    layers = [layer.detach().requires_grad_() for layer in layers]
    outputs = ours(kind, layers, parameters, mask)
    total = sum((output * grad).sum() for output, grad in zip(outputs, grads, strict=False))
    return [*outputs, *torch.autograd.grad(total, layers)]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
@pytest.mark.parametrize(("num_layers", "dim"), [(1, 5), (3, 8), (4, 20)])
def test_a_node_has_the_same_bits_in_any_company(kernels, kind, num_layers, dim, masked):
    masked = masked and kind != "weighted"
    where = kernels.torch
    layers = make_layers(150, num_layers, dim, torch.float32, where)
    parameters = make_parameters(kind, num_layers, dim, torch.float32, where)
    mask = make_mask(150, num_layers, where) if masked else None
    grads = [torch.randn(150, columns, device=where) for columns in (dim, num_layers)]
    whole = node_results(kind, layers, parameters, mask, grads)
    for nodes in ([0], [149], [5, 3, 77], list(range(1, 14)), list(range(149, 60, -1))):
        some = [None if array is None else array[nodes] for array in (*layers, mask, *grads)]
        alone = node_results(kind, some[:num_layers], parameters, some[num_layers], some[num_layers + 1 :])
        for mine, of_whole in zip(alone, whole, strict=True):
            assert torch.equal(mine, of_whole[nodes])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
@pytest.mark.parametrize("num_layers", [1, 4])
def test_same_bits_at_any_number_of_threads(kind, num_layers, masked, threads):
    layers = make_layers(3000, num_layers, 20, torch.float32)
    parameters = make_parameters(kind, num_layers, 20, torch.float32)
    mask = make_mask(3000, num_layers) if masked else None
    weights = [torch.randn(3000, columns) for columns in (20, num_layers)]
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(with_gradients(ours, kind, layers, parameters, mask, weights))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


# Exponential and tangent ------------------------------------------------------------------------------------


def kernel_tanh(y):
    """tanh(y) from the gradient of v.

    One node with rows 4 and 0, W = y / 4 and uniform alpha: dv = ds tanh(4 W), ds = 1 exactly.
    """
    layers = [y.new_full((1, 1), 4.0), y.new_zeros(1, 1)]
    vector = torch.zeros_like(y, requires_grad=True)
    out = combine_attention(layers, y[:, None] / 4, torch.zeros_like(y), vector)
    return torch.autograd.grad(out.sum(), vector)[0]


@pytest.mark.parametrize(("dtype", "ulps"), [(torch.float32, 4), (torch.float64, 5)])
def test_tanh_is_accurate_to_a_few_ulps(kernels, dtype, ulps):
    steps = torch.linspace(-1, 1, 511, dtype=torch.float64)
    for points in (steps, 0.1 * steps, 5 * steps, 25 * steps, steps**3 * 1e-3, 1e-20 * steps, 1e4 * steps):
        y = points.to(dtype)
        exact = [math.tanh(value) for value in y.double().tolist()]
        error = (
            kernel_tanh(y.to(kernels.torch)).cpu().double() - torch.tensor(exact, dtype=torch.float64)
        ).abs()
        allowed = ulps * torch.finfo(dtype).eps * torch.tensor(exact, dtype=torch.float64).abs()
        assert bool((error <= allowed).all()), float((error / allowed).max())


def test_tanh_of_overflow_is_one(kernels):
    assert kernel_tanh(torch.tensor([3e38, -3e38], device=kernels.torch)).tolist() == [1.0, -1.0]


@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_nan_stays_in_its_row_and_is_not_hidden(kernels, kind):
    layers = make_layers(40, 3, 8, torch.float32, kernels.torch)
    layers[1][20, 3] = math.nan
    out = ours(kind, layers, make_parameters(kind, 3, 8, torch.float32, kernels.torch))[0].cpu()
    assert out[20].isnan().any()
    assert out[torch.arange(40) != 20].isfinite().all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_far_apart_scores(kernels, dtype):
    """One hidden unit, saturated: the scores are v and 0, so alpha is the logistic function of v."""
    one, zero = (torch.full((1, 1), value, dtype=dtype, device=kernels.torch) for value in (1.0, 0.0))
    layers = [1e4 * one, zero]
    for v in (-1e4, -700.0, -80.0, -20.5, -1.25, 0.0, 0.3, 3.0, 87.0, 1e4):
        vector = torch.tensor([v], dtype=dtype, device=kernels.torch)
        _, alpha = combine_attention(layers, one, zero[0], vector, return_alpha=True)
        expected = torch.sigmoid(torch.stack([vector, -vector], dim=1))
        torch.testing.assert_close(alpha, expected, rtol=10 * torch.finfo(dtype).eps, atol=1e-37)


# Torch's own checks -----------------------------------------------------------------------------------------


def grad_inputs(kind, where, start):
    """Inputs for gradcheck; with ``start`` the parameters that give uniform weights."""
    layers = [layer.contiguous() for layer in make_layers(5, 3, 4, torch.float64, where)]
    parameters = make_parameters(kind, 3, 4, torch.float64, where, hidden=3)
    if start and kind == "attention":
        parameters[2].zero_()
    if start and kind == "self-attention":
        parameters[0].zero_()
        parameters[2].copy_(torch.eye(4))
    return [tensor.requires_grad_() for tensor in (*layers, *parameters)]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_gradcheck(device, kind, start, masked):
    inputs = grad_inputs(kind, device.torch, start)
    mask = make_mask(5, 3, device.torch) if masked else None
    assert torch.autograd.gradcheck(lambda *args: ours(kind, list(args[:3]), args[3:], mask), inputs)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_opcheck(dtype, masked):
    layers = [layer.requires_grad_() for layer in make_layers(9, 3, 4, dtype)]
    mask = make_mask(9, 3) if masked else None

    def parameters(kind):
        return [p.requires_grad_() for p in make_parameters(kind, 3, 4, dtype)]

    ops = torch.ops.pyrec
    torch.library.opcheck(ops.combine_weighted, (layers, *parameters("weighted")))
    torch.library.opcheck(ops.combine_attention, (layers, *parameters("attention"), mask, False, None))
    torch.library.opcheck(ops.combine_self_attention, (layers, *parameters("self-attention"), 2, mask))
    plain, grad = [layer.detach() for layer in layers], torch.randn(9, 4, dtype=dtype)
    alpha, (w,) = torch.rand(9, 3, dtype=dtype), make_parameters("weighted", 3, 4, dtype)
    torch.library.opcheck(ops.combine_weighted_backward, (grad, plain, w, True, True))
    attention = make_parameters("attention", 3, 4, dtype)
    torch.library.opcheck(
        ops.combine_attention_backward, (grad, None, plain, *attention, mask, False, alpha, True, True, False)
    )
    self_attention = make_parameters("self-attention", 3, 4, dtype)
    torch.library.opcheck(
        ops.combine_self_attention_backward, (grad, alpha, plain, *self_attention, 2, mask, True, True)
    )


@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_only_needed_gradients(device, kind):
    layers = make_layers(20, 3, 8, torch.float64, device.torch)
    parameters = make_parameters(kind, 3, 8, torch.float64, device.torch)
    weights = [torch.randn(20, columns, dtype=torch.float64, device=device.torch) for columns in (8, 3)]
    count = len(ours(kind, layers, parameters))
    everything = with_gradients(ours, kind, layers, parameters, None, weights)[count:]
    for chosen in ([0, 1, 2], list(range(3, 3 + len(parameters))), [1]):
        inputs = [t.detach().requires_grad_(i in chosen) for i, t in enumerate((*layers, *parameters))]
        results = ours(kind, inputs[:3], inputs[3:])
        total = sum((r * w).sum() for r, w in zip(results, weights, strict=False))
        total.backward()
        for i, tensor in enumerate(inputs):
            assert (tensor.grad is not None) == (i in chosen)
            if i in chosen:
                assert torch.equal(tensor.grad, everything[i])


@pytest.mark.parametrize("kind", ["attention", "self-attention"])
def test_gradient_through_alpha_alone(device, kind):
    layers = make_layers(20, 3, 8, torch.float64, device.torch)
    parameters = make_parameters(kind, 3, 8, torch.float64, device.torch)
    inputs = [tensor.requires_grad_() for tensor in (*layers, *parameters)]
    mine = torch.autograd.grad(ours(kind, inputs[:3], inputs[3:])[1].square().sum(), inputs)
    expected = torch.autograd.grad(
        theirs(kind, inputs[:3], inputs[3:])[1].square().sum(), inputs, allow_unused=True
    )
    for a, b in zip(mine, expected, strict=True):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b, rtol=0, atol=1e-13)


# Modules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_layers", [0, 3])
@pytest.mark.parametrize("kind", COMBINES)
def test_every_kind_starts_at_the_mean(kind, n_layers):
    module = COMBINES[kind].make(n_layers, 16, torch.Generator().manual_seed(0))
    layers = make_layers(30, n_layers + 1, 16, torch.float32)
    mean = torch.stack(layers).double().mean(0).float()
    torch.testing.assert_close(module(layers), mean, rtol=0, atol=1e-6)
    alpha = module.alpha(layers).detach()
    shared = kind in ("mean", "weighted")
    assert alpha.shape == ((n_layers + 1,) if shared else (30, n_layers + 1))
    torch.testing.assert_close(alpha, torch.full_like(alpha, 1 / (n_layers + 1)), rtol=0, atol=1e-7)
    layer_alpha = module.layer_alpha()
    assert torch.equal(layer_alpha, alpha) if shared else layer_alpha is None


@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_gradients_leave_the_start(kind):
    module = COMBINES[kind].make(3, 16, torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    layers = make_layers(30, 4, 16, torch.float32)
    before = module.alpha(layers).detach().clone()
    (module(layers) * layers[0]).sum().backward()
    optimizer.step()
    after = module.alpha(layers).detach()
    assert not torch.allclose(before, after, atol=1e-4)
    torch.testing.assert_close(after.sum(-1), torch.ones(after.shape[:-1]), rtol=0, atol=1e-5)


def test_modules_repeat_with_their_generator():
    for combine in COMBINES.values():
        one, two = (combine.make(3, 8, torch.Generator().manual_seed(5)).state_dict() for _ in range(2))
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert not Mean().make(3, 8).state_dict()


# Bad input --------------------------------------------------------------------------------------------------


def call(kind, layers, mask=None, **changes):
    dim, dtype = layers[0].shape[1], layers[0].dtype
    arguments = make_parameters(kind, len(layers), dim, dtype)
    for position, value in changes.items():
        arguments[int(position[1:])] = value
    return ours(kind, layers, arguments, mask)


X = torch.zeros(5, 4)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([X, torch.zeros(5, 3)], r"layers\[1\] has shape \(5, 3\), but layers\[0\] has \(5, 4\)"),
        ([X, torch.zeros(6, 4)], r"layers\[1\] has shape \(6, 4\)"),
        ([X, X.double()], r"layers\[1\] has dtype float64, but layers\[0\] has float32"),
        ([X, torch.zeros(4, 5).t()], r"layers\[1\] has stride 5 between the numbers of a row.*contiguous"),
        ([X.long(), X.long()], r"layers\[0\] has dtype int64, but float32 or float64 is needed"),
        ([X, torch.zeros(5)], r"layers\[1\] has shape \(5,\), but \(num_rows, dim\) is needed"),
        ([X, [1.0]], r"layers\[1\] is a list, but a tensor is needed"),
    ],
)
@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_bad_layers(kind, layers, message):
    with pytest.raises(DataError, match=message):
        call(kind, layers)


@pytest.mark.parametrize("kind", ["weighted", "attention", "self-attention"])
def test_too_few_or_many_layers(kind):
    parameters = make_parameters(kind, 2, 4, torch.float32)
    with pytest.raises(DataError, match="layers is empty, but 1 to 64"):
        ours(kind, [], parameters)
    with pytest.raises(ConfigError, match="65 tensors, but at most 64"):
        ours(kind, [X] * 65, parameters)
    with pytest.raises(ConfigError, match=r"layers\[0\].shape\[1\] = 513 is outside 1 to 512"):
        call(kind, [torch.zeros(2, 513)])


@pytest.mark.parametrize(
    ("kind", "changes", "error", "message"),
    [
        ("weighted", {"_0": torch.zeros(3)}, DataError, r"alpha has shape \(3,\), but \(2,\) is needed"),
        ("weighted", {"_0": torch.zeros(2).double()}, DataError, "alpha has dtype float64, but float32"),
        ("attention", {"_0": torch.zeros(3, 5)}, DataError, r"weight has shape \(3, 5\), but \(any, 4\)"),
        ("attention", {"_0": torch.zeros(4)}, DataError, r"weight has shape \(4,\)"),
        ("attention", {"_0": torch.zeros(4, 3).t()}, DataError, r"weight is not contiguous"),
        (
            "attention",
            {"_0": torch.zeros(513, 4)},
            ConfigError,
            r"weight.shape\[0\] = 513 is outside 1 to 512",
        ),
        ("attention", {"_1": torch.zeros(4)}, DataError, r"bias has shape \(4,\), but \(11,\) is needed"),
        ("attention", {"_2": torch.zeros(11, 1)}, DataError, r"vector has shape \(11, 1\), but \(11,\)"),
        ("self-attention", {"_0": torch.zeros(4, 5)}, DataError, r"w_query has shape \(4, 5\), but \(4, 4\)"),
        ("self-attention", {"_1": torch.zeros(4, 4).double()}, DataError, "w_key has dtype float64"),
        ("self-attention", {"_2": torch.zeros(2, 4, 4)}, DataError, r"w_value has shape \(2, 4, 4\)"),
    ],
)
def test_bad_parameters(kind, changes, error, message):
    with pytest.raises(error, match=message):
        call(kind, [X, X], **changes)


@pytest.mark.parametrize("kind", ["attention", "self-attention"])
def test_bad_mask(kind):
    with pytest.raises(DataError, match=r"mask has shape \(5, 3\), but \(5, 2\) is needed"):
        call(kind, [X, X], mask=torch.ones(5, 3, dtype=torch.bool))
    with pytest.raises(DataError, match="mask has dtype float32, but bool is needed"):
        call(kind, [X, X], mask=torch.ones(5, 2))


@pytest.mark.parametrize(
    ("n_heads", "message"), [(3, "n_heads = 3 does not divide dim = 4"), (0, "outside 1 to 4"), (5, "1 to 4")]
)
def test_bad_heads(n_heads, message):
    with pytest.raises(ConfigError, match=message):
        combine_self_attention([X], *make_parameters("self-attention", 1, 4, torch.float32), n_heads)


def test_scratch_is_checked():
    layers, (w, b, v) = [X, X], make_parameters("attention", 2, 4, torch.float32)
    with pytest.raises(ConfigError, match=r"scratch.shape\[0\] = 10 is outside"):
        _core.combine_attention(
            layers, w, b, v, None, False, None, torch.empty(5, 4), torch.empty(5, 2), torch.empty(10)
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((Attention(), -1, 8), "n_layers = -1 is outside 0 to 63"),
        ((Attention(), 64, 8), "n_layers = 64 is outside 0 to 63"),
        ((Attention(), 3, 0), "dim = 0 is outside 1 to 512"),
        ((Attention(width=513), 3, 8), "hidden = 513 is outside 1 to 512"),
        ((SelfAttention(heads=3), 3, 8), r"n_heads = 3 does not divide dim = 8.*\[1, 2, 4, 8\]"),
        ((SelfAttention(heads=0), 3, 8), "n_heads = 0 does not divide dim = 8"),
    ],
)
def test_bad_module_settings(settings, message):
    combine, n_layers, dim = settings
    with pytest.raises(ConfigError, match=message):
        combine.make(n_layers, dim)


def test_module_needs_all_layers():
    with pytest.raises(DataError, match="layers has 3 tensors, but n_layers = 3 needs 4"):
        Mean().make(3, 4)([X, X, X])
