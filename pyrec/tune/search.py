"""Search for hyperparameters on held-out training interactions; needs Optuna (``pip install '.[tune]'``).

A test set has no place here. A model that trains by epochs holds out the share of its early stopping and counts with
its best epoch; another model is trained on what `pyrec.data.split_random` leaves and measured on the rest, the same
for every trial. The score is ndcg@20, or another metric of users.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrec._checks import check_count, check_real, check_share
from pyrec.data import Dataset, Interactions
from pyrec.data.split import hold_out
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.metric_name import read_metric
from pyrec.evaluate.ranking import evaluate
from pyrec.models import EpochRecommender, Estimator, Recommender
from pyrec.nn.kept_vectors import keeping_vectors
from pyrec.params import params_to_json
from pyrec.store.interactions import fingerprint
from pyrec.tune.budget import FAILURES, Budget, EpochCallback, Progress, reason_of
from pyrec.tune.searched import Searched
from pyrec.tune.space import Range, check_space
from pyrec.tune.study import begin_with, check_optuna, ended_trials, quiet

if TYPE_CHECKING:
    from optuna import Study
    from optuna import Trial as OptunaTrial
    from optuna.trial import FrozenTrial

METRICS = ("ndcg", "recall", "precision")
STUDY, SEARCH, OUTCOME, FAILURE = "pyrec", "search", "outcome", "failure"


@dataclass(frozen=True)
class Trial:
    """A model that was tried.

    Attributes:
        number: Of the trial, from 0.
        params: The searched parameters.
        metrics: On the held-out interactions, ndcg, recall, precision and what is searched by, by name:
            ``{"ndcg@20": ...}``.
        best_epoch: The epoch they are of; 0 for a model without epochs.
        seconds: Wall time of training and measuring.
    """

    number: int
    params: dict[str, Any]
    metrics: dict[str, float]
    best_epoch: int
    seconds: float


@dataclass(frozen=True)
class Search(Searched):
    """What is searched, on what.

    Attributes:
        model: The model with the parameters that are fixed, not fitted. If it trains by epochs, it has
            an `EarlyStopping` with a share held out, whose ``patience`` should be set.
        space: What is searched: hyperparameters of the model, other than those that trials are compared by
            (``stopping__share``, ``stopping__k``, ``stopping__metric`` and ``seed``).
        train: All interactions to learn from.
        share: Share of ``train`` held out for a model without epochs.
        seed: Of the search and of that share.
        metric: What is searched by, ``ndcg``, ``recall``, ``precision``, ``map``, ``mrr`` or ``hit`` with its cut-off;
            without one at 20, or all items if there are fewer.
    """

    model: Recommender
    space: Sequence[Range]
    train: Interactions
    share: float = 0.1
    seed: int = 0
    metric: str = "ndcg"

    @property
    def k(self) -> int:
        """The cut-off of the metrics.

        Raises:
            ConfigError: If ``metric`` is none.
            DataError: If the cut-off exceeds the items.
        """
        return read_metric(self.metric).at(self.train.num_items)

    @property
    def target(self) -> str:
        """The name that `Trial.metrics` has for the metric."""
        return f"{read_metric(self.metric).name}@{self.k}"

    @property
    def shown(self) -> list[str]:
        """The names that `Trial.metrics` has for what tables show, the metric first."""
        return list(dict.fromkeys([self.target, *(f"{name}@{self.k}" for name in METRICS)]))

    @property
    def metric_names(self) -> list[str]:
        """The metrics of a trial, without the cut-off."""
        return list(dict.fromkeys([*METRICS, read_metric(self.metric).name]))

    def with_params(self, params: Mapping[str, Any]) -> Recommender:
        """Return the model with other values of some parameters, not fitted."""
        return self.model.clone().set_params(**params)

    def learned_by(self, model: Recommender) -> Interactions | Dataset:  # noqa: ARG002
        """Return what the `fit` of a model of this search is given."""
        return self.train

    def seconds(self) -> float | None:
        """See `Searched.seconds`."""
        return self.model.training_seconds(self.learned_by(self.model))

    def run(
        self, params: Mapping[str, Any], callback: EpochCallback | None = None
    ) -> tuple[dict[str, float], int]:
        """Train with these parameters; return the held-out metrics and the best epoch.

        Args:
            params: What differs from the model's.
            callback: Called after each epoch, as `pyrec.models.EpochRecommender.fit` does.

        Raises:
            ConfigError: If a parameter is out of its range.
            DataError: If training diverges, or a part of the interactions is empty.
        """
        model = self.with_params(params)
        if isinstance(model, EpochRecommender):
            records = model.fit(self.train, callback=callback).history_
            best = max(records, key=lambda record: record[f"validation_{self.target}"])
            names = [f"{name}@{self.k}" for name in self.metric_names]
            return {name: best[f"validation_{name}"] for name in names}, best["epoch"]
        learned, held_out = hold_out(
            self.train, self.share, self.seed, f"share = {self.share:g}", "give more interactions"
        )
        return evaluate(model.fit(learned), held_out, self.k, self.metric_names).metrics, 0

    def check(self) -> None:
        """Refuse what leaves nothing to score trials on, or scores them by something else than asked for.

        Raises:
            ConfigError: The message names the parameter.
        """
        params = self.model.get_params()
        by_epochs = isinstance(self.model, EpochRecommender)
        if by_epochs and params.get("stopping") is None:
            raise ConfigError(
                "stopping = None leaves nothing to score trials on; give EarlyStopping(share=0.1), or another share"
            )
        name = "stopping__share" if by_epochs else "share"
        share = params[name] if by_epochs else self.share
        if share is None:
            raise ConfigError(
                f"{name} = None leaves nothing to score trials on; give a share of the interactions, such as 0.1"
            )
        check_share(name, share, "the interactions", ConfigError, positive=True)
        check_count("seed", self.seed, 0, None, ConfigError)
        if by_epochs and {"stopping__metric", "stopping__k"} <= params.keys():
            kept_by = f"{params['stopping__metric']}@{params['stopping__k']}"
            if kept_by != self.target:
                raise ConfigError(
                    f"metric = {self.target}, but the model's stopping keeps the epoch by {kept_by}; give both the same"
                )

    def about(self) -> dict[str, Any]:
        """Return what tells searches apart."""
        return {
            "model": self.model.model_name,
            "params": params_to_json(self.model),
            "space": [one.as_json() for one in self.space],
            "train": fingerprint(self.train),
            "share": self.share,
            "seed": self.seed,
            "metric": self.target,
        }


class Trials(list[Trial]):
    """The trials of a search that succeeded, the best first.

    Attributes:
        interrupted: Whether Ctrl-C ended the search.
    """

    def __init__(self, trials: Iterable[Trial], interrupted: bool = False) -> None:
        super().__init__(trials)
        self.interrupted = interrupted

    @property
    def best(self) -> Trial:
        """The first one."""
        return self[0]


def tune(
    search: Searched,
    trials: int = 30,
    timeout: float | None = None,
    storage: Path | None = None,
    report: Callable[[Trial], None] | None = None,
    report_failure: Callable[[int, str], None] | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> Trials:
    """Search by Optuna's TPE (Bergstra et al., NeurIPS 2011), from the model's own parameters on if in range.

    A trial whose training diverges, or whose parameters do not go together, counts as tried and has no place in the
    result. Ctrl-C ends the search; if a trial has succeeded by then, those that have are returned.

    Args:
        search: What is searched.
        trials: Trials in all, those that ``storage`` holds included.
        timeout: Seconds that the search may take; None for no limit. A trial that would take longer than is left, going
            by the mean of those before, is not started. One that trains by epochs is ended when the time is over, and
            counts as failed.
        storage: An SQLite file that keeps the trials, so that a search goes on where it was interrupted.
        report: Called after each trial that succeeded.
        report_failure: Called after each other one, with its number and why it failed.
        watch: Called at the start of each trial and after each of its epochs.

    Returns:
        The trials, the best first.

    Raises:
        ConfigError: If Optuna is missing, an argument is out of range, ``search`` names what cannot be searched, or
            ``storage`` holds another search.
        DataError: If no trial succeeded (it says why the first failed), or ``storage`` cannot be opened.
    """
    check_optuna()
    check_count("trials", trials, 1, None, ConfigError)
    if timeout is not None:
        check_real("timeout", timeout, ConfigError, positive=True)
    check_space(search.model, search.space)
    search.check()
    with quiet(), keeping_vectors():
        under_way = _UnderWay(search, _study(search, storage), trials, Budget(timeout), watch)
        try:
            under_way.run(lambda ended: _report(ended, search, report, report_failure))
        except KeyboardInterrupt:
            if not under_way.completed:
                raise
            return Trials(_ranked(under_way.study, search), interrupted=True)
    return Trials(_ranked(under_way.study, search))


class _UnderWay:
    """A search under way."""

    def __init__(
        self,
        search: Searched,
        study: Study,
        trials: int,
        budget: Budget,
        watch: Callable[[Progress], None] | None,
    ) -> None:
        self.study = study
        self._search, self._trials, self._budget, self._watch = search, trials, budget, watch
        self._seconds: list[float] = []
        self._best = max((trial.value for trial in self.completed if trial.value is not None), default=None)

    @property
    def completed(self) -> list[FrozenTrial]:
        """The trials that succeeded."""
        return [trial for trial in self.study.trials if trial.state.name == "COMPLETE"]

    def run(self, report: Callable[[FrozenTrial], None]) -> None:
        """Try until there are as many trials as asked for, or the time is too short for one more."""
        while self._left_to_try and self._budget.left > self._expected:
            self.study.optimize(
                self._objective, n_trials=1, catch=FAILURES, callbacks=[lambda _, ended: report(ended)]
            )

    @property
    def _left_to_try(self) -> int:
        return self._trials - len(ended_trials(self.study))

    @property
    def _expected(self) -> float:
        """Seconds of a trial, by those of this run."""
        return sum(self._seconds) / max(len(self._seconds), 1)

    def _objective(self, trial: OptunaTrial) -> float:
        started = time.perf_counter()
        params = {one.name: one.suggest(trial) for one in self._search.space}
        self._tell(trial.number, 0, started)

        def after_epoch(model: Estimator, record: dict[str, Any]) -> None:
            self._tell(trial.number, record["epoch"], started)
            self._budget.check(record["epoch"], model.get_params()["epochs"])

        try:
            metrics, epoch = self._search.run(params, after_epoch)
        except FAILURES as error:
            trial.set_user_attr(FAILURE, reason_of(error))
            raise
        self._seconds.append(time.perf_counter() - started)
        outcome = {"metrics": metrics, "best_epoch": epoch, "seconds": self._seconds[-1]}
        trial.set_user_attr(OUTCOME, outcome)
        score = metrics[self._search.target]
        self._best = score if self._best is None else max(score, self._best)
        return score

    def _tell(self, number: int, epoch: int, started: float) -> None:
        if self._watch is None:
            return
        model, left = self._search.model, None
        if self._seconds:
            to_come = (self._left_to_try + 1) * self._expected - (time.perf_counter() - started)
            left = max(min(to_come, self._budget.left), 0.0)
        epochs = model.get_params().get("epochs", 0)
        self._watch(Progress(model.label, number, epoch, epochs, self._best, model.label, left))


def _study(search: Searched, storage: Path | None) -> Study:
    """Return a new study, or the storage's, which must be of the same search."""
    import optuna

    try:
        study = optuna.create_study(
            storage=None if storage is None else f"sqlite:///{storage}",
            study_name=STUDY,
            direction="maximize",
            load_if_exists=True,
        )
    except Exception as error:  # of the database's driver, whichever that is
        raise DataError(f"cannot keep trials in {storage}: {str(error).splitlines()[0]}") from error
    described, kept = search.describe(), study.user_attrs.get(SEARCH)
    if kept not in (None, described):
        raise ConfigError(
            f"{storage} holds another search: model, data, ranges or seed differ; name another file"
        )
    study.set_user_attr(SEARCH, described)
    # Another seed for what is left, or the first random trials would be repeated.
    study.sampler = optuna.samplers.TPESampler(seed=(search.seed + len(study.trials)) % 2**32)
    if not study.trials:
        begin_with(study, search.model, search.space)
    return study


def _trial(ended: FrozenTrial, search: Searched) -> Trial:
    """A trial that succeeded, as the study keeps it."""
    params = {one.name: one.read(ended.params[one.name]) for one in search.space}
    return Trial(ended.number, params, **ended.user_attrs[OUTCOME])


def _report(
    ended: FrozenTrial,
    search: Searched,
    report: Callable[[Trial], None] | None,
    report_failure: Callable[[int, str], None] | None,
) -> None:
    if report is not None and OUTCOME in ended.user_attrs:
        report(_trial(ended, search))
    if report_failure is not None and FAILURE in ended.user_attrs:
        report_failure(ended.number, ended.user_attrs[FAILURE])


def _ranked(study: Study, search: Searched) -> list[Trial]:
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    ended = ended_trials(study)
    if not ended:
        raise DataError("no trial was started within timeout; raise it")
    if not done:
        reasons = [trial.user_attrs[FAILURE] for trial in ended if FAILURE in trial.user_attrs]
        first = f"; the first: {reasons[0]}" if reasons else ""
        raise DataError(f"no trial succeeded of {len(ended)}{first}")
    found = [_trial(trial, search) for trial in done]
    return sorted(found, key=lambda trial: (-trial.metrics[search.target], trial.number))
