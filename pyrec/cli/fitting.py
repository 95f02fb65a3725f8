"""How ``pyrec train`` fits a model: with an estimate of the time, progress, checkpoints and notes."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from pyrec.cli.model_options import model_arguments
from pyrec.cli.output import is_quiet, note
from pyrec.cli.progress import EpochProgress
from pyrec.cli.run_setup import RunSetup
from pyrec.cli.setup import Setup
from pyrec.cli.sources import Source
from pyrec.cli.training_data import TrainingData
from pyrec.data import Interactions
from pyrec.device import find_device, gibibytes
from pyrec.evaluate.ranking import evaluate
from pyrec.models import EpochRecommender, Recommender
from pyrec.models.validation import chosen_by
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.track import Tracking
from pyrec.train.early_stopping import EarlyStopping, Stopping
from pyrec.tune.estimate import in_words

CURVE_METRICS: Final = ("precision", "recall", "ndcg")
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
    model = setup.model
    learned = data.learned_by(model)
    if not setup.resumed:
        note_time(model, learned)
    if not isinstance(model, EpochRecommender):
        started = time.perf_counter()
        model.fit(learned)
        return time.perf_counter() - started
    validation = data.validation_of(model)
    seconds = fit_by_epochs(
        setup,
        partial(model.fit, learned, validation=validation),
        _progress(setup, model, data),
        kept,
        tracking,
    )
    _note_skipped(model)
    if validation is not None:
        note(
            f"kept epoch {model.best_epoch_} of {len(model.history_)}, the best on the uniform validation part"
        )
    elif model.stopping is not None:
        name = chosen_by(model.history_[-1], Stopping.of(model.stopping)) or ""
        note_best(model.best_epoch_, len(model.history_), name)
        if data.test is None:
            _note_held_out(setup.source, model)
    return seconds


def fit_by_epochs(
    setup: RunSetup,
    fit: Callable[..., object],
    progress: EpochProgress,
    kept: Checkpoints | None,
    tracking: Tracking,
) -> float:
    """Fit a model that trains by epochs, with progress and checkpoints.

    Args:
        setup: The run.
        fit: The model's, with what it is to learn from.
        progress: Shows each epoch.
        kept: Keeps checkpoints, if anything does.
        tracking: Tells the trackers.

    Returns:
        The seconds that training took in all, less what the progress reports took.

    Raises:
        StoppedError: If it was stopped; the checkpoint has been written.
    """
    before, started = setup.seconds, time.perf_counter()

    def spent() -> float:
        return before + time.perf_counter() - started - progress.seconds

    def about() -> dict[str, Any]:
        return {**setup.about(), "seconds": spent()}

    def callback(model: Any, record: dict[str, Any]) -> None:
        progress(model, record)
        tracking(model, record)

    if kept is not None:
        kept.about = about
    try:
        fit(callback=callback, checkpoints=kept, resume=setup.resumed)
    finally:
        progress.close()
    return spent()


def note_best(epoch: int, epochs: int, name: str) -> None:
    """Say which epoch was kept, and by which entry of its record."""
    best = name.replace("_", " ", 1).partition("@")[0]
    note(f"kept epoch {epoch} of {epochs}, the best by {best}")


def _progress(setup: Setup, model: EpochRecommender, data: TrainingData) -> EpochProgress:
    stopping = EarlyStopping() if model.stopping is None else Stopping.of(model.stopping)

    def measure(model: Recommender) -> dict[str, float]:
        assert data.test is not None
        found = evaluate(model, data.test, setup.k, CURVE_METRICS, fallback=setup.fallback)
        record = {f"test_{name}": value for name, value in found.metrics.items()}
        if 0 < found.num_cold_users < found.num_users:
            record |= {f"test_warm_{name}": value for name, value in found.warm_metrics.items()}
        return record

    return EpochProgress(
        model.epochs,
        setup.epoch - 1,
        stopping.patience is not None,
        partial(chosen_by, stopping=stopping),
        None if data.test is None else measure,
        setup.eval_every,
    )


def _note_held_out(source: Source, model: EpochRecommender) -> None:
    """Say how to learn from the share as well that chose the epoch."""
    again = type(model)(**{**model.get_params(deep=False), "stopping": None, "epochs": model.best_epoch_})
    words = shlex.join(["pyrec", "train", *source.arguments(), *model_arguments(again)])
    falls = ", over which a linear rate falls faster" if getattr(model, "schedule", None) == "linear" else ""
    note(
        "note: the embeddings have not learned from the share that chose the epoch; for as many epochs with it"
        f"{falls}: {words}"
    )


class Timed(Protocol):
    """What is asked of a model before it is trained."""

    @property
    def label(self) -> str:
        """Its name."""

    def training_seconds(self, data: Any, limit: float, /) -> float | None:
        """Return about how many seconds `fit` will take."""


def note_time(model: Timed, train: object) -> None:
    """Say how long training will take, if that is more than a moment."""
    if is_quiet():
        return
    seconds = model.training_seconds(train, 0.5)
    if seconds is None or seconds < TOLD_FROM:
        return
    number = getattr(model, "epochs", None)
    may_stop = getattr(getattr(model, "stopping", None), "patience", None) is not None
    epochs = "" if number is None else f", {number:,} epochs"
    note(f"{model.label} takes {'at most ' if may_stop else ''}about {in_words(seconds)}{epochs}")


def _note_skipped(model: EpochRecommender) -> None:
    """Say which users training had nothing to learn from."""
    if model.full_users_ or model.empty_users_:
        note(
            f"note: {model.full_users_:,} users own every item and {model.empty_users_:,} none; "
            "training skips them"
        )
