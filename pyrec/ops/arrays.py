"""How tensors are made for the compiled kernels and reach them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import to_dlpack  # type: ignore[attr-defined]

from pyrec import _core

_MAPPED_BYTES = 1 << 25
"""From here on the C library maps memory anew for each array: a page fault every 4 kB, as slow as a kernel."""


def capsule(array: Tensor | None) -> Any:
    """A DLPack capsule for one call; the short way, which also takes tensors that require a gradient."""
    return None if array is None else to_dlpack(array)


def empty_table(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """An uninitialised array to be kept, on huge pages where it is large and the system has them.

    Finding such pages can take the system longer than usual ones, so results that come and go do without.
    """
    table = torch.empty(shape, dtype=dtype, device=device)
    if table.device.type == "cpu" and table.nbytes >= _MAPPED_BYTES:
        _core.use_huge_pages(table.data_ptr(), table.nbytes)
    return table


def noted(flag: Tensor) -> bool:
    """Whether a kernel has set the flag (1,); False while a CUDA graph is captured, when no one can know."""
    if flag.is_cuda and torch.cuda.is_current_stream_capturing():
        return False
    return bool(flag)


def stream_of(device: torch.device) -> int:
    """The stream that torch uses on that device at the moment, as the kernels take it."""
    return 0 if device.type == "cpu" else torch.cuda.current_stream(device).cuda_stream
