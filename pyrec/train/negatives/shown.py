"""The articles of an impression that were not clicked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pyrec.errors import ConfigError
from pyrec.ops.sample import Triples
from pyrec.options import NEGATIVES_AKA, Count, Options
from pyrec.train.negatives.base import Negatives


@dataclass(frozen=True, repr=False)
class Shown(Negatives):
    """Candidates that were shown beside the click and not clicked, drawn anew in each epoch; of news models alone.

    Args:
        num: How many of them, without repeats; None for all.
    """

    name: ClassVar[str] = "shown"
    of_impressions: ClassVar[bool] = True
    options: ClassVar[Options] = {
        "num": Count(
            aka=NEGATIVES_AKA,
            low=1,
            high=2**16,
            optional=True,
            unset="all",
            flag="--shown-negatives",
            help="Candidates not clicked that a click is compared with.",
        )
    }

    num: int | None = None

    def others(self, triples: Triples, num_items: int) -> Tensor:
        """Refuse: see `Negatives.others`."""
        raise ConfigError("negatives = 'shown' are of impressions; interactions have none: use 'uniform'")

    def num_others(self, size: int, num_items: int) -> int:
        """Refuse: see `Negatives.num_others`."""
        raise ConfigError("negatives = 'shown' are of impressions; interactions have none: use 'uniform'")
