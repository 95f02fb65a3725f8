"""Kills a process that saves, again and again at random moments; every load gives the old or the new model, whole.

    python tests/nightly/kill_save_loop.py [--kills 300] [--seed 0]

A child saves model 1, 2, 3, … into one folder and says so after each. Once it has been killed the folder has to load as
the last model that it told of or as the one after: all arrays and parameters of one save. The next child goes on in the
same folder, with whatever the kill left there. Exit status 1 at the first load that is neither.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import numpy as np

from pyrec.data import Interactions
from pyrec.store import saved_model
from pyrec.store.interactions import interaction_arrays

USERS, DIM = 20_000, 16
DATA = interaction_arrays(Interactions.from_arrays(np.arange(USERS), np.arange(USERS)))


def save_forever(folder: Path, first: int, told: int) -> None:
    """The child: each save's arrays and parameters hold its number, which then goes down the pipe ``told``."""
    for number in itertools.count(first):
        state = {"a": np.full((USERS, DIM), number, np.float32), "b": np.full(7, number, np.int64)}
        saved_model.write(folder, "svd", {"number": number}, state, DATA, None)
        os.write(told, f"{number}\n".encode())


def loaded(folder: Path) -> int:
    """The number of the save in the folder.

    Raises:
        AssertionError: Its parts are of several saves.
        DataError: It does not load.
    """
    saved = saved_model.read(folder)
    numbers = {int(saved.params["number"])}
    for array in saved.state.arrays.values():
        numbers |= set(np.unique(array).astype(int).tolist())
    if len(numbers) != 1:
        raise AssertionError(f"torn: the parts are of the saves {sorted(numbers)}")
    return numbers.pop()


def run(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """Kill so often; how many loads gave the save that was told of, and how many the one after.

    Raises:
        AssertionError: A load gave neither.
    """
    moments = random.Random(seed)
    counts = [0, 0]
    told = 0
    for _ in range(kills):
        told, last = kill_once(folder, told + 1, moments)
        if last not in (told, told + 1):
            raise AssertionError(f"save {told} was told of, but {last} was loaded")
        counts[last - told] += 1
        told = last
    return counts[0], counts[1]


def kill_once(folder: Path, first: int, moments: random.Random) -> tuple[int, int]:
    """Let a child save from number ``first``, kill it; the last save it told of, and the one that loads."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            save_forever(folder, first, write)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as told:
        started = time.monotonic()
        numbers = [told.readline()]
        time.sleep(4 * moments.random() * (time.monotonic() - started))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        numbers += told.readlines()
    return max(map(int, numbers)), loaded(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old, new = run(Path(folder), arguments.kills, arguments.seed)
        left = sorted(path.name for path in Path(folder).iterdir())
    print(
        f"{arguments.kills} kills: {old} loads gave the last save told of, {new} the one after, none another"
    )
    print(f"files at the end: {', '.join(left)}")


if __name__ == "__main__":
    main()
