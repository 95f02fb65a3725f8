"""When training stops, and which epoch is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from pyrec.data import Interactions
from pyrec.data.split import hold_out
from pyrec.ops.metrics import METRICS
from pyrec.ops.topk import MAX_K
from pyrec.options import Choice, Count, Options, Share
from pyrec.params import Component

PATIENCE: Final = Count(
    low=1,
    high=2**16,
    optional=True,
    flag="--patience",
    unset="train to the end",
    help="Epochs without a better validation score before stopping.",
)


def share_option(of: str) -> Share:
    """Return the option of the share that is held out.

    Args:
        of: What it is a share of.
    """
    return Share(
        aka=("validation_share", "validation_split"),
        of=of,
        optional=True,
        flag="--validation",
        help="Share of the training set held out for early stopping.",
    )


class Stopping(Component):
    """A rule of when to stop."""

    family = "stopping"


@dataclass(frozen=True, repr=False)
class EarlyStopping(Stopping):
    """The epoch with the best value of a metric on held-out interactions is kept.

    With a ``share`` held out, parameters are learned on the rest; the fitted vectors propagate over all interactions.

    Args:
        share: Of the interactions that are held out, above 0 and below 1. None: `fit` is given a validation set.
        patience: Epochs without a better value before training stops; None to train to the end.
        k: Cut-off of the metrics.
        metric: What is best: ``ndcg``, ``recall``, ``precision``, ``map``, ``mrr`` or ``hit``, at ``k``.
    """

    name: ClassVar[str] = "early"
    options: ClassVar[Options] = {
        "share": share_option("the interactions"),
        "patience": PATIENCE,
        "k": Count(low=1, high=MAX_K, flag="", help="Cut-off of the validation metrics."),
        "metric": Choice(
            values=METRICS,
            flag="--stop-by",
            help="Validation metric that chooses the epoch, at the largest --k.",
        ),
    }

    share: float | None = 0.1
    patience: int | None = None
    k: int = 20
    metric: str = "ndcg"


def hold_out_to_stop(
    interactions: Interactions, share: float, seed: int
) -> tuple[Interactions, Interactions]:
    """What is learned from, and the `EarlyStopping.share` of the interactions that chooses the epoch.

    Raises:
        DataError: Nothing can be held out.
    """
    asked = f"stopping__share = {share:g}"
    return hold_out(interactions, share, seed, asked, "give more interactions, or leave it out")
