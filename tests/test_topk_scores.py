"""The top-K kernel of finished scores against its reference: the same lists, bit for bit."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pyrec.errors import ConfigError, DataError
from pyrec.ops import topk as topk_op
from pyrec.ops.topk import topk_scores
from pyrec.reference.topk import topk_scores as reference_scores


def ints(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int32)


def longs(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def csr(mask: Tensor) -> dict[str, Tensor]:
    """The seen items of a (Q, M) bool mask."""
    indptr = torch.zeros(len(mask) + 1, dtype=torch.int64)
    indptr[1:] = mask.sum(1).cumsum(0)
    return {"seen_indptr": indptr, "seen_indices": mask.nonzero()[:, 1].int()}


def make(num_queries, num_items, seed=0, density=0.2, ties=True):
    """Scores, with few distinct ones where there are to be ties, and seen items."""
    g = torch.Generator().manual_seed(seed)
    scores = torch.randn(num_queries, num_items, generator=g)
    seen = csr(torch.rand(num_queries, num_items, generator=g) < density)
    return scores.mul(3).round() if ties else scores, seen


def moved(where, array):
    if isinstance(array, dict):
        return {name: moved(where, each) for name, each in array.items()}
    return array if array is None else array.to(where.torch)


def search(where, scores, k, **kwargs):
    ids, best = topk_scores(moved(where, scores), k, **moved(where, kwargs))
    assert ids.device.type == best.device.type == where.torch.type
    return ids.cpu(), best.cpu()


def assert_exact(where, scores, k, **kwargs):
    ids, best = search(where, scores, k, **kwargs)
    expected_ids, expected = reference_scores(scores, k, **kwargs)
    assert (ids.dtype, best.dtype) == (torch.int32, torch.float32)
    assert torch.equal(ids, expected_ids)
    assert torch.equal(best, expected)


def split(monkeypatch, splits):
    monkeypatch.setattr(topk_op, "_num_score_splits", lambda *_: splits)


# The answers ----------------------------------------------------------------------------------------------


def test_a_list_worked_out_by_hand(device):
    scores = torch.tensor([[1.0, 3.0, 1.0, 2.0], [1.0, 0.0, 5.0, -1.0], [0.0, 0.0, 0.0, -0.0]])
    seen = {"seen_indptr": longs(0, 1, 1, 4), "seen_indices": ints(3, 0, 1, 2)}
    ids, best = search(device, scores, 3, **seen)
    assert ids.tolist() == [[1, 0, 2], [2, 0, 1], [3, -1, -1]]
    assert best.tolist() == [[3.0, 1.0, 1.0], [5.0, 1.0, 0.0], [0.0, -math.inf, -math.inf]]


@pytest.mark.parametrize("num_items", [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1025])
def test_every_number_of_items(kernels, num_items):
    scores, seen = make(13, num_items, seed=num_items)
    assert_exact(kernels, scores, min(6, num_items), **seen)


@pytest.mark.parametrize("num_queries", [0, 1, 2, 5, 33])
def test_every_number_of_users(kernels, num_queries):
    scores, seen = make(num_queries, 300, seed=num_queries)
    assert_exact(kernels, scores, 7, **seen)


@pytest.mark.parametrize("k", [1, 2, 20, 31, 32, 33, 128, 129, 1024])
def test_every_length(kernels, k):
    scores, seen = make(3, 1300, seed=k)
    assert_exact(kernels, scores, k, **seen)


@pytest.mark.parametrize("order", [1, -1])
def test_each_score_better_or_worse_than_all_before(kernels, order):
    scores = order * torch.arange(700.0).repeat(3, 1)
    for k in (1, 20, 200):
        assert_exact(kernels, scores, k)


def test_equal_scores_are_in_the_order_of_ids(kernels):
    assert search(kernels, torch.zeros(2, 500), 4)[0].tolist() == [[0, 1, 2, 3]] * 2
    signs = torch.tensor([[-0.0, 0.0, -0.0]])
    assert search(kernels, signs, 3)[0].tolist() == [[0, 1, 2]]


def test_scores_of_any_magnitude(kernels):
    scores, seen = make(4, 600, ties=False)
    for scale in (2.0**-140, 1e37):
        assert_exact(kernels, scores * scale, 9, **seen)


@pytest.mark.parametrize("density", [0.0, 0.5, 1.0])
def test_masks_and_choices(kernels, density):
    scores, seen = make(9, 301, density=density)
    allowed = torch.arange(1, 301, 3, dtype=torch.int32)
    assert_exact(kernels, scores, 8, **seen)
    assert_exact(kernels, scores, 8, allowed=allowed, **seen)
    assert_exact(kernels, scores, 8, allowed=ints(300), **seen)


@pytest.mark.launches_nothing
def test_nothing_allowed(device):
    ids, best = search(device, torch.ones(3, 40), 5, allowed=ints())
    assert bool((ids == -1).all())
    assert bool((best == -torch.inf).all())


@st.composite
def cases(draw):
    num_queries, num_items = draw(st.integers(0, 12)), draw(st.integers(1, 400))
    scores, seen = make(
        num_queries, num_items, draw(st.integers(0, 2**31)), draw(st.floats(0, 1)), draw(st.booleans())
    )
    kwargs = dict(seen) if draw(st.booleans()) else {}
    if draw(st.booleans()):
        kept = draw(st.sets(st.integers(0, num_items - 1)))
        kwargs["allowed"] = torch.tensor(sorted(kept), dtype=torch.int32)
    return scores, draw(st.integers(1, num_items)), kwargs, draw(st.sampled_from([1, 2, 5, 64]))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_any_case_is_exact(kernels, case):
    scores, k, kwargs, splits = case
    with pytest.MonkeyPatch.context() as patch:
        split(patch, splits)
        assert_exact(kernels, scores, k, **kwargs)


def test_threads_do_not_change_a_bit(isa, threads):
    scores, seen = make(3, 60_000, density=0.05)
    threads(1)
    expected = topk_scores(scores, 20, **seen)
    for count in (2, 3, 7):
        threads(count)
        found = topk_scores(scores, 20, **seen)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


def test_few_users_are_split(threads):
    threads(4)
    on_cpu = torch.device("cpu")
    assert topk_op._num_score_splits(1, 20, 10**6, on_cpu) == 4
    assert topk_op._num_score_splits(3, 20, 10**6, on_cpu) == 2
    assert topk_op._num_score_splits(400, 20, 10**6, on_cpu) == 1
    assert topk_op._num_score_splits(1, 20, 5000, on_cpu) == 1
    assert topk_op._num_score_splits(0, 20, 0, on_cpu) == 1


def test_it_is_an_operator():
    scores, seen = make(5, 60)
    indptr, indices = seen.values()
    for rows in (None, torch.arange(0, 60, 2, dtype=torch.int32)):
        torch.library.opcheck(topk_op._topk_scores.overload, (scores, 4, indptr, indices, rows))
    ids, best = topk_scores(torch.nn.Parameter(scores), 4)
    assert not best.requires_grad
    assert ids.shape == (5, 4)


# Bad input ------------------------------------------------------------------------------------------------


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("scores", "k", "message"),
    [
        (torch.ones(2, 3), 0, "k = 0, but there are 3 items"),
        (torch.ones(2, 3), 4, "k = 4, but there are 3 items"),
        (torch.ones(2, 1500), 1025, "lists hold up to 1024"),
        (torch.ones(2, 0), 1, "k = 1, but there are 0 items"),
    ],
)
def test_wrong_lengths(device, scores, k, message):
    with pytest.raises(ConfigError, match=message):
        search(device, scores, k)


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (torch.ones(2, 3).double(), "scores has dtype float64, but float32 is needed"),
        (torch.ones(3), r"scores has shape \(3,\), but \(any, any\) is needed"),
        (torch.ones(3, 2).T, r"scores is not contiguous; call \.contiguous\(\)"),
    ],
)
def test_wrong_arrays(device, scores, message):
    with pytest.raises(DataError, match=message):
        topk_scores(scores.to(device.torch), 1)


@pytest.mark.parametrize("value", [math.nan, -math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 130, 1299])
@pytest.mark.parametrize("allowed", [None, ints(5, 7)])
def test_no_score_goes_unchecked(kernels, value, place, allowed):
    scores, _ = make(3, 1300)
    scores[1, place] = value
    with pytest.raises(DataError, match=rf"scores\[1, {place}\] = -?(nan|inf), but every value must be"):
        search(kernels, scores, 2, allowed=allowed)


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        (longs(0, 1), ints(0), r"seen_indptr has shape \(2,\), but \(3,\) is needed"),
        (longs(0, 2, 1), ints(0), r"seen_indptr\[2\] = 1, less than the 2 before it"),
        (longs(0, 1, 2), ints(0, 4), r"seen_indices\[1\] = 4, but items are 0 to 3"),
        (longs(0, 2, 2), ints(2, 1), r"seen_indices\[1\] = 1, out of order in row 0"),
        (longs(0, 1, 1), None, r"seen_indices is None, but the seen items are a CSR of both"),
    ],
)
def test_wrong_seen_items(device, indptr, indices, message):
    with pytest.raises(DataError, match=message):
        search(device, torch.ones(2, 4), 1, seen_indptr=indptr, seen_indices=indices)


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("allowed", "message"),
    [
        (ints(0, 4), r"allowed\[1\] = 4, but items are 0 to 3"),
        (ints(0, 2, 1), r"allowed\[2\] = 1, out of order; pass ascending distinct items"),
        (longs(0), r"allowed has dtype int64, but int32 is needed"),
    ],
)
def test_wrong_allowed_items(device, allowed, message):
    with pytest.raises(DataError, match=message):
        search(device, torch.ones(2, 4), 1, allowed=allowed)
