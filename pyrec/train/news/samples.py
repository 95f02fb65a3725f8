"""The clicks that a news model learns from, and what each is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyrec.data.impressions import Impressions
from pyrec.errors import DataError
from pyrec.train.negatives import Shown


@dataclass(frozen=True)
class ClickSamples:
    """Each click of an impression that shows something else as well.

    Attributes:
        slots: (n,) int64, the candidate that was clicked: a position in ``impressions.candidates.indices``.
        impressions: (n,) int64, of each.
        others: (num_others,) int64, the candidates that were not clicked, impression by impression.
        starts: (num_impressions + 1,) int64, where those of each impression start in ``others``.
    """

    slots: NDArray[np.int64]
    impressions: NDArray[np.int64]
    others: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, impressions: Impressions) -> ClickSamples:
        """The clicks of impressions.

        Raises:
            DataError: There are no clicks, or none beside a candidate that was not clicked.
        """
        if impressions.clicks is None:
            raise DataError(
                "the impressions have no clicks to learn from; a test set without labels cannot be fitted"
            )
        rows = impressions.candidates.rows.astype(np.int64)
        others = np.flatnonzero(~impressions.clicks)
        starts = np.append(0, np.cumsum(np.bincount(rows[others], minlength=len(impressions))))
        slots = np.flatnonzero(impressions.clicks)
        slots = slots[np.diff(starts)[rows[slots]] > 0]
        if not len(slots):
            raise DataError(
                f"none of {len(impressions):,} impressions has both a click and a candidate that was not clicked: "
                "there is nothing to tell apart"
            )
        return cls(slots, rows[slots], others, starts)

    def __len__(self) -> int:
        return len(self.slots)

    def weighed(self, weight: NDArray[np.float32]) -> ClickSamples:
        """The clicks whose weight is above 0.

        Args:
            weight: (num_candidates,).

        Raises:
            DataError: There is none.
        """
        kept = weight[self.slots] > 0
        if not kept.any():
            raise DataError(
                "the weights of all clicks are 0: there is nothing to learn from; one has to be above 0"
            )
        return replace(self, slots=self.slots[kept], impressions=self.impressions[kept])

    def lists(
        self, chosen: NDArray[np.int64], negatives: Shown, draw: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The candidates that some samples compare, the click first.

        Args:
            chosen: (size,) numbers of samples.
            negatives: How many others there are.
            draw: Draws them.

        Returns:
            (size, 1 + most) int64 candidates, and bool where there is one; the rest are 0.
        """
        of = self.impressions[chosen]
        lengths = np.diff(self.starts)[of]
        owners = np.repeat(np.arange(len(chosen)), lengths)
        ranks = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        slots = self.others[np.repeat(self.starts[of], lengths) + ranks]
        if negatives.num is not None:
            slots = slots[np.lexsort((draw.random(len(slots)), owners))]
        most = int(lengths.max()) if negatives.num is None else min(negatives.num, int(lengths.max()))
        kept = ranks < most
        lists = np.zeros((len(chosen), 1 + most), np.int64)
        present = np.zeros(lists.shape, bool)
        lists[:, 0], present[:, 0] = self.slots[chosen], True
        lists[owners[kept], 1 + ranks[kept]] = slots[kept]
        present[owners[kept], 1 + ranks[kept]] = True
        return lists, present
