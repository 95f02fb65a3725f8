"""The hardest of some uniform negatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import torch
from torch import Tensor

from pyrec.graph.graph import Graph
from pyrec.ops.sample import Triples
from pyrec.options import NEGATIVES_AKA, Count, Options
from pyrec.train.batch import Batch
from pyrec.train.negatives.base import Negatives

GATHERED_BYTES: Final = {"cpu": 2**22, "cuda": 2**28}
"""Candidates' vectors that are compared with their users' at a time: few enough for a CPU's cache, and enough for a
CUDA device to have one call."""


@dataclass(frozen=True, repr=False)
class Hard(Negatives):
    """Of some uniform negatives the one with the largest inner product with the user's vector.

    A third of the epochs are enough. Source: dynamic negative sampling, Zhang et al., "Optimizing top-N collaborative
    filtering via dynamic negative item sampling", SIGIR 2013.

    Args:
        number: Of the uniform negatives, 2 or more.
    """

    name: ClassVar[str] = "hard"
    options: ClassVar[Options] = {
        "number": Count(
            aka=NEGATIVES_AKA,
            low=2,
            high=2**16,
            help="Uniform negatives to choose from.",
            flag="--negatives",
        )
    }

    number: int = 16

    @property
    def drawn(self) -> int:
        """See `Negatives.drawn`."""
        return self.number

    def others(self, triples: Triples, num_items: int) -> Tensor:
        """See `Negatives.others`."""
        return triples.negatives.flatten()

    def num_others(self, size: int, num_items: int) -> int:
        """See `Negatives.num_others`."""
        return size * self.number

    @torch.no_grad()
    def chosen(self, batch: Batch, vectors: Tensor) -> Batch:
        """See `Negatives.chosen`."""
        users, positives, negatives = batch.positions()
        candidates = negatives.view(batch.size, -1)
        products = _products(vectors, users, candidates)
        best = candidates.gather(1, products.argmax(1, keepdim=True)).squeeze(1)
        return replace(batch, position=torch.cat([users, positives, best]))

    @torch.no_grad()
    def refine(
        self, batch: Batch, vectors: Callable[[], Tensor], graph: Graph
    ) -> tuple[Batch, Tensor | None]:
        """See `Negatives.refine`: most candidates get no gradient, and their rows would be most of what goes back."""
        return self.chosen(batch, vectors()).compacted(graph)

    def bytes(self, size: int, dim: int, device: str) -> int:
        """See `Negatives.bytes`: candidates' vectors, `GATHERED_BYTES` at most, and their products."""
        candidates = 4 * size * self.number
        return min(candidates * dim, GATHERED_BYTES[device]) + candidates


def _products(vectors: Tensor, users: Tensor, candidates: Tensor) -> Tensor:
    """Each user's inner products with its candidates, (size, each), from rows (size,) and (size, each) of vectors."""
    size, each = candidates.shape
    dim = vectors.shape[1]
    part = max(1, GATHERED_BYTES[vectors.device.type] // (vectors.element_size() * each * dim))
    buffer = vectors.new_empty(min(part, size) * each, dim)
    products = vectors.new_empty(size, each)
    for first in range(0, size, part):
        rows = candidates[first : first + part].flatten()
        gathered = torch.index_select(vectors, 0, rows, out=buffer[: len(rows)]).view(-1, each, dim)
        own = vectors[users[first : first + part]]
        torch.bmm(gathered, own[:, :, None], out=products[first : first + part, :, None])
    return products
