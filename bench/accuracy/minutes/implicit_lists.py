"""implicit's ALS."""

from __future__ import annotations

from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from lists_of import THREADS, K, Parts, keep
from numpy.typing import NDArray


def lists(parts: Parts, **params: Any) -> NDArray[np.int32]:
    """Lists of the fitted model."""
    model = AlternatingLeastSquares(num_threads=THREADS, random_state=0, **params)
    model.fit(parts.train, show_progress=False)
    ids, _ = model.recommend(parts.users, parts.train[parts.users], N=K)
    return ids


if __name__ == "__main__":
    keep(lists)
