"""``python measure.py DATA LIBRARY=PYTHON ... --out results.json``: the jobs of a first hour, library by library.

A job is a function of ``LIBRARY_jobs.py``, or a sentence that says why there is none. Each runs in a process and a
folder of its own, so its seconds are what a user waits, imports included. Its lines are those of its function and
of the functions that it calls, without blank lines, comments and docstrings; imports of the module are left out.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
JOBS = (
    "first_list",
    "best_model",
    "why",
    "serve",
    "export",
    "resume",
    "frames",
    "search",
    "own_model",
    "counts",
)
RUN = """import sys
sys.path.insert(0, sys.argv[1])
import {module} as jobs
print(jobs.VERSION, file=sys.stderr)
jobs.{job}(sys.argv[2])"""


def lines_of(module: Path, job: str) -> int:
    """Lines of code of a job's function and of the functions of the module that it calls."""
    tree = ast.parse(module.read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    wanted, counted = [job], set()
    while wanted:
        name = wanted.pop()
        if name in functions and name not in counted:
            counted.add(name)
            wanted += [node.id for node in ast.walk(functions[name]) if isinstance(node, ast.Name)]
    return sum(len(_code_lines(functions[name])) for name in counted)


def _code_lines(function: ast.FunctionDef) -> set[int]:
    """The lines that hold code, apart from the ``def`` itself and a docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return {line for node in body for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def run(python: str, module: str, job: str, data: Path) -> tuple[float, str]:
    """Seconds of a job, and the library's version."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        words = [python, "-W", "ignore", "-c", RUN.format(module=module, job=job), str(HERE), str(data)]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, env=os.environ)
        if done.returncode:
            raise RuntimeError(f"{module}.{job} failed:\n{done.stderr[-2000:]}")
        seconds = time.perf_counter() - started
    return seconds, next(iter(done.stderr.splitlines()), "")


def measure(library: str, python: str, data: Path, rounds: int) -> dict[str, Any]:
    """What every job of a library takes."""
    path = HERE / f"{library}_jobs.py"
    defined = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    found: dict[str, Any] = {}
    for job in JOBS:
        if job not in defined:
            continue
        runs = [run(python, path.stem, job, data) for _ in range(rounds)]
        seconds = [one for one, _ in runs]
        found["version"] = runs[0][1]
        found[job] = {
            "lines": lines_of(path, job),
            "seconds": round(statistics.median(seconds), 1),
            "from": round(min(seconds), 1),
            "to": round(max(seconds), 1),
        }
        print(library, job, found[job], flush=True)
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("libraries", nargs="+", metavar="LIBRARY=PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pairs = [one.partition("=")[::2] for one in options.libraries]
    found = {
        library: measure(library, python, options.data.resolve(), options.rounds) for library, python in pairs
    }
    options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
