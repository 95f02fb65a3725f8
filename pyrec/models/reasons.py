"""From what a model says of one score, in internal ids, to an `Explanation` in raw ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec._arrays import tensor_of
from pyrec.data import Interactions, Ragged
from pyrec.errors import DataError
from pyrec.models.explain import Explanation, Kind, Part
from pyrec.ops.topk import MAX_K


@dataclass(frozen=True, eq=False)
class Asker:
    """Whose score is to be explained.

    Attributes:
        user: The internal id of a known user; None for a new one.
        history: (1, num_items), with order and repeats; of a known user the items that it speaks for.
        weights: Of a known user's items, float32 (n,); None where each counts 1.
    """

    user: int | None
    history: Ragged
    weights: NDArray[np.float32] | None = None

    @property
    def items(self) -> NDArray[np.int32]:
        """The items of the history, each once, int32 (n,), as they come first."""
        _, first = np.unique(self.history.indices, return_index=True)
        return self.history.indices[np.sort(first)]

    def weighted(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """What each item of the history, (n,), has to do with a score that is linear in the history's weights."""
        return values if self.weights is None else values * self.weights

    def without(self, items: NDArray[np.int32]) -> Ragged:
        """The history without one item, for each of ``items`` (n,): (n, num_items)."""
        own = self.history.indices
        return Ragged.from_lists([own[own != item] for item in items.tolist()], self.history.num_columns)


@dataclass(frozen=True, eq=False)
class Reasons:
    """What a model says of one score, in internal ids.

    Attributes:
        kind: See `Explanation`.
        items: Items of the history, int32 (n,).
        values: What each has to do with the score, (n,).
        skipped: See `Explanation`, as the next four.
        remainder: float or None.
        remainder_of: In words; None for what it is of most models.
        layers: (K + 1,) or None.
        layer_weights: (K + 1,) or None.
    """

    kind: Kind
    items: NDArray[np.int32]
    values: NDArray[np.floating]
    skipped: int = 0
    remainder: float | None = None
    remainder_of: str | None = None
    layers: NDArray[np.floating] | None = None
    layer_weights: NDArray[np.floating] | None = None


NOTHING = np.empty(0, dtype=np.int32)
POPULARITY = Reasons("popularity", NOTHING, np.empty(0, dtype=np.float32))


