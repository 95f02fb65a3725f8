"""Paired tests over users: is the difference of two models more than chance?

Each user has a value under either model, and the differences are what is tested: their mean by Student's t-test, and
their ranks by Wilcoxon's signed-rank test (Biometrics, 1945), which asks less about how they are distributed. p-values
are two-sided; those of a family of tests are corrected by `holm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95

Values = NDArray[np.float64]


def _stats() -> Any:
    """``scipy.stats``; importing it takes half as long as importing pyrec, so only tests do."""
    return import_module("scipy.stats")


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: with p_(1) <= .. <= p_(m), max over j <= i of min(1, (m - j + 1) p_(j)).

    NaN (no test) stays, and is not counted in m. Source: Holm, Scandinavian Journal of Statistics, 1979.
    """
    p = np.array(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    p[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return [float(value) for value in p]


def relative_gain(ours: Values, base: Values, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """mean(ours) / mean(base) - 1 with its confidence interval, as fractions.

    By the delta method: r is the ratio of two means over the same n users. Its variance is about that of the mean of
    (ours_u - r base_u) / mean(base). Its interval is Student's with n - 1 degrees of freedom.

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
    _, half = mean_and_half((ours - ratio * base) / scale, confidence)
    return float(ratio - 1), float(ratio - 1 - half), float(ratio - 1 + half)


def mean_and_half(values: Values, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The mean of (n,) values and half the width of its confidence interval, Student's; NaN for one value."""
    n = len(values)
    if n < 2:
        return float(values.mean()), float("nan")
    quantile = _stats().t.ppf((1 + confidence) / 2, n - 1)
    return float(values.mean()), float(quantile * values.std(ddof=1) / np.sqrt(n))


def paired_t(ours: Values, base: Values) -> float:
    """The p-value of the paired t-test; NaN with fewer than two pairs, 1 without any difference."""
    difference = _differences(ours, base)
    if len(difference) < 2:
        return float("nan")
    if np.ptp(difference) == 0:  # t is undefined or infinite
        return float(difference[0] == 0)
    return float(_stats().ttest_1samp(difference, 0).pvalue)


def wilcoxon(ours: Values, base: Values) -> float:
    """The p-value of the signed-rank test, pairs without a difference dropped; 1 if none has one.

    NaN with fewer than two pairs.
    """
    difference = _differences(ours, base)
    if len(difference) < 2:
        return float("nan")
    return float(_stats().wilcoxon(difference).pvalue) if difference.any() else 1.0


def _differences(ours: Values, base: Values) -> Values:
    """Rounded, since means of the same values in another order differ in their last bits and would not tie."""
    return np.round(ours - base, 9)
