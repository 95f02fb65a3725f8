"""Two models on the same impressions: means, differences, and whether these are more than chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.impressions import ImpressionEvaluation
from pyrec.evaluate.significance import Values, clustered_t, holm, mean_and_half, paired_t, wilcoxon


@dataclass(frozen=True)
class ImpressionDifference:
    """One metric of two models.

    Attributes:
        metric: Such as ``auc``.
        first: The first model's mean over impressions.
        second: The second model's.
        difference: second - first.
        half: Half the width of the difference's 95 % confidence interval.
        p_t: Student's test, corrected by Holm over the metrics that are compared.
        p_wilcoxon: Wilcoxon's signed-rank test, corrected likewise; of readers, over their mean differences.
        num_impressions: Impressions that both means are over.
        num_clusters: What the tests take for independent: these impressions, or their readers.
    """

    metric: str
    first: float
    second: float
    difference: float
    half: float
    p_t: float
    p_wilcoxon: float
    num_impressions: int
    num_clusters: int


def compare_impressions(
    first: ImpressionEvaluation,
    second: ImpressionEvaluation,
    over: Literal["readers", "impressions"] = "readers",
) -> list[ImpressionDifference]:
    """Compare two models by every metric that both were measured by, on the same impressions.

    Impressions of one reader resemble each other, so tests that take each for independent find too much. Over readers,
    the difference is still the mean over impressions, but its error is that of a mean over clusters
    (`pyrec.evaluate.significance.clustered_t`). An impression of an unknown reader is a cluster of its own.

    Args:
        first: What `pyrec.evaluate_impressions` returned for one model.
        second: And for the other.
        over: What is taken for independent.

    Returns:
        One entry a metric, in the order of ``first``.

    Raises:
        ConfigError: If ``over`` is neither.
        DataError: If they were measured on different impressions, or have no metric in common.
    """
    if over not in ("readers", "impressions"):
        raise ConfigError(f"over = {over!r} is neither 'readers' nor 'impressions'")
    for name, one in (("first", first), ("second", second)):
        if not isinstance(one, ImpressionEvaluation):
            raise DataError(
                f"{name} is a {type(one).__name__}, but what pyrec.evaluate_impressions returned is needed"
            )
    common = [name for name in first.metrics if name in second.metrics]
    if not common:
        raise DataError("the evaluations have no metric in common; measure both with the same cut-offs")
    _check_same(first, second, common[0])
    there = ~np.isnan(first.per_impression[common[0]])
    clusters = _clusters(first, there) if over == "readers" else None
    rows = [
        _difference(name, first.per_impression[name][there], second.per_impression[name][there], clusters)
        for name in common
    ]
    corrected = zip(holm([row.p_t for row in rows]), holm([row.p_wilcoxon for row in rows]), strict=True)
    return [
        replace(row, p_t=p_t, p_wilcoxon=p_wilcoxon)
        for row, (p_t, p_wilcoxon) in zip(rows, corrected, strict=True)
    ]


def _check_same(first: ImpressionEvaluation, second: ImpressionEvaluation, name: str) -> None:
    a, b = first.per_impression[name], second.per_impression[name]
    same = (
        len(a) == len(b)
        and first.counts == second.counts
        and np.array_equal(np.isnan(a), np.isnan(b))
        and np.array_equal(first.readers, second.readers)
    )
    if not same:
        raise DataError(
            f"the evaluations are of {len(a)} and {len(b)} impressions, which are not the same ones; measure both "
            "models on the same impressions"
        )


def _clusters(one: ImpressionEvaluation, there: NDArray[np.bool_]) -> NDArray[np.intp]:
    """A number for each measured impression (m,), the same for those of one reader."""
    _, numbers = np.unique(one.readers[there], return_inverse=True)
    unknown = ~one.is_known[there]
    numbers[unknown] = numbers.max(initial=-1) + 1 + np.arange(unknown.sum())
    return np.unique(numbers, return_inverse=True)[1]


def _difference(
    name: str, first: Values, second: Values, clusters: NDArray[Any] | None
) -> ImpressionDifference:
    change, count = second - first, len(first)
    if clusters is None:
        mean, half = mean_and_half(change)
        p_t, p_ranks, num_clusters = paired_t(second, first), wilcoxon(second, first), count
    else:
        mean, half, p_t = clustered_t(change, clusters)
        of_readers = np.bincount(clusters, weights=change) / np.bincount(clusters)
        p_ranks, num_clusters = wilcoxon(of_readers, np.zeros_like(of_readers)), len(of_readers)
    means = float(first.mean()), float(second.mean())
    return ImpressionDifference(name, *means, mean, half, p_t, p_ranks, count, num_clusters)
