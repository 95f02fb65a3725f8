"""Off-policy evaluation: what a model's lists would earn, from a log of what another policy showed.

Round t showed item a_t to user u_t at position p_t with probability b_t and earned r_t. Under the new policy this item
has the probability pi_t, so the round's weight is ``w_t = pi_t / b_t``. A reward model predicts ``q(u, a, p)``, and
``d_t`` is the mean of ``q(u_t, a, p_t)`` over the items a of the new policy. The value is the mean reward of a round,
over users and positions as the log has them. With n rounds, its estimates are

- ``ips`` = Σ w_t r_t / n, unbiased if the logging policy shows all that the new one may show
- ``snips`` = Σ w_t r_t / Σ w_t, with a bias of order 1 / n and most often less variance
- ``dm`` = Σ d_t / n, as biased as the reward model
- ``dr`` = Σ (d_t + w_t (r_t - q_t)) / n, unbiased as ips is, with less variance the better the reward model
- ``switch-dr`` = Σ (d_t + [w_t <= threshold] w_t (r_t - q_t)) / n, which gives some bias for less variance

Sources: Swaminathan and Joachims, NeurIPS 2015 (snips); Dudík, Langford and Li, ICML 2011 (dr); Wang, Agarwal and
Dudík, ICML 2017 (switch-dr).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from pyrec._ambient import defaults
from pyrec._checks import check_count, check_real, check_share, warn_caller
from pyrec._exchange import kind_of
from pyrec.data.bandit import BanditLog
from pyrec.data.ids import Unknown, check_unknown
from pyrec.errors import ConfigError, DataError, DataWarning
from pyrec.evaluate.asked import asked
from pyrec.evaluate.off_policy import Parts, normal, parts_of, resampled, snips_bias, switch_threshold
from pyrec.evaluate.policies import LimitedRanker, TopKPolicy
from pyrec.evaluate.reward_models import (
    MAX_FOLDS,
    Floats,
    Integers,
    ItemMeans,
    RewardModel,
    Scores,
    ScoreSlopes,
)
from pyrec.evaluate.round_terms import Numbering, RoundTerms, round_terms
from pyrec.evaluate.tables import table
from pyrec.ops.topk import MAX_K

ESTIMATORS = ("ips", "snips", "dm", "dr", "switch-dr")

_NOTABLE = 0.01
"""Share of what the policy shows beyond which missing support is told."""
_UNSURE = 4.0
"""Standard errors between 1 and the mean weight beyond which it is told."""
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Estimate:
    """An estimate with its uncertainty.

    Attributes:
        value: The estimated mean reward.
        standard_error: Of the value.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True, repr=False)
