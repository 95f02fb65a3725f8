"""A saved model: ``model.safetensors`` and ``config.json``, never pickle.

``model.safetensors`` holds, under these names,

- ``model.*``: what the model learned, in arrays of the model's own naming;
- ``train.users``, ``train.items``: the training interactions in internal ids, int32 (n,), sorted by user,
  then item; ``train.ratings``, ``train.times``, ``train.labels``, ``train.weights`` and
  ``train.positions`` (n,) if there were any;
- ``user_ids``, ``item_ids``: the raw id of each internal id, int64 (count,). Text ids instead as their UTF-8
  bytes end to end (``user_ids.text``, uint8) and where each starts (``user_ids.starts``, int64 (count + 1,)).

``config.json`` holds ``format`` (the number of this layout), ``pyrec`` (the version that wrote it), ``model``
(its name), ``params`` (the constructor's arguments; a component, such as a loss, is an object whose entry ``is``
holds its name), ``sha256`` of ``model.safetensors``, and ``run``, whatever the caller adds; its entry ``data`` is where
the training interactions come from (`pyrec.data.origin`), if they know it. Format 1 had flat
``params``: `pyrec.models.format_1`.

A save writes the arrays to ``next.safetensors``, then ``config.json``, and only then moves the arrays to
``model.safetensors``. Replacing ``config.json`` is the step from the old model to the new one: whenever a save is cut
short, the hash is that of one of the two array files, which `read` finds, and the next save ends the move first. The
threads of a process save one after the other.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
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
from pyrec.data import Interactions
from pyrec.data.ids import TEXT, text_problem
from pyrec.data.interactions import OPTIONAL
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
CONFIG_BYTES = 16 * 2**20
"""A longer ``config.json`` is not read."""

Model = TypeVar("Model", bound=Parameters)

_saving = threading.Lock()
"""Held by a save: the steps of two into one folder must not mix."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds."""

    source: str
    format: int
    model_name: str
    params: dict[str, Any]
    state: State
    interactions: Interactions

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
    interactions: Interactions,
    run: Mapping[str, Any] | None,
) -> None:
    """Write a checkpoint; see the module's text for the layout.

    Raises:
        ConfigError: If ``run`` is no mapping, or it or ``params`` hold what JSON cannot.
        DataError: If the folder cannot be written.
    """
    folder = Path(directory)
    about = {"format": FORMAT, "pyrec": version(), "model": model_name}
    config = about | {
        "params": _as_json("params", {name: to_json(value) for name, value in params.items()}),
        "run": _about_run(run, interactions.origin),
    }
    arrays = {f"model.{name}": array for name, array in state.items()} | interaction_arrays(interactions)
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
    """Read a checkpoint and check that it is whole.

    Raises:
        DataError: If a file is missing, torn, altered, or holds arrays that do not fit together.
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
    state = State(str(folder / ARRAYS), arrays)
    about = (config["format"], config["model"], config["params"])
    origin = config["run"].get("data")
    train = dataclasses.replace(_interactions(state), origin=origin if isinstance(origin, dict) else None)
    return Saved(str(folder), *about, state.under("model."), train)


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


def interaction_arrays(interactions: Interactions) -> dict[str, NDArray[Any]]:
    """Return the interactions and their ids under the names that a saved model has for them."""
    arrays: dict[str, NDArray[Any]] = {"train.users": interactions.users, "train.items": interactions.items}
    for name in OPTIONAL:
        if (values := getattr(interactions, name)) is not None:
            arrays[f"train.{name}"] = values
    arrays |= _id_arrays("user_ids", interactions.user_ids)
    return arrays | _id_arrays("item_ids", interactions.item_ids)


def _id_arrays(name: str, ids: NDArray[Any]) -> dict[str, NDArray[Any]]:
    if ids.dtype.kind == "i":
        return {name: ids}
    texts = [raw.encode("utf-8") for raw in ids.tolist()]
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in texts], out=starts[1:])
    return {f"{name}.text": np.frombuffer(b"".join(texts), dtype=np.uint8), f"{name}.starts": starts}


def _interactions(state: State) -> Interactions:
    user_ids, item_ids = _ids(state, "user_ids"), _ids(state, "item_ids")
    users = state.indices("train.users", len(user_ids))
    items = state.indices("train.items", len(item_ids))
    if len(users) != len(items):
        raise DataError(f"{state.source}: train.users has {len(users)} entries, train.items {len(items)}")
    told: dict[str, Any] = {
        name: state.array(f"train.{name}", _kind(state, name), users.shape)
        for name in OPTIONAL
        if f"train.{name}" in state
    }
    return Interactions.from_codes(users, items, user_ids, item_ids, **told)


def _kind(state: State, name: str) -> type[np.generic]:
    """Return the dtype that an array of a value an interaction has to have."""
    if name == "times":
        return np.int64 if state.arrays["train.times"].dtype.kind == "i" else np.float64
    return np.int32 if name == "positions" else np.float32


def _ids(state: State, name: str) -> NDArray[Any]:
    ids = state.array(name, np.int64, (None,)) if name in state else _text_ids(state, name)
    if not (ids[1:] > ids[:-1]).all() and len(np.unique(ids)) != len(ids):
        raise DataError(f"{state.source}: {name} holds an id twice")
    return ids


def _text_ids(state: State, name: str) -> NDArray[Any]:
    text = state.array(f"{name}.text", np.uint8, (None,)).tobytes()
    starts = state.offsets(f"{name}.starts", len(text)).tolist()
    try:
        texts = [text[a:b].decode("utf-8") for a, b in pairwise(starts)]
    except UnicodeDecodeError as error:
        raise DataError(f"{state.source}: {name}.text is not UTF-8: {error}") from None
    for at, raw in enumerate(texts):
        if problem := text_problem(raw):
            raise DataError(f"{state.source}: {name}[{at}] = {raw[:40]!r} {problem}")
    return np.array(texts, dtype=TEXT)


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
