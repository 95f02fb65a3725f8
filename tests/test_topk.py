"""The top-K kernel against its reference: exact on small integers, within rounding on other numbers."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pyrec import _core
from pyrec.errors import ConfigError, DataError
from pyrec.ops import topk as topk_op
from pyrec.ops.topk import topk
from pyrec.reference.topk import topk as reference_topk

DIMS = [1, 3, 7, 8, 9, 15, 16, 17, 64, 65, 100, 200]
SLICED_DIMS = [512, 513, 700, 1100]  # longer than one pass takes


def csr(mask: Tensor) -> dict[str, Tensor]:
    """The seen items of a (Q, M) bool mask."""
    indptr = torch.zeros(len(mask) + 1, dtype=torch.int64)
    indptr[1:] = mask.sum(1).cumsum(0)
    return {"seen_indptr": indptr, "seen_indices": mask.nonzero()[:, 1].int()}


def make(num_queries, num_items, dim, seed=0, integers=True, density=0.2):
    """Queries, items and seen items; small integers make every score exact and most of them ties."""
    g = torch.Generator().manual_seed(seed)

    def rows(count):
        if integers:
            return torch.randint(-2, 3, (count, dim), generator=g).float()
        return torch.randn(count, dim, generator=g)

    queries, items = rows(num_queries), rows(num_items)
    return queries, items, csr(torch.rand(num_queries, num_items, generator=g) < density)


def moved(where, array):
    """The tensor, or those of a dictionary, on the device; with gaps where it has gaps."""
    if isinstance(array, dict):
        return {name: moved(where, each) for name, each in array.items()}
    if array is None or array.device.type == where.torch.type:
        return array
    there = torch.empty_strided(array.shape, array.stride(), dtype=array.dtype, device=where.torch)
    return there.copy_(array)


def search(where, queries, items, k, **kwargs):
    """The lists from arrays moved to the device, on the CPU again."""
    ids, scores = topk(moved(where, queries), moved(where, items), k, **moved(where, kwargs))
    assert ids.device.type == scores.device.type == where.torch.type
    return ids.cpu(), scores.cpu()


def split(monkeypatch, splits):
    """Cuts the candidates into so many parts, wherever the search runs."""
    monkeypatch.setattr(topk_op, "_num_splits", lambda *_: splits)
    monkeypatch.setattr(topk_op, "_num_device_splits", lambda *_: splits)


def assert_exact(where, queries, items, k, **kwargs):
    ids, scores = search(where, queries, items, k, **kwargs)
    expected_ids, expected_scores = reference_topk(queries.double(), items.double(), k, **kwargs)
    assert ids.dtype == torch.int32
    assert scores.dtype == torch.float32
    assert torch.equal(ids, expected_ids)
    assert torch.equal(scores.double(), expected_scores)


# The answers ----------------------------------------------------------------------------------------------


def test_a_list_worked_out_by_hand(device):
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    items = torch.tensor([[1.0, 1.0], [3.0, 0.0], [1.0, 5.0], [2.0, -1.0]])
    seen = {"seen_indptr": torch.tensor([0, 1, 1, 4]), "seen_indices": torch.tensor([3, 0, 1, 2]).int()}
    ids, scores = search(device, queries, items, 3, **seen)
    assert ids.tolist() == [[1, 0, 2], [2, 0, 1], [3, -1, -1]]
    assert scores.tolist() == [[3.0, 1.0, 1.0], [5.0, 1.0, 0.0], [0.0, -math.inf, -math.inf]]


@pytest.mark.parametrize("dim", DIMS + SLICED_DIMS)
def test_every_width_is_exact(kernels, dim):
    queries, items, seen = make(29, 203, dim, seed=dim)
    assert_exact(kernels, queries, items, 10, **seen)


@pytest.mark.parametrize("dim", DIMS + SLICED_DIMS)
def test_floats_match_float64_within_rounding(kernels, dim):
    queries, items, seen = make(29, 203, dim, seed=dim, integers=False)
    ids, scores = search(kernels, queries, items, 10, **seen)
    _, best = reference_topk(queries.double(), items.double(), 10, **seen)
    all_scores = queries.double() @ items.double().T
    # Rounding of a sum of dim products: at most dim * eps times the sum of their magnitudes.
    bound = dim * torch.finfo(torch.float32).eps * float((queries.abs() @ items.abs().T).max())
    assert (scores - all_scores.gather(1, ids.long())).abs().max() <= bound
    assert (scores - best).abs().max() <= bound  # so lists differ by swaps within rounding alone
    assert bool((scores.diff(dim=1) <= 0).all())
    assert all(len(set(row)) == len(row) for row in ids.tolist())


@pytest.mark.parametrize("num_queries", [0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 47, 48, 49, 96, 97, 200])
def test_every_number_of_users(kernels, num_queries):
    queries, items, seen = make(num_queries, 70, 5, seed=num_queries)
    assert_exact(kernels, queries, items, 7, **seen)


@pytest.mark.parametrize("num_items", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1025])
def test_every_number_of_items(kernels, num_items):
    queries, items, seen = make(13, num_items, 4, seed=num_items)
    assert_exact(kernels, queries, items, min(6, num_items), **seen)


@pytest.mark.parametrize("k", [1, 2, 3, 20, 64, 65, 100, 128, 129, 1023, 1024])
def test_every_length(kernels, k):
    queries, items, seen = make(5, 1300, 6, seed=k)
    assert_exact(kernels, queries, items, k, **seen)


def test_k_may_be_the_number_of_items(kernels):
    queries, items, _ = make(5, 40, 6)
    assert_exact(kernels, queries, items, 40)


def test_all_scores_equal_gives_the_smallest_ids(kernels):
    items = torch.zeros(500, 3)
    assert search(kernels, torch.ones(2, 3), items, 4)[0].tolist() == [[0, 1, 2, 3]] * 2


def test_zeros_of_both_signs_are_equal(kernels):
    items = torch.tensor([[-0.0], [0.0], [-0.0]])
    assert search(kernels, torch.ones(1, 1), items, 3)[0].tolist() == [[0, 1, 2]]


@st.composite
def cases(draw):
    num_queries, num_items = draw(st.integers(0, 30)), draw(st.integers(1, 150))
    dim = draw(st.sampled_from(DIMS))
    seed = draw(st.integers(0, 2**31))
    queries, items, seen = make(num_queries, num_items, dim, seed, density=draw(st.floats(0, 1)))
    kwargs = dict(seen) if draw(st.booleans()) else {}
    if draw(st.booleans()):
        kept = draw(st.sets(st.integers(0, num_items - 1)))
        kwargs["allowed"] = torch.tensor(sorted(kept), dtype=torch.int32)
    return queries, items, draw(st.integers(1, num_items)), kwargs


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_any_case_with_ties_is_exact(kernels, case):
    queries, items, k, kwargs = case
    assert_exact(kernels, queries, items, k, **kwargs)


@pytest.mark.parametrize("k", [1, 20, 200])
@pytest.mark.parametrize("order", [1, -1])
def test_each_item_better_or_worse_than_all_before(kernels, k, order):
    items = order * torch.arange(1000.0)[:, None]
    assert_exact(kernels, torch.tensor([[1.0], [0.0], [-1.0]]).repeat(25, 1), items, k)


@pytest.mark.parametrize("first", [1, 4])
def test_arrays_that_start_anywhere(kernels, first):
    queries, items, seen = make(5, 150, 8)
    whole = torch.cat([torch.zeros(first), queries.flatten(), items.flatten()])
    whole = moved(kernels, whole)[first:]
    ids, _ = topk(whole[: 5 * 8].view(5, 8), whole[5 * 8 :].view(150, 8), 6, **moved(kernels, seen))
    assert torch.equal(ids.cpu(), reference_topk(queries.double(), items.double(), 6, **seen)[0])


# Masks ----------------------------------------------------------------------------------------------------


def test_fewer_items_left_than_k(kernels):
    queries, items, _ = make(10, 60, 8)
    seen = torch.ones(10, 60, dtype=torch.bool)
    seen[torch.arange(10), torch.arange(10) * 5] = False
    ids, scores = search(kernels, queries, items, 4, **csr(seen))
    assert ids[:, 0].tolist() == list(range(0, 50, 5))
    assert bool((ids[:, 1:] == -1).all())
    assert bool((scores[:, 1:] == -torch.inf).all())
    assert_exact(kernels, queries, items, 4, **csr(seen))


def test_everything_masked(kernels):
    queries, items, _ = make(3, 40, 8)
    ids, scores = search(kernels, queries, items, 5, **csr(torch.ones(3, 40, dtype=torch.bool)))
    assert bool((ids == -1).all())
    assert bool((scores == -torch.inf).all())


def test_nothing_allowed(device):
    queries, items, _ = make(3, 40, 8)
    ids, scores = search(device, queries, items, 5, allowed=torch.empty(0, dtype=torch.int32))
    assert bool((ids == -1).all())
    assert bool((scores == -torch.inf).all())


def test_allowed_items_alone(kernels):
    queries, items, seen = make(20, 300, 9)
    allowed = torch.arange(1, 300, 3, dtype=torch.int32)
    assert_exact(kernels, queries, items, 8, allowed=allowed)
    assert_exact(kernels, queries, items, 8, allowed=allowed, **seen)
    assert_exact(kernels, queries, items, 8, allowed=torch.tensor([299], dtype=torch.int32), **seen)


# Codes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("dim", [1, 16, 64, 70, 200])
def test_candidates_by_length_are_exact(kernels, monkeypatch, splits, dim):
    """Long vectors come last and in between, so that they have to be sorted, and most tiles are left out."""
    monkeypatch.setattr(topk_op, "_USERS_WORTH_SORTING", 0)
    split(monkeypatch, splits)
    queries, items, seen = make(150, 1500, dim)
    items *= 2.0 ** -(torch.arange(1500) % 13)[:, None]
    queries *= 2.0 ** (torch.arange(150) % 5)[:, None]
    assert_exact(kernels, queries, items, 20, **seen)
    assert_exact(kernels, queries, items, 20, allowed=torch.arange(3, 1500, 7, dtype=torch.int32), **seen)


@pytest.mark.parametrize("sort", [0, 10**9])
@pytest.mark.parametrize(("query_scale", "item_scale"), [(-70, -70), (-140, 10), (60, 60), (-120, 120)])
def test_codes_of_any_magnitude(kernels, monkeypatch, query_scale, item_scale, sort):
    """Scores are whole multiples of 2^-140 at the least and below 2^127, so exact in float32."""
    monkeypatch.setattr(topk_op, "_USERS_WORTH_SORTING", sort)
    queries, items, seen = make(40, 700, 17)
    assert_exact(kernels, queries * 2.0**query_scale, items * 2.0**item_scale, 9, **seen)


def test_scores_closer_than_codes_can_tell(kernels, monkeypatch):
    """Items differ in bits that 8 bits of a mantissa do not hold."""
    monkeypatch.setattr(topk_op, "_USERS_WORTH_SORTING", 0)
    g = torch.Generator().manual_seed(5)
    items = 1 + torch.randint(0, 2**12, (900, 1), generator=g) * 2.0**-20
    assert_exact(kernels, torch.tensor([[1.0], [-1.0], [0.5]]), items, 30)


# The same bits however the work is cut --------------------------------------------------------------------


def test_a_user_alone_gets_the_same_bits(kernels):
    queries, items, _ = make(31, 130, 33, integers=False)
    ids, scores = search(kernels, queries, items, 9)
    for user in range(31):
        alone = search(kernels, queries[user : user + 1], items, 9)
        assert torch.equal(alone[0][0], ids[user])
        assert torch.equal(alone[1][0], scores[user])


@pytest.mark.parametrize("dim", [33, 600])
def test_an_item_scores_the_same_bits_in_any_place(kernels, dim):
    queries, items, _ = make(14, 90, dim, integers=False)
    ids, scores = search(kernels, queries, items, 90)
    by_item = torch.empty_like(scores).scatter_(1, ids.long(), scores)
    for first in (1, 13, 40):
        allowed = torch.arange(first, 90, 2, dtype=torch.int32)
        some_ids, some_scores = search(kernels, queries, items, len(allowed), allowed=allowed)
        assert torch.equal(some_scores, by_item.gather(1, some_ids.long()))


@pytest.mark.parametrize("num_queries", [1, 50, 300])
@pytest.mark.parametrize("dim", [16, 600])
def test_threads_do_not_change_a_bit(isa, threads, num_queries, dim):
    queries, items, seen = make(num_queries, 2500, dim, integers=False, density=0.05)
    threads(1)
    expected = topk(queries, items, 20, **seen)
    for count in (2, 3, 7):
        threads(count)
        ids, scores = topk(queries, items, 20, **seen)
        assert torch.equal(ids, expected[0])
        assert torch.equal(scores, expected[1])


@pytest.mark.parametrize("dim", [1, 3, 4, 6, 16, 33, 64, 600])
def test_few_users_get_the_bits_of_many(isa, threads, dim):
    queries, items, seen = make(200, 3000, dim, integers=False, density=0.05)
    allowed = torch.arange(0, 3000, 2, dtype=torch.int32)
    indptr, indices = seen.values()
    threads(1)
    for choice in (None, allowed):
        many = topk(queries, items, 20, **seen, allowed=choice)
        for count, workers in ((1, 1), (1, 3), (8, 1), (16, 2), (17, 1), (64, 3), (96, 1), (97, 2)):
            threads(workers)
            rows = slice(200 - count, 200)
            own = {"seen_indptr": indptr[200 - count :] - indptr[200 - count]}
            own["seen_indices"] = indices[indptr[200 - count] :]
            few = topk(queries[rows], items, 20, **own, allowed=choice)
            assert torch.equal(few[0], many[0][rows])
            assert torch.equal(few[1].view(torch.int32), many[1][rows].view(torch.int32))


def test_a_search_takes_what_a_cache_holds(threads):
    for count in (1, 2, 7):
        threads(count)
        for num_queries, kilobytes in ((1, 8), (16, 8), (17, 256), (5000, 256)):
            panels = topk_op._panels(num_queries, 10**6, 64, topk_op._num_splits(num_queries, 10**6))
            assert len(panels) == count
            assert panels[0].nbytes == kilobytes * 1024
        assert topk_op._panels(5000, 10**6, 10**5, 1)[0].shape == (_core.topk_panel_multiple, 10**5)


@pytest.mark.parametrize("splits", [1, 2, 5, 64])
def test_splits_do_not_change_a_list(kernels, monkeypatch, splits):
    split(monkeypatch, splits)
    queries, items, seen = make(15, 400, 7)
    assert_exact(kernels, queries, items, 30, **seen)
    assert_exact(kernels, queries, items, 30, allowed=torch.arange(0, 400, 9, dtype=torch.int32), **seen)


@pytest.mark.parametrize("num_queries", [15, 40])
@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("dim", [7, 600])
def test_items_may_be_packed_in_parts(kernels, monkeypatch, splits, num_queries, dim):
    for limit in ("_MOST_PACKED", "_PACKED_FOR_FEW"):
        monkeypatch.setattr(topk_op, limit, 0)  # the fewest at a time
    split(monkeypatch, splits)
    queries, items, seen = make(num_queries, 401, dim)
    assert_exact(kernels, queries, items, 30, **seen)


@pytest.mark.parametrize("k", [20, 200])
def test_the_same_bits_each_time_and_those_of_the_processor(device, monkeypatch, k):
    queries, items, seen = make(70, 900, 33, integers=False)
    ids, scores = search(device, queries, items, k, **seen)
    for splits in (1, 1, 3):
        split(monkeypatch, splits)
        again = search(device, queries, items, k, **seen)
        assert torch.equal(again[0], ids)
        assert torch.equal(again[1], scores)
    if _core.isa() == "baseline":
        return  # which may round products before it adds them
    monkeypatch.setattr(topk_op, "_core", _core)
    there = topk(queries, items, k, **seen)
    assert torch.equal(there[0], ids)
    assert torch.equal(there[1], scores)


def test_a_few_users_are_split_among_multiprocessors(monkeypatch):
    processors = SimpleNamespace(multi_processor_count=100)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: processors)

    def splits(num_queries, k=20, num_candidates=100_000):
        return topk_op._num_device_splits(num_queries, k, num_candidates, torch.device("cuda"))

    assert splits(64) == topk_op._core.topk_max_splits
    assert splits(128 * 100) == 2
    assert splits(128 * 150) == 1
    assert splits(64, num_candidates=5000) == 4
    assert splits(64, k=1000) == 6


def test_a_few_users_are_split_among_threads(threads):
    threads(4)
    assert topk_op._num_splits(1, 100_000) == 4
    assert topk_op._num_splits(400, 100_000) == 1
    assert topk_op._num_splits(1, 500) == 1


# The operator ---------------------------------------------------------------------------------------------


def test_opcheck(device):
    queries, items, seen = (moved(device, array) for array in make(6, 30, 5))
    allowed = moved(device, torch.arange(0, 30, 2, dtype=torch.int32))
    for rows in (None, allowed):
        for indptr, indices in ((None, None), tuple(seen.values())):
            torch.library.opcheck(topk_op._topk.overload, (queries, items, 4, indptr, indices, rows))


def test_parameters_are_taken_as_they_are(device):
    queries, items, _ = (moved(device, array) for array in make(6, 30, 5))
    ids, scores = topk(torch.nn.Parameter(queries), torch.nn.Parameter(items), 4)
    assert not ids.requires_grad
    assert not scores.requires_grad


# Bad input ------------------------------------------------------------------------------------------------


def ints(*values):
    return torch.tensor(values, dtype=torch.int32)


def longs(*values):
    return torch.tensor(values, dtype=torch.int64)


@pytest.mark.launches_nothing
@pytest.mark.parametrize("k", [0, -1, 5, 2**40])
def test_k_out_of_range(device, k):
    with pytest.raises(ConfigError, match=rf"k = {k}, but there are 4 items.*pass k from 1 to 4"):
        search(device, torch.ones(2, 3), torch.ones(4, 3), k)


@pytest.mark.launches_nothing
def test_k_beyond_1024(device):
    with pytest.raises(ConfigError, match=r"k = 1025, but there are 3000 items and lists hold up to 1024"):
        search(device, torch.ones(2, 3), torch.ones(3000, 3), 1025)


@pytest.mark.launches_nothing
def test_no_items(device):
    with pytest.raises(ConfigError, match=r"k = 1, but there are 0 items"):
        search(device, torch.ones(2, 3), torch.ones(0, 3), 1)


@pytest.mark.launches_nothing
def test_no_columns(device):
    with pytest.raises(ConfigError, match=r"queries\.shape\[1\] = 0 is outside 1 to"):
        search(device, torch.ones(2, 0), torch.ones(4, 0), 1)


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("queries", "items", "message"),
    [
        (torch.ones(2, 3).double(), torch.ones(4, 3), r"queries has dtype float64, but float32 is needed"),
        (torch.ones(2, 3), torch.ones(4, 3).int(), r"items has dtype int32, but float32 is needed"),
        (torch.ones(2, 3), torch.ones(4, 2), r"items has shape \(4, 2\), but \(any, 3\) is needed"),
        (torch.ones(3), torch.ones(4, 3), r"queries has shape \(3,\), but \(any, any\) is needed"),
        (torch.ones(2, 3), torch.ones(3), r"items has shape \(3,\), but \(any, 3\) is needed"),
        (torch.tensor(1.0), torch.ones(4, 3), r"queries has shape \(\), but|queries has shape \(,\), but"),
        (torch.ones(3, 2).T, torch.ones(4, 3), r"queries is not contiguous; call \.contiguous\(\)"),
        (torch.ones(2, 3), torch.ones(4, 6)[:, ::2], r"items is not contiguous"),
    ],
)
def test_wrong_arrays(device, queries, items, message):
    with pytest.raises(DataError, match=message):
        search(device, queries, items, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite(device, value):
    spoilt = torch.ones(4, 3)
    spoilt[2, 1] = value
    with pytest.raises(DataError, match=r"items\[2, 1\] = -?(nan|inf), but every value must be a finite"):
        search(device, torch.ones(2, 3), spoilt, 1)
    with pytest.raises(DataError, match=r"queries\[2, 1\] = -?(nan|inf)"):
        search(device, spoilt, torch.ones(2, 3), 1)


@pytest.mark.parametrize("num_queries", [0, 1, 13, 200])
@pytest.mark.parametrize("place", [0, 1023, 2999])
@pytest.mark.parametrize("allowed", [None, ints(5, 7)])
def test_no_item_goes_unchecked(kernels, num_queries, place, allowed):
    queries, items, _ = make(num_queries, 3000, 5)
    kwargs = {} if allowed is None else {"allowed": allowed}
    for value in (math.nan, -math.nan, math.inf, -math.inf):
        items[place, 4] = value
        with pytest.raises(DataError, match=rf"items\[{place}, 4\] = -?(nan|inf), but every value"):
            search(kernels, queries, items, 2, **kwargs)
    items[place, 4] = 1e38
    if num_queries > 0:
        with pytest.raises(DataError, match="a sum of 5 products, could leave float32"):
            search(kernels, queries, items, 2, **kwargs)


def test_scores_that_could_overflow(device):
    with pytest.raises(DataError, match=r"a sum of 2 products, could leave float32; scale them down"):
        search(device, torch.full((1, 2), 1e20), torch.full((2, 2), -1e20), 1)
    assert search(device, torch.full((1, 2), 1e19), torch.full((2, 2), 1e18), 1)[0].tolist() == [[0]]


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        (longs(0, 1), ints(0), r"seen_indptr has shape \(2,\), but \(3,\) is needed"),
        (longs(0, 1, 1), ints(0, 1), r"seen_indptr\[2\] = 1, but there are 2 indices"),
        (longs(0, 2, 1), ints(0), r"seen_indptr\[2\] = 1, less than the 2 before it"),
        (longs(1, 1, 1), ints(0), r"seen_indptr\[0\] = 1, but row pointers start at 0"),
        (longs(0, 9, 1), ints(0), r"seen_indptr\[2\] = 1, less than the 9 before it"),
        (longs(0, 1, 2), ints(0, 4), r"seen_indices\[1\] = 4, but items are 0 to 3"),
        (longs(0, 1, 2), ints(0, -1), r"seen_indices\[1\] = -1, but items are 0 to 3"),
        (longs(0, 2, 2), ints(2, 1), r"seen_indices\[1\] = 1, out of order in row 0"),
        (longs(0, 0, 2), ints(2, 2), r"seen_indices\[1\] = 2, a duplicate in row 1"),
        (ints(0, 1, 1), ints(0), r"seen_indptr has dtype int32, but int64 is needed"),
        (longs(0, 1, 1), longs(0), r"seen_indices has dtype int64, but int32 is needed"),
        (longs(0, 1, 1), None, r"seen_indices is None, but the seen items are a CSR of both"),
        (None, ints(0), r"seen_indptr is None, but the seen items are a CSR of both"),
    ],
)
def test_wrong_seen_items(device, indptr, indices, message):
    with pytest.raises(DataError, match=message):
        search(device, torch.ones(2, 3), torch.ones(4, 3), 1, seen_indptr=indptr, seen_indices=indices)


@pytest.mark.launches_nothing
@pytest.mark.parametrize(
    ("allowed", "message"),
    [
        (ints(0, 4), r"allowed\[1\] = 4, but items are 0 to 3"),
        (ints(-1, 2), r"allowed\[0\] = -1, but items are 0 to 3"),
        (ints(0, 2, 1), r"allowed\[2\] = 1, out of order; pass ascending distinct items"),
        (ints(0, 2, 2), r"allowed\[2\] = 2, a duplicate; pass ascending distinct items"),
        (longs(0), r"allowed has dtype int64, but int32 is needed"),
        (ints(0)[None], r"allowed has shape \(1, 1\), but \(any,\) is needed"),
    ],
)
def test_wrong_allowed_items(device, allowed, message):
    with pytest.raises(DataError, match=message):
        search(device, torch.ones(2, 3), torch.ones(4, 3), 1, allowed=allowed)
