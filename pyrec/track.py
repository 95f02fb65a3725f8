"""Trackers: where a run's hyperparameters and metrics go besides its own files (extra ``track``).

    with track.Tracking(track.TensorBoard("runs/one")) as tracking:
        model.fit(train, callback=tracking)
        tracking.metrics |= pyrec.evaluate(model, test).metrics

A tracker is anything with the three methods of `Tracker`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from pyrec._optional import need
from pyrec.errors import ConfigError, DataError, StoppedError

if TYPE_CHECKING:
    from typing_extensions import Self

    from pyrec.models.base import Recommender


class Tracker(Protocol):
    """What `Tracking` tells of a run.

    Attributes:
        run_id: What the run is called where it is tracked, to go on with it; None before the start or where the place
            says it already.
    """

    run_id: str | None

    def on_start(self, params: Mapping[str, Any], epoch: int) -> None:
        """Takes the hyperparameters, and the epoch that is the first to come: above 1 for a run that goes on."""

    def on_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Takes an epoch's numbers, such as ``loss`` and ``validation/ndcg@20``."""

    def on_end(self, metrics: Mapping[str, float], status: str) -> None:
        """Takes the final metrics and how the run ended: ``finished``, ``stopped`` or ``failed``."""


class Tracking:
    """Tells trackers of a fit: its ``callback``, and a context that begins and ends what they keep.

    Attributes:
        trackers: Who gets the records.
        metrics: The final metrics, to be filled in before the context ends.
    """

    def __init__(self, *trackers: Tracker) -> None:
        self.trackers = trackers
        self.metrics: dict[str, float] = {}
        self._begun = False
        self._started: list[Tracker] = []

    def start(self, params: Mapping[str, Any], epoch: int = 1) -> None:
        """Begin; left out, the first epoch begins, with the model's hyperparameters.

        Args:
            params: Names and values that describe the run.
            epoch: The first to come.

        Raises:
            DataError: If a tracker cannot write; those before it are ended with the context.
        """
        self._begun = True
        for tracker in self.trackers:
            tracker.on_start(params, epoch)
            self._started.append(tracker)

    def __call__(self, model: Recommender, record: Mapping[str, Any]) -> None:
        """Take the record of an epoch that has just ended."""
        if not self._begun:
            self.start({"model": model.model_name, **model.flat_params()}, record["epoch"])
        metrics = {_path(name): float(value) for name, value in record.items() if _is_metric(name, value)}
        for tracker in self.trackers:
            tracker.on_epoch(record["epoch"], metrics)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopped = kind is not None and issubclass(kind, (StoppedError, KeyboardInterrupt))
        status = "finished" if kind is None else "stopped" if stopped else "failed"
        failed = [problem for tracker in self._started if (problem := self._end(tracker, status)) is not None]
        if failed and kind is None:  # one under way says more
            raise failed[0]

    def _end(self, tracker: Tracker, status: str) -> Exception | None:
        """End what one tracker keeps; return what went wrong, so that the others are ended as well."""
        try:
            tracker.on_end(self.metrics, status)
        except Exception as problem:
            return problem
        return None


