"""Which items may be ranked for each query of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec._arrays import tensor_of
from pyrec.data import Ragged


@dataclass(frozen=True)
class Limits:
    """Items that may be ranked for Q queries.

    Attributes:
        seen: Items to leave out, ones (Q, num_items) with ascending indices; None for none.
        allowed: The only items to consider, int32 (A,), sorted; None for all.
        candidates: The only items of each query, (Q, num_items); None for all.
    """

    seen: csr_array | None = None
    allowed: torch.Tensor | None = None
    candidates: Ragged | None = None

    def rows(self, at: NDArray[np.bool_]) -> Limits:
        """Return the limits of some queries, bool (Q,)."""
        if at.all():
            return self
        seen, candidates = self.seen, self.candidates
        return Limits(
            None if seen is None else seen[at],
            self.allowed,
            None if candidates is None else candidates[at],
        )

    def renumbered(self, place: NDArray[np.int32]) -> Limits:
        """Return the same limits where item i has the number ``place[i]``, int32 (num_items,)."""
        seen, allowed, candidates = self.seen, self.allowed, self.candidates
        if seen is not None:
            seen = csr_array((seen.data, place[seen.indices], seen.indptr), shape=seen.shape)
            seen.sort_indices()
        if allowed is not None:
            allowed = tensor_of(np.sort(place[allowed.cpu().numpy()]))
        if candidates is not None:
            candidates = Ragged(candidates.indptr, place[candidates.indices], candidates.num_columns)
        return Limits(seen, allowed, candidates)
