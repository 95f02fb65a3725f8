"""Evaluation of labelled pairs: does a model score what a user liked above what the user did not?

Pairs that were drawn at random, such as ratings of items that a lottery chose, measure a model without the bias of what
users chose. Their metrics are of these pairs alone; how a list of *all* items does is `pyrec.evaluate_uniform`'s.

- ``auc``: over all comparisons of a positive pair with a negative one, of whatever users; ties count one half.
- ``user_auc``: the mean of each user's own, over users with pairs of both labels.
- ``ndcg@k``: a user's own test pairs, ranked; the mean over users **with a positive** (AutoDebias' definition).
- ``ndcg_all@k``: the same, but users **without a positive count 1** (the definition of the papers on IPS and DR).
- ``log_loss``: mean log(1 + exp(-y s)) with the score for a logit; small is good.

With ``log_loss`` come ``constant_log_loss``, of one probability for every pair, and, with a part to calibrate on,
``calibrated_log_loss``. Scores of models that learn by squares or ranks are no logits, so theirs are to be compared
after calibration alone. Formulas and ties: `pyrec.evaluate.pair_metrics`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pyrec._ambient import defaults
from pyrec._arrays import sigmoid
from pyrec._checks import check_finite, did_you_mean, warn_caller
from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError, DataWarning
from pyrec.evaluate.asked import asked, check_test
from pyrec.evaluate.calibration import Platt, Reliability, platt, reliability
from pyrec.evaluate.pair_metrics import (
    SortedPairs,
    auc,
    check_finite_array,
    constant_log_loss,
    falling_order,
    log_loss,
    log_losses,
    pair_ndcg,
    require_both,
    user_auc,
)
from pyrec.evaluate.tables import metric_rows, table

__all__ = [
    "PAIR_METRICS",
    "PairCounts",
    "PairEvaluation",
    "PairScorer",
    "auc",
    "evaluate_pairs",
    "log_loss",
    "pair_ndcg",
    "user_auc",
]

PAIR_METRICS: Final = ("auc", "user_auc", "ndcg@5", "ndcg_all@5", "log_loss")
"""What `evaluate_pairs` measures by default; the cut-offs may be others."""

SHOWN: Final = 4
"""Metrics in a `repr`."""


@runtime_checkable
class PairScorer(Protocol):
    """What `evaluate_pairs` asks of a model, a constant or a table of propensities."""

    def training_set(self) -> Interactions:
        """Return what it was fitted on, whose ids the test set shares."""

    def pair_scores(self, users: NDArray[np.integer], items: NDArray[np.integer]) -> NDArray[np.floating]:
        """Return the score of each pair (n,), from internal ids of users (n,) and items (n,)."""


@dataclass(frozen=True)
class PairCounts:
    """Counts of a labelled test set. *Cold* is who or what has no training pair, of either label.

    Attributes:
        num_pairs: Test pairs.
        num_positive_pairs: Those with a label above 0.
        num_users: Users with test pairs.
        num_users_with_positive: Those of them with a positive, whom ``ndcg@k`` is over.
        num_users_with_both: Those with a positive and a negative, whom ``user_auc`` is over.
        num_ties: Comparisons of a positive with a negative that have the same score.
        num_cold_users: Users with test pairs and no training pair.
        num_cold_pairs: Test pairs whose user or item has no training pair.
        num_seen_pairs: Test pairs that are training pairs, too.
    """

    num_pairs: int
    num_positive_pairs: int
    num_users: int
    num_users_with_positive: int
    num_users_with_both: int
    num_ties: int
    num_cold_users: int
    num_cold_pairs: int
    num_seen_pairs: int

    @property
    def base_rate(self) -> float:
        """The share of positives."""
        return self.num_positive_pairs / self.num_pairs

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the metrics may not expect, a sentence each."""
        notes = []
        if self.num_seen_pairs:
            notes.append(f"{self.num_seen_pairs:,} of {self.num_pairs:,} test pairs are training pairs, too")
        if self.num_cold_pairs:
            notes.append(
                f"{self.num_cold_pairs:,} of {self.num_pairs:,} test pairs are of a user or an item without a training "
                f"pair; users without one: {self.num_cold_users:,}"
            )
        if self.num_ties:
            notes.append(
                f"{self.num_ties:,} of {self.num_positive_pairs * (self.num_pairs - self.num_positive_pairs):,} "
                "comparisons of a positive with a negative are ties and count one half"
            )
        return tuple(notes)


