"""Distinct ids of a batch, so that each is encoded once: articles, words, histories, nodes."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, noted, require_tensors, require_whole, stream_of
from pyrec.errors import ConfigError, DataError

_MOST_IDS = 2**30 - 1


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
        DataError: An id is out of range; wrong dtype or device.
        ConfigError: ``num_ids`` is no whole number, or outside 0 to 2^31 - 1.
    """
    require_tensors(ids=ids)
    require_whole(num_ids=num_ids)
    if not 0 <= num_ids < 2**31:
        raise ConfigError(f"num_ids = {num_ids}, but it is 0 to 2**31 - 1")
    if faults is not None:
        return padded_distinct("ids", ids, num_ids, faults)[:2]
    found = torch.zeros(1, dtype=torch.bool, device=ids.device)
    rows, position, count = padded_distinct("ids", ids, num_ids, found)
    if noted(found):
        padded_distinct("ids", ids.cpu(), num_ids, None)
    return rows[: int(count) if ids.numel() else 0], position


def padded_distinct(
    name: str, ids: Tensor, num_ids: int, faults: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """`distinct_ids` of ids by any name, padded on a device, and their number (), which stays there."""
    if ids.numel() > _MOST_IDS:
        raise DataError(f"{name} has {ids.numel()} entries, but at most {_MOST_IDS} are taken at a time")
    flat = ids.reshape(-1)
    rows, position = torch.empty_like(flat), torch.empty_like(flat)
    first_seen = torch.empty(num_ids, dtype=torch.int32, device=ids.device)
    sums = torch.empty(_core.distinct_sums(len(flat)), dtype=torch.int32, device=ids.device)
    count = _core.distinct_ids(
        capsule(flat),
        capsule(first_seen),
        capsule(sums),
        capsule(rows),
        capsule(position),
        capsule(faults),
        name,
        stream_of(ids.device),
    )
    return rows[:count], position.view(ids.shape), sums[-1]
