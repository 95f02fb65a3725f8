"""Off-policy estimates as ratios of sums over rounds, with their errors and intervals."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from pyrec.evaluate.bootstrap import Statistic, intervals, ratio
from pyrec.evaluate.reward_models import Floats
from pyrec.evaluate.round_terms import RoundTerms

_THRESHOLDS = 20


@dataclass(frozen=True)
class Parts:
    """An estimate as a ratio of sums over rounds.

    Attributes:
        above: float64 (n,).
        below: float64 (n,).
        noise: float64 (n,): what a round adds to the estimate's error beside these.
    """

    above: Floats
    below: Floats
    noise: Floats

    @property
    def value(self) -> float:
        """The ratio; NaN if the sum below is 0."""
        total = self.below.sum()
        return float(self.above.sum() / total) if total else float("nan")

    @property
    def influence(self) -> Floats:
        """What each round moves the estimate by, times n, float64 (n,); by the delta method."""
        return np.asarray((self.above - self.value * self.below) / self.below.mean() + self.noise)

    @property
    def standard_error(self) -> float:
        """Of the value; NaN if that is."""
        if not self.below.any():
            return float("nan")
        return float(self.influence.std(ddof=1) / np.sqrt(len(self.above)))


def parts_of(name: str, terms: RoundTerms, threshold: float | None, is_fitted: bool) -> Parts:
    """Return an estimator's sums; see `pyrec.evaluate.ope` for the formulas.

    Args:
        name: Of the estimator.
        terms: Of the rounds.
        threshold: Of switch-dr.
        is_fitted: Whether the reward model was fitted on these rounds, whose noise is then in it.
    """
    rewards, weights, ones = terms.rewards, terms.weights, np.ones(len(terms.rewards))
    nothing = np.zeros(len(rewards))
    if name == "ips":
        return Parts(weights * rewards, ones, nothing)
    if name == "snips":
        return Parts(weights * rewards, weights, nothing)
    if name == "dm":
        noise = terms.cell_weights * (rewards - terms.predicted) if is_fitted else nothing
        return Parts(terms.direct, ones, noise)
    residuals = weights * (rewards - terms.predicted)
    if threshold is not None and name == "switch-dr":
        residuals = np.where(weights <= threshold, residuals, 0.0)
    return Parts(terms.direct + residuals, ones, nothing)


def switch_threshold(terms: RoundTerms) -> float:
    """Return the threshold of switch-dr with the least estimated squared error.

    Candidates are 20 quantiles of the weights above 0. A threshold t leaves out ``g_t = [w_t > t] w_t (r_t - q_t)``,
    whose mean is what it moves the estimate by. The error is the square of this mean and the estimate's variance.
    (Wang, Agarwal and Dudík, ICML 2017, bound the bias instead, and then seldom switch at all.)

    Args:
        terms: Of the rounds.
    """
    weights = terms.weights[terms.weights > 0]
    if not weights.size:
        return 0.0
    n = len(terms.weights)
    residuals = terms.weights * (terms.rewards - terms.predicted)
    candidates = np.unique(np.quantile(weights, np.linspace(0.05, 1, _THRESHOLDS), method="higher"))
    errors = []
    for candidate in candidates:
        is_above = terms.weights > candidate
        left_out = residuals * is_above
        errors.append(left_out.mean() ** 2 + (terms.direct + residuals - left_out).var(ddof=1) / n)
    return float(candidates[::-1][int(np.argmin(errors[::-1]))])  # of equal errors the largest


def snips_bias(terms: RoundTerms) -> float:
    """Return about the bias of snips: ``-cov(w (r - V), w) / (n mean(w)^2)``, of a ratio of means to second order."""
    weights, n = terms.weights, len(terms.weights)
    if not weights.any():
        return float("nan")
    value = (weights * terms.rewards).sum() / weights.sum()
    deviations = weights * (terms.rewards - value)
    return float(-np.cov(deviations, weights)[0, 1] / (n * weights.mean() ** 2))


def normal(parts: Parts, confidence: float) -> tuple[float, float]:
    """Return by how much the ends of a normal interval deviate from the value."""
    half = NormalDist().inv_cdf((1 + confidence) / 2) * parts.standard_error
    return -half, half


def resampled(
    parts: dict[str, Parts], confidence: float, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Return by how much the ends of bootstrap intervals over rounds deviate from the values, by estimator."""
    statistics = {
        name: Statistic(np.stack([part.above + part.noise, part.below], axis=1), ratio)
        for name, part in parts.items()
    }
    found = intervals(statistics, resamples, seed, confidence)
    centres = {name: statistic.value() for name, statistic in statistics.items()}
    return {name: (one.low - centres[name], one.high - centres[name]) for name, one in found.items()}
