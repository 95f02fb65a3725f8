"""Metrics of scored pairs with a label each, from arrays: AUC, NDCG among a user's own pairs, log loss.

A pair is positive if its label is above 0, else negative; labels 1 and 0, 1 and -1, and booleans say the same.

- **AUC** is the share of all comparisons of a positive with a negative in which the positive has the larger score.
  An equal score counts one half. It is counted in whole numbers, so it is exact up to one division.
- **NDCG@k** ranks a user's own pairs by falling score, equal ones in the order given, which is by smaller item id in
  `pyrec.data.Interactions`: Σ_{j ≤ k} y_j / log2(j + 1) over Σ_{j ≤ min(k, positives)} 1 / log2(j + 1).
- **Log loss** takes scores for logits: mean log(1 + exp(-y s)), y in {-1, 1}; 0 is perfect, log 2 says nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec._checks import check_count
from pyrec.data.foreign import reading
from pyrec.data.rows import refuse_masked
from pyrec.errors import ConfigError, DataError

LARGEST = float(np.finfo(np.float32).max)


def auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the area under the ROC curve over all pairs at once.

    Args:
        scores: (n,) finite numbers.
        labels: (n,) numbers, positive if above 0.

    Raises:
        DataError: If they are no such arrays, or all pairs have the same label.
    """
    checked = check_scored(scores, labels)
    require_both(checked[1])
    won, of = SortedPairs(*checked, falling_order(checked[0])).comparisons()
    return float(won[0] / of[0])


def user_auc(scores: npt.ArrayLike, labels: npt.ArrayLike, users: npt.ArrayLike) -> NDArray[np.float64]:
    """Return each user's AUC over their own pairs, float64 (U,), by ascending user; NaN with one label alone.

    Args:
        scores: (n,) finite numbers.
        labels: (n,) numbers, positive if above 0.
        users: (n,) whole numbers, U distinct ones.

    Raises:
        DataError: If they are no such arrays.
    """
    return _by_user(scores, labels, users).auc()


def pair_ndcg(
    scores: npt.ArrayLike, labels: npt.ArrayLike, users: npt.ArrayLike, k: int = 5
) -> NDArray[np.float64]:
    """Return NDCG@k of each user's own pairs, float64 (U,), by ascending user; NaN without a positive.

    Its mean over users with a positive is ``ndcg@k`` of `pyrec.evaluate_pairs`; with 1 in the place of NaN it is
    ``ndcg_all@k``.

    Args:
        scores: (n,) finite numbers.
        labels: (n,) numbers, positive if above 0.
        users: (n,) whole numbers, U distinct ones.
        k: Cut-off, at least 1.

    Raises:
        DataError: If they are no such arrays.
        ConfigError: If ``k`` is out of range.
    """
    k = check_count("k", k, 1, None, ConfigError)
    return _by_user(scores, labels, users).ndcg(k)


