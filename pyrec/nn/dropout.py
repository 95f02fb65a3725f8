"""Dropout by a seed and a count of its calls, so that a step can be repeated to the bit."""

from __future__ import annotations

from typing import Final

from torch import Tensor

from pyrec.ops.drop import drop

STREAMS: Final = 1024
"""Calls of a pass at most, one more is a StopIteration; see `pyrec.ops.drop.drop`."""


class Dropout:
    """Zeroes numbers at random and scales the others up, so that the mean stays.

    Each call draws from the next stream of the seed. So what a step drops depends on the order of its calls alone.

    Attributes:
        rate: Share of the numbers that become 0, at least 0 and below 1.
        seed: (1,) int64 on the device of what is dropped; None where nothing is: out of training.
    """

    def __init__(self, rate: float = 0.0, seed: Tensor | None = None, pass_: int = 0) -> None:
        """Begin a pass through a network.

        Args:
            rate: Share of the numbers that become 0.
            seed: What the numbers depend on; None out of training.
            pass_: Number of the pass with this seed; each has `STREAMS` streams of its own.
        """
        self.rate = rate
        self.seed = seed
        self._streams = iter(range(STREAMS * pass_, STREAMS * (pass_ + 1)))

    @property
    def training(self) -> bool:
        """Whether there is a seed."""
        return self.seed is not None

    def __call__(self, x: Tensor) -> Tensor:
        """``x`` with some numbers dropped; ``x`` itself out of training or where the rate is 0."""
        return self.at_rate(x, self.rate)

    def at_rate(self, x: Tensor, rate: float) -> Tensor:
        """The same with another share of the numbers."""
        if self.seed is None or rate == 0.0:
            return x
        return drop(x.contiguous(), rate, self.seed, next(self._streams))


NO_DROPOUT = Dropout()
