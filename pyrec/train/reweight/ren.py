"""Weights that are the agreement of each sample with the uniform set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from pyrec.train.reweight.base import Known, Weighing


@dataclass(frozen=True, repr=False)
class Ren(Weighing):
    """A sample counts as far as a step on it alone lowers the loss on the uniform set, and not at all if it raises it.

    The weight is max(0, -dL/dw) where all weights are 0; it has no parameters, and is of this batch alone. Where no
    pair of a batch lowers the loss, all count the same.

    Source: Ren et al., "Learning to reweight examples for robust deep learning", ICML 2018, algorithm 1.
    """

    name: ClassVar[str] = "ren"
    inner: str = "sgd"

    def make(self, known: Known, generator: torch.Generator) -> None:
        """See `Weighing.make`."""