@dataclass(frozen=True, repr=False)
class PairEvaluation:
    """The outcome of `evaluate_pairs`; ``print`` shows its `summary`.

    Attributes:
        metrics: Each metric's value, such as ``{"auc": 0.77, "ndcg@5": 0.53}``.
        per_user: Values by user, float64 (num_users,), for paired tests: NaN for a user whom the metric is not over. Of
            a log loss it is the mean over the user's pairs, whose mean over users is not the metric.
        users: The raw ids of those users (num_users,).
        is_warm: Whether they have training pairs, bool (num_users,).
        counts: How many pairs, positives, ties and cold users there are, and more.
        scores: The model's scores of the test pairs, in the test set's order, float32 (num_pairs,).
        is_positive: Their labels, bool (num_pairs,).
        calibration: What ``calibrated_log_loss`` is by; None without a part to calibrate on.
        constant_rate: The probability that ``constant_log_loss`` is of; NaN where it was not measured.
        constant_of: Where that is from: "constant", "calibrate", or "test", the best that any constant does.
        seconds: Wall time of scoring and measuring.
    """

    metrics: dict[str, float]
    per_user: dict[str, NDArray[np.float64]]
    users: NDArray[Any]
    is_warm: NDArray[np.bool_]
    counts: PairCounts
    scores: NDArray[np.float32]
    is_positive: NDArray[np.bool_]
    calibration: Platt | None
    constant_rate: float
    constant_of: str
    seconds: float

    def __getitem__(self, name: str) -> float:
        return self.metrics[name]

    @property
    def num_users(self) -> int:
        """Users with test pairs."""
        return self.counts.num_users

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of ``metrics`` may not expect, a sentence each."""
        counts = self.counts
        notes = []
        if any(name.startswith("ndcg@") for name in self.metrics):
            notes.append(
                f"ndcg@k is over the {counts.num_users_with_positive:,} users with a positive; ndcg_all@k is over all "
                f"{counts.num_users:,}, and those without one count 1"
            )
        if "user_auc" in self.metrics:
            notes.append(
                f"user_auc is over the {counts.num_users_with_both:,} users with pairs of both labels"
            )
        if "constant_log_loss" in self.metrics:
            whence = {
                "test": ", the positive share of the test pairs themselves",
                "calibrate": ", the positive share of the validation pairs that calibrate",
            }.get(self.constant_of, ", which was given")
            notes.append(
                f"constant_log_loss gives every pair the probability {self.constant_rate:.4f}{whence}"
            )
        return (*notes, *counts.notes)

    def probabilities(self) -> NDArray[np.float64]:
        """Return each test pair's probability, float64 (num_pairs,): calibrated if there is a calibration."""
        if self.calibration is None:
            return sigmoid(self.scores.astype(np.float64))
        return self.calibration.probabilities(self.scores)

    def reliability(self, bins: int = 10) -> Reliability:
        """Return how often test pairs were positive, by groups of their `probabilities`."""
        return reliability(self.probabilities(), self.is_positive, bins)

    def summary(self) -> str:
        """Return a table of the metrics, and below it what they are over."""
        label = f"{self.counts.num_pairs:,} pairs, {self.counts.num_positive_pairs:,} positive"
        return "\n".join(
            [table(metric_rows({label: self.metrics})), *(f"note: {note}" for note in self.notes)]
        )

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.4f}" for name, value in list(self.metrics.items())[:SHOWN])
        more = ", ..." if len(self.metrics) > SHOWN else ""
        pairs = f"{self.counts.num_pairs:,} pairs, {self.counts.num_positive_pairs:,} of them positive"
        return f"PairEvaluation({pairs}; {self.num_users:,} users: {means}{more})"


