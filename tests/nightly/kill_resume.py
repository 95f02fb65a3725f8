"""Kills training runs at random moments and goes on with them; the model's file is that of a run never stopped.

    python tests/nightly/kill_resume.py [--kills 20] [--seed 0]

Each point is a run of its own with a checkpoint each epoch, killed (kill -9) at a random moment between its first
checkpoint and its end, writing of files included, and gone on with to the end. Both stages of training are there
(weights of layers learned on held-out interactions, then all anew), and so is a validation set. Exit status 1 at the
first SHA-256 that differs.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pyrec.store.training_checkpoint import Checkpoints

OPTIONS = ["--loss", "bpr", "--combine", "attention", "--dim", "16", "--epochs", "12", "--validation", "0.1"]


def start(*words: object) -> subprocess.Popen[bytes]:
    """A run in a process of its own."""
    command = [sys.executable, "-m", "pyrec.cli", "train", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_and_wait(folder: Path) -> subprocess.Popen[bytes]:
    """A new run that has its first checkpoint."""
    child = start(*OPTIONS, "--checkpoint-every", 1, "--out", folder)
    while not Checkpoints(folder).exists:
        if child.poll() is not None:
            raise RuntimeError(f"the run ended with status {child.returncode} before its first checkpoint")
        time.sleep(0.001)
    return child


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    moments, places = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as temporary:
        whole = start_and_wait(Path(temporary) / "whole")
        started = time.monotonic()
        if whole.wait() != 0:
            raise RuntimeError("the run that is not stopped failed")
        duration, expected = time.monotonic() - started, sha256(Path(temporary) / "whole")
        while len(places) < arguments.kills:
            folder = Path(temporary) / str(len(places))
            child = start_and_wait(folder)
            time.sleep(moments.random() * duration)
            child.kill()
            child.wait()
            if not Checkpoints(folder).exists:  # the run was faster than the kill
                folder.rename(Path(temporary) / f"ended-{time.monotonic_ns()}")
                continue
            config = Checkpoints(folder).read_config()
            places.append(f"{config['stage']} {config['epoch']}")
            if start("--resume", folder).wait() != 0 or sha256(folder) != expected:
                sys.exit(f"after a kill at {places[-1]} the run did not end in {expected}")
    print(f"{len(places)} kills, at stage and epoch {', '.join(places)}: each run ended in {expected}")


if __name__ == "__main__":
    main()
