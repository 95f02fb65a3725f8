import gc
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from strategies import graphs, make_graph, pairs, random_graph

from pyrec import _core
from pyrec.data import read_folder
from pyrec.errors import DataError
from pyrec.graph.graph import Graph, graph_of
from pyrec.ops.propagate import propagate


def edges(users, items):
    return torch.tensor(users, dtype=torch.int32), torch.tensor(items, dtype=torch.int32)


@given(pairs())
def test_csr_is_the_symmetric_matrix(case):
    num_users, num_items, chosen = case
    graph = make_graph(num_users, num_items, chosen)
    dense = torch.zeros(num_users + num_items, num_users + num_items, dtype=torch.int64)
    for user, item in chosen:
        dense[user, num_users + item] = dense[num_users + item, user] = 1
    expected = dense.nonzero()
    assert torch.equal(graph.indices.long(), expected[:, 1])
    assert torch.equal(graph.degree, dense.sum(1))


@given(graphs())
def test_factors_invert_each_other(graph):
    factors = graph.factors(torch.float64)
    connected = graph.degree > 0
    assert torch.allclose(
        (factors.scale * factors.root)[connected], torch.ones(int(connected.sum())).double()
    )
    assert (factors.scale[~connected] == 0).all()


def test_weights_follow_their_pairs_into_both_halves():
    users, items = edges([0, 0, 1], [0, 1, 0])
    graph = Graph.from_edges(users, items, 2, 2, torch.tensor([1.0, 2.0, 4.0]))
    assert graph.indices.tolist() == [2, 3, 2, 0, 1, 0]
    assert graph.weights.tolist() == [1, 2, 4, 1, 4, 2]


def test_graph_without_interactions():
    graph = make_graph(3, 2, [])
    assert graph.num_edges == 0
    layers = propagate(torch.ones(5, 4), graph, 2)
    assert [float(layer.sum()) for layer in layers] == [20, 0, 0]


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ([0, 9], [0, 1], r"users\[1\] = 9, but there are 3 users"),
        ([0, -1], [0, 1], r"users\[1\] = -1, but there are 3 users"),
        ([0, 1], [0, 4], r"items\[1\] = 4, but there are 4 items"),
        ([1, 0], [0, 1], r"users\[1\] = 0, less than the user before it"),
        ([1, 1], [2, 2], r"items\[1\] = 2, not above the same user's item before it"),
        ([1, 1], [2, 1], r"items\[1\] = 1, not above"),
    ],
)
def test_bad_pairs_are_named(users, items, message):
    with pytest.raises(DataError, match=message):
        Graph.from_edges(*edges(users, items), 3, 4)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_weights_are_named(weight):
    with pytest.raises(DataError, match=r"weights\[1\]"):
        Graph.from_edges(*edges([0, 1], [0, 1]), 2, 2, torch.tensor([1.0, weight]))


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 1, 1, 2], [1, 0], r"indptr has shape \(4,\), but \(3,\)"),
        ([1, 1, 2], [1, 0], r"indptr\[0\] = 1, but row pointers start at 0"),
        ([0, 2, 1], [1, 0], r"indptr\[2\] = 1, less than the 2 before it"),
        ([0, 1, 3], [1, 0], r"indptr\[2\] = 3, but there are 2 indices"),
        ([0, 1, 2], [0, 0], r"indices\[0\] = 0, but a user's neighbours are 1 to 1"),
        ([0, 1, 2], [1, 1], r"indices\[1\] = 1, but an item's neighbours are 0 to 0"),
        ([0, 2, 2], [1, 1], r"indptr\[1\] = 2, but users have half of the 2 edges"),
        ([0, 2, 4], [1, 1, 0, 0], r"indices\[1\] = 1, a duplicate in row 0"),
    ],
)
def test_bad_csr_is_named(indptr, indices, message):
    with pytest.raises(DataError, match=message):
        Graph(torch.tensor(indptr), torch.tensor(indices, dtype=torch.int32), 1, 1)


def test_wrong_arrays_are_named():
    with pytest.raises(DataError, match="users has dtype int64, but int32 is needed"):
        Graph.from_edges(torch.tensor([0]), torch.tensor([0]), 1, 1)
    with pytest.raises(DataError, match="users is not contiguous"):
        Graph.from_edges(torch.zeros(4, dtype=torch.int32)[::2], edges([0, 1], [0, 1])[1], 2, 2)
    with pytest.raises(DataError, match="users is a list, but an array with __dlpack__ is needed"):
        _core.build_graph_csr([0], [0], None, 1, 1, None, None, None)
    with pytest.raises(DataError, match="one weight an edge"):
        Graph(torch.tensor([0, 1, 2]), torch.tensor([1, 0], dtype=torch.int32), 1, 1, torch.ones(3))