class TensorBoard:
    """Event files for TensorBoard: scalars by epoch, hyperparameters as text; ``tensorboard --logdir``.

    Each run has a folder of its own in the directory, so that several are told apart.
    """

    def __init__(
        self, directory: str | os.PathLike[str], name: str | None = None, run_id: str | None = None
    ) -> None:
        """Write nothing yet.

        Args:
            directory: Of the runs.
            name: What the run is called; its model, if not given. The time follows where that name is taken.
            run_id: The folder in the directory of a run that goes on, whose event files are added to; None for a new
                one.

        Raises:
            ConfigError: If tensorboard is missing.
        """
        need("tensorboard", "tracking", "track")
        self._writer_class = need("torch.utils.tensorboard", "tracking", "track").SummaryWriter
        self._directory = Path(directory)
        self._name = name
        self.run_id = run_id

    def on_start(self, params: Mapping[str, Any], epoch: int) -> None:
        """See `Tracker.on_start`; what an earlier part of the run wrote of these epochs is dropped."""
        try:
            if self.run_id is None:
                self.run_id = _new_folder(self._directory, self._name or str(params.get("model", "run")))
            place = str(self._directory / self.run_id)
            self._writer = self._writer_class(place, purge_step=epoch if epoch > 1 else None)
        except OSError as error:
            raise DataError(f"cannot write {self._directory}: {error.strerror or error}") from error
        rows = "".join(f"| {name} | {json.dumps(value, default=str)} |\n" for name, value in params.items())
        self._writer.add_text("params", f"| name | value |\n|---|---|\n{rows}", epoch - 1)

    def on_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker.on_epoch`."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def on_end(self, metrics: Mapping[str, float], status: str) -> None:
        """See `Tracker.on_end`."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"final/{name}", value)
        self._writer.add_text("status", status)
        self._writer.close()


class MLflow:
    """A run on an MLflow tracking server or in a local store; ``@`` in names of metrics becomes ``_at_``."""

    def __init__(self, uri: str, experiment: str = "pyrec", run_id: str | None = None) -> None:
        """Write nothing yet.

        Args:
            uri: Of the store, such as ``sqlite:///runs.db`` or ``http://127.0.0.1:5000``.
            experiment: Made if need be.
            run_id: The run to go on with; None for a new one.

        Raises:
            ConfigError: If mlflow is missing.
            DataError: If it does not take the URI.
        """
        self._mlflow: Any = need("mlflow", "tracking", "track")
        self._experiment = experiment
        self.run_id = run_id
        with self._reporting(f"cannot use {uri!r}"):
            self._client = self._mlflow.MlflowClient(tracking_uri=uri)

    def on_start(self, params: Mapping[str, Any], epoch: int) -> None:  # noqa: ARG002
        """See `Tracker.on_start`."""
        with self._reporting("could not begin a run"):
            if self.run_id is not None:
                self._client.update_run(self.run_id, status="RUNNING")
                return
            known = self._client.get_experiment_by_name(self._experiment)
            place = self._client.create_experiment(self._experiment) if known is None else known.experiment_id
            self.run_id = self._client.create_run(place).info.run_id
        self._log(params=[self._mlflow.entities.Param(name, str(value)) for name, value in params.items()])

    def on_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker.on_epoch`."""
        self._log(metrics=self._metrics(metrics, epoch))

    def on_end(self, metrics: Mapping[str, float], status: str) -> None:
        """See `Tracker.on_end`."""
        self._log(metrics=self._metrics({f"final/{name}": value for name, value in metrics.items()}, 0))
        states = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
        with self._reporting("could not end the run"):
            self._client.set_terminated(self.run_id, states[status])

    def _metrics(self, metrics: Mapping[str, float], epoch: int) -> list[Any]:
        now = self._mlflow.utils.time.get_current_time_millis()
        return [
            self._mlflow.entities.Metric(name.replace("@", "_at_"), value, now, epoch)
            for name, value in metrics.items()
        ]

    def _log(self, **what: Any) -> None:
        with self._reporting("could not write"):
            self._client.log_batch(self.run_id, **what)

    @contextmanager
    def _reporting(self, what: str) -> Iterator[None]:
        try:
            yield
        except (self._mlflow.exceptions.MlflowException, ImportError, OSError) as error:
            raise DataError(f"mlflow {what}: {error}") from error


def _new_folder(directory: Path, name: str) -> str:
    """Make a folder of that name, with the time behind it if the name is taken; return what it is called."""
    directory.mkdir(parents=True, exist_ok=True)
    at = datetime.now().strftime("%Y%m%d-%H%M%S")
    names = chain([name, f"{name}-{at}"], (f"{name}-{at}-{number}" for number in count(2)))
    for one in names:
        with suppress(FileExistsError):
            (directory / one).mkdir()
            return one
    raise AssertionError("names do not end")


def open_tracker(place: str, run_id: str | None = None, name: str | None = None) -> Tracker:
    """Return the tracker of a place ``tensorboard:DIR`` or ``mlflow:URI``, as ``pyrec train --track`` names it.

    Args:
        place: The kind and where.
        run_id: The run to go on with.
        name: What a new run is called in TensorBoard; its model, if not given.

    Raises:
        ConfigError: If it is neither, or the package is missing.
    """
    kind, _, where = place.partition(":")
    if kind == "tensorboard" and where:
        return TensorBoard(where, name, run_id)
    if kind == "mlflow" and where:
        return MLflow(where, run_id=run_id)
    raise ConfigError(f"track = {place!r} is neither tensorboard:DIR nor mlflow:URI")


def _is_metric(name: str, value: Any) -> bool:
    return name != "epoch" and isinstance(value, (int, float)) and not isinstance(value, bool)


def _path(name: str) -> str:
    """``test_recall@20`` as ``test/recall@20``, which trackers show in a group."""
    for group in ("validation", "test"):
        if name.startswith(f"{group}_"):
            return f"{group}/{name.removeprefix(f'{group}_')}"
    return name