class Explained(Protocol):
    """What this module asks of a model."""

    train_: Interactions
    item_names_: Mapping[Any, str]
    personal: ClassVar[bool]

    @property
    def label(self) -> str:
        """See `Recommender.label`."""

    def topk(self, user_indices: NDArray[np.integer], k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Recommender.topk`."""

    def _histories(self, users: NDArray[np.int32]) -> Ragged: ...
    def _cold_users(self, users: NDArray[np.int32]) -> NDArray[np.bool_]: ...
    def _cold_histories(self, histories: Ragged) -> NDArray[np.bool_]: ...
    def _query_vectors(self, users: NDArray[np.int32]) -> torch.Tensor: ...
    def _query_from_items(self, histories: Ragged) -> torch.Tensor: ...
    def _rank_for_items(
        self, known: Ragged, k: int, filter_seen: bool
    ) -> tuple[torch.Tensor, torch.Tensor]: ...
    def _score_candidates(self, queries: torch.Tensor, candidates: csr_array) -> torch.Tensor: ...
    def _reasons(self, asker: Asker, item: int) -> Reasons: ...


def explain_user(model: Explained, user: Any, item: Any | None) -> Explanation:
    """Explain the score of an item, or of the best one, for a known user; see `Recommender.explain`."""
    index = model.train_.encode_users([user], "user")
    had = model._histories(index)
    of_user = slice(*model.train_.indptr[index[0] : index[0] + 2])
    likes, weights = model.train_.is_positive, model.train_.preferences
    liked = slice(None) if likes is None else likes[of_user]
    asker = Asker(
        int(index[0]),
        Ragged.from_lists([had.indices[liked]], had.num_columns),
        None if weights is None else weights[of_user][liked],
    )
    ids, _ = model.topk(index, _longest(model.train_))
    is_cold = bool(model._cold_users(index)[0])
    return _explanation(model, asker, had, is_cold, ids[0].cpu().numpy(), item)


def explain_history(model: Explained, history: Any, item: Any | None) -> Explanation:
    """Explain the score of an item, or of the best one, for a new user; see `Recommender.explain_for_items`."""
    train = model.train_
    own = Ragged.from_lists([train.encode_items(history, "history")], train.num_items)
    ids, _ = model._rank_for_items(own, _longest(train), True)
    is_cold = bool(model._cold_histories(own)[0])
    return _explanation(model, Asker(None, own), own, is_cold, ids[0].cpu().numpy(), item)


def _longest(train: Interactions) -> int:
    return min(MAX_K, train.num_items)


def _explanation(
    model: Explained,
    asker: Asker,
    had: Ragged,
    is_cold: bool,
    listed: NDArray[np.int32],
    item: Any | None,
) -> Explanation:
    """Explain by the user's list, ``listed`` (k,), best first, -1 behind its end.

    ``had`` (1, num_items) are the items that lists leave out: those of the history and what the user dislikes.
    """
    train = model.train_
    index = _best(listed, train) if item is None else int(train.encode_items([item], "item")[0])
    if falls_back := is_cold and model.personal:
        reasons, score = POPULARITY, float(train.popularity[index])
    else:
        reasons, score = model._reasons(asker, index), score_of(model, asker, index)
    place = np.flatnonzero(listed == index)
    order = np.argsort(-np.abs(reasons.values), kind="stable")
    raw = _raw(train.item_ids, np.array([index]))[0]
    items = _raw(train.item_ids, reasons.items[order])
    return Explanation(
        model=model.label,
        user=None if asker.user is None else _raw(train.user_ids, np.array([asker.user]))[0],
        item=raw,
        score=score,
        rank=int(place[0]) + 1 if len(place) else None,
        seen=bool((had.indices == index).any()),
        kind=reasons.kind,
        is_fallback=falls_back,
        history=tuple(_raw(train.item_ids, asker.history.indices)),
        parts=tuple(map(Part, items, reasons.values[order].tolist())),
        skipped=reasons.skipped,
        remainder=reasons.remainder,
        remainder_of=_remainder_of(reasons, asker),
        layers=_numbers(reasons.layers),
        layer_weights=_numbers(reasons.layer_weights),
        item_names={one: model.item_names_[one] for one in (raw, *items) if one in model.item_names_},
    )


def _remainder_of(reasons: Reasons, asker: Asker) -> str | None:
    if reasons.remainder is None:
        return None
    return reasons.remainder_of or ("the mean user" if asker.user is None else "learned for the user")


def score_of(model: Explained, asker: Asker, item: int) -> float:
    """The score that the model gives the item."""
    known = asker.user is not None
    query = (
        model._query_vectors(np.array([asker.user], np.int32))
        if known
        else model._query_from_items(asker.history)
    )
    return float(model._score_candidates(query, only(item, 1, asker.history.num_columns)))


def only(item: int, num_rows: int, num_items: int) -> csr_array:
    """The same one candidate for each of some queries, (num_rows, num_items)."""
    ones = np.ones(num_rows, dtype=np.float32)
    columns = np.full(num_rows, item, dtype=np.int32)
    return csr_array((ones, columns, np.arange(num_rows + 1)), shape=(num_rows, num_items))


def _best(listed: NDArray[np.int32], train: Interactions) -> int:
    if listed[0] < 0:
        raise DataError(
            f"item is None, but the user had all {train.num_items} items, so none is recommended; name an item"
        )
    return int(listed[0])


def _raw(ids: NDArray[Any], indices: NDArray[np.integer]) -> list[Any]:
    """Raw ids as Python's integers or text."""
    raw: list[Any] = ids[indices].tolist()
    return raw


def _numbers(values: NDArray[np.floating] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values.tolist())


def likenesses(vectors: torch.Tensor, asker: Asker, item: int) -> Reasons:
    """Inner products of the items of the history with the item, by vectors (num_items, dim)."""
    return Reasons("similar", asker.items, products(vectors, asker.items, vectors[item]))


@torch.no_grad()
def products(vectors: torch.Tensor, items: NDArray[np.int32], target: torch.Tensor) -> NDArray[np.float64]:
    """Inner products of some rows of ``vectors`` (num_items, dim) with ``target`` (dim,): float64 (n,)."""
    rows = tensor_of(items.astype(np.int64)).to(vectors.device)
    values: NDArray[np.float64] = (vectors[rows].double() * target.double()).sum(dim=1).cpu().numpy()
    return values
