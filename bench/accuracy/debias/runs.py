"""One method on one split: its setting is chosen, it is fitted from several starts, and each is measured.

A row has ``run`` (protocol, method, split), ``options``, ``settings`` (how many were tried), ``criterion``, ``figure``
(of the chosen setting), ``metrics`` (a list a metric, one value a start), ``grid`` (median and best test metrics over
all settings), ``seconds`` (a fit, the mean), ``seconds_choosing``, ``threads``, ``processor``, ``versions``,
``commit`` and ``date``; or ``error`` in the place of what was measured.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._atomic import replacing
from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.evaluate import evaluate_pairs

from ..worker import commit, versions
from .choose import Scorer
from .methods import Choice, Fitted, Method
from .protocols import METRICS, Task

Row = dict[str, Any]
DIGITS = 5
PER_USER = ("user_auc", "ndcg@5", "ndcg_all@5")


class Kept:
    """A JSONL file of rows, and beside it a folder with the values of each user.

    Args:
        path: The JSONL file; arrays go into ``<stem>.arrays/``, which is not committed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.with_suffix(".arrays")

    def rows(self) -> list[Row]:
        """The rows, the last one of each run.

        Raises:
            DataError: If a line is no row.
        """
        if not self.path.exists():
            return []
        found: dict[str, Row] = {}
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                found[row["run"]] = row
            except (ValueError, KeyError, TypeError):
                raise DataError(f"{self.path}, line {number}, is no row of results; remove it") from None
        return list(found.values())

    def append(self, row: Row, users: dict[str, NDArray[Any]] | None = None) -> None:
        """Adds a row, after its users' values."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if users is not None:
            with replacing(self._arrays(row["run"])) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **users)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def users(self, run: str) -> dict[str, NDArray[Any]] | None:
        """The values of a run's users, means over its starts; None where they were not kept."""
        path = self._arrays(run)
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)

    def _arrays(self, run: str) -> Path:
        return self.folder / f"{hashlib.sha256(run.encode()).hexdigest()[:16]}.npz"


def run(
    task: Task, method: Method, starts: int, criterion: str, fitted: Fitted
) -> tuple[Row, dict[str, NDArray[Any]]]:
    """Chooses, fits and measures.

    Args:
        task: The split.
        method: What is fitted.
        starts: Fits with other starting values; a method that draws nothing is fitted once.
        criterion: Of `choose.CRITERIA`.
        fitted: The task's methods before this one; gets this one's settings and models.

    Returns:
        What `described` does not say of the row, and the users' values, means over the starts.
    """
    began = time.perf_counter()
    choice = method.choose(task, criterion, fitted)
    choosing = time.perf_counter() - began
    models, seconds = [], []
    for start in range(starts if method.draws else 1):
        began = time.perf_counter()
        models.append(method.final(task.part, choice, start, fitted))
        seconds.append(time.perf_counter() - began)
    fitted.keep(method, choice, models)
    measured = [measure(model, task) for model in models]
    chosen = len(choice.settings) > 1
    row: Row = {
        "options": choice.settings[0],
        "settings": len(choice.settings),
        "criterion": choice.criterion if chosen else "",
        "figure": round(choice.figures[0], DIGITS) if chosen else None,
        "metrics": {
            name: [round(one.metrics[name], DIGITS) for one in measured] for name in measured[0].metrics
        },
        "seconds": round(float(np.mean(seconds)), 4),
        "seconds_choosing": round(choosing, 2),
        "grid": grid_of(method, choice, task),
    }
    users = {name: np.mean([one.per_user[name] for one in measured], axis=0) for name in PER_USER}
    return row, {"users": measured[0].users, **users}


def measure(model: Scorer, task: Task) -> Any:
    """`evaluate_pairs` on the test part; calibrated on the validation part where there is one."""
    scored = Trained(model, task.part.biased)
    return evaluate_pairs(scored, task.test, METRICS, calibrate=task.part.validation)


def grid_of(method: Method, choice: Choice, task: Task) -> dict[str, dict[str, float]]:
    """The median and the best of each metric over all settings, on the test part, one start; empty for one setting."""
    if len(choice.settings) == 1 or method.slow or not method.fit_name:
        return {}
    found = [measure(method.fit(task.part, params, 0), task).metrics for params in choice.settings]
    table = {name: np.array([one[name] for one in found]) for name in ("auc", "ndcg@5", "ndcg_all@5")}
    return {
        "median": {name: round(float(np.median(values)), DIGITS) for name, values in table.items()},
        "best": {name: round(float(values.max()), DIGITS) for name, values in table.items()},
    }


def described(task: Task, label: str) -> Row:
    """What a row says of its run before it ran."""
    return {
        "run": f"{task.protocol}, {label}, {task.split}",
        "protocol": task.protocol,
        "method": label,
        "split": task.split,
        "test_share": task.test_share,
        "test_to_train": round(task.test_to_train, 4),
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "versions": versions(),
        "commit": commit(),
        "date": date.today().isoformat(),
    }


def processor() -> str:
    """The processor's name, as the system has it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Trained:
    """A scorer with the training set that its ids are of."""

    model: Scorer
    train: Interactions

    def training_set(self) -> Interactions:
        """See `pyrec.evaluate.pairs.PairScorer`."""
        return self.train

    def pair_scores(self, users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
        """See `pyrec.evaluate.pairs.PairScorer`."""
        return self.model.pair_scores(users, items)
