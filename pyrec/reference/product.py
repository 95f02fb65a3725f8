"""Dense products of rows and a matrix in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def product(x: Tensor, weight: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Arguments and result are those of `pyrec.ops.product`; with ``dtype``, computed and returned in that type."""
    dtype = dtype or x.dtype
    return x.to(dtype) @ weight.to(dtype)
