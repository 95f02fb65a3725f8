"""A model that is compared with others: what it is tried with, and what that reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pyrec._checks import check_count, check_share
from pyrec.data import Interactions
from pyrec.data.split import hold_out
from pyrec.errors import ConfigError
from pyrec.evaluate.metric_name import read_metric
from pyrec.evaluate.ranking import Evaluation, evaluate
from pyrec.models import EpochRecommender, Recommender
from pyrec.train.early_stopping import EarlyStopping
from pyrec.tune.budget import FAILURES
from pyrec.tune.comparison import Tried
from pyrec.tune.space import Range, default_space
from pyrec.tune.study import begin_with

if TYPE_CHECKING:
    from optuna import Trial as OptunaTrial

PATIENCE: Final = 10
"""Epochs without a better score before training stops, for a model that has no early stopping of its own."""


@dataclass(frozen=True)
class Task:
    """What all models do alike."""

    train: Interactions
    learned: Interactions
    held_out: Interactions
    metric: str
    k: int
    share: float
    seed: int

    @property
    def name(self) -> str:
        """The metric with its cut-off."""
        return f"{self.metric}@{self.k}"

    def measured(self, model: Recommender, held_out: Interactions) -> Evaluation:
        """Return a fitted model's evaluation."""
        return evaluate(model, held_out, self.k, [self.metric])


def make_task(train: Interactions, metric: str, share: float, seed: int) -> Task:
    """Hold out the share; errors as from `pyrec.tune.compare_models`."""
    name = read_metric(metric)
    share = check_share("share", share, "the interactions", ConfigError, positive=True)
    seed = check_count("seed", seed, 0, None, ConfigError)
    k = name.at(train.num_items)
    learned, held_out = hold_out(
        train, share, seed, f"share = {share:g}", "give more interactions, or a larger share"
    )
    return Task(train, learned, held_out, name.name, k, share, seed)


@dataclass
class Contender:
    """A model in the contest.

    Attributes:
        label: Its name.
        model: As it is tried first.
        tries: What succeeded, the first with the model's own hyperparameters.
        num_failed: Trials that failed.
        spent: Seconds of all trials.
        estimate: Seconds of a trial as estimated beforehand, if the model can tell.
    """

    label: str
    given: Recommender
    task: Task
    tries: list[Tried] = field(default_factory=list)
    num_failed: int = 0
    spent: float = 0.0
    estimate: float | None = None

    def __post_init__(self) -> None:
        self.model = self.given.clone()
        params = self.model.get_params()
        if "stopping" in params:
            patience = PATIENCE if params["stopping"] is None else params.get("stopping__patience")
            self.model.set_params(stopping=EarlyStopping(None, patience, self.task.k, self.task.metric))
        self.space: list[Range] = []
        self._proposals: _Proposals | None = None

    def prepare(self) -> None:
        """Find what to search and estimate a trial.

        Raises:
            ConfigError: As from `fit`.
            DataError: As from `fit`.
        """
        learned = self.task.learned
        if self.model.search_options(learned):
            self.space = default_space(self.model, learned)
        model = self.model.clone()
        if "stopping__share" in model.get_params():
            # Of validation, too.
            model.set_params(stopping__share=self.task.share)
            learned = self.task.train
        self.estimate = model.training_seconds(learned)

    @property
    def num_trials(self) -> int:
        """Trials beside the model's own hyperparameters."""
        return max(len(self.tries) - 1, 0) + self.num_failed

    @property
    def expected(self) -> float:
        """Seconds of a trial, by those before."""
        if self.tries:
            return sum(one.seconds for one in self.tries) / len(self.tries)
        return self.estimate or 0.0

    @property
    def best(self) -> Tried:
        """The best so far; of equal ones the first."""
        return max(self.tries, key=lambda one: one.score)

    def try_default(self, after_epoch: Callable[[int], None]) -> None:
        """Measure the model with its own hyperparameters."""
        self._measure(self.model, after_epoch)

    def try_next(self, after_epoch: Callable[[int], None]) -> None:
        """Measure the model with hyperparameters that Optuna proposes."""
        if self._proposals is None:
            self._proposals = _Proposals(self.model, self.space, self.task.seed, self.tries[0].score)
        trial, params = self._proposals.ask()
        try:
            score = self._measure(self.model.clone().set_params(**params), after_epoch)
        except FAILURES:
            self.num_failed += 1
            self._proposals.tell(trial, None)
            raise
        self._proposals.tell(trial, score)

    def _measure(self, model: Recommender, after_epoch: Callable[[int], None]) -> float:
        started = time.perf_counter()
        try:
            fitted = _fit(model.clone(), self.task, after_epoch)
            evaluation = self.task.measured(fitted, self.task.held_out)
        finally:
            seconds = time.perf_counter() - started
            self.spent += seconds
        score = evaluation[self.task.name]
        epoch = fitted.best_epoch_ if isinstance(fitted, EpochRecommender) else 0
        self.tries.append(Tried(model, evaluation, score, epoch, seconds))
        return score


def _fit(model: Recommender, task: Task, after_epoch: Callable[[int], None]) -> Recommender:
    if not isinstance(model, EpochRecommender):
        return model.fit(task.learned)
    stops = "stopping" in model.get_params(deep=False)
    return model.fit(
        task.learned,
        validation=task.held_out if stops else None,
        callback=lambda _, record: after_epoch(record["epoch"]),
    )


class _Proposals:
    """Asks Optuna's TPE what to try, and tells it what that reached; the model's own hyperparameters are known."""

    def __init__(self, model: Recommender, space: Sequence[Range], seed: int, score: float) -> None:
        import optuna

        self._space = space
        sampler = optuna.samplers.TPESampler(seed=seed % 2**32)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        if begin_with(self._study, model, space):
            self.tell(self.ask()[0], score)

    def ask(self) -> tuple[OptunaTrial, dict[str, Any]]:
        trial = self._study.ask()
        return trial, {one.name: one.suggest(trial) for one in self._space}

    def tell(self, trial: OptunaTrial, score: float | None) -> None:
        from optuna.trial import TrialState

        if score is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, score)
