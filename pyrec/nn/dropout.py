"""Dropout by a generator of its own, so that a step can be repeated to the bit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dropout:
    """Zeroes numbers at random and scales the others up, so that the mean stays.

    Attributes:
        rate: Share of the numbers that become 0, at least 0 and below 1.
        generator: What draws them; of the device of what is dropped. None where nothing is: out of training.
    """

    rate: float = 0.0
    generator: torch.Generator | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """``x`` with some numbers dropped; ``x`` itself out of training."""
        if self.generator is None or self.rate == 0.0:
            return x
        kept = torch.empty_like(x).bernoulli_(1.0 - self.rate, generator=self.generator)
        return x * kept.div_(1.0 - self.rate)


NO_DROPOUT = Dropout()
