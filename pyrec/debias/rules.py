"""Rules that give the propensity of any pair: by its label, its user, its item, both, or its position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyrec._arrays import sigmoid
from pyrec.data import Interactions
from pyrec.errors import DataError

Float64Array: TypeAlias = NDArray[np.float64]

CLASSES = 100
"""Distinct labels at most, of naive Bayes."""


class Pairs(NamedTuple):
    """What is told of m pairs; None for what is not.

    Attributes:
        users: (m,) internal ids.
        items: (m,) internal ids.
        labels: (m,) float32.
        positions: (m,) places in a list, 0 for the top.
    """

    users: NDArray[Any] | None = None
    items: NDArray[Any] | None = None
    labels: NDArray[np.float32] | None = None
    positions: NDArray[Any] | None = None


class Rule:
    """Gives the propensity of each of some pairs.

    Attributes:
        needs: What of `Pairs` it goes by.
        assumes: A sentence on what has to hold for it to be right.
    """

    needs: ClassVar[tuple[str, ...]]
    assumes: ClassVar[str]

    def __call__(self, pairs: Pairs) -> Float64Array:
        """Returns float64 (m,), above 0; what exceeds 1 is cut to it."""
        raise NotImplementedError


@dataclass(frozen=True)
class ByLabel(Rule):
    """``P(o=1 | y) = P(y | o=1) P(o=1) / P(y)``, with P(y) from pairs that were shown at random.

    Attributes:
        classes: (num_classes,) float32, ascending.
        values: (num_classes,) the propensity of each.
    """

    needs = ("labels",)
    assumes = "whether a pair is observed depends on its label alone"

    classes: NDArray[np.float32]
    values: Float64Array

    @classmethod
    def of(
        cls,
        observed: NDArray[np.float32],
        uniform: NDArray[np.float32],
        rate: float,
        smoothing: float,
    ) -> ByLabel:
        """The rule from labels.

        Args:
            observed: (n,) of the pairs that were observed.
            uniform: (m,) of pairs that were shown at random.
            rate: P(o=1): the share of all pairs that were observed.
            smoothing: Pairs that each class has beside those counted, in either set.

        Raises:
            DataError: The labels are too many to be classes, or those of the two sets are not on one scale.
        """
        classes = np.unique(np.concatenate([observed, uniform]))
        if len(classes) > CLASSES:
            raise DataError(
                f"the labels have {len(classes):,} distinct values, but naive Bayes takes {CLASSES} at most; make "
                "classes of them, such as positive='rating>=4'"
            )
        _check_scale(np.unique(observed), np.unique(uniform))
        shares = []
        for labels in (observed, uniform):
            counts = np.bincount(np.searchsorted(classes, labels), minlength=len(classes)) + smoothing
            shares.append(counts / counts.sum())
        return cls(classes, rate * shares[0] / shares[1])

    def __call__(self, pairs: Pairs) -> Float64Array:
        """See `Rule`.

        Raises:
            DataError: A label is no class.
        """
        assert pairs.labels is not None
        at = np.minimum(np.searchsorted(self.classes, pairs.labels), len(self.classes) - 1)
        unknown = np.flatnonzero(self.classes[at] != pairs.labels)
        if len(unknown):
            first = int(unknown[0])
            known = ", ".join(f"{one:g}" for one in self.classes)
            raise DataError(f"labels[{first}] = {pairs.labels[first]:g}, but the classes are {known}")
        return np.minimum(self.values[at], 1.0)


def _check_scale(observed: NDArray[np.float32], uniform: NDArray[np.float32]) -> None:
    """Refuses labels such as 0 and 1 beside labels such as -1 and 1."""
    if len(observed) == len(uniform) == 2 and not np.array_equal(observed, uniform):
        have, other = (" and ".join(f"{one:g}" for one in classes) for classes in (observed, uniform))
        raise DataError(
            f"the observed labels are {have}, the uniform ones {other}; put both on one scale, by one rule such as "
            "positive='rating>=4'"
        )


@dataclass(frozen=True)
class ByUser(Rule):
    """The share of all items that a user has been observed with: ``values`` (num_users,)."""

    needs = ("users",)
    assumes = "of a user's pairs each is as likely to be observed"

    values: Float64Array

    @classmethod
    def of(cls, train: Interactions, smoothing: float) -> ByUser:
        """The rule from the users' numbers of pairs, of any label, with ``smoothing`` pairs at the overall rate."""
        return cls(_shares(train.users, train.num_users, train.num_items, rate_of(train), smoothing))

    def __call__(self, pairs: Pairs) -> Float64Array:
        """See `Rule`."""
        return self.values[pairs.users]


