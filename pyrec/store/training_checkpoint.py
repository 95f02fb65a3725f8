"""Checkpoints of a training run: ``checkpoint.safetensors``, from which training goes on to the same bits.

The file is replaced in one step, so that there is always the last good one. Its arrays are what `Resumable` parts of
the training gave; its metadata have one entry, ``pyrec``, a JSON object of

- ``format``, the number of this layout, and ``pyrec``, the version that wrote it;
- ``model`` and ``params``: name and hyperparameters of the model that is trained;
- ``train`` and ``validation``: how many there are of what, such as ``users``, and ``sha256`` of all of it;
- ``stage``: ``combine`` while weights of layers are learned on held-out interactions, ``model`` otherwise;
- ``epoch``, the one under way, from 1, ``seconds`` spent on it, and ``history``, the records of those before;
- ``about``, whatever the caller adds, and ``sha256`` of the arrays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open

from pyrec._atomic import check_regular, parse_json, replacing
from pyrec._checks import check_count
from pyrec.errors import ConfigError, DataError
from pyrec.interrupt import StopRequest
from pyrec.params import KIND, Component, to_json
from pyrec.store.arrays import State, digest
from pyrec.store.saved_model import TRAINING, plain, save_arrays
from pyrec.version import version

FORMAT: Final = 2
COMBINE: Final = "combine"
MODEL: Final = "model"
STAGES: Final = (COMBINE, MODEL)
ENTRIES: Final = {
    "model": str,
    "params": dict,
    "train": dict,
    "validation": dict,
    "stage": str,
    "epoch": int,
    "history": list,
    "seconds": float,
    "about": dict,
    "sha256": str,
}


@dataclass(frozen=True)
class TrainingIdentity:
    """What is trained, on what; a checkpoint belongs to one of these.

    Attributes:
        model: The model's name.
        params: Its hyperparameters.
        train: From `pyrec.store.arrays.fingerprint_of`, of the training set.
        validation: The same of a validation set that `fit` was given; empty for none.
    """

    model: str
    params: Mapping[str, Any]
    train: Mapping[str, Any]
    validation: Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """How far the training is.

    Attributes:
        stage: One of `STAGES`.
        epoch: The epoch under way, from 1.
        history: The records of the epochs before.
        seconds: Spent on the epoch under way.
        state: The arrays of all `Resumable` parts.
    """

    stage: str
    epoch: int
    history: list[dict[str, Any]]
    seconds: float
    state: State


class Checkpoints:
    """Where and how often `fit` writes a checkpoint, and the way to stop it.

    Attributes:
        directory: The folder of ``checkpoint.safetensors``.
        every: Epochs from one to the next.
        about: Gives what is kept in each checkpoint beside the training's state.
        stop: Asks `fit` to end: it writes a checkpoint after the training step that it is in, or leaves the
            evaluation that it is in, and raises `StoppedError`.
    """

    def __init__(
        self,
        directory: str | PathLike[str],
        every: int = 1,
        about: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Write nothing yet.

        Args:
            directory: Made with the first checkpoint, if need be.
            every: Epochs, at least 1; 0 for none but on a stop.
            about: Gives what JSON can hold, to be kept in each checkpoint under ``about``.

        Raises:
            ConfigError: ``every`` is no such number.
        """
        self.directory = Path(directory)
        self.every = check_count("every", every, 0, None, ConfigError)
        self.stop = StopRequest()
        self.about = about
        self._outer: tuple[str, Mapping[str, Any]] | None = None

    def of_model(self, model: str, params: Mapping[str, Any]) -> Checkpoints:
        """Return these checkpoints for a fit that is a part of another model's, and are that one's.

        Args:
            model: The name of the other model.
            params: Its hyperparameters.
        """
        inner = copy(self)
        inner._outer = (model, params)
        return inner

    def _whole(self, identity: TrainingIdentity) -> TrainingIdentity:
        """The identity of the fit that another may be a part of."""
        if self._outer is None:
            return identity
        model, params = self._outer
        return replace(identity, model=model, params=params)

    @property
    def path(self) -> Path:
        """The file."""
        return self.directory / TRAINING

    @property
    def exists(self) -> bool:
        """Whether there is one to go on from."""
        return self.path.exists()

    def remove(self) -> None:
        """Remove the checkpoint, if there is one: for when the trained model has been saved."""
        self.path.unlink(missing_ok=True)

    def read_config(self) -> dict[str, Any]:
        """What the checkpoint says of itself, its arrays left alone: the entries above, each of its type.

        Raises:
            DataError: It is missing, torn, or no checkpoint.
        """
        with self._opened() as file:
            return _checked(file.metadata() or {}, self.path)

    def read(self, identity: TrainingIdentity) -> Progress:
        """The checkpoint, which has to be of this identity.

        Raises:
            ConfigError: The hyperparameters are not those of the checkpoint; it names them.
            DataError: The data are not; or the file is missing, torn, altered or no checkpoint.
        """
        with self._opened() as file:  # once for both, for a save may replace the file meanwhile
            config = _checked(file.metadata() or {}, self.path)
            _check_same(config, self._whole(identity), self.path)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if digest(arrays) != config["sha256"]:
            raise DataError(f"{self.path} is damaged: its arrays are not those that it was written with")
        place = (config["stage"], config["epoch"], config["history"], config["seconds"])
        return Progress(*place, State(str(self.path), arrays))

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            check_regular(self.path)
            with safe_open(self.path, framework="numpy") as file:
                yield file
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror or error}") from None
        except SafetensorError as error:
            raise DataError(f"{self.path} is no safetensors file: {error}") from None

    def write(self, identity: TrainingIdentity, progress: Progress) -> None:
        """Replace the checkpoint.

        Raises:
            ConfigError: JSON cannot hold a record or ``about``.
            DataError: The file cannot be written; the one before is still there.
        """
        identity = self._whole(identity)
        arrays = {name: np.asarray(array, order="C") for name, array in progress.state.arrays.items()}
        config = {
            "format": FORMAT,
            "pyrec": version(),
            "model": identity.model,
            "params": {name: to_json(value) for name, value in identity.params.items()},
            "train": dict(identity.train),
            "validation": dict(identity.validation),
            "stage": progress.stage,
            "epoch": progress.epoch,
            "history": progress.history,
            "seconds": progress.seconds,
            "about": dict(self.about()),
            "sha256": digest(arrays),
        }
        metadata = {"pyrec": json.dumps(config, default=plain)}
        with replacing(self.path) as temporary:
            save_arrays(arrays, temporary, metadata)


