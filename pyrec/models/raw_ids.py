"""Raw ids at the public edge: histories that a caller passes in, and ranked lists handed back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._arrays import tensor_of
from pyrec.data import Interactions, Ragged
from pyrec.data.ids import Unknown, is_text
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
        raise DataError(f"{name} is empty; name an item, or use the popularity model for such users")
    return items[items >= 0]


def _all_unknown(errors: Mapping[int, UnknownIdError]) -> UnknownIdError:
    """One error for what is unknown in several histories."""
    first = next(iter(errors.values()))
    distinct = dict.fromkeys(raw for error in errors.values() for raw in error.unknown.tolist())
    others = len(errors) - 1
    more = f" (and {others} more of the histories have unknown items)" if others else ""
    unknown = np.array(list(distinct), dtype=first.unknown.dtype)
    return UnknownIdError(f"{first}{more}", "item", unknown, np.array(list(errors), dtype=np.int64))


def spread(
    ids: torch.Tensor, scores: torch.Tensor, known: NDArray[np.bool_]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return lists with an empty one, ids -1 and scores -inf, wherever ``known`` (B,) is false.

    Args:
        ids: int32 (num_known, k).
        scores: float32 (num_known, k).
        known: bool (B,), num_known of them true.
    """
    if known.all():
        return ids, scores
    rows = tensor_of(np.flatnonzero(known)).to(ids.device)
    shape = len(known), ids.shape[1]
    all_ids = torch.full(shape, -1, dtype=ids.dtype, device=ids.device)
    all_scores = torch.full(shape, -torch.inf, dtype=scores.dtype, device=scores.device)
    all_ids[rows], all_scores[rows] = ids, scores
    return all_ids, all_scores


def decode(item_ids: NDArray[Any], ids: NDArray[np.int32]) -> NDArray[Any]:
    """Return the raw ids (B, k) of internal ids (B, k), where -1 becomes -1 (integers) or ``""`` (text)."""
    raw = item_ids[np.maximum(ids, 0)]
    raw[ids < 0] = "" if is_text(item_ids) else -1
    return raw
