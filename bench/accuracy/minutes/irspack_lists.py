"""irspack's recommenders: RP3β and iALS++."""

from __future__ import annotations

from typing import Any

import numpy as np
from irspack import IALSRecommender, RP3betaRecommender
from irspack.utils.id_mapping import retrieve_recommend_from_score_f32
from lists_of import THREADS, K, Parts, keep
from numpy.typing import NDArray

KINDS = {"rp3": RP3betaRecommender, "ials": IALSRecommender}
BLOCK = 1024


def lists(parts: Parts, model: str, **params: Any) -> NDArray[np.int32]:
    """Lists of a fitted recommender, by blocks of users."""
    fitted = KINDS[model](parts.train, n_threads=THREADS, **params).learn()
    out = np.full((parts.users.size, K), -1, dtype=np.int32)
    for start in range(0, parts.users.size, BLOCK):
        users = parts.users[start : start + BLOCK]
        scores = fitted.get_score_remove_seen(users).astype(np.float32)
        found = retrieve_recommend_from_score_f32(scores, [], K, THREADS)
        for row, pairs in enumerate(found, start):
            out[row, : len(pairs)] = [item for item, _ in pairs]
    return out


if __name__ == "__main__":
    keep(lists)
