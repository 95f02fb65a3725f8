"""Rows of ragged arrays on tensors: what a batch takes of histories, candidates and tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrec._arrays import require_tensors
from pyrec.errors import DataError


def ragged_take(indptr: Tensor, indices: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Some rows of a ragged array, one behind the other.

    Args:
        indptr: (num_rows + 1,) int64: row q is ``indices[indptr[q]:indptr[q + 1]]``.
        indices: (n,) of any dtype.
        rows: (m,) int64, in any order, repeats allowed; -1 for an empty row.

    Returns:
        ``indptr`` (m + 1,) int64 of the rows taken, and their entries (k,) of the dtype of ``indices``.

    Raises:
        DataError: Wrong dtype, shape or device; a row is out of range, or its row pointers are. On a CUDA device, where
            looking would mean to wait, numbers out of range are for the device to find.
    """
    require_tensors(indptr=indptr, indices=indices, rows=rows)
    for name, array in (("indptr", indptr), ("rows", rows), ("indices", indices)):
        if array.ndim != 1 or (name != "indices" and array.dtype != torch.int64):
            raise DataError(f"{name} is {array.dtype} {tuple(array.shape)}, but a vector of int64 is needed")
        if array.device != rows.device:
            raise DataError(f"{name} is on {array.device}, but rows is on {rows.device}")
    num_rows = max(0, len(indptr) - 1)
    if rows.device.type == "cpu":
        _check_rows(rows, num_rows)
    if num_rows == 0:
        return indptr.new_zeros(len(rows) + 1), indices[:0]
    there = rows.clamp_min(0)
    starts, ends = indptr[there], indptr[there + 1]
    if rows.device.type == "cpu":
        _check_pointers(starts, ends, rows, len(indices))
    lengths = torch.where(rows < 0, 0, ends - starts)
    taken = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    shift = torch.repeat_interleave(starts - taken[:-1], lengths)
    return taken, indices[torch.arange(len(shift), dtype=torch.int64, device=shift.device) + shift]


def _check_rows(rows: Tensor, num_rows: int) -> None:
    outside = (rows < -1) | (rows >= num_rows)
    if outside.any():
        at = int(outside.int().argmax())
        raise DataError(f"rows[{at}] = {int(rows[at])}, but there are {num_rows} rows; -1 stands for none")


def _check_pointers(starts: Tensor, ends: Tensor, rows: Tensor, num_indices: int) -> None:
    wrong = (rows >= 0) & ((starts < 0) | (ends < starts) | (ends > num_indices))
    if wrong.any():
        at = int(wrong.int().argmax())
        raise DataError(
            f"row {int(rows[at])} is from {int(starts[at])} to {int(ends[at])} of {num_indices} indices; row pointers "
            "start at 0, never fall and end at the number of indices"
        )
