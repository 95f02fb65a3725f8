"""EASE, a linear autoencoder in closed form (Steck, "Embarrassingly Shallow Autoencoders", WWW 2019)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array

from pyrec._ambient import defaults
from pyrec.data import Interactions
from pyrec.device import available_memory, gibibytes
from pyrec.errors import ConfigError, DataError
from pyrec.models.item_item import ItemItemRecommender, entries
from pyrec.options import REG_AKA, Count, Number, Options
from pyrec.store.arrays import State, csr_state

if TYPE_CHECKING:
    from typing_extensions import Self

TIMED_ITEMS = 1024
"""Size of the system that is timed to tell how long a larger one takes."""

COLUMNS_PER_PART = 1024
"""Columns of B that are looked through at a time."""


class EASE(ItemItemRecommender):
    """Least squares ``min_B |R - R B|² + reg |B|²`` with ``diag(B) = 0``.

    With ``P = (RᵀR + reg I)⁻¹``: ``B_ij = -P_ij / P_jj`` off the diagonal. Solved in float64, kept in
    float32. ``R_ui`` is 1, or the weight ``w_ui`` where the interactions have weights: a user's weight is predicted by
    those of the user's other items. So ``(RᵀR)_ij = Σ_u w_ui w_uj``, and weights times c ask for reg times c².

    Attributes:
        weights_: B, float32 (num_items, num_items); a CSR array where ``neighbors`` bounds it.
    """

    model_name: ClassVar[str] = "ease"
    options: ClassVar[Options] = {
        "reg": Number(
            aka=REG_AKA,
            help="λ, the L2 penalty on B.",
            search=(1, 10_000),
        ),
        "neighbors": Count(
            low=1,
            optional=True,
            unset="all",
            help="Weights kept for each item: the largest by absolute value.",
        ),
    }
    weights_: NDArray[np.float32] | csr_array

    def __init__(self, reg: float = 400.0, neighbors: int | None = None) -> None:
        """Store the hyperparameters.

        Args:
            reg: λ, the L2 penalty on B; above 0.
            neighbors: Weights kept in each column of B, the largest by absolute value, so that a large model is sparse
                in memory and in its file; None for all.
        """
        self.reg = reg
        self.neighbors = neighbors

    def fit(
        self,
        interactions: Any,
        y: Any = None,  # noqa: ARG002
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Solve for B: time O(num_items³), memory 20 bytes times num_items². See `Recommender.fit`.

        Args:
            interactions: See there.
            y: Ignored.
            sample_weight: (n,) weights of at least 0 in the order of the interactions, see `pyrec.data.as_dataset`.

        Raises:
            ConfigError: If ``reg`` is not above 0.
            DataError: If there is nothing to learn from, or B would not fit into memory.
        """
        self.check_params()
        train = self._training_set(interactions, sample_weight)
        _check_memory(train.num_items)
        weights = _solve(train, float(self.reg))
        self.weights_ = weights if self.neighbors is None else _largest(weights, int(self.neighbors))
        self.train_ = train
        return self

    @defaults()
    def training_seconds(self, interactions: Any, limit: float = 1.0) -> float:  # noqa: ARG002
        """See `Recommender.training_seconds`: the Cholesky factor and the inverse, M³ operations; the rest is less."""
        from scipy.linalg import lapack

        self.check_params()
        train = self._training_set(interactions)
        _check_memory(train.num_items)
        size = min(TIMED_ITEMS, train.num_items)
        gram = np.asfortranarray(np.eye(size))
        started = time.perf_counter()
        lapack.dpotri(lapack.dpotrf(gram, lower=1, overwrite_a=1)[0], lower=1, overwrite_c=1)
        return (time.perf_counter() - started) * (train.num_items / size) ** 3

    def _scores(self, histories: csr_array) -> NDArray[np.float32]:
        weights = self.weights_
        scores = (histories @ weights).toarray() if isinstance(weights, csr_array) else histories @ weights
        return np.asarray(scores, dtype=np.float32)

    def _weights_to(self, item: int, items: NDArray[np.int32]) -> NDArray[np.float32]:
        return entries(self.weights_, items, item)

    def _state(self) -> dict[str, NDArray[Any]]:
        if isinstance(self.weights_, csr_array):
            return csr_state(self.weights_)
        return {"weights": self.weights_}

    def _restore(self, state: State) -> None:
        shape = (self.train_.num_items, self.train_.num_items)
        if self.neighbors is None:
            self.weights_ = state.array("weights", np.float32, shape)
        else:
            self.weights_ = state.csr("weights", "indices", "indptr", shape)


def _solve(train: Interactions, reg: float) -> NDArray[np.float32]:
    from scipy.linalg import lapack  # here, as it would be a fiftieth of what importing pyrec takes

    matrix = train.to_csr(weighted=True).astype(np.float64)
    gram = (matrix.T @ matrix).toarray(order="F")
    gram[np.diag_indices_from(gram)] += reg
    factor, failed = lapack.dpotrf(gram, lower=1, overwrite_a=1)
    if failed:
        raise ConfigError(f"reg = {reg} is too small: RᵀR + reg I is singular in float64; raise it")
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    diagonal = np.diag(inverse).astype(np.float32)
    if not diagonal.all():
        raise DataError(
            "(RᵀR + reg I)⁻¹ vanishes in float32: the weights of the interactions, or reg, are too large; scale them, "
            "as pyrec.data.transform_weights does"
        )
    weights = np.tril(inverse, -1).astype(np.float32)  # only the lower triangle of the symmetric P is filled
    weights += weights.T
    weights /= -diagonal
    return np.ascontiguousarray(weights)


def _largest(weights: NDArray[np.float32], count: int) -> csr_array:
    """Return the weights (num_items, num_items) of largest absolute value in each column, at most ``count``; no 0s."""
    num_items = len(weights)
    lengths, rows, values = [], [], []
    for start in range(0, num_items, COLUMNS_PER_PART):
        columns = weights[:, start : start + COLUMNS_PER_PART].T.copy()
        if count < num_items:
            least = np.argpartition(np.abs(columns), num_items - count, axis=1)[:, : num_items - count]
            np.put_along_axis(columns, least, 0.0, axis=1)
        kept = columns != 0
        lengths.append(np.count_nonzero(kept, axis=1))
        rows.append(np.nonzero(kept)[1].astype(np.int32))
        values.append(columns[kept])
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    parts = (np.concatenate(values), np.concatenate(rows), indptr)
    return csc_array(parts, shape=(num_items, num_items)).tocsr()


def _check_memory(num_items: int) -> None:
    """Refuse a system that this machine cannot hold, before the operating system ends the process."""
    needed = 20 * num_items**2  # P in float64, its triangle in float64 and B in float32
    free = available_memory()
    if free is not None and needed > free:
        raise DataError(
            f"EASE needs {gibibytes(needed)} for {num_items} items, but {gibibytes(free)} are free; "
            "drop rare items, free memory, or use itemknn or lightgcn"
        )