@dataclass(frozen=True)
class ByItem(Rule):
    """The share of all users that an item has been observed with: ``values`` (num_items,)."""

    needs = ("items",)
    assumes = "of an item's pairs each is as likely to be observed"

    values: Float64Array

    @classmethod
    def of(cls, train: Interactions, smoothing: float) -> ByItem:
        """The rule from the items' numbers of pairs, of any label, with ``smoothing`` pairs at the overall rate."""
        return cls(_shares(train.items, train.num_items, train.num_users, rate_of(train), smoothing))

    def __call__(self, pairs: Pairs) -> Float64Array:
        """See `Rule`."""
        return self.values[pairs.items]


@dataclass(frozen=True)
class RankOne(Rule):
    """``p_ui = p_u p_i / p``: the user's share, times the item's, by the overall rate."""

    needs = ("users", "items")
    assumes = "a user's and an item's rate of being observed multiply"

    users: Float64Array
    items: Float64Array
    rate: float

    @classmethod
    def of(cls, train: Interactions, smoothing: float) -> RankOne:
        """The rule from both sides' numbers of pairs."""
        rate = rate_of(train)
        return cls(ByUser.of(train, smoothing).values, ByItem.of(train, smoothing).values, rate)

    def __call__(self, pairs: Pairs) -> Float64Array:
        """See `Rule`."""
        return np.minimum(self.users[pairs.users] * self.items[pairs.items] / self.rate, 1.0)


@dataclass(frozen=True)
class ByPosition(Rule):
    """How often a position is examined, by that which is examined most: ``values`` (num_positions,).

    A click is an item that is examined and liked, so positions' click rates go as their examination, where what is
    shown there is liked as much.
    """

    needs = ("positions",)
    assumes = "a click is an examined and liked item, and items liked alike were shown at every position"

    values: Float64Array

    @classmethod
    def of(
        cls, positions: NDArray[Any], clicked: NDArray[np.bool_], liked: Float64Array, smoothing: float
    ) -> ByPosition:
        """The rule from what was shown where.

        Args:
            positions: (n,) of at least 0.
            clicked: (n,).
            liked: (n,) how likely the item is to be liked; ones where positions had items at random.
            smoothing: Pairs at the overall rate that each position has beside those counted.
        """
        clicks, expected = np.bincount(positions, clicked), np.bincount(positions, liked)
        rates = (clicks + smoothing * clicks.sum() / expected.sum()) / (expected + smoothing)
        return cls(rates / rates.max())

    def __call__(self, pairs: Pairs) -> Float64Array:
        """See `Rule`."""
        return self.values[pairs.positions]


@dataclass(frozen=True)
class ByPositionAndItem(ByPosition):
    """`ByPosition` where what each position showed is made up for by the uniform pairs' rates of the items."""

    assumes = (
        "a click is an examined and liked item, and how much an item is liked does not go by its position"
    )


@dataclass(frozen=True)
class Logistic(Rule):
    """``p_ui = sigmoid(a_u + b_i)``: ``users`` (num_users,), which holds the intercept, and ``items`` (num_items,)."""

    needs = ("users", "items")
    assumes = "the log-odds of being observed are linear in the features, of which there is no other"

    users: Float64Array
    items: Float64Array

    def __call__(self, pairs: Pairs) -> Float64Array:
        """See `Rule`."""
        return sigmoid(self.users[pairs.users] + self.items[pairs.items])


def rate_of(train: Interactions) -> float:
    """P(o=1): the share of all pairs that were observed, of any label."""
    return len(train) / (train.num_users * train.num_items)


def _shares(codes: NDArray[np.int32], count: int, others: int, rate: float, smoothing: float) -> Float64Array:
    """(n_c + s p) / (others + s) of each of ``count`` codes."""
    counts = np.bincount(codes, minlength=count)
    return np.asarray((counts + smoothing * rate) / (others + smoothing))
