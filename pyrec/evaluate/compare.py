"""Two models on the same test users: means, differences, and whether these are more than chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.pairs import PairEvaluation
from pyrec.evaluate.ranking import Evaluation
from pyrec.evaluate.significance import Values, holm, mean_and_half, paired_t, wilcoxon


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
        num_users: Users that both means are over.

    A metric of the items (coverage, Gini, ...) has no values by user: ``half`` and both p-values are NaN, as they are
    of a single user. Log losses of pairs are compared by the mean of each user's, since a test is over users.
    """

    metric: str
    first: float
    second: float
    difference: float
    half: float
    p_t: float
    p_wilcoxon: float
    num_users: int


def compare(
    first: Evaluation | PairEvaluation,
    second: Evaluation | PairEvaluation,
    users: Literal["all", "warm"] = "all",
) -> list[Difference]:
    """Compare two models by every metric that both were measured by, over the same users.

    The family of tests that Holm's correction is about are the metrics of users that are compared: fewer metrics and
    cut-offs, chosen beforehand, make a stronger test.

    Args:
        first: What `pyrec.evaluate` or `pyrec.evaluate_pairs` returned for one model.
        second: And for the other, on the same test interactions.
        users: Over all users with test items, or over the warm ones alone: those with training interactions of both
            models. Where models differ in who is warm, metrics of the items have no value over the warm ones and are
            left out.

    Returns:
        One entry a metric, in the order of ``first``.

    Raises:
        ConfigError: If ``users`` is neither.
        DataError: If they were measured on different users, have no metric in common, or no user is warm in both.
    """
    if users not in ("all", "warm"):
        raise ConfigError(f"users = {users!r} is neither 'all' nor 'warm'")
    common = [name for name in first.metrics if name in second.metrics]
    if not common:
        raise DataError("the evaluations have no metric in common; measure both with the same k and metrics")
    order = pair_users(first.users, second.users)
    if users == "all":
        rows = [_difference(name, first, second, order) for name in common]
    else:
        rows = _warm_differences(common, first, second, order)
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


def warm_in_both(
    first: Evaluation | PairEvaluation, second: Evaluation | PairEvaluation
) -> NDArray[np.bool_]:
    """Return which users of ``first`` (U,) have training interactions of both models, bool (U,).

    Raises:
        DataError: If they were measured on different users.
    """
    return first.is_warm & second.is_warm[pair_users(first.users, second.users)]


def _warm_differences(
    names: list[str],
    first: Evaluation | PairEvaluation,
    second: Evaluation | PairEvaluation,
    order: NDArray[np.intp],
) -> list[Difference]:
    warm = warm_in_both(first, second)
    if not warm.any():
        raise DataError("no test user has training interactions of both models; compare over users = 'all'")
    agree = warm.sum() == first.is_warm.sum() == second.is_warm.sum()
    sides = _of_rows(first, warm), _of_rows(second, order[warm])
    paired = np.arange(warm.sum())
    return [
        _difference(name, *sides, paired)
        for name in names
        if name in sides[0].metrics and (agree or name in first.per_user)
    ]


class _Side(NamedTuple):
    """What of a measurement is compared."""

    metrics: dict[str, float]
    per_user: dict[str, Values]


def _of_rows(one: Evaluation | PairEvaluation, rows: NDArray[Any]) -> _Side:
    """Return what is known of warm users (U,): metrics of all pairs at once are not."""
    per_user = {name: values[rows] for name, values in one.per_user.items()}
    of_items = one.warm_metrics if isinstance(one, Evaluation) else {}
    return _Side(of_items | {name: _mean(values) for name, values in per_user.items()}, per_user)


def _mean(values: Values) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


Compared: TypeAlias = Evaluation | PairEvaluation | _Side


def _difference(name: str, first: Compared, second: Compared, order: NDArray[np.intp]) -> Difference:
    means = first.metrics[name], second.metrics[name]
    nan, num_users = float("nan"), len(order)
    if name not in first.per_user:
        return Difference(name, *means, means[1] - means[0], nan, nan, nan, num_users)
    a: Values = first.per_user[name]
    b: Values = second.per_user[name][order]
    over = ~(np.isnan(a) | np.isnan(b))
    a, b = a[over], b[over]
    if not len(a):
        return Difference(name, *means, nan, nan, nan, nan, 0)
    if name.endswith("log_loss"):  # of pairs; a test over users is of the users' means
        means = float(a.mean()), float(b.mean())
    mean, half = mean_and_half(b - a)
    return Difference(name, *means, mean, half, paired_t(b, a), wilcoxon(b, a), len(a))
