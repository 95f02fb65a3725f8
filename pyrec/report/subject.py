"""What a report is about: a model, its test set, and everything measured for the page, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrec.data import Interactions
from pyrec.evaluate import Evaluation, evaluate, ranked_lists
from pyrec.models import EpochRecommender, Popularity, Recommender


@dataclass(frozen=True)
class Subject:
    """What the parts of a report are made from.

    Attributes:
        model: The fitted model.
        test: The test interactions, in the model's ids.
        data_name: What the data are called.
        evaluation: The model's metrics.
        baseline: Those of popularity.
        users: Internal ids of the users with test items, int32 (U,).
        lists: Their recommendations, internal ids int32 (U, largest cut-off).
        baseline_lists: Those of popularity.
        k: The largest cut-off.
        history: A record an epoch; empty if unknown or without epochs.
        seconds_train: Seconds that training took, if known.
        settings: What else to say about the data, by name.
        item_names: What items are called, by raw id.
    """

    model: Recommender
    test: Interactions
    data_name: str
    evaluation: Evaluation
    baseline: Evaluation
    users: NDArray[np.int32]
    lists: NDArray[np.int32]
    baseline_lists: NDArray[np.int32]
    k: int
    history: Sequence[Mapping[str, Any]]
    seconds_train: float | None
    settings: Mapping[str, Any]
    item_names: Mapping[Any, str]

    @property
    def train(self) -> Interactions:
        """The training interactions."""
        return self.model.train_

    @property
    def label(self) -> str:
        """The model's name, with how it combines its layers if it has any."""
        return self.model.label

    @property
    def users_of_items(self) -> NDArray[np.int64]:
        """Training users of each item, int64 (num_items,)."""
        return np.bincount(self.train.items, minlength=self.train.num_items)

    @property
    def items_of_users(self) -> NDArray[np.int64]:
        """Training items of each user, int64 (num_users,)."""
        return np.diff(self.train.indptr)


def measure(model: Recommender, test: Interactions, k: int | Sequence[int], **about: Any) -> Subject:
    """Measure a model and popularity on ``test``, and keep their lists.

    Args:
        model: A fitted model.
        test: Test interactions with the model's id maps.
        k: Cut-off or cut-offs.
        about: The other attributes of `Subject`; a history that is None is the model's own.

    Raises:
        NotFittedError: If the model is not fitted.
        DataError: If the test set does not fit.
        ConfigError: If a cut-off is out of range.
    """
    evaluation = evaluate(model, test, k)
    popularity = Popularity().fit(model.train_)
    baseline = evaluate(popularity, test, k)
    users = np.flatnonzero(np.diff(test.indptr)).astype(np.int32)
    largest = max(int(name.rpartition("@")[2]) for name in evaluation.metrics)
    lists, baseline_lists = (ranked_lists(one, users, largest).cpu().numpy() for one in (model, popularity))
    if about["history"] is None:
        about["history"] = model.history_ if isinstance(model, EpochRecommender) else []
    return Subject(
        model,
        test,
        about.pop("data_name"),
        evaluation,
        baseline,
        users,
        lists,
        baseline_lists,
        largest,
        **about,
    )
