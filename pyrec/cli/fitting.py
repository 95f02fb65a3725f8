"""How ``pyrec train`` fits a model: with an estimate of the time, progress, checkpoints and notes."""

from __future__ import annotations

import shlex
import time
from typing import Any

from pyrec.cli.model_options import model_arguments
from pyrec.cli.output import is_quiet, note
from pyrec.cli.progress import EpochProgress
from pyrec.cli.setup import Setup
from pyrec.cli.sources import Source
from pyrec.cli.training_data import TrainingData
from pyrec.data import Dataset, Interactions
from pyrec.device import find_device, gibibytes
from pyrec.models import EpochRecommender, Recommender
from pyrec.models.validation import chosen_by
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.track import Tracking
from pyrec.train.early_stopping import Stopping
from pyrec.tune.estimate import in_words

TOLD_FROM = 10.0
"""Seconds that training is to take at least for its time to be told beforehand."""


def check_device(model: Recommender, train: Interactions) -> None:
    """Refuse a device that is not there, before anything is measured or tracked, and say what the model takes of it.

    Raises:
        ConfigError: If the device is not there.
    """
    if isinstance(model, EpochRecommender) and model.device != "cpu":
        find_device(model.device)
        note(f"training takes {gibibytes(model.training_bytes(train))} of the device's memory")


def fit(
    setup: Setup,
    data: TrainingData,
    kept: Checkpoints | None,
    tracking: Tracking,
) -> float:
    """Fit the model of a run, with an estimate of the time beforehand, progress and checkpoints.

    Returns:
        The seconds that training took in all, less what the estimate and the progress reports took.

    Raises:
        StoppedError: If it was stopped; the checkpoint has been written.
    """
    model, before = setup.model, setup.seconds
    learned = data.learned_by(model)
    if not setup.resumed:
        _note_time(model, learned)
    started = time.perf_counter()
    if not isinstance(model, EpochRecommender):
        model.fit(learned)
        return time.perf_counter() - started
    progress = EpochProgress(model, data.test, setup.k, setup.eval_every, setup.epoch - 1, setup.fallback)

    def spent() -> float:
        return before + time.perf_counter() - started - progress.seconds

    def about() -> dict[str, Any]:
        return {**setup.about(), "seconds": spent()}

    def callback(model: Recommender, record: dict[str, Any]) -> None:
        progress(model, record)
        tracking(model, record)

    if kept is not None:
        kept.about = about
    try:
        validation = data.validation_of(model)
        model.fit(learned, validation=validation, callback=callback, checkpoints=kept, resume=setup.resumed)
    finally:
        progress.close()
    _note_skipped(model)
    if validation is not None:
        note(
            f"kept epoch {model.best_epoch_} of {len(model.history_)}, the best on the uniform validation part"
        )
    elif model.stopping is not None:
        name = chosen_by(model.history_[-1], Stopping.of(model.stopping)) or ""
        best = name.replace("_", " ", 1).partition("@")[0]
        note(f"kept epoch {model.best_epoch_} of {len(model.history_)}, the best by {best}")
        if data.test is None:
            _note_held_out(setup.source, model)
    return spent()


def _note_held_out(source: Source, model: EpochRecommender) -> None:
    """Say how to learn from the share as well that chose the epoch."""
    again = type(model)(**{**model.get_params(deep=False), "stopping": None, "epochs": model.best_epoch_})
    words = shlex.join(["pyrec", "train", *source.arguments(), *model_arguments(again)])
    falls = ", over which a linear rate falls faster" if getattr(model, "schedule", None) == "linear" else ""
    note(
        "note: the embeddings have not learned from the share that chose the epoch; for as many epochs with it"
        f"{falls}: {words}"
    )


def _note_time(model: Recommender, train: Interactions | Dataset) -> None:
    """Say how long training will take, if that is more than a moment."""
    if is_quiet():
        return
    seconds = model.training_seconds(train, limit=0.5)
    if seconds is None or seconds < TOLD_FROM:
        return
    at_most, epochs = "", ""
    if isinstance(model, EpochRecommender):
        epochs = f", {model.epochs:,} epochs"
        if model.stopping is not None and Stopping.of(model.stopping).patience is not None:
            at_most = "at most "
    note(f"{model.label} takes {at_most}about {in_words(seconds)}{epochs}")


def _note_skipped(model: EpochRecommender) -> None:
    """Say which users training had nothing to learn from."""
    if model.full_users_ or model.empty_users_:
        note(
            f"note: {model.full_users_:,} users own every item and {model.empty_users_:,} none; "
            "training skips them"
        )
