"""Truncated SVD as PureSVD (Cremonesi et al., "Performance of recommender algorithms", RecSys 2010)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from pyrec._arrays import tensor_of
from pyrec._checks import check_count
from pyrec.data import Interactions, Ragged
from pyrec.errors import ConfigError
from pyrec.models.item_sets import weighted_rows
from pyrec.models.reasons import Asker, Reasons, products
from pyrec.models.vectors import VectorRecommender
from pyrec.nn.singular import leading_singular_vectors, most_vectors, with_positive_peaks
from pyrec.options import DIM_AKA, Count, Options
from pyrec.store.arrays import State

if TYPE_CHECKING:
    from typing_extensions import Self


class SVD(VectorRecommender):
    """Scores ``r_u Q Qᵀ``, where Q holds the leading right singular vectors of the interaction matrix R.

    ``R_ui`` is 1, or the weight where the interactions have some. A user's vector is ``r_u Q``, so a new user, whose
    items count 1 each, needs no training. The same data give the same bits, and each singular vector's largest entry is
    positive. Columns beyond the rank of R are zeros.

    Attributes:
        item_factors_: Q, float32 (num_items, embedding_size), by falling singular value.
    """

    model_name: ClassVar[str] = "svd"
    additive: ClassVar[bool] = True
    options: ClassVar[Options] = {
        "embedding_size": Count(
            aka=DIM_AKA,
            low=1,
            flag="--dim",
            help="Number of factors.",
            search=(2, 256),
        )
    }
    item_factors_: NDArray[np.float32]

    def __init__(self, embedding_size: int = 64) -> None:
        """Store the hyperparameters.

        Args:
            embedding_size: Number of factors; at least 1 and below the number of users and of items, or 1.
        """
        self.embedding_size = embedding_size

    def fit(
        self,
        interactions: Any,
        y: Any = None,  # noqa: ARG002
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Compute the factors. See `Recommender.fit`.

        Args:
            interactions: See there.
            y: Ignored.
            sample_weight: (n,) weights of at least 0 in the order of the interactions, see `pyrec.data.as_dataset`.

        Raises:
            ConfigError: If ``embedding_size`` is out of range.
            DataError: If there is nothing to learn from.
        """
        self.check_params()
        train = self._training_set(interactions, sample_weight)
        bound = most_vectors(train)
        rank = check_count(
            "embedding_size", self.embedding_size, 1, bound, ConfigError, "one below the users and the items"
        )
        self.item_factors_ = _right_factors(train, rank)
        self.train_ = train
        return self

    def search_options(self, train: Interactions) -> Options:
        """See `Recommender.search_options`; there are no more factors than users or items less one."""
        most = max(3, min(256, most_vectors(train)))
        return {
            name: replace(option, search=(2, most)) for name, option in super().search_options(train).items()
        }

    def _item_vectors(self) -> torch.Tensor:
        return tensor_of(self.item_factors_)

    def _query_from_items(self, histories: Ragged) -> torch.Tensor:
        return self._of_rows(histories.csr())

    def _query_vectors(self, users: NDArray[np.int32]) -> torch.Tensor:
        return self._of_rows(weighted_rows(self.train_, users))

    def _of_rows(self, rows: csr_array) -> torch.Tensor:
        return tensor_of(np.ascontiguousarray(rows @ self.item_factors_, dtype=np.float32))

    def _reasons(self, asker: Asker, item: int) -> Reasons:
        """``s_ui = sum_j r_uj q_j · q_i``: an item j adds its inner product, times its weight."""
        vectors = self._item_vectors()
        return Reasons("exact", asker.items, asker.weighted(products(vectors, asker.items, vectors[item])))

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"item_factors": self.item_factors_}

    def _restore(self, state: State) -> None:
        shape = (self.train_.num_items, self.embedding_size)
        self.item_factors_ = state.array("item_factors", np.float32, shape)


def _right_factors(train: Interactions, rank: int) -> NDArray[np.float32]:
    matrix = train.to_csr(weighted=True).astype(np.float64)
    return with_positive_peaks(leading_singular_vectors(matrix, rank, tolerance=1e-8).right)
