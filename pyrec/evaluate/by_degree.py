"""Users (or items) in groups of about equal size by how many interactions they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyrec.evaluate.significance import Values, mean_and_half

ACTIVITY_BINS = 8


@dataclass(frozen=True)
class ActivityGroups:
    """The mean of a value in each group, from few interactions to many.

    Attributes:
        labels: The interactions of a group's members: ``3`` or ``4 to 9``.
        sizes: Members of each, int64 (G,).
        means: Of the values, float64 (G,).
        halves: Half the width of each mean's 95 % confidence interval, float64 (G,); NaN for one member.
    """

    labels: list[str]
    sizes: NDArray[np.int64]
    means: Values
    halves: Values


def by_activity(degrees: NDArray[np.integer], values: Values, bins: int = ACTIVITY_BINS) -> ActivityGroups:
    """Return the means of ``values`` (U,) by groups of ``degrees`` (U,); see `activity_groups`."""
    groups = activity_groups(degrees, bins)
    means, halves = zip(*(mean_and_half(values[group]) for group in groups), strict=True)
    return ActivityGroups(
        [range_label(degrees[group]) for group in groups],
        np.array([len(group) for group in groups], dtype=np.int64),
        np.array(means),
        np.array(halves),
    )


def activity_groups(degrees: NDArray[np.integer], bins: int = ACTIVITY_BINS) -> list[NDArray[np.intp]]:
    """Users in groups by degree, (U_g,) positions each: quantiles, equal degrees always together."""
    edges = np.unique(np.quantile(degrees, np.arange(1, bins) / bins, method="lower"))
    group = np.searchsorted(edges, degrees, side="left")
    return [np.flatnonzero(group == at) for at in np.unique(group)]


def range_label(degrees: NDArray[np.integer]) -> str:
    """Return the range of ``degrees`` (n,) in words: ``7``, or ``8 to 1,200``."""
    low, high = int(degrees.min()), int(degrees.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
