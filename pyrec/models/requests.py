"""What a caller asks of a model, checked and in internal ids: how many items, which ones, and which not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec._checks import check_count
from pyrec.data import Interactions, Ragged
from pyrec.data.foreign import reading
from pyrec.data.ids import Unknown
from pyrec.errors import ConfigError, DataError
from pyrec.ops.topk import MAX_K

DEFAULT_LENGTH = 10


def list_length(num_items: int, n: int | None, N: int | None, k: int | None) -> int:
    """Return how many items a list has: the one of ``n``, ``N`` and ``k`` that is given, else 10, or all if fewer.

    Raises:
        ConfigError: If more than one is given.
        DataError: See `check_length`.
    """
    given = {name: value for name, value in (("n", n), ("N", N), ("k", k)) if value is not None}
    if len(given) > 1:
        listed = " and ".join(f"{name} = {value!r}" for name, value in given.items())
        raise ConfigError(f"{listed} are names of the same argument, the items a list; give one of them")
    name, value = next(iter(given.items()), ("n", default_length(num_items)))
    return check_length(name, value, num_items)


def default_length(num_items: int) -> int:
    """Return the length of a list that nobody asked for: 10, or all items if there are fewer."""
    return min(DEFAULT_LENGTH, num_items)


def check_length(name: str, value: object, num_items: int) -> int:
    """Return the length of a list, the argument ``name``.

    Raises:
        DataError: If it is no whole number from 1 to ``num_items`` and to `MAX_K`.
    """
    bound = "the number of items" if num_items < MAX_K else "the longest list"
    return check_count(name, value, 1, min(num_items, MAX_K), DataError, bound)


def candidates(
    train: Interactions, items: Any | None, exclude: Any | None, unknown: Unknown = "error"
) -> NDArray[np.int32] | None:
    """Return the internal ids of the only items to consider, int32 (A,), ascending; None for all.

    Args:
        train: Whose raw ids these are.
        items: Raw ids of the items to choose from; None for all.
        exclude: Raw ids of items to leave out for everybody; None, or a mapping (see `excluded_rows`), for none.
        unknown: "error", or "skip" to leave out unknown ids.

    Raises:
        UnknownIdError: If an id is unknown and ``unknown`` is "error".
        DataError: If nothing is left to choose from.
    """
    if exclude is None or isinstance(exclude, Mapping):
        if items is None:
            return None
        exclude = ()
    every = np.arange(train.num_items, dtype=np.int32)
    encoded = every if items is None else train.encode_items(items, unknown=unknown)
    chosen = encoded[encoded >= 0]
    left = np.setdiff1d(chosen, train.encode_items(exclude, "exclude", unknown))
    if len(chosen) == 0:
        why = "holds no known item" if len(encoded) else "is empty"
        raise DataError(f"items {why}, so nothing can be recommended; name one, or pass None for all")
    if len(left) == 0:
        raise DataError("exclude leaves none of the items to choose from; exclude fewer")
    return left


def excluded_rows(
    train: Interactions, users: NDArray[np.int32], exclude: Any | None, unknown: Unknown = "error"
) -> csr_array | None:
    """Return what is left out for single users: float32 ones (len(users), num_items), or None for nothing.

    Args:
        train: Whose raw ids these are.
        users: Internal ids of the users who are asked for, (B,).
        exclude: Raw item ids by raw user id. Users who are not in it lack nothing; anything but a mapping is not
            about single users.
        unknown: "error", or "skip" to leave out unknown ids.

    Raises:
        UnknownIdError: If a user or an item is unknown and ``unknown`` is "error".
    """
    if not isinstance(exclude, Mapping):
        return None
    own = _by_user(train, exclude, "exclude", unknown)
    nothing = np.empty(0, dtype=np.int32)
    return Ragged.from_lists([own.get(user, nothing) for user in users.tolist()], train.num_items).csr()


def candidate_rows(
    train: Interactions, users: NDArray[np.int32], items: Any | None, unknown: Unknown = "error"
) -> Ragged | None:
    """Return what each user chooses from, (len(users), num_items); None where nobody has a list of their own.

    Args:
        train: Whose raw ids these are.
        users: Internal ids of the users who are asked for, (B,); -1 for an unknown one, who gets no items.
        items: Raw item ids by raw user id; anything but a mapping is not about single users.
        unknown: "error", or "skip" to leave out unknown ids.

    Raises:
        UnknownIdError: If a user or an item is unknown and ``unknown`` is "error".
        DataError: If a known user who is asked for is not in ``items``.
    """
    if not isinstance(items, Mapping):
        return None
    own = _by_user(train, items, "items", unknown)
    nothing = np.empty(0, dtype=np.int32)
    rows = []
    for at, user in enumerate(users.tolist()):
        if user >= 0 and user not in own:
            raise DataError(
                f"users[{at}] = {train.user_ids[user : user + 1].tolist()[0]!r} has no entry in items; name what this "
                "user is to choose from, or leave the user out"
            )
        rows.append(own.get(user, nothing))
    return Ragged.from_lists(rows, train.num_items)


def _by_user(
    train: Interactions, items: Mapping[Any, Any], name: str, unknown: Unknown
) -> dict[int, NDArray[np.int32]]:
    """Return the known items, ascending, by internal user id, -1 for all unknown ones, from lists by raw user id."""
    codes = train.encode_users(list(items), name, unknown).tolist()
    return {
        code: _known(train.encode_items(own, f"{name}[{user!r}]", unknown))
        for code, (user, own) in zip(codes, items.items(), strict=True)
    }


def _known(items: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.unique(items[items >= 0])


def check_users(user_indices: NDArray[np.integer], num_users: int) -> NDArray[np.int32]:
    """Return internal user ids (B,) as int32.

    Raises:
        DataError: If they are no one-dimensional whole numbers from 0 to ``num_users`` - 1.
    """
    return _check_indices("user_indices", user_indices, num_users, "users")


def check_pairs(
    users: object, items: object, train: Interactions
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the internal ids of users (n,) and of as many items (n,) as int32.

    Raises:
        DataError: If either is no one-dimensional whole numbers of the training set's ids, or lengths differ.
    """
    checked = (
        _check_indices("users", users, train.num_users, "users"),
        _check_indices("items", items, train.num_items, "items"),
    )
    if len(checked[0]) != len(checked[1]):
        raise DataError(
            f"users has {len(checked[0])} entries and items {len(checked[1])}; a pair is one of each, so give as many"
        )
    return checked


def _check_indices(name: str, values: object, count: int, kind: str) -> NDArray[np.int32]:
    with reading(name):
        indices: NDArray[Any] = np.asarray(values)
    if indices.ndim != 1 or (indices.dtype.kind not in "iu" and indices.size):
        raise DataError(
            f"{name} must be one-dimensional whole numbers; got {indices.dtype} of shape {indices.shape}"
        )
    wrong = np.flatnonzero((indices < 0) | (indices >= count))
    if len(wrong):
        at = int(wrong[0])
        raise DataError(f"{name}[{at}] = {indices[at]}, but there are {count} {kind}")
    return indices.astype(np.int32, copy=False)
