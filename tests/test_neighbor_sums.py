"""Sums over the neighbours of one side against dense products."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs, random_graph
from torch import Tensor

from pyrec.errors import ConfigError, DataError
from pyrec.graph import Graph
from pyrec.ops.neighbor_sums import neighbor_sums


def dense(graph: Graph) -> Tensor:
    """R with the graph's weights, float64 (num_users, num_items)."""
    rows = torch.repeat_interleave(graph.degree)
    weights = torch.ones(graph.num_edges) if graph.weights is None else graph.weights
    whole = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    whole[rows, graph.indices.long()] = weights.double()
    return whole[: graph.num_users, graph.num_users :]


def signed(graph: Graph, seed: int = 0) -> Graph:
    """The same edges with whole numbers of either sign for weights, the same in both directions."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(1, 4, (graph.num_users, graph.num_items), generator=generator).float()
    numbers *= torch.randint(0, 2, numbers.shape, generator=generator) * 2 - 1
    whole = torch.zeros(graph.num_nodes, graph.num_nodes)
    whole[: graph.num_users, graph.num_users :] = numbers
    whole = whole + whole.T
    weights = whole[torch.repeat_interleave(graph.degree), graph.indices.long()]
    return Graph(graph.indptr, graph.indices, graph.num_users, graph.num_items, weights)


def whole_numbers(rows: int, dim: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randint(-3, 4, (rows, dim), generator=torch.Generator().manual_seed(dim)).to(dtype)


def assert_exact(where, graph: Graph, x: Tensor, scale: Tensor | None = None) -> None:
    matrix, on_device = dense(graph), where.put(graph)
    users, items = x.double().split([graph.num_users, graph.num_items])
    expected = {"users": matrix @ items, "items": matrix.T @ users}
    for side, sums in expected.items():
        given_scale = None if scale is None else scale.to(where.torch)
        found = neighbor_sums(x.to(where.torch), on_device, side, given_scale).cpu()
        first = 0 if side == "users" else graph.num_users
        factor = 1.0 if scale is None else scale[first : first + len(sums), None].double()
        assert found.dtype == x.dtype
        assert torch.equal(found.double(), sums * factor)
        on_device.check()


@pytest.mark.parametrize("dim", [1, 3, 8, 16, 17, 100, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_they_are_dense_products(kernels, dim, dtype):
    graph = random_graph(50, 40, 0.2)
    scale = 2.0 ** (torch.arange(90) % 5).to(dtype)
    for weighted in (graph, signed(graph)):
        x = whole_numbers(90, dim, dtype)
        assert_exact(kernels, weighted, x)
        assert_exact(kernels, weighted, x, scale)


@settings(max_examples=20)
@given(graph=graphs(st.booleans()), dim=st.integers(1, 9))
def test_any_graph(device, graph, dim):
    x = whole_numbers(graph.num_nodes, dim) * 8
    assert_exact(device, signed(graph) if graph.weights is not None else graph, x)


def test_sums_may_lie_in_the_rows_of_their_side(kernels):
    graph = signed(random_graph(30, 20, 0.3))
    x = whole_numbers(50, 24)
    there = neighbor_sums(x.to(kernels.torch), kernels.put(graph), "users").cpu()
    table = x.clone()
    table[:30] = torch.nan  # is not read
    table, on_device = table.to(kernels.torch), kernels.put(graph)
    out = neighbor_sums(table, on_device, "users", out=table[:30])
    assert out.data_ptr() == table.data_ptr()
    assert torch.equal(table[:30].cpu(), there)
    back = neighbor_sums(table, on_device, "items").cpu()
    assert torch.equal(back.double(), dense(graph).T @ dense(graph) @ x[30:].double())


def test_threads_and_columns_beside_do_not_change_a_bit(isa, threads):
    graph, x = random_graph(300, 200, 0.1), torch.randn(500, 70)
    threads(1)
    expected = neighbor_sums(x, graph, "items")
    for count in (2, 3):
        threads(count)
        assert torch.equal(neighbor_sums(x, graph, "items"), expected)
        assert torch.equal(neighbor_sums(x[:, :5].contiguous(), graph, "items"), expected[:, :5])


GRAPH = random_graph(5, 4, 0.5)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"side": "nodes"}, ConfigError, "side = 'nodes' must be one of 'users', 'items'"),
        ({"x": torch.ones(8, 2)}, DataError, r"x has shape \(8, 2\), but \(9, dim\) is needed"),
        ({"x": torch.ones(9)}, DataError, r"x has shape \(9,\), but \(9, dim\) is needed"),
        ({"x": torch.ones(9, 0)}, ConfigError, "outside 1 to 512"),
        ({"x": torch.ones(9, 513)}, ConfigError, "outside 1 to 512"),
        ({"x": torch.ones(2, 9).T}, DataError, "x is not contiguous"),
        ({"x": torch.ones(9, 2).int()}, DataError, "x has dtype int32"),
        ({"graph": None}, DataError, "graph is a NoneType"),
        ({"scale": torch.ones(4)}, DataError, r"post has shape \(4,\), but \(9,\) is needed"),
        ({"scale": torch.ones(9).double()}, DataError, "post has dtype float64"),
        ({"out": torch.ones(5, 2)}, DataError, r"out has shape \(5, 2\), but \(4, 2\) is needed"),
    ],
)
def test_bad_input_is_refused(changes, error, message):
    arguments = {"x": torch.ones(9, 2), "graph": GRAPH, "side": "items", "scale": None, "out": None}
    with pytest.raises(error, match=message):
        neighbor_sums(**arguments | changes)


def test_a_number_that_is_not_finite_is_named():
    x = torch.ones(9, 2)
    x[1, 1] = torch.nan  # everybody but the last has item 1, and user 1 has some
    with pytest.raises(DataError, match=r"x\[1, 1\] = nan"):
        neighbor_sums(x, GRAPH, "items")
