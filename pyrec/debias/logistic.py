"""Propensities by logistic regression on what is known of users and of items, without a list of all pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec._arrays import sigmoid
from pyrec.data import Dataset, Features
from pyrec.data.feature_columns import Codes, Dense, Feature
from pyrec.data.random_pairs import unseen_pairs
from pyrec.debias.rules import Float64Array, Logistic
from pyrec.errors import ConfigError, DataError

SAMPLED: Final = 2**21
"""Pairs that were not observed, at most; beyond them a sample stands for all, each with the weight of many."""
COLUMNS: Final = 1000
"""Columns of the features of users, or of items, at most."""
STEPS: Final = 100
TOLERANCE: Final = 1e-10
"""Newton's decrement, by the pairs' number, below which it has converged."""


def logistic_rule(dataset: Dataset, ridge: float, counts: bool | None, seed: int) -> Logistic:
    """Fits ``logit P(o=1) = c + x_u · a + z_i · b`` by Newton's steps in float64.

    x_u holds the features of users, and the log of 1 and the user's number of pairs; z_i likewise. Columns are centred
    and scaled to variance 1. The penalty is ``ridge/2 (|a|² + |b|²)``.

    Args:
        dataset: The observed pairs, and features.
        ridge: At least 0; above 0 where columns may be linearly dependent.
        counts: Whether the numbers of pairs are columns; None where neither side has features.
        seed: Of the sample of pairs that were not observed.

    Raises:
        ConfigError: There is no column, features have too many columns, or the ridge is too small for them.
        DataError: Every pair was observed.
    """
    train = dataset.interactions
    unseen = train.num_users * train.num_items - len(train)
    if unseen == 0:
        raise DataError(f"all {len(train):,} pairs of a user and an item were observed: each propensity is 1")
    counted = counts if counts is not None else dataset.users is None and dataset.items is None
    if not counted and dataset.users is None and dataset.items is None:
        raise ConfigError(
            "counts = False leaves nothing to go by: train has no features; give some, or counts"
        )
    drawn = min(unseen, SAMPLED)
    users, items = unseen_pairs(train, drawn, seed)
    problem = _Problem(
        users=np.concatenate([train.users, users]),
        items=np.concatenate([train.items, items]),
        observed=np.repeat([1.0, 0.0], [len(train), drawn]),
        weight=np.repeat([1.0, unseen / drawn], [len(train), drawn]),
        of_users=_table(train.users, train.num_users, dataset.users, counted, "users"),
        of_items=_table(train.items, train.num_items, dataset.items, counted, "items"),
        ridge=ridge,
    )
    intercept = np.log(len(train) / unseen)
    coefficients = problem.solve(np.append(intercept, np.zeros(problem.size - 1)))
    return Logistic(*problem.logits(coefficients))


@dataclass(frozen=True)
class _Problem:
    """A weighted logistic regression of pairs, whose columns are 1, a user's and an item's.

    Attributes:
        users: (n,) rows of ``of_users``.
        items: (n,) rows of ``of_items``.
        observed: (n,) 1 or 0.
        weight: (n,).
        of_users: (num_users, A).
        of_items: (num_items, B).
        ridge: On all but the intercept.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    observed: Float64Array
    weight: Float64Array
    of_users: Float64Array
    of_items: Float64Array
    ridge: float

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return 1 + int(self.of_users.shape[1]) + int(self.of_items.shape[1])

    def logits(self, coefficients: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Of users, with the intercept, and of items."""
        split = 1 + self.of_users.shape[1]
        a, b = coefficients[1:split], coefficients[split:]
        return coefficients[0] + self.of_users @ a, self.of_items @ b

    def solve(self, coefficients: Float64Array) -> Float64Array:
        """Newton's method from a start, with steps that are halved until the loss falls."""
        loss, gradient, hessian = self._at(coefficients)
        for _ in range(STEPS):
            try:
                step = np.linalg.solve(hessian, gradient)
            except np.linalg.LinAlgError:
                raise ConfigError(
                    f"smoothing = {self.ridge:g} is too small for linearly dependent features; raise it"
                ) from None
            decrement = float(gradient @ step)
            if decrement <= TOLERANCE * self.weight.sum():
                return coefficients - step
            share = 1.0
            while not (after := self._at(coefficients - share * step))[0] <= loss - 1e-4 * share * decrement:
                share /= 2
            coefficients = coefficients - share * step
            loss, gradient, hessian = after
        raise ConfigError(
            f"the logistic regression has not converged in {STEPS} steps; raise smoothing = {self.ridge:g}"
        )

    def _at(self, coefficients: Float64Array) -> tuple[float, Float64Array, Float64Array]:
        """The loss, its gradient and its Hessian."""
        of_users, of_items = self.logits(coefficients)
        x = of_users[self.users] + of_items[self.items]
        p = sigmoid(x)
        penalised = np.append(0.0, coefficients[1:])
        loss = self.weight @ (np.logaddexp(0.0, x) - self.observed * x)
        loss += self.ridge / 2 * penalised @ penalised
        gradient = self._summed(self.weight * (p - self.observed)) + self.ridge * penalised
        hessian = self._products(self.weight * p * (1 - p))
        hessian[np.arange(1, self.size), np.arange(1, self.size)] += self.ridge
        return float(loss), gradient, hessian

    def _summed(self, values: Float64Array) -> Float64Array:
        """Σ_k v_k (1, x_u, z_i), by way of the users' and the items' sums."""
        by_user, by_item = self._sums(values)
        return np.concatenate([[values.sum()], by_user @ self.of_users, by_item @ self.of_items])

    def _products(self, values: Float64Array) -> Float64Array:
        """Σ_k v_k (1, x_u, z_i) (1, x_u, z_i)ᵀ."""
        by_user, by_item = self._sums(values)
        shape = (len(self.of_users), len(self.of_items))
        across = csr_array((values, (self.users, self.items)), shape=shape)
        columns = self._summed(values)
        a, b = self.of_users, self.of_items
        ab = a.T @ (across @ b)
        inner = np.block([[(a * by_user[:, None]).T @ a, ab], [ab.T, (b * by_item[:, None]).T @ b]])
        return np.block([[columns[:1, None], columns[None, 1:]], [columns[1:, None], inner]])

    def _sums(self, values: Float64Array) -> tuple[Float64Array, Float64Array]:
        """The values' sums by user and by item."""
        return (
            np.bincount(self.users, values, len(self.of_users)).astype(np.float64),
            np.bincount(self.items, values, len(self.of_items)).astype(np.float64),
        )


def _table(
    codes: NDArray[np.int32], count: int, features: Features | None, counted: bool, name: str
) -> Float64Array:
    """Columns (count, d) of variance 1; those that do not differ are left out."""
    columns = [_dense(one) for one in (features.columns if features else {}).values()]
    if counted:
        columns.append(np.log1p(np.bincount(codes, minlength=count))[:, None])
    width = sum(one.shape[1] for one in columns)
    if width > COLUMNS:
        raise ConfigError(
            f"the features of {name} make {width:,} columns, but method = 'logistic' takes {COLUMNS}; leave out "
            "those of many words"
        )
    table = np.concatenate([np.empty((count, 0)), *columns], axis=1)
    table -= table.mean(axis=0)
    scale = table.std(axis=0)
    differ = scale > 1e-9
    return np.asarray(table[:, differ] / scale[differ])


def _dense(feature: Feature) -> Float64Array:
    """Numbers as they are; ones where a row has a word."""
    if isinstance(feature, Dense):
        return feature.values.astype(np.float64)
    if feature.vocabulary.size > COLUMNS:
        return np.broadcast_to(0.0, (len(feature), feature.vocabulary.size))  # which is refused by its width
    table = np.zeros((len(feature), feature.vocabulary.size))
    rows: NDArray[Any]
    if isinstance(feature, Codes):
        rows = np.flatnonzero(feature.codes >= 0)
        table[rows, feature.codes[rows]] = 1.0
    else:
        rows = feature.rows.rows
        table[rows, feature.rows.indices] = 1.0
    return table
