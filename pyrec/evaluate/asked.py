"""What evaluation asks of a model and of a test set: one state of it, its lists, and the same ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._checks import check_count
from pyrec._exchange import Exchanged, kind_of, one_state
from pyrec.data import Interactions, Ragged
from pyrec.data.ids import first_difference
from pyrec.data.interactions import require_interactions
from pyrec.errors import ConfigError, DataError
from pyrec.ops.topk import MAX_K

Asked = TypeVar("Asked")

_AGREE = "split one Interactions in two, or read both files together (read_pair), so that ids agree"


@runtime_checkable
class Ranker(Protocol):
    """What `evaluate` asks of a model."""

    def training_set(self) -> Interactions:
        """Return what the model was fitted on, whose ids the test set shares."""

    def topk(self, user_indices: NDArray[np.integer], k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rank items for users (B,): ids int32 (B, k), without what they had in training, and scores (B, k).

        Where `evaluate` is given candidates, ``candidates=`` is a `pyrec.data.Ragged` (B, num_items) besides; where it
        is given ``fallback="none"``, so is `topk`.
        """


def asked(
    model: Asked, protocol: type[object], methods: str, example: str = "EASE().fit(train)"
) -> AbstractContextManager[Asked]:
    """Return a context of one state of a fitted model; anything else with the methods is taken as it is.

    Args:
        model: What the caller gave.
        protocol: A runtime-checkable protocol that it is to have.
        methods: Its methods, for the message.
        example: A fitted model, for the message.

    Raises:
        DataError: If the model is neither.
    """
    if isinstance(model, Exchanged):
        return one_state(model)
    if isinstance(model, type) or not isinstance(model, protocol):
        raise DataError(
            f"model is {kind_of(model)}, but a fitted model is needed, such as {example}, "
            f"or an object with the methods {methods}"
        )
    return nullcontext(model)


def ranked_lists(
    model: Ranker,
    users: NDArray[np.int32],
    k: int,
    batch_size: int,
    candidates: Ragged | None = None,
    fallback: str = "popularity",
    filter_seen: bool = True,
    seen: Interactions | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k best items (len(users), k) of each user, and which are a fallback.

    Args:
        model: Asked for what it has to know: an argument at its default is not given.
        users: Internal ids (U,).
        k: Length of a list.
        batch_size: Users at a time.
        candidates: The only items to rank, of all users; None for all items.
        fallback: See `pyrec.Recommender.recommend`.
        filter_seen: Whether lists leave out training items.
        seen: Other pairs that they leave out.
    """
    rank: Callable[..., tuple[torch.Tensor, torch.Tensor]] = model.topk
    if fallback != "popularity":
        rank = partial(rank, fallback=fallback)
    if not filter_seen:
        rank = partial(rank, filter_seen=False)
    limits: dict[str, Any] = {"candidates": candidates, "excluded": None if seen is None else seen.to_csr()}
    lists, is_fallback = [], []
    for start in range(0, len(users), batch_size):
        batch = users[start : start + batch_size]
        found = rank(batch, k, **{name: rows[batch] for name, rows in limits.items() if rows is not None})
        lists.append(found[0])
        is_fallback.append(getattr(found, "is_fallback", torch.zeros_like(found[0], dtype=torch.bool)))
    return torch.cat(lists), torch.cat(is_fallback)


def listed_metrics(metrics: object, known: Sequence[str], example: Sequence[str], told: str) -> list[str]:
    """The names of metrics, each once; all known ones for None.

    Args:
        metrics: What the caller gave.
        known: Those that there are.
        example: Some of them, for the message.
        told: What is said of others.

    Raises:
        ConfigError: They are no list, none, or one is not known.
    """
    if metrics is None:
        return list(known)
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise ConfigError(f"metrics = {metrics!r} must be a list, such as {list(example)!r}")
    names = list(metrics)
    if not names or any(name not in known for name in names):
        raise ConfigError(f"metrics = {names!r}: {told}")
    return list(dict.fromkeys(names))


def check_test(test: object, train: Interactions, name: str = "test") -> None:
    """Raises DataError where held-out interactions are empty, or not of the training set's users and items.

    Args:
        test: Of the argument ``name``.
        train: The training set.
        name: For messages.
    """
    held_out = require_interactions(test, name)
    if len(held_out) == 0:
        raise DataError(
            f"{name} is empty: no user has an item to find; check the file, the split or the rating filter"
        )
    have, expected = (held_out.num_users, held_out.num_items), (train.num_users, train.num_items)
    if have != expected:
        raise DataError(
            f"{name} has {have[0]} users x {have[1]} items, the model {expected[0]} x {expected[1]}; {_AGREE}"
        )
    for kind, theirs, ours in (
        ("user", held_out.user_ids, train.user_ids),
        ("item", held_out.item_ids, train.item_ids),
    ):
        _check_same_ids(name, kind, theirs, ours)


def _check_same_ids(name: str, kind: str, theirs: NDArray[Any], ours: NDArray[Any]) -> None:
    """Raises DataError unless both number the same raw ids alike; as many others would be taken for these."""
    at = first_difference(theirs, ours)
    if at is None:
        return
    their, our = (ids[at : at + 1].tolist()[0] for ids in (theirs, ours))
    raise DataError(f"{name}'s {kind} number {at} is {their!r}, the model's is {our!r}; {_AGREE}")


def check_cutoffs(k: int | Sequence[int], num_items: int) -> list[int]:
    """The cut-offs, ascending, each once; raises ConfigError or DataError as `evaluate` does."""
    cutoffs = list(k) if isinstance(k, Iterable) else [k]
    if not cutoffs:
        raise ConfigError("k is empty; name a cut-off, such as 20")
    checked = [check_count("k", cutoff, 1, MAX_K, ConfigError) for cutoff in cutoffs]
    return sorted(
        {check_count("k", cutoff, 1, num_items, DataError, "the number of items") for cutoff in checked}
    )