def _checked(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    if "pyrec" not in metadata:
        raise DataError(f"{path} is no checkpoint of a training run")
    config = parse_json(metadata["pyrec"], f"what {path} says of itself", "start another run")
    if isinstance(config, dict) and config.get("format") == 1:
        raise DataError(
            f"{path} is of a run that an earlier version started (format 1), which cannot go on; start another run"
        )
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise DataError(f"{path} is not in the format {FORMAT} that this version reads")
    for name, kind in ENTRIES.items():
        if not isinstance(config.get(name), kind):
            raise DataError(f"{path}: {name!r} is missing or not a {kind.__name__}")
    if config["stage"] not in STAGES or config["epoch"] < 1:
        raise DataError(
            f"{path}: stage {config['stage']!r}, epoch {config['epoch']} is no place to go on from"
        )
    return config


def _check_same(config: Mapping[str, Any], identity: TrainingIdentity, path: Path) -> None:
    if config["model"] != identity.model:
        raise ConfigError(f"{path} is of model {config['model']!r}, not of {identity.model!r}")
    given = {name: to_json(value) for name, value in identity.params.items()}
    current = json.loads(json.dumps(given, default=plain))
    saved = {name: _completed(value, identity.params.get(name)) for name, value in config["params"].items()}
    changed = [
        f"{name} = {current.get(name)!r}, {saved.get(name)!r} in the checkpoint"
        for name in {**saved, **current}
        if current.get(name) != saved.get(name)
    ]
    if changed:
        raise ConfigError(
            f"{path} is of other hyperparameters: {'; '.join(changed)}; give the same, or start in another folder"
        )
    for name in ("train", "validation"):
        saved, given = config[name], getattr(identity, name)
        if saved != given:
            raise DataError(f"{path} is of other data: {_difference(name, saved, given)}")


def _completed(saved: Any, given: Any) -> Any:
    """What was saved of a component, with the defaults of hyperparameters that its class did not have then."""
    if not isinstance(given, Component) or not isinstance(saved, Mapping) or saved.get(KIND) != given.name:
        return saved
    known = {**{name: to_json(value) for name, value in given.defaults().items()}, **saved}
    return {name: _completed(value, getattr(given, name, None)) for name, value in known.items()}


def _difference(name: str, saved: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    if not saved or not given:
        return (
            f"it was {'' if saved else 'not '}given a {name} set, and this fit is {'' if given else 'not '}"
        )
    counts = [
        f"{given[key]:,} {key}, {saved.get(key)} in the checkpoint"
        for key in given
        if key != "sha256" and saved.get(key) != given[key]
    ]
    kind = "interactions, ratings, ids or features" if "interactions" in given else "articles, clicks or ids"
    return f"the {name} set has " + (", ".join(counts) or f"as many, but other {kind}")
