"""Real ratings completed to a full matrix, of which a biased part is observed: truth and propensities are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pyrec._checks import check_count, check_real, check_share
from pyrec.data.biased import Biased, KnownPropensities, split_pairs, uniform_pairs
from pyrec.data.interactions import Interactions, require_interactions
from pyrec.data.truth import POSITIVE, RATINGS, Codes, MatrixTruth
from pyrec.errors import ConfigError, DataError

SHARES: Final = (0.526, 0.242, 0.144, 0.062, 0.026)
"""Of the ratings 1 to 5 among all pairs, as a survey at random had them (Marlin and Zemel, RecSys 2009)."""

_MOST: Final = 2**31 - 1
_MAX_CELLS: Final = 10**8


def semi_synthetic(
    interactions: Interactions,
    alpha: float = 0.25,
    density: float = 0.05,
    shares: Sequence[float] = SHARES,
    num_uniform: int = 5_000,
    dim: int = 8,
    reg: float = 0.1,
    seed: int = 0,
    draw: int = 0,
) -> Biased:
    """Completes real ratings by a factorisation, and observes some of all pairs with known propensities.

    1. Ratings are fitted by ``mean + b_u + b_i + p_u . q_i``, by alternating least squares.
    2. The fitted values of all pairs are put in order. The lowest share of them gets rating 1, the next 2, and so on.
    3. A pair of rating r is observed with probability ``p alpha^max(0, 4 - r)``, independently of the others. p is such
       that ``density`` of all pairs are expected.

    Source: Schnabel et al., Recommendations as treatments, ICML 2016, section 6.2.

    Args:
        interactions: with ratings.
        alpha: how much rarer each rating below 4 is observed than the next, above 0; 1 for none of this bias.
        density: share of all pairs that is expected to be observed, above 0 and below 1.
        shares: of the ratings 1 to 5 among all pairs, at least 0; they sum to 1.
        num_uniform: pairs shown at random, up to the number of all pairs.
        dim: of the factorisation, 1 or more.
        reg: L2 penalty of a row's vector, for each of its ratings; above 0.
        seed: of the factorisation's start, and with ``draw`` of what is observed; 0 to 2**31 - 1.
        draw: another number observes other pairs of the same truth; 0 to 2**31 - 1.

    Returns:
        A log with ratings and labels, 1 for 4 or 5; pairs shown at random; truth and propensities. Ids are those given.

    Raises:
        ConfigError: an option is out of range, or ``density`` is more than these propensities can reach.
        DataError: no ratings, or more than 10**8 pairs.
    """
    known = require_interactions(interactions, "interactions")
    if known.ratings is None or len(known) == 0:
        raise DataError("interactions have no ratings to be completed; read a file with a rating column")
    pairs = known.num_users * known.num_items
    if pairs > _MAX_CELLS:
        raise DataError(
            f"{known.num_users:,} users x {known.num_items:,} items are more than {_MAX_CELLS:,} pairs; select fewer"
        )
    alpha = check_real("alpha", alpha, ConfigError, positive=True)
    if alpha > 1:
        raise ConfigError(f"alpha = {alpha} must be at most 1")
    density = check_share("density", density, "all pairs", ConfigError, positive=True)
    ends = _check_shares(shares)
    num_uniform = check_count("num_uniform", num_uniform, 0, pairs, ConfigError, "the number of all pairs")
    dim = check_count("dim", dim, 1, 1024, ConfigError)
    reg = check_real("reg", reg, ConfigError, positive=True)
    seed, draw = (
        check_count(name, value, 0, _MOST, ConfigError) for name, value in (("seed", seed), ("draw", draw))
    )
    truth = MatrixTruth(_by_order(complete(known, dim, reg, seed), ends))
    by_rating = alpha ** np.maximum(0.0, POSITIVE - np.arange(1.0, RATINGS + 1))
    factors = by_rating[truth.matrix.astype(np.intp) - 1]
    scale = density / factors.mean()
    if scale > 1:
        raise ConfigError(
            f"density = {density} is beyond {factors.mean():.3g}, what is observed if every rating of 4 or 5 is; lower "
            "it, or raise alpha"
        )
    chances = scale * factors
    observed = np.random.default_rng([seed, 1, draw]).random(chances.shape) < chances
    users, items = split_pairs(np.flatnonzero(observed), known.num_items)
    ratings = truth.ratings(users, items)
    ids = known.user_ids, known.item_ids

    def by_pair(users: Codes, items: Codes) -> npt.NDArray[np.float64]:
        return np.asarray(scale * by_rating[truth.matrix[users, items].astype(np.intp) - 1])

    return Biased(
        Interactions.from_codes(
            users, items, *ids, ratings=ratings, labels=(ratings >= POSITIVE).astype(np.float32)
        ),
        uniform_pairs(truth, num_uniform, ids, [seed, 2, draw]),
        truth,
        KnownPropensities(by_pair(users, items).astype(np.float32), None, by_pair),
    )


def complete(
    interactions: Interactions, dim: int, reg: float, seed: int, sweeps: int = 10
) -> npt.NDArray[np.float32]:
    """Returns fitted ratings of all pairs, float32 (num_users, num_items).

    Each sweep solves every user's ``(p_u, b_u)`` and then every item's ``(q_i, b_i)`` by least squares, with
    ``reg`` times the number of the row's ratings as penalty (Zhou et al., AAIM 2008).

    Args:
        interactions: with ratings.
        dim: of the vectors.
        reg: above 0.
        seed: of the items' start.
        sweeps: over users and items.
    """
    rng = np.random.default_rng([seed, 0])
    matrix = interactions.to_csr()
    matrix.data = np.asarray(interactions.ratings, dtype=np.float64)
    matrix.data -= (mean := matrix.data.mean())
    by_item = matrix.T.tocsr()
    users, items = np.zeros((interactions.num_users, dim + 1)), np.zeros((interactions.num_items, dim + 1))
    items[:, :dim] = 0.1 * rng.standard_normal((interactions.num_items, dim))
    for _ in range(sweeps):
        _solve(users, items, matrix, reg)
        _solve(items, users, by_item, reg)
    fitted = users[:, :dim] @ items[:, :dim].T + users[:, dim:] + items[:, dim] + mean
    return np.asarray(fitted, dtype=np.float32)


def _solve(
    ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64], matrix: csr_array, reg: float
) -> None:
    """Sets each row (v, b) of ``ours`` to what fits its ratings best, given the rows (w, c): v . w + b + c."""
    dim = theirs.shape[1] - 1
    for row in range(len(ours)):
        at = slice(matrix.indptr[row], matrix.indptr[row + 1])
        known = theirs[matrix.indices[at]]
        if not len(known):
            ours[row] = 0
            continue
        design = np.concatenate([known[:, :dim], np.ones((len(known), 1))], axis=1)
        gram = design.T @ design + reg * len(known) * np.eye(dim + 1)
        ours[row] = np.linalg.solve(gram, design.T @ (matrix.data[at] - known[:, dim]))


def _check_shares(shares: Sequence[float]) -> npt.NDArray[np.float64]:
    """Returns where the shares of the ratings end, float64 (5,); the last is 1."""
    values = [
        check_real(f"shares[{at}]", value, ConfigError, positive=False) for at, value in enumerate(shares)
    ]
    if len(values) != RATINGS or abs(sum(values) - 1) > 1e-6:
        raise ConfigError(
            f"shares = {list(shares)} must be {RATINGS} numbers that sum to 1, of the ratings 1 to 5"
        )
    return np.cumsum(values)


def _by_order(fitted: npt.NDArray[np.float32], ends: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Returns the ratings 1 to 5 that fitted values get by their place among all, float32, of the same shape."""
    cells = np.rint(ends * fitted.size).astype(np.int64)
    ratings = np.empty(fitted.size, dtype=np.float32)
    order = np.argsort(fitted.ravel(), kind="stable")
    ratings[order] = np.repeat(np.arange(1, RATINGS + 1, dtype=np.float32), np.diff(cells, prepend=0))
    return ratings.reshape(fitted.shape)
