"""Probabilities from scores: Platt's two parameters, and how far probabilities are from what was observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from pyrec._arrays import sigmoid
from pyrec._checks import check_count
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.pair_metrics import check_finite_array, check_scored, require_both

MOST_STEPS: Final = 100
PRECISION: Final = 1e-13
"""Of the mean loss: Newton's method ends where another step promises less."""
Z_95: Final = 1.959963984540054


@dataclass(frozen=True)
class Platt:
    """A score's probability of a positive: 1 / (1 + exp(-(slope · score + intercept))).

    Attributes:
        slope: By which scores are multiplied; negative where larger scores go with negatives.
        intercept: What is added.
    """

    slope: float
    intercept: float

    def logits(self, scores: npt.ArrayLike) -> NDArray[np.float64]:
        """Return slope · score + intercept, float64 (n,)."""
        return self.slope * np.asarray(scores, dtype=np.float64) + self.intercept

    def probabilities(self, scores: npt.ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each score, float64 (n,)."""
        return sigmoid(self.logits(scores))


def platt(
    scores: npt.ArrayLike, labels: npt.ArrayLike, smoothing: bool = True, weights: npt.ArrayLike | None = None
) -> Platt:
    """Fit `Platt` to scored pairs by Newton's method on the log loss, which is convex.

    With smoothing, Platt's own, the targets of N₊ positives and N₋ negatives are (N₊ + 1) / (N₊ + 2) and
    1 / (N₋ + 2) in the place of 1 and 0. So the fit is finite also where a score separates the two.

    Args:
        scores: (n,) finite numbers.
        labels: (n,) numbers, positive if above 0.
        smoothing: Whether targets are smoothed; without, this is the maximum of the likelihood.
        weights: (n,) positive numbers, how much each pair counts in the loss, such as one over its propensity; N₊ and
            N₋ count pairs. None for 1 each.

    Raises:
        DataError: If they are no such arrays, all pairs have the same label, or the labels are separable and there is
            no smoothing.

    Source: Platt, Probabilistic outputs for support vector machines, 1999; Lin, Lin and Weng, Machine Learning, 2007.
    """
    values, is_positive = check_scored(scores, labels)
    require_both(is_positive)
    targets = _targets(is_positive, smoothing)
    shares = _shares(weights, len(values))
    if not smoothing:
        _refuse_separated(values, is_positive)
    # Equal scores have one probability, and where all are equal that is the mean target.
    centre, scale = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    if np.ptp(values) == 0 or scale == 0:
        mean = _dot(shares, targets)
        return Platt(0.0, float(np.log(mean) - np.log1p(-mean)))
    slope, intercept = _newton((values.astype(np.float64) - centre) / scale, targets, shares)
    return Platt(slope / scale, intercept - slope * centre / scale)


def _targets(is_positive: NDArray[np.bool_], smoothing: bool) -> NDArray[np.float64]:
    if not smoothing:
        return is_positive.astype(np.float64)
    positives = int(is_positive.sum())
    negatives = len(is_positive) - positives
    return np.where(is_positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _refuse_separated(scores: NDArray[np.floating], is_positive: NDArray[np.bool_]) -> None:
    positive, negative = scores[is_positive], scores[~is_positive]
    if np.ptp(scores) > 0 and (negative.max() <= positive.min() or positive.max() <= negative.min()):
        raise DataError(
            "scores separate the labels, so the most likely slope is infinite; smooth, or take more pairs"
        )


def _shares(weights: npt.ArrayLike | None, size: int) -> NDArray[np.float64]:
    """Return how much each pair counts, float64 (n,), of sum 1."""
    if weights is None:
        return np.full(size, 1 / size)
    given = check_finite_array("weights", weights).astype(np.float64)
    if len(given) != size or (given <= 0).any():
        at = int((given <= 0).argmax())
        wrong = (
            f"weights has {len(given)} entries for {size} pairs"
            if len(given) != size
            else f"weights[{at}] = {given[at]}"
        )
        raise DataError(f"{wrong}, but a number above 0 is needed for each pair")
    shares: NDArray[np.float64] = given / given.sum()
    return shares


def _newton(
    x: NDArray[np.float64], targets: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the slope and the intercept of least mean log loss, for scores of mean 0 and deviation 1."""

    def loss_at(point: NDArray[np.float64]) -> float:
        logits = point[0] * x + point[1]
        return _dot(shares, np.logaddexp(0, logits) - targets * logits)

    at = np.zeros(2)
    loss = loss_at(at)
    for _ in range(MOST_STEPS):
        p = sigmoid(at[0] * x + at[1])
        error, curvature = shares * (p - targets), shares * p * (1 - p)
        gradient = np.array([_dot(error, x), error.sum()])
        mixed = _dot(curvature, x)
        hessian = np.array([[_dot(curvature, x * x), mixed], [mixed, curvature.sum()]])
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        promised = _dot(gradient, step)
        if promised < PRECISION:
            return float(at[0]), float(at[1])
        length = 1.0
        while (other := loss_at(at - length * step)) > loss - 1e-4 * length * promised:
            length /= 2
            if length < PRECISION:  # no smaller loss in double precision
                return float(at[0]), float(at[1])
        at, loss = at - length * step, other
    raise DataError(
        f"the calibration did not settle in {MOST_STEPS} steps; are there scores far beyond the others?"
    )


def _dot(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the sum of products; that of the linear algebra library may depend on its threads."""
    return float((one * other).sum())


@dataclass(frozen=True)
class Reliability:
    """How often pairs were positive, by groups of their probabilities from small to large.

    Attributes:
        predicted: Mean probability of each group, float64 (B,).
        observed: Share of positives, float64 (B,).
        low: Lower end of its 95 % interval (Wilson's), float64 (B,).
        high: Upper end, float64 (B,).
        counts: Pairs of each, int64 (B,).
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean over pairs of their group's |observed - predicted|."""
        return _dot(self.counts, np.abs(self.observed - self.predicted)) / int(self.counts.sum())


def reliability(probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 10) -> Reliability:
    """Return how often pairs were positive, by groups of about equal size.

    Args:
        probabilities: (n,) numbers in [0, 1].
        labels: (n,) numbers, positive if above 0.
        bins: Groups at most; equal probabilities are always together, so there may be fewer.

    Raises:
        DataError: If they are no such arrays, or empty.
        ConfigError: If ``bins`` is below 1.
    """
    bins = check_count("bins", bins, 1, None, ConfigError)
    p = check_finite_array("probabilities", probabilities)
    wrong = (p < 0) | (p > 1)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"probabilities[{at}] = {p[at]}, but it lies in [0, 1]; Platt.probabilities makes them of scores"
        )
    p, is_positive = check_scored(p, labels)
    bins = min(bins, len(p))
    edges = np.unique(np.quantile(p, np.arange(1, bins) / bins, method="lower"))
    _, group, counts = np.unique(
        np.searchsorted(edges, p, side="left"), return_inverse=True, return_counts=True
    )
    predicted = np.bincount(group, weights=p) / counts
    observed = np.bincount(group, weights=is_positive) / counts
    return Reliability(predicted, observed, *_wilson(observed, counts), counts.astype(np.int64))


def _wilson(
    share: NDArray[np.float64], n: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of Wilson's 95 % intervals of shares (B,) of n (B,)."""
    squared = Z_95**2 / n
    centre = (share + squared / 2) / (1 + squared)
    half = np.sqrt(squared * (share * (1 - share) + squared / 4)) / (1 + squared)
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)
