"""A convolution along the slots of ragged segments."""

from __future__ import annotations

import torch
from torch import Tensor

from pyrec.nn.segments import Segments
from pyrec.ops.product import product
from pyrec.ops.rows import gather


def convolve(x: Tensor, segments: Segments, filters: Tensor, bias: Tensor) -> Tensor:
    """sum_t F_t x_{i + t} + b for slot i of a segment, t from -(window - 1) / 2 to (window - 1) / 2.

    F_t x is a product over the distinct rows, so that a row is multiplied once, wherever it stands. Beyond the ends of
    a segment there is nothing: zeros.

    Args:
        x: (num_rows, dim).
        segments: Rows of ``x``.
        filters: (dim, window * size): the F_t side by side; the window is odd.
        bias: (size,) b.

    Returns:
        (num_slots, size).
    """
    size, nothing = len(bias), len(x)
    window = filters.shape[1] // size
    rows = torch.cat([x, x.new_zeros(1, x.shape[1])])
    by_word = product(rows, filters).view(-1, size)  # row x * window + place in the window
    total = bias.expand(len(segments.index), -1)
    for place in range(window):
        seen = segments.beside(place - window // 2, nothing)
        total = total + gather(by_word, seen * window + place)
    return total
