"""Distinct ids of a batch, so that each is encoded once: articles, words, histories."""

from __future__ import annotations

from torch import Tensor

from pyrec._arrays import require_tensors, require_whole
from pyrec.errors import DataError


def distinct_ids(ids: Tensor, num_ids: int, *, faults: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The distinct ids of a batch, and where each entry is found among them.

    On a CUDA device with ``faults`` nobody waits for their number: ``rows`` is as long as there are entries, with -1
    behind the last distinct id. Without ``faults`` the program waits, and ``rows`` is as long as it is on the CPU.

    Args:
        ids: Any shape, int64, within [0, num_ids).
        num_ids: Number of ids there are.
        faults: (1,) bool on a CUDA device: becomes True where an id is out of range. Not looked at on the CPU.

    Returns:
        ``rows`` (m,) int64 in order of first appearance, and ``position`` of the shape of ``ids``, int64, with
        ``rows[position] == ids``.

    Raises:
        DataError: An id is out of range; wrong dtype, device or strides.
        ConfigError: ``num_ids`` is no whole number or below 0.
    """
    require_tensors(ids=ids)
    require_whole(num_ids=num_ids)
    from pyrec.reference.distinct import distinct_ids as reference

    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < num_ids:
        raise DataError(f"ids lie outside 0 to {num_ids - 1}")
    return reference(ids)
