"""Matrix products whose bits do not depend on the number of threads.

The BLAS cuts a product among threads, and computes what is left of a row or column of blocks in another way. With whole
blocks there is nothing left: rows are filled up to `ROWS`, columns to `COLUMNS`.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor
from torch.nn import functional

ROWS: Final = 64
COLUMNS: Final = 16


def product(x: Tensor, weight: Tensor) -> Tensor:
    """X W, differentiable in both; the same bits at any number of threads, gradients included.

    Args:
        x: (num_rows, dim).
        weight: (dim, width) W.

    Returns:
        (num_rows, width).
    """
    num_rows, width = len(x), weight.shape[1]
    inner = -weight.shape[0] % COLUMNS
    filled = functional.pad(x, (0, inner, 0, -num_rows % ROWS))
    by = functional.pad(weight, (0, -width % COLUMNS, 0, inner))
    return (filled @ by)[:num_rows, :width].contiguous()
