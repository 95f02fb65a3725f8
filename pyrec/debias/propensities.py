"""Propensities: how likely each pair was to be observed, estimated or given, and the weights made of them.

Source: Schnabel et al., "Recommendations as treatments: debiasing learning and evaluation", ICML 2016; by position,
Joachims et al., "Unbiased learning-to-rank with biased feedback", WSDM 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from pyrec._checks import check_count, check_real, check_share, did_you_mean
from pyrec.data import Dataset, Interactions, as_dataset
from pyrec.data.ids import first_difference
from pyrec.data.interactions import require_interactions
from pyrec.data.rows import FloatArray, check_numbers
from pyrec.debias.logistic import logistic_rule
from pyrec.debias.rules import (
    ByItem,
    ByLabel,
    ByPosition,
    ByPositionAndItem,
    ByUser,
    Float64Array,
    Pairs,
    RankOne,
    Rule,
    rate_of,
)
from pyrec.errors import ConfigError, DataError

CLIP: Final = 0.01
TARGETS: Final = ("label", "rating")


@dataclass(frozen=True, eq=False, repr=False)
class Propensities:
    """How likely each pair of a training set was to be observed.

    Attributes:
        values: float32 (n,), in the order of the training set, above 0 and at most 1, clipped.
        method: How they were estimated, or ``given``.
        clip: What propensities are raised to, so that no weight exceeds 1 / clip.
        clipped: How many of ``values`` were below it.
        assumes: A sentence on what has to hold for them to be right.
        rule: What gives the propensity of any pair; None where values were given.
    """

    values: FloatArray
    method: str
    clip: float
    clipped: int
    assumes: str
    rule: Rule | None = None

    @classmethod
    def given(cls, values: npt.ArrayLike, clip: float = 0.0) -> Propensities:
        """Propensities that are known, such as those of a log's policy.

        Args:
            values: (n,) above 0 and at most 1, in the order of the training set.
            clip: What lower ones are raised to, at least 0 and below 1.

        Raises:
            ConfigError: ``clip`` is out of its range.
            DataError: A value is no number of that range.
        """
        given = check_numbers(values, np.size(values), "values")
        unsound = np.flatnonzero((given <= 0) | (given > 1))
        if len(unsound):
            at = int(unsound[0])
            raise DataError(f"values[{at}] = {given[at]:g}, but a propensity is above 0 and at most 1")
        return _clipped(
            given.astype(np.float64), "given", clip, "they are those the pairs were observed with"
        )

    def __len__(self) -> int:
        return int(self.values.size)

    def __repr__(self) -> str:
        told = f"{self.method}, {len(self):,} pairs"
        if len(self):
            told += f", {self.values.min():.3g} to {self.values.max():.3g}"
            told += f", {self.clipped:,} below clip = {self.clip:g}"
            told += f", weights count as {self.effective_size():,.0f} equal ones"
        return f"Propensities({told})"

    def weights(self, normalised: bool = False) -> FloatArray:
        """Returns the weights that make up for how pairs were observed, float32 (n,): 1 / p.

        Args:
            normalised: Whether they are divided by their mean, as the self-normalised estimator (SNIPS) does; it is
                less exact on average, and varies far less. Losses that are means by weights do so in every batch.
        """
        weights = 1.0 / self.values.astype(np.float64)
        if normalised and len(self):
            weights /= weights.mean()
        return weights.astype(np.float32)

    def effective_size(self) -> float:
        """Returns how many equal weights tell as much: ``(Σ w)² / Σ w²`` (Kish, "Survey sampling", 1965)."""
        weights = 1.0 / self.values.astype(np.float64)
        return float(weights.sum() ** 2 / np.square(weights).sum()) if len(self) else 0.0

    def of(
        self,
        users: npt.ArrayLike | None = None,
        items: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        positions: npt.ArrayLike | None = None,
    ) -> FloatArray:
        """Returns the propensities of any pairs, float32 (m,), clipped as ``values`` are.

        Args:
            users: (m,) internal ids; this and the others are needed where the method goes by them.
            items: (m,) internal ids.
            labels: (m,) labels, or ratings where the propensities are by rating.
            positions: (m,) places in a list, from 0.

        Raises:
            DataError: What the method goes by is not given, is out of its range, or lengths differ; or the propensities
                were given, so those of other pairs are not known.
        """
        if self.rule is None:
            raise DataError("propensities that were given are not known of other pairs; give theirs, too")
        told = {"users": users, "items": items, "labels": labels, "positions": positions}
        pairs = Pairs(**_checked(self.rule, told, self.method))
        return np.maximum(self.rule(pairs), self.clip).astype(np.float32)


def propensities(
    train: Any,
    uniform: Interactions | None = None,
    method: str = "naive-bayes",
    clip: float = CLIP,
    target: str | None = None,
    smoothing: float = 1.0,
    counts: bool | None = None,
    seed: int = 0,
) -> Propensities:
    """Estimates how likely each pair of a training set was to be observed.

    - ``naive-bayes``: by label, ``P(o=1 | y) = P(y | o=1) P(o=1) / P(y)``. P(y) is of the uniform set, which is needed.
    - ``user``, ``item``: the share of items that a user, or of users that an item, was observed with.
    - ``user-item``: the two, multiplied, by the overall share.
    - ``logistic``: by logistic regression on the features of users and items that a `pyrec.data.Dataset` has, or on the
      logs of the user's and the item's numbers of pairs.
    - ``position``: the examination of a place in a list, by that which is examined most. It is the click rate, if the
      order of lists was random. With a uniform set, it is the clicks by those to be expected of the items shown there.

    Args:
        train: The observed pairs, of any label, as for ``fit``; a `pyrec.data.Dataset` may bring the uniform set and
            features.
        uniform: Pairs that were shown at random, with labels.
        method: One of the above.
        clip: What lower propensities are raised to, at least 0 and below 1: a smaller bias has larger weights.
        target: What naive Bayes goes by: ``label`` or ``rating``; None for labels, or ratings where there are none.
        smoothing: Of counts, pairs that each class, user, item or position has beside those counted; of ``logistic``
            the penalty. Above 0, so that what was never observed has a propensity above 0.
        counts: Whether ``logistic`` goes by numbers of pairs; None where there are no features. Beside features they
            take up chance, too: they are of the very pairs that are to be explained.
        seed: Of the sample of unobserved pairs, where ``logistic`` cannot take all.

    Raises:
        ConfigError: An argument is out of its range, or acts on nothing.
        DataError: The uniform set, labels, ratings or positions are needed and not there, or do not fit.
    """
    if not isinstance(method, str) or method not in METHODS:
        near = did_you_mean(method, METHODS) if isinstance(method, str) else ""
        raise ConfigError(f"method = {method!r} is none of {', '.join(map(repr, METHODS))}{near}")
    if target is not None and (method != "naive-bayes" or target not in TARGETS):
        raise ConfigError(f"target = {target!r}; it is 'label' or 'rating', of method = 'naive-bayes' alone")
    if counts not in (None, True, False) or (counts is not None and method != "logistic"):
        raise ConfigError(f"counts = {counts!r}; it is True, False or None, of method = 'logistic' alone")
    check_share("clip", clip, "1", ConfigError, positive=False)
    check_real("smoothing", smoothing, ConfigError, positive=True)
    check_count("seed", seed, 0, None, ConfigError)
    dataset = as_dataset(train)
    if len(dataset.interactions) == 0:
        raise DataError("train is empty: there is nothing to estimate propensities from")
    if uniform is not None:
        require_interactions(uniform, "uniform")
    asked = _Asked(
        dataset, dataset.uniform if uniform is None else uniform, target, float(smoothing), counts, seed
    )
    rule, pairs = METHODS[method](asked)
    return replace(_clipped(rule(pairs), method, clip, rule.assumes), rule=rule)


@dataclass(frozen=True)
class _Asked:
    """The arguments of `propensities`."""

    dataset: Dataset
    uniform: Interactions | None
    target: str | None
    smoothing: float
    counts: bool | None
    seed: int

    @property
    def train(self) -> Interactions:
        return self.dataset.interactions

    @property
    def pairs(self) -> Pairs:
        return Pairs(self.train.users, self.train.items)


def _naive_bayes(asked: _Asked) -> tuple[Rule, Pairs]:
    train, uniform = asked.train, asked.uniform
    if uniform is None or len(uniform) == 0:
        raise DataError(
            "method = 'naive-bayes' needs pairs that were shown at random, with labels: give uniform=..., or a method "
            "that needs none: 'user', 'item', 'user-item' or 'logistic'"
        )
    target = asked.target or ("rating" if train.labels is None else "label")
    labels, of_uniform = (
        _column(one, target, name) for one, name in ((train, "train"), (uniform, "uniform"))
    )
    return ByLabel.of(labels, of_uniform, rate_of(train), asked.smoothing), Pairs(labels=labels)


def _column(interactions: Interactions, target: str, name: str) -> FloatArray:
    values = interactions.labels if target == "label" else interactions.ratings
    if values is None:
        raise DataError(
            f"{name} has no {target}s, which method = 'naive-bayes' goes by; give some, or target = "
            f"{'rating' if target == 'label' else 'label'!r}"
        )
    return values


def _logistic(asked: _Asked) -> tuple[Rule, Pairs]:
    return logistic_rule(asked.dataset, asked.smoothing, asked.counts, asked.seed), asked.pairs


def _position(asked: _Asked) -> tuple[Rule, Pairs]:
    train = asked.train
    positions = train.positions
    if positions is None or train.labels is None:
        raise DataError(
            "method = 'position' needs positions, and labels that say what was clicked of what was shown; train has "
            f"no {'positions' if positions is None else 'labels'}"
        )
    if not (train.labels > 0).any():
        raise DataError("method = 'position' needs clicks, labels above 0; train has none")
    kind, liked = ByPosition, np.ones(len(train))
    if asked.uniform is not None:
        kind, liked = ByPositionAndItem, _liking(train, asked.uniform, asked.smoothing)[train.items]
    rule = kind.of(positions, train.labels > 0, liked, asked.smoothing)
    return rule, Pairs(positions=positions)


def _liking(train: Interactions, uniform: Interactions, smoothing: float) -> Float64Array:
    """How likely each item is to be liked, (num_items,), from pairs that were shown at random."""
    at = first_difference(uniform.item_ids, train.item_ids)
    if at is not None:
        raise DataError(
            f"uniform.item_ids and train.item_ids differ at [{at}]; give both the same ids: Interactions.with_ids"
        )
    if uniform.labels is None or not (uniform.labels > 0).any():
        raise DataError("uniform needs labels above 0, which say what is liked; it has none")
    shown = np.bincount(uniform.items, minlength=train.num_items)
    liked = np.bincount(uniform.items, uniform.labels > 0, minlength=train.num_items)
    return np.asarray((liked + smoothing * liked.sum() / shown.sum()) / (shown + smoothing))


METHODS: Final[dict[str, Callable[[_Asked], tuple[Rule, Pairs]]]] = {
    "naive-bayes": _naive_bayes,
    "user": lambda asked: (ByUser.of(asked.train, asked.smoothing), asked.pairs),
    "item": lambda asked: (ByItem.of(asked.train, asked.smoothing), asked.pairs),
    "user-item": lambda asked: (RankOne.of(asked.train, asked.smoothing), asked.pairs),
    "logistic": _logistic,
    "position": _position,
}
"""The ways to estimate propensities, by name."""


def _clipped(values: Float64Array, method: str, clip: float, assumes: str) -> Propensities:
    bound = check_share("clip", clip, "1", ConfigError, positive=False)
    raised = np.maximum(values, bound).astype(np.float32)
    return Propensities(raised, method, bound, int((values < bound).sum()), assumes)


def _checked(rule: Rule, told: dict[str, Any], method: str) -> dict[str, NDArray[Any]]:
    """The arrays that a rule goes by, each of one length and in its range."""
    missing = [name for name in rule.needs if told[name] is None]
    if missing:
        raise DataError(f"propensities by method = {method!r} go by {' and '.join(missing)}; give them")
    size = np.size(told[rule.needs[0]])
    counts = {name: len(getattr(rule, name, getattr(rule, "values", ()))) for name in rule.needs}
    return {
        name: check_numbers(told[name], size, name)
        if name == "labels"
        else _codes(told[name], size, name, counts[name])
        for name in rule.needs
    }


def _codes(values: Any, size: int, name: str, count: int) -> NDArray[Any]:
    codes = np.asarray(values)
    if codes.shape != (size,) or codes.dtype.kind not in "iu":
        raise DataError(f"{name} is {codes.dtype} {codes.shape}, but whole numbers ({size},) are needed")
    unsound = np.flatnonzero((codes < 0) | (codes >= count))
    if len(unsound):
        at = int(unsound[0])
        raise DataError(f"{name}[{at}] = {codes[at]}, but it is at least 0 and below {count}")
    return codes
