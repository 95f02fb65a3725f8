"""What matrix factorisations of labelled pairs have in common: one stage of epochs, and biases inside the vectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pyrec.data import Dataset, Interactions, as_dataset
from pyrec.models.base import Recommender
from pyrec.models.validation import validation_by
from pyrec.models.vectors import EpochRecommender
from pyrec.train.early_stopping import EarlyStopping, hold_out_to_stop
from pyrec.train.epochs import Journal, Trained
from pyrec.train.validated import Record, Validation, best_of_epochs

Callback = Callable[[Recommender, dict[str, Any]], None]


class Factorisation(EpochRecommender):
    """A model of a vector and a bias of each user and item, which are not propagated.

    Its vectors have the biases built in, (p_u, b_u, 1) and (q_i, 1, b_i), so that their product is the score.

    Attributes:
        embedding_size: Columns of p and q: a hyperparameter.
        seed: Of all that is drawn: a hyperparameter.
    """

    embedding_size: int
    seed: int

    def _begin(self, train: Interactions) -> None:
        """Set what a fit knows at its start."""
        self.train_ = train
        self.history_, self.layer_weights_ = [], None
        self.full_users_, self.empty_users_ = 0, int(np.count_nonzero(np.diff(train.indptr) == 0))

    def _parts(
        self, stopping: EarlyStopping | None, validation: Interactions | None, least_epochs: int = 0
    ) -> tuple[Interactions, Validation | None]:
        """Return what parameters are learned on, and how the epoch is chosen.

        Args:
            stopping: From `pyrec.models.stopping.asked_stopping`.
            validation: What `fit` was given.
            least_epochs: Epochs before one may be chosen.
        """
        learned, held_out = self.train_, validation
        if stopping is None:
            return learned, None
        if stopping.share is not None:
            learned, held_out = hold_out_to_stop(learned, stopping.share, self.seed)
        assert held_out is not None
        return learned, validation_by(partial(self._view, learned), held_out, stopping, least_epochs)

    def _run(
        self,
        trained: Trained,
        parameters: nn.Module,
        journal: Journal,
        validation: Validation | None,
        callback: Callback | None,
        before: Callable[[Record], None] = lambda _: None,
    ) -> None:
        """Train to the end and keep the best epoch, as `best_of_epochs` does; `_refresh` is left to the caller."""
        call = None if callback is None else partial(self._call, callback)
        self.best_epoch_ = best_of_epochs(
            trained, parameters, self.epochs, journal, self.history_, validation, call, before
        )

    def training_bytes(self, interactions: Any, validated: bool = False) -> int:
        """See `EpochRecommender.training_bytes`.

        Args:
            interactions: As for `fit`.
            validated: Whether `fit` is given a validation set.
        """
        return self._training_bytes(as_dataset(interactions), validated or self.stopping is not None)

    @abstractmethod
    def _training_bytes(self, dataset: Dataset, validated: bool) -> int:
        """Return `training_bytes` of checked data, where ``validated`` says that the best epoch is kept, too."""

    def _cold_users(self, users: NDArray[np.int32]) -> NDArray[np.bool_]:
        """See `Recommender._cold_users`; what a user dislikes tells of the user as well."""
        return np.asarray(np.diff(self.train_.indptr)[users] == 0)

    def _compared_vectors(self) -> torch.Tensor:
        """Return q alone: an item's bias is no likeness."""
        return self.item_vectors_[:, : self.embedding_size]
