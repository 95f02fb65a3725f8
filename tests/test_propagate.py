import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs, random_graph

from pyrec._arrays import stream_of
from pyrec.errors import ConfigError, DataError
from pyrec.graph import Graph
from pyrec.nn.adam import AdamState
from pyrec.ops.propagate import PRECISIONS, propagate, propagate_gradient, propagate_step, propagate_sum
from pyrec.reference import propagate as reference

WIDTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 128, 200, 257, 512]
FEWEST_COLUMNS = 16
"""That are compared at a time: half of so many do not move by chance."""


def gradients(outputs, inputs, grads):
    return torch.autograd.grad(sum((o * g).sum() for o, g in zip(outputs, grads, strict=True)), inputs)


def assert_same(ours, expected, dtype, terms=30):
    """Within the rounding of a sum of some ``terms`` numbers of the size of the largest."""
    scale = max(float(expected.detach().abs().max()), 1.0) if expected.numel() else 1.0
    tolerance = terms * torch.finfo(dtype).eps * scale
    torch.testing.assert_close(ours.double().cpu(), expected, rtol=0, atol=tolerance)


def checked(graph, call):
    """The call, and what a device has only noted of it."""
    call()
    graph.check()


def moved(device, array, requires_grad=False):
    """A copy on the device: a leaf of its own there."""
    return None if array is None else array.detach().to(device.torch).requires_grad_(requires_grad)


def compare(device, graph, dim, n_layers, rows, dtype, terms=30):
    """Outputs and the gradient of X_0 against the reference in float64."""
    x = moved(device, torch.randn(graph.num_nodes, dim, dtype=dtype), requires_grad=True)
    wide = x.detach().double().cpu().requires_grad_()
    adjacency = reference.normalised_adjacency(graph, torch.float64)
    graph = device.put(graph)
    ours = propagate(x, graph, n_layers, moved(device, rows))
    expected = reference.propagate(wide, adjacency, n_layers, rows)
    assert len(ours) == len(expected) == n_layers + 1
    for mine, theirs in zip(ours, expected, strict=True):
        assert_same(mine, theirs, dtype, terms)
    grads = [torch.randn_like(layer) for layer in expected]
    (mine,) = gradients(ours, [x], [grad.to(x) for grad in grads])
    graph.check()
    (theirs,) = gradients(expected, [wide], grads)
    assert_same(mine, theirs, dtype, terms)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", WIDTHS)
def test_every_width(kernels, dim, dtype):
    torch.manual_seed(dim)
    graph = random_graph(40, 30, 0.2)
    rows = torch.randperm(graph.num_nodes)[:20]
    for chosen in (None, rows):
        compare(kernels, graph, dim, 3, chosen, dtype)


@settings(max_examples=60)
@given(
    graph=graphs(weighted=st.booleans()),
    dim=st.sampled_from([1, 3, 16, 20]),
    n_layers=st.integers(0, 4),
    data=st.data(),
)
def test_any_graph(device, graph, dim, n_layers, data):
    nodes = st.integers(0, graph.num_nodes - 1)
    rows = data.draw(st.none() | st.lists(nodes, unique=True))
    rows = None if rows is None else torch.tensor(rows, dtype=torch.int64)
    compare(device, graph, dim, n_layers, rows, torch.float64)


@settings(max_examples=30)
@given(graph=graphs(weighted=st.booleans()), n_layers=st.integers(0, 4))
def test_sum_over_layers(device, graph, n_layers):
    x = torch.randn(graph.num_nodes, 5, dtype=torch.float64, requires_grad=True)
    alpha = torch.rand(n_layers + 1, dtype=torch.float64, requires_grad=True)
    inputs = [moved(device, x, requires_grad=True), moved(device, alpha, requires_grad=True)]
    ours = propagate_sum(inputs[0], device.put(graph), inputs[1])
    expected = reference.propagate_sum(x, reference.normalised_adjacency(graph, torch.float64), alpha)
    torch.testing.assert_close(ours.cpu(), expected, rtol=0, atol=1e-13)
    grad = torch.randn_like(expected)
    mine = gradients([ours], inputs, [moved(device, grad)])
    theirs = gradients([expected], [x, alpha], [grad])
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=0, atol=1e-12)


