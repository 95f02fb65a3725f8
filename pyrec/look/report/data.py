"""The data of a report: a model, its test set, and everything measured for the page, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrec._exchange import view_of
from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.item_metrics import ITEM_METRICS
from pyrec.evaluate.pairs import PairEvaluation
from pyrec.evaluate.ranking import USER_METRICS, Evaluation, evaluate
from pyrec.evaluate.uniform import UniformEvaluation
from pyrec.models import EpochRecommender, Popularity, Recommender


@dataclass(frozen=True)
class ReportData:
    """What the parts of a report are made from.

    Attributes:
        model: The fitted model.
        test: The test interactions, in the model's ids.
        data_name: What the data are called.
        evaluation: The model's metrics.
        baseline: Those of popularity.
        history: A record an epoch; empty if unknown or without epochs.
        seconds_train: Seconds that training took, if known.
        settings: What else to say about the data, by name.
        item_names: What items are called, by raw id.
        named: Raw ids of the users that are shown with the reasons of their lists.
        pairs: What `pyrec.evaluate_pairs` gave for uniform pairs, by the models' labels; empty without such pairs.
        lists: What `pyrec.evaluate_uniform` gave for them; None if it was not asked.
    """

    model: Recommender
    test: Interactions
    data_name: str
    evaluation: Evaluation
    baseline: Evaluation
    history: Sequence[Mapping[str, Any]]
    seconds_train: float | None
    settings: Mapping[str, Any]
    item_names: Mapping[Any, str]
    named: Sequence[Any] = ()
    pairs: Mapping[str, PairEvaluation] = field(default_factory=dict)
    lists: UniformEvaluation | None = None

    @property
    def train(self) -> Interactions:
        """The training interactions."""
        return self.model.train_

    @property
    def k(self) -> int:
        """The largest cut-off."""
        return int(self.evaluation.lists.shape[1])

    @property
    def users(self) -> NDArray[np.int64]:
        """Internal ids of the users with test items, int64 (num_users,)."""
        return np.flatnonzero(np.diff(self.test.indptr))

    @property
    def label(self) -> str:
        """The model's name, with how it combines its layers if it has any."""
        return self.model.label

    @property
    def has_both(self) -> bool:
        """Whether some test users are cold and some are not, so that there are two means of each metric."""
        return 0 < self.evaluation.num_cold_users < self.evaluation.num_users

    @property
    def users_of_items(self) -> NDArray[np.int64]:
        """Training users of each item, int64 (num_items,)."""
        return self.train.popularity

    @property
    def items_of_users(self) -> NDArray[np.int64]:
        """Training items of each user, int64 (num_users,)."""
        return self.train.activity


def measure(
    model: Recommender,
    test: Interactions,
    k: int | Sequence[int],
    evaluation: Evaluation | None = None,
    baseline: Evaluation | None = None,
    **about: Any,
) -> ReportData:
    """Measure a model and popularity on ``test``, as far as they are not yet.

    Args:
        model: A fitted model.
        test: Test interactions with the model's id maps.
        k: Cut-off or cut-offs of what is yet to be measured.
        evaluation: The model's metrics on ``test``, all of them.
        baseline: Those of popularity, at the same cut-offs.
        about: The other attributes of `ReportData`; a history that is None is the model's own.

    Raises:
        NotFittedError: If the model is not fitted.
        DataError: If the test set does not fit the model or an evaluation.
        ConfigError: If a cut-off is out of range, or an evaluation lacks a metric.
    """
    model, test = view_of(model), test.positives()
    evaluation = evaluation or evaluate(model, test, k)
    k = sorted({int(name.rpartition("@")[2]) for name in evaluation.metrics})
    baseline = baseline or evaluate(Popularity().fit(model.train_), test, k)
    for name, one in (("evaluation", evaluation), ("baseline", baseline)):
        _check(name, one, test, k)
    if about["history"] is None:
        about["history"] = model.history_ if isinstance(model, EpochRecommender) else []
    return ReportData(model, test, evaluation=evaluation, baseline=baseline, **about)


def _check(name: str, one: Evaluation, test: Interactions, cutoffs: Sequence[int]) -> None:
    wanted = (f"{metric}@{cutoff}" for cutoff in cutoffs for metric in (*USER_METRICS, *ITEM_METRICS))
    if missing := [metric for metric in wanted if metric not in one.metrics]:
        raise ConfigError(f"{name} lacks {missing[0]}; a report needs every metric, at the same cut-offs")
    num_users = np.count_nonzero(np.diff(test.indptr))
    if one.num_users != num_users:
        raise DataError(f"{name} is of {one.num_users} users, but {num_users} have items in test")
