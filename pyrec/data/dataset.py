"""All that a model may learn from, checked against each other: interactions, events, features, a uniform set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pyrec.data.events import Events
from pyrec.data.features import Features
from pyrec.data.ids import IdArray, first_difference
from pyrec.data.impressions import Impressions
from pyrec.data.interactions import Interactions, as_interactions
from pyrec.data.rows import check_weights
from pyrec.errors import DataError

_KINDS: Final[dict[str, type]] = {
    "interactions": Interactions,
    "events": Events,
    "users": Features,
    "items": Features,
    "impressions": Impressions,
    "uniform": Interactions,
}


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """What a model is fitted on. All parts have the same users and items.

    Attributes:
        interactions: each user and item once, with ratings, times, labels and weights where there are any; graphs are
            made of them.
        events: every time that a user met an item, in order; sequences are made of them.
        users: features of the users, a row for each of ``interactions.user_ids``.
        items: features of the items, a row for each of ``interactions.item_ids``.
        impressions: what was shown to whom, and what was clicked.
        uniform: pairs that were shown at random, with labels: what a model may learn from to correct the bias of the
            interactions, which users chose themselves.

    Raises:
        DataError: one is of another type, or its users or items are others, or in another order, than those of the
            interactions; or the uniform pairs have no labels. The message names the first.
    """

    interactions: Interactions
    events: Events | None = None
    users: Features | None = None
    items: Features | None = None
    impressions: Impressions | None = None
    uniform: Interactions | None = None

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            part = getattr(self, name)
            if not isinstance(part, kind) and (part is not None or name == "interactions"):
                raise DataError(f"{name} is a {type(part).__name__}, but {kind.__name__} is needed")
        ours = self.interactions
        for name in ("events", "impressions", "uniform"):
            part = getattr(self, name)
            if part is not None:
                advice = "give both the same ids: Interactions.with_ids, or user_ids= and item_ids="
                _check_ids(f"{name}.user_ids", part.user_ids, ours.user_ids, "user", advice)
                _check_ids(f"{name}.item_ids", part.item_ids, ours.item_ids, "item", advice)
        for name, rows, ids in (("user", self.users, ours.user_ids), ("item", self.items, ours.item_ids)):
            if rows is not None:
                advice = f"{name}s.align(interactions.{name}_ids) puts the rows in that order"
                _check_ids(f"{name}s.ids", rows.ids, ids, name, advice)
        if self.uniform is not None and self.uniform.labels is None:
            raise DataError(
                "uniform has no labels, so it says nothing of what was liked; give it some: "
                "pyrec.data.label(uniform, 'rating>=4')"
            )

    def __repr__(self) -> str:
        parts = {name: getattr(self, name) for name in _KINDS}
        told = [
            f"{'uniform=' * (name == 'uniform')}{part!r}" for name, part in parts.items() if part is not None
        ]
        return f"Dataset({', '.join(told)})"

    @property
    def num_users(self) -> int:
        """Number of users."""
        return self.interactions.num_users

    @property
    def num_items(self) -> int:
        """Number of items."""
        return self.interactions.num_items


def as_dataset(obj: Any, sample_weight: npt.ArrayLike | None = None) -> Dataset:
    """Returns a data set of anything that ``fit`` takes.

    Args:
        obj: `Dataset` (returned as it is), `Events` (whose interactions are made), or what
            `pyrec.data.as_interactions` takes.
        sample_weight: (n,) finite numbers of at least 0, in the order of the interactions, such as
            `pyrec.debias.Propensities.weights`; None for none. They become the interactions' weights, or multiply those
            that there are. One of 0 makes its interaction none that speaks for its item; see
            `pyrec.data.Interactions.is_positive`.

    Raises:
        DataError: another type, or malformed contents; or weights that are none, or whose order is not known.
    """
    if isinstance(obj, Dataset):
        dataset = obj
    elif isinstance(obj, Events):
        dataset = Dataset(obj.to_interactions(), obj)
    else:
        dataset = Dataset(as_interactions(obj))
    if sample_weight is None:
        return dataset
    if not isinstance(obj, Interactions | Dataset):
        raise DataError(
            f"sample_weight is in the order of Interactions, sorted by user and item, but {type(obj).__name__} was "
            "given; make Interactions first, by as_interactions, or give the weights as a column"
        )
    return replace(dataset, interactions=_weighted(dataset.interactions, sample_weight))


def _weighted(interactions: Interactions, sample_weight: npt.ArrayLike) -> Interactions:
    """The interactions with weights, times their own ones."""
    given = check_weights(sample_weight, len(interactions), "sample_weight")
    if interactions.weights is None:
        return replace(interactions, weights=given)
    own = interactions.weights
    with np.errstate(over="ignore", under="ignore"):
        weights = own * given
    unsound = np.flatnonzero(np.isinf(weights) | ((weights == 0) & (own > 0) & (given > 0)))
    if unsound.size:
        at = int(unsound[0])
        raise DataError(
            f"sample_weight[{at}] = {given[at]:g} times the weight {own[at]:g} is beyond float32; scale the weights"
        )
    return replace(interactions, weights=weights)


def _check_ids(name: str, theirs: IdArray, ours: IdArray, kind: str, advice: str) -> None:
    """Refuses ids that are not those of the interactions, in their order."""
    at = first_difference(theirs, ours)
    if at is None:
        return
    if theirs.size != ours.size:
        raise DataError(f"{name} has {theirs.size} {kind}s, the interactions have {ours.size}; {advice}")
    their, our = (ids[at : at + 1].tolist()[0] for ids in (theirs, ours))
    raise DataError(f"{name}[{at}] is {their!r}, the interactions have {our!r} there; {advice}")
