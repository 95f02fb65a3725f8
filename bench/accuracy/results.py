"""Where results are kept: a JSONL file with a row a run, and beside it a folder with the arrays of each run.

A row has ``data``, ``split``, ``label``, ``model``, ``params``, ``seed``, ``threads``, ``versions``, ``commit``,
``date``, and then either ``metrics``, ``num_users``, ``seconds_train``, ``epochs`` and ``best_epoch``, or ``error``.

The arrays of a run lie in ``<JSONL's stem>.arrays/<key>.npz``:

- ``users`` (U,), raw ids, and for each metric of `grid.USER_METRICS` at each cut-off float32 (U,): the users' values
- ``user_degree`` int32 (U,): their training interactions
- ``history``: JSON text, a record an epoch
- ``layer_weights`` float32 (layers,) or (nodes, layers), ``degrees`` int32 (nodes,), ``num_users``: where learned
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrec._atomic import replacing
from pyrec.errors import DataError

from .grid import key_of

Row = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


class Store:
    """A JSONL file of rows, with its folder of arrays. One process appends; each row is one write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.with_suffix(".arrays")

    def rows(self) -> dict[str, Row]:
        """The rows by key, the last one of each. A last line cut short by an interruption is left out.

        Raises:
            DataError: If the file cannot be read, or a line is no row.
        """
        if not self.path.exists():
            return {}
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        return dict(self._row(number, line) for number, line in enumerate(lines, 1) if line)

    def _row(self, number: int, line: str) -> tuple[str, Row]:
        try:
            row = json.loads(line)
            return key_of(row), row
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{self.path}, line {number}, is no row of results; remove it") from None

    def append(self, row: Row) -> None:
        """Adds a row, and first drops what an interruption left of another.

        Raises:
            DataError: If the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
                file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror}") from error

    def write_arrays(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keeps a run's arrays."""
        with replacing(self.folder / f"{key}.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    def arrays(self, key: str) -> Arrays | None:
        """A run's arrays, or None where they were not kept (they are not committed)."""
        path = self.folder / f"{key}.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
