"""Evaluation: every test user's ranking against their test items, and what the rankings do to the items.

Accuracy of one user's list ``i_1 .. i_k`` against their test items T, averaged over the users that have any: each
user counts once, however many test items they have (definitions of LightGCN, He et al., SIGIR 2020):

- ``precision@k`` = hits / k
- ``recall@k`` = hits / |T|
- ``ndcg@k`` = Σ_j [i_j ∈ T] / log2(j + 1)  /  Σ_{j ≤ min(k, |T|)} 1 / log2(j + 1)
- ``hit@k`` = 1 if there is any hit, else 0
- ``mrr@k`` = 1 / position of the first hit, 0 without one
- ``map@k`` = Σ_j [i_j ∈ T] precision@j / min(k, |T|)

What the lists do to the items, by the formulas of `pyrec.evaluate.item_metrics`:

- ``coverage@k``: the share of the items that are in any list
- ``popularity@k``: the mean number of training users of a recommended item
- ``popularity_rank@k``: the mean place of a recommended item by popularity, over the number of items
- ``novelty@k``: the mean self-information of a recommended item, in bits
- ``head@k``: the share of the recommendations that go to the fifth of the items with most training users
- ``gini@k``: 0 if all items are recommended equally often, near 1 if a few take all

An empty place of a short list is no hit and no recommendation.

Each metric has two means. One is over all users with test items. The other is over those of them that are warm: they
have training interactions. A cold user's list follows no history, so a mean over many of them says little of a model.
Metrics of users have a third: over the warm users' test interactions with warm items alone, those that anybody had in
training. A model of interactions finds no others but by chance.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec._ambient import defaults
from pyrec._arrays import tensor_of
from pyrec._checks import check_count, warn_caller
from pyrec.data import Interactions, Ragged
from pyrec.data.ragged import as_ragged
from pyrec.errors import ConfigError, DataWarning
from pyrec.evaluate.asked import Ranker, asked, check_cutoffs, check_test, listed_metrics, ranked_lists
from pyrec.evaluate.bootstrap import RESAMPLES
from pyrec.evaluate.counts import EvaluationCounts, count_test
from pyrec.evaluate.estimators import Correction, Estimation, Estimator, KnowsPropensities, estimate
from pyrec.evaluate.item_metrics import ITEM_METRICS, item_metrics
from pyrec.evaluate.tables import metric_rows, table
from pyrec.ops.metrics import METRICS, item_counts, ranking_metrics

USER_METRICS: tuple[str, ...] = tuple(METRICS)

KNOWN = (*USER_METRICS, *ITEM_METRICS)
METRICS_SHOWN = 3
"""In a `repr`."""


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The outcome of `evaluate`; ``print`` shows its `summary`.

    Attributes:
        metrics: Each metric's value such as ``{"precision@20": 0.17}``, over all users with test items.
        warm_metrics: The same over the warm ones of these users alone, who have training interactions; NaN without any.
        warm_item_metrics: The accuracy metrics of the warm users over their test interactions with warm items alone.
        per_user: Each accuracy metric's values by user, float64 (num_users,): for significance tests.
        users: The raw ids of those users (num_users,).
        is_warm: Whether they have training interactions, bool (num_users,).
        lists: Their recommendations, int32 internal ids (num_users, largest cut-off); -1 pads a short one.
        is_fallback: Which of them are by popularity for want of a history, bool, as `lists`.
        counts: How many users and interactions of the test set are cold, and more.
        seconds: Wall time of ranking and measuring.
    """

    metrics: dict[str, float]
    warm_metrics: dict[str, float]
    warm_item_metrics: dict[str, float]
    per_user: dict[str, NDArray[np.float64]]
    users: NDArray[Any]
    is_warm: NDArray[np.bool_]
    lists: NDArray[np.int32]
    is_fallback: NDArray[np.bool_]
    counts: EvaluationCounts
    seconds: float

    def __getitem__(self, name: str) -> float:
        return self.metrics[name]

    @property
    def num_users(self) -> int:
        """Users with test items."""
        return self.counts.num_users

    @property
    def num_cold_users(self) -> int:
        """Users with test items and no training interaction."""
        return self.counts.num_cold_users

    @property
    def num_fallback_lists(self) -> int:
        """Cold users whose lists are the popular items."""
        return int((self.is_fallback[:, 0] & ~self.is_warm).sum())

    @property
    def num_short_lists(self) -> int:
        """Users for whom fewer items than the largest cut-off were left to recommend."""
        return int((self.lists[:, -1] < 0).sum())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of ``metrics`` may not expect, a sentence each."""
        return (*self.counts.notes, *self.list_notes)

    @property
    def list_notes(self) -> tuple[str, ...]:
        """Those of `notes` that are about the lists; the others are about the test set alone."""
        notes = []
        if self.num_fallback_lists:
            notes.append(
                f"the lists of {self.num_fallback_lists:,} cold users are the popular items; with fallback 'none' the "
                "model ranks for them as well"
            )
        if self.counts.num_cold_interactions and self.counts.num_warm_users and self.warm_item_metrics:
            name = self._first_name()
            who = " of the warm users" if self.num_cold_users else ""
            notes.append(
                f"without cold items {name}{who} is {self.warm_item_metrics[name]:.4f}, with them "
                f"{self.warm_metrics[name]:.4f}"
            )
        if self.num_short_lists:
            k = self.lists.shape[1]
            notes.append(
                f"{self.num_short_lists:,} of {self.num_users:,} test users have fewer than {k} items left to "
                f"recommend; precision@{k} still divides by {k}"
            )
        return tuple(notes)

    def _first_name(self) -> str:
        """Return the name of a metric of users at the largest cut-off: recall, if it was measured."""
        names = [name for name in self.per_user if name.endswith(f"@{self.lists.shape[1]}")]
        return next((name for name in names if name.startswith("recall")), names[0])

    def columns(self, label: str, warm_label: str | None = None) -> dict[str, dict[str, float]]:
        """Return the means by column title: over all users and, if some but not all are cold, over the warm ones."""
        columns = {label: self.metrics}
        if 0 < self.num_cold_users < self.num_users:
            columns[warm_label or f"{label}, warm"] = self.warm_metrics
        return columns

    def summary(self) -> str:
        """Return a table of the metrics, and below it who they are over."""
        columns = self.columns(f"{self.num_users:,} users", f"{self.counts.num_warm_users:,} warm ones")
        return "\n".join([table(metric_rows(columns)), *(f"note: {note}" for note in self.notes)])

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        k = f"@{self.lists.shape[1]}"
        names = [name for name in self.metrics if name.endswith(k)]
        means = ", ".join(f"{name} {self.metrics[name]:.4f}" for name in names[:METRICS_SHOWN])
        more = ", ..." if len(self.metrics) > METRICS_SHOWN else ""
        users = f"{self.num_users:,} users, {self.num_cold_users:,} of them cold"
        items = f"{self.counts.num_items:,} items, {self.counts.num_cold_items:,} of them cold"
        return f"Evaluation({users}; {items}: {means}{more})"


@overload
def evaluate(
    model: Ranker,
    test: Interactions,
    k: int | Sequence[int] = ...,
    metrics: Sequence[str] | None = ...,
    batch_size: int = ...,
    candidates: Ragged | csr_array | None = ...,
    fallback: Literal["popularity", "none"] = ...,
    *,
    propensities: None = ...,
) -> Evaluation: ...


@overload
def evaluate(
    model: Ranker,
    test: Interactions,
    k: int | Sequence[int] = ...,
    metrics: Sequence[str] | None = ...,
    batch_size: int = ...,
    *,
    fallback: Literal["popularity", "none"] = ...,
    propensities: KnowsPropensities | npt.ArrayLike,
    estimator: Estimator | None = ...,
    imputation: Any = ...,
    resamples: int = ...,
    seed: int = ...,
) -> Estimation: ...


@defaults()
def evaluate(
    model: Ranker,
    test: Interactions,
    k: int | Sequence[int] = (10, 20),
    metrics: Sequence[str] | None = None,
    batch_size: int = 16_384,
    candidates: Ragged | csr_array | None = None,
    fallback: Literal["popularity", "none"] = "popularity",
    *,
    propensities: KnowsPropensities | npt.ArrayLike | None = None,
    estimator: Estimator | None = None,
    imputation: Any = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation | Estimation:
    """Rank all items for every user with test items, leaving out their training items, and measure the lists.

    With ``propensities`` the test set is taken for a log that users, or a recommender, chose the pairs of. Then the
    metrics of all users' lists are *estimated*, see `pyrec.evaluate.estimators` for what they are and what has to
    hold.

    Args:
        model: A fitted model, or anything with the methods of `Ranker`.
        test: Held-out interactions, with the id maps of the model's training set. Those of a weight or a label of 0 or
            less are nothing to be found.
        k: Cut-off or cut-offs, each from 1 to the number of items and to 1,024.
        metrics: Which of `USER_METRICS` and `ITEM_METRICS`; None for all.
        batch_size: Users ranked at a time.
        candidates: For each user the only items to rank, (num_users, num_items): `pyrec.data.Ragged` or a CSR matrix.
            Training items among them are left out all the same. A test item that is no candidate counts as not found.
            None for all items.
        fallback: What a model's `topk` does for users without a history: ``"popularity"`` gives them the most popular
            items; ``"none"`` leaves them to the model.
        propensities: How likely each test pair was to be in the test set: `pyrec.debias.Propensities`, anything with a
            method ``of(users, items, labels)``, or numbers (n,) in the order of ``test``, above 0 and at most 1.
        estimator: With propensities: ``"ips"`` (the default), ``"snips"`` or ``"dr"``. The last two need labels of both
            kinds.
        imputation: For ``"dr"``, what stands in for labels that were not observed: probabilities (num_users,
            num_items); a function from internal ids of users (n,) and items (n,) to probabilities (n,); a model whose
            pair scores are calibrated on the log; None for ``model`` itself. ``pooled_recall`` asks for all pairs of
            users and items, a million at a time, and takes as long.
        resamples: With propensities: draws of the bootstrap over users; 0 for no intervals.
        seed: Of these draws.

    Returns:
        The metrics' means, over all test users and over the warm ones, their values by user, and what is cold. With
        propensities an `pyrec.evaluate.estimators.Estimation`: estimates with intervals.

    Raises:
        NotFittedError: If the model is not fitted.
        DataError: If ``test`` is empty, has other users or items than the model, ``k`` exceeds the items, or
            ``model`` is none; or ``candidates`` have another type or shape. If a propensity is 0, not finite or above
            1, or an estimator needs negatives and there are none.
        ConfigError: If a metric is unknown, ``k`` or ``batch_size`` is out of range, or ``fallback`` is neither
            value. If ``estimator`` is unknown, is given without propensities, or comes with ``candidates``.
    """
    if propensities is None and (estimator is not None or imputation is not None):
        raise ConfigError("estimator and imputation are for a log with propensities; give propensities, too")
    if propensities is not None and candidates is not None:
        raise ConfigError(
            "candidates and propensities exclude each other: an estimate is of lists of all items"
        )
    with asked(model, Ranker, "training_set and topk") as state:
        if propensities is not None:
            correction = Correction(propensities, estimator or "ips", imputation, resamples, seed)
            return estimate(state, test, k, metrics, batch_size, fallback, correction)
        return _evaluate(state, test, k, metrics, batch_size, candidates, fallback)


def _evaluate(
    model: Ranker,
    test: Interactions,
    k: int | Sequence[int],
    metrics: Sequence[str] | None,
    batch_size: int,
    candidates: Ragged | csr_array | None,
    fallback: str,
) -> Evaluation:
    train = model.training_set()
    check_test(test, train)
    test = test.positives()
    check_test(test, train)
    cutoffs = check_cutoffs(k, train.num_items)
    names = listed_metrics(metrics, KNOWN, ("recall", "ndcg"), f"known are {', '.join(KNOWN)}")
    batch_size = check_count("batch_size", batch_size, 1, None, ConfigError)
    lists_of = None
    if candidates is not None:
        lists_of = as_ragged("candidates", candidates, (train.num_users, train.num_items))
    started = time.perf_counter()
    users = np.flatnonzero(np.diff(test.indptr)).astype(np.int32)
    counts = count_test(train, test)
    _warn_of_seen(counts)
    ranked, is_fallback = ranked_lists(model, users, max(cutoffs), batch_size, lists_of, fallback)
    per_user = _user_metrics(ranked, users, test, cutoffs, names)
    is_warm = train.activity[users] > 0
    means = _means(per_user, ranked, np.ones(len(users), dtype=bool), train, cutoffs, names)
    warm_means = dict(means) if is_warm.all() else _means(per_user, ranked, is_warm, train, cutoffs, names)
    if counts.num_cold_interactions:
        warm_item_means = _warm_item_means(ranked, users, test, train, cutoffs, names)
    else:
        warm_item_means = {name: warm_means[name] for name in per_user}
    return Evaluation(
        metrics=means,
        warm_metrics=warm_means,
        warm_item_metrics=warm_item_means,
        per_user=per_user,
        users=train.user_ids[users],
        is_warm=is_warm,
        lists=ranked.cpu().numpy(),
        is_fallback=is_fallback.cpu().numpy(),
        counts=counts,
        seconds=time.perf_counter() - started,
    )


def _warn_of_seen(counts: EvaluationCounts) -> None:
    if counts.num_seen_interactions:
        warn_caller(
            f"{counts.num_seen_interactions:,} of {counts.num_interactions:,} test interactions are in the training "
            "set too; lists leave out what a user had in training, so these count as never found. Split one "
            "Interactions by pyrec.data.split_random or split_time, so that no pair is in both parts",
            DataWarning,
        )


def _warm_item_means(
    lists: torch.Tensor,
    users: NDArray[np.int32],
    test: Interactions,
    train: Interactions,
    cutoffs: list[int],
    names: list[str],
) -> dict[str, float]:
    """Return the means of the accuracy metrics over test interactions whose user and item have training ones."""
    is_warm = train.activity > 0
    warm = test.select(is_warm[test.users] & (train.popularity[test.items] > 0))
    rows = np.diff(warm.indptr)[users] > 0
    per_user = _user_metrics(lists[tensor_of(rows).to(lists.device)], users[rows], warm, cutoffs, names)
    return {name: float(values.mean()) if rows.any() else float("nan") for name, values in per_user.items()}


def _user_metrics(
    lists: torch.Tensor, users: NDArray[np.int32], test: Interactions, cutoffs: list[int], names: list[str]
) -> dict[str, NDArray[np.float64]]:
    """Return each accuracy metric's values (num_users,) from the ranked lists (num_users, k)."""
    counts = np.diff(test.indptr)[
        users
    ]  # users without test items own no entry, so test.items is already theirs
    indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    test_indptr, test_items = (tensor_of(array).to(lists.device) for array in (indptr, test.items))
    values = ranking_metrics(lists, test_indptr, test_items, cutoffs).cpu().numpy()
    return {
        f"{name}@{cutoff}": np.ascontiguousarray(values[:, at, USER_METRICS.index(name)])
        for at, cutoff in enumerate(cutoffs)
        for name in names
        if name in USER_METRICS
    }


