"""The epochs of a model's own stage, and which of them is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from pyrec.store.training_checkpoint import MODEL
from pyrec.train.best_epoch import BestEpoch
from pyrec.train.epochs import Journal, Stage, Trained

Record = dict[str, Any]


class Validation(NamedTuple):
    """How the best epoch is chosen.

    Attributes:
        measure: Gives metrics on held-out interactions.
        chosen_by: The metric whose largest value is kept.
        patience: Epochs without a better one before training stops; None to train to the end.
        least_epochs: Epochs before one may be chosen, and before training stops.
    """

    measure: Callable[[], dict[str, float]]
    chosen_by: str
    patience: int | None
    least_epochs: int = 0


def best_of_epochs(
    trained: Trained,
    parameters: nn.Module,
    epochs: int,
    journal: Journal,
    history: list[Record],
    validation: Validation | None,
    callback: Callable[[Record], None] | None,
    before: Callable[[Record], None] = lambda _: None,
) -> int:
    """Train to the end, from the journal's checkpoint if there is one, and put the best epoch's parameters back.

    Args:
        trained: What goes through the epochs.
        parameters: What it trains, and what is kept of the best epoch.
        epochs: How many, at most.
        journal: The checkpoints of the fit.
        history: The records of the epochs are put into it.
        validation: How the epoch is chosen; None keeps the last one.
        callback: Called with the record of each epoch, to which it may add entries.
        before: Called likewise, before the epoch is validated.

    Returns:
        The epoch whose parameters were kept, from 1.

    Raises:
        DataError: If training diverges, or a checkpoint cannot be written.
        StoppedError: If it was stopped.
    """
    best = BestEpoch(parameters, None if validation is None else validation.patience)
    least = 0 if validation is None else validation.least_epochs
    stage = Stage(MODEL, trained, journal, {"best": best}, history)

    def report(record: Record) -> None:
        before(record)
        if validation is not None:
            record |= validation.measure()
        history.append(record)
        if callback is not None:
            callback(record)

    def after_report(record: Record) -> None:
        if validation is not None and record["epoch"] > least:
            best.offer(record["epoch"], record[validation.chosen_by])

    def is_over(epoch: int) -> bool:
        return epoch > least and best.patience_spent(epoch)

    return best.put_back(stage.run(epochs, report, after_report, is_over))
