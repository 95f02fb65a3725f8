"""Popularity: everybody gets the items that most users had. The baseline that any model must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._arrays import tensor_of
from pyrec.data import Ragged
from pyrec.models.reasons import POPULARITY, Asker, Reasons
from pyrec.models.vectors import VectorRecommender
from pyrec.store.arrays import State

if TYPE_CHECKING:
    from typing_extensions import Self


class Popularity(VectorRecommender):
    """Scores an item by its number of training users: a vector of length one per item, and 1 for every user.

    Attributes:
        popularity_: Training users of each item, float32 (num_items,); exact up to 2^24.
    """

    model_name: ClassVar[str] = "popularity"
    personal: ClassVar[bool] = False
    additive: ClassVar[bool] = True
    popularity_: NDArray[np.float32]

    def fit(self, interactions: Any, y: Any = None) -> Self:  # noqa: ARG002
        """Count each item's users. See `Recommender.fit`."""
        train = self._training_set(interactions)
        self.popularity_ = train.popularity.astype(np.float32)
        self.train_ = train
        return self

    def _item_vectors(self) -> torch.Tensor:
        return tensor_of(self.popularity_).unsqueeze(1)

    def _query_from_items(self, histories: Ragged) -> torch.Tensor:
        return torch.ones(len(histories), 1, dtype=torch.float32, device="cpu")

    def _reasons(self, asker: Asker, item: int) -> Reasons:  # noqa: ARG002
        return POPULARITY

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"popularity": self.popularity_}

    def _restore(self, state: State) -> None:
        self.popularity_ = state.array("popularity", np.float32, (self.train_.num_items,))
