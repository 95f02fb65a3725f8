"""A graph filter in NumPy and SciPy, as somebody without a library would write it: D^b (NᵀN + a V Vᵀ) D^-b x."""

from __future__ import annotations

import numpy as np
from lists_of import K, Parts, best, keep
from numpy.typing import NDArray
from scipy.sparse import diags_array
from scipy.sparse.linalg import svds

BLOCK = 1024


def lists(parts: Parts, beta: float = 0.4, vectors: int = 0, alpha: float = 0.2) -> NDArray[np.int32]:
    """Lists of the filter's scores, by blocks of users."""
    train = parts.train
    of_user, of_item = (np.maximum(train.sum(axis=axis).A1, 1).astype(np.float32) for axis in (1, 0))
    normalised = (diags_array(of_user**-0.5) @ train @ diags_array(of_item**-0.5)).tocsr()
    right = svds(normalised, k=vectors, return_singular_vectors="vh")[2] if vectors else None
    out = np.empty((parts.users.size, K), dtype=np.int32)
    for start in range(0, parts.users.size, BLOCK):
        users = parts.users[start : start + BLOCK]
        rows = train[users] @ diags_array(of_item**-beta)
        scores = (rows @ normalised.T @ normalised).toarray()
        if right is not None:
            scores += alpha * ((rows @ right.T) @ right)
        out[start : start + BLOCK] = best(scores * of_item**beta, train[users])
    return out


if __name__ == "__main__":
    keep(lists)
