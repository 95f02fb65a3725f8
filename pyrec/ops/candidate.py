"""Attention of candidates to the clicks of their readers, without an array of all pairs.

Source: DKN (Wang et al., WWW 2018), whose network scores a candidate beside a click. Its first layer on [c; h] is
A c + B h, so that A and B are applied once to each article, and what is left for the pairs is here.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from pyrec._arrays import optional_tensors, require_contiguous
from pyrec.errors import ConfigError
from pyrec.reference import candidate as reference


def candidate_attention(
    clicks: Tensor,
    candidates: Tensor,
    vector: Tensor,
    values: Tensor,
    indptr: Tensor,
    readers: Tensor,
    index: Tensor | None = None,
    *,
    activation: Literal["relu", "tanh"] = "relu",
) -> Tensor:
    """For each candidate, the sum of its reader's clicks, weighted by a softmax of scores that know the candidate.

    Slot i has row r = index[i] of ``clicks`` and ``values``. The score of candidate c and slot i of segment
    readers[c] is v · f(candidates_c + clicks_r). With alpha the softmax of c's scores, c gets sum_i alpha_i values_r.

    Args:
        clicks: (R, hidden) float32 or float64, contiguous.
        candidates: (C, hidden) likewise.
        vector: (hidden,) v likewise.
        values: (R, dim) likewise.
        indptr: (S + 1,) int64: segment s has the slots indptr[s] to indptr[s + 1] - 1, any number of them.
        readers: (C,) int64, the segment of each candidate, in any order.
        index: (n,) int64: the row of each slot; None: slot i has row i, and n = R.
        activation: f, ``relu`` or ``tanh``.

    Returns:
        (C, dim); zeros for a candidate whose segment has no slot. Gradients flow to ``clicks``, ``candidates``,
        ``vector`` and ``values``; what falls on one row is added in a fixed order.

    Raises:
        DataError: Wrong shape, dtype, device or strides; pointers that are none; a reader or index out of range.
        ConfigError: Another activation.
    """
    require_contiguous(clicks=clicks, candidates=candidates, vector=vector, values=values)
    require_contiguous(indptr=indptr, readers=readers)
    optional_tensors(index=index)
    if activation not in ("relu", "tanh"):
        raise ConfigError(f"activation = {activation!r} is neither 'relu' nor 'tanh'")
    attended, _ = reference.candidate_attention(
        clicks, candidates, vector, values, indptr, readers, index, activation
    )
    return attended
