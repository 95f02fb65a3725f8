"""Singular vectors that are kept from one fit to the next, while a search goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyrec.nn.graph_filter import Normalised

Vectors: TypeAlias = tuple[NDArray[np.float32], float]
"""What `Normalised.right_vectors` returns."""
MOST_KEPT: Final = 2

_kept: ContextVar[dict[str, Vectors] | None] = ContextVar("kept", default=None)


@contextmanager
def keeping_vectors() -> Iterator[None]:
    """A block in which `right_vectors` of the same matrix and number are found once; the last two are kept."""
    before = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(before)


def right_vectors(normalised: Normalised, count: int) -> Vectors:
    """Return ``normalised.right_vectors(count)``, the kept ones in a block of `keeping_vectors`."""
    kept = _kept.get()
    if kept is None:
        return normalised.right_vectors(count)
    key = _key(normalised, count)
    kept[key] = kept.pop(key) if key in kept else normalised.right_vectors(count)  # the last used is last
    while len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]
    return kept[key]


def _key(normalised: Normalised, count: int) -> str:
    """A hash of the matrix N, which the scales and the weighted graph make, and of the number."""
    hashed, graph = hashlib.sha256(), normalised.graph
    tensors = [one for one in (graph.indptr, graph.indices, graph.weights) if one is not None]
    for array in (*(one.numpy() for one in tensors), normalised.user_scale, normalised.item_scale):
        hashed.update(f"{array.dtype} {array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).data)
    return f"{hashed.hexdigest()} {count}"
