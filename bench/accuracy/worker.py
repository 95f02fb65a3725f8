"""One run of the grid: train, measure, keep the arrays; and the process of its own in which that happens."""

from __future__ import annotations

import json
import multiprocessing
import platform
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyrec.data import Interactions, synthetic
from pyrec.evaluate import Evaluation, evaluate
from pyrec.models import EpochRecommender, LightGCN, Recommender
from pyrec.version import version as pyrec_version

from . import datasets
from .grid import USER_METRICS, Run
from .results import Arrays, Row, Store

CURVE_METRICS = ("recall", "ndcg")
ITEM_METRICS = ("coverage",)


@dataclass(frozen=True)
class Job:
    """A run, how it is measured, and where its results go."""

    run: Run
    cutoffs: list[int]
    curve_every: int
    out: Path


def run_apart(job: Job) -> Row:
    """Runs a job in a process of its own and returns its row; a failure of any kind is a row with ``error``.

    The process inherits OMP_NUM_THREADS, which counts from its start alone.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, sender), daemon=True)
    process.start()
    sender.close()
    try:
        outcome: Row = receiver.recv()
    except EOFError:
        process.join()
        outcome = {"error": f"the process ended with status {process.exitcode}"}
    process.join()
    return {**describe(job.run), **outcome}


def _child(job: Job, sender: Connection) -> None:
    try:
        outcome = execute(job)
    except KeyboardInterrupt:
        return
    except Exception as error:
        traceback.print_exc()
        outcome = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    sender.send({"threads": torch.get_num_threads(), **outcome})


def describe(run: Run) -> Row:
    """What a row says of its run before it ran."""
    return {**vars(run), "date": date.today().isoformat(), "commit": commit(), "versions": versions()}


def execute(job: Job) -> Row:
    """Trains and measures; the test part is for measuring alone.

    Returns:
        ``metrics``, ``num_users``, ``seconds_train`` (without the curves' measuring), ``epochs``, ``best_epoch``.
    """
    train, test = datasets.read(job.run.data, job.run.split)
    model = job.run.build(train.num_items)
    if isinstance(model, EpochRecommender):
        _warm_up()
    seconds = _fit(model, train, test, job)
    evaluation = evaluate(model, test, job.cutoffs, [*USER_METRICS, *ITEM_METRICS])
    Store(job.out).write_arrays(job.run.key, _arrays(model, train, evaluation))
    return {
        "metrics": {name: round(value, 6) for name, value in evaluation.metrics.items()},
        "num_users": evaluation.num_users,
        "seconds_train": round(seconds, 3),
        "epochs": len(getattr(model, "history_", [])),
        "best_epoch": getattr(model, "best_epoch_", 0),
    }


def _warm_up() -> None:
    """Takes a training step, since torch loads seconds' worth of modules at a process's first one."""
    LightGCN(embedding_size=8, combine="weighted", epochs=1).fit(synthetic(20, 20, 4, num_groups=2))


def _fit(model: Recommender, train: Interactions, test: Interactions, job: Job) -> float:
    """Fits and returns the seconds that took, less what measuring for the curves took."""
    measuring = 0.0

    def measure(fitted: Recommender, record: dict[str, Any]) -> None:
        nonlocal measuring
        began = time.perf_counter()
        if record["epoch"] % job.curve_every == 0:
            found = evaluate(fitted, test, max(job.cutoffs), CURVE_METRICS).metrics
            record |= {f"test_{name}": value for name, value in found.items()}
        measuring += time.perf_counter() - began

    started = time.perf_counter()
    if job.curve_every and isinstance(model, EpochRecommender):
        model.fit(train, callback=measure)
    else:
        model.fit(train)
    return time.perf_counter() - started - measuring


def _arrays(model: Recommender, train: Interactions, evaluation: Evaluation) -> Arrays:
    user_degree = np.bincount(train.users, minlength=train.num_users).astype(np.int32)
    item_degree = np.bincount(train.items, minlength=train.num_items).astype(np.int32)
    arrays: Arrays = {name: values.astype(np.float32) for name, values in evaluation.per_user.items()}
    arrays["users"] = evaluation.users
    arrays["user_degree"] = user_degree[train.encode_users(evaluation.users)]
    arrays["history"] = np.array(json.dumps(getattr(model, "history_", [])))
    weights = getattr(model, "layer_weights_", None)
    if weights is not None:
        arrays["layer_weights"] = weights.astype(np.float32)
        arrays["degrees"] = np.concatenate([user_degree, item_degree])
        arrays["num_users"] = np.array(train.num_users)
    return arrays


@cache
def commit() -> str:
    """The commit of the source tree, with a ``+`` if files differ from it."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/pyrec", ":/csrc")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no commit is recorded: {error}", file=sys.stderr)
        return "unknown"


@cache
def versions() -> dict[str, str]:
    """Versions of what computes."""
    found = {"pyrec": pyrec_version(), "python": platform.python_version()}
    for name in ("torch", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
