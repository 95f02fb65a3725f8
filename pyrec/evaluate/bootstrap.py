"""Bootstrap intervals over users, of what is computed from sums over users.

An estimate here is a function of sums over users, such as a ratio of two. Users are drawn with replacement, as often
as there are, and the estimate is computed from their sums; the interval is BCa: its ends are quantiles of these
values, moved for the estimate's bias and for how its error changes with its size (Efron, Journal of the American
Statistical Association, 1987). Plain percentiles reach too low where few users weigh much, as they do under small
propensities.

The interval allows for who the users are and for which of their pairs are in the test set: it is of the population that
the users are a sample of. For these very users, drawn pairs apart, it is on the wide side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyrec._checks import check_count
from pyrec.errors import ConfigError

RESAMPLES: Final = 1000
CONFIDENCE: Final = 0.95
MOST_RESAMPLES: Final = 1_000_000
DRAWN_AT_A_TIME: Final = 2**18

Sums = NDArray[np.float64]


class Interval(NamedTuple):
    """The ends of a confidence interval; NaN where none can be told."""

    low: float
    high: float


@dataclass(frozen=True)
class Statistic:
    """A function of sums over users.

    Attributes:
        columns: What is summed, float64 (num_users, C).
        of: Returns the values (...) of sums (..., C).
    """

    columns: Sums
    of: Callable[[Sums], Sums]

    def value(self) -> float:
        """Return the value of all users."""
        return float(self.of(self.columns.sum(axis=0)))


def ratio(sums: Sums) -> Sums:
    """Return the first sum by the second, NaN by 0."""
    above, below = sums[..., 0], sums[..., 1]
    values: Sums = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)
    return values


def intervals(
    statistics: Mapping[str, Statistic],
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """Return the BCa interval of each statistic over the same users; the resamples are the same for all.

    A statistic that some resample leaves undefined, as a ratio by 0, has NaN for both ends.

    Args:
        statistics: By name, at least one.
        resamples: Up to a million; 0 for no intervals, which are NaN then.
        seed: Of the draws.
        confidence: Of the intervals, between 0 and 1.

    Raises:
        ConfigError: If ``resamples`` or ``seed`` is out of range.
    """
    resamples = check_count("resamples", resamples, 0, MOST_RESAMPLES, ConfigError)
    seed = check_count("seed", seed, 0, 2**63 - 1, ConfigError)
    if resamples == 0:
        return dict.fromkeys(statistics, Interval(np.nan, np.nan))
    columns = np.concatenate([one.columns for one in statistics.values()], axis=1)
    drawn = _resampled(columns, resamples, seed)
    found, at = {}, 0
    for name, one in statistics.items():
        end = at + one.columns.shape[1]
        found[name] = _bca(one, one.of(drawn[:, at:end]), confidence)
        at = end
    return found


def _resampled(columns: Sums, resamples: int, seed: int) -> Sums:
    """Return the sums (resamples, C) over as many users as there are, drawn with replacement."""
    num_users, width = columns.shape
    rng = np.random.default_rng(seed)
    sums = np.empty((resamples, width))
    at_a_time = max(1, DRAWN_AT_A_TIME // max(1, num_users))
    for start in range(0, resamples, at_a_time):
        size = min(at_a_time, resamples - start)
        drawn = rng.integers(0, num_users, (size, num_users))
        drawn += np.arange(size)[:, None] * num_users
        counts = np.bincount(drawn.ravel(), minlength=size * num_users).reshape(size, num_users)
        # Not by the linear algebra library, whose sums may depend on its threads.
        sums[start : start + size] = np.einsum("bu,uc->bc", counts.astype(np.float64), columns)
    return sums


def _bca(statistic: Statistic, drawn: Sums, confidence: float) -> Interval:
    """Return the interval from the values of the resamples (B,)."""
    if not np.isfinite(drawn).all():
        return Interval(np.nan, np.nan)
    estimate = statistic.value()
    if np.ptp(drawn) == 0:
        return Interval(estimate, estimate)
    normal = NormalDist()
    below = float((drawn < estimate).mean() + (drawn == estimate).mean() / 2)
    least = 0.5 / len(drawn)
    bias = normal.inv_cdf(min(max(below, least), 1 - least))
    acceleration = _acceleration(statistic)
    ends = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        z = bias + normal.inv_cdf(tail)
        ends.append(normal.cdf(bias + z / (1 - acceleration * z)))
    return Interval(*np.quantile(drawn, ends).tolist())


def _acceleration(statistic: Statistic) -> float:
    """Return how the error changes with the estimate: a sixth of the skewness of what each user adds (jackknife)."""
    without = statistic.of(statistic.columns.sum(axis=0) - statistic.columns)
    without = without[np.isfinite(without)]
    added = without.mean() - without
    spread = float((added**2).sum())
    return float((added**3).sum() / (6 * spread**1.5)) if spread > 0 else 0.0
