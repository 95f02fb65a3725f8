"""The data that a run is measured on: its own, as they were when it was trained, or others in its ids."""

from __future__ import annotations

from pathlib import Path

from pyrec import checkpoint
from pyrec.cli.sources import Source
from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.models import Recommender
from pyrec.resume import fingerprint


def source_of(run: Path) -> Source:
    """Return what the run in a folder was trained on.

    Raises:
        DataError: If the run does not say so.
    """
    return Source.from_json(checkpoint.read_config(run)["run"].get("data"), str(run))


def read_as(run: Path, source: Source) -> Source:
    """Return data named on the command line, read and split as the run's were where it says nothing of that."""
    try:
        own = source_of(run)
    except DataError:  # saved from Python, without a word on its data
        return source
    return source.or_as(own)


def test_set(
    run: Path, model: Recommender, parts: tuple[Interactions, Interactions], own: bool
) -> Interactions:
    """Return a test set in the model's ids.

    Args:
        run: The model's folder, for messages.
        model: The model.
        parts: A training and a test set.
        own: Whether they are what the run's own description of its data gives now.

    Raises:
        DataError: If they are the run's own and no longer what the model was trained on, or an id is unknown to it.
    """
    train, test = parts
    if own and fingerprint(train) != fingerprint(model.train_):
        raise DataError(
            f"the data of {run} are not those that it was trained on: {len(model.train_):,} training interactions "
            f"then, {len(train):,} or others now; put them back, or name what to measure on: DATA, or --train and "
            "--test"
        )
    return Interactions.from_arrays(
        test.user_ids[test.users],
        test.item_ids[test.items],
        user_ids=model.train_.user_ids,
        item_ids=model.train_.item_ids,
    )
