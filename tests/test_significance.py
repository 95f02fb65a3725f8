"""Paired tests over users and groups of users by activity, each against hand, resampling or definition."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from pyrec.errors import DataError
from pyrec.evaluate.by_degree import activity_groups, by_activity
from pyrec.evaluate.significance import corrected_t, holm, mean_and_half, paired_t, relative_gain, wilcoxon


def test_holm_by_hand() -> None:
    # Four tests: 4 x .005, 3 x .01, then max(.03, 2 x .03) and max(.06, 1 x .04).
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    adjusted = holm([0.02, float("nan"), 0.03])
    assert adjusted[::2] == pytest.approx([0.04, 0.04])
    assert np.isnan(adjusted[1])


def test_the_interval_of_a_gain_is_about_the_bootstraps() -> None:
    rng = np.random.default_rng(1)
    base = rng.random(400)
    ours = 1.1 * base + rng.normal(0, 0.1, 400)
    gain, low, high = relative_gain(ours, base)
    assert gain == pytest.approx(ours.mean() / base.mean() - 1)
    drawn = rng.integers(0, 400, (4000, 400))
    ratios = ours[drawn].mean(axis=1) / base[drawn].mean(axis=1) - 1
    assert (low, high) == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=2e-3)
    assert np.isnan(relative_gain(np.ones(3), np.zeros(3))).all()


def test_p_values_at_the_ends() -> None:
    same = np.array([0.1, 0.2, 0.3])
    assert paired_t(same, same) == wilcoxon(same, same) == 1
    assert paired_t(same + 0.5, same) == 0
    assert np.isnan(paired_t(same[:1], same[:1]))
    noisy = same + np.array([1e-17, 0, 0.4])
    assert wilcoxon(noisy, same) == stats.wilcoxon([0.4]).pvalue


def test_one_value_has_no_interval_and_no_test() -> None:
    one, other = np.array([2.5]), np.array([1.0])
    mean, half = mean_and_half(one)
    assert mean == 2.5
    assert np.isnan([half, paired_t(one, other), wilcoxon(one, other), wilcoxon(one, one)]).all()
    assert np.isnan(by_activity(np.array([1, 2, 2]), np.arange(3.0), bins=3).halves[0])


def test_the_correction_for_splits_by_hand() -> None:
    """Differences .02, .04, .00, .02: mean .02, variance .0008 / 3, ratio 1/4, so t = .02 / sqrt(.5 x .0008 / 3)."""
    base = np.array([0.7, 0.71, 0.69, 0.72])
    found = corrected_t(base + np.array([0.02, 0.04, 0.0, 0.02]), base, 0.25)
    error = np.sqrt(0.5 * 0.0008 / 3)
    assert found.difference == pytest.approx(0.02)
    assert found.p == pytest.approx(2 * stats.t.sf(0.02 / error, 3))
    assert found.half == pytest.approx(3.182446 * error, rel=1e-6)
    assert corrected_t(base, base, 0.25)[1:] == (0, 1)
    assert corrected_t(base + 0.5, base, 0.25)[1:] == (0, 0)
    assert np.isnan(corrected_t(base[:1], base[1:2], 0.25)[1:]).all()


def test_without_overlap_the_correction_is_the_paired_test() -> None:
    ours, base = np.random.default_rng(0).normal(size=(2, 12))
    found = corrected_t(ours, base, 0.0)
    assert found.p == pytest.approx(paired_t(ours, base), rel=1e-6)
    assert found.half == pytest.approx(mean_and_half(ours - base)[1], rel=1e-6)


def test_the_correction_keeps_its_level_on_correlated_splits() -> None:
    """Ten splits whose differences are correlated by .2, which is a ratio of .25, and have mean 0."""
    rng = np.random.default_rng(1)
    draws = np.sqrt(0.2) * rng.normal(size=(4000, 1)) + np.sqrt(0.8) * rng.normal(size=(4000, 10))
    zero = np.zeros(10)
    corrected = np.mean([corrected_t(draw, zero, 0.25).p < 0.05 for draw in draws])
    usual = np.mean([paired_t(draw, zero) < 0.05 for draw in draws[:500]])
    assert corrected == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 4000))
    assert usual > 0.2


def test_the_correction_refuses_what_are_no_splits() -> None:
    two = np.array([1.0, 2.0])
    with pytest.raises(DataError, match="ours has 2 values and base 1"):
        corrected_t(two, two[:1], 0.1)
    with pytest.raises(DataError, match=r"test_to_train = -1\.0 must be at least 0"):
        corrected_t(two, two, -1.0)
    with pytest.raises(DataError, match="ours has 0 values and base 0"):
        corrected_t(two[:0], two[:0], 0.1)


def test_users_of_a_degree_stay_together() -> None:
    degrees = np.array([1] * 50 + [2] * 30 + list(range(3, 23)))
    groups = activity_groups(degrees, bins=4)
    assert sorted(np.concatenate(groups)) == list(range(100))
    spans = [(degrees[group].min(), degrees[group].max()) for group in groups]
    assert spans[0] == (1, 1)
    assert all(high < low for (_, high), (low, _) in pairwise(spans))


def test_groups_say_what_they_hold() -> None:
    degrees = np.array([3, 1, 1, 1000, 5, 9, 2000, 1])
    values = np.arange(8.0)
    groups = by_activity(degrees, values, bins=2)
    assert groups.labels == ["1 to 3", "5 to 2,000"]
    assert groups.sizes.tolist() == [4, 4]
    assert groups.means.tolist() == [(0 + 1 + 2 + 7) / 4, (3 + 4 + 5 + 6) / 4]
    low, high = stats.t.interval(0.95, 3, groups.means[1], stats.sem([3, 4, 5, 6]))
    assert (low, high) == pytest.approx(
        (groups.means[1] - groups.halves[1], groups.means[1] + groups.halves[1])
    )
