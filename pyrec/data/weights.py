"""Counts as weights: how often something was played or bought, made into how much it counts in a model.

Counts have a long tail: a few of some thousand times the median would be all that a model sees. A transform makes
them even; all but `NONE` divide by the mean then, so that a penalty means what it means without weights.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from pyrec.data.interactions import Interactions, require_interactions
from pyrec.errors import ConfigError, DataError

NONE: Final = "none"
DEFAULT: Final = "log1p"
KINDS: Final = f"{DEFAULT}, bm25, cap:N with a number N above 0, or {NONE}"

LEAST_SHARE: Final = 0.1
"""Of the interactions, that weights which are even enough count as."""

BM25_K1: Final = 1.2
BM25_B: Final = 0.75

Float64Array = npt.NDArray[np.float64]


def transform_weights(interactions: Interactions, how: str = DEFAULT) -> Interactions:
    """Returns the same interactions with weights that are a function of those that they have.

    - ``log1p``: ``log(1 + w)``.
    - ``bm25``: Okapi BM25 with the item as the document, its users as the words and ``w`` as how often one occurs:
      ``idf_u w (k1 + 1) / (w + k1 (1 - b + b L_i / mean L))`` with ``k1 = 1.2``, ``b = .75``, ``L_i`` the sum of the
      item's weights, the mean over the items that have some, and ``idf_u = log(1 + (M - n_u + .5) / (n_u + .5))`` for
      M items of which the user has ``n_u``. It grows to a bound, and counts users and items of many interactions less.
    - ``cap:N``: ``min(w, N)``.
    - ``none``: ``w``.

    All but the last are divided by their mean over the interactions of a weight above 0, so one of these counts 1 on
    average. A note says what was done.

    Source: Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond", FnTIR 2009; here with the
    1 in the logarithm, without which users of more than half of the items would count below 0.

    Args:
        interactions: with weights.
        how: one of the above.

    Raises:
        ConfigError: ``how`` is none of the above.
        DataError: there are no weights, or all are 0.
    """
    require_interactions(interactions, "interactions")
    cap = check_transform(how)
    weights = interactions.weights
    if weights is None:
        raise DataError(
            f"weights is {how!r}, but the interactions have no weights; choose their column: "
            "columns={'weight': ...}, from_frame(weight=...), or --columns weight=..."
        )
    if not weights.any():
        raise DataError(f"the weights of all {len(interactions):,} interactions are 0; one has to be above 0")
    origin = interactions.origin
    if origin is not None:
        is_raw = origin.get("weights") in (None, NONE)
        interactions = replace(interactions, origin={**origin, "weights": how} if is_raw else None)
    told = f"the weights are {weights.min():,g} to {weights.max():,g}"
    if how == NONE:
        notes = [f"{told}, as they are", *filter(None, [uneven(weights)])]
        return replace(interactions, notes=(*interactions.notes, *notes))
    raw = weights.astype(np.float64)
    made = (
        _bm25(interactions, raw)
        if how == "bm25"
        else np.log1p(raw)
        if how == "log1p"
        else np.minimum(raw, cap)
    )
    final = (made / made[raw > 0].mean()).astype(np.float32)
    note = f"{told}; by {how}, divided by the mean, they count {final.min():.3g} to {final.max():.3g}"
    return replace(interactions, weights=final, notes=(*interactions.notes, note))


def uneven(weights: npt.NDArray[np.float32]) -> str | None:
    """Returns what to tell of weights (n,) of which a few are all that a model sees; None of others.

    Weights count as ``(Σ w)² / Σ w²`` equal ones do: Kish's effective sample size (Kish, "Survey sampling", 1965).
    """
    some = weights[weights > 0].astype(np.float64)
    size = some.sum() ** 2 / np.square(some).sum()
    if size >= LEAST_SHARE * some.size:
        return None
    return (
        f"the weights, up to {some.max():,g}, are so uneven that {some.size:,} interactions count as {size:,.0f} equal "
        "ones do; pyrec.data.transform_weights(interactions, 'log1p') makes them even"
    )


def check_transform(how: object) -> float:
    """Returns the largest weight that a transform leaves, infinity where it has no bound of its own.

    Raises:
        ConfigError: it is no transform.
    """
    if how in (NONE, "log1p", "bm25"):
        return math.inf
    kind, colon, number = how.partition(":") if isinstance(how, str) else ("", "", "")
    try:
        cap = float(number) if (kind, colon) == ("cap", ":") else 0.0
    except ValueError:
        cap = 0.0
    if not (math.isfinite(cap) and cap > 0):
        raise ConfigError(f"weights is {how!r}; it is one of {KINDS}")
    return cap


def _bm25(interactions: Interactions, weights: Float64Array) -> Float64Array:
    users, items, num_items = interactions.users, interactions.items, interactions.num_items
    of_user = np.bincount(users, weights > 0, minlength=interactions.num_users)
    length = np.bincount(items, weights, minlength=num_items)
    share = length / length[length > 0].mean()
    idf = np.log1p((num_items - of_user + 0.5) / (of_user + 0.5))
    saturated = weights * (BM25_K1 + 1) / (weights + BM25_K1 * (1 - BM25_B + BM25_B * share[items]))
    return np.asarray(idf[users] * saturated)
