"""Arrays of more bytes than the machine has: the same pages mapped again and again (Linux)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

_PROT_NONE, _PROT_READ_WRITE = 0, 3
_SHARED, _PRIVATE, _FIXED, _ANONYMOUS, _NORESERVE = 0x01, 0x02, 0x10, 0x20, 0x4000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def _map(address: int | None, size: int, protection: int, flags: int, file: int) -> int:
    found: int = _libc.mmap(address, size, protection, flags, file, 0)
    if found in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")
    return found


@contextmanager
def repeated(blocks: Sequence[tuple[np.ndarray, int]]) -> Iterator[torch.Tensor]:
    """One array of all blocks end to end, each as often as its number says.

    Args:
        blocks: Arrays of one dtype, each of a whole number of pages, with their numbers of repetitions.

    Yields:
        (sum of the lengths,), valid until the block ends, as large in memory as the blocks once each.
    """
    total = sum(block.nbytes * times for block, times in blocks)
    start = _map(None, total, _PROT_NONE, _PRIVATE | _ANONYMOUS | _NORESERVE, -1)
    try:
        at = start
        for block, times in blocks:
            file = os.memfd_create("block")
            os.write(file, block.tobytes())
            for _ in range(times):
                _map(at, block.nbytes, _PROT_READ_WRITE, _SHARED | _FIXED, file)
                at += block.nbytes
            os.close(file)
        memory = (ctypes.c_char * total).from_address(start)
        yield torch.from_numpy(np.frombuffer(memory, dtype=blocks[0][0].dtype))
    finally:
        _libc.munmap(start, total)


@contextmanager
def complete_graph(side: int, spare_items: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor, int, int]]:
    """Every one of ``side`` users with every one of ``side`` items, a multiple of 1,024, and items of nobody.

    Yields:
        indptr and indices as `pyrec.graph.Graph` takes them, the number of users and that of items.
    """
    rows = 16
    of_users = np.tile(np.arange(side, 2 * side, dtype=np.int32), rows)
    of_items = np.tile(np.arange(side, dtype=np.int32), rows)
    indptr = torch.arange(2 * side + 1 + spare_items, dtype=torch.int64).clamp(max=2 * side) * side
    with repeated([(of_users, side // rows), (of_items, side // rows)]) as indices:
        yield indptr, indices, side, side + spare_items
