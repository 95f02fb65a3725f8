"""What a contender's process does: read both files, make lists, keep them. It needs NumPy and SciPy alone.

``python CONTENDER.py FOLDER OUT.npy PARAMS``: FOLDER has ``train.txt`` and ``test.txt``, a user a line with the items
after it; OUT gets int32 (lines of test.txt, 20), items best first and -1 behind a short list; PARAMS is JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

K = 20
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))


class Parts(NamedTuple):
    """The folder, the training interactions (users, items) with ones, and the users to make lists for."""

    folder: Path
    train: csr_matrix
    users: NDArray[np.int32]


def read(folder: Path) -> Parts:
    """Reads both files of integer ids from 0 up."""
    lines = [
        np.array(line.split(), dtype=np.int32) for line in (folder / "train.txt").read_text().splitlines()
    ]
    tested = [
        np.array(line.split(), dtype=np.int32) for line in (folder / "test.txt").read_text().splitlines()
    ]
    users = np.concatenate([np.repeat(line[0], line.size - 1) for line in lines])
    items = np.concatenate([line[1:] for line in lines])
    num_users = 1 + max(int(line[0]) for line in lines + tested)
    num_items = 1 + max(int(line[1:].max(initial=0)) for line in lines + tested)
    ones = np.ones(items.size, dtype=np.float32)
    train = csr_matrix((ones, (users, items)), shape=(num_users, num_items))
    return Parts(folder, train, np.array([line[0] for line in tested], dtype=np.int32))


def best(scores: NDArray[np.floating], seen: csr_matrix) -> NDArray[np.int32]:
    """The K best items of each row without those that it has seen, int32 (rows, K)."""
    scores[seen.nonzero()] = -np.inf
    some = np.argpartition(scores, -K, axis=1)[:, -K:]
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1).astype(np.int32)


def keep(lists: Callable[..., NDArray[np.integer]]) -> None:
    """Runs a contender by the words of the command line."""
    folder, out, params = sys.argv[1:]
    given: dict[str, Any] = json.loads(params)
    np.save(out, lists(read(Path(folder)), **given).astype(np.int32))
