"""Dropout by counters, in NumPy and plain torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyrec.reference.sample import LOW, Words, philox

DOMAIN = 0x64726F70  # "drop"


def words(first: int, count: int, seed: int, stream: int) -> Words:
    """(count,): the random numbers, below 2^32, of elements from ``first`` on."""
    place = np.arange(first, first + count, dtype=np.uint64)
    block, word = np.divmod(place, np.uint64(4))
    constant = [np.full_like(block, value) for value in (stream, DOMAIN)]
    key = seed % 2**64
    drawn = philox([block & LOW, block >> np.uint64(32), *constant], (key & 0xFFFFFFFF, key >> 32))
    return np.stack(drawn)[word.astype(np.int64), np.arange(count)]


def drop(x: Tensor, rate: float, seed: Tensor, stream: int) -> Tensor:
    """Arguments and result are those of `pyrec.ops.drop`."""
    drawn = words(0, x.numel(), int(seed), stream)
    kept = torch.from_numpy(drawn >= rate * 2**32).reshape(x.shape).to(x.device)
    scale = torch.tensor(1 / (1 - rate), dtype=x.dtype, device=x.device)
    return torch.where(kept, x * scale, torch.zeros_like(x))
