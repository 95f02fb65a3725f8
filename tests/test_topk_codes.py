"""Top-K by codes against top-K by all scores: the same bits, also where a bound that is too narrow would show."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule
from pyrec.errors import ConfigError, DataError
from pyrec.ops import topk as topk_op
from pyrec.ops.topk import topk

LEVEL = "avx512vnni"
pytestmark = pytest.mark.skipif(
    LEVEL not in _core.isa_levels(), reason=f"this processor has no {LEVEL}, so no search by codes"
)


@pytest.fixture(autouse=True)
def with_codes():
    before = _core.isa()
    _core.use_isa(LEVEL)
    yield
    _core.use_isa(before)


@pytest.fixture
def assert_same(monkeypatch):
    """Searches both ways and compares bits."""

    def check(queries: Tensor, items: Tensor, k: int, **kwargs: Tensor) -> tuple[Tensor, Tensor]:
        lists = []
        for by_codes in (False, True):
            monkeypatch.setattr(topk_op, "_by_codes", lambda *_, way=by_codes: way)
            lists.append(topk(queries, items, k, **kwargs))
        (ids, scores), (ids_by_codes, scores_by_codes) = lists
        assert torch.equal(ids_by_codes, ids)
        assert torch.equal(scores_by_codes.view(torch.int32), scores.view(torch.int32))
        return ids, scores

    monkeypatch.setattr(topk_op, "_num_splits", lambda *_: 1)
    return check


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seen_items(num_queries: int, num_items: int, share: float, seed: int = 0) -> dict[str, Tensor]:
    mask = torch.rand(num_queries, num_items, generator=torch.Generator().manual_seed(seed)) < share
    indptr = torch.zeros(num_queries + 1, dtype=torch.int64)
    indptr[1:] = mask.sum(1).cumsum(0)
    return {"seen_indptr": indptr, "seen_indices": mask.nonzero()[:, 1].int()}


# Ordinary vectors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 100, 257, 511, 512])
def test_every_width(assert_same, dim):
    assert_same(normal(29, dim), normal(3000, dim, seed=1), 5, **seen_items(29, 3000, 0.01))


@pytest.mark.parametrize("num_queries", [1, 3, 4, 11, 12, 13, 95, 96, 97, 200])
def test_every_number_of_users(assert_same, num_queries):
    assert_same(normal(num_queries, 24), normal(1500, 24, seed=1), 3)


@pytest.mark.parametrize("num_items", [7, 31, 32, 33, 1023, 1024, 1025, 9001])
def test_every_number_of_items(assert_same, num_items):
    assert_same(normal(20, 32), normal(num_items, 32, seed=1), 2, **seen_items(20, num_items, 0.02))


@pytest.mark.parametrize("k", [1, 2, 20, 300, 1024])
def test_every_length(assert_same, k):
    assert_same(normal(13, 16), normal(18_000, 16, seed=1), k, **seen_items(13, 18_000, 0.01))


def test_allowed_items_alone(assert_same):
    allowed = torch.arange(1, 9000, 3, dtype=torch.int32)
    ids, _ = assert_same(normal(30, 32), normal(9000, 32, seed=1), 4, allowed=allowed)
    assert bool((ids % 3 == 1).all())


@pytest.mark.parametrize("rows", [32, 1024])
def test_items_coded_in_parts(assert_same, monkeypatch, rows):
    monkeypatch.setattr(topk_op, "_MOST_CODED", rows * 32)
    assert_same(normal(30, 32), normal(4100, 32, seed=1), 4, **seen_items(30, 4100, 0.01))


def test_most_items_seen(assert_same):
    ids, _ = assert_same(normal(30, 32), normal(2000, 32, seed=1), 4, **seen_items(30, 2000, 0.999))
    assert bool((ids == -1).any())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dim=st.integers(1, 70),
    num_items=st.integers(1, 4000),
    k=st.integers(1, 8),
    spread=st.floats(0, 8),
    whole=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_any_case(assert_same, dim, num_items, k, spread, whole, seed):
    queries, items = normal(40, dim, seed=seed), normal(num_items, dim, seed=seed + 1)
    if whole:
        queries, items = queries.round(), items.round()
    items = items * 10 ** (spread * normal(num_items, 1, seed=seed + 2).clamp(-2, 2))
    assert_same(queries, items, min(k, num_items), **seen_items(40, num_items, 0.01, seed))


def test_threads_do_not_change_a_bit(threads, assert_same):
    lists = []
    for count in (1, 2, 5):
        threads(count)
        lists.append(assert_same(normal(300, 48), normal(5000, 48, seed=1), 7))
    assert all(torch.equal(ids, lists[0][0]) and torch.equal(s, lists[0][1]) for ids, s in lists)


# Where a narrower bound would lose an item ----------------------------------------------------------------


def test_scores_nearer_than_the_codes_tell_apart(assert_same):
    """Short vectors along the users', so close that only the last bits of their scores differ, come last."""
    direction = normal(1, 64)
    queries = direction + 1e-6 * normal(40, 64, seed=1)
    across = normal(6000, 64, seed=2)
    across -= (across @ direction.T) * direction / direction.square().sum()
    along = 0.1 * direction + 1e-7 * normal(60, 64, seed=3)
    items = torch.cat([across, along])[torch.randperm(6060, generator=torch.Generator().manual_seed(4))]
    ids, scores = assert_same(queries, items, 10)
    assert float((scores[:, 0] / scores[:, -1] - 1).abs().max()) < 1e-5
    assert len(ids.unique()) > 10


