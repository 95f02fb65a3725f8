"""More than 2^31 edges or numbers: arrays that repeat the same pages, with answers known in closed form.

``PYREC_HUGE_SIDE=47104`` (tests/nightly/huge_graph.sh) has 4.4 billion edges and more than 2^31 interactions.
"""

import os
import sys

import numpy as np
import pytest
import torch
from repeated_memory import complete_graph, repeated

from pyrec import _core
from pyrec.graph import Graph
from pyrec.ops.propagate import propagate
from pyrec.reference import drop as drop_reference

SIDE = int(os.environ.get("PYREC_HUGE_SIDE", "33792"))
WHOLE = "PYREC_HUGE_SIDE" in os.environ

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is mapped as on Linux")


@pytest.fixture(scope="module")
def graph():
    with complete_graph(SIDE, spare_items=1) as arrays:
        made = Graph(*arrays)
        yield made
        del made


def values(graph: Graph) -> torch.Tensor:
    """(num_nodes, 2): whole numbers whose sums float64 holds exactly."""
    at = torch.arange(graph.num_nodes, dtype=torch.float64)
    return torch.stack([at, at % 7], dim=1)


def expected(graph: Graph, rows: torch.Tensor) -> torch.Tensor:
    """Each user has the sum over all items, each item that over all users; all degrees are `SIDE`."""
    x = values(graph)
    users, items = x[:SIDE].sum(0), x[SIDE : 2 * SIDE].sum(0)
    sums = torch.where((rows < SIDE)[:, None], items, users)
    return torch.where((rows < 2 * SIDE)[:, None], sums, 0.0) / SIDE


def test_there_are_more_edges_than_int32_counts(graph):
    assert graph.num_edges == 2 * SIDE**2 > 2**31


def test_rows_on_both_sides_of_the_boundary(graph):
    boundary = 2**31 // SIDE  # the row with edge 2^31
    near = torch.tensor([0, SIDE - 1, SIDE, boundary - 1, boundary, boundary + 1, 2 * SIDE - 1, 2 * SIDE])
    first, last = graph.indptr[boundary], graph.indptr[boundary + 1]
    assert first < 2**31 < last
    layers = propagate(values(graph), graph, 1, rows=near)
    torch.testing.assert_close(layers[1], expected(graph, near), rtol=1e-12, atol=0)


@pytest.mark.skipif(not WHOLE, reason="all rows are for the nightly run")
def test_all_rows(graph):
    out = propagate(values(graph), graph, 1)[1]
    torch.testing.assert_close(out, expected(graph, torch.arange(graph.num_nodes)), rtol=1e-12, atol=0)


@pytest.mark.skipif(not WHOLE, reason="more than 2^31 interactions are for the nightly run")
def test_samples_beyond_the_boundary(graph):
    interactions = graph.num_edges // 2
    assert interactions > 2**31
    low, high = (np.full(2**20, user, dtype=np.int32) for user in (0, 1))
    behind = interactions - 2**31
    tail = np.ones(behind % 2**20, dtype=np.int32)
    blocks = [(low, 2**11), (high, behind // 2**20), *([(tail, 1)] if len(tail) else [])]
    with repeated(blocks) as users:
        count = 100_000
        out = [torch.empty(count, dtype=torch.int32) for _ in range(2)]
        negatives = torch.empty(count, 1, dtype=torch.int32)
        _core.sample_triples(graph.core, users, None, 0, 0, interactions - count, *out, negatives)
    share = (out[0] == 1).double().mean()  # of interactions from 2^31 on
    assert abs(share - behind / interactions) < 0.01
    assert out[1].min() >= 0
    assert out[1].max() < SIDE
    assert (negatives == SIDE).all()  # the only item that is nobody's


@pytest.mark.slow
def test_numbers_behind_the_boundary_are_dropped_as_their_places_say(threads):
    """The output's blocks share memory, in which one thread leaves the last of them."""
    block = 2**19
    behind = 2**31 // block + 1
    ones, none = np.ones(block, dtype=np.float32), np.zeros(block, dtype=np.float32)
    seed = torch.tensor([3])
    threads(1)
    with repeated([(ones, behind)]) as x, repeated([(none, behind)]) as out:
        assert len(x) > 2**31
        _core.drop(x, 0.5, seed, 7, out)
        expected = drop_reference.words(2**31, 100_000, 3, 7) >= 2**31
        assert ((out[2**31 : 2**31 + 100_000] == 2).numpy() == expected).all()
