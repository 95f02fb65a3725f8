"""The contract of every model of interactions: fit, recommend and similar items over a few hooks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from pyrec._arrays import tensor_of
from pyrec._checks import warn_caller
from pyrec.data import Interactions, Ragged, as_dataset
from pyrec.data.ids import Unknown
from pyrec.data.ragged import as_ragged
from pyrec.data.weights import uneven
from pyrec.errors import ConfigError, DataError, DataWarning
from pyrec.models import raw_ids, requests
from pyrec.models.candidates import best_candidates, left_of
from pyrec.models.estimator import Estimator
from pyrec.models.explain import Explanation
from pyrec.models.fallback import Fallback, falls_back, with_popular
from pyrec.models.item_sets import check_rows, one_hot_rows, union, user_rows
from pyrec.models.limits import Limits
from pyrec.models.lists import Ranking, Recommendations
from pyrec.models.pairs import score_pairs
from pyrec.models.reasons import Asker, Reasons, explain_history, explain_user, only
from pyrec.models.score import ndcg
from pyrec.store import item_names as item_names_file
from pyrec.store.interactions import interaction_arrays, interactions_of
from pyrec.store.saved_model import Saved

if TYPE_CHECKING:
    from typing_extensions import Self

Query: TypeAlias = Callable[[NDArray[np.bool_]], torch.Tensor]

QUERY_BYTES = 64 * 2**20
"""Bound on a batch of query vectors, in bytes; users beyond it go into further batches."""


class Recommender(Estimator):
    """A model that turns users into query vectors and ranks items for them.

    Batches, masks and raw ids are written here, once; how a query ranks the
    items is written in `VectorRecommender` (item vectors) and `ItemItemRecommender` (item-to-item weights). A
    model names itself (`model_name`) and writes `fit`, `_query_from_items`, `_state` and `_restore`; it
    overrides `_query_vectors` if a known user has a vector of its own. See `Estimator` for what every model keeps to.

    Attributes:
        train_: The interactions that the model was fitted on.
        item_names_: What items are called, by raw id, if the model was loaded from where that was kept.
    """

    learns_from = "interactions"
    data_name = "train_"
    personal: ClassVar[bool] = True
    """Whether users get different lists. If not, the model needs no history and compares no items."""
    additive: ClassVar[bool] = False
    """Whether scores are sums over the history: without an item a score falls by what the item adds."""
    uniform: ClassVar[Literal["ignored", "used", "needed"]] = "ignored"
    """What `fit` does with the pairs that were shown at random, `pyrec.data.Dataset`'s ``uniform``."""
    READERS = (
        "topk",
        "pair_scores",
        "recommend",
        "recommend_for_items",
        "similar_items",
        "explain",
        "explain_for_items",
        "score",
        "save",
    )
    train_: Interactions
    item_names_: Mapping[Any, str] = MappingProxyType({})

    # What each model writes.

    @abstractmethod
    def fit(self, interactions: Any, y: Any = None) -> Self:
        """Learn from interactions.

        Args:
            interactions: An `Interactions`, a data frame, or a matrix users x items, sparse or a NumPy array; or a
                `pyrec.data.Dataset`; a model takes from it what it learns from.
            y: Ignored; scikit-learn passes it.
        """

    @abstractmethod
    def _query_from_items(self, histories: Ragged) -> torch.Tensor:
        """Return query vectors, float32 (Q, dim), for users known by their items alone.

        Args:
            histories: (Q, num_items); row q holds the items of user q in the order given, repeats kept. What takes
                them as sets asks for ``histories.csr()``: float32 ones, ascending, each item once. The history of a
                known user is of `train_`: a set, ascending by item.
        """

    @abstractmethod
    def _query_width(self) -> int:
        """Return the length of a query vector."""

    @abstractmethod
    def _rank(
        self, queries: torch.Tensor, k: int, seen: csr_array | None, allowed: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the k best items of each query (Q, dim): ids int32 (Q, k) and scores float32 (Q, k).

        Args:
            queries: From `_query_vectors` or `_query_from_items`.
            k: Items to return for each query.
            seen: Items to leave out, (Q, num_items); None for none.
            allowed: The only items to consider, int32 (A,), sorted; None for all.
        """

    @abstractmethod
    def _score_candidates(self, queries: torch.Tensor, candidates: csr_array) -> torch.Tensor:
        """Return the score of each candidate, float32 (n,), where the model lies.

        Args:
            queries: (Q, dim), as for `_rank`.
            candidates: ones (Q, num_items) with n entries: the items of each query whose scores are wanted, ascending.
        """

    @abstractmethod
    def _rank_similar(
        self, items: NDArray[np.int32], k: int, seen: csr_array
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the k items most like each of ``items`` (Q,), without those in ``seen`` (Q, num_items)."""

    # What a model may override.

    def _score_rows(self, queries: torch.Tensor) -> torch.Tensor:
        """Return the score of every item, float32 (Q, num_items), where the model lies; for queries (Q, dim)."""
        every = np.ones((len(queries), self.train_.num_items), dtype=np.float32)
        return self._score_candidates(queries, csr_array(every)).reshape(every.shape)

    def _similarity_rows(self, items: NDArray[np.int32]) -> torch.Tensor:  # noqa: ARG002
        """Return how like each of ``items`` (Q,) every item is, float32 (Q, num_items); what `_rank_similar` ranks by.

        Raises:
            ConfigError: If the model has no such rows, as by default.
        """
        raise ConfigError(
            f"{type(self).__name__} has lists of similar items, but no row of all items' likeness"
        )

    def _query_vectors(self, users: NDArray[np.int32]) -> torch.Tensor:
        """Return query vectors, float32 (Q, dim), of known users (Q,)."""
        return self._query_from_items(self._histories(users))

    def _reasons(self, asker: Asker, item: int) -> Reasons:
        """Return what each item of the asker's history, which is not empty, has to do with the item's score.

        By default how much the score falls without it, for a user who is known by the history alone.
        """
        items = asker.items
        scores = [
            self._score_candidates(
                self._query_from_items(histories), only(item, len(histories), self.train_.num_items)
            )
            for histories in (
                asker.history,
                *(asker.without(batch) for batch in _batches(items, self._query_width())),
            )
        ]
        whole, *without = (part.double().cpu().numpy() for part in scores)
        return Reasons("left out", items, whole - np.concatenate(without))

    def _cold_users(self, users: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return of which known users (Q,) the model knows nothing, bool (Q,).

        These have no training interaction that speaks for an item.

        A model that knows users by something else, such as their features, says so here.
        """
        return np.asarray(self.train_.activity[users] == 0)

    def _cold_histories(self, histories: Ragged) -> NDArray[np.bool_]:
        """Return which histories (Q, num_items) say nothing, bool (Q,): those without an item that anybody had.

        A model that knows items by something else, such as their features, says so here.
        """
        told = histories.rows[self.train_.popularity[histories.indices] > 0]
        return np.asarray(np.bincount(told, minlength=len(histories)) == 0)

    def _fall_back(self, queries: torch.Tensor, limits: Limits, ranking: Ranking) -> Ranking:  # noqa: ARG002
        """Return the lists with what the model has no score for in the order of popularity; here all have one.

        Args:
            queries: (Q, dim), as for `_rank`.
            limits: What was ranked.
            ranking: The lists (Q, k), without a fallback.
        """
        return ranking

    # What every model offers.

    def topk(
        self,
        user_indices: NDArray[np.integer],
        k: int,
        filter_seen: bool = True,
        allowed: torch.Tensor | None = None,
        excluded: csr_array | None = None,
        candidates: Ragged | csr_array | None = None,
        fallback: Fallback = "popularity",
    ) -> Ranking:
        """Rank items for known users, in internal ids: what `recommend` and `evaluate` stand on.

        Args:
            user_indices: Internal user ids, integer (B,).
            k: Items a user, from 1 to the number of items, at most 1,024.
            filter_seen: Leave out what the user had in training.
            allowed: Internal ids of the only items to consider, int32 (A,), sorted, unique; None for all.
            excluded: Items to leave out for each user, a CSR matrix (B, num_items) with ascending indices; None for
                none.
            candidates: For each user the only items to rank, (B, num_items): `pyrec.data.Ragged`, or a CSR matrix
                whose stored entries count. Time and memory go by their number. None for all items.
            fallback: See `recommend`.

        Returns:
            The pair of ids int32 (B, k) and scores float32 (B, k), best first; equal scores by smaller id. A list with
            fewer than k items ends in id -1 and score -inf. ``is_fallback``, bool (B, k), is an attribute of it. All
            lie where the model does.

        Raises:
            NotFittedError: Before `fit`.
            DataError: If a user id or ``k`` is out of range, or ``excluded`` or ``candidates`` has another
                type or shape.
            ConfigError: If ``fallback`` is neither value.
        """
        self._check_fitted()
        falls = falls_back(fallback) and self.personal
        k = requests.check_length("k", k, self.train_.num_items)
        users = requests.check_users(user_indices, self.train_.num_users)
        if excluded is not None:
            check_rows("excluded", excluded, (len(users), self.train_.num_items))
        if allowed is not None and (not isinstance(allowed, torch.Tensor) or allowed.is_meta):
            raise DataError(
                f"allowed is a {type(allowed).__name__}, but an int32 tensor of internal item ids is needed"
            )
        lists = None
        if candidates is not None:
            lists = as_ragged("candidates", candidates, (len(users), self.train_.num_items))
        parts = []
        for rows in _batches(np.arange(len(users), dtype=np.int32), self._query_width()):
            batch = users[rows]
            seen = self._histories(batch).csr() if filter_seen else None
            seen = union(seen, None if excluded is None else excluded[rows])
            limits = Limits(seen, allowed, None if lists is None else lists[rows])
            warm = ~self._cold_users(batch) if falls else np.ones(len(batch), dtype=bool)
            parts.append(self._ranking(partial(_of, self._query_vectors, batch), warm, k, limits, falls))
        return Ranking.joined(parts)

    def pair_scores(self, users: NDArray[np.integer], items: NDArray[np.integer]) -> NDArray[np.float32]:
        """Score pairs of known users and items, in internal ids: what `pyrec.evaluate_pairs` stands on.

        The score is the model's own, the one that `topk` ranks by without a fallback; training pairs have theirs,
        too. Vectors are gathered for a bounded number of pairs and users at a time. Beside that it takes some 30
        bytes a pair where pairs ascend by user and item, as those of `pyrec.data.Interactions` do, and 60 where they
        do not.

        Args:
            users: Internal user ids, integer (n,), in any order and with any repeats.
            items: Internal item ids, integer (n,); pair p is of ``users[p]`` and ``items[p]``.

        Returns:
            Scores float32 (n,), in the order given. The same pair has the same score wherever it stands.

        Raises:
            NotFittedError: Before `fit`.
            DataError: If an id is out of range or no whole number, or the lengths differ.
        """
        self._check_fitted()
        pairs = requests.check_pairs(users, items, self.train_)
        users_per_call = max(1, QUERY_BYTES // (4 * max(1, self._query_width())))
        return score_pairs(
            *pairs, self.train_.num_items, users_per_call, self._query_vectors, self._score_candidates
        )

    def recommend(
        self,
        users: Any,
        n: int | None = None,
        filter_seen: bool = True,
        items: Any | None = None,
        exclude: Any | None = None,
        *,
        N: int | None = None,
        k: int | None = None,
        unknown: Unknown = "error",
        fallback: Fallback = "popularity",
        as_frame: bool | str = False,
        item_names: Mapping[Any, str] | None = None,
    ) -> Recommendations | Any:
        """Recommend items to known users.

        The lists are exact: items that may not be recommended take no part in the search.

        Args:
            users: Raw user ids (B,).
            n: Items a user, from 1 to the number of items, at most 1,024; 10 if not given.
            filter_seen: Leave out what the user had in training.
            items: Raw ids of the only items to choose from, or a mapping from raw user ids to the items that each of
                these users is to choose from; None for all.
            exclude: Raw ids of items that nobody is to get, or a mapping from raw user ids to the items that each of
                these users is not to get; None for neither.
            N: Another name for ``n``.
            k: Another name for ``n``.
            unknown: What is done about unknown ids: "error", or "skip". Skipped users get an empty list, so row b is
                always that of ``users[b]``; skipped items of ``items`` and ``exclude`` are left out.
            fallback: "popularity" gives users without a training interaction the items that most training users had;
                the score is their number. Models of item-to-item weights then also put items that nothing in the
                history speaks for or against, whose score is exactly 0, in this order. "none": the model's own order,
                which says nothing there.
            as_frame: Return a data frame: True or ``"pandas"``, or ``"polars"``. See `Recommendations.to_frame`.
            item_names: What items are called, by raw id: for the frame's column ``name`` and what ``print`` shows; if
                None, those that were kept with a loaded model.

        Returns:
            The pair of raw item ids (B, n) and scores float32 (B, n), best first. A list with fewer than n items ends
            in scores of -inf and ids of -1 (integer ids) or ``""`` (string ids). It is a `Recommendations`, whose
            ``is_fallback``, bool (B, n), tells which entries are there by the fallback.

        Raises:
            NotFittedError: Before `fit`.
            UnknownIdError: If a user or item is unknown; it holds all that are, and their positions.
            DataError: If ``n`` is out of range, ``items`` and ``exclude`` leave nothing, or a user has no entry in a
                mapping ``items``. What is left of a user's own list may be nothing.
            ConfigError: If more than one of ``n``, ``N`` and ``k`` is given, ``unknown`` or ``fallback`` is neither
                value, or the frame's library is not installed.
        """
        self._check_fitted()
        n = requests.list_length(self.train_.num_items, n, N, k)
        indices = self.train_.encode_users(users, unknown=unknown)
        known = indices >= 0
        excluded = requests.excluded_rows(self.train_, indices[known], exclude, unknown)
        lists = requests.candidate_rows(self.train_, indices, items, unknown)
        allowed = self._allowed(None if lists is not None else items, exclude, unknown)
        candidates = None if lists is None else lists[known]
        ranking = self.topk(indices[known], n, filter_seen, allowed, excluded, candidates, fallback)
        found = self._decode(
            ranking.spread(known), raw_ids.given(users, indices, self.train_.user_ids), "user", item_names
        )
        return found.to_frame(as_frame) if as_frame else found

    def recommend_for_items(
        self,
        histories: Sequence[Any],
        n: int | None = None,
        filter_seen: bool = True,
        items: Any | None = None,
        exclude: Any | None = None,
        *,
        N: int | None = None,
        k: int | None = None,
        unknown: Unknown = "error",
        fallback: Fallback = "popularity",
        as_frame: bool | str = False,
        item_names: Mapping[Any, str] | None = None,
    ) -> Recommendations | Any:
        """Recommend items to new users, known by what they had, without training again.

        Args:
            histories: For each new user the raw ids of their items, in the order that they had them, the oldest first.
                Order and repeats reach the model; one of sets takes each item once.
            n: Items a user, from 1 to the number of items, at most 1,024; 10 if not given.
            filter_seen: Leave out the history's own items.
            items: Raw ids of the only items to choose from; None for all.
            exclude: Raw ids of items that nobody is to get; None for none.
            N: Another name for ``n``.
            k: Another name for ``n``.
            unknown: What is done about unknown ids: "error", or "skip" to leave them out.
            fallback: See `recommend`. With "popularity" a history that is empty, has nothing known left, or holds
                only items that nobody had in training gets the popular items. With "none" an empty one is an error,
                and one with nothing known left gets an empty list. Row b is always that of ``histories[b]``.
            as_frame: See `recommend`; the column ``history`` holds the number of the row.
            item_names: See `recommend`.

        Returns:
            Raw item ids (B, n) and scores float32 (B, n), as from `recommend`.

        Raises:
            NotFittedError: Before `fit`.
            UnknownIdError: If an item is unknown; it holds all that are, and which histories have one.
            DataError: If a history is empty and there is no fallback, ``n`` is out of range, ``items`` and
                ``exclude`` leave nothing, or one of them is a mapping.
            ConfigError: As from `recommend`.
        """
        self._check_fitted()
        falls = falls_back(fallback) and self.personal
        n = requests.list_length(self.train_.num_items, n, N, k)
        for name, choice in (("items", items), ("exclude", exclude)):
            if isinstance(choice, Mapping):
                raise DataError(
                    f"{name} is a mapping, but new users have no ids; give one list of items for all"
                )
        allowed = self._allowed(items, exclude, unknown)
        known = raw_ids.encode_histories(self.train_, histories, falls or not self.personal, unknown)
        told = (known.lengths > 0) | falls | (not self.personal)
        ranking = self._rank_for_items(known[told], n, filter_seen, allowed, falls).spread(told)
        found = self._decode(ranking, np.arange(len(known)), "history", item_names)
        return found.to_frame(as_frame) if as_frame else found

    def similar_items(
        self,
        items: Any,
        n: int | None = None,
        *,
        N: int | None = None,
        k: int | None = None,
        unknown: Unknown = "error",
        as_frame: bool | str = False,
        item_names: Mapping[Any, str] | None = None,
    ) -> Recommendations | Any:
        """Return the items most like each given item, never itself.

        Models of factors compare by the cosine of the item vectors, models of item-to-item weights by the
        weight.

        Args:
            items: Raw item ids (B,).
            n: Items to return for each, from 1 to the number of items, at most 1,024; 10 if not given.
            N: Another name for ``n``.
            k: Another name for ``n``.
            unknown: What is done about unknown ids: "error", or "skip". Skipped items get an empty list, so row b is
                always that of ``items[b]``.
            as_frame: See `recommend`; the column ``similar_to`` holds the given item.
            item_names: See `recommend`.

        Returns:
            Raw item ids (B, n) and similarities float32 (B, n), as from `recommend`.

        Raises:
            NotFittedError: Before `fit`.
            UnknownIdError: If an item is unknown; it holds all that are, and their positions.
            DataError: If ``n`` is out of range.
            ConfigError: If the model compares no items (popularity), or as from `recommend`.
        """
        self._check_fitted()
        if not self.personal:
            raise ConfigError(
                f"{type(self).__name__} knows no likeness of items; use itemknn, ease, graph-filter, svd or lightgcn"
            )
        n = requests.list_length(self.train_.num_items, n, N, k)
        indices = self.train_.encode_items(items, unknown=unknown)
        known = indices >= 0
        parts = []
        for batch in _batches(indices[known], self._query_width()):
            itself = one_hot_rows(batch, self.train_.num_items)
            parts.append(Ranking(*self._rank_similar(batch, n, itself)))
        ranking = Ranking.joined(parts).spread(known)
        found = self._decode(
            ranking, raw_ids.given(items, indices, self.train_.item_ids), "similar_to", item_names
        )
        return found.to_frame(as_frame) if as_frame else found

    def explain(self, user: Any, item: Any | None = None) -> Explanation:
        """Say why an item has its score for a known user.

        Args:
            user: A raw user id.
            item: A raw item id, which may be of the user's history; None for the best one that is recommended.

        Returns:
            Which items of the history have what to do with the score; its ``kind`` says how that is meant. Who has no
            history gets the most popular items, and is told so.

        Raises:
            NotFittedError: Before `fit`.
            UnknownIdError: If the user or the item is unknown.
            DataError: If ``item`` is None and the user had all items.
        """
        self._check_fitted()
        return explain_user(self, user, item)

    def explain_for_items(self, history: Any, item: Any | None = None) -> Explanation:
        """Say why an item has its score for a new user, known by what they had.

        Args:
            history: Raw ids of the user's items, as one of ``histories`` in `recommend_for_items`.
            item: As for `explain`.

        Raises:
            NotFittedError: Before `fit`.
            UnknownIdError: If an item is unknown.
            DataError: If the history holds all items and ``item`` is None.
        """
        self._check_fitted()
        return explain_history(self, history, item)

    def score(self, interactions: Any, y: Any = None) -> float:  # noqa: ARG002
        """Return ndcg@20 (at all items if there are fewer) on test interactions, which scikit-learn searches by.

        Interactions and frames have ids: their users are known ones with items to be found, as for `pyrec.evaluate`;
        users and items that the model does not know are left out. The rows of a matrix, such as a fold of
        `KFold`, have none: each is a new user, of whose items a fifth, at least one, is hidden and to be found
        by the others. The same rows hide the same items for every model; rows of fewer than two items are left out.

        Args:
            interactions: As for `fit`.
            y: Ignored; scikit-learn passes it.

        Raises:
            NotFittedError: Before `fit`.
            DataError: If a matrix has other columns than the model items, or nothing is left to be found.
        """
        self._check_fitted()
        return ndcg(self, interactions)

    def training_seconds(self, interactions: Any, limit: float = 1.0) -> float | None:  # noqa: ARG002
        """Return about how many seconds `fit` will take here; None where the model cannot tell.

        A part of the work is timed on the data themselves. The model stays as it is.

        Args:
            interactions: As for `fit`.
            limit: About how many seconds the estimate may take, beside what `fit` prepares before it learns.

        Raises:
            ConfigError: As from `fit`.
            DataError: As from `fit`.
        """
        return None

    def save(
        self,
        directory: str | PathLike[str],
        run: Mapping[str, Any] | None = None,
        item_names: Mapping[Any, str] | None = None,
    ) -> None:
        """Save as `Estimator.save` does, with what items are called.

        Args:
            directory: Where to write.
            run: A mapping that JSON can hold, kept in ``config.json`` under ``"run"``.
            item_names: What items are called, by raw id, kept in ``item_names.json`` for the commands, the served page
                and `load`; those of ``item_names_``, if None.

        Raises:
            NotFittedError: Before `fit`.
            DataError: If the folder cannot be written, or an id or a name is of another type.
        """
        self._check_fitted()
        names = item_names_file.text_of(self.item_names_ if item_names is None else item_names)
        super().save(directory, run)
        item_names_file.put(directory, names)

    def _data(self) -> dict[str, NDArray[Any]]:
        return interaction_arrays(self.train_)

    def _origin(self) -> Mapping[str, Any] | None:
        return self.train_.origin

    def _restore_data(self, saved: Saved) -> None:
        self.train_ = replace(interactions_of(saved.data), origin=saved.origin)
        if names := item_names_file.read(saved.source):
            self.item_names_ = names

    def training_set(self) -> Interactions:
        """Return the interactions that the model was fitted on, as `pyrec.evaluate` asks for them.

        Raises:
            NotFittedError: Before `fit`.
        """
        self._check_fitted()
        return self.train_

    def _check_target(self, y: object) -> None:
        if isinstance(y, Interactions):
            raise ConfigError(
                "y is Interactions, but fit learns from its first argument alone; give others by name: validation=..."
            )

    @staticmethod
    def _training_set(interactions: Any, sample_weight: ArrayLike | None = None) -> Interactions:
        """Return what `fit` was given as `Interactions`, weighted; an empty set is a `DataError`."""
        train = as_dataset(interactions, sample_weight).interactions
        if len(train) == 0:
            raise DataError(
                "interactions is empty: there is nothing to learn from; check the file or the filter"
            )
        if train.weights is not None and not train.weights.any():
            raise DataError(
                f"the weights of all {len(train):,} interactions are 0: there is nothing to learn from; one has to be "
                "above 0"
            )
        if train.weights is not None and (told := uneven(train.weights)):
            warn_caller(told, DataWarning)
        return train

    def _histories(self, users: NDArray[np.int32]) -> Ragged:
        """Return the training items of ``users`` (Q,), ascending: (Q, num_items)."""
        return user_rows(self.train_, users)

    def _rank_for_items(
        self,
        known: Ragged,
        k: int,
        filter_seen: bool,
        allowed: torch.Tensor | None = None,
        falls: bool = True,
    ) -> Ranking:
        """Return the k best items (Q, k), and their scores, of users known by their items, ``known`` (Q, num_items)."""
        parts = []
        for rows in _batches(np.arange(len(known), dtype=np.int32), self._query_width()):
            batch = known[rows]
            limits = Limits(batch.csr() if filter_seen else None, allowed)
            warm = ~self._cold_histories(batch) if falls else np.ones(len(batch), dtype=bool)
            parts.append(self._ranking(partial(_of, self._query_from_items, batch), warm, k, limits, falls))
        return Ranking.joined(parts)

    def _ranking(self, query: Query, warm: NDArray[np.bool_], k: int, limits: Limits, falls: bool) -> Ranking:
        """Return the lists (Q, k) of a batch.

        Args:
            query: Returns the query vectors of some of its rows, bool (Q,).
            warm: The rows that say something, bool (Q,). The others go by popularity.
            k: Length of the lists.
            limits: What may be ranked.
            falls: Whether what the model has no score for goes by popularity, too.
        """
        queries, of_warm = query(warm), limits.rows(warm)
        ranking = self._ranked(queries, k, of_warm)
        if falls:
            ranking = self._fall_back(queries, of_warm, ranking)
        return with_popular(ranking, ~warm, self.train_, limits)

    def _ranked(self, queries: torch.Tensor, k: int, limits: Limits) -> Ranking:
        """Return the model's own lists (Q, k) of queries (Q, dim)."""
        if limits.candidates is None:
            return Ranking(*self._rank(queries, k, limits.seen, limits.allowed))
        left = left_of(limits.candidates, limits.seen, limits.allowed)
        return Ranking(*best_candidates(self._score_candidates(queries, left), left, k))

    def _allowed(self, items: Any | None, exclude: Any | None, unknown: Unknown) -> torch.Tensor | None:
        chosen = requests.candidates(self.train_, items, exclude, unknown)
        return None if chosen is None else tensor_of(chosen)

    def _decode(
        self, ranking: Ranking, keys: NDArray[Any], key_name: str, item_names: Mapping[Any, str] | None
    ) -> Recommendations:
        """Return lists (B, k) in raw ids."""
        ids, scores, is_fallback = (
            part.cpu().numpy() for part in (ranking.ids, ranking.scores, ranking.is_fallback)
        )
        raw = raw_ids.decode(self.train_.item_ids, ids)
        names = self.item_names_ if item_names is None else item_names
        return Recommendations(raw, scores, is_fallback, keys, key_name, names)


def _of(query: Callable[[Any], torch.Tensor], batch: Any, rows: NDArray[np.bool_]) -> torch.Tensor:
    """Return the query vectors of some rows of a batch; all of it is handed on as it is."""
    return query(batch if rows.all() else batch[rows])


def _batches(rows: NDArray[np.int32], width: int) -> list[NDArray[np.int32]]:
    """Cut ``rows`` so that a batch of float32 queries stays within `QUERY_BYTES`; at least one batch."""
    size = max(1, QUERY_BYTES // (4 * max(1, width)))
    return [rows[start : start + size] for start in range(0, max(1, len(rows)), size)]