def assert_close_as_stored(ours, expected, largest=1.0):
    """As after the same roundings: each column equal up to float32's rounding, or within a step and counted.

    A sum on the edge between two bfloat16 is stored as the next one, 2^-8 of it away, and moves all that it
    reaches in its column. That happens in one column of twenty. Another rounding, such as truncation, moves
    every column. ``largest``: of what is stored.
    """
    scale = max(float(expected.detach().abs().max()), largest)
    difference = (ours.double().cpu() - expected).abs().detach()
    moved, columns = int((difference > 1e-6 * scale).any(0).sum()), difference.shape[1]
    assert columns >= FEWEST_COLUMNS, "too few columns to count them"
    assert moved <= columns / 2, f"{moved} of {columns} columns are rounded otherwise"
    assert float(difference.max()) <= 2**-8 * scale


def compare_stored(device, graph, dim, n_layers, rows):
    """Outputs and the gradient of X_0 against the reference that rounds the layers it stores.

    Columns do not meet, so the outputs of narrow calls, side by side, are those of one wide call.
    """
    calls = -(-FEWEST_COLUMNS // dim)
    x = moved(device, torch.randn(graph.num_nodes, calls * dim), requires_grad=True)
    wide = x.detach().double().cpu().requires_grad_()
    adjacency = reference.normalised_adjacency(graph, torch.float64)
    scale = reference.storage_scale(graph, torch.float64)
    there, rows_there = device.put(graph), moved(device, rows)
    parts = [propagate(part.contiguous(), there, n_layers, rows_there, "bf16") for part in x.split(dim, 1)]
    ours = [torch.cat(layers, 1) for layers in zip(*parts, strict=True)]
    expected = reference.propagate(wide, adjacency, n_layers, rows, scale)
    exact = reference.propagate(wide, adjacency, n_layers, rows)
    assert len(ours) == n_layers + 1
    for mine, theirs in zip(ours, expected, strict=True):
        assert mine.dtype == torch.float32
        assert_close_as_stored(mine, theirs, float(wide.detach().abs().max()))
    assert_within(ours, exact, 0.01)
    grads = [torch.randn_like(layer) for layer in expected]
    (mine,) = gradients(ours, [x], [moved(device, grad.float()) for grad in grads])
    assert_close_as_stored(mine, gradients(expected, [wide], grads)[0])
    assert_within([mine], gradients(exact, [wide], grads), 0.01)


def assert_within(ours, exact, share):
    for mine, theirs in zip(ours, exact, strict=True):
        difference = (mine.double().cpu() - theirs).detach()
        assert float(difference.norm()) <= share * float(theirs.detach().norm())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dim", WIDTHS)
def test_bf16_at_every_width(kernels, dim, weighted):
    torch.manual_seed(dim)
    graph = random_graph(40, 30, 0.2)
    if weighted:
        nodes = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degree)
        weights = 0.5 + (nodes * graph.indices) % 7 / 7
        graph = Graph(graph.indptr, graph.indices, 40, 30, weights)
    for rows in (None, torch.randperm(graph.num_nodes)[:20]):
        compare_stored(kernels, graph, dim, 3, rows)


@pytest.mark.parametrize("dim", [1, 20])
def test_truncation_is_told_from_rounding(device, dim, monkeypatch):
    """A reference that truncates what it stores is not what the kernels do: the comparison says so."""

    def truncated(x, scale):
        bits = (x * scale).float().view(torch.int32) & -65536
        return torch.where(scale > 0, bits.view(torch.float32).to(x.dtype) / scale, 0.0)

    torch.manual_seed(dim)
    graph = random_graph(40, 30, 0.2)
    compare_stored(device, graph, dim, 3, None)
    monkeypatch.setattr(reference, "_through_storage", truncated)
    with pytest.raises(AssertionError, match=r"(\d+) of \1 columns are rounded otherwise"):
        compare_stored(device, graph, dim, 3, None)


@settings(max_examples=60)
@given(graph=graphs(weighted=st.booleans()), n_layers=st.integers(0, 4), data=st.data())
def test_bf16_of_any_graph(device, graph, n_layers, data):
    nodes = st.integers(0, graph.num_nodes - 1)
    rows = data.draw(st.none() | st.lists(nodes, unique=True))
    x = torch.randn(graph.num_nodes, 16)
    adjacency = reference.normalised_adjacency(graph, torch.float64)
    rows = None if rows is None else torch.tensor(rows, dtype=torch.int64)
    ours = propagate(moved(device, x), device.put(graph), n_layers, moved(device, rows), "bf16")
    exact = reference.propagate(x.double(), adjacency, n_layers, rows)
    for mine, theirs in zip(ours, exact, strict=True):
        torch.testing.assert_close(mine.double().cpu(), theirs, rtol=0, atol=0.03)


