"""The nearest items against the dense matrix of counts: hubs, ties, threads, and what is refused."""

import children
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from pyrec import ItemKNN, _core
from pyrec.data import Interactions, synthetic
from pyrec.errors import ConfigError, DataError
from pyrec.graph import Graph
from pyrec.ops import neighbors as ops
from pyrec.ops.neighbors import nearest_items
from pyrec.reference import neighbors as reference


def graph_of(matrix: np.ndarray) -> Graph:
    return Graph.from_interactions(Interactions.from_csr(csr_array(matrix)))


def weighted_graph(matrix: np.ndarray) -> Graph:
    x = Interactions.from_csr(csr_array(matrix), values="weights")
    return Graph.from_interactions(x, torch.from_numpy(x.to_csr(weighted=True).data))


def hub(num_users: int, num_items: int, seed: int = 0) -> np.ndarray:
    """Users of a few items each, one of all but the last item, and items without users."""
    rng = np.random.default_rng(seed)
    matrix = (rng.random((num_users, num_items)) < 4 / num_items).astype(np.float32)
    matrix[0] = 1
    matrix[:, -1] = 0
    matrix[:, 3] = 0
    return matrix


MATRICES = {
    "hub": lambda: hub(60, 300),
    "two hubs": lambda: np.maximum(hub(50, 700, 1), np.eye(50, 1)[::-1] * (np.arange(700) < 650)).astype(
        np.float32
    ),
    "few items a user": lambda: (np.random.default_rng(2).random((90, 500)) < 0.01).astype(np.float32),
    "dense": lambda: (np.random.default_rng(3).random((40, 30)) < 0.6).astype(np.float32),
    "all the same": lambda: np.ones((7, 261), dtype=np.float32),
    "one item": lambda: np.ones((5, 1), dtype=np.float32),
    "nothing in common": lambda: np.eye(9, dtype=np.float32),
}


EDGES = 2 * int(MATRICES["dense"]().sum())


@pytest.mark.parametrize("k", [1, 5, 256])
@pytest.mark.parametrize("shrinkage", [0.0, 7.5])
@pytest.mark.parametrize("kind", list(MATRICES))
def test_neighbours_are_those_of_the_dense_counts(kind: str, shrinkage: float, k: int) -> None:
    matrix = MATRICES[kind]()
    k = min(k, matrix.shape[1])
    ids, weights = nearest_items(graph_of(matrix), k, shrinkage)
    expected_ids, expected = reference.nearest_items(matrix, k, shrinkage)
    np.testing.assert_array_equal(weights.numpy(), expected)
    np.testing.assert_array_equal(ids.numpy(), expected_ids)


@pytest.mark.parametrize("k", [1, 5, 256])
@pytest.mark.parametrize("shrinkage", [0.0, 7.5])
@pytest.mark.parametrize("kind", list(MATRICES))
def test_weighted_neighbours_are_those_of_the_dense_products(kind: str, shrinkage: float, k: int) -> None:
    """Whole weights: sums of their products are exact in float32."""
    matrix = MATRICES[kind]()
    matrix *= np.random.default_rng(5).integers(1, 40, matrix.shape)
    k = min(k, matrix.shape[1])
    ids, weights = nearest_items(weighted_graph(matrix), k, shrinkage)
    expected_ids, expected = reference.nearest_items(matrix, k, shrinkage)
    np.testing.assert_array_equal(weights.numpy(), expected)
    np.testing.assert_array_equal(ids.numpy(), expected_ids)
    if kind not in ("one item", "nothing in common"):
        assert not torch.equal(weights, nearest_items(graph_of(matrix > 0), k, shrinkage)[1])


def test_weights_of_any_size_are_right_to_rounding() -> None:
    matrix = MATRICES["dense"]() * np.random.default_rng(6).gamma(0.3, 2.0, (40, 30)).astype(np.float32)
    ids, weights = nearest_items(weighted_graph(matrix), 29, 0.5)
    _, expected = reference.nearest_items(matrix, 29, 0.5)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=40 * 2.0**-24)
    wide = matrix.astype(np.float64).T @ matrix.astype(np.float64)
    cosines = wide / (np.sqrt(np.outer(np.diag(wide), np.diag(wide))) + 0.5)
    rows = np.arange(30)[:, None]
    np.testing.assert_allclose(weights.numpy(), cosines[rows, ids.numpy()], rtol=1e-5)


def test_equal_weights_are_none_without_shrinkage() -> None:
    """A power of two leaves every bit."""
    matrix = MATRICES["hub"]()
    plain, scaled = nearest_items(graph_of(matrix), 7), nearest_items(weighted_graph(matrix * 8), 7)
    ones = nearest_items(
        Graph.from_interactions(x := Interactions.from_csr(csr_array(matrix)), torch.ones(len(x))), 7
    )
    for one, other, same in zip(plain, scaled, ones, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, same)


