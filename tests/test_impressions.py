"""The kernel of impressions' metrics against scikit-learn, every order of the tied, and the reference."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrec import _core
from pyrec._arrays import sigmoid
from pyrec.errors import ConfigError, DataError
from pyrec.ops import impressions as op
from pyrec.ops.impressions import metric_names
from pyrec.reference.impressions import impression_metrics as reference

CUTOFFS = (1, 5, 10)
NAMES = metric_names(CUTOFFS)


def make(num_impressions, most=40, levels=None, seed=0, click_rate=0.1):
    """(scores, clicks, indptr); with ``levels``, scores take so many values."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, most + 1, (num_impressions,), generator=g)
    indptr = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    n = int(indptr[-1])
    scores = torch.randn(n, generator=g)
    if levels is not None:
        scores = torch.randint(0, levels, (n,), generator=g).float() / 4 - 1
    return scores, torch.rand(n, generator=g) < click_rate, indptr


def measured(device, scores, clicks, indptr, cutoffs=CUTOFFS):
    return op.impression_metrics(
        scores.to(device.torch), clicks.to(device.torch), indptr.to(device.torch), cutoffs
    ).cpu()


def one(device, scores, clicks, cutoffs=CUTOFFS):
    """The metrics of a single impression by name."""
    scores = torch.tensor(scores, dtype=torch.float64)
    clicks = torch.tensor(clicks, dtype=torch.bool)
    table = measured(device, scores, clicks, torch.tensor([0, len(scores)]), cutoffs)
    return dict(zip(metric_names(cutoffs), table[0].tolist(), strict=True))


def assert_same(ours, expected):
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-15, equal_nan=True)


def plain_metrics(ranked_clicks, cutoffs):
    """The definitions, of clicks by rank."""
    ranks = [at + 1 for at, clicked in enumerate(ranked_clicks) if clicked]
    others = [at + 1 for at, clicked in enumerate(ranked_clicks) if not clicked]
    won = sum(rank < other for rank in ranks for other in others)
    values = [won / (len(ranks) * len(others)), sum(1 / rank for rank in ranks) / len(ranks), 1 / ranks[0]]
    for k in cutoffs:
        gain = sum(1 / math.log2(rank + 1) for rank in ranks if rank <= k)
        values.append(gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(ranks)) + 1)))
    return values + [float(ranks[0] <= k) for k in cutoffs]


# The answers ----------------------------------------------------------------------------------------------


def test_an_impression_worked_out_by_hand(kernels):
    found = one(kernels, [0.1, 0.9, 0.5, 0.3], [1, 0, 1, 0], (1, 2))
    gain = 1 / math.log2(3)
    expected = {"auc": 1 / 4, "mrr": (1 / 2 + 1 / 4) / 2, "mrr_first": 1 / 2}
    expected |= {"ndcg@1": 0, "ndcg@2": gain / (1 + gain), "hit@1": 0, "hit@2": 1}
    assert found == pytest.approx(expected, rel=1e-15)


def test_scikit_learn_agrees(kernels):
    from sklearn.metrics import ndcg_score, roc_auc_score

    scores, clicks, indptr = make(60, levels=6, seed=1, click_rate=0.3)
    table = measured(kernels, scores, clicks, indptr)
    compared = 0
    for row, (first, last) in enumerate(itertools.pairwise(indptr.tolist())):
        truth, score = clicks[first:last].numpy(), scores[first:last].numpy()
        if not truth.any() or truth.all():
            continue
        compared += 1
        assert table[row, 0] == pytest.approx(roc_auc_score(truth, score), abs=1e-14)
        for at, k in enumerate(CUTOFFS):
            assert table[row, 3 + at] == pytest.approx(ndcg_score([truth], [score], k=k), abs=1e-14)
    assert compared > 30


@pytest.mark.parametrize("seed", range(4))
def test_ties_are_the_mean_over_every_order(kernels, seed):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 3, 6)
    clicks = generator.permutation([1, 1, 0, 0, 0, seed % 2])
    orders = [
        order for order in itertools.permutations(range(6)) if (np.diff(scores[list(order)]) <= 0).all()
    ]
    assert len(orders) > 1
    expected = np.mean([plain_metrics(clicks[list(order)], (1, 2, 5)) for order in orders], axis=0)
    assert list(one(kernels, scores, clicks, (1, 2, 5)).values()) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("where", ["first", "last"])
def test_a_constant_score_knows_nothing(kernels, where):
    clicks = [1, 0, 0, 0] if where == "first" else [0, 0, 0, 1]
    found = one(kernels, [7.0] * 4, clicks, (1, 2))
    mrr = (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4
    expected = {"auc": 0.5, "mrr": mrr, "mrr_first": mrr, "ndcg@1": 1 / 4, "hit@1": 1 / 4, "hit@2": 1 / 2}
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-14)


def test_the_order_of_the_candidates_changes_no_bit(kernels):
    scores, clicks, indptr = make(50, levels=5, seed=3)
    within = torch.repeat_interleave(torch.arange(50), indptr.diff())
    shuffled = torch.randperm(len(scores), generator=torch.Generator().manual_seed(0))
    order = shuffled[within[shuffled].argsort(stable=True)]
    tables = [measured(kernels, scores[at], clicks[at], indptr) for at in (slice(None), order)]
    assert torch.equal(tables[0].nan_to_num(-1), tables[1].nan_to_num(-1))


