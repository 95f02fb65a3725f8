"""The files that every contender reads: a part's lists of items, a user a line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from pyrec.data import Interactions

from .. import datasets

Lines = list[list[int]]
HELD_OUT = 10
"""A user's last interaction of so many is held out to choose parameters by; of fewer, one of at least five is."""
FEWEST = 5


def write(name: str, split: str, folder: Path) -> Path:
    """Writes a data set's split as train.txt and test.txt, and below ``chosen`` the same of its training part.

    A set that comes as such lists keeps its files, as the order of a list may tell something. Others' lists are
    in a random order, so their last tenth is a random one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = datasets.folder(name)
    if (given / "train.txt").exists():
        for file in ("train.txt", "test.txt"):
            shutil.copyfile(given / file, folder / file)
    else:
        for file, part in zip(("train.txt", "test.txt"), datasets.read(name, split), strict=True):
            _write_lines(folder / file, _lines_of(part))
    train, held_out = last_tenths(_read_lines(folder / "train.txt"))
    (folder / "chosen").mkdir(exist_ok=True)
    _write_lines(folder / "chosen/train.txt", train)
    _write_lines(folder / "chosen/test.txt", held_out)
    return folder


def last_tenths(lines: Lines) -> tuple[Lines, Lines]:
    """Lines without the last tenth of their items, and those items; the first number of a line is its user."""
    train, held_out = [], []
    for user, *items in lines:
        count = max(1, len(items) // HELD_OUT) if len(items) >= FEWEST else 0
        train.append([user, *items[: len(items) - count]])
        if count:
            held_out.append([user, *items[len(items) - count :]])
    return train, held_out


def _lines_of(part: Interactions) -> Lines:
    order = np.random.default_rng(0).permutation(len(part))
    order = order[np.argsort(part.users[order], kind="stable")]
    starts = np.append(0, np.cumsum(np.diff(part.indptr)))
    items = part.items[order].tolist()
    return [
        [user, *items[starts[user] : starts[user + 1]]]
        for user in range(part.num_users)
        if starts[user] < starts[user + 1]
    ]


def _read_lines(path: Path) -> Lines:
    return [list(map(int, line.split())) for line in path.read_text().splitlines() if line.strip()]


def _write_lines(path: Path, lines: Lines) -> None:
    path.write_text("".join(" ".join(map(str, line)) + "\n" for line in lines))