def test_products_that_round_to_nothing_make_no_neighbours() -> None:
    matrix = np.full((3, 3), 1e-30, dtype=np.float32)
    ids, weights = nearest_items(weighted_graph(matrix), 2)
    assert (ids.unique().tolist(), weights.unique().tolist()) == ([-1], [0])
    matrix[2] = [1, 1, 0]
    ids, weights = nearest_items(weighted_graph(matrix), 2)
    assert ids.tolist() == [[1, -1], [0, -1], [-1, -1]]
    assert weights.tolist() == [[1, 0], [1, 0], [0, 0]]


def test_weights_beyond_float32_are_refused() -> None:
    matrix = np.array([[1, 2e19], [1, 1]], dtype=np.float32)
    with pytest.raises(
        DataError, match=r"squares of the weights of item 1 sum to 4e\+38, beyond float32; scale"
    ):
        nearest_items(weighted_graph(matrix), 1)


def test_a_weight_worked_out_by_hand() -> None:
    """Items 0 and 1 share two users of 3 and 2: 2 / (sqrt(6) + 1); item 2 shares one of 3 and 1 with item 0."""
    matrix = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]], dtype=np.float32)
    ids, weights = nearest_items(graph_of(matrix), 2, 1.0)
    assert ids.tolist() == [[1, 2], [0, -1], [0, -1]]
    together, alone = 2 / (6**0.5 + 1), 1 / (3**0.5 + 1)
    expected = torch.tensor([[together, alone], [together, 0], [alone, 0]])
    torch.testing.assert_close(weights, expected)


def test_a_cosine_of_weights_worked_out_by_hand() -> None:
    """Columns (3, 0, 4) and (1, 2, 2): 11 / (5 * 3 + 1)."""
    ids, weights = nearest_items(weighted_graph(np.array([[3, 1], [0, 2], [4, 2]], dtype=np.float32)), 1, 1.0)
    assert ids.tolist() == [[1], [0]]
    assert weights.tolist() == [[11 / 16], [11 / 16]]


@pytest.mark.parametrize("make", [graph_of, weighted_graph])
def test_rows_may_be_asked_for_in_pieces_and_by_any_number_of_threads(make) -> None:
    matrix = hub(80, 400)
    if make is weighted_graph:
        matrix *= np.random.default_rng(7).random(matrix.shape, dtype=np.float32) + 0.01
    graph = make(matrix)
    ids, weights = nearest_items(graph, 7, 1.0)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            parts = [nearest_items(graph, 7, 1.0, first, 93) for first in (0, 93, 186, 279)]
            parts.append(nearest_items(graph, 7, 1.0, 372))
            assert torch.equal(ids, torch.cat([part[0] for part in parts]))
            assert torch.equal(weights, torch.cat([part[1] for part in parts]))
    finally:
        torch.set_num_threads(before)
    assert nearest_items(graph, 7, 1.0, 400)[0].shape == (0, 7)


def test_threads_share_a_bound_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(hub(80, 400))
    expected = nearest_items(graph, 7)
    monkeypatch.setattr(ops, "SCRATCH_BYTES", 1)
    for one, other in zip(nearest_items(graph, 7), expected, strict=True):
        assert torch.equal(one, other)


