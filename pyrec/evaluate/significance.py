"""Paired tests over users and over splits: is the difference of two models more than chance?

Each user has a value under either model, and the differences are what is tested: their mean by Student's t-test, and
their ranks by Wilcoxon's signed-rank test (Biometrics, 1945), which asks less about how they are distributed. p-values
are two-sided; those of a family of tests are corrected by `holm`.

Of random splits of the same data, training and test sets overlap. So the differences of splits are correlated, and a
usual t-test finds too much. `corrected_t` allows for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyrec._checks import check_real
from pyrec.errors import DataError
from pyrec.evaluate.pair_metrics import check_finite_array

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


class Corrected(NamedTuple):
    """A mean difference over splits or clusters.

    Attributes:
        difference: The mean of ours - base.
        half: Half the width of its 95 % confidence interval; NaN for a single one.
        p: The p-value; NaN for a single one, 1 without any difference.
    """

    difference: float
    half: float
    p: float


def corrected_t(
    ours: Values, base: Values, test_to_train: float, confidence: float = CONFIDENCE
) -> Corrected:
    """Student's test over J random splits with the variance (1/J + n_test/n_train) s², and J - 1 degrees of freedom.

    The usual variance is s²/J. The second term stands for the correlation that splits of the same data have, which
    nothing estimates without bias; at ratio r it is exact for a correlation of r / (1 + r). Several starts of one split
    are no splits: give their mean.

    Args:
        ours: (J,) values, one a split, such as AUC.
        base: (J,) values on the same splits.
        test_to_train: Examples that a split tests on by those it trains on, n_test / n_train; 0 for independent ones.
        confidence: Of the interval.

    Raises:
        DataError: If lengths differ, or the ratio is no finite number of at least 0.

    Source: Nadeau and Bengio, Inference for the generalization error, Machine Learning, 2003.
    """
    ours, base = (
        check_finite_array(name, given).astype(np.float64) for name, given in (("ours", ours), ("base", base))
    )
    if len(ours) != len(base) or not len(ours):
        raise DataError(f"ours has {len(ours)} values and base {len(base)}; both have one a split")
    ratio = check_real("test_to_train", test_to_train, DataError, positive=False)
    difference = _differences(ours, base)
    mean, count = float(difference.mean()), len(difference)
    if count < 2:
        return Corrected(mean, float("nan"), float("nan"))
    error = float(np.sqrt((1 / count + ratio) * difference.var(ddof=1)))
    if np.ptp(difference) == 0:  # t is undefined or infinite
        return Corrected(mean, 0.0, float(mean == 0))
    t = _stats().t(count - 1)
    return Corrected(mean, float(t.ppf((1 + confidence) / 2) * error), float(2 * t.sf(abs(mean) / error)))


def clustered_t(
    differences: Values, clusters: NDArray[np.integer], confidence: float = CONFIDENCE
) -> Corrected:
    """Student's test of a mean whose values come in clusters, such as a reader's impressions.

    With n values in G clusters, mean m and e_g the sum of (value - m) over a cluster, the mean's variance is
    G / (G - 1) Σ_g e_g² / n², and there are G - 1 degrees of freedom. Clusters are independent; values within one need
    not be.

    Args:
        differences: (n,) values.
        clusters: (n,) each value's cluster, whole numbers.
        confidence: Of the interval.

    Returns:
        The mean, half its interval and the p-value; the last two are NaN with fewer than two clusters.

    Raises:
        DataError: If a value is not finite, there is none, or clusters are no whole numbers or not one a value.

    Source: Liang and Zeger, Longitudinal data analysis using generalized linear models, Biometrika, 1986.
    """
    values = np.round(check_finite_array("differences", differences).astype(np.float64), 9)
    of = check_finite_array("clusters", clusters)
    if of.dtype.kind not in "iu" or of.shape != values.shape or not len(values):
        raise DataError(
            f"clusters is {of.dtype} {of.shape}, but whole numbers {values.shape} are needed: one a difference"
        )
    mean = float(values.mean())
    numbers, of = np.unique(of, return_inverse=True)
    count = len(numbers)
    if count < 2:
        return Corrected(mean, float("nan"), float("nan"))
    if np.ptp(values) == 0:  # t is undefined or infinite
        return Corrected(mean, 0.0, float(values[0] == 0))
    errors = np.bincount(of, weights=values - mean)
    error = float(np.sqrt(count / (count - 1) * np.square(errors).sum()) / len(values))
    t = _stats().t(count - 1)
    return Corrected(mean, float(t.ppf((1 + confidence) / 2) * error), float(2 * t.sf(abs(mean) / error)))


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
