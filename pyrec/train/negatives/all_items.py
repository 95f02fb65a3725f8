"""All items as negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pyrec.ops.sample import Triples
from pyrec.train.negatives.base import Negatives


@dataclass(frozen=True, repr=False)
class AllItems(Negatives):
    """Every item: nothing is estimated, and a step goes by the batch's users times all items.

    It takes memory for the items' vectors, and for no score.
    """

    name: ClassVar[str] = "all"
    all_items: ClassVar[bool] = True

    def others(self, triples: Triples, num_items: int) -> Tensor:
        """See `Negatives.others`."""
        return torch.arange(num_items, dtype=torch.int32, device=triples.users.device)

    def num_others(self, size: int, num_items: int) -> int:
        """See `Negatives.num_others`."""
        return num_items

    def most_nodes(self, size: int, num_items: int) -> int:
        """See `Negatives.most_nodes`: the positives are among the items."""
        return size + num_items