def _means(
    per_user: dict[str, NDArray[np.float64]],
    lists: torch.Tensor,
    rows: NDArray[np.bool_],
    train: Interactions,
    cutoffs: list[int],
    names: list[str],
) -> dict[str, float]:
    """Return each metric over the users of some rows, bool (num_users,), by name and cut-off; NaN without any."""
    ordered = [f"{name}@{cutoff}" for cutoff in cutoffs for name in names]
    if not rows.any():
        return dict.fromkeys(ordered, float("nan"))
    chosen = lists if rows.all() else lists[tensor_of(rows).to(lists.device)]
    means = {name: float(values[rows].mean()) for name, values in per_user.items()}
    means |= _item_metrics(chosen, train, cutoffs, names)
    return {name: means[name] for name in ordered}


def _item_metrics(
    lists: torch.Tensor, train: Interactions, cutoffs: list[int], names: list[str]
) -> dict[str, float]:
    """Return the metrics of what is recommended, from the ranked lists (num_users, k)."""
    wanted = [name for name in names if name in ITEM_METRICS]
    if not wanted:
        return {}
    users_of = train.popularity
    means: dict[str, float] = {}
    of_items = item_counts(lists, train.num_items, cutoffs).cpu().numpy()
    for cutoff, counts in zip(cutoffs, of_items, strict=True):
        values = item_metrics(counts, users_of, train.num_users)
        means |= {f"{name}@{cutoff}": values[name] for name in wanted}
    return means
