"""Times Ctrl-C: from the signal to the checkpoint, and to the end of the process, at random moments of training.

    python tests/nightly/stop_latency.py [--stops 20] [--seed 0] [DATA …]

The bound is 200 ms to the checkpoint. Run it on a quiet machine; what else is given goes to ``pyrec train``.
Exit status 1 if a stop took longer.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pyrec.store.training_checkpoint import Checkpoints

BOUND = 0.2


def stop_once(folder: Path, words: list[str], moments: random.Random) -> tuple[float, float]:
    """Seconds from the signal to the checkpoint and to the end of the process."""
    command = [sys.executable, "-m", "pyrec.cli", "train", *words, "--epochs", "100000", "--out", str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    while not child.stderr.readline().startswith(b"epoch 1/"):
        if child.poll() is not None:
            raise RuntimeError(f"the run ended with status {child.returncode}")
    time.sleep(moments.random())
    started = time.monotonic()
    child.send_signal(signal.SIGINT)
    while not Checkpoints(folder).exists:
        time.sleep(0.001)
    written = time.monotonic() - started
    child.communicate()
    assert child.returncode == 130
    return written, time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments, words = parser.parse_known_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        times = [stop_once(Path(temporary) / str(i), words, moments) for i in range(arguments.stops)]
    for name, values in zip(("checkpoint", "end of the process"), zip(*times, strict=True), strict=True):
        print(f"{name}: median {statistics.median(values) * 1e3:.0f} ms, longest {max(values) * 1e3:.0f} ms")
    sys.exit(max(written for written, _ in times) > BOUND)


if __name__ == "__main__":
    main()
