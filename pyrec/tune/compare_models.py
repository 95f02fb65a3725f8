"""Which model is best on some interactions: several models and their hyperparameters, on one held-out share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pyrec._checks import check_count, check_real, did_you_mean
from pyrec.data import Interactions, as_interactions
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.asked import check_test
from pyrec.evaluate.compare import compare
from pyrec.evaluate.ranking import Evaluation
from pyrec.models import MODELS, Recommender
from pyrec.nn.kept_vectors import keeping_vectors
from pyrec.tune.budget import FAILURES, Budget, Progress, reason_of
from pyrec.tune.comparison import Compared, Comparison, Tried
from pyrec.tune.contender import Contender, Task, make_task
from pyrec.tune.estimate import in_words
from pyrec.tune.study import has_optuna, quiet

QUICK_FIRST: Final = ("popularity", "itemknn", "graph-filter", "svd", "ease", "mf", "lightgcn")
"""The models that are compared where none are named."""
TEST_SHARE: Final = 0.2
"""Of the time, kept for the test of all models but the best, as far as that takes so long."""

Models: TypeAlias = "Sequence[str | Recommender] | Mapping[str, Recommender]"


@dataclass(frozen=True)
class Watcher:
    """Who is told of what goes on; each function may be None.

    Attributes:
        estimated: Takes about how many seconds each model needs with its own hyperparameters, by its name, before
            anything is trained; None where a model cannot tell.
        tried: Takes the name of a model, what was tried, and whether it is the model's best so far.
        failed: Takes the name of a model, the number of the trial and why it failed.
        watch: Takes how far the search is: at the start of each trial, and after each of its epochs.
    """

    estimated: Callable[[Mapping[str, float | None]], None] | None = None
    tried: Callable[[str, Tried, bool], None] | None = None
    failed: Callable[[str, int, str], None] | None = None
    watch: Callable[[Progress], None] | None = None


def compare_models(
    train: Any,
    models: Models = QUICK_FIRST,
    metric: str = "ndcg",
    minutes: float | None = 10.0,
    trials: int = 10,
    share: float = 0.1,
    seed: int = 0,
    test: Interactions | None = None,
    watcher: Watcher | None = None,
) -> Comparison:
    """Measure models on interactions that are held out of the training data, and search for their hyperparameters.

    Each model is trained with its own hyperparameters first, the quickest model first. Then the model that has had the
    least time gets the next trial, as long as a trial is likely to fit in what is left of the time. All learn from the
    same interactions and are measured on the same others. A model that trains by epochs keeps the epoch that is best
    there. So scores of the best are somewhat too high: they were chosen by them. ``test`` has figures without that.

    Ctrl-C ends the search; if a model has been measured by then, what was found so far is returned.

    Args:
        train: Interactions, or what a model's `fit` takes instead.
        models: Names of models, models that are not fitted, or such models by names of one's own.
        metric: ``ndcg``, ``recall``, ``precision``, ``map``, ``mrr`` or ``hit`` with its cut-off; without one at 20, or
            all items if there are fewer.
        minutes: How long it may take; None for no limit. Models and trials that are likely to take longer than what is
            left are left out, and training by epochs that does is ended.
        trials: Trials of a model beside its own hyperparameters, at most; 0 compares the models as they are. They need
            Optuna (``pip install '.[tune]'``); without it there are none.
        share: Of the interactions, held out.
        seed: Of the held-out share and of the search. Models that are given by their names have it, too.
        test: Test interactions with the id maps of ``train``: the best of each model learns from all of ``train`` in
            the end, and is measured on them once. They choose nothing.
        watcher: Who is told of what goes on.

    Returns:
        The models, the best first.

    Raises:
        ConfigError: If an argument is out of range, or a model or the metric is unknown.
        DataError: If nothing can be held out, the cut-off exceeds the items, ``test`` does not fit, or no model could
            be measured.
    """
    interactions = as_interactions(train)
    if test is not None:
        check_test(test, interactions)
    task = make_task(interactions, metric, share, seed)
    if minutes is not None:
        check_real("minutes", minutes, ConfigError, positive=True)
    check_count("trials", trials, 0, None, ConfigError)
    contenders = [Contender(label, model, task) for label, model in named_models(models, seed).items()]
    trials = trials if has_optuna() else 0
    contest = _Contest(task, contenders, Budget(None if minutes is None else 60 * minutes), trials, test)
    with keeping_vectors():
        return contest.run(watcher or Watcher())


def named_models(models: Models, seed: int = 0) -> dict[str, Recommender]:
    """Return models by their names in a comparison; see `compare_models`.

    Raises:
        ConfigError: If a model is unknown or there is none.
    """
    if isinstance(models, Mapping):
        named = dict(models)
    else:
        named = {}
        if not isinstance(models, (Iterable, Recommender)):
            raise ConfigError(f"models = {models!r} must be a list, such as ['ease', 'lightgcn']")
        for one in [models] if isinstance(models, (str, Recommender)) else models:
            model = _model_of_name(one, seed) if isinstance(one, str) else one
            label = one if isinstance(one, str) else getattr(one, "label", str(one))
            if label in named:
                raise ConfigError(
                    f"models has {label!r} twice; give it once, or models by names: {{'mine': ...}}"
                )
            named[label] = model
    for label, model in named.items():
        if not isinstance(model, Recommender):
            raise ConfigError(
                f"models: {label!r} is a {type(model).__name__}, but a model is needed, such as EASE()"
            )
    if not named:
        raise ConfigError(f"models is empty; name some of {', '.join(MODELS)}")
    return named


def _model_of_name(name: str, seed: int) -> Recommender:
    if name not in MODELS:
        known = ", ".join(MODELS)
        raise ConfigError(f"models: {name!r} is no model; known are {known}{did_you_mean(name, MODELS)}")
    model = MODELS[name]()
    return model.set_params(seed=seed) if "seed" in model.get_params(deep=False) else model


class _Contest:
    """The models, one trial after the other."""

    def __init__(
        self,
        task: Task,
        contenders: list[Contender],
        budget: Budget,
        trials: int,
        test: Interactions | None,
    ) -> None:
        self._task, self._contenders, self._budget = task, contenders, budget
        self._trials, self._test = trials, test
        self._left_out: dict[str, str] = {}
        self._tests: dict[str, Evaluation] = {}

    def run(self, watcher: Watcher) -> Comparison:
        """Compare."""
        self._watcher = watcher
        interrupted = False
        try:
            self._prepare()
            self._try_defaults()
            if self._trials:
                with quiet():
                    self._search()
            self._measure_on_test()
        except KeyboardInterrupt:
            if not any(one.tries for one in self._contenders):
                raise
            interrupted = True
        return self._comparison(interrupted)

    def _prepare(self) -> None:
        """Estimate each model; those that cannot be trained are left out, the others go by their time."""
        for one in list(self._contenders):
            try:
                one.prepare()
            except FAILURES as error:
                self._leave_out(one, reason_of(error))
        self._contenders.sort(key=lambda one: one.estimate or 0.0)
        if self._watcher.estimated is not None and self._contenders:
            self._watcher.estimated({one.label: one.estimate for one in self._contenders})

    def _leave_out(self, one: Contender, reason: str) -> None:
        self._contenders.remove(one)
        self._left_out[one.label] = reason
        if self._watcher.failed is not None:
            self._watcher.failed(one.label, 0, reason)

    def _try_defaults(self) -> None:
        for one in list(self._contenders):
            if one.expected > self._budget.left:
                self._leave_out(one, self._too_long(one))
                continue
            try:
                one.try_default(self._told_of(one))
            except FAILURES as error:
                self._leave_out(one, reason_of(error))
            else:
                self._report(one)

    def _too_long(self, one: Contender) -> str:
        left = max(self._budget.left, 0.0)
        return (
            f"untuned it takes about {in_words(one.expected)}, and of {in_words(self._budget.seconds)} "
            f"{in_words(left)} are left; give more minutes"
        )

    def _search(self) -> None:
        while open_ones := [one for one in self._contenders if self._may_try(one)]:
            one = min(open_ones, key=lambda each: each.spent)
            number = one.num_trials + 1
            try:
                one.try_next(self._told_of(one))
            except FAILURES as error:
                if self._watcher.failed is not None:
                    self._watcher.failed(one.label, number, reason_of(error))
            else:
                self._report(one)

    def _may_try(self, one: Contender) -> bool:
        return bool(
            one.space
            and one.num_trials < self._trials
            and one.expected <= self._budget.left - self._reserved()
        )

    def _reserved(self) -> float:
        """Seconds that are kept for the test: for the best model, and for the others up to a share of the time."""
        if self._test is None or not self._measured():
            return 0.0
        best = max(self._measured(), key=lambda one: one.best.score).best.seconds
        others = sum(one.best.seconds for one in self._measured()) - best
        return best + min(others, TEST_SHARE * self._budget.seconds)

    def _report(self, one: Contender) -> None:
        if self._watcher.tried is not None:
            latest = one.tries[-1]
            self._watcher.tried(one.label, latest, latest is one.best)

    def _told_of(self, one: Contender) -> Callable[[int], None]:
        """What takes the epochs of a trial that begins: it tells who watches, and ends the trial if need be."""
        started, number = time.perf_counter(), one.num_trials + 1 if one.tries else 0
        epochs = one.model.get_params().get("epochs", 0)

        def after_epoch(epoch: int) -> None:
            if self._watcher.watch is not None:
                left = self._seconds_left(one, time.perf_counter() - started)
                measured = [each for each in self._contenders if each.tries]
                leader = max(measured, key=lambda each: each.best.score, default=None)
                score = None if leader is None else leader.best.score
                by = "" if leader is None else leader.label
                self._watcher.watch(Progress(one.label, number, epoch, epochs, score, by, left))
            if epoch:
                self._budget.check(epoch, epochs)

        after_epoch(0)
        return after_epoch

    def _seconds_left(self, current: Contender, spent: float) -> float:
        """Of all trials, less what has been spent on the one under way, within the budget."""
        to_come = -min(spent, current.expected)
        for one in self._contenders:
            own = 0 if one.tries else 1
            searched = self._trials - one.num_trials if one.space else 0
            to_come += (own + searched) * one.expected
        return max(min(to_come + self._reserved(), self._budget.left), 0.0)

    def _measure_on_test(self) -> None:
        if self._test is None or not self._measured():
            return
        best, *others = sorted(self._measured(), key=lambda each: -each.best.score)
        for one in [best, *sorted(others, key=lambda each: each.best.seconds)]:
            if one is not best and one.best.seconds > self._budget.left_with_grace:
                continue
            try:
                fitted = one.best.for_everything().fit(self._task.train)
                self._tests[one.label] = self._task.measured(fitted, self._test)
            except FAILURES as error:
                if self._watcher.failed is not None:
                    self._watcher.failed(one.label, one.num_trials, f"on the test part: {reason_of(error)}")

    def _measured(self) -> list[Contender]:
        return [one for one in self._contenders if one.tries]

    def _comparison(self, interrupted: bool) -> Comparison:
        ranked = sorted(self._measured(), key=lambda one: -one.best.score)
        if not ranked:
            reasons = "; ".join(f"{label}: {reason}" for label, reason in self._left_out.items())
            raise DataError(f"no model could be measured: {reasons}")
        rows = []
        for one in ranked:
            difference = None
            if one is not ranked[0]:
                (difference,) = compare(ranked[0].best.evaluation, one.best.evaluation)
            rows.append(
                Compared(
                    one.label,
                    one.tries[0],
                    one.best,
                    len(one.tries) - 1,
                    one.num_failed,
                    one.spent,
                    difference,
                    self._tests.get(one.label),
                )
            )
        return Comparison(self._task.name, tuple(rows), self._left_out, interrupted)
