"""One number for a model on test interactions: what `Recommender.score` gives to scikit-learn."""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data import Interactions, Ragged, as_interactions
from pyrec.errors import DataError
from pyrec.evaluate.ranking import evaluate
from pyrec.models.item_sets import user_rows
from pyrec.ops.metrics import METRICS, ranking_metrics

K: Final = 20
HIDDEN_SHARE: Final = 0.2


class Scored(Protocol):
    """What `ndcg` asks of a model."""

    train_: Interactions

    def training_set(self) -> Interactions:
        """See `Recommender.training_set`."""

    def topk(self, user_indices: NDArray[np.integer], k: int) -> tuple[Tensor, Tensor]:
        """See `Recommender.topk`."""

    def _rank_for_items(self, known: Ragged, k: int, filter_seen: bool) -> tuple[Tensor, Tensor]: ...


def ndcg(model: Scored, interactions: Any) -> float:
    """Return the mean ndcg@20 of `Recommender.score`."""
    test = as_interactions(interactions).positives()
    k = min(K, model.train_.num_items)
    if issparse(interactions) or isinstance(interactions, np.ndarray):
        return _of_new_users(model, test, k)
    return evaluate(model, _known(test, model.train_), k, ["ndcg"])[f"ndcg@{k}"]


def _known(test: Interactions, train: Interactions) -> Interactions:
    """Return the test interactions in the training set's internal ids; unknown users and items are left out."""
    users = train.encode_users(test.user_ids, unknown="skip")
    items = train.encode_items(test.item_ids, unknown="skip")
    keep = (users[test.users] >= 0) & (items[test.items] >= 0)
    if not keep.any():
        raise DataError(
            "interactions to score have no user and item that the model knows; score data of its ids"
        )
    return test.select(keep).compact().with_ids(train.user_ids, train.item_ids)


def _of_new_users(model: Scored, test: Interactions, k: int) -> float:
    if test.num_items != model.train_.num_items:
        raise DataError(
            f"the matrix to score has {test.num_items} columns, but the model has {model.train_.num_items} items; "
            "give the columns that it was fitted on"
        )
    told, hidden = hide_items(test)
    if len(hidden) == 0:
        raise DataError("no row to score has two items, one to tell and one to find; give fuller rows")
    rows = np.flatnonzero(np.diff(hidden.indptr)).astype(np.int32)
    lists, _ = model._rank_for_items(user_rows(told, rows), k, filter_seen=True)
    indptr = np.concatenate([[0], np.cumsum(np.diff(hidden.indptr)[rows])])
    starts, items = (tensor_of(array).to(lists.device) for array in (indptr, hidden.items))
    values = ranking_metrics(lists, starts, items, [k])[:, 0, METRICS.index("ndcg")]
    return float(values.double().mean())


def hide_items(test: Interactions) -> tuple[Interactions, Interactions]:
    """Split each user's items: a fifth, at least one, is to be found, the rest is known; a single item is known."""
    counts = np.diff(test.indptr)
    wanted = np.minimum(np.maximum(np.rint(HIDDEN_SHARE * counts), 1), counts - 1)
    order = np.lexsort((np.random.default_rng(0).random(len(test)), test.users))
    place: NDArray[np.int64] = np.empty(len(test), dtype=np.int64)
    place[order] = np.arange(len(test)) - test.indptr[test.users]
    is_hidden = place < wanted[test.users]
    return test.select(~is_hidden), test.select(is_hidden)
