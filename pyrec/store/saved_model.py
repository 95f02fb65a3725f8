"""A saved model: ``model.safetensors`` and ``config.json``, never pickle.

``model.safetensors`` holds, under these names,

- ``model.*``: what the model learned, in arrays of the model's own naming;
- what is kept of the data that it learned from: interactions as `pyrec.store.interactions` names them.

``config.json`` holds ``format`` (the number of this layout), ``pyrec`` (the version that wrote it), ``model``
(its name), ``params`` (the constructor's arguments; a component, such as a loss, is an object whose entry ``is``
holds its name), ``sha256`` of ``model.safetensors``, and ``run``, whatever the caller adds; its entry ``data`` is where
the training data come from (`pyrec.data.origin`), if they know it. Format 1 had flat
``params``: `pyrec.models.format_1`.

A save writes the arrays to ``next.safetensors``, then ``config.json``, and only then moves the arrays to
``model.safetensors``. Replacing ``config.json`` is the step from the old model to the new one: whenever a save is cut
short, the hash is that of one of the two array files, which `read` finds, and the next save ends the move first. The
threads of a process save one after the other.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from pyrec._atomic import (
    check_regular,
    hash_file,
    parse_json,
    read_text,
    replace,
    replacing,
    sync_folder,
    write_text,
)
from pyrec.errors import ConfigError, DataError
from pyrec.params import Parameters, from_json, to_json
from pyrec.store.arrays import State
from pyrec.version import version

FORMAT = 2
READ = (1, 2)
"""Formats that are read."""
ARRAYS = "model.safetensors"
NEXT = "next.safetensors"
CONFIG = "config.json"
TRAINING = "checkpoint.safetensors"
"""Of a run that has not ended: see `pyrec.store.training_checkpoint`."""
LEARNED = "model."
"""Before the names of learned arrays."""
CONFIG_BYTES = 16 * 2**20
"""A longer ``config.json`` is not read."""

Model = TypeVar("Model", bound=Parameters)

_saving = threading.Lock()
"""Held by a save: the steps of two into one folder must not mix."""


@dataclass(frozen=True)
class Saved:
    """What a saved model holds.

    Attributes:
        source: Its folder.
        format: One of `READ`.
        model_name: The model's name.
        params: Its hyperparameters, as JSON has them.
        state: The learned arrays.
        data: The arrays of the data that are kept with them.
        run: What was kept under ``run``.
    """

    source: str
    format: int
    model_name: str
    params: dict[str, Any]
    state: State
    data: State
    run: dict[str, Any]

    @property
    def origin(self) -> dict[str, Any] | None:
        """Where the data come from, as `pyrec.data.origin` has it; None where that is not known."""
        told = self.run.get("data")
        return told if isinstance(told, dict) else None

    def build(self, model_class: type[Model]) -> Model:
        """Return an unfitted model with the saved hyperparameters.

        Raises:
            DataError: If the class takes other hyperparameters than those saved.
        """
        return build(model_class, self.params, self.source)


def build(model_class: type[Model], params: Mapping[str, Any], source: object) -> Model:
    """Return an unfitted model with hyperparameters that were read from ``source``.

    Raises:
        DataError: If the class takes other hyperparameters, or a component is not known.
    """
    try:
        return model_class(**from_json(model_class, params, str(source)))
    except TypeError as error:
        raise DataError(f"{source}: params do not fit {model_class.__name__}: {error}") from None


def write(
    directory: str | PathLike[str],
    model_name: str,
    params: Mapping[str, Any],
    state: Mapping[str, NDArray[Any]],
    data: Mapping[str, NDArray[Any]],
    run: Mapping[str, Any] | None,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write a model; see the module's text for the layout.

    Args:
        directory: Made if need be.
        model_name: The model's name.
        params: Its hyperparameters.
        state: The learned arrays.
        data: The arrays of the data that are kept with them; no name begins with `LEARNED`.
        run: Whatever the caller adds.
        origin: Where the data come from, for ``run``, unless that says so itself.

    Raises:
        ConfigError: If ``run`` is no mapping, or it or ``params`` hold what JSON cannot.
        DataError: If the folder cannot be written.
    """
    folder = Path(directory)
    about = {"format": FORMAT, "pyrec": version(), "model": model_name}
    config = about | {
        "params": _as_json("params", {name: to_json(value) for name, value in params.items()}),
        "run": _about_run(run, origin),
    }
    arrays = {f"{LEARNED}{name}": array for name, array in state.items()} | dict(data)
    with _saving:
        _end_last_move(folder)
        with replacing(folder / NEXT) as temporary:
            save_arrays(arrays, temporary)
            config["sha256"] = _sha256(temporary)
        write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
        _move(folder)


