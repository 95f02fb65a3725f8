"""One step of Adam as the last backward product takes it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class AdamStep(NamedTuple):
    """One step's arrays, (num_nodes, dim) each and changed in place, and numbers; csrc/propagate/propagate.hpp.

    ``numbers``, (2,) of the arrays' dtype, stands for ``step_size`` and ``root_scale`` where it is given: the
    kernel reads them when it runs, not when it is called.
    """

    parameters: Tensor
    first_moment: Tensor
    second_moment: Tensor
    beta1: float
    beta2: float
    step_size: float
    root_scale: float
    epsilon: float
    numbers: Tensor | None = None
