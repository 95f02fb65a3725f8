"""Two models on the same test users: means, differences, and whether these are more than chance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyrec.errors import DataError
from pyrec.evaluate import Evaluation
from pyrec.significance import Values, holm, mean_and_half, paired_t, wilcoxon


@dataclass(frozen=True)
class Difference:
    """One metric of two models.

    Attributes:
        metric: Such as ``recall@20``.
        first: The first model's mean over users; of a metric of the items, its value.
        second: The second model's.
        difference: second - first.
        half: Half the width of the difference's 95 % confidence interval (Student's, paired over users).
        p_t: Paired t-test over users, corrected by Holm over the metrics that are compared.
        p_wilcoxon: Wilcoxon's signed-rank test over users, corrected likewise.

    A metric of the items (coverage, Gini, ...) has no values by user: ``half`` and both p-values are NaN, as they are
    of a single user.
    """

    metric: str
    first: float
    second: float
    difference: float
    half: float
    p_t: float
    p_wilcoxon: float


def compare(first: Evaluation, second: Evaluation) -> list[Difference]:
    """Compare two models by every metric that both were measured by.

    The family of tests that Holm's correction is about are the metrics of users that are compared: fewer metrics and
    cut-offs, chosen beforehand, make a stronger test.

    Args:
        first: What `pyrec.evaluate` returned for one model.
        second: And for the other, on the same test interactions.

    Returns:
        One entry a metric, in the order of ``first``.

    Raises:
        DataError: If they were measured on different users, or have no metric in common.
    """
    common = [name for name in first.metrics if name in second.metrics]
    if not common:
        raise DataError("the evaluations have no metric in common; measure both with the same k and metrics")
    order = pair_users(first.users, second.users)
    rows = [_difference(name, first, second, order) for name in common]
    corrected = zip(holm([row.p_t for row in rows]), holm([row.p_wilcoxon for row in rows]), strict=True)
    return [
        replace(row, p_t=p_t, p_wilcoxon=p_wilcoxon)
        for row, (p_t, p_wilcoxon) in zip(rows, corrected, strict=True)
    ]


def pair_users(first: NDArray[np.generic], second: NDArray[np.generic]) -> NDArray[np.intp]:
    """Return where each user of ``first`` (U,) is in ``second`` (U,), int (U,).

    Raises:
        DataError: If they are not the same users.
    """
    only = np.setxor1d(first, second) if first.dtype.kind == second.dtype.kind else first
    if len(only):
        raise DataError(
            f"the evaluations are of {len(first)} and {len(second)} users, and {only[:1].tolist()[0]!r} is in one of "
            "them alone; measure both models on the same test interactions"
        )
    by_id = np.argsort(second, kind="stable")
    return by_id[np.searchsorted(second, first, sorter=by_id)]


def _difference(name: str, first: Evaluation, second: Evaluation, order: NDArray[np.intp]) -> Difference:
    means = first.metrics[name], second.metrics[name]
    nan = float("nan")
    if name not in first.per_user:
        return Difference(name, *means, means[1] - means[0], nan, nan, nan)
    a: Values = first.per_user[name]
    b: Values = second.per_user[name][order]
    mean, half = mean_and_half(b - a)
    return Difference(name, *means, mean, half, paired_t(b, a), wilcoxon(b, a))