def _about_run(run: Mapping[str, Any] | None, origin: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what is kept of a run: what the caller says and, unless that is among it, where the data come from."""
    told = _as_json("run", {} if run is None else run)
    return told if origin is None else _as_json("run", {"data": origin}) | told


def _as_json(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON will give back; what it cannot hold fails here, before a file is touched."""
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"{name} is a {type(values).__name__}, but a mapping is kept; give it a name: {{'note': ...}}"
        )
    try:
        kept: dict[str, Any] = json.loads(json.dumps(dict(values), default=plain))
    except ConfigError:
        raise
    except (TypeError, ValueError, RecursionError) as error:  # keys that are no text, a value within itself
        raise ConfigError(f"{name} cannot be written as JSON: {error}") from None
    return kept


def read(directory: str | PathLike[str]) -> Saved:
    """Read a model and check that its files are whole; its arrays are checked by who takes them out.

    Raises:
        DataError: If a file is missing, torn or altered.
    """
    folder = Path(directory)
    arrays = None
    while arrays is None:
        before = stamp(folder / CONFIG)
        config = read_config(folder)
        arrays = _read_arrays(folder, config["sha256"])
        if arrays is None and stamp(folder / CONFIG) == before:  # no save meanwhile
            path = folder / ARRAYS
            raise DataError(f"{path} is not the file that {CONFIG} was written for; save the model again")
    whole = State(str(folder / ARRAYS), arrays)
    about = (config["format"], config["model"], config["params"])
    return Saved(str(folder), *about, whole.under(LEARNED), whole.without(LEARNED), config["run"])


def read_config(directory: str | PathLike[str]) -> dict[str, Any]:
    """Return ``config.json``, with each entry's type checked.

    Raises:
        DataError: If it is missing, no JSON, of another format, or lacks an entry.
    """
    path = Path(directory) / CONFIG
    stopped = (Path(directory) / TRAINING).exists()
    goes_on = f"pyrec train --resume {directory} goes on with the run"
    advice = goes_on if stopped else f"is {directory} a saved model?"
    config = parse_json(read_text(path, CONFIG_BYTES, advice), path, advice)
    if not isinstance(config, dict) or config.get("format") not in READ:
        raise DataError(f"{path} is not in a format that this version reads, {READ[0]} to {READ[-1]}")
    for name, kind in {"model": str, "params": dict, "sha256": str, "run": dict}.items():
        if not isinstance(config.get(name), kind):
            raise DataError(f"{path}: {name!r} is missing or not a {kind.__name__}")
    return config


def save_arrays(
    arrays: Mapping[str, NDArray[Any]], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file.

    Raises:
        DataError: If it cannot be written.
    """
    try:
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, path, metadata)
    except SafetensorError as error:  # how the library reports a full disk
        raise DataError(f"cannot write {path}: {error}") from None


def _read_arrays(folder: Path, sha256: str) -> dict[str, NDArray[Any]] | None:
    """Return the arrays of the file with this hash; None if there is none, perhaps as a save is under way.

    Raises:
        DataError: If a file cannot be read.
    """
    for path in (folder / ARRAYS, folder / NEXT, folder / ARRAYS):  # again, for it may have moved meanwhile
        try:
            check_regular(path)
            status = path.stat()
            with safe_open(
                path, "numpy"
            ):  # before a file of any length is hashed: its header must fit its length
                pass
            if _sha256(path) == sha256:
                arrays = load_file(path)
                if os.path.samestat(status, path.stat()):  # not replaced since
                    return arrays
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from None
        except SafetensorError as error:
            raise DataError(
                f"{path} is no safetensors file, or is not the file that {CONFIG} was written for ({error}); "
                "save the model again"
            ) from None
    if not (folder / ARRAYS).exists():
        raise DataError(f"cannot read {folder / ARRAYS}: {os.strerror(errno.ENOENT)}")
    return None


def stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes whenever a file is replaced, its number and time (nanoseconds); None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _end_last_move(folder: Path) -> None:
    """Move what a save that was cut short left to be moved; other leftovers are replaced by the save to come."""
    if not (folder / NEXT).exists():
        return
    try:
        sha256 = read_config(folder)["sha256"]
    except DataError:
        return  # there is no model that could be lost
    if _sha256(folder / NEXT) == sha256:
        _move(folder)


def _move(folder: Path) -> None:
    """Put the next arrays in the place of the last ones."""
    try:
        replace(folder / NEXT, folder / ARRAYS)
        sync_folder(folder)
    except OSError as error:
        raise DataError(f"cannot write {folder / ARRAYS}: {error.strerror or error}") from error


def _sha256(path: Path) -> str:
    return hash_file(path, hashlib.sha256())


def plain(value: object) -> object:
    """Return a NumPy scalar as the Python one that JSON knows: ``json.dumps(default=plain)``.

    Raises:
        ConfigError: If it is anything else.
    """
    if isinstance(value, np.generic):
        return value.item()
    raise ConfigError(f"{value!r} cannot be written as JSON")