@pytest.mark.parametrize("n_layers", [pytest.param(0, marks=pytest.mark.launches_nothing), 1, 2, 4])
def test_bf16_sum_over_layers(kernels, n_layers):
    torch.manual_seed(n_layers)
    graph = random_graph(40, 30, 0.2)
    x = moved(kernels, torch.randn(graph.num_nodes, 20), requires_grad=True)
    alpha = moved(kernels, torch.rand(n_layers + 1), requires_grad=True)
    adjacency = reference.normalised_adjacency(graph, torch.float64)
    scale = reference.storage_scale(graph, torch.float64)
    wide, wide_alpha = (value.detach().double().cpu().requires_grad_() for value in (x, alpha))
    ours = propagate_sum(x, kernels.put(graph), alpha, "bf16")
    assert_close_as_stored(ours, reference.propagate_sum(wide, adjacency, wide_alpha, scale))
    exact = reference.propagate_sum(wide, adjacency, wide_alpha)
    assert_within([ours], [exact], 0.01)
    grad = torch.randn_like(exact)
    mine = gradients([ours], [x, alpha], [moved(kernels, grad.float())])
    # The matrix is symmetric: the gradient of X_0 is the same sum of the gradient's own layers.
    assert_close_as_stored(mine[0], reference.propagate_sum(grad, adjacency, wide_alpha, scale))
    theirs = gradients([exact], [wide, wide_alpha], [grad])
    assert_within(mine[:1], theirs[:1], 0.01)
    products = float(wide.detach().norm() * grad.norm())  # the inner products may cancel, their roundings not
    assert float((mine[1].cpu() - theirs[1]).abs().max()) <= 2**-8 * products


