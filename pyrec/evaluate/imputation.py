"""What stands in for labels that were not observed, for doubly robust estimates: an array, a function, or a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from pyrec._arrays import sigmoid
from pyrec._exchange import kind_of
from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.evaluate.calibration import Platt, platt
from pyrec.evaluate.lists import num_eligible
from pyrec.evaluate.pair_metrics import check_finite_array
from pyrec.evaluate.pairs import PairScorer

Relevance: TypeAlias = Callable[[NDArray[np.int32], NDArray[np.int32]], npt.ArrayLike]

PAIRS_AT_A_TIME: Final = 2**20


@dataclass(frozen=True)
class Imputation:
    """The probability of each pair to be positive.

    Attributes:
        relevance: Returns it (n,) of internal ids of users (n,) and items (n,).
        name: What it is, in words.
    """

    relevance: Relevance
    name: str

    def of(self, users: NDArray[np.integer], items: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the imputed labels of pairs, float64 (n,).

        Raises:
            DataError: If they are no numbers from 0 to 1, one a pair.
        """
        values = check_finite_array(
            "imputation", self.relevance(users.astype(np.int32), items.astype(np.int32))
        )
        if len(values) != len(users):
            raise DataError(
                f"imputation gave {len(values)} numbers for {len(users)} pairs; it gives one a pair"
            )
        wrong = (values < 0) | (values > 1)
        if wrong.any():
            at = int(wrong.argmax())
            raise DataError(
                f"imputation of user {users[at]} and item {items[at]} is {values[at]}, but the probability of a "
                "positive is from 0 to 1"
            )
        return values.astype(np.float64)

    def of_lists(self, lists: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the imputed labels of lists, float64 (num_users, K), 0 in an empty place."""
        imputed = np.zeros(lists.shape)
        rows, columns = np.nonzero(lists >= 0)
        imputed[rows, columns] = self.of(rows, lists[rows, columns])
        return imputed

    def of_all(self, train: Interactions) -> NDArray[np.float64]:
        """Return the sum of the imputed labels of a user's pairs that are not training pairs, float64 (num_users,)."""
        totals = np.empty(train.num_users)
        at_a_time = max(1, PAIRS_AT_A_TIME // train.num_items)
        for start in range(0, train.num_users, at_a_time):
            stop = min(start + at_a_time, train.num_users)
            cells = np.arange((stop - start) * train.num_items)
            values = self.of(start + cells // train.num_items, cells % train.num_items)
            table = values.reshape(stop - start, train.num_items)
            own = slice(train.indptr[start], train.indptr[stop])
            table[train.users[own] - start, train.items[own]] = 0
            totals[start:stop] = table.sum(axis=1)
        return np.minimum(totals, num_eligible(train))


def imputed_by(
    given: Any,
    model: object,
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Imputation:
    """Return the imputation that a caller asks for.

    Args:
        given: An array (num_users, num_items) of probabilities; a function from internal ids of users (n,) and items
            (n,) to probabilities (n,); a model with `PairScorer`'s methods, whose scores are calibrated on the log;
            or None for the model whose lists are measured.
        model: The model whose lists are measured.
        users: Of the log, internal ids (n,).
        items: Internal ids (n,).
        labels: 1 or 0 (n,).
        weights: One over the propensities, (n,).

    Raises:
        DataError: If it is none of these, or has another shape.
    """
    scorer = model if given is None else given
    if not isinstance(scorer, type) and isinstance(scorer, PairScorer):
        return _calibrated(scorer, users, items, labels, weights)
    if isinstance(given, np.ndarray):
        return _table(given, model)
    if callable(given) and not isinstance(given, type):
        return Imputation(given, "a given function")
    raise DataError(
        f"imputation is {kind_of(scorer)}, but a model with pair_scores, an array (num_users, num_items) of "
        "probabilities or a function of users and items is needed"
    )


def _table(values: NDArray[Any], model: Any) -> Imputation:
    train: Interactions = model.training_set()
    shape = (train.num_users, train.num_items)
    if values.shape != shape or values.dtype.kind not in "fiub":
        raise DataError(f"imputation is {values.dtype} {values.shape}, but numbers {shape} are needed")
    return Imputation(lambda users, items: values[users, items], "a given array")


def _calibrated(
    model: PairScorer,
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Imputation:
    """Calibrate each half of the users on the other: what is imputed for a user depends on no label of theirs."""
    scores = np.asarray(model.pair_scores(users, items))
    fits: list[Platt] = []
    for half in (0, 1):
        others = users % 2 != half
        fits.append(platt(scores[others], labels[others], weights=weights[others]))
    slope, intercept = (np.array([getattr(fit, name) for fit in fits]) for name in ("slope", "intercept"))

    def relevance(users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.float64]:
        half = users % 2
        logits = slope[half] * np.asarray(model.pair_scores(users, items), dtype=np.float64) + intercept[half]
        return sigmoid(logits)

    return Imputation(
        relevance, "the scores of a model, calibrated for each half of the users on the other half"
    )
