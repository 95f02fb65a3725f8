"""Statistics of interactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrec.data.ids import Int32Array
from pyrec.data.times import TimeArray, TimeSpan, time_span

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
_QUANTILE_NAMES = ("min", "25%", "50%", "75%", "90%", "99%", "max")


@dataclass(frozen=True)
class InteractionStats:
    """Counts, density, degrees and times.

    Attributes:
        num_users: users, with or without interactions.
        num_items: items, with or without interactions.
        num_interactions: distinct (user, item) pairs.
        density: num_interactions / (num_users * num_items), 0 if either is 0.
        users_without_interactions: users of degree 0.
        items_without_interactions: items of degree 0.
        user_degrees: interactions a user at the quantiles 0, .25, .5, .75, .9, .99, 1, over all users.
        item_degrees: interactions an item likewise.
        user_degree_mean: interactions a user.
        item_degree_mean: interactions an item.
        notes: what was decided or dropped in reading, a sentence each.
        times: the first and last time, and their unit as their size tells it; None without times.
        num_positives: interactions with a label above 0; None without labels.
        num_negatives: the others; None without labels.
    """

    num_users: int
    num_items: int
    num_interactions: int
    density: float
    users_without_interactions: int
    items_without_interactions: int
    user_degrees: dict[str, float]
    item_degrees: dict[str, float]
    user_degree_mean: float
    item_degree_mean: float
    notes: tuple[str, ...] = ()
    times: TimeSpan | None = None
    num_positives: int | None = None
    num_negatives: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict that ``json.dumps`` takes."""
        return asdict(self) | {"times": None if self.times is None else self.times._asdict()}

    def __str__(self) -> str:
        labelled = {"positives": self.num_positives, "negatives": self.num_negatives}
        counts = [
            ("users", f"{self.num_users:,}"),
            ("items", f"{self.num_items:,}"),
            ("interactions", f"{self.num_interactions:,}"),
            *((name, f"{count:,}") for name, count in labelled.items() if count is not None),
            ("density", f"{self.density:.4%}"),
            ("users without interactions", f"{self.users_without_interactions:,}"),
            ("items without interactions", f"{self.items_without_interactions:,}"),
            *time_rows(self.times),
        ]
        name_width = max(len(name) for name, _ in counts)
        value_width = max(len(value) for _, value in counts)
        lines = [f"{name:<{name_width}}  {value:>{value_width}}" for name, value in counts]
        degrees = {
            "a user": {"mean": self.user_degree_mean, **self.user_degrees},
            "an item": {"mean": self.item_degree_mean, **self.item_degrees},
        }
        table = quantile_table("interactions", degrees)
        notes = ["", *(f"note: {text}" for text in self.notes)] if self.notes else []
        return "\n".join([*lines, "", *table, *notes])


def quantile_table(title: str, rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Returns the lines of a table of means and quantiles.

    Args:
        title: what the rows are about.
        rows: of each row its mean and the quantiles at `QUANTILES`.
    """
    header = [title, "mean", *_QUANTILE_NAMES]
    cells = [header, *([name, *(f"{value:,.1f}" for value in row.values())] for name, row in rows.items())]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells]


def time_rows(times: TimeSpan | None) -> list[tuple[str, str]]:
    """Returns names and values of the first and last time, and of their unit."""
    if times is None:
        return []
    unit = "not since 1970, by their size" if times.unit is None else f"{times.unit} since 1970"
    return [("first time", str(times.first)), ("last time", str(times.last)), ("unit of times", unit)]


def describe(
    users: Int32Array,
    items: Int32Array,
    num_users: int,
    num_items: int,
    times: TimeArray | None = None,
    notes: tuple[str, ...] = (),
    labels: npt.NDArray[np.float32] | None = None,
) -> InteractionStats:
    """Returns the statistics of distinct pairs.

    Args:
        users: int32 (n,) in [0, num_users).
        items: int32 (n,) in [0, num_items).
        num_users: number of users.
        num_items: number of items.
        notes: what was decided or dropped in reading.
        times: int64 or float64 (n,), or None.
        labels: float32 (n,), or None.
    """
    positives = None if labels is None else int(np.count_nonzero(labels > 0))
    user_degrees = np.bincount(users, minlength=num_users)
    item_degrees = np.bincount(items, minlength=num_items)
    cells = num_users * num_items
    return InteractionStats(
        num_users=num_users,
        num_items=num_items,
        num_interactions=int(users.size),
        density=users.size / cells if cells else 0.0,
        users_without_interactions=int(np.count_nonzero(user_degrees == 0)),
        items_without_interactions=int(np.count_nonzero(item_degrees == 0)),
        user_degrees=quantiles(user_degrees),
        item_degrees=quantiles(item_degrees),
        user_degree_mean=users.size / num_users if num_users else 0.0,
        item_degree_mean=users.size / num_items if num_items else 0.0,
        notes=notes,
        times=None if times is None else time_span(times),
        num_positives=positives,
        num_negatives=None if positives is None else int(users.size) - positives,
    )


def quantiles(degrees: npt.NDArray[np.integer[Any]]) -> dict[str, float]:
    """Returns the quantiles at `QUANTILES` by name; zeros for no numbers."""
    values = np.quantile(degrees, QUANTILES) if degrees.size else np.zeros(len(QUANTILES))
    return dict(zip(_QUANTILE_NAMES, values.tolist(), strict=True))
