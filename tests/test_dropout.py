"""Edge dropout in the propagate kernel: against the masked matrix, and the mask's statistics."""

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs, random_graph

from pyrec.errors import ConfigError
from pyrec.graph import Graph
from pyrec.nn.adam import AdamState
from pyrec.ops.dropout import DroppedGraph
from pyrec.ops.propagate import (
    PRECISIONS,
    propagate,
    propagate_gradient,
    propagate_step,
    propagate_sum,
    total_weight,
)
from pyrec.reference import propagate as reference

WIDTHS = [1, 3, 16, 33, 64, 100, 200, 257, 512]
LARGEST_SEED = 2**64 - 1


def weighted(graph):
    nodes = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degree)
    weights = 0.5 + (nodes * graph.indices) % 7 / 7
    return Graph(graph.indptr, graph.indices, graph.num_users, graph.num_items, weights)


def gradient(layers, x, grads):
    return torch.autograd.grad(sum((o * g).sum() for o, g in zip(layers, grads, strict=True)), [x])[0]


def kept(view, core):
    """The edges that the kernel keeps, dense (num_nodes, num_nodes), by propagating the unit matrix."""
    unit = torch.eye(view.num_nodes, dtype=torch.float64)
    out = torch.empty_like(unit)
    flag = torch.zeros(1, dtype=torch.bool)
    partial = torch.empty(core.propagate_pieces(view.core), view.num_nodes, dtype=torch.float64)
    core.propagate_layer(view.core, unit, out, dropout=view.dropout, not_finite=flag, partial=partial)
    return out


def expected_kept(view):
    rows = torch.repeat_interleave(torch.arange(view.num_nodes), view.degree)
    dense = torch.zeros(view.num_nodes, view.num_nodes, dtype=torch.float64)
    dense[rows, view.indices.long()] = reference.kept_edges(rows, view.indices.long(), *view.dropout).double()
    return dense