def test_stored_numbers_are_the_nearest_bf16(kernels):
    """A node with one neighbour of degree 1 copies it: ties, subnormals, infinity and NaN among the values."""
    graph = Graph.from_edges(torch.tensor([0], dtype=torch.int32), torch.tensor([0], dtype=torch.int32), 1, 1)
    torch.manual_seed(0)
    bits = torch.randint(-(2**31), 2**31, (2, 512), dtype=torch.int64).int()
    bits[:, 64:128] = (bits[:, 64:128] & -65536) | 0x8000  # half-way between two
    bits[:, 128:192] |= 0x7F800000  # infinity or NaN
    bits[0, :4] = torch.tensor([0x7F800000, 0x7F800001, 0x7F7FFFFF, 1])
    x = bits.view(torch.float32)
    graph = kernels.put(graph)
    flag = torch.zeros(1, dtype=torch.bool, device=kernels.torch)
    for dim in (1, 15, 16, 200, 512):
        source = moved(kernels, x[:, :dim].contiguous())
        out = torch.empty(2, dim, dtype=torch.bfloat16, device=kernels.torch)
        kernels.core.propagate_layer(graph.core, source, out, not_finite=flag)
        torch.testing.assert_close(out, source.flip(0).bfloat16(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("dtype", "precision", "message"),
    [
        (torch.float64, "bf16", "precision = 'bf16' goes with a float32 x"),
        (torch.float32, "fp16", "precision = 'fp16' must be one of 'fp32', 'bf16'"),
    ],
)
def test_bad_precision_is_named(dtype, precision, message):
    graph, x = random_graph(2, 2, 1.0), torch.ones(4, 2, dtype=dtype)
    with pytest.raises(ConfigError, match=message):
        propagate(x, graph, 1, precision=precision)
    with pytest.raises(ConfigError, match=message):
        propagate_sum(x, graph, torch.ones(2, dtype=dtype), precision)


def test_gradcheck(device):
    graph = device.put(random_graph(5, 4, 0.5))
    x = torch.randn(graph.num_nodes, 3, dtype=torch.float64, device=device.torch, requires_grad=True)
    alpha = torch.rand(3, dtype=torch.float64, device=device.torch, requires_grad=True)
    rows = torch.tensor([7, 0, 3], device=device.torch)
    assert torch.autograd.gradcheck(lambda x: propagate(x, graph, 2)[1:], (x,))
    assert torch.autograd.gradcheck(lambda x: propagate(x, graph, 3, rows), (x,))
    assert torch.autograd.gradcheck(lambda x, a: propagate_sum(x, graph, a), (x, alpha))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_opcheck(precision):
    graph = random_graph(6, 5, 0.5)
    x = torch.randn(graph.num_nodes, 4, requires_grad=True)
    rows = torch.tensor([1, 8])
    alpha = torch.rand(3, requires_grad=True)
    torch.library.opcheck(torch.ops.pyrec.propagate, (x, graph.handle, 2, None, precision))
    torch.library.opcheck(torch.ops.pyrec.propagate, (x, graph.handle, 2, rows, precision))
    torch.library.opcheck(torch.ops.pyrec.propagate_sum, (x, graph.handle, alpha, precision))
    grads = [torch.randn(2, 4) for _ in range(3)]
    torch.library.opcheck(torch.ops.pyrec.propagate_backward, (grads, graph.handle, rows, precision))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rows", [None, torch.arange(0, 600, 7)])
def test_same_bits_at_any_number_of_threads(rows, precision, threads):
    graph = random_graph(400, 300, 0.1)
    x = torch.randn(graph.num_nodes, 48, generator=torch.Generator().manual_seed(1), requires_grad=True)
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        layers = propagate(x, graph, 3, rows, precision)
        results.append([*layers, *gradients(layers, [x], [torch.ones_like(layer) for layer in layers])])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_same_bits_from_run_to_run(device, precision):
    graph = device.put(random_graph(600, 40, 0.2))  # item 1 is a long row
    x = torch.randn(graph.num_nodes, 48).to(device.torch)
    first = propagate(x, graph, 3, None, precision)
    for _ in range(3):
        assert all(map(torch.equal, propagate(x, graph, 3, None, precision), first))


@pytest.mark.parametrize("dim", [1, 7, 8, 16, 100])
def test_rows_give_the_same_bits_as_all_rows_of_one_layer(kernels, dim):
    graph = kernels.put(random_graph(600, 40, 0.2))
    assert int(graph.degree[601]) == 599  # a long row, in pieces on a device
    x = torch.randn(graph.num_nodes, dim, device=kernels.torch)
    layer = propagate(x, graph, 1)[1]
    for chosen in ([3, 601, 41], [601], [41, 3], list(range(639, 500, -2))):
        rows = torch.tensor(chosen, device=kernels.torch)
        assert torch.equal(layer[rows], propagate(x, graph, 1, rows)[1])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 4], r"rows\[1\] = 4, but there are 4 nodes"),
        ([0, -1], r"rows\[1\] = -1, but there are 4 nodes"),
        ([2, 1, 2], r"rows\[2\] = 2, which is rows\[0\] too"),
    ],
)
def test_bad_rows_are_named(rows, message):
    graph = random_graph(2, 2, 1.0)
    with pytest.raises(DataError, match=message):
        propagate(torch.ones(4, 2), graph, 2, torch.tensor(rows))


@pytest.mark.parametrize("rows", [[0, 4], [0, -2], [2, 1, 2]])
def test_a_device_notes_bad_rows(device, rows):
    graph = device.put(random_graph(2, 2, 1.0))
    row_of_node = torch.empty(4, dtype=torch.int32, device=device.torch)
    found = torch.zeros(1, dtype=torch.bool, device=device.torch)
    bad = torch.tensor(rows, device=device.torch)
    if device.name == "cpu":
        with pytest.raises(DataError, match="rows"):
            device.core.rows_of_nodes(graph.core, bad, row_of_node, found)
    else:
        device.core.rows_of_nodes(graph.core, bad, row_of_node, found, stream_of(graph.device))
        assert bool(found)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(3, 2), r"x has shape \(3, 2\), but \(4, dim\) is needed"),
        (torch.ones(4), r"x has shape \(4,\)"),
        (torch.ones(4, 2, dtype=torch.float16), "x has a dtype that pyrec does not read"),
        (torch.ones(4, 2, dtype=torch.int32), "x has dtype int32, but float32 or float64 is needed"),
        (torch.ones(4, 2, dtype=torch.bfloat16), "x has dtype bfloat16, but float32 or float64 is needed"),
        (torch.ones(2, 4).T, "x is not contiguous"),
    ],
)
def test_bad_x_is_named(x, message):
    with pytest.raises((DataError, NotImplementedError), match=message):
        propagate(x, random_graph(2, 2, 1.0), 2)


