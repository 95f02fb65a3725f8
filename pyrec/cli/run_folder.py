"""The folder that ``pyrec train --out`` writes: the model, its metrics, history, plots and model card."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from pyrec._atomic import check_writable, parse_json, read_text, write_text, writing
from pyrec.cli.output import note
from pyrec.errors import ConfigError, DataError
from pyrec.look import plots
from pyrec.store import saved_model
from pyrec.store.training_checkpoint import Checkpoints

METRICS = "metrics.json"
HISTORY = "history.jsonl"
CURVES = "curves.png"
LAYER_WEIGHTS = "layer_weights.png"
CARD = "README.md"
CALIBRATION = "calibration.png"
OPTIONAL = (HISTORY, CURVES, LAYER_WEIGHTS, CALIBRATION)
"""Files that only some models write; those of an earlier run are removed."""
MOST_BYTES = 64 * 2**20
"""Longer metrics and a longer history are not read."""
MEND = "train again, or delete the file"


def check_folder(folder: Path, replace: bool) -> None:
    """Accept a folder that is not there, an empty one or, if asked to, one with a run that is to be replaced.

    Nothing is written: the folder is made with the first file.

    Raises:
        ConfigError: If it holds a run that is not to be replaced or was stopped, or anything else, or is no folder.
        DataError: If it cannot be made, read or written.
    """
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"--out {folder} is a file; name a folder")
        present = any(folder.iterdir()) if folder.exists() else False
    if Checkpoints(folder).exists:
        raise ConfigError(
            f"--out {folder} holds a run that was stopped; go on with it, --resume {folder}, or name another folder"
        )
    if present and not (folder / saved_model.CONFIG).exists():
        raise ConfigError(f"--out {folder} holds files but no run; name an empty or a new folder")
    if present and not replace:
        raise ConfigError(
            f"--out {folder} holds a run; put this one in its place with --replace, or name another folder"
        )
    check_writable(folder)


def note_replaced(folder: Path) -> None:
    """Say that a run will be replaced, if there is one."""
    if (folder / saved_model.CONFIG).exists():
        note(f"--out {folder} holds a run, which this one will replace when it ends")


class FinishedRun(Protocol):
    """A finished run, as its folder asks of it."""

    @property
    def history(self) -> list[dict[str, Any]]:
        """A record an epoch; empty for a model without epochs."""

    def save(self, folder: Path) -> None:
        """Save the model, with what the run says of itself."""

    def metrics(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds."""

    def draw(self, folder: Path) -> None:
        """Draw its pictures, of which each name is among `OPTIONAL`."""

    def card(self, files: list[str]) -> str:
        """Return what ``README.md`` holds, given the names of the files beside it."""


def keep(run: FinishedRun, folder: Path | None, kept: Checkpoints | None) -> None:
    """Write a run, where it has a folder, and then remove its checkpoint."""
    if folder is not None:
        write_run(run, folder)
    if kept is not None:
        kept.remove()


def write_run(run: FinishedRun, folder: Path) -> None:
    """Write every file of the run.

    Raises:
        DataError: If one cannot be written; if that is the model, the message says where it is instead.
    """
    try:
        run.save(folder)
    except DataError as error:
        raise DataError(f"{error}; {_kept_elsewhere(run)}") from error
    with writing(folder):
        for name in OPTIONAL:
            (folder / name).unlink(missing_ok=True)
    write_text(folder / METRICS, json.dumps(run.metrics(), indent=2) + "\n")
    if run.history:
        write_text(folder / HISTORY, "".join(json.dumps(record) + "\n" for record in run.history))
    if plots.available():
        run.draw(folder)
    elif run.history:
        note("no plots: they need matplotlib; pip install '.[plots]'")
    write_text(folder / CARD, run.card(sorted(path.name for path in folder.iterdir())))


def _kept_elsewhere(run: FinishedRun) -> str:
    """Keep a model for which there is no room where it was to be; say where."""
    folder = Path(tempfile.mkdtemp(prefix="pyrec-"))
    try:
        run.save(folder)
    except DataError as error:
        shutil.rmtree(folder, ignore_errors=True)
        return f"nor could the model be kept elsewhere: {error}"
    return f"the trained model is in {folder}"


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return what ``metrics.json`` holds; nothing if there is no such file.

    Raises:
        DataError: If it cannot be read, or holds something else.
    """
    records = _read_objects(folder / METRICS, lambda text: [text])
    return records[0] if records else {}


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the records of ``history.jsonl``; none if there is no such file.

    Raises:
        DataError: If it cannot be read, or holds something else.
    """
    return _read_objects(folder / HISTORY, str.splitlines)


def _read_objects(path: Path, split: Callable[[str], list[str]]) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    records = [parse_json(part, path, MEND) for part in split(read_text(path, MOST_BYTES, MEND))]
    if not all(isinstance(record, dict) for record in records):
        raise DataError(f"{path} holds something other than objects; {MEND}")
    return records