@defaults()
def evaluate_pairs(
    model: PairScorer,
    test: Interactions,
    metrics: Sequence[str] = PAIR_METRICS,
    calibrate: Interactions | None = None,
    constant: Interactions | float | None = None,
) -> PairEvaluation:
    """Score labelled pairs and measure how well the scores tell positives from negatives.

    Args:
        model: A fitted model, or anything with the methods of `PairScorer`.
        test: Held-out pairs with labels, with the id maps of the model's training set; positive by
            `pyrec.data.Interactions.is_positive`.
        metrics: Of `PAIR_METRICS`, with any cut-off.
        calibrate: Labelled pairs that neither trained the model nor are tested, such as the uniform validation part:
            the two parameters of `pyrec.evaluate.calibration.platt`, with his smoothing, are fitted to them.
        constant: What the constant of ``constant_log_loss`` is: labelled pairs, whose share of positives it is, or a
            number in (0, 1). By default the share of ``calibrate``, or without it that of ``test``.

    Returns:
        The metrics, their values by user, and what they are over.

    Raises:
        NotFittedError: If the model is not fitted.
        DataError: If pairs are empty, have other ids than the model or one label alone, or a score is not finite.
        ConfigError: If a metric is unknown, or ``calibrate`` or ``constant`` is given without ``log_loss``.

    Warns:
        DataWarning: If test pairs are training pairs, too: pairs that were learned flatter a model.
    """
    names = [_read(name) for name in _listed(metrics)]
    _check_log_loss_alone(names, calibrate=calibrate, constant=constant)
    with asked(model, PairScorer, "training_set and pair_scores") as state:
        train = state.training_set()
        _check_pairs(test, train, "test")
        if calibrate is not None:
            _check_pairs(calibrate, train, "calibrate")
        started = time.perf_counter()
        scores = scores_of(state, test, "test")
        calibration = None
        if calibrate is not None:
            calibration = platt(scores_of(state, calibrate, "calibrate"), positive_pairs(calibrate))
    scored = _Scored(scores, positive_pairs(test), test.users, calibration, *_rate(test, calibrate, constant))
    counts = _count(train, test, scored)
    if counts.num_seen_pairs:
        warn_caller(f"{counts.notes[0]}; pyrec.data.shared_pairs finds them", DataWarning)
    means, per_user = scored.measured(names)
    return PairEvaluation(
        metrics=means,
        per_user=per_user,
        users=train.user_ids[scored.by_user.users],
        is_warm=_has_pairs(train)[0][scored.by_user.users],
        counts=counts,
        scores=scores,
        is_positive=scored.is_positive,
        calibration=calibration,
        constant_rate=scored.rate if "log_loss" in means else float("nan"),
        constant_of=scored.rate_of,
        seconds=time.perf_counter() - started,
    )


def _check_pairs(pairs: Interactions, train: Interactions, name: str) -> None:
    check_test(pairs, train, name)
    require_both(positive_pairs(pairs), name)


def positive_pairs(pairs: Interactions) -> NDArray[np.bool_]:
    """Return which pairs are positive, bool (n,): all where nothing says otherwise."""
    return np.ones(len(pairs), dtype=bool) if pairs.is_positive is None else pairs.is_positive


def scores_of(model: PairScorer, pairs: Interactions, name: str) -> NDArray[np.float32]:
    """Return a model's scores of pairs, float32 (n,).

    Raises:
        DataError: If they are no finite numbers, one a pair; names the argument that the pairs are of.
    """
    scores = check_finite_array(f"pair_scores of {name}", model.pair_scores(pairs.users, pairs.items))
    if len(scores) != len(pairs):
        raise DataError(
            f"pair_scores of {name} gave {len(scores)} scores for {len(pairs)} pairs; it gives one a pair"
        )
    return scores.astype(np.float32, copy=False)


class _Name(NamedTuple):
    """A metric and its cut-off; 0 where it has none."""

    kind: str
    k: int

    @property
    def text(self) -> str:
        return f"{self.kind}@{self.k}" if self.k else self.kind


def _listed(metrics: object) -> list[Any]:
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise ConfigError(f"metrics = {metrics!r} must be a list, such as ['auc', 'ndcg@5']")
    names = list(dict.fromkeys(metrics))
    if not names:
        raise ConfigError(f"metrics is empty; known are {', '.join(PAIR_METRICS)}")
    return names


def _read(text: object) -> _Name:
    kind, at, cutoff = text.partition("@") if isinstance(text, str) else ("", "", "")
    if kind in ("ndcg", "ndcg_all") and cutoff.isdecimal() and int(cutoff) > 0:
        return _Name(kind, int(cutoff))
    if kind in ("auc", "user_auc", "log_loss") and not at:
        return _Name(kind, 0)
    known = ", ".join(PAIR_METRICS)
    raise ConfigError(f"metrics: {text!r} is none of {known}{did_you_mean(str(text), PAIR_METRICS)}")