@pytest.mark.parametrize("outlier", [3.0, 30.0, 1e3, 1e6])
def test_a_large_number_that_leaves_the_others_no_codes(assert_same, outlier):
    """Each vector has one large number where users have next to none: its codes say little of the rest."""
    queries, items = normal(60, 64), normal(6000, 64, seed=1)
    queries[:, 0] *= 0.01 / outlier
    items[:, 0] = outlier * items[:, 0].sign()
    assert_same(queries, items, 5)
    assert_same(items[:60], queries.repeat(100, 1) * normal(6000, 1, seed=2), 5)  # the other way round


def test_lengths_of_a_wide_range(assert_same):
    lengths = torch.logspace(-12, 6, 8000)[torch.randperm(8000, generator=torch.Generator().manual_seed(1))]
    assert_same(normal(60, 64) * torch.logspace(-9, 9, 60)[:, None], normal(8000, 64) * lengths[:, None], 6)


def test_negative_scores_alone(assert_same):
    """The best items are the shortest, which are scanned last."""
    _, scores = assert_same(normal(40, 32).abs(), -normal(5000, 32, seed=1).abs(), 5)
    assert bool((scores < 0).all())


# Ties -----------------------------------------------------------------------------------------------------


def test_items_many_times_over(assert_same):
    distinct = normal(300, 32, seed=1)
    items = distinct.repeat(12, 1)[torch.randperm(3600, generator=torch.Generator().manual_seed(2))]
    assert_same(normal(50, 32), items, 30, **seen_items(50, 3600, 0.05))


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.1])
def test_constant_vectors_give_the_smallest_ids(assert_same, value):
    for queries in (torch.ones(20, 32), torch.zeros(20, 32)):
        ids, _ = assert_same(queries, torch.full((4000, 32), value), 4)
        assert ids.tolist() == [[0, 1, 2, 3]] * 20


def test_zeros_among_others(assert_same):
    queries, items = normal(50, 32), normal(5000, 32, seed=1)
    queries[::7] = 0
    items[::3] = 0
    items[1::3] *= -0.0
    assert_same(queries, items, 5)


# The ends of float32 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("query_size", [1e-44, 1e-40, 1e-20, 1.0, 1e18])
@pytest.mark.parametrize("item_size", [1e-45, 1e-41, 1e-25, 1.0, 1e18])
def test_sizes_from_the_smallest_to_the_largest(assert_same, query_size, item_size):
    assert_same(normal(20, 16) * query_size, normal(1500, 16, seed=1) * item_size, 3)


def test_scores_at_the_limit(assert_same):
    largest = math.sqrt(torch.finfo(torch.float32).max / 16) * 0.999
    queries, items = (x / x.abs().max() * largest for x in (normal(20, 16), normal(2500, 16, seed=1)))
    items[:200] = items[:200].sign() * largest
    assert_same(queries.sign() * largest, items, 3)


def test_one_vector_at_the_limit_among_small_ones(assert_same):
    items = normal(2500, 16, seed=1)
    items[1234] = 1e37
    assert_same(normal(20, 16).clamp(-2, 2), items, 3)


# Which way is taken ---------------------------------------------------------------------------------------


def ways(monkeypatch, num_queries, num_items, dim, k) -> bool:
    """Whether a search goes by codes."""
    given = []
    search = _core.topk
    monkeypatch.setattr(
        _core, "topk", lambda *a, **b: (given.append(b["codes"] is not None), search(*a, **b))
    )
    topk(torch.ones(num_queries, dim), torch.ones(num_items, dim), k)
    monkeypatch.undo()
    return given == [True]


def test_many_users_go_by_codes(monkeypatch, threads):
    threads(1)
    assert ways(monkeypatch, 96, 3000, 32, 20)
    assert not ways(monkeypatch, 95, 3000, 32, 20)  # few users
    assert not ways(monkeypatch, 200, 3000, 7, 20)  # short vectors
    assert not ways(monkeypatch, 200, 3000, 513, 20)  # long vectors
    assert not ways(monkeypatch, 200, 3000, 32, 40)  # long lists
    threads(5)
    assert not ways(monkeypatch, 200, 3000, 32, 20)  # more threads than blocks of users
    threads(1)
    _core.use_isa("avx512")
    assert not ways(monkeypatch, 200, 3000, 32, 20)


def search_by(rows: int, dim: int, keys: int = 1) -> None:
    _core.topk(
        capsule(torch.ones(2, dim)),
        capsule(torch.ones(4, dim)),
        1,
        seen_indptr=None,
        seen_indices=None,
        allowed=None,
        panels=None,
        codes=capsule(torch.empty(rows, -(-dim // 4), dtype=torch.int32)),
        order=capsule(torch.empty(rows, dtype=torch.int32)),
        bounds=capsule(torch.empty(rows // 32, 3, dtype=torch.float64)),
        keys=capsule(torch.empty(keys, 2, 1, dtype=torch.int64)),
        ids=capsule(torch.empty(2, 1, dtype=torch.int32)),
        scores=capsule(torch.empty(2, 1)),
    )


def test_scratch_is_checked():
    search_by(32, 8)
    with pytest.raises(DataError, match=r"codes has 33 rows, but a multiple of 32 is needed"):
        search_by(33, 8)
    with pytest.raises(DataError, match=r"codes has 0 rows, but a multiple of 32 is needed"):
        search_by(0, 8)
    with pytest.raises(ConfigError, match=r"queries\.shape\[1\] = 513 is outside 1 to 512"):
        search_by(32, 513)
    with pytest.raises(ConfigError, match=r"keys\.shape\[0\] = 2 is outside 1 to 1"):
        search_by(32, 8, keys=2)
    _core.use_isa("avx512")
    with pytest.raises(ConfigError, match=r"codes are given, but avx512 cannot search by them; pass panels"):
        search_by(32, 8)
