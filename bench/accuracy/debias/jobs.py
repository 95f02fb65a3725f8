"""Jobs: a split of a protocol with all its methods, in a process of its own."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from .methods import Fitted, Method
from .plan import Plan
from .protocols import Task
from .runs import Kept, Row, described, run


def run_task(
    plan: Plan, folder: Path, protocol: str, split: int, skip: set[str]
) -> Iterator[tuple[Row, Any]]:
    """The rows of a split, method by method; a method that fails leaves a row with its error."""
    chosen = plan.protocol(protocol)
    task = next(task for task in chosen.protocol.tasks(folder) if task.split == split)
    fitted = Fitted()
    wanted = [method for method in plan.methods if chosen.takes(method)]
    needed = _needed(wanted, protocol, split, skip)
    for method in wanted:
        if method.label in needed:
            yield _row(task, method, chosen.protocol.starts, chosen.criterion, fitted)


def _row(task: Task, method: Method, starts: int, criterion: str, fitted: Fitted) -> tuple[Row, Any]:
    told = described(task, method.label)
    try:
        row, users = run(task, method, starts, criterion, fitted)
    except Exception as error:
        traceback.print_exc()
        return told | {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}, None
    return told | row, users


def _needed(methods: Sequence[Method], protocol: str, split: int, skip: set[str]) -> set[str]:
    """What has no row yet, and the methods that these are made of."""
    needed = {one.label for one in methods if f"{protocol}, {one.label}, {split}" not in skip}
    for one in reversed(methods):
        if one.label in needed:
            needed |= {*one.blend, *([one.mean_of] if one.mean_of else [])}
    return needed


def job(
    plan: Plan, folder: Path, protocol: str, split: int, skip: set[str], out: Path
) -> list[tuple[str, bool]]:
    """Makes the rows of a split that the file does not have, and returns a line on each, and whether it failed."""
    kept, lines = Kept(out), []
    for row, users in run_task(plan, folder, protocol, split, skip):
        if row["run"] not in skip:
            kept.append(row, users)
            lines.append((summary(row), "error" in row))
    return lines


def summary(row: Row) -> str:
    """A row as a line."""
    if "error" in row:
        return f"{row['run']}: {row['error']}"
    means = {name: sum(values) / len(values) for name, values in row["metrics"].items()}
    shown = "  ".join(f"{name} {means[name]:.4f}" for name in ("auc", "ndcg@5", "ndcg_all@5"))
    return f"{row['run']}: {shown}, {row['seconds']:.2f} s, choosing {row['seconds_choosing']:.1f} s"


def run_jobs(plan: Plan, folder: Path, jobs: Sequence[tuple[str, int]], out: Path, processes: int) -> int:
    """Makes the rows that the file does not have, and returns how many methods failed.

    Args:
        plan: What is run.
        folder: Holds the data sets' folders.
        jobs: Protocols and splits.
        out: The JSONL file.
        processes: Jobs at a time.
    """
    have = {row["run"] for row in Kept(out).rows() if "error" not in row}
    failed = 0
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(job, plan, folder, name, split, have, out) for name, split in jobs]
        for future in as_completed(futures):
            for line, is_error in future.result():
                failed += is_error
                print(line, file=sys.stderr, flush=True)
    return failed