def _check_log_loss_alone(names: list[_Name], **given: object) -> None:
    if any(name.kind == "log_loss" for name in names):
        return
    for name, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{name} is for log_loss, which metrics leave out; add 'log_loss' or leave {name} out"
            )


def _rate(
    test: Interactions, calibrate: Interactions | None, constant: Interactions | float | None
) -> tuple[float, str]:
    """Return the constant's probability, and whose it is."""
    if isinstance(constant, Interactions):
        is_positive = positive_pairs(constant)
        require_both(is_positive, "constant")
        return float(is_positive.mean()), "constant"
    if constant is not None:
        rate = check_finite("constant", constant, ConfigError)
        if not 0 < rate < 1:
            raise ConfigError(f"constant = {rate} is a probability; it lies between 0 and 1 and is neither")
        return rate, "constant"
    of, name = (test, "test") if calibrate is None else (calibrate, "calibrate")
    return float(positive_pairs(of).mean()), name


@dataclass(frozen=True)
class _Scored:
    """Scored test pairs, and what their log loss is beside.

    Attributes:
        scores: float32 (n,).
        is_positive: bool (n,), of both kinds.
        users: int32 (n,), ascending.
        calibration: For the calibrated log loss, or None.
        rate: The constant's probability.
        rate_of: Whose that is.
    """

    scores: NDArray[np.float32]
    is_positive: NDArray[np.bool_]
    users: NDArray[np.int32]
    calibration: Platt | None
    rate: float
    rate_of: str

    @cached_property
    def falling(self) -> NDArray[np.integer]:
        return falling_order(self.scores)

    @cached_property
    def of_all(self) -> SortedPairs:
        return SortedPairs(self.scores, self.is_positive, self.falling)

    @cached_property
    def by_user(self) -> SortedPairs:
        return SortedPairs(self.scores, self.is_positive, self.falling, self.users)

    def measured(self, names: list[_Name]) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
        """Return the metrics, and those of users by user, by name."""
        means: dict[str, float] = {}
        per_user: dict[str, NDArray[np.float64]] = {}
        for name in names:
            if name.kind == "auc":
                won, of = self.of_all.comparisons()
                means["auc"] = float(won[0] / of[0])
            elif name.kind == "log_loss":
                self._measure_log_loss(means, per_user)
            else:
                values = self.by_user.auc() if name.kind == "user_auc" else self.by_user.ndcg(name.k)
                if name.kind == "ndcg_all":
                    values = np.where(np.isnan(values), 1.0, values)
                per_user[name.text] = values
                means[name.text] = _mean(values)
        return means, per_user

    def _measure_log_loss(self, means: dict[str, float], per_user: dict[str, NDArray[np.float64]]) -> None:
        logits: dict[str, NDArray[np.floating]] = {"log_loss": self.scores}
        if self.calibration is not None:
            logits["calibrated_log_loss"] = self.calibration.logits(self.scores)
        for name, values in logits.items():
            losses = log_losses(values, self.is_positive)
            means[name] = float(losses.mean())
            per_user[name] = self.by_user.mean_by_user(losses, self.users)
        means["constant_log_loss"] = constant_log_loss(self.rate, self.is_positive)


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of what is no NaN; NaN of nothing."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def _has_pairs(train: Interactions) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which users and which items have training pairs of either label, bool (num_users,), (num_items,)."""
    users = np.bincount(train.users, minlength=train.num_users) > 0
    return users, np.bincount(train.items, minlength=train.num_items) > 0


def _count(train: Interactions, test: Interactions, scored: _Scored) -> PairCounts:
    warm_users, warm_items = _has_pairs(train)
    by_user = scored.by_user
    return PairCounts(
        num_pairs=len(test),
        num_positive_pairs=int(scored.is_positive.sum()),
        num_users=len(by_user.users),
        num_users_with_positive=int(np.count_nonzero(by_user.positives)),
        num_users_with_both=int(by_user.has_both.sum()),
        num_ties=scored.of_all.num_ties,
        num_cold_users=int((~warm_users[by_user.users]).sum()),
        num_cold_pairs=int((~(warm_users[test.users] & warm_items[test.items])).sum()),
        num_seen_pairs=int(train.has_pairs(test.users, test.items).sum()),
    )
