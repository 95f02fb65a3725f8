"""Hypothesis strategies for bipartite graphs: empty rows, hubs, isolated nodes, single users and items."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from pyrec.graph import Graph


@st.composite
def pairs(draw: DrawFn, max_users: int = 12, max_items: int = 12) -> tuple[int, int, list[tuple[int, int]]]:
    """Numbers of users and items, and the sorted set of their pairs; any of them may be in no pair."""
    num_users = draw(st.integers(1, max_users))
    num_items = draw(st.integers(1, max_items))
    chosen = draw(
        st.sets(st.tuples(st.integers(0, num_users - 1), st.integers(0, num_items - 1)), max_size=40)
    )
    if draw(st.booleans()):  # a hub: one user with everything
        chosen |= {(draw(st.integers(0, num_users - 1)), item) for item in range(num_items)}
    return num_users, num_items, sorted(chosen)


def make_graph(
    num_users: int, num_items: int, chosen: list[tuple[int, int]], weights: torch.Tensor | None = None
) -> Graph:
    """The graph of a sorted list of pairs."""
    edges = torch.tensor(chosen, dtype=torch.int32).reshape(-1, 2)
    users, items = edges[:, 0].contiguous(), edges[:, 1].contiguous()
    return Graph.from_edges(users, items, num_users, num_items, weights)


@st.composite
def graphs(draw: DrawFn, weighted: SearchStrategy[bool] = st.just(False)) -> Graph:  # noqa: B008
    """Small graphs, weighted or not."""
    num_users, num_items, chosen = draw(pairs())
    weights = None
    if draw(weighted):
        values = st.floats(0.125, 8, width=32)
        weights = torch.tensor(draw(st.lists(values, min_size=len(chosen), max_size=len(chosen))))
    return make_graph(num_users, num_items, chosen, weights)


def random_graph(num_users: int, num_items: int, density: float, seed: int = 0) -> Graph:
    """A fixed larger graph with an item that everybody has and isolated nodes at both ends."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.rand(num_users, num_items, generator=generator) < density
    matrix[:, 1] = True
    matrix[-1], matrix[:, -1] = False, False
    users, items = matrix.nonzero(as_tuple=True)
    return Graph.from_edges(users.int(), items.int(), num_users, num_items)