def log_loss(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the mean of log(1 + exp(-y s)) over all pairs.

    Args:
        scores: (n,) finite numbers, taken for logits.
        labels: (n,) numbers, positive if above 0.

    Raises:
        DataError: If they are no such arrays, or empty.
    """
    return float(log_losses(*check_scored(scores, labels)).mean())


def log_losses(scores: NDArray[np.floating], is_positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return log(1 + exp(-y s)) of each pair, float64 (n,)."""
    logits = scores.astype(np.float64)
    return np.logaddexp(0, np.where(is_positive, -logits, logits))


def constant_log_loss(rate: float, is_positive: NDArray[np.bool_]) -> float:
    """Return the log loss of the probability ``rate``, inside (0, 1), given to every pair."""
    positive = float(is_positive.mean())
    return float(-positive * np.log(rate) - (1 - positive) * np.log1p(-rate))


class SortedPairs:
    """Pairs by ascending user, each user's by falling score, equal ones in the order given.

    Args:
        scores: (n,) finite, n at least 1.
        is_positive: bool (n,).
        falling: `falling_order` of the scores.
        users: int (n,); None for one user who has all.

    Attributes:
        users: int (U,), ascending.
        sizes: int64 (U,), pairs of each.
        positives: int64 (U,), positive ones.
    """

    users: NDArray[Any]
    sizes: NDArray[np.int64]
    positives: NDArray[np.int64]

    def __init__(
        self,
        scores: NDArray[np.floating],
        is_positive: NDArray[np.bool_],
        falling: NDArray[np.integer],
        users: NDArray[np.integer] | None = None,
    ) -> None:
        self.users, self._starts, order = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), falling
        if users is not None:
            self.users, self._starts, order = _grouped(falling, users)
        self._is_positive = is_positive[order]
        self._ends = np.append(self._starts[1:], len(order))
        self.sizes = self._ends - self._starts
        counted = np.append(0, np.cumsum(self._is_positive, dtype=np.int64))
        self.positives = counted[self._ends] - counted[self._starts]
        ordered = scores[order]
        is_level = np.append(True, ordered[1:] != ordered[:-1])
        is_level[self._starts] = True
        levels = np.flatnonzero(is_level)  # where another score begins, or another user
        self._first_level = np.searchsorted(levels, self._starts)
        level_ends = np.append(levels[1:], len(order))
        self._positives_at = counted[level_ends] - counted[levels]
        self._negatives_at = level_ends - levels - self._positives_at
        num_levels = np.diff(self._first_level, append=len(levels))
        self._positives_above = counted[levels] - np.repeat(counted[self._starts], num_levels)

    @property
    def has_both(self) -> NDArray[np.bool_]:
        """Which users have pairs of both labels, bool (U,)."""
        return (self.positives > 0) & (self.positives < self.sizes)

    @property
    def num_ties(self) -> int:
        """Comparisons of a user's positive and negative whose scores are equal."""
        return int(self._positives_at @ self._negatives_at)

    def comparisons(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return twice the comparisons that each user's positives win, and twice all, int64 (U,); ties win half."""
        won = self._negatives_at * (2 * self._positives_above + self._positives_at)
        return np.add.reduceat(won, self._first_level), 2 * self.positives * (self.sizes - self.positives)

    def auc(self) -> NDArray[np.float64]:
        """Return each user's AUC, float64 (U,); NaN with one label alone."""
        return _ratio(*self.comparisons())

    def ndcg(self, k: int) -> NDArray[np.float64]:
        """Return each user's NDCG@k, float64 (U,); NaN without a positive."""
        owner = np.repeat(np.arange(len(self.users)), self.positives)
        place = np.flatnonzero(self._is_positive) - self._starts[owner]
        top = place < k
        gains = np.bincount(owner[top], weights=1 / np.log2(place[top] + 2.0), minlength=len(self.users))
        best = np.append(0, np.cumsum(1 / np.log2(np.arange(min(k, int(self.sizes.max()))) + 2.0)))
        return _ratio(gains, best[np.minimum(self.positives, len(best) - 1)])

    def mean_by_user(self, values: NDArray[np.float64], users: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the mean of ``values`` (n,) over each user's pairs, float64 (U,).

        Args:
            values: (n,), in the order that the pairs were given in.
            users: (n,), likewise.
        """
        at = np.searchsorted(self.users, users)
        return np.bincount(at, weights=values, minlength=len(self.users)) / self.sizes


def falling_order(scores: NDArray[np.floating]) -> NDArray[np.integer]:
    """Return the positions of scores (n,) from large to small, int (n,), equal ones as given."""
    if scores.dtype != np.float32 or len(scores) > 2**32:
        return np.argsort(-scores, kind="stable")
    # A key of the score's bits above the position is sorted as a number, much faster than positions are by scores.
    # The bits of floats ascend as whole numbers do, from 0 up; those of negative floats fall.
    bits = (0.0 - scores).view(np.int32)
    ascending = np.where(bits < 0, ~bits, bits ^ np.int32(-(2**31))).view(np.uint32)
    keys = (ascending.astype(np.uint64) << np.uint64(32)) | np.arange(len(scores), dtype=np.uint64)
    keys.sort()
    order: NDArray[np.int64] = (keys & np.uint64(2**32 - 1)).astype(np.int64)
    return order


def _grouped(
    order: NDArray[np.integer], users: NDArray[np.integer]
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Return the users (U,), ascending, where their pairs start (U,), and the pairs (n,) by user, else by ``order``."""
    is_new = np.append(True, users[1:] != users[:-1])
    if (users[1:] >= users[:-1]).all():
        distinct, codes = users[is_new], np.cumsum(is_new) - 1
    else:
        distinct, codes = np.unique(users, return_inverse=True)
    # Sorted by counting, which keeps the order of a row's entries: their columns ascend.
    place = np.arange(len(order))
    rows = csr_array((order, (codes[order], place)), shape=(len(distinct), len(order)))
    return distinct, rows.indptr[:-1].astype(np.int64), rows.data


def _by_user(scores: npt.ArrayLike, labels: npt.ArrayLike, users: npt.ArrayLike) -> SortedPairs:
    checked = check_scored(scores, labels)
    return SortedPairs(*checked, falling_order(checked[0]), check_users_of(users, scores))


def _ratio(of: NDArray[Any], by: NDArray[Any]) -> NDArray[np.float64]:
    """Return the ratios (U,), NaN by 0."""
    ratio: NDArray[np.float64] = np.divide(of, by, out=np.full(len(by), np.nan), where=by > 0)
    return ratio


def check_scored(
    scores: npt.ArrayLike, labels: npt.ArrayLike
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Return scores float (n,), and which pairs are positive, bool (n,).

    Raises:
        DataError: If one is no array of finite numbers, they differ in length, or are empty.
    """
    values = check_finite_array("scores", scores)
    told = check_finite_array("labels", labels)
    if len(values) != len(told):
        raise DataError(f"scores has {len(values)} entries and labels {len(told)}; a pair has one of each")
    if len(values) == 0:
        raise DataError("scores is empty: there is no pair to measure; check the file or the split")
    return (values if values.dtype.kind == "f" else values.astype(np.float64)), told > 0


def check_finite_array(name: str, values: npt.ArrayLike) -> NDArray[Any]:
    """Return ``values`` (n,) as an array of numbers in the range of float32.

    Raises:
        DataError: If it is none; names the first position.
    """
    refuse_masked(values, name)
    with reading(name):
        array: NDArray[Any] = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise DataError(f"{name} is {array.dtype} {array.shape}, but one-dimensional numbers are needed")
    with np.errstate(all="ignore"):
        sound = np.abs(array.astype(np.float64, copy=False)) <= LARGEST
    if not sound.all():
        at = int(sound.argmin())
        raise DataError(
            f"{name}[{at}] = {array[at]}, but a finite number is needed, of at most {LARGEST:.3g}"
        )
    return array


def check_users_of(users: npt.ArrayLike, scores: npt.ArrayLike) -> NDArray[Any]:
    """Return the users of scored pairs, whole numbers (n,).

    Raises:
        DataError: If they are none, or not as many as the scores.
    """
    owners = check_finite_array("users", users)
    if owners.dtype.kind not in "iu" or len(owners) != np.size(scores):
        raise DataError(
            f"users is {owners.dtype} {owners.shape}, but a whole number for each of {np.size(scores)} pairs is needed"
        )
    return owners


def require_both(is_positive: NDArray[np.bool_], name: str = "labels") -> None:
    """Raises DataError where all pairs have the same label."""
    if is_positive.all() or not is_positive.any():
        which = "positive" if is_positive.all() else "negative"
        raise DataError(
            f"{name}: all {len(is_positive):,} pairs are {which}, so there is nothing to tell apart; keep both "
            "kinds of ratings, as positive='rating>=4' does when data are read"
        )
