"""How tensors reach the compiled kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import to_dlpack  # type: ignore[attr-defined]


def capsule(array: Tensor | None) -> Any:
    """A DLPack capsule for one call; the short way, which also takes tensors that require a gradient."""
    return None if array is None else to_dlpack(array)


def noted(flag: Tensor) -> bool:
    """Whether a kernel has set the flag (1,); False while a CUDA graph is captured, when no one can know."""
    if flag.is_cuda and torch.cuda.is_current_stream_capturing():
        return False
    return bool(flag)


def stream_of(device: torch.device) -> int:
    """The stream that torch uses on that device at the moment, as the kernels take it."""
    return 0 if device.type == "cpu" else torch.cuda.current_stream(device).cuda_stream
