import numpy as np
import pytest
import torch

from pyrec.graph import Graph
from pyrec.graph.nodes import Nodes

EDGES = np.array(
    [[0, 0], [0, 1], [0, 2], [1, 0], [3, 0], [3, 3]], dtype=np.int32
)  # user 2 and item 4 have none


@pytest.fixture
def graph():
    return Graph.from_edges(*torch.from_numpy(EDGES.T.copy()), 4, 5)


def test_activity_is_the_standardised_log_degree_of_each_side(graph):
    nodes = Nodes.of(graph)
    assert nodes.is_item.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    for side, degree in enumerate(([3, 1, 0, 2], [3, 1, 1, 1, 0])):
        logs = np.log1p(degree)
        expected = (logs - logs.mean()) / logs.std()
        np.testing.assert_allclose(nodes.activity[nodes.is_item == side].numpy(), expected, rtol=1e-5)


def test_some_rows_and_places_behind_the_last(graph):
    nodes = Nodes.of(graph)
    some = nodes.at(torch.tensor([5, 1, -1]))
    assert some.is_item[:2].tolist() == [1, 0]
    assert torch.equal(some.activity[:2], nodes.activity[[5, 1]])
    assert some.activity.isfinite().all()


def test_a_new_user_is_as_active_as_a_known_one_with_as_many_interactions(graph):
    nodes = Nodes.of(graph)
    new = nodes.new_users(torch.tensor([3, 0, 2]))
    assert new.is_item.tolist() == [0, 0, 0]
    torch.testing.assert_close(new.activity, nodes.activity[[0, 2, 3]])


def test_equal_degrees_are_of_mean_activity():
    nodes = Nodes.of(
        Graph.from_edges(torch.arange(3, dtype=torch.int32), torch.arange(3, dtype=torch.int32), 3, 3)
    )
    assert torch.equal(nodes.activity, torch.zeros(6))