def test_scores_and_their_probabilities_rank_alike(kernels):
    """A loss of probabilities with a sigmoid, or of raw scores: the ranking is the same."""
    scores, clicks, indptr = make(50, seed=4)
    probabilities = torch.from_numpy(sigmoid(scores.numpy()))
    ours, theirs = (measured(kernels, of, clicks, indptr) for of in (scores, probabilities))
    assert torch.equal(ours.nan_to_num(-1), theirs.nan_to_num(-1))


def test_one_class_and_nothing_are_undefined(kernels):
    scores = torch.tensor([1.0, 2, 3, 4, 5, 6])
    clicks = torch.tensor([True, True, False, False, True, False])
    table = measured(kernels, scores, clicks, torch.tensor([0, 2, 4, 4, 6]))
    assert table[:3].isnan().all()
    assert not table[3].isnan().any()
    assert measured(kernels, scores[:0], clicks[:0], torch.tensor([0, 0])).isnan().all()


@pytest.mark.launches_nothing
def test_no_impressions(device):
    nothing = torch.empty(0)
    assert measured(device, nothing, nothing.bool(), torch.tensor([0])).shape == (0, len(NAMES))


def test_infinite_scores_are_first_and_last(kernels):
    found = one(kernels, [math.inf, 0.0, -math.inf], [0, 1, 0])
    assert (found["auc"], found["mrr"]) == (0.5, 0.5)
    assert one(kernels, [0.0, -0.0], [1, 0])["auc"] == 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("most", "levels", "rate"), [(40, None, 0.05), (40, 7, 0.5), (700, 90, 0.4), (1500, None, 0.3)]
)
def test_the_reference_agrees(kernels, dtype, most, levels, rate):
    scores, clicks, indptr = make(12 if most > 100 else 300, most, levels, click_rate=rate)
    case = scores.to(dtype), clicks, indptr
    assert_same(measured(kernels, *case, (1, 5, 10, 900)), reference(*case, (1, 5, 10, 900)))


@settings(max_examples=60)
@given(data=st.data())
def test_any_impressions(kernels, data):
    case = make(
        data.draw(st.integers(1, 12)),
        data.draw(st.integers(0, 150)),
        data.draw(st.sampled_from([None, 1, 2, 9, 70])),
        data.draw(st.integers(0, 2**31)),
        data.draw(st.sampled_from([0.02, 0.3, 0.9])),
    )
    cutoffs = sorted(data.draw(st.sets(st.integers(1, 60), min_size=1, max_size=4)))
    assert_same(measured(kernels, *case, cutoffs), reference(*case, cutoffs))


def test_threads_and_instruction_sets_do_not_change_a_bit(threads):
    case = make(2000, 60, levels=20, seed=5)
    before = _core.isa()
    tables = []
    for isa in _core.isa_levels():
        _core.use_isa(isa)
        for count in (1, 2, 5):
            threads(count)
            tables.append(op.impression_metrics(*case).nan_to_num(-1))
    _core.use_isa(before)
    assert all(torch.equal(table, tables[0]) for table in tables)


def test_opcheck():
    scores, clicks, indptr = (
        torch.arange(6.0),
        torch.tensor([1, 0, 0, 0, 1, 0]).bool(),
        torch.tensor([0, 3, 6]),
    )
    torch.library.opcheck(op._impression_metrics.overload, (scores, clicks, indptr, [1, 5]))


# Bad input ------------------------------------------------------------------------------------------------

SOUND = {
    "scores": torch.tensor([1.0, 2, 3]),
    "clicks": torch.tensor([True, False, True]),
    "indptr": torch.tensor([0, 2, 3]),
}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scores": torch.tensor([1.0, math.nan, 3])}, r"scores\[1\] is NaN, which has no rank"),
        ({"indptr": torch.tensor([0, 4, 3])}, r"indptr\[2\] = 3, less than the 4 before it"),
        ({"indptr": torch.tensor([0, 2, 2])}, r"indptr\[2\] = 2, but there are 3 indices"),
        ({"indptr": torch.tensor([1, 2, 3])}, r"indptr\[0\] = 1, but row pointers start at 0"),
    ],
)
def test_wrong_values(device, wrong, message):
    with pytest.raises(DataError, match=message):
        measured(device, **{**SOUND, **wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scores": torch.tensor([1, 2, 3])}, r"scores has dtype int64, but float32 or float64 is needed"),
        ({"scores": torch.ones(3, 1)}, r"scores has shape \(3, 1\), but \(any,\) is needed"),
        ({"clicks": torch.tensor([1, 0, 1])}, r"clicks has dtype int64, but bool is needed"),
        ({"clicks": torch.tensor([True])}, r"clicks has shape \(1,\), but \(3,\) is needed"),
        ({"indptr": torch.tensor([0, 2, 3]).int()}, r"indptr has dtype int32, but int64 is needed"),
        ({"indptr": torch.tensor([], dtype=torch.int64)}, r"indptr is empty; pass \[0\]"),
    ],
)
def test_wrong_arrays(wrong, message):
    with pytest.raises(DataError, match=message):
        op.impression_metrics(**{**SOUND, **wrong})


@pytest.mark.parametrize(
    ("cutoffs", "message"),
    [
        ([], r"cutoffs is empty; pass one or more"),
        ([0, 1], r"cutoffs\[0\] = 0 is outside 1 to 65536"),
        ([1, 65537], r"cutoffs\[1\] = 65537 is outside 1 to 65536"),
        ([2, 2], r"cutoffs\[1\] = 2, but the one before is 2"),
        ("12", r"cutoffs = '12', but a list of whole numbers is needed"),
    ],
)
def test_wrong_cutoffs(cutoffs, message):
    with pytest.raises(ConfigError, match=message):
        op.impression_metrics(**SOUND, cutoffs=cutoffs)
