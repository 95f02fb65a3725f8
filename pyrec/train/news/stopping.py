"""Which epoch of a news model is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from pyrec.data.impressions import Impressions
from pyrec.errors import DataError
from pyrec.options import Choice, Options
from pyrec.params import Component
from pyrec.train.early_stopping import PATIENCE, share_option

METRICS: Final = ("auc", "mrr", "ndcg@5", "ndcg@10")


class NewsStopping(Component):
    """A rule of when to stop."""

    family = "stopping"


@dataclass(frozen=True, repr=False)
class LatestImpressions(NewsStopping):
    """The epoch that is best on the latest impressions, which are not learned from, is kept.

    Args:
        share: Of the impressions that are held out, above 0 and below 1. None: `fit` is given a validation set.
        patience: Epochs without a better value before training stops; None to train to the end.
        metric: What is best: ``auc``, ``mrr``, ``ndcg@5`` or ``ndcg@10``.
    """

    name: ClassVar[str] = "early"
    options: ClassVar[Options] = {
        "share": share_option("the impressions"),
        "patience": PATIENCE,
        "metric": Choice(values=METRICS, flag="--stop-by", help="Validation metric that chooses the epoch."),
    }

    share: float | None = 0.1
    patience: int | None = None
    metric: str = "auc"


def latest_of(impressions: Impressions, share: float) -> NDArray[np.bool_]:
    """Which impressions are the latest share of all, bool (n,); without times the last ones.

    Raises:
        DataError: Nothing can be held out.
    """
    held_out = round(share * len(impressions))
    if not 0 < held_out < len(impressions):
        raise DataError(
            f"stopping__share = {share:g} of {len(impressions):,} impressions holds out {held_out}; give more "
            "impressions, or leave it out"
        )
    late = np.zeros(len(impressions), dtype=bool)
    late[impressions.time_order()[len(impressions) - held_out :]] = True
    return late
