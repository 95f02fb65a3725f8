"""How lists of *all* items do, from a few random items a user: unbiased recall (URE), precision and DCG.

A user's random pairs are items that were drawn uniformly, with labels. To rank these few alone, as `evaluate_pairs`
does, tells little of a list of all items. Here all items are ranked, and it is counted which of the user's positive
random items are among the first k.

What is unbiased, and why. The user u has N_u items that the lists may hold, P_u of them positive, and T_u of these
are in the list. Of the random items m_u are among the N_u, p_u are positive and h_u of these are in the list. Given
m_u, the random items are a uniform sample of the N_u.

- The numerator and the denominator: E[h_u] = m_u T_u / N_u and E[p_u] = m_u P_u / N_u.
- ``precision@k``: the mean over users of (N_u / m_u) h_u / k. It is unbiased for the mean of T_u / k.
- ``dcg@k``: the same with 1 / log2(place + 1) in the place of each hit's 1 / k. It is unbiased.
- ``recall@k``: the mean of h_u / p_u over users with p_u > 0. Given p_u, the positive random items are a uniform
  sample of the P_u, so each ratio is unbiased for T_u / P_u. The mean is unbiased for the mean recall of *these*
  users. A user with many positives is more often one of them than another.
- ``pooled_recall@k``: Σ (N_u / m_u) h_u / Σ (N_u / m_u) p_u, for Σ T_u / Σ P_u: each positive pair counts once. A
  ratio of two unbiased sums has a bias of the order of 1 / (number of users).

``ndcg``, ``map``, ``mrr`` and ``hit`` depend on P_u, or on several labels at once, by more than a sum. A few random
items have no unbiased estimate of them.

Lists leave out training items, and random pairs that are training pairs do not count. So all of this is about items
that are new to the user; with ``filter_seen=False`` it is about all items. What else a model has learned from, such
as the random pairs that it was given, is for ``seen``.

Source: Wang et al., Debias can be unreliable, arXiv 2409.04810, WWW companion 2025.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pyrec._ambient import defaults
from pyrec._checks import check_count
from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.asked import Ranker, asked, check_cutoffs, check_test, listed_metrics, ranked_lists
from pyrec.evaluate.bootstrap import RESAMPLES, Interval, Statistic, intervals, ratio
from pyrec.evaluate.lists import discounts, num_eligible, places_in
from pyrec.evaluate.pairs import positive_pairs
from pyrec.evaluate.tables import table

UNIFORM_METRICS: Final = ("recall", "pooled_recall", "precision", "dcg")
"""What `evaluate_uniform` measures."""
TOLD: Final = f"random pairs have an unbiased estimate of {', '.join(UNIFORM_METRICS)} alone"

FEW: Final = 20
"""Hits below which an interval is doubtful."""


@dataclass(frozen=True, repr=False)
class UniformEvaluation:
    """The outcome of `evaluate_uniform`; ``print`` shows its `summary`.

    Attributes:
        metrics: Each metric's estimate, such as ``{"recall@20": 0.03}``; NaN where no random pair is positive.
        intervals: Its 95 % interval by the bootstrap over users, see `pyrec.evaluate.bootstrap`.
        per_user: What each user has, float64 (num_users,): recall, NaN without a positive; precision and DCG.
        users: The raw ids of the users with a random pair that counts (num_users,).
        num_pairs: Random pairs that count.
        num_positive_pairs: Those of them with a label above 0.
        num_seen_pairs: Random pairs that do not count, since lists cannot hold them.
        num_found: Positive random pairs in the lists at the largest cut-off.
        num_users_with_positive: Users whom ``recall@k`` is over.
        share_shown: The mean share of the items of lists that a user's random pairs are.
        seconds: Wall time of ranking and measuring.
    """

    metrics: dict[str, float]
    intervals: dict[str, Interval]
    per_user: dict[str, NDArray[np.float64]]
    users: NDArray[Any]
    num_pairs: int
    num_positive_pairs: int
    num_seen_pairs: int
    num_found: int
    num_users_with_positive: int
    share_shown: float
    seconds: float

    def __getitem__(self, name: str) -> float:
        return self.metrics[name]

    @property
    def num_users(self) -> int:
        """Users with a random pair that counts."""
        return len(self.users)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of ``metrics`` may not expect, a sentence each."""
        notes = [
            f"from {self.num_pairs:,} random pairs of {self.num_users:,} users, {100 * self.share_shown:.3g} % of "
            f"the items that their lists may hold; {self.num_positive_pairs:,} are positive, {self.num_found:,} of "
            "them in the lists",
            f"recall@k is over the {self.num_users_with_positive:,} users with a positive random pair",
        ]
        if self.num_seen_pairs:
            notes.append(
                f"{self.num_seen_pairs:,} random pairs are of what a user has had already, which no list holds; they "
                "do not count, so the metrics are of new items alone"
            )
        if self.num_found < FEW:
            notes.append(
                f"so few pairs in the lists, {self.num_found:,}, tell little, and the intervals are doubtful"
            )
        return tuple(notes)

    def summary(self) -> str:
        """Return a table of the estimates with their intervals, and below it what they are from."""
        return "\n".join([table(self.rows()), *(f"note: {note}" for note in self.notes)])

    def rows(self, first: str = "metric", label: str = "estimate") -> list[list[str]]:
        """Return a head, whose titles may be others, and a row for each estimate with its interval."""
        rows = [[first, label, "95 % interval"]]
        for name, value in self.metrics.items():
            low, high = self.intervals[name]
            rows.append([name, f"{value:.4f}", f"{low:.4f} to {high:.4f}"])
        return rows

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"UniformEvaluation({self.num_users:,} users, {self.num_pairs:,} random pairs: {means})"


