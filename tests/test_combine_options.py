"""What additive attention may add to its scores: rows brought to length 1, and an offset for each row."""

import math

import pytest
import torch
from layers import DIMS, DTYPES, make_layers, make_mask, make_parameters

from pyrec.errors import DataError
from pyrec.ops.combine import combine_attention
from pyrec.reference import combine as reference

OPTIONS = {"normalise": (True, False), "offset": (False, True), "both": (True, True)}


class Problem:
    """Layers, parameters and offset in float64; a row of zeros, a node of them, no other shorter than 0.5."""

    def __init__(self, num_rows=37, num_layers=4, dim=20, hidden=11, option="both", masked=False):
        self.normalise, with_offset = OPTIONS[option]
        generator = torch.Generator().manual_seed(5)
        self.layers = [x + 0.5 * x.sign() for x in make_layers(num_rows, num_layers, dim, torch.float64)]
        for layer in self.layers:
            layer[num_rows // 3] = 0
        self.layers[0][num_rows // 2] = 0
        self.parameters = make_parameters("attention", num_layers, dim, torch.float64, hidden=hidden)
        shape = (num_rows, num_layers)
        offset = torch.randn(shape, dtype=torch.float64, generator=generator)
        self.offset = [offset] if with_offset else []
        self.mask = make_mask(num_rows, num_layers) if masked else None
        self.weights = [
            torch.randn(num_rows, columns, dtype=torch.float64, generator=generator)
            for columns in (dim, num_layers)
        ]

    def tensors(self, dtype=torch.float64, where="cpu"):
        """Everything that has a gradient."""
        return [t.to(where, dtype) for t in (*self.layers, *self.parameters, *self.offset)]

    def call(self, function, tensors):
        """E and alpha of the kernel or the reference."""
        layers, others = tensors[: len(self.layers)], tensors[len(self.layers) :]
        mask = None if self.mask is None else self.mask.to(layers[0].device)
        arguments = {"normalise": self.normalise, "offset": others[3] if self.offset else None}
        if function is combine_attention:
            arguments["return_alpha"] = True
        return function(layers, *others[:3], mask, **arguments)

    def with_gradients(self, function, tensors):
        """Results and the gradients of sum <weight, result>."""
        inputs = [t.detach().requires_grad_() for t in tensors]
        results = self.call(function, inputs)
        total = sum((r * w.to(r)).sum() for r, w in zip(results, self.weights, strict=True))
        return [*results, *torch.autograd.grad(total, inputs)]

    def compare(self, device, dtype=torch.float64, apart=True):
        """Results and gradients against the reference in float64."""
        given = self.tensors(dtype)
        exact = self.with_gradients(reference.combine_attention, [t.double() for t in given])
        there = [t.to(device.torch) for t in given]
        if apart:
            count = len(self.layers)
            there[:count] = [torch.nn.functional.pad(t, (1, 2))[:, 1 : t.shape[1] + 1] for t in there[:count]]
        for mine, b in zip(self.with_gradients(combine_attention, there), exact, strict=True):
            atol = 40 * torch.finfo(dtype).eps * max(1.0, float(b.detach().abs().max()))
            torch.testing.assert_close(mine.double().cpu(), b, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_layers", [1, 4])
@pytest.mark.parametrize("dim", DIMS)
def test_every_width(kernels, dim, num_layers, dtype):
    Problem(num_layers=num_layers, dim=dim).compare(kernels, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("num_layers", [1, 3, 64])
@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_with_and_without_a_mask(kernels, option, num_layers, masked, dtype):
    Problem(num_layers=num_layers, dim=17, option=option, masked=masked).compare(kernels, dtype)


def test_every_hidden_width(kernels):
    for hidden in range(1, 71):
        Problem(num_rows=19, num_layers=2, dim=12, hidden=hidden).compare(kernels, torch.float32)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("hidden", [64, 100])
@pytest.mark.parametrize("dim", [64, 128, 510, 512])
def test_wide_rows(device, dim, hidden, option):
    """Several tiles of a device, read 16 bytes at a time or not."""
    for apart in (False, True):
        Problem(num_rows=20, num_layers=2, dim=dim, hidden=hidden, option=option).compare(device, apart=apart)


@pytest.mark.parametrize("num_rows", [3, 15, 16, 17, 1100])
def test_every_number_of_rows(kernels, num_rows):
    Problem(num_rows=num_rows, masked=True).compare(kernels, torch.float64)


@pytest.mark.launches_nothing
def test_no_rows(device):
    layers = make_layers(0, 3, 8, torch.float32, device.torch)
    parameters = make_parameters("attention", 3, 8, torch.float32, device.torch)
    offset = torch.empty(0, 3, device=device.torch, requires_grad=True)
    combine_attention(layers, *parameters, normalise=True, offset=offset).sum().backward()
    assert offset.grad.shape == (0, 3)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("option", OPTIONS)
def test_same_bits_at_any_number_of_threads(option, masked, threads):
    problem = Problem(num_rows=3000, option=option, masked=masked)
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(problem.with_gradients(combine_attention, problem.tensors(torch.float32)))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_same_bits_from_run_to_run(device):
    problem = Problem(num_rows=600, num_layers=64, dim=9)
    tensors = problem.tensors(torch.float32, device.torch)
    first, second = (problem.with_gradients(combine_attention, tensors) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_offset_of_zero_changes_no_bit(kernels, dtype):
    problem = Problem(option="offset")
    problem.offset[0].zero_()
    tensors = problem.tensors(dtype, kernels.torch)
    *mine, _ = problem.with_gradients(combine_attention, tensors)
    problem.offset = []
    without = problem.with_gradients(combine_attention, tensors[:-1])
    assert all(torch.equal(a, b) for a, b in zip(mine, without, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_normalised_weights_do_not_depend_on_lengths(kernels, dtype):
    problem = Problem(option="normalise")
    tensors = problem.tensors(dtype, kernels.torch)
    longer = [8 * t for t in tensors[:4]] + tensors[4:]
    assert torch.equal(
        problem.call(combine_attention, tensors)[1], problem.call(combine_attention, longer)[1]
    )


def test_only_an_offset_by_hand(device):
    """With v = 0 the scores are the offsets alone."""
    layers = make_layers(6, 2, 4, torch.float64, device.torch)
    weight, bias, vector = make_parameters("attention", 2, 4, torch.float64, device.torch)
    offset = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64, device=device.torch)
    offset = offset.requires_grad_()
    out = combine_attention(layers, weight, bias, 0 * vector, offset=offset.expand(6, 2))
    expected = 0.75 * layers[0] + 0.25 * layers[1]
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-14)
    (grad,) = torch.autograd.grad(out.sum(), offset)
    slope = 0.1875 * (layers[0] - layers[1]).sum()  # alpha_0 alpha_1
    torch.testing.assert_close(grad[0], torch.stack([slope, -slope]), rtol=0, atol=1e-13)


# Rows of zeros, short rows, and rows left out ----------------------------------------------------------------


def test_a_row_of_zeros_has_alpha_times_the_gradient(kernels):
    problem = Problem()
    tensors = [t.requires_grad_() for t in problem.tensors(torch.float64, kernels.torch)]
    out, alpha = problem.call(combine_attention, tensors)
    weight = problem.weights[0].to(out)
    grads = torch.autograd.grad((out * weight).sum(), tensors[:4])
    node = 37 // 3
    for layer, grad in enumerate(grads):
        torch.testing.assert_close(grad[node], alpha[node, layer] * weight[node], rtol=0, atol=0)


def test_short_rows_are_normalised_until_their_squares_underflow(kernels):
    problem = Problem(option="normalise")
    tensors = problem.tensors(torch.float32, kernels.torch)
    short, gone = ([scale * t for t in tensors[:4]] + tensors[4:] for scale in (2.0**-60, 2.0**-100))
    expected = problem.call(combine_attention, tensors)[1]
    assert torch.equal(problem.call(combine_attention, short)[1], expected)
    zeros = [0 * t for t in tensors[:4]] + tensors[4:]
    assert torch.equal(problem.call(combine_attention, gone)[1], problem.call(combine_attention, zeros)[1])
    for given in (short, gone):
        assert all(t.isfinite().all() for t in problem.with_gradients(combine_attention, given))


def test_offsets_of_rows_left_out_do_not_matter(kernels):
    problem = Problem(masked=True)
    problem.offset[0][~problem.mask] = math.nan
    *_, grad_offset = results = problem.with_gradients(
        combine_attention, problem.tensors(torch.float32, kernels.torch)
    )
    assert all(t.isfinite().all() for t in results)
    assert not grad_offset[~problem.mask.to(kernels.torch)].any()


def test_nan_stays_in_its_row_and_is_not_hidden(kernels):
    problem = Problem()
    problem.layers[1][20, 3] = math.nan
    out = problem.call(combine_attention, problem.tensors(torch.float32, kernels.torch))[0].cpu()
    assert out[20].isnan().any()
    assert out[torch.arange(37) != 20].isfinite().all()


# Torch's own checks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("option", OPTIONS)
def test_gradcheck(device, option, masked):
    """Rows of zeros stay as they are: there a direction has no derivative."""
    problem = Problem(num_rows=5, num_layers=3, dim=4, hidden=3, option=option, masked=masked)
    inputs = [t.contiguous().requires_grad_() for t in problem.tensors(where=device.torch)]
    kept = [(layer != 0).to(layer) for layer in inputs[:3]]

    def run(*tensors):
        layers = [layer * keep for layer, keep in zip(tensors[:3], kept, strict=True)]
        return problem.call(combine_attention, [*layers, *tensors[3:]])

    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("option", OPTIONS)
def test_opcheck(option, masked):
    problem = Problem(num_rows=9, num_layers=3, dim=4, option=option, masked=masked)
    tensors = [t.requires_grad_() for t in problem.tensors(torch.float32)]
    layers, parameters, offset = tensors[:3], tensors[3:6], tensors[6] if problem.offset else None
    ops = torch.ops.pyrec
    torch.library.opcheck(
        ops.combine_attention, (layers, *parameters, problem.mask, problem.normalise, offset)
    )
    plain = [[t.detach() for t in some] for some in (layers, parameters)]
    grad, grad_of_alpha = (w.float() for w in problem.weights)
    alpha = torch.rand(9, 3)
    for needed in ((True, True, True), (False, True, False), (False, False, True)):
        torch.library.opcheck(
            ops.combine_attention_backward,
            (grad, grad_of_alpha, plain[0], *plain[1], problem.mask, problem.normalise, alpha, *needed),
        )


@pytest.mark.parametrize("chosen", [[0, 1, 2], [3, 4, 5], [6], [1, 6], [4]])
def test_only_needed_gradients(device, chosen):
    problem = Problem(num_layers=3)
    tensors = problem.tensors(where=device.torch)
    everything = problem.with_gradients(combine_attention, tensors)[2:]
    inputs = [t.detach().requires_grad_(i in chosen) for i, t in enumerate(tensors)]
    results = problem.call(combine_attention, inputs)
    sum((r * w.to(r)).sum() for r, w in zip(results, problem.weights, strict=True)).backward()
    for i, tensor in enumerate(inputs):
        assert (tensor.grad is not None) == (i in chosen)
        if i in chosen:
            assert torch.equal(tensor.grad, everything[i])


def test_nothing_but_alpha_is_kept():
    problem = Problem()
    tensors = [t.contiguous().requires_grad_() for t in problem.tensors()]
    given, kept = {t.data_ptr() for t in tensors}, []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        _, alpha = problem.call(combine_attention, tensors)
    assert [t.data_ptr() for t in kept if t.data_ptr() not in given] == [alpha.data_ptr()]


# Bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (torch.zeros(5, 3), r"offset has shape \(5, 3\), but \(num_rows, L\) = \(5, 2\) is needed"),
        (torch.zeros(2), r"offset has shape \(2,\), but \(num_rows, L\) = \(5, 2\) is needed"),
        (torch.zeros(5, 2).double(), "offset has dtype float64, but float32 is needed"),
        (torch.zeros(5, 2).long(), "offset has dtype int64, but float32 is needed"),
    ],
)
def test_bad_offset(device, offset, message):
    layers = [torch.zeros(5, 4, device=device.torch)] * 2
    parameters = make_parameters("attention", 2, 4, torch.float32, device.torch)
    with pytest.raises(DataError, match=message):
        combine_attention(layers, *parameters, offset=offset.to(device.torch))