def test_numpy_arrays_are_taken_and_read_only_outputs_refused():
    users, items = np.array([0], np.int32), np.array([0], np.int32)
    indptr, indices = np.empty(3, np.int64), np.empty(2, np.int32)
    _core.build_graph_csr(users, items, None, 1, 1, indptr, indices, None)
    assert indptr.tolist() == [0, 1, 2]
    assert indices.tolist() == [1, 0]
    indices.flags.writeable = False
    with pytest.raises(DataError, match="indices is read-only"):
        _core.build_graph_csr(users, items, None, 1, 1, indptr, indices, None)


def test_handle_of_a_dead_graph_is_an_error():
    handle = make_graph(1, 1, []).handle
    gc.collect()
    with pytest.raises(DataError, match="names no living Graph"):
        graph_of(handle)


def test_backward_keeps_the_graph_alive():
    x = torch.ones(2, 3, requires_grad=True)
    total = propagate(x, make_graph(1, 1, [(0, 0)]), 2)[2].sum()
    gc.collect()
    total.backward()
    assert torch.equal(x.grad, torch.ones(2, 3))


def test_gowalla_becomes_a_graph(data_dir):
    graph = Graph.from_interactions(read_folder(data_dir / "gowalla")[0])
    assert (graph.num_nodes, graph.num_edges) == (70_839, 2 * 810_128)


@pytest.mark.timing
def test_gowalla_becomes_a_graph_in_no_time(data_dir):
    seconds = []
    for _ in range(3):  # the best of three: the machine may be busy
        started = time.perf_counter()
        train, _test = read_folder(data_dir / "gowalla")
        loaded = time.perf_counter()
        Graph.from_interactions(train)
        seconds.append((time.perf_counter() - started, time.perf_counter() - loaded))
    assert min(whole for whole, _ in seconds) < 1.5
    assert min(alone for _, alone in seconds) < 0.3


def test_a_graph_stays_where_it_is():
    graph = random_graph(5, 4, 0.5)
    assert graph.to("cpu") is graph


def test_tasks_of_a_device():
    """A row of more than 128 edges in pieces of about as many, first; then falling numbers of edges."""
    users = torch.cat([torch.arange(300), torch.arange(200), torch.arange(300, 303)]).int()
    items = torch.cat([torch.zeros(300), torch.ones(200), torch.full((3,), 2)]).int()
    order = torch.argsort(users * 3 + items)
    graph = Graph.from_edges(users[order], items[order], 303, 3)
    schedule = torch.empty(graph.core.schedule_size, dtype=torch.int32)
    graph.core.copy_schedule(schedule)
    tasks, long_rows, piece_first = schedule[:-5].view(-1, 4), schedule[-5:-3], schedule[-3:]
    begin = tasks[:, :2].contiguous().view(torch.int64)[:, 0]
    count, node = tasks[:, 2], tasks[:, 3].long()
    assert (long_rows.tolist(), piece_first.tolist()) == ([303, 304], [0, 3, 5])
    assert node[:5].tolist() == [303] * 3 + [304] * 2
    assert count[:5].tolist() == [100] * 3 + [100] * 2
    assert (begin[:5] - graph.indptr[node[:5]]).tolist() == [0, 100, 200, 0, 100]
    others = torch.argsort(graph.degree, descending=True, stable=True)[2:]
    assert torch.equal(node[5:], others)
    assert torch.equal(count[5:].long(), graph.degree[others])
    assert torch.equal(begin[5:], graph.indptr[others])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_a_copy_on_a_device():
    graph = random_graph(5, 4, 0.5)
    twin = graph.to("cuda")
    assert twin.to("cuda") is twin
    assert torch.equal(twin.indices.cpu(), graph.indices)
    with pytest.raises(DataError, match="the graph is on cuda:0; copy the one on the CPU"):
        twin.to("cpu")
    with pytest.raises(
        DataError, match=r'x is on cpu, but the graph is on cuda:0; move it with \.to\("cuda:0"\)'
    ):
        _core.propagate_layer(twin.core, torch.ones(9, 2), None, not_finite=twin.faults[:1])


def test_more_pairs_than_there_can_be():
    one = torch.zeros(1, dtype=torch.int32)
    with pytest.raises(
        DataError, match="users has 8796093022208 entries, but 2 users and 3 items have at most 6 pairs"
    ):
        Graph.from_edges(one.expand(2**43), one.expand(2**43), 2, 3)
