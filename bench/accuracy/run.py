"""``python -m bench.accuracy.run GRID.yaml --out results.jsonl``: every run of the grid that is not there yet.

Each run is a process of its own, so that one that crashes leaves a row with its error and the others go on. A key that
the file has, whatever became of the run, is not run again; ``--retry`` runs those with an error once more.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from pyrec.errors import PyrecError

from . import grid as grids
from .grid import Grid, Run
from .results import Row, Store
from .worker import Job, run_apart

DEFAULT_OUT = Path(__file__).parent / "results" / "results.jsonl"


def run_grid(grid: Grid, out: Path, jobs: int = 1, threads: int = 1, retry: bool = False) -> list[Row]:
    """Runs what is missing and returns the new rows, in the order in which they ended.

    Args:
        grid: What to run.
        out: The JSONL file; the arrays go into a folder beside it.
        jobs: Processes at a time.
        threads: Of each process.
        retry: Run those with an error once more.

    Raises:
        DataError: If ``out`` is no results file, or cannot be written.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    store = Store(out)
    todo = missing(grid, store, retry)
    done: list[Row] = []
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(run_apart, Job(run, grid.cutoffs, grid.curve_every, out)) for run in todo]
        try:
            for future in as_completed(futures):
                row = future.result()
                store.append(row)
                done.append(row)
                print(f"{len(done)}/{len(todo)}  {summary(row, grid.metrics)}", file=sys.stderr)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def missing(grid: Grid, store: Store, retry: bool = False) -> list[Run]:
    """The grid's runs, each key once, without those that the store has."""
    have = {key for key, row in store.rows().items() if not (retry and "error" in row)}
    return list({run.key: run for run in grid.runs if run.key not in have}.values())


def summary(row: Row, metrics: Sequence[str]) -> str:
    """A row as a line."""
    name = f"{row['data']}/{row['split']}  {row['label']}  seed {row['seed']}"
    if "error" in row:
        return f"{name}  {row['error']}"
    values = "  ".join(f"{metric} {row['metrics'][metric]:.4f}" for metric in metrics)
    return (
        f"{name}  {values}  {row['seconds_train']:.1f} s, best epoch {row['best_epoch']} of {row['epochs']}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; the status is 1 if a run failed, 2 if the grid or a file is at fault."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy.run", description=__doc__)
    parser.add_argument("grid", type=Path, help="the YAML file; bench/accuracy/grid.py explains it")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="the JSONL file of results")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    parser.add_argument("--retry", action="store_true", help="run those that failed once more")
    parser.add_argument("--dry-run", action="store_true", help="only list what would be run")
    options = parser.parse_args(argv)
    try:
        grid = grids.read(options.grid)
        if options.dry_run:
            for run in missing(grid, Store(options.out), options.retry):
                print(f"{run.data}/{run.split}  {run.label}  seed {run.seed}")
            return 0
        rows = run_grid(grid, options.out, options.jobs, options.threads, options.retry)
    except PyrecError as error:
        print(f"accuracy: error: {error}", file=sys.stderr)
        return 2
    failed = sum("error" in row for row in rows)
    print(f"{len(rows)} runs, {failed} failed; kept in {options.out}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