@defaults()
def evaluate_uniform(
    model: Ranker,
    test: Interactions,
    k: int | Sequence[int] = 20,
    metrics: Sequence[str] | None = None,
    *,
    filter_seen: bool = True,
    seen: Interactions | None = None,
    batch_size: int = 16_384,
    fallback: Literal["popularity", "none"] = "popularity",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> UniformEvaluation:
    """Estimate how lists of all items do, from random pairs; see `pyrec.evaluate.uniform` for what is unbiased.

    Args:
        model: A fitted model, or anything with the methods of `Ranker`.
        test: Labelled pairs whose items were drawn uniformly for each user, with the id maps of the model's training
            set.
        k: Cut-off or cut-offs, each from 1 to the number of items and to 1,024.
        metrics: Which of `UNIFORM_METRICS`; None for all.
        filter_seen: Whether lists leave out training items. If not, ``topk`` is called with ``filter_seen=False``.
        seen: Other pairs that lists leave out, such as random ones that the model learned from. ``topk`` is called with
            ``excluded=``, (B, num_items).
        batch_size: Users ranked at a time.
        fallback: As for `pyrec.evaluate`.
        resamples: Draws of the bootstrap over users; 0 for no intervals.
        seed: Of these draws.

    Returns:
        Estimates with intervals, their values by user, and what they are from.

    Raises:
        NotFittedError: If the model is not fitted.
        DataError: If ``test`` is empty, has other ids than the model or no pair that counts, or ``k`` exceeds the
            items.
        ConfigError: If a metric is unknown, or a number is out of range.
    """
    names = listed_metrics(metrics, UNIFORM_METRICS, ("recall", "precision"), TOLD)
    batch_size = check_count("batch_size", batch_size, 1, None, ConfigError)
    with asked(model, Ranker, "training_set and topk") as state:
        train = state.training_set()
        check_test(test, train)
        if seen is not None:
            check_test(seen, train, "seen")
        cutoffs = check_cutoffs(k, train.num_items)
        started = time.perf_counter()
        left_out = _left_out(train, test, filter_seen, seen)
        users = np.unique(test.users[~left_out]).astype(np.int32)
        if len(users) == 0:
            raise DataError(
                f"all {len(test):,} pairs of test are training pairs, so none can be in a list; give pairs that were "
                "held out, or filter_seen=False"
            )
        ranked = ranked_lists(state, users, max(cutoffs), batch_size, None, fallback, filter_seen, seen)
        lists = ranked[0].cpu().numpy()
    eligible = num_eligible(train, filter_seen, seen)[users]
    shown = _Shown(test, ~left_out, users, lists, eligible)
    statistics = {f"{name}@{cut}": shown.statistic(name, cut) for cut in cutoffs for name in names}
    return UniformEvaluation(
        metrics={name: one.value() for name, one in statistics.items()},
        intervals=intervals(statistics, resamples, seed),
        per_user={
            name: ratio(one.columns) for name, one in statistics.items() if not name.startswith("pooled")
        },
        users=train.user_ids[users],
        num_pairs=int(shown.counts.sum()),
        num_positive_pairs=int(shown.positives.sum()),
        num_seen_pairs=int(left_out.sum()),
        num_found=int(shown.found(max(cutoffs)).sum()),
        num_users_with_positive=int(np.count_nonzero(shown.positives)),
        share_shown=float((shown.counts / eligible).mean()),
        seconds=time.perf_counter() - started,
    )


class _Shown:
    """The random pairs that count, by user.

    Args:
        test: All random pairs.
        keep: Which count, bool (n,).
        users: Internal ids of their users, int32 (U,), ascending.
        lists: int32 (U, K).
        eligible: Items that each user's list may hold, int64 (U,).

    Attributes:
        counts: Random pairs of each user, int64 (U,).
        positives: Positive ones, int64 (U,).
    """

    def __init__(
        self,
        test: Interactions,
        keep: NDArray[np.bool_],
        users: NDArray[np.int32],
        lists: NDArray[np.int32],
        eligible: NDArray[np.int64],
    ) -> None:
        rows = np.searchsorted(users, test.users[keep])
        liked = positive_pairs(test)[keep]
        self.counts = np.bincount(rows, minlength=len(users))
        self.positives = np.bincount(rows[liked], minlength=len(users))
        self._rows = rows[liked]
        self._places = places_in(lists, self._rows, test.items[keep][liked])
        self._scale = eligible / self.counts

    def found(self, k: int) -> NDArray[np.float64]:
        """Return how many of each user's positives are among the first k, float64 (U,)."""
        return self._sum(np.ones(k))

    def statistic(self, name: str, k: int) -> Statistic:
        """Return a metric, a ratio of two sums over users."""
        ones = np.ones(len(self.counts))
        columns: tuple[NDArray[Any], NDArray[Any]]
        if name == "recall":
            has = self.positives > 0
            columns = np.where(has, self.found(k) / np.maximum(self.positives, 1), 0), has
        elif name == "pooled_recall":
            columns = self._scale * self.found(k), self._scale * self.positives
        elif name == "precision":
            columns = self._scale * self.found(k) / k, ones
        else:
            columns = self._scale * self._sum(discounts(k)), ones
        return Statistic(np.stack(columns, axis=1).astype(np.float64), ratio)

    def _sum(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum by user of the gains (k,) of the places that positives have."""
        inside = (self._places >= 0) & (self._places < len(gains))
        values = gains[self._places[inside]]
        sums: NDArray[np.float64] = np.bincount(self._rows[inside], values, len(self.counts)).astype(
            np.float64
        )
        return sums


def _left_out(
    train: Interactions, test: Interactions, filter_seen: bool, seen: Interactions | None
) -> NDArray[np.bool_]:
    """Return which test pairs no list holds, bool (n,)."""
    out = train.has_pairs(test.users, test.items) if filter_seen else np.zeros(len(test), dtype=bool)
    return out if seen is None else out | seen.has_pairs(test.users, test.items)
