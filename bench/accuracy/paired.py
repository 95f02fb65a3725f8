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

from pyrec.evaluate.significance import Values, holm, paired_t, relative_gain, wilcoxon


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
