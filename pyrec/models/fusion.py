"""Two models as one: the standard scores of both, mixed by one weight."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pyrec.data import Dataset, Interactions, Ragged, as_dataset
from pyrec.data.split import hold_out_of_lists, some_users
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.asked import check_test
from pyrec.models.base import Recommender
from pyrec.models.graph_filter import GraphFilter
from pyrec.models.member import Member
from pyrec.models.reasons import NOTHING, Asker, Reasons
from pyrec.models.score_rows import RowRecommender
from pyrec.models.standard_scores import Float32Array, mixed, ndcg_by_weight, standardise
from pyrec.models.training_options import seed_option
from pyrec.models.uniform import with_uniform
from pyrec.options import Number, Options, Share
from pyrec.params import called
from pyrec.store.arrays import State
from pyrec.store.resumable import under

if TYPE_CHECKING:
    from typing_extensions import Self

FILTER: Final = GraphFilter(beta=None, vectors=None)
"""The first model by default; it is copied before anybody has it."""
MOST_USERS: Final = 4096
"""Whose held-out interactions choose the weight."""
PARTS: Final = ("first", "second")
UNIFORM: Final = ("ignored", "used", "needed")


class Fusion(RowRecommender):
    """Scores ``s = (1 - weight) z_1 + weight z_2``, where z_1 and z_2 are the standard scores of two models.

    For a user, ``z = (t - m) / d`` of a model's scores t, with their mean m and standard deviation d over all items.
    A model that knows nothing of a user, or scores all items alike, adds zeros.

    Without a weight a share of each user's interactions is held out, the latest where times are known, and both models
    are fitted on the rest. The weight is the one of 21 between 0 and 1 with the best ndcg@20 there, of 4,096 users at
    most; of equal ones the one nearest to 1/2. Then both are fitted on everything. Scores are made in blocks of users.

    A member may be any model of interactions, another fusion included.

    Attributes:
        first_: The first model, fitted.
        second_: The second, fitted.
        weight_: The weight that is used.
        ndcg_by_weight_: What each weight reached on the held-out interactions; None where the weight was given. A
            loaded model does not have it.
    """

    model_name: ClassVar[str] = "fusion"
    options: ClassVar[Options] = {
        "first": Member(owner="fusion", help="One of a fusion's two models."),
        "second": Member(owner="fusion", help="The other."),
        "weight": Number(
            positive=False,
            flag="--fusion-weight",
            optional=True,
            unset="chosen on held-out interactions",
            help="Weight of the second model's standard scores, 0 to 1.",
        ),
        "share": Share(
            of="a user's interactions",
            flag="--fusion-share",
            help="Of each user's interactions, held out to choose the weight.",
        ),
        "seed": seed_option("the held-out share, and of models that are given by name"),
    }
    first_: Recommender
    second_: Recommender
    weight_: float
    ndcg_by_weight_: dict[float, float] | None

    def __init__(
        self,
        first: Recommender | str = FILTER,
        second: Recommender | str = "lightgcn",
        weight: float | None = None,
        share: float = 0.1,
        seed: int = 0,
    ) -> None:
        """Store the hyperparameters.

        Args:
            first: A model that is not fitted, or the name of one, which stands for it with its defaults. By default a
                graph filter whose exponent and singular vectors suit the data.
            second: Another.
            weight: Of the second model, from 0 to 1; None to choose it.
            share: Of each user's interactions, held out to choose the weight: above 0 and below 1.
            seed: Of the held-out share where there are no times, and of models that are given by name.
        """
        self.first = first.clone() if first is FILTER else first
        self.second = second
        self.weight = weight
        self.share = share
        self.seed = seed

    def fit(
        self,
        interactions: Any,
        y: Any = None,  # noqa: ARG002
        sample_weight: ArrayLike | None = None,
        uniform: Interactions | None = None,
        validation: Interactions | None = None,
    ) -> Self:
        """Choose the weight, and fit both models. See `Recommender.fit`.

        Args:
            interactions: See there.
            y: Ignored.
            sample_weight: (n,) weights of at least 0 in the order of the interactions, see `pyrec.data.as_dataset`.
            uniform: Pairs that were shown at random, for members that learn from them; None for those of the data set.
            validation: Interactions with the same id maps to choose the weight by, in place of a share: both models
                are fitted on ``interactions`` once, and never on these.

        Raises:
            ConfigError: If a hyperparameter is out of range, as from a member's `fit`, or ``validation`` is given
                beside a weight.
            DataError: If there is nothing to learn from, or too little to hold out a share.
        """
        self.check_params()
        dataset = with_uniform(as_dataset(interactions, sample_weight), uniform)
        train = self._training_set(dataset.interactions)
        if validation is not None:
            if self.weight is not None:
                raise ConfigError(
                    f"validation chooses a weight, but weight = {self.weight!r} is given; leave out one of the two"
                )
            check_test(validation, train)
        self.ndcg_by_weight_ = None
        if self.weight is None and validation is None:
            learned, held_out = self._held_out(train)
            self._fit_members(replace(dataset, interactions=learned))
            self.weight_ = self._best_weight(learned, held_out)
        self._fit_members(replace(dataset, interactions=train))
        if self.weight is not None:
            self.weight_ = float(self.weight)
        elif validation is not None:
            self.weight_ = self._best_weight(train, validation)
        self.train_ = train
        return self

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`."""
        super().check_params(prefix)
        if self.weight is not None and self.weight > 1:
            raise ConfigError(
                f"{prefix}weight = {self.weight} is the second model's share; it must be at most 1"
            )

    @property
    def label(self) -> str:
        """See `Estimator.label`: with the names of both models."""
        return f"fusion ({called(self.first)}, {called(self.second)})"

    @property
    def uniform(self) -> Literal["ignored", "used", "needed"]:  # type: ignore[override]
        """See `Recommender.uniform`: what the more demanding member does."""
        return max((self._member(name).uniform for name in PARTS), key=UNIFORM.index)

    def search_options(self, train: Interactions) -> Options:
        """See `Estimator.search_options`: those of both members. The weight is found by each fit."""
        return {
            f"{name}__{inner}": option
            for name in PARTS
            for inner, option in self._member(name).search_options(train).items()
        }

    def training_seconds(self, interactions: Any, limit: float = 1.0) -> float | None:
        """See `Recommender.training_seconds`: of the members that can tell, twice where the weight is chosen."""
        self.check_params()
        told = [self._member(name).training_seconds(interactions, limit / 2) for name in PARTS]
        known = [seconds for seconds in told if seconds is not None]
        times = 1.0 if self.weight is not None else 2 - float(self.share)
        return times * sum(known) if known else None

    def _member(self, name: str) -> Recommender:
        """Return a member that is not fitted; one that is given by its name has the seed."""
        value, option = getattr(self, name), self.options[name]
        assert isinstance(option, Member)
        model = option.component(value)
        assert model is not None
        model = model.clone()
        if isinstance(value, str) and "seed" in model.get_params(deep=False):
            model.set_params(seed=self.seed)
        return model

    def _fit_members(self, dataset: Dataset) -> None:
        first, second = (self._member(name) for name in PARTS)
        self.first_, self.second_ = first.fit(dataset), second.fit(dataset)

    def _held_out(self, train: Interactions) -> tuple[Interactions, Interactions]:
        learned, held_out = hold_out_of_lists(train, float(self.share), self.seed)
        if len(held_out.positives()) == 0:
            raise DataError(
                f"share = {self.share:g} holds nothing out of {len(train):,} interactions to choose the weight by; "
                "give a weight, or a larger share"
            )
        return learned, held_out

    def _best_weight(self, learned: Interactions, held_out: Interactions) -> float:
        asked = some_users(held_out.positives(), MOST_USERS)
        found = ndcg_by_weight(self._rows_of_users, learned, asked)
        self.ndcg_by_weight_ = found
        return max(found, key=lambda weight: (found[weight], -abs(weight - 0.5)))

    # Scoring: the hooks of `Recommender`.

    @property
    def _members(self) -> tuple[Recommender, Recommender]:
        return self.first_, self.second_

    def _rows_of_users(self, users: NDArray[np.int32]) -> tuple[Float32Array, Float32Array]:
        """Return the standard scores (Q, num_items) of known users by each model."""
        first, second = (_rows(one, one._query_vectors(users)) for one in self._members)
        for one, rows in zip(self._members, (first, second), strict=True):
            standardise(rows, _told(one, ~one._cold_users(users)))
        return first, second

    def _query_vectors(self, users: NDArray[np.int32]) -> torch.Tensor:
        return mixed(*self._rows_of_users(users), self.weight_)

    def _query_from_items(self, histories: Ragged) -> torch.Tensor:
        first, second = (_rows(one, one._query_from_items(histories)) for one in self._members)
        for one, rows in zip(self._members, (first, second), strict=True):
            standardise(rows, _told(one, ~one._cold_histories(histories)))
        return mixed(first, second, self.weight_)

    def _similarity_rows(self, items: NDArray[np.int32]) -> torch.Tensor:
        every = np.ones(len(items), dtype=bool)
        personal = [one for one in self._members if one.personal]
        rows = [one._similarity_rows(items).cpu().numpy().copy() for one in personal]
        for one in rows:
            standardise(one, every)
        if len(rows) == 1:
            return mixed(rows[0], np.zeros_like(rows[0]), 0.0)
        return mixed(rows[0], rows[1], self.weight_)

    def _cold_users(self, users: NDArray[np.int32]) -> NDArray[np.bool_]:
        first, second = (one._cold_users(users) for one in self._members)
        return first & second

    def _cold_histories(self, histories: Ragged) -> NDArray[np.bool_]:
        first, second = (one._cold_histories(histories) for one in self._members)
        return first & second

    # Why.

    def _reasons(self, asker: Asker, item: int) -> Reasons:
        """By the members' reasons, each times its weight over the standard deviation of its scores.

        Exact if those of both are. Where one says how much its score falls without an item, so does the sum, if the
        other's scores are sums over the history. The mean and the deviation stay those of the whole history.
        """
        told = [
            _reasons_of(one, asker, item, weight)
            for one, weight in zip(self._members, (1 - self.weight_, self.weight_), strict=True)
        ]
        kinds = {reasons.kind for reasons, _ in told}
        if kinds == {"exact"}:
            return _sum_of([reasons for reasons, _ in told])
        if kinds <= {"exact", "left out"} and all(
            additive for reasons, additive in told if reasons.kind == "exact"
        ):
            return _falls_of([reasons for reasons, _ in told])
        names = " and ".join(called(getattr(self, name)) for name in PARTS)
        raise ConfigError(
            f"fusion explains a score by parts that both its models have, and {names} have none in common here; "
            "explain one of them, model.first_.explain(...) or model.second_.explain(...), or a new user: "
            "explain_for_items"
        )

    # Files.

    def _state(self) -> dict[str, NDArray[Any]]:
        first, second = (under(name, one._state()) for name, one in zip(PARTS, self._members, strict=True))
        return {"weight": np.array(self.weight_), **first, **second}

    def _restore(self, state: State) -> None:
        self.check_params()
        self.weight_ = float(state.within("weight", np.float64, 0.0, 1.0))
        self.first_, self.second_ = (self._restored(name, state.under(f"{name}.")) for name in PARTS)

    def _restored(self, name: str, state: State) -> Recommender:
        model = self._member(name)
        model.train_ = self.train_
        model._restore(state)
        return model