@pytest.mark.parametrize("dim", [0, 513])
def test_width_outside_the_range(dim):
    with pytest.raises(ConfigError, match=rf"x.shape\[1\] = {dim} is outside 1 to 512"):
        propagate(torch.ones(4, dim), random_graph(2, 2, 1.0), 1)


def test_bad_layers_and_alpha():
    graph = random_graph(2, 2, 1.0)
    with pytest.raises(ConfigError, match="n_layers = -1, but it is 0 to 64"):
        propagate(torch.ones(4, 2), graph, -1)
    with pytest.raises(DataError, match="alpha has shape"):
        propagate_sum(torch.ones(4, 2), graph, torch.ones(2, dtype=torch.float64))
    with pytest.raises(DataError, match="rows has dtype int32, but int64 is needed"):
        propagate(torch.ones(4, 2), graph, 1, torch.tensor([0], dtype=torch.int32))


def test_a_base_with_a_gradient_of_its_own():
    base = torch.zeros(4, 2, requires_grad=True)
    with pytest.raises(DataError, match=r"base requires a gradient, .*; pass base\.detach\(\)"):
        propagate_gradient([torch.ones(1, 2)] * 2, random_graph(2, 2, 1.0), torch.tensor([3]), base=base)


@pytest.mark.parametrize("dim", [1, 4, 64, 65])
@pytest.mark.parametrize("rows", [None, torch.tensor([1, 1999, 2000, 2001])])
def test_hubs(device, dim, rows):
    """A row over several chunks of the CPU's partition, and over several pieces of a device's schedule."""
    users = torch.arange(20000 if device.name == "cpu" else 2000, dtype=torch.int32)
    graph = Graph.from_edges(users, torch.zeros_like(users), len(users), 2)
    compare(device, graph, dim, 2, rows, torch.float64, terms=20000)
    compare(device, graph, dim, 2, rows, torch.float32, terms=2000)


@pytest.mark.parametrize("dim", [3, 64, 200])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_step_of_adam(device, dim, precision):
    """The step that ends in the kernel against torch's, from the gradient that autograd gives."""
    torch.manual_seed(dim)
    graph = device.put(random_graph(300, 30, 0.2))
    rows = torch.randperm(graph.num_nodes)[:50].to(device.torch)
    ours = torch.randn(graph.num_nodes, dim, device=device.torch)
    theirs = ours.clone().requires_grad_()
    state, optimizer = AdamState(ours, 0.01), torch.optim.Adam([theirs], lr=0.01)
    for _ in range(3):
        layers = propagate(theirs, graph, 2, rows, precision)
        grads = [torch.randn_like(layer) for layer in layers]
        (theirs.grad,) = gradients(layers, [theirs], grads)
        optimizer.step()
        propagate_step(grads, graph, rows, state.next_step(), precision)
        torch.testing.assert_close(ours, theirs.detach(), rtol=0, atol=2e-6)


def test_rows_are_checked_behind_the_program(device):
    if device.name == "cpu":
        pytest.skip("the CPU's kernels raise at once")
    graph = device.put(random_graph(2, 2, 1.0))
    rows = torch.tensor([2, 1, 2], device=device.torch)
    propagate(torch.ones(4, 2, device=device.torch), graph, 1, rows)
    with pytest.raises(DataError, match="rows had a node outside 0 to 3, or one twice"):
        graph.check()
    graph.check()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_named(device, value):
    graph = device.put(random_graph(6, 5, 0.5))
    x = torch.ones(graph.num_nodes, 4, device=device.torch)
    x[3, 2] = value
    rows = torch.tensor([0, 1], device=device.torch)
    named = (
        r"x had a number that is not finite"
        if device.name != "cpu"
        else r"x\[3, 2\] = .*must be a finite number"
    )
    for call in (
        lambda: propagate(x, graph, 2),
        lambda: propagate_sum(x, graph, torch.ones(2, device=device.torch)),
        lambda: propagate(x, graph, 2, rows),
    ):
        with pytest.raises(DataError, match=named):
            checked(graph, call)
    graph.check()
    with pytest.raises(DataError, match=r"so large that a sum over .*neighbours is not"):
        checked(graph, lambda: propagate(torch.full_like(x, 3e38), graph, 1))
