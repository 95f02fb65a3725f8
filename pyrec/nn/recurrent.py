"""A gated recurrent unit over the last slots of ragged segments."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrec.nn.dense import uniform
from pyrec.nn.segments import Segments
from pyrec.ops.product import product
from pyrec.ops.rows import gather


class RaggedGRU(nn.Module):
    """h' = (1 - z) n + z h, with gates r and z.

        r = sigmoid(x W_r + a_r + h U_r + b_r),  z = sigmoid(x W_z + a_z + h U_z + b_z),
        n = tanh(x W_n + a_n + r (h U_n + b_n)).

    Segments go by length, longest first, so that a step is one product over those that are not at their end: nothing is
    padded. x W is a product over the distinct rows.

    Source: Cho et al., EMNLP 2014.

    Attributes:
        weight: (dim, 3 * size): W_r, W_z, W_n side by side.
        bias: (3 * size,) a.
        recurrent: (size, 3 * size) U.
        recurrent_bias: (3 * size,) b.
    """

    def __init__(self, dim: int, size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.size = size
        bound = size**-0.5
        self.weight = uniform((dim, 3 * size), bound, generator)
        self.bias = uniform((3 * size,), bound, generator)
        self.recurrent = uniform((size, 3 * size), bound, generator)
        self.recurrent_bias = uniform((3 * size,), bound, generator)

    def forward(self, x: Tensor, segments: Segments, last: int, start: Tensor | None = None) -> Tensor:
        """What each segment ends in, (num_segments, size).

        Args:
            x: (num_rows, dim).
            segments: Rows of ``x``; the first slot is read first.
            last: How many slots of a segment are read at most, those at its end.
            start: (num_segments, size), where they begin; None for zeros. A segment without slots stays there.
        """
        lengths = segments.lengths.clamp(max=last)
        order = torch.argsort(lengths, descending=True, stable=True)
        first = (segments.indptr[1:] - lengths)[order]
        state = x.new_zeros(len(lengths), self.size) if start is None else gather(start, order)
        living = _living(lengths)
        steps = [first[:count] + step for step, count in enumerate(living)]
        finished = []
        if steps:
            inputs = gather(product(x, self.weight) + self.bias, segments.index[torch.cat(steps)])
            for part in torch.split(inputs, living):
                finished.append(state[len(part) :])
                state = self._step(part, state[: len(part)])
        ends = torch.cat([state, *reversed(finished)])
        return gather(ends, torch.argsort(order))

    def _step(self, inputs: Tensor, state: Tensor) -> Tensor:
        gates = product(state, self.recurrent) + self.recurrent_bias
        size = self.size
        opened = torch.sigmoid(inputs[:, : 2 * size] + gates[:, : 2 * size])
        reset, kept = opened[:, :size], opened[:, size:]
        new = torch.tanh(inputs[:, 2 * size :] + reset * gates[:, 2 * size :])
        return new + kept * (state - new)


def _living(lengths: Tensor) -> list[int]:
    """How many segments have a slot at each step."""
    ended = torch.bincount(lengths).cumsum(0)
    return [len(lengths) - count for count in ended[:-1].tolist()]
