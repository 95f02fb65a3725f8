"""How ``pyrec train`` keeps a run: trackers, checkpoints, and what happens when it is stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from pyrec.cli.output import note
from pyrec.cli.run_setup import RunSetup
from pyrec.errors import StoppedError
from pyrec.interrupt import stop_on_signals
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.track import Tracker, Tracking, open_tracker


@contextmanager
def stoppable(setup: RunSetup, test: Mapping[str, Any]) -> Iterator[Checkpoints | None]:
    """A block that Ctrl-C and SIGTERM stop so that the run can go on; it ends the program as the signal would.

    Args:
        setup: The run, of a model that trains by epochs.
        test: The fingerprint of what it is measured on.

    Yields:
        What keeps its checkpoints; None where the run is not kept.

    Raises:
        Exit: If it was stopped.
        DataError: If a run that goes on had another test set.
    """
    if setup.folder is None:
        yield None
        return
    setup.check_test(test)
    kept = Checkpoints(setup.folder, setup.every)
    with stop_on_signals(kept.stop) as signals:
        try:
            yield kept
        except StoppedError as stopped:
            note(f"{stopped}; nothing is lost: pyrec train --resume {setup.folder} goes on from there")
            raise click.exceptions.Exit(128 + (signals.received or 0)) from stopped


def open_trackers(setup: RunSetup) -> list[Tracker]:
    """Return the run's trackers, not yet told of anything.

    Raises:
        ConfigError: If one is of no known kind, or its package is missing.
    """
    run_ids = setup.run_ids or [None] * len(setup.track)
    called = None if setup.folder is None else setup.folder.resolve().name
    return [open_tracker(place, run_id, called) for place, run_id in zip(setup.track, run_ids, strict=True)]


@contextmanager
def tracked(setup: RunSetup, trackers: list[Tracker]) -> Iterator[Tracking]:
    """A block that trackers are told of; they get the metrics that it leaves there."""
    with Tracking(*trackers) as tracking:
        tracking.start(setup.described(), setup.epoch)
        setup.run_ids = [tracker.run_id for tracker in trackers]
        yield tracking
