"""Paired tests of two models, and what the one gains on the other.

Two ways to pair. Over users: a user's value is the mean over seeds on each split, and of those the mean over the
splits that test the user, so that each user counts once. Over folds and seeds: the mean over users of each pair of
runs with the same split and seed; splits of one data set share interactions and seeds share a split, so these are not
independent and the p-value is too small by some; the test over users is the one to rely on.

p-values are two-sided and corrected by Holm (Scandinavian Journal of Statistics, 1979) over the metrics of a family,
each test for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One metric of two models.

    Attributes:
        metric: Such as ``recall@20``.
        ours: Mean over users.
        base: Mean over users of what it is compared with.
        gain: ours / base - 1, in per cent.
        low: Lower end of its 95 % confidence interval.
        high: Upper end.
        num_users: Users paired.
        p_users: Paired t-test over users.
        p_wilcoxon: Wilcoxon's signed-rank test over users.
        num_runs: Pairs of runs.
        p_runs: Paired t-test over folds and seeds; NaN with fewer than two pairs.
    """

    metric: str
    ours: float
    base: float
    gain: float
    low: float
    high: float
    num_users: int
    p_users: float
    p_wilcoxon: float
    num_runs: int
    p_runs: float


def compare(metric: str, users: tuple[Values, Values], runs: tuple[Values, Values]) -> Comparison:
    """Compares two models by one metric; the p-values are not corrected yet.

    Args:
        metric: Its name.
        users: Values of ours and of the other's by user, (U,) each.
        runs: Means of ours and of the other's by pair of runs, (R,) each.
    """
    ours, base = users
    gain, low, high = relative_gain(ours, base)
    return Comparison(
        metric,
        *(float(ours.mean()), float(base.mean()), 100 * gain, 100 * low, 100 * high),
        *(len(ours), paired_t(ours, base), wilcoxon(ours, base), len(runs[0]), paired_t(*runs)),
    )


def correct(family: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of a family of metrics, with each test's p-values corrected by Holm."""
    names = ("p_users", "p_wilcoxon", "p_runs")
    corrected = [holm([getattr(one, name) for one in family]) for name in names]
    return [
        replace(one, **dict(zip(names, values, strict=True)))
        for one, *values in zip(family, *corrected, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: with p_(1) <= .. <= p_(m), max over j <= i of min(1, (m - j + 1) p_(j)).

    NaN (no test) stays, and is not counted in m.
    """
    p = np.array(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    p[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return p.tolist()


def relative_gain(ours: Values, base: Values, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """mean(ours) / mean(base) - 1 with its confidence interval, as fractions.

    By the delta method: the ratio r of two means over the same n users has about the variance of the mean of
    (ours_u - r base_u) / mean(base), and its interval is Student's with n - 1 degrees of freedom.

    Args:
        ours: (n,) values.
        base: (n,) values of the same users.
        confidence: Of the interval.

    Returns:
        (gain, lower end, upper end); NaN where the base is 0 or n is 1.
    """
    n, scale = len(base), base.mean()
    if scale == 0 or n < 2:
        return (float("nan"),) * 3
    ratio = ours.mean() / scale
    residuals = (ours - ratio * base) / scale
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * residuals.std(ddof=1) / np.sqrt(n)
    return float(ratio - 1), float(ratio - 1 - half), float(ratio - 1 + half)


def paired_t(ours: Values, base: Values) -> float:
    """The p-value of the paired t-test; NaN with fewer than two pairs, 1 without any difference."""
    difference = _differences(ours, base)
    if len(difference) < 2:
        return float("nan")
    if np.ptp(difference) == 0:  # t is undefined or infinite
        return float(difference[0] == 0)
    return float(stats.ttest_1samp(difference, 0).pvalue)


def wilcoxon(ours: Values, base: Values) -> float:
    """The p-value of the signed-rank test, pairs without a difference dropped; 1 if none has one."""
    difference = _differences(ours, base)
    return float(stats.wilcoxon(difference).pvalue) if difference.any() else 1.0


def _differences(ours: Values, base: Values) -> Values:
    """Rounded, since means of the same values in another order differ in their last bits and would not tie."""
    return np.round(ours - base, 9)