def _rows(model: Recommender, queries: torch.Tensor) -> Float32Array:
    """Return the scores of all items by some queries (Q, dim), (Q, num_items), to be written over."""
    scores: Float32Array = model._score_rows(queries).detach().cpu().numpy()
    return scores


def _told(model: Recommender, told: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return of which of some rows (Q,) a model says something; one that is not personal does of all."""
    return told if model.personal else np.ones_like(told)


def _reasons_of(model: Recommender, asker: Asker, item: int, weight: float) -> tuple[Reasons, bool]:
    """Return what a member says of its weighted standard score, and whether it is a sum over the history."""
    if asker.user is None:
        queries, cold = model._query_from_items(asker.history), model._cold_histories(asker.history)
    else:
        users = np.array([asker.user], dtype=np.int32)
        queries, cold = model._query_vectors(users), model._cold_users(users)
    rows = _rows(model, queries)
    score = float(rows[0, item])
    (mean,), (factor,) = standardise(rows, _told(model, ~cold))
    scale = weight * float(factor[0])
    if scale == 0:
        return Reasons("exact", NOTHING, np.empty(0), remainder=0.0), True
    reasons = model._reasons(asker, item)
    if reasons.kind == "popularity":
        reasons = Reasons("exact", NOTHING, np.empty(0), remainder=score)
    remainder = scale * ((reasons.remainder or 0.0) - float(mean[0]))
    return replace(reasons, values=scale * reasons.values, remainder=remainder), model.additive


def _sum_of(told: list[Reasons]) -> Reasons:
    """Return the sum of exact reasons."""
    items = np.unique(np.concatenate([one.items for one in told])).astype(np.int32)
    values = np.zeros(len(items))
    for one in told:
        values[np.searchsorted(items, one.items)] += one.values
    remainder = sum(one.remainder or 0.0 for one in told)
    return Reasons("exact", items, values, remainder=remainder, remainder_of="the mean over all items")


def _falls_of(told: list[Reasons]) -> Reasons:
    """Return how much the sum of scores falls without an item, for items that all of those have that are left out."""
    items, skipped = told[0].items, max(one.skipped for one in told)
    for one in told:
        if one.kind == "left out":
            items = (
                one.items if one is told[0] or told[0].kind == "exact" else np.intersect1d(items, one.items)
            )
    values = np.zeros(len(items))
    for one in told:
        known = dict(zip(one.items.tolist(), one.values.tolist(), strict=True))
        values += [known.get(item, 0.0) for item in items.tolist()]
    return Reasons("left out", items, values, skipped=skipped)
