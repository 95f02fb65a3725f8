"""The positives of a batch as each other's negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pyrec.ops.sample import Sampler, Triples
from pyrec.options import Options, Switch
from pyrec.train.negatives.base import Negatives


@dataclass(frozen=True, repr=False)
class InBatch(Negatives):
    """A batch's other positives, so that popular items are negatives as often as they are positives.

    Args:
        corrected: As for `Uniform`; then popular items count as negatives no more than others (Yi et al.,
            "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019).
    """

    name: ClassVar[str] = "batch"
    options: ClassVar[Options] = {
        "corrected": Switch(help="Weigh sampled negatives so that they stand for all items.")
    }

    corrected: bool = False

    def others(self, triples: Triples, num_items: int) -> Tensor:
        """See `Negatives.others`."""
        return triples.positives

    def num_others(self, size: int, num_items: int) -> int:
        """See `Negatives.num_others`."""
        return size

    def most_nodes(self, size: int, num_items: int) -> int:
        """See `Negatives.most_nodes`: the items are the positives."""
        return 2 * size

    def log_expected(self, others: Tensor, sampler: Sampler) -> Tensor | None:
        """See `Negatives.log_expected`."""
        if not self.corrected:
            return None
        counts = sampler.item_counts[others.long()]
        return (counts.float() * (others.numel() / sampler.num_samples)).log()
