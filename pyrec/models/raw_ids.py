"""Raw ids at the public edge: histories that a caller passes in, and ranked lists handed back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.models.rows import stack_rows


def encode_histories(interactions: Interactions, histories: Sequence[Any], allow_empty: bool) -> csr_array:
    """Return float32 ones (Q, num_items) from each new user's list of raw item ids.

    Raises:
        DataError: If a list is empty though ``allow_empty`` is false, or holds an unknown item.
    """
    rows = [_encode_history(interactions, at, history, allow_empty) for at, history in enumerate(histories)]
    return stack_rows(rows, interactions.num_items)


def _encode_history(
    interactions: Interactions, position: int, history: Any, allow_empty: bool
) -> NDArray[np.int32]:
    try:
        items = np.unique(interactions.encode_items(history))
    except DataError as error:
        raise DataError(f"histories[{position}]: {error}") from None
    if len(items) == 0 and not allow_empty:
        raise DataError(
            f"histories[{position}] is empty; name an item, or use the popularity model for such users"
        )
    return items


def decode(item_ids: NDArray[Any], ids: NDArray[np.int32]) -> NDArray[Any]:
    """Return the raw ids (B, k) of internal ids (B, k), where -1 becomes -1 (integers) or ``""`` (text)."""
    raw = item_ids[np.maximum(ids, 0)]
    raw[ids < 0] = "" if item_ids.dtype.kind == "U" else -1
    return raw
