"""Interactions as named arrays, in saved models and fingerprints.

- ``train.users``, ``train.items``: in internal ids, int32 (n,), sorted by user, then item; ``train.ratings``,
  ``train.times``, ``train.labels``, ``train.weights`` and ``train.positions`` (n,) if there were any;
- ``user_ids``, ``item_ids``: the raw id of each internal id, int64 (count,). Text ids instead as their UTF-8
  bytes end to end (``user_ids.text``, uint8) and where each starts (``user_ids.starts``, int64 (count + 1,)).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrec.data import Interactions
from pyrec.data.interactions import OPTIONAL
from pyrec.errors import DataError
from pyrec.store.arrays import State, fingerprint_of
from pyrec.store.resumable import under
from pyrec.store.texts import id_arrays, ids_of


def interaction_arrays(interactions: Interactions) -> dict[str, NDArray[Any]]:
    """Return the interactions and their ids by name."""
    arrays: dict[str, NDArray[Any]] = {"train.users": interactions.users, "train.items": interactions.items}
    for name in OPTIONAL:
        if (values := getattr(interactions, name)) is not None:
            arrays[f"train.{name}"] = values
    arrays |= id_arrays("user_ids", interactions.user_ids)
    return arrays | id_arrays("item_ids", interactions.item_ids)


def interactions_of(state: State) -> Interactions:
    """Return the interactions that `interaction_arrays` gave.

    Raises:
        DataError: If an array is missing, of another type, or does not fit the others.
    """
    user_ids, item_ids = ids_of(state, "user_ids"), ids_of(state, "item_ids")
    users = state.indices("train.users", len(user_ids))
    items = state.indices("train.items", len(item_ids))
    if len(users) != len(items):
        raise DataError(f"{state.source}: train.users has {len(users)} entries, train.items {len(items)}")
    told: dict[str, Any] = {
        name: state.array(f"train.{name}", _kind(state, name), users.shape)
        for name in OPTIONAL
        if f"train.{name}" in state
    }
    return Interactions.from_codes(users, items, user_ids, item_ids, **told)


def fingerprint(
    interactions: Interactions | None, features: Mapping[str, NDArray[Any]] | None = None
) -> dict[str, Any]:
    """Return what tells interactions from others: numbers of users, items and interactions, and a hash with their ids.

    Args:
        interactions: None has an empty fingerprint.
        features: Of users and items, part of the fingerprint, too.
    """
    if interactions is None:
        return {}
    return fingerprint_of(
        interaction_arrays(interactions) | under("features", features or {}),
        users=interactions.num_users,
        items=interactions.num_items,
        interactions=len(interactions),
    )


def _kind(state: State, name: str) -> type[np.generic]:
    """Return the dtype that an array of a value an interaction has to have."""
    if name == "times":
        return np.int64 if state.arrays["train.times"].dtype.kind == "i" else np.float64
    return np.int32 if name == "positions" else np.float32
