"""Distinct ids of a batch, in plain Python."""

from __future__ import annotations

import torch
from torch import Tensor


def distinct_ids(ids: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ids in order of first appearance, and where each entry is found among them.

    Args:
        ids: Any shape, int64.

    Returns:
        ``rows`` (m,) and ``position`` of the shape of ``ids``, both int64, with ``rows[position] == ids``.
    """
    row_of: dict[int, int] = {}
    position = [row_of.setdefault(one, len(row_of)) for one in ids.reshape(-1).tolist()]
    return tuple(  # type: ignore[return-value]
        torch.tensor(values, dtype=torch.int64, device=ids.device).reshape(shape)
        for values, shape in ((list(row_of), (-1,)), (position, ids.shape))
    )
