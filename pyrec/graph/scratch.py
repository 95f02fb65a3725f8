"""Buffers that an operator needs for the length of a call, kept from one call to the next.

Memory from the system comes as pages that are mapped at their first touch, which costs as much as a layer of
propagation over them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pyrec._arrays import empty_table


class Scratch:
    """A stock of buffers; any number of threads may borrow at once, each gets its own."""

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device
        self._free: dict[tuple[tuple[int, ...], torch.dtype], list[Tensor]] = {}

    @contextmanager
    def borrow(self, shape: tuple[int, ...], dtype: torch.dtype, count: int) -> Iterator[list[Tensor]]:
        """``count`` uninitialised buffers of that shape and dtype, taken back at the end of the block."""
        free = self._free.setdefault((shape, dtype), [])
        buffers = [_take(free, shape, dtype, self._device) for _ in range(count)]
        try:
            yield buffers
        finally:
            free.extend(buffers)


def _take(
    free: list[Tensor], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | None
) -> Tensor:
    try:
        return free.pop()  # one step, so that no other thread gets the same
    except IndexError:
        return empty_table(shape, dtype, device)
