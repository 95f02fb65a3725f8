r"""Metrics of lists from a log that users, or a recommender, chose the pairs of: corrected by how likely each pair was.

A log holds a pair (u, i) with probability p_ui, its propensity. o_ui is 1 if it is there, and y_ui its label, 1 or 0.
A metric sums gains g over the places of a region A: the first k of the lists, or all items that lists may hold. Its
total is T(A) = Σ_{(u,i) in A} g_ui y_ui, and it is estimated by

- ``ips``: Σ_A g o y / p. It is unbiased, for E[o] = p, if no positive pair has propensity 0.
- ``snips``: (Σ_A g) · (Σ_A g o y / p) / (Σ_A g o / p). The last sum stands for the known first one. A ratio has a
  bias of the order of 1 / (number of pairs observed in A), and varies less.
- ``dr``: Σ_A g m + Σ_A g o (y - m) / p, with an imputed m_ui in the place of what is not observed. It is unbiased if
  p is right, whatever m is, and also if m is right, whatever p is. It varies less as m is closer to y.

Here U is the number of all users of the model, observed or not:

- ``precision@k``: T(first k) / (k U).
- ``dcg@k``: the same sum with gains 1 / log2(place + 1) in the place of 1 / k.
- ``pooled_recall@k``: T(first k) / T(all): the share of all positive pairs that lists hold. Each pair counts once,
  and not each user, for the mean over users of ratios of such estimates has a bias that more users do not remove.

``ndcg``, ``map``, ``mrr`` and ``hit`` depend on all of a user's labels together. They have no such estimate.

Lists leave out training pairs, so these metrics are of the pairs that are in no training set, and p is the
probability to be in the *test* log given that; of a random share of one log, see `propensities_of_split`.

Sources: Horvitz and Thompson, JASA, 1952; Swaminathan and Joachims, The self-normalized estimator, NeurIPS 2015;
Schnabel et al., Recommendations as treatments, ICML 2016; Yang et al., Unbiased offline recommender evaluation for
missing-not-at-random implicit feedback, RecSys 2018; Wang et al., Doubly robust joint learning, ICML 2019.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from pyrec._checks import check_count, did_you_mean, warn_caller
from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError, DataWarning
from pyrec.evaluate.asked import Ranker, check_cutoffs, check_test, listed_metrics, ranked_lists
from pyrec.evaluate.bootstrap import RESAMPLES, Interval, Statistic, Sums, intervals, ratio
from pyrec.evaluate.imputation import Imputation, imputed_by
from pyrec.evaluate.lists import discounts, num_eligible, places_in
from pyrec.evaluate.pair_metrics import check_finite_array
from pyrec.evaluate.pairs import positive_pairs
from pyrec.evaluate.tables import table

Estimator: TypeAlias = Literal["ips", "snips", "dr"]
ESTIMATORS: Final[tuple[str, ...]] = get_args(Estimator)
ESTIMATED: Final = ("precision", "pooled_recall", "dcg")
"""Metrics that an estimator has."""
TOLD: Final = (
    f"a log is corrected for {', '.join(ESTIMATED)} alone; others depend on all labels of a user together"
)


@runtime_checkable
class KnowsPropensities(Protocol):
    """What knows the propensity of pairs, such as `pyrec.debias.Propensities`."""

    def of(self, users: Any, items: Any, labels: Any = None) -> npt.ArrayLike:
        """Return the propensity of each pair (n,), from internal ids (n,) and labels (n,)."""


@dataclass(frozen=True)
class Correction:
    """How a log is corrected.

    Attributes:
        propensities: An array (n,), one for each test pair, or an object with a method ``of``.
        estimator: One of `ESTIMATORS`.
        imputation: For ``dr``, see `pyrec.evaluate.imputation.imputed_by`.
        resamples: Of the bootstrap over users.
        seed: Likewise.
    """

    propensities: npt.ArrayLike | KnowsPropensities
    estimator: str
    imputation: Any = None
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True, repr=False)
class Estimation:
    """The outcome of `pyrec.evaluate` with propensities; ``print`` shows its `summary`.

    Attributes:
        metrics: Each metric's estimate, such as ``{"precision@20": 0.17}``; NaN where no test pair tells anything of
            it.
        intervals: Its 95 % interval by the bootstrap over users, see `pyrec.evaluate.bootstrap`.
        naive: What the log says as it is: the same sums with 1 in the place of every propensity.
        per_user: What each user adds, float64 (num_users,), where the estimate is a mean over users: ``precision`` and
            ``dcg`` of ``ips`` and ``dr``.
        estimator: One of `ESTIMATORS`.
        users: The raw ids of all users (num_users,).
        num_pairs: Test pairs that count.
        num_positive_pairs: Those of them with a label above 0.
        num_seen_pairs: Test pairs that do not count, since they are training pairs.
        num_users_observed: Users with a test pair that counts.
        effective_size: How many pairs of equal weight tell as much, (Σ 1/p)² / Σ 1/p² (Kish, 1965).
        smallest: The smallest propensity of a pair that counts.
        clip: What propensities had been raised to, as far as they say so; 0 for not at all.
        num_clipped: Pairs that count whose propensity is there; a raised propensity biases the estimate.
        imputed_by: What the imputation of ``dr`` is; empty for others.
        seconds: Wall time of ranking and measuring.
    """

    metrics: dict[str, float]
    intervals: dict[str, Interval]
    naive: dict[str, float]
    per_user: dict[str, NDArray[np.float64]]
    estimator: str
    users: NDArray[Any]
    num_pairs: int
    num_positive_pairs: int
    num_seen_pairs: int
    num_users_observed: int
    effective_size: float
    smallest: float
    clip: float
    num_clipped: int
    imputed_by: str
    seconds: float

    def __getitem__(self, name: str) -> float:
        return self.metrics[name]

    @property
    def num_users(self) -> int:
        """All users of the model, whom the metrics are over."""
        return len(self.users)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of ``metrics`` may not expect, a sentence each."""
        notes = [
            f"over all {self.num_users:,} users; {self.num_users_observed:,} have one of the {self.num_pairs:,} test "
            f"pairs, {self.num_positive_pairs:,} of them positive",
            f"weighted, these pairs count as {self.effective_size:,.0f} equal ones; the smallest propensity is "
            f"{self.smallest:.3g}",
        ]
        if self.clip:
            notes.append(
                f"{self.num_clipped:,} propensities were raised to {self.clip:g}, which biases what these pairs add"
            )
        if self.num_seen_pairs:
            notes.append(
                f"{self.num_seen_pairs:,} test pairs are training pairs, which no list holds; left out"
            )
        if any(name.startswith("precision") and value > 1 for name, value in self.metrics.items()):
            notes.append(
                "a precision above 1 says that the propensities do not hold: lists show what is observed more often "
                "than they say"
            )
        if self.imputed_by:
            notes.append(f"unobserved labels are imputed by {self.imputed_by}")
        if any(np.isnan(value) for value in self.metrics.values()):
            notes.append("a metric is NaN where no test pair is in any list")
        return tuple(notes)

    def summary(self) -> str:
        """Return a table of estimates with their intervals beside what the log says as it is, and notes below it."""
        rows = [["metric", self.estimator, "95 % interval", "the log as it is"]]
        for name, value in self.metrics.items():
            low, high = self.intervals[name]
            rows.append([name, f"{value:.4f}", f"{low:.4f} to {high:.4f}", f"{self.naive[name]:.4f}"])
        return "\n".join([table(rows), *(f"note: {note}" for note in self.notes)])

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"Estimation({self.estimator}; {self.num_users:,} users, {self.num_pairs:,} pairs: {means})"


