"""Models of vectors: an item's score is the inner product of the query's and the item's vector."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from pyrec._arrays import tensor_of
from pyrec.data import Interactions, Ragged
from pyrec.models.base import Recommender
from pyrec.models.candidates import inner_products
from pyrec.models.item_sets import row_tensors
from pyrec.models.reasons import Asker, Reasons, likenesses, products
from pyrec.ops.product import product
from pyrec.ops.topk import topk
from pyrec.store.arrays import State
from pyrec.store.training_checkpoint import Checkpoints

if TYPE_CHECKING:
    from typing_extensions import Self


class VectorRecommender(Recommender):
    """Scores by ``q · v_i``, ranks by the top-k kernel, and compares items by the cosine of their vectors.

    A model with a vector of each user and item needs no hook: its `fit` sets ``train_`` and the two attributes below.
    A new user is then the mean of the history's items.

    Attributes:
        user_vectors_: (num_users, dim) float32, on the model's device; None where users are what they had.
        item_vectors_: (num_items, dim) float32, contiguous, likewise.
    """

    user_vectors_: torch.Tensor | None = None
    item_vectors_: torch.Tensor

    def _item_vectors(self) -> torch.Tensor:
        """Return the items' vectors, float32 (num_items, dim), contiguous, on the model's device."""
        return self.item_vectors_

    def _query_vectors(self, users: NDArray[np.int32]) -> torch.Tensor:
        vectors = self.user_vectors_
        if vectors is None:
            return super()._query_vectors(users)
        return vectors[tensor_of(users).long().to(vectors.device)]

    def _query_from_items(self, histories: Ragged) -> torch.Tensor:
        rows, items = histories.csr(), self._item_vectors()
        lengths = np.maximum(np.diff(rows.indptr), 1)[:, None]
        return tensor_of((rows @ items.cpu().numpy() / lengths).astype(np.float32)).to(items.device)

    def _state(self) -> dict[str, NDArray[Any]]:
        vectors = {"user_vectors": self.user_vectors_, "item_vectors": self.item_vectors_}
        return {name: one.detach().cpu().numpy() for name, one in vectors.items() if one is not None}

    def _restore(self, state: State) -> None:
        items = state.array("item_vectors", np.float32, (self.train_.num_items, None))
        self.item_vectors_ = tensor_of(items)
        if "user_vectors" in state:
            shape = (self.train_.num_users, items.shape[1])
            self.user_vectors_ = tensor_of(state.array("user_vectors", np.float32, shape))

    def _query_width(self) -> int:
        return self._item_vectors().shape[1]

    def _rank(
        self, queries: torch.Tensor, k: int, seen: csr_array | None, allowed: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        indptr, indices = row_tensors(seen, queries.device)
        allowed = None if allowed is None else allowed.to(queries.device)
        return topk(
            queries, self._item_vectors(), k, seen_indptr=indptr, seen_indices=indices, allowed=allowed
        )

    def _score_candidates(self, queries: torch.Tensor, candidates: csr_array) -> torch.Tensor:
        return inner_products(queries, self._item_vectors(), candidates)

    @torch.no_grad()
    def _score_rows(self, queries: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = product(queries.contiguous(), self._item_vectors().T.contiguous())
        return rows

    @torch.no_grad()
    def _similarity_rows(self, items: NDArray[np.int32]) -> torch.Tensor:
        vectors = self._unit_item_vectors()
        queries = vectors[tensor_of(items).long().to(vectors.device)]
        rows: torch.Tensor = product(queries, vectors.T.contiguous())
        return rows

    def _rank_similar(
        self, items: NDArray[np.int32], k: int, seen: csr_array
    ) -> tuple[torch.Tensor, torch.Tensor]:
        vectors = self._unit_item_vectors()
        queries = vectors[tensor_of(items).long().to(vectors.device)]
        indptr, indices = row_tensors(seen, vectors.device)
        return topk(queries, vectors, k, seen_indptr=indptr, seen_indices=indices)

    def _reasons(self, asker: Asker, item: int) -> Reasons:
        """Of a mean of item vectors, exact; a user with a vector of their own is no sum of items, which are likened."""
        kind, vectors = type(self), self._item_vectors()
        of_items = self.user_vectors_ is None and kind._query_vectors is VectorRecommender._query_vectors
        if asker.user is not None and not of_items:
            return likenesses(vectors, asker, item)
        if kind._query_from_items is not VectorRecommender._query_from_items:
            return super()._reasons(asker, item)
        values = products(vectors, asker.items, vectors[item]) / max(1, len(asker.items))
        return Reasons("exact", asker.items, values)

    def _compared_vectors(self) -> torch.Tensor:
        """Return the vectors whose cosines say how alike items are, float32 (num_items, columns)."""
        return self._item_vectors()

    def _unit_item_vectors(self) -> torch.Tensor:
        """Return the compared vectors at length one; they are kept until the vectors are others."""
        vectors = self._compared_vectors()
        known = self.__dict__.get("_unit_vectors")
        if known is None or known[0].data_ptr() != vectors.data_ptr() or known[1] != vectors._version:
            unit = torch.nn.functional.normalize(vectors.contiguous(), dim=1)
            known = (vectors, vectors._version, unit)
            self._unit_vectors = known
        found: torch.Tensor = known[2]
        return found


class EpochRecommender(VectorRecommender):
    """A model of vectors that trains by epochs: `fit` takes a validation set and tells of each epoch.

    Attributes:
        epochs: Passes over the interactions, at most: a hyperparameter.
        device: Where it is trained: ``cpu`` or ``cuda``.
        stopping: How an epoch is chosen, an `EarlyStopping` or the name of one; None keeps the last.
        history_: One record an epoch: ``epoch``, ``loss``, ``seconds`` and what callbacks added.
        layer_weights_: Learned weights of the layers, float32 (layers,), or (num_users + num_items, layers)
            with users first; None where none are learned.
        best_epoch_: The epoch whose parameters were kept: the last one, or the best on the validation set. This and
            the next two are of `fit`; a loaded model does not have them.
        full_users_: Number of users who own every item; they have no negative and were not trained on.
        empty_users_: Number of users without an interaction to train on.
    """

    epochs: int
    device: str = "cpu"
    stopping: Any = None
    history_: list[dict[str, Any]]
    layer_weights_: NDArray[np.float32] | None
    best_epoch_: int
    full_users_: int
    empty_users_: int

    @abstractmethod
    def fit(
        self,
        interactions: Any,
        y: Any = None,
        validation: Interactions | None = None,
        callback: Callable[[Recommender, dict[str, Any]], None] | None = None,
        checkpoints: Checkpoints | None = None,
        resume: bool = False,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn from interactions.

        Args:
            interactions: As for `Recommender.fit`.
            y: Ignored; scikit-learn passes it.
            validation: Held-out interactions (the same id maps) for early stopping: by the AUC of its pairs where they
                have labels above 0 and others, else by a metric of lists.
            callback: Called after each epoch with the model under training, which can recommend by then, and the
                epoch's record, to which it may add entries. What `fit` was called of is as it was until `fit` ends.
                A fit that goes on repeats the call for an epoch during whose call it was stopped.
            checkpoints: Where and how often to keep the state of training, and the way to stop it.
            resume: Go on from the checkpoint, with the same hyperparameters and data, to the same bits. Without, a
                checkpoint that is there already is refused, not replaced.
            sample_weight: (n,) finite numbers of at least 0, in the order of the `Interactions`: how much each counts
                in the loss, such as `pyrec.debias.Propensities.weights`. They are the same as weights that the
                interactions have, and multiply those; see `pyrec.data.as_dataset`.

        A fit that fails or is stopped leaves the model as it was before.
        """

    @abstractmethod
    def training_bytes(self, interactions: Any, validated: bool = False) -> int:
        """Return the memory that `fit` takes on the device at its peak, above the data, in bytes.

        Args:
            interactions: As for `fit`.
            validated: Whether `fit` is given a validation set.
        """

    def _refresh(self) -> None:
        """Bring the fitted vectors up to date with the parameters; nothing where they are the parameters."""

    def _view(self, train: Interactions, **changed: Any) -> Self:
        """Return this model as it ranks by other interactions.

        Args:
            train: In the place of `train_`.
            changed: Other attributes, by name.
        """
        view = object.__new__(type(self))
        view.__dict__ = {**self.__dict__, "train_": train, **changed}
        view._refresh()
        return view

    def _call(self, callback: Callable[[Recommender, dict[str, Any]], None], record: dict[str, Any]) -> None:
        """Call back with this model as it is under training."""
        self._refresh()
        with torch.enable_grad():  # which gives back what the callback leaves switched off
            callback(self, record)
