"""Kills a process that saves, again and again at random moments; every load gives the old or the new model, whole.

    python tests/nightly/kill_save_loop.py [--kills 300] [--seed 0]

A child saves model 1, 2, 3, … into one folder and says so after each. Once it has been killed the folder has to load as
the last model that it told of or as the one after: all arrays and parameters of one save. The next child goes on in the
same folder, with whatever the kill left there. Exit status 1 at the first load that is neither.
"""

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pyrec import checkpoint
from pyrec.data import Interactions

USERS, DIM = 20_000, 16
INTERACTIONS = Interactions.from_arrays(np.arange(USERS), np.arange(USERS))


def save_forever(folder: Path, first: int) -> None:
    """The child: each save's arrays and parameters hold its number."""
    for number in itertools.count(first):
        state = {"a": np.full((USERS, DIM), number, np.float32), "b": np.full(7, number, np.int64)}
        checkpoint.write(folder, "svd", {"number": number}, state, INTERACTIONS, None)
        print(number, flush=True)


def loaded(folder: Path) -> int:
    """The number of the save in the folder.

    Raises:
        AssertionError: Its parts are of several saves.
        DataError: It does not load.
    """
    saved = checkpoint.read(folder)
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
    command = [sys.executable, __file__, "--child", str(folder), "--first", str(first)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    started = time.monotonic()
    child.stdout.readline()  # starting takes longer than a save, and there the kill would nearly always fall
    second = child.stdout.readline()
    a_save = (time.monotonic() - started) / 2 if second else 0.0
    time.sleep(moments.random() * min(4 * a_save, 0.25))
    child.kill()
    told = max(int(line) for line in [second, *child.stdout.read().split()])
    child.wait()
    child.stdout.close()
    return told, loaded(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        save_forever(arguments.child, arguments.first)
    with tempfile.TemporaryDirectory() as folder:
        old, new = run(Path(folder), arguments.kills, arguments.seed)
        left = sorted(path.name for path in Path(folder).iterdir())
    print(
        f"{arguments.kills} kills: {old} loads gave the last save told of, {new} the one after, none another"
    )
    print(f"files at the end: {', '.join(left)}")


if __name__ == "__main__":
    main()