class OffPolicyEvaluation:
    """The outcome of `ope`; ``print`` shows its `summary`.

    Attributes:
        estimates: Of the new policy's value, by estimator.
        logged: The mean reward of the log: the value of the logging policy, with its uncertainty.
        num_rounds: Rounds that count.
        matched: Share of them whose item the new policy may show there.
        effective_sample_size: ``(Σ w)^2 / Σ w^2``: as many rounds of the new policy itself would say as much, about.
        mean_weight: Near 1 if the propensities are right and the logging policy shows all that the new one may show.
        max_weight: The largest weight of a round.
        unsupported: Share of what the new policy shows that the log never has, at no position.
        snips_bias: About the bias of ``snips``, by the delta method.
        threshold: Of ``switch-dr``; None if it was not asked for.
        confidence: Of the intervals. They are for the estimator's noise: those of ``dm`` and ``switch-dr`` know nothing
            of its bias.
        notes: What a reader may not expect, a sentence each.
    """

    estimates: dict[str, Estimate]
    logged: Estimate
    num_rounds: int
    matched: float
    effective_sample_size: float
    mean_weight: float
    max_weight: float
    unsupported: float
    snips_bias: float
    threshold: float | None
    confidence: float
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> Estimate:
        return self.estimates[name]

    def __repr__(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """Return a table of the estimates, what they stand on, and the notes."""
        percent = f"{100 * self.confidence:g} %"
        rows = [["estimator", "value", "standard error", f"{percent} interval"]]
        for name, one in {**self.estimates, "logged": self.logged}.items():
            rows.append(
                [name, f"{one.value:.5g}", f"{one.standard_error:.2g}", f"{one.low:.5g} to {one.high:.5g}"]
            )
        told = (
            f"{self.num_rounds:,} rounds, {100 * self.matched:.3g} % matched; effective sample size "
            f"{self.effective_sample_size:,.0f}; weights: mean {self.mean_weight:.3g}, largest {self.max_weight:.3g}"
        )
        return "\n".join([table(rows), told, *self.notes])


@defaults()
def ope(
    log: BanditLog,
    policy: LimitedRanker | TopKPolicy,
    estimators: Sequence[str] = ESTIMATORS,
    k: int | None = None,
    reward_model: RewardModel | Literal["item", "score"] = "item",
    smoothing: float = 20.0,
    folds: int = 5,
    threshold: float | None = None,
    interval: Literal["normal", "bootstrap"] = "normal",
    confidence: float = 0.95,
    resamples: int = 1000,
    unknown: Unknown = "error",
    seed: int = 0,
) -> OffPolicyEvaluation:
    """Estimate what a policy would earn, from a log of another policy that says how probable its choices were.

    The model has to have learned from other rounds than these, or it shows what was rewarded by chance, and every
    estimate is too high; the mean weight is above 1 then.

    The new policy chooses from the log's items, or from a round's candidates. At position p it shows place p of its
    list. Without positions it shows one of its first k items, each with probability 1 / k. Memory goes by the number of
    rounds, and by folds x positions x items for ``reward_model="item"``; nothing has rounds x items.

    Args:
        log: The rounds.
        policy: A fitted model, whose lists are shown as they are; or `TopKPolicy`, `EpsilonGreedyPolicy` or
            `SoftmaxPolicy` of one.
        estimators: Some of ``ips``, ``snips``, ``dm``, ``dr``, ``switch-dr``.
        k: Length of the list, up to the log's number of positions; rounds at positions beyond are left out. None for
            all positions, and for 1 item without positions.
        reward_model: What predicts rewards. ``"item"`` is `pyrec.evaluate.reward_models.ItemMeans`; ``"score"`` adds
            the model's scores to it, `pyrec.evaluate.reward_models.ScoreSlopes`, for policies that do not explore; or
            an object with `predict` and `predict_mean`, fitted on other rounds than these.
        smoothing: Of ``"item"`` and ``"score"``: so many rounds of the mean are added to each item and position. Above
            0.
        folds: Of ``"item"`` and ``"score"``: a round is predicted from the other folds. From 2 to 100.
        threshold: Of ``switch-dr``: larger weights are left to the reward model. None for the one with the least
            estimated squared error, variance plus squared bias; see `pyrec.evaluate.off_policy.switch_threshold`.
        interval: "normal", from the standard error, or "bootstrap", BCa over resampled rounds with the reward model
            held (`pyrec.evaluate.bootstrap`), which follows the skewness of few large weights.
        confidence: Of the intervals, between 0 and 1.
        resamples: Of the bootstrap.
        unknown: What is done about users and items that the model does not know: "error"; or "skip", which leaves out
            the users' rounds, and the policy never shows the items.
        seed: Of folds and bootstrap.

    Returns:
        Estimates with standard errors and intervals, and what they stand on. The standard error of ``dm`` counts the
        noise of the means by item and position; a reward model that is given is taken as it is.

    Raises:
        NotFittedError: If the model is not fitted.
        UnknownIdError: If the model does not know a user or an item of the log.
        DataError: If the log is empty or no log, or ``policy`` is no model.
        ConfigError: If an estimator is unknown, or an option is out of range.
    """
    if not isinstance(log, BanditLog):
        raise DataError(f"log is {type(log).__name__}, but a BanditLog is needed; see read_bandit_log")
    policy = policy if isinstance(policy, TopKPolicy) else TopKPolicy(policy)
    names = _check_estimators(estimators)
    k = _check_k(k, log)
    confidence = check_share("confidence", confidence, "the resampled logs", ConfigError, positive=True)
    resamples = check_count("resamples", resamples, 2, 10**6, ConfigError)
    seed = check_count("seed", seed, 0, 2**31 - 1, ConfigError)
    if threshold is not None:
        threshold = check_real("threshold", threshold, ConfigError, positive=False)
    if interval not in ("normal", "bootstrap"):
        raise ConfigError(f"interval is {interval!r}; it is 'normal' or 'bootstrap'")
    with asked(policy.model, LimitedRanker, "training_set and topk") as model:
        state = replace(policy, model=model)
        numbering = _numbering(log, model, unknown)
        rounds = numbering.users[log.users] >= 0
        if log.positions is not None:
            rounds &= log.positions < k
        if rounds.sum() < 2:
            raise DataError(
                f"{rounds.sum()} of the log's {len(log)} rounds are of users that the model knows and at positions "
                f"below k = {k}; at least 2 are needed"
            )
        counted = log if rounds.all() else log.select(rounds)
        scores = _scores(counted, model, numbering) if reward_model == "score" else None
        predictor = _reward_model(reward_model, counted, folds, smoothing, seed, scores)
        terms = round_terms(counted, state, k, predictor, numbering)
    if "switch-dr" in names and threshold is None:
        threshold = switch_threshold(terms)
    is_fitted = isinstance(reward_model, str)
    parts = {name: parts_of(name, terms, threshold, is_fitted) for name in names}
    parts["logged"] = Parts(terms.rewards, np.ones(len(counted)), np.zeros(len(counted)))
    if interval == "bootstrap":
        ends = resampled(parts, confidence, resamples, seed)
    else:
        ends = {name: normal(part, confidence) for name, part in parts.items()}
    found = {
        name: Estimate(
            part.value, part.standard_error, part.value + ends[name][0], part.value + ends[name][1]
        )
        for name, part in parts.items()
    }
    logged = found.pop("logged")
    w = terms.weights
    notes = _notes(terms, len(log) - len(counted))
    return OffPolicyEvaluation(
        estimates=found,
        logged=logged,
        num_rounds=len(counted),
        matched=float((w > 0).mean()),
        effective_sample_size=float(w.sum() ** 2 / max((w**2).sum(), _TINY)),
        mean_weight=float(w.mean()),
        max_weight=float(w.max()),
        unsupported=terms.unsupported,
        snips_bias=snips_bias(terms),
        threshold=threshold if "switch-dr" in names else None,
        confidence=confidence,
        notes=notes,
    )


def _notes(terms: RoundTerms, num_left_out: int) -> tuple[str, ...]:
    """Return what a reader may not expect, and warn of missing support."""
    notes = []
    if num_left_out:
        notes.append(f"{num_left_out:,} rounds of unknown users or positions beyond k are left out")
    error = terms.weights.std(ddof=1) / np.sqrt(len(terms.weights))
    if terms.unsupported > _NOTABLE:
        notes.append(
            f"{100 * terms.unsupported:.3g} % of what the policy shows the log never has: to ips it earns nothing, to "
            "dm and dr what the reward model says without data; leave these items out of the log's item_ids, or "
            "explore when logging"
        )
        warn_caller(notes[-1], DataWarning)
    elif abs(terms.weights.mean() - 1) > _UNSURE * error + 1e-9:
        notes.append(
            f"the mean weight is {terms.weights.mean():.3g} and should be near 1: the model learned from these rounds, "
            "the logging policy never shows to some users what the model does, or its propensities are wrong"
        )
        warn_caller(notes[-1], DataWarning)
    return tuple(notes)


def _numbering(log: BanditLog, model: LimitedRanker, unknown: Unknown) -> Numbering:
    """Return the log's users and items in the model's numbers.

    Raises:
        UnknownIdError: The model does not know a user of a round, or an item, and ``unknown`` is "error".
    """
    check_unknown(unknown)
    train = model.training_set()
    there = np.unique(log.users)
    users = np.full(log.num_users, -1, dtype=np.int32)
    users[there] = train.encode_users(log.user_ids[there], "log.user_ids", unknown)
    items = train.encode_items(log.item_ids, "log.item_ids", unknown)
    if (items < 0).all():
        raise DataError("the model knows none of the log's items")
    return Numbering.of(users, items, train.num_items)


def _reward_model(
    asked_for: RewardModel | str,
    log: BanditLog,
    folds: int,
    smoothing: float,
    seed: int,
    scores: Scores | None,
) -> RewardModel:
    if not isinstance(asked_for, str):
        if not isinstance(asked_for, RewardModel):
            raise ConfigError(
                f"reward_model is {kind_of(asked_for)}; it is 'item', 'score' or an object with predict and "
                "predict_mean"
            )
        return asked_for
    smoothing = check_real("smoothing", smoothing, ConfigError, positive=True)
    folds = check_count("folds", folds, 2, MAX_FOLDS, ConfigError)
    if scores is not None:
        return ScoreSlopes(log, folds, smoothing, seed, scores)
    if asked_for != "item":
        raise ConfigError(f"reward_model is {asked_for!r}; it is 'item', 'score' or an object with predict")
    return ItemMeans(log, folds, smoothing, seed)


def _scores(log: BanditLog, model: LimitedRanker, numbering: Numbering) -> Scores:
    """Return what scores pairs of the log by the model, NaN for items that it does not know.

    Raises:
        ConfigError: The model scores no pairs.
    """
    pair_scores = getattr(model, "pair_scores", None)
    if pair_scores is None:
        raise ConfigError(
            f"reward_model is 'score', but {kind_of(model)} has no method pair_scores; use 'item'"
        )

    def scores(rounds: Integers, items: Integers) -> Floats:
        numbers = numbering.items[items]
        known = numbers >= 0
        found = np.full(len(items), np.nan)
        found[known] = pair_scores(numbering.users[log.users[rounds]][known], numbers[known])
        return found

    return scores


def _check_estimators(estimators: object) -> list[str]:
    names = list(estimators) if isinstance(estimators, Iterable) and not isinstance(estimators, str) else []
    unknown = [name for name in names if name not in ESTIMATORS]
    if unknown or not names:
        raise ConfigError(f"estimators = {estimators!r}: give a list of some of {', '.join(ESTIMATORS)}")
    return list(dict.fromkeys(names))


def _check_k(k: int | None, log: BanditLog) -> int:
    if k is None and log.num_positions > MAX_K:
        raise ConfigError(
            f"the log has {log.num_positions} positions, but lists have at most {MAX_K} places; give k"
        )
    if k is None:
        return log.num_positions
    checked = check_count("k", k, 1, MAX_K, ConfigError)
    if log.positions is None:
        return checked
    return check_count("k", checked, 1, log.num_positions, ConfigError, "the log's number of positions")
