"""Raw ids at the public edge: histories that a caller passes in, and ranked lists handed back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrec.data import Interactions, Ragged
from pyrec.data.ids import Unknown, check_ids, is_text
from pyrec.errors import DataError, UnknownIdError


def encode_histories(
    interactions: Interactions, histories: Sequence[Any], allow_empty: bool, unknown: Unknown
) -> Ragged:
    """Return (Q, num_items) from each new user's list of raw item ids, in the order given and with its repeats.

    Raises:
        UnknownIdError: If an item is unknown and ``unknown`` is "error".
        DataError: If a list is empty though ``allow_empty`` is false.
    """
    rows, errors = [], {}
    for at, history in enumerate(histories):
        try:
            rows.append(_encode_history(interactions, at, history, allow_empty, unknown))
        except UnknownIdError as error:
            errors[at] = error
    if errors:
        raise _all_unknown(errors)
    return Ragged.from_lists(rows, interactions.num_items)


def _encode_history(
    interactions: Interactions, position: int, history: Any, allow_empty: bool, unknown: Unknown
) -> NDArray[np.int32]:
    name = f"histories[{position}]"
    items = interactions.encode_items(history, name, unknown)
    if len(items) == 0 and not allow_empty:
        raise DataError(f"{name} is empty; name an item, or use fallback='popularity' for such users")
    return items[items >= 0]


def _all_unknown(errors: Mapping[int, UnknownIdError]) -> UnknownIdError:
    """One error for what is unknown in several histories."""
    first = next(iter(errors.values()))
    distinct = dict.fromkeys(raw for error in errors.values() for raw in error.unknown.tolist())
    others = len(errors) - 1
    more = f" (and {others} more of the histories have unknown items)" if others else ""
    unknown = np.array(list(distinct), dtype=first.unknown.dtype)
    return UnknownIdError(f"{first}{more}", "item", unknown, np.array(list(errors), dtype=np.int64))


def given(values: Any, codes: NDArray[np.int32], ids: NDArray[Any]) -> NDArray[Any]:
    """Return raw ids (B,) that a caller gave, whose internal ids are ``codes`` (B,), -1 for an unknown one."""
    known = codes >= 0
    return ids[codes] if known.all() else check_ids(values, "ids")


def decode(item_ids: NDArray[Any], ids: NDArray[np.int32]) -> NDArray[Any]:
    """Return the raw ids (B, k) of internal ids (B, k), where -1 becomes -1 (integers) or ``""`` (text)."""
    raw = item_ids[np.maximum(ids, 0)]
    raw[ids < 0] = "" if is_text(item_ids) else -1
    return raw
