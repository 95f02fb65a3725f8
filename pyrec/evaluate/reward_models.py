"""Regressions of a log's rewards, for the direct method and the doubly robust estimators; fitted across folds."""

from __future__ import annotations

from typing import Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pyrec.data.bandit import BanditLog

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.integer]
MAX_FOLDS: Final = 100


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
    """

    def __init__(self, log: BanditLog, folds: int, smoothing: float, seed: int) -> None:
        n, shape = len(log), (log.num_positions, log.num_items)
        self._positions = np.zeros(n, np.int32) if log.positions is None else log.positions
        self._folds = (np.random.default_rng(seed).permutation(n) % folds).astype(np.int32)
        self._means = np.empty((folds, *shape))
        whole = (self._folds.astype(np.int64) * shape[0] + self._positions) * shape[1] + log.items
        cells = folds * shape[0] * shape[1]
        counts = np.bincount(whole, minlength=cells).reshape(folds, *shape).astype(np.float64)
        sums = np.bincount(whole, weights=log.rewards, minlength=cells).reshape(folds, *shape)
        counts, sums = counts.sum(axis=0) - counts, sums.sum(axis=0) - sums
        for at in range(folds):
            self._means[at] = _smoothed(counts[at], sums[at], smoothing)
        self._averages = self._means.mean(axis=2)

    def predict(self, rounds: Integers, items: Integers) -> Floats:
        """Return the expected rewards float64 (n,); see `RewardModel`."""
        return np.asarray(self._means[self._folds[rounds], self._positions[rounds], items])

    def predict_mean(self, rounds: Integers) -> Floats:
        """Return the expected rewards float64 (n,); see `RewardModel`."""
        return np.asarray(self._averages[self._folds[rounds], self._positions[rounds]])


def _smoothed(counts: Floats, sums: Floats, smoothing: float) -> Floats:
    """Return the predictions (positions, items) from counts and sums of the same shape."""
    mean = sums.sum() / max(counts.sum(), 1.0)
    of_items = (sums.sum(axis=0) + smoothing * mean) / (counts.sum(axis=0) + smoothing)
    of_positions = (sums.sum(axis=1) + smoothing * mean) / (counts.sum(axis=1) + smoothing)
    prior = of_items + of_positions[:, None] - mean
    return np.asarray((sums + smoothing * prior) / (counts + smoothing))