HUB = """
import resource
import numpy as np
import pyrec

rng = np.random.default_rng(0)
users, items = np.repeat(np.arange(1, 301), 10), rng.integers(0, 6000, 3000)
data = pyrec.data.Interactions.from_arrays(np.r_[users, np.zeros(6000, int)], np.r_[items, np.arange(6000)])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = pyrec.ItemKNN(20, 0.0).fit(data)
assert (np.diff(model.weights_.tocsc().indptr) == 20).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_user_of_very_many_items_takes_little_memory() -> None:
    """6,000 items of one user: 36,000,000 pairs, which are 288 MB as a sparse matrix, whole."""
    done = children.run("-c", HUB)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 48 * 2**10


def test_weights_are_those_of_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    data = synthetic(200, 150, 8.0, 4)
    whole = ItemKNN(9, 2.0).fit(data).weights_
    for name, value in (("BLOCK_BYTES", 1), ("BLOCK_ITEMS", 7)):
        monkeypatch.setattr(f"pyrec.models.itemknn.{name}", value)
        again = ItemKNN(9, 2.0).fit(data).weights_
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(again, part), getattr(whole, part))
    assert whole.dtype == np.float32
    assert whole.has_sorted_indices


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"graph": None}, DataError, "graph is a NoneType"),
        ({"k": 0}, ConfigError, "k = 0 must be at least 1"),
        ({"k": 31}, ConfigError, "k = 31 must be at most 30, the number of items"),
        ({"shrinkage": -1.0}, ConfigError, "shrinkage = -1.0 must be at least 0"),
        ({"shrinkage": float("nan")}, ConfigError, "shrinkage = nan"),
        ({"first": 31}, ConfigError, "first = 31 must be at most 30"),
        ({"first": 10, "count": 21}, ConfigError, "count = 21 must be at most 20"),
    ],
)
def test_bad_arguments(given: dict, error: type, message: str) -> None:
    good = {"graph": graph_of(MATRICES["dense"]()), "k": 3}
    with pytest.raises(error, match=message):
        nearest_items(**{**good, **given})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"first": 29}, r"first \+ count = 31"),
        ({"shrinkage": float("inf")}, "shrinkage = inf"),
        ({"roots": torch.ones(29)}, "roots"),
        ({"scratch": torch.empty(0, 61, dtype=torch.int32)}, "scratch's rows = 0"),
        ({"scratch": torch.empty(1, 60, dtype=torch.int32)}, "scratch"),
        ({"weights": torch.empty(2, 3)}, "weights"),
        ({"ids": torch.empty(2, 0, dtype=torch.int32), "weights": torch.empty(2, 0)}, "k = 0"),
        ({"edge_weights": torch.ones(3), "sums": torch.empty(1, 30)}, "edge_weights"),
        ({"edge_weights": torch.ones(EDGES), "sums": torch.empty(1, 29)}, "sums"),
        ({"edge_weights": torch.ones(EDGES), "sums": torch.empty(2, 30)}, "sums"),
        ({"edge_weights": torch.ones(EDGES)}, "edge_weights and sums are given together, or neither"),
        ({"sums": torch.empty(1, 30)}, "edge_weights and sums are given together, or neither"),
    ],
)
def test_the_gate_checks_what_it_is_handed(changed: dict, message: str) -> None:
    good = {
        "first": 0,
        "shrinkage": 0.0,
        "roots": torch.ones(30),
        "scratch": torch.empty(1, 61, dtype=torch.int32),
        "ids": torch.empty(2, 4, dtype=torch.int32),
        "weights": torch.empty(2, 4),
    }
    core = graph_of(MATRICES["dense"]()).core
    _core.nearest_items(core, **good)
    with pytest.raises((DataError, ConfigError), match=message):
        _core.nearest_items(core, **{**good, **changed})


# Exponents


def dense_likeness(matrix, shrinkage, a, b, beta):
    """W by the formula, float64 (num_items, num_items), with zeros on the diagonal."""
    matrix = matrix.astype(np.float64)
    users, norms = matrix.sum(1), np.square(matrix).sum(0)
    scaled = matrix * np.where(users > 0, np.where(users > 0, users, 1.0) ** -a, 0.0)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = scaled.T @ scaled / (np.outer(norms, norms) ** b + shrinkage)
        weights *= norms[None] ** beta / norms[:, None] ** beta
    np.fill_diagonal(weights, 0)
    return np.nan_to_num(weights, posinf=0.0)


@pytest.mark.parametrize(
    ("a", "b", "beta"), [(0.5, 0.5, 0.4), (0.3, 0.35, 0.25), (0.0, 0.0, -0.5), (1, 1, 0)]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_exponents_are_the_formula(a, b, beta, weighted):
    data = synthetic(60, 40, interactions_per_user=7)
    matrix = data.to_csr().toarray()
    if weighted:
        weights = np.random.default_rng(2).uniform(0.5, 3, len(data)).astype(np.float32)
        data = Interactions.from_codes(data.users, data.items, data.user_ids, data.item_ids, weights=weights)
        matrix = data.to_csr(weighted=True).toarray()
    expected = dense_likeness(matrix, 2.0, a, b, beta)
    found = ItemKNN(None, 2.0, a, b, beta).fit(data).weights_.toarray()
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-9)
    few = ItemKNN(5, 2.0, a, b, beta).fit(data).weights_.toarray()
    assert np.array_equal(few[few > 0], found[few > 0])
    assert np.array_equal(np.sort(few, axis=0)[-5:], np.sort(found, axis=0)[-5:])
    assert ((few > 0).sum(0) <= 5).all()


def test_all_neighbours_are_more_than_any_number():
    data = synthetic(60, 40, interactions_per_user=7)
    everything, many = (ItemKNN(neighbors).fit(data).weights_ for neighbors in (None, 10**6))
    assert (everything != many).nnz == 0


def test_exponents_of_none_keep_the_bits():
    data = synthetic(60, 40, interactions_per_user=7)
    plain, scaled = (ItemKNN(9, 1.0, *more).fit(data).weights_ for more in ((), (0.0, 0.5, 0.0)))
    assert (plain != scaled).nnz == 0


def test_all_neighbours_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr("pyrec.models.itemknn.available_memory", lambda: 10)
    data = synthetic(60, 40, interactions_per_user=7)
    with pytest.raises(DataError, match="all neighbours of 40 items need up to"):
        ItemKNN(None).fit(data)
    assert ItemKNN(3).fit(data).weights_.nnz > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"norms": torch.ones(3)}, r"roots has shape \(3,\), but \(40,\) is needed"),
        ({"factors": torch.ones(40).double()}, "factors has dtype float64"),
        ({"factors": [1.0] * 40}, "factors is a list"),
    ],
)
def test_other_norms_and_factors_are_checked(given, message):
    graph = Graph.from_interactions(synthetic(60, 40, interactions_per_user=7))
    with pytest.raises(DataError, match=message):
        nearest_items(graph, 3, **given)
