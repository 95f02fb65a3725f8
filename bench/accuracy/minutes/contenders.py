"""What is raced: contenders of a YAML file, and what one of their processes took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pyrec.errors import ConfigError

from . import judged

HERE = Path(__file__).parent
MEASURED = """import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode != 0)"""
"""A small process starts the contender: a child's peak begins with that of the process it was forked from."""
KEYS = {"script", "params", "for", "search", "skip"}


@dataclass(frozen=True)
class Contender:
    """A script of this folder with parameters.

    Attributes:
        label: What the file calls it.
        script: The script's name, such as ``pyrec_lists``.
        params: Its parameters on a data set.
        search: For each searched parameter (low, high) of a logarithmic scale, or a list of choices; empty: none.
    """

    label: str
    script: str
    params: dict[str, Any]
    search: dict[str, Any]


@dataclass(frozen=True)
class Race:
    """The whole file: threads, trials of a search, targets and contenders by data set."""

    threads: int
    trials: int
    targets: dict[str, list[float]]
    splits: dict[str, str]
    entries: dict[str, dict[str, Any]]

    def contenders(self, data: str) -> list[Contender]:
        """Those that take part on a data set."""
        found = []
        for label, entry in self.entries.items():
            if data not in entry.get("skip", []):
                params = {**entry.get("params", {}), **entry.get("for", {}).get(data, {})}
                found.append(Contender(label, entry["script"], params, entry.get("search", {})))
        return found


def read(path: Path) -> Race:
    """Reads the file.

    Raises:
        ConfigError: A key is unknown, or a script is not there.
    """
    told = yaml.safe_load(path.read_text())
    for label, entry in told["contenders"].items():
        unknown = set(entry) - KEYS
        if unknown or not (HERE / f"{entry.get('script')}.py").exists():
            raise ConfigError(
                f"{path}, contender {label!r}: keys are {sorted(KEYS)}, script one of this folder"
            )
    return Race(told["threads"], told["trials"], told.get("targets", {}), told["data"], told["contenders"])


def run(
    contender: Contender, params: Mapping[str, Any], folder: Path, python: str, threads: int
) -> dict[str, Any]:
    """A contender's row: seconds from its start to its lists on disk, its peak memory and the judged lists.

    A process that fails gives a row with ``error``, the last line of what it said.
    """
    with tempfile.TemporaryDirectory() as kept:
        out = Path(kept) / "lists.npy"
        script = HERE / f"{contender.script}.py"
        words = [python, "-W", "ignore", str(script), str(folder), str(out), json.dumps(dict(params))]
        variables = {
            name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        }
        with (Path(kept) / "said").open("w+") as said:
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", MEASURED, *words],
                env=os.environ | variables,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                check=False,
            )
            seconds = time.perf_counter() - started
            said.seek(0)
            last = said.read().strip().splitlines()[-1:]
        row = {
            "label": contender.label,
            "script": contender.script,
            "params": dict(params),
            "threads": threads,
            "seconds": round(seconds, 2),
            "peak_mb": round(int(done.stdout.split()[-1]) / 1024),
        }
        if done.returncode:
            return {**row, "error": "".join(last) or f"status {done.returncode}"}
        if out.exists():
            return {**row, **judged.judge(np.load(out), folder / "test.txt")}
        return {**row, **json.loads("".join(last))}  # what is timed by steps tells its figures itself


def python_of(script: str, peers: Mapping[str, str]) -> str:
    """The Python that runs a script, by the script's first word; this process' own where none is named."""
    return peers.get(script.partition("_")[0], sys.executable)
