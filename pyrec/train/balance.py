"""Weights near given ones by which means of observed pairs are those of all pairs."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

STEPS: Final = 50
TOLERANCE: Final = 1e-12


def balanced(
    weights: Float64Array, columns: Float64Array, means: Float64Array, total: float, strength: float
) -> Float64Array:
    """Returns the weights nearest to given ones whose sums are nearly those of all pairs.

    With φ the columns, centred at their means over all pairs and scaled, and a column of ones before them, the
    weights minimise

        Σ_k (w_k log(w_k / v_k) - w_k + v_k) / total + strength/2 |Σ_k w_k φ_k / total - (1, 0, ...)|²

    Its dual is convex in as many numbers as there are columns, λ: w_k = v_k exp(φ_k · λ). Newton's steps find it.

    Source: Hainmueller, "Entropy balancing for causal effects", Political Analysis 2012; here with a penalty in place
    of the equation.

    Args:
        weights: (n,) v, above 0.
        columns: (n, m) of the observed pairs.
        means: (m,) of the columns over all pairs.
        total: Number of all pairs.
        strength: Above 0.
    """
    centred = columns - means
    scale = np.sqrt(np.einsum("k,kj->j", weights, np.square(centred)) / np.einsum("k->", weights))
    phi = np.column_stack([np.ones(len(weights)), centred / np.where(scale > 0, scale, 1.0)])
    target = np.zeros(phi.shape[1])
    target[0] = 1.0

    def at(dual: Float64Array) -> tuple[float, Float64Array]:
        with np.errstate(over="ignore"):
            moved = weights * np.exp(np.einsum("kj,j->k", phi, dual))
        value = np.einsum("k->", moved) / total - target @ dual + dual @ dual / (2 * strength)
        return float(value), moved

    dual = np.zeros(phi.shape[1])
    value, moved = at(dual)
    for _ in range(STEPS):
        gradient = np.einsum("k,kj->j", moved, phi) / total - target + dual / strength
        hessian = np.einsum("k,ki,kj->ij", moved, phi, phi) / total + np.eye(len(dual)) / strength
        step = np.linalg.solve(hessian, gradient)
        decrement = float(gradient @ step)
        if decrement < TOLERANCE:
            break
        share = 1.0
        while not (after := at(dual - share * step))[0] <= value - 1e-4 * share * decrement:
            share /= 2
            if share < TOLERANCE:  # no lower value in float64
                return moved
        dual = dual - share * step
        value, moved = after
    return moved
