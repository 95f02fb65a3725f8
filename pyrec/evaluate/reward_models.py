"""Regressions of a log's rewards, for the direct method and the doubly robust estimators; fitted across folds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pyrec.data.bandit import BanditLog
from pyrec.errors import ConfigError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.integer]
MAX_FOLDS: Final = 100
Scores: TypeAlias = Callable[[Integers, Integers], Floats]
"""The model's scores (m,) of some rounds' users (m,), by number of round, and items (m,)."""


@runtime_checkable
class RewardModel(Protocol):
    """The expected reward of an item, by user and position; all ids are the log's internal ones."""

    def predict(self, rounds: Integers, items: Integers) -> Floats:
        """Return the expected rewards float64 (n,) of items (n,) in some rounds (n,), each at the round's position."""

    def predict_mean(self, rounds: Integers) -> Floats:
        """Return the expected rewards float64 (n,) of some rounds (n,) if all items are equally likely."""


class ItemMeans:
    """Means of the rewards by item and position, drawn towards the item's mean and the position's.

    With sums S and counts N of the other folds' rounds, mean m and ``c = smoothing``,

    - item: ``m_a = (S_a + c m) / (N_a + c)``
    - position: ``m_p = (S_p + c m) / (N_p + c)``
    - prediction: ``(S_pa + c (m_a + m_p - m)) / (N_pa + c)``

    A round is predicted from the other folds alone, so a sum over rounds of products of prediction and weight has the
    expectation that it has with a model fitted elsewhere. Memory is folds x positions x items.

    Args:
        log: Its rounds.
        folds: From 2 to 100.
        smoothing: Above 0, in rounds.
        seed: Of the folds.

    Attributes:
        positions: int32 (n,), of the rounds.
        folds: int32 (n,), of the rounds.
        means: float64 (folds, positions, items): the predictions for a fold's rounds.
    """

    def __init__(self, log: BanditLog, folds: int, smoothing: float, seed: int) -> None:
        n, shape = len(log), (log.num_positions, log.num_items)
        self.positions = np.zeros(n, np.int32) if log.positions is None else log.positions
        self.folds = (np.random.default_rng(seed).permutation(n) % folds).astype(np.int32)
        self.means = np.empty((folds, *shape))
        whole = (self.folds.astype(np.int64) * shape[0] + self.positions) * shape[1] + log.items
        cells = folds * shape[0] * shape[1]
        counts = np.bincount(whole, minlength=cells).reshape(folds, *shape).astype(np.float64)
        sums = np.bincount(whole, weights=log.rewards, minlength=cells).reshape(folds, *shape)
        counts, sums = counts.sum(axis=0) - counts, sums.sum(axis=0) - sums
        for at in range(folds):
            self.means[at] = _smoothed(counts[at], sums[at], smoothing)
        self._averages = self.means.mean(axis=2)

    def predict(self, rounds: Integers, items: Integers) -> Floats:
        """Return the expected rewards float64 (n,); see `RewardModel`."""
        return np.asarray(self.means[self.folds[rounds], self.positions[rounds], items])

    def predict_mean(self, rounds: Integers) -> Floats:
        """Return the expected rewards float64 (n,); see `RewardModel`."""
        return np.asarray(self._averages[self.folds[rounds], self.positions[rounds]])


class ScoreSlopes:
    """`ItemMeans`, and how much more a user rewards an item that the model scores higher for them than for others.

    With s the model's score of the round's user and item, and ``s_a`` the mean of item a's scores over the log, a round
    at position p is predicted by ``m + slope_p (s - s_a)``. Here m is by `ItemMeans`, and the slope is the least
    squares fit of its residuals over the other folds. Predictions are cut to the range of the log's rewards.

    Args:
        log: Its rounds.
        folds: At least 2.
        smoothing: Of the means.
        seed: Of the folds.
        scores: The model's scores (m,) of some rounds' users (m,) and items (m,); NaN where it knows none.
    """

    def __init__(self, log: BanditLog, folds: int, smoothing: float, seed: int, scores: Scores) -> None:
        self._base = base = ItemMeans(log, folds, smoothing, seed)
        self._scores = scores
        rounds = np.arange(len(log))
        of_log = scores(rounds, log.items)
        known = np.isfinite(of_log)
        counts = np.bincount(log.items[known], minlength=log.num_items)
        sums = np.bincount(log.items[known], weights=of_log[known], minlength=log.num_items)
        overall = sums.sum() / max(counts.sum(), 1)
        self._centres = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
        deviations = np.where(known, of_log - self._centres[log.items], 0.0)
        self._slopes = np.zeros((folds, log.num_positions))
        for fold in range(folds):  # all of it from the other folds' rewards
            others = base.folds != fold
            at, deviation = base.positions[others], deviations[others]
            residuals = log.rewards[others] - base.means[fold, at, log.items[others]]
            products = np.bincount(at, deviation * residuals, log.num_positions)
            squares = np.bincount(at, deviation**2, log.num_positions)
            np.divide(products, squares, out=self._slopes[fold], where=squares > 0)
        self._range = float(log.rewards.min()), float(log.rewards.max())

    def predict(self, rounds: Integers, items: Integers) -> Floats:
        """Return the expected rewards float64 (n,); see `RewardModel`."""
        deviations = np.nan_to_num(self._scores(rounds, items) - self._centres[items], nan=0.0)
        slopes = self._slopes[self._base.folds[rounds], self._base.positions[rounds]]
        return np.asarray(np.clip(self._base.predict(rounds, items) + slopes * deviations, *self._range))

    def predict_mean(self, rounds: Integers) -> Floats:
        """Raise ConfigError: the mean over all items would take the score of each."""
        raise ConfigError(
            f"reward_model is 'score', but the policy explores: {len(rounds)} rounds would take the scores of all "
            "items; use 'item', or give the log candidates"
        )


def _smoothed(counts: Floats, sums: Floats, smoothing: float) -> Floats:
    """Return the predictions (positions, items) from counts and sums of the same shape."""
    mean = sums.sum() / max(counts.sum(), 1.0)
    of_items = (sums.sum(axis=0) + smoothing * mean) / (counts.sum(axis=0) + smoothing)
    of_positions = (sums.sum(axis=1) + smoothing * mean) / (counts.sum(axis=1) + smoothing)
    prior = of_items + of_positions[:, None] - mean
    return np.asarray((sums + smoothing * prior) / (counts + smoothing))
