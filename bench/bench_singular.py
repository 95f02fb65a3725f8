"""The leading singular vectors of gowalla's normalised matrix, 256 and 512 of them, beside SciPy's Lanczos iteration.

Floor: a block of D vectors meets 2 s D^2 operations in each of its two Gram matrices and in its rotation, with s =
29,858 users: 24 GFLOP each at D = 640. Products with the matrix are 3 GFLOP and 1.3 GB a hundred vectors. SciPy's
iteration ends at rounding whatever its tolerance, so ours is asked for a residual of 1e-6, which is below its rounding.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from race import Race, row
from workloads import gowalla

from pyrec.nn.singular import leading_singular_vectors
from pyrec.nn.spectral import _normalised

COUNTS = (256, 512)


def problem(count: int) -> Any:
    return _normalised(gowalla()[0]), count


def ours(given: Any) -> Any:
    return lambda: leading_singular_vectors(*given, 1e-6)


def scipys(given: Any) -> Any:
    from scipy.sparse.linalg import svds

    matrix, count = given
    start = np.random.default_rng(1).standard_normal(min(matrix.shape)).astype(np.float32)

    def run() -> Any:
        left, values, right = svds(matrix, count, v0=start, tol=1e-6)
        return left[:, ::-1], values[::-1], right[::-1].T

    return run


def same(theirs: Any, mine: Any) -> None:
    """The same values, and what the largest half of the vectors span."""
    np.testing.assert_allclose(theirs[1], mine[1], rtol=2e-5)
    half = len(mine[1]) // 2
    cosines = np.linalg.svd(theirs[2][:, :half].T @ mine[2], compute_uv=False)
    np.testing.assert_allclose(cosines, 1, atol=1e-3)


def races(scale_max: float) -> list[Race]:  # noqa: ARG001
    return [
        Race(
            group=f"{count} singular vectors, gowalla",
            problem=partial(problem, count),
            contenders={"pyrec": ours, "SciPy svds": scipys},
            check=same,
            rounds=3,
            seconds=60.0,
            info={"work": "singular", "count": count},
        )
        for count in COUNTS
    ]


def bench_singular(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)