def compare(device, view, dim, n_layers, rows, precision="fp32", dtype=torch.float32, tolerance=2e-5):
    """Outputs and the gradient of X_0 against the masked matrix in float64."""
    adjacency = reference.normalised_adjacency(view, torch.float64)
    x = torch.randn(view.num_nodes, dim, dtype=dtype).to(device.torch).requires_grad_()
    wide = x.detach().double().cpu().requires_grad_()
    placed = device.put(view)
    ours = propagate(x, placed, n_layers, None if rows is None else rows.to(device.torch), precision)
    expected = reference.propagate(wide, adjacency, n_layers, rows)
    grads = [torch.randn_like(layer) for layer in expected]
    mine = gradient(ours, x, [grad.to(x) for grad in grads])
    placed.check()
    for one, other in zip([*ours, mine], [*expected, gradient(expected, wide, grads)], strict=True):
        torch.testing.assert_close(one.double().cpu(), other.detach(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", WIDTHS)
def test_every_width(kernels, dim, dtype):
    torch.manual_seed(dim)
    graph = random_graph(300, 30, 0.2)  # item 1 is a long row
    for rows in (None, torch.randperm(graph.num_nodes)[:20]):
        for whole in (graph, weighted(graph)):
            compare(kernels, DroppedGraph(whole, 0.3, dim), dim, 3, rows, dtype=dtype)


@pytest.mark.parametrize("dim", WIDTHS)
def test_bf16_at_every_width(kernels, dim):
    torch.manual_seed(dim)
    graph = random_graph(300, 30, 0.2)
    for rows in (None, torch.randperm(graph.num_nodes)[:20]):
        for whole in (graph, weighted(graph)):
            compare(kernels, DroppedGraph(whole, 0.3, dim), dim, 3, rows, "bf16", tolerance=0.03)


@settings(max_examples=60)
@given(
    graph=graphs(weighted=st.booleans()),
    rate=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, LARGEST_SEED),
    n_layers=st.integers(0, 4),
    data=st.data(),
)
def test_any_graph(device, graph, rate, seed, n_layers, data):
    rows = data.draw(st.none() | st.lists(st.integers(0, graph.num_nodes - 1), unique=True))
    rows = None if rows is None else torch.tensor(rows, dtype=torch.int64)
    view = DroppedGraph(graph, rate, seed)
    compare(device, view, 5, n_layers, rows, dtype=torch.float64, tolerance=1e-12)


@settings(max_examples=30)
@given(graph=graphs(weighted=st.booleans()), seed=st.integers(0, 9), n_layers=st.integers(0, 4))
def test_sum_over_layers(device, graph, seed, n_layers):
    view = DroppedGraph(graph, 0.4, seed)
    x = torch.randn(graph.num_nodes, 5, dtype=torch.float64)
    alpha = torch.rand(n_layers + 1, dtype=torch.float64)
    expected = reference.propagate_sum(x, reference.normalised_adjacency(view, torch.float64), alpha)
    ours = propagate_sum(x.to(device.torch), device.put(view), alpha.to(device.torch))
    torch.testing.assert_close(ours.cpu(), expected, rtol=0, atol=1e-13)


def test_gradcheck(device):
    view = device.put(DroppedGraph(random_graph(6, 5, 0.7), 0.4, 1))
    x = torch.randn(view.num_nodes, 3, dtype=torch.float64, device=device.torch, requires_grad=True)
    alpha = torch.rand(3, dtype=torch.float64, device=device.torch, requires_grad=True)
    rows = torch.tensor([7, 0, 3], device=device.torch)
    assert torch.autograd.gradcheck(lambda x: propagate(x, view, 2)[1:], (x,))
    assert torch.autograd.gradcheck(lambda x: propagate(x, view, 3, rows), (x,))
    assert torch.autograd.gradcheck(lambda x, a: propagate_sum(x, view, a), (x, alpha))


@pytest.mark.parametrize("seed", [0, 1, 2**32, LARGEST_SEED])
def test_the_kernel_leaves_out_what_the_reference_does(kernels, seed):
    if kernels.name == "cuda":
        pytest.skip("the unit matrix is made for the CPU")
    view = DroppedGraph(random_graph(300, 30, 0.3), 0.25, seed)
    placed = kernels.put(view)
    assert torch.equal(kept(placed, kernels.core), expected_kept(view))
    assert torch.equal(total_weight(placed), expected_kept(view).sum(1))


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_rate_directions_and_independence(rate):
    """The kept share within 5 standard deviations: of all edges, over users and items, and of two seeds at once."""
    graph = random_graph(500, 400, 0.3)
    masks = []
    for seed in (0, 1):
        mask = expected_kept(DroppedGraph(graph, rate, seed))
        assert torch.equal(mask, mask.T)
        edges = mask[:500, 500:] + 1
        edges[expected_kept(DroppedGraph(graph, 0.0, 0))[:500, 500:] == 0] = 0
        present = edges > 0
        dropped = (edges == 1) & present
        _assert_share(int(dropped.sum()), int(present.sum()), rate)
        for axis in (0, 1):  # chi square of the counts per node has mean n and variance 2 n
            counts, totals = dropped.sum(axis).double(), present.sum(axis).double()
            z = (counts - rate * totals)[totals > 0].square() / (rate * (1 - rate) * totals[totals > 0])
            assert abs(float(z.sum()) - len(z)) < 5 * math.sqrt(2 * len(z)) * 1.2
        masks.append(dropped[present])
    _assert_share(int((masks[0] & masks[1]).sum()), len(masks[0]), rate**2)


def _assert_share(count, total, share):
    assert abs(count - share * total) < 5 * math.sqrt(total * share * (1 - share))


@pytest.mark.parametrize("rows", [None, torch.arange(0, 300, 7)])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_rate_0_gives_the_bits_of_no_dropout(kernels, precision, rows):
    graph = kernels.put(random_graph(300, 40, 0.2))
    view = kernels.put(DroppedGraph(random_graph(300, 40, 0.2), 0.0, 3))
    x = torch.randn(graph.num_nodes, 48, device=kernels.torch)
    rows = None if rows is None else rows.to(kernels.torch)
    whole, none_left_out = (propagate(x, g, 3, rows, precision) for g in (graph, view))
    assert all(map(torch.equal, whole, none_left_out))


def test_a_tiny_rate_gives_the_bits_of_no_dropout(kernels):
    """The path with the hash sums in the same order: here it leaves nothing out."""
    graph = random_graph(300, 40, 0.2)
    view = DroppedGraph(graph, 2.0**-31, 3)
    assert torch.equal(expected_kept(view).sum(1).long(), graph.degree)
    x = torch.randn(graph.num_nodes, 48, device=kernels.torch)
    whole, hashed = (propagate(x, kernels.put(g), 3) for g in (graph, view))
    assert all(map(torch.equal, whole, hashed))


@pytest.mark.parametrize("rows", [None, torch.arange(0, 600, 7)])
def test_same_bits_at_any_number_of_threads(rows, threads):
    view = DroppedGraph(random_graph(400, 300, 0.1), 0.2, 5)
    x = torch.randn(view.num_nodes, 48, generator=torch.Generator().manual_seed(1), requires_grad=True)
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        layers = propagate(x, view, 3, rows)
        results.append([*layers, gradient(layers, x, [torch.ones_like(layer) for layer in layers])])
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


@pytest.mark.parametrize("n_layers", [1, 3])
def test_a_gradient_is_added_to_the_backward_pass(device, n_layers):
    """`propagate_gradient` and `propagate_step` with a base, against autograd and torch's Adam."""
    view = device.put(DroppedGraph(random_graph(60, 50, 0.2), 0.3, 2))
    x = torch.randn(view.num_nodes, 20, device=device.torch, requires_grad=True)
    rows = torch.randperm(view.num_nodes)[:30].to(device.torch)
    layers = propagate(x, view, n_layers, rows)
    grads = [torch.randn_like(layer) for layer in layers]
    base = torch.randn(view.num_nodes, 20, device=device.torch)
    expected = gradient(layers, x, grads) + base
    torch.testing.assert_close(propagate_gradient(grads, view, rows) + base, expected)
    ours = propagate_gradient(grads, view, rows, base=base.clone())
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    table = x.detach().clone()
    optimizer = torch.optim.Adam([x], lr=0.01)
    x.grad = expected
    optimizer.step()
    propagate_step(grads, view, rows, AdamState(table, 0.01).next_step(), base=base)
    torch.testing.assert_close(table, x.detach(), rtol=0, atol=5e-5)  # a tiny gradient's step is 0.01


@pytest.mark.parametrize(
    ("rate", "seed", "message"),
    [
        (1.0, 0, r"rate = 1.0 is a share of the edges; it must be below 1"),
        (-0.1, 0, r"rate = -0.1 must be at least 0"),
        (float("nan"), 0, r"rate = nan must be a finite number"),
        (0.1, -1, r"seed = -1 must be at least 0"),
        (0.1, 2**64, r"seed = 18446744073709551616 must be at most 18446744073709551615"),
    ],
)
def test_bad_rate_and_seed(rate, seed, message):
    with pytest.raises(ConfigError, match=message):
        DroppedGraph(random_graph(4, 3, 0.5), rate, seed)


@pytest.mark.launches_nothing
def test_dropout_is_of_the_whole_graph(kernels):
    graph = random_graph(4, 3, 0.5)
    view = DroppedGraph(graph, 0.5, 0)
    assert view.indices is graph.indices
    assert view.scratch is graph.scratch
    with pytest.raises(ConfigError, match="has dropout"):
        DroppedGraph(view, 0.5, 0)
    x, flag = torch.ones(graph.num_nodes, 1), torch.zeros(1, dtype=torch.bool)
    with pytest.raises(ConfigError, match=r"dropout rate = 1\.5"):
        kernels.core.propagate_layer(graph.core, x, x.clone(), dropout=(1.5, 0), not_finite=flag)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda view: pickle.loads(pickle.dumps(view))]
)
def test_copies_leave_out_the_same_edges(duplicate):
    view = DroppedGraph(weighted(random_graph(40, 30, 0.3)), 0.4, 7)
    again = duplicate(view)
    assert type(again) is DroppedGraph
    assert again.dropout == view.dropout
    x = torch.randn(view.num_nodes, 8)
    assert all(map(torch.equal, propagate(x, again, 2), propagate(x, view, 2)))
    assert not torch.equal(propagate(x, again, 2)[2], propagate(x, again._whole, 2)[2])
