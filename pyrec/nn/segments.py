"""Rows of different lengths on a device: what the kernels take as ``indptr`` and ``index``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data import Ragged
from pyrec.ops.ragged import ragged_take


@dataclass(frozen=True)
class Segments:
    """Segment s holds ``index[indptr[s] : indptr[s + 1]]``.

    Attributes:
        indptr: (num_segments + 1,) int64, from 0, never falling.
        index: (num_slots,) int64, row numbers of a table.
    """

    indptr: Tensor
    index: Tensor

    @classmethod
    def of(cls, rows: Ragged, device: torch.device) -> Segments:
        """The rows on a device."""
        return cls(tensor_of(rows.indptr).to(device), tensor_of(rows.indices).to(device, torch.int64))

    @property
    def lengths(self) -> Tensor:
        """Slots of each segment, (num_segments,) int64."""
        return self.indptr.diff()

    def take(self, rows: Tensor) -> Segments:
        """Some segments.

        Args:
            rows: (m,) int64, numbers of segments.
        """
        return Segments(*ragged_take(self.indptr, self.index, rows))

    def owners(self) -> Tensor:
        """The segment of each slot, (num_slots,) int64."""
        slots = torch.arange(len(self.index), dtype=torch.int64, device=self.index.device)
        return torch.searchsorted(self.indptr[1:].contiguous(), slots, right=True)  # waits for no device

    def beside(self, distance: int, nothing: int) -> Tensor:
        """What stands some slots further on in the same segment, (num_slots,) int64.

        Args:
            distance: How many slots further on; below 0 for before.
            nothing: The number where the segment has no such slot.
        """
        owners = self.owners()
        slots = torch.arange(len(self.index), dtype=torch.int64, device=self.index.device) + distance
        inside = (slots >= self.indptr[owners]) & (slots < self.indptr[owners + 1])
        there = self.index[slots.clamp(0, max(len(slots) - 1, 0))] if len(slots) else self.index
        return torch.where(inside, there, nothing)

    def places(self) -> Tensor:
        """The place of each slot in its segment, from 0, (num_slots,) int64."""
        slots = torch.arange(len(self.index), dtype=torch.int64, device=self.index.device)
        return slots - self.indptr[self.owners()]