def propensities_of_split(values: npt.ArrayLike, share: float) -> NDArray[np.float64]:
    """Return the propensities of a test part, float64 (n,), from those of the log that it was drawn of at random.

    A pair is in the log with probability p, then in the test part with probability s, else in training. Given that it
    is in no training part, it is in the test part with probability s p / (1 - (1 - s) p).

    Args:
        values: p, (n,) above 0 and at most 1.
        share: s, above 0 and at most 1.

    Raises:
        DataError: If a propensity or the share is out of range.
    """
    p = _check_propensities(values, None).astype(np.float64)
    share = float(_check_propensities([share], None)[0])
    return share * p / (1 - (1 - share) * p)


def estimate(
    model: Ranker,
    test: Interactions,
    k: int | Sequence[int],
    metrics: Sequence[str] | None,
    batch_size: int,
    fallback: str,
    correction: Correction,
) -> Estimation:
    """Estimate the metrics of a model's lists from a log; see `pyrec.evaluate` for arguments and errors."""
    train = model.training_set()
    check_test(test, train)
    cutoffs = check_cutoffs(k, train.num_items)
    names = listed_metrics(metrics, ESTIMATED, ESTIMATED[:2], TOLD)
    batch_size = check_count("batch_size", batch_size, 1, None, ConfigError)
    estimator = _check_estimator(correction)
    propensities = _propensities_of(correction.propensities, test)
    started = time.perf_counter()
    new = ~train.has_pairs(test.users, test.items)
    _warn_of_seen(int((~new).sum()), len(test))
    log = _Log(
        test.users[new], test.items[new], positive_pairs(test)[new].astype(np.float64), propensities[new]
    )
    if estimator != "ips":
        _require_negatives(log, estimator)
    users = np.arange(train.num_users, dtype=np.int32)
    lists = ranked_lists(model, users, max(cutoffs), batch_size, fallback=fallback)[0].cpu().numpy()
    imputation = None
    if estimator == "dr":
        imputation = imputed_by(correction.imputation, model, log.users, log.items, log.labels, log.weights)
    region = _Regions(log, lists, train, imputation)
    statistics = {f"{name}@{k}": region.statistic(name, k, estimator) for k in cutoffs for name in names}
    as_it_is = _Regions(log.unweighted(), lists, train, None)
    clip = _clip_of(correction.propensities)
    return Estimation(
        metrics={name: one.value() for name, one in statistics.items()},
        intervals=intervals(statistics, correction.resamples, correction.seed),
        naive={f"{name}@{k}": as_it_is.statistic(name, k, "ips").value() for k in cutoffs for name in names},
        per_user={
            name: one.columns[:, 0]
            for name, one in statistics.items()
            if estimator != "snips" and not name.startswith("pooled")
        },
        estimator=estimator,
        users=train.user_ids,
        num_pairs=len(log.users),
        num_positive_pairs=int(log.labels.sum()),
        num_seen_pairs=int((~new).sum()),
        num_users_observed=len(np.unique(log.users)),
        effective_size=float(log.weights.sum() ** 2 / (log.weights**2).sum()) if len(log.users) else 0.0,
        smallest=float(propensities[new].min()) if new.any() else float("nan"),
        clip=clip,
        num_clipped=int((propensities[new] <= np.float32(clip)).sum()) if clip else 0,
        imputed_by="" if imputation is None else imputation.name,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class _Log:
    """Test pairs that lists may hold.

    Attributes:
        users: Internal ids (n,).
        items: Internal ids (n,).
        labels: 1 or 0, float64 (n,).
        propensities: (n,) above 0.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    labels: NDArray[np.float64]
    propensities: NDArray[np.floating]

    @property
    def weights(self) -> NDArray[np.float64]:
        return 1 / self.propensities.astype(np.float64)

    def unweighted(self) -> _Log:
        return _Log(self.users, self.items, self.labels, np.ones(len(self.users)))


class _Regions:
    """The sums by user of what is observed, known and imputed, in the first places of lists and of all items.

    Args:
        log: The test pairs.
        lists: Internal item ids, int32 (num_users, K); -1 pads a short one.
        train: Whose pairs lists leave out.
        imputation: For the doubly robust estimator, else None.
    """

    def __init__(
        self, log: _Log, lists: NDArray[np.int32], train: Interactions, imputation: Imputation | None
    ) -> None:
        self._log, self._lists, self._train, self._imputation = log, lists, train, imputation
        self._places = places_in(lists, log.users, log.items)
        self._imputed_lists = None if imputation is None else imputation.of_lists(lists)
        self._imputed_log = None if imputation is None else imputation.of(log.users, log.items)
        self._imputed_all: NDArray[np.float64] | None = None

    def statistic(self, name: str, k: int, estimator: str) -> Statistic:
        """Return a metric at a cut-off."""
        if name == "pooled_recall":
            found, all_of_them = self._first(np.ones(k), estimator), self._everything(estimator)
            split = found.columns.shape[1]

            def share(sums: Sums) -> Sums:
                return ratio(
                    np.stack([found.of(sums[..., :split]), all_of_them.of(sums[..., split:])], axis=-1)
                )

            return Statistic(np.concatenate([found.columns, all_of_them.columns], axis=1), share)
        total = self._first(discounts(k) if name == "dcg" else np.full(k, 1 / k), estimator)
        ones = np.ones((len(total.columns), 1))

        def mean(sums: Sums) -> Sums:
            return ratio(np.stack([total.of(sums[..., :-1]), sums[..., -1]], axis=-1))

        return Statistic(np.concatenate([total.columns, ones], axis=1), mean)

    def _first(self, gains: NDArray[np.float64], estimator: str) -> Statistic:
        """Return the total over the first places of the lists, with their gains (k,)."""
        k = len(gains)
        inside = (self._places >= 0) & (self._places < k)
        of_pairs = np.where(inside, gains[np.where(inside, self._places, 0)], 0.0)
        size = ((self._lists[:, :k] >= 0) * gains).sum(axis=1)
        imputed = None if self._imputed_lists is None else (self._imputed_lists[:, :k] * gains).sum(axis=1)
        return self._total(of_pairs, size, imputed, estimator)

    def _everything(self, estimator: str) -> Statistic:
        """Return the total over all items that lists may hold."""
        if self._imputation is not None and self._imputed_all is None:
            self._imputed_all = self._imputation.of_all(self._train)
        size = num_eligible(self._train).astype(np.float64)
        return self._total(np.ones(len(self._places)), size, self._imputed_all, estimator)

    def _total(
        self,
        gains: NDArray[np.float64],
        size: NDArray[np.float64],
        imputed: NDArray[np.float64] | None,
        estimator: str,
    ) -> Statistic:
        weights, labels = gains * self._log.weights, self._log.labels
        if estimator == "ips":
            return Statistic(self._by_user(weights * labels), _only)
        if estimator == "snips":
            observed = [self._by_user(weights * labels), self._by_user(weights), size[:, None]]
            return Statistic(np.concatenate(observed, axis=1), _normalised)
        assert imputed is not None
        assert self._imputed_log is not None
        return Statistic(imputed[:, None] + self._by_user(weights * (labels - self._imputed_log)), _only)

    def _by_user(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of values (n,) by user, (num_users, 1)."""
        sums: NDArray[np.float64] = np.bincount(self._log.users, values, len(self._lists)).astype(np.float64)
        return sums[:, None]


def _only(sums: Sums) -> Sums:
    return sums[..., 0]


def _normalised(sums: Sums) -> Sums:
    return ratio(sums) * sums[..., 2]


def _check_estimator(correction: Correction) -> str:
    estimator = correction.estimator
    if not isinstance(estimator, str) or estimator not in ESTIMATORS:
        known = ", ".join(ESTIMATORS)
        raise ConfigError(
            f"estimator = {estimator!r} is none of {known}{did_you_mean(str(estimator), ESTIMATORS)}"
        )
    if correction.imputation is not None and estimator != "dr":
        raise ConfigError(
            f"imputation is for estimator 'dr', but estimator is {estimator!r}; leave one of them out"
        )
    return estimator


def _propensities_of(given: npt.ArrayLike | KnowsPropensities, test: Interactions) -> NDArray[np.floating]:
    if not isinstance(given, type) and isinstance(given, KnowsPropensities):
        told = test.ratings if test.labels is None else test.labels
        return _check_propensities(given.of(test.users, test.items, labels=told), len(test))
    return _check_propensities(given, len(test))


def _clip_of(given: npt.ArrayLike | KnowsPropensities) -> float:
    """Return what an object says that its propensities were raised to; 0 for not at all. An array says nothing."""
    return float(getattr(given, "clip", 0.0)) if isinstance(given, KnowsPropensities) else 0.0


def _check_propensities(values: npt.ArrayLike, size: int | None) -> NDArray[np.floating]:
    """Return propensities (n,) that are above 0 and at most 1."""
    array = check_finite_array("propensities", values)
    if size is not None and len(array) != size:
        raise DataError(
            f"propensities has {len(array)} entries for {size} test pairs; give one a pair, in the order of test, or "
            "an object with a method of(users, items, labels)"
        )
    wrong = (array <= 0) | (array > 1)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"propensities[{at}] = {array[at]}, but a propensity is above 0 and at most 1; a pair that was observed "
            "had a chance to be, so clip estimates, as pyrec.debias.propensities(clip=...) does"
        )
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _require_negatives(log: _Log, estimator: str) -> None:
    if log.labels.all():
        raise DataError(
            f"test has no negative, which estimator {estimator!r} needs: a pair that is not there may be either. Use "
            "'ips', whose pooled recall is normalised by itself, or keep negatives when data are read, as "
            "positive='rating>=4' does"
        )


def _warn_of_seen(num_seen: int, num_pairs: int) -> None:
    if num_seen:
        warn_caller(
            f"{num_seen:,} of {num_pairs:,} test pairs are training pairs, too; lists leave these out, and so do the "
            "estimates",
            DataWarning,
        )
