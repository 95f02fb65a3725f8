"""Events: every time that a user met an item, in the order of time, repeats kept."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pyrec.data.ids import IdArray, Int32Array, as_ids
from pyrec.data.interactions import Interactions
from pyrec.data.ragged import Ragged
from pyrec.data.roles import ROLES
from pyrec.data.rows import (
    ARGUMENTS,
    FloatArray,
    Numbered,
    Rows,
    Values,
    check_array,
    check_codes,
    check_length,
    check_mask,
    check_positions,
    code_rows,
    code_table,
    require_table,
    taken,
)
from pyrec.data.sort import stable_order
from pyrec.data.times import TimeArray

OPTIONAL: Final = ("times", "values", "weights", "positions")
"""Arrays of a value an event, each of which may be None."""


@dataclass(frozen=True, eq=False, repr=False)
class Events(Numbered):
    """Who met what and when; sorted by user, then time; equal times and repeats stay in the order given.

    `pyrec.data.Interactions` merge repeats and sort by item, for graphs; events keep both, for sequences. Build them
    with `from_arrays`, `from_frame` or `pyrec.data.read_events`. The arrays are shared, not copied: do not write to
    them.

    Attributes:
        users: int32 (n,), ascending, in [0, num_users).
        items: int32 (n,), in [0, num_items).
        user_ids: (num_users,) raw ids, int64 or text; ``user_ids[users]`` are the raw users.
        item_ids: (num_items,) likewise.
        times: int64 or float64 (n,), ascending for each user; None where a user's events are in order as they stand.
        values: float32 (n,), such as ratings or seconds, or None.
        notes: what was decided or dropped on the way here, a sentence each.
        weights: float32 (n,), at least 0, or None; how much each event counts, such as the plays of a day.
        positions: int32 (n,), at least 0, or None; where in a list the item was shown, 0 at the top.
    """

    users: Int32Array
    items: Int32Array
    user_ids: IdArray
    item_ids: IdArray
    times: TimeArray | None = None
    values: FloatArray | None = None
    notes: tuple[str, ...] = ()
    weights: FloatArray | None = None
    positions: Int32Array | None = None

    @classmethod
    def from_arrays(
        cls,
        users: Values,
        items: Values,
        times: Any | None = None,
        values: npt.ArrayLike | None = None,
        user_ids: Values | None = None,
        item_ids: Values | None = None,
        time_format: str | None = None,
        weights: npt.ArrayLike | None = None,
        positions: npt.ArrayLike | None = None,
    ) -> Events:
        """Builds events from raw ids.

        Args:
            users: (n,) raw user ids: integers (whole floats too) or text.
            items: (n,) raw item ids.
            times: (n,) integers, finite floats, datetimes, dates or ISO 8601 text; None if each user's events are
                given in order.
            values: (n,) finite numbers, or None.
            user_ids: (num_users,) every user id, in the order of the internal ids; by default the ids that occur,
                ascending.
            item_ids: (num_items,) likewise.
            time_format: how times as text are written, by the directives of ``datetime.strptime``; None for ISO 8601.
            weights: (n,) finite numbers of at least 0, or None.
            positions: (n,) whole numbers of at least 0, or None.

        Raises:
            ConfigError: ``time_format`` is no such format.
            DataError: lengths differ, an id, time, value, weight or position is missing or malformed, or an id is
                not in the list given; the message says at which place.
        """
        names = {**ARGUMENTS, "rating": "values"}
        ids = (user_ids, item_ids)
        return cls.from_rows(
            code_rows(users, items, values, times, ids, time_format, names, weights, positions)
        )

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        user: Hashable = "user",
        item: Hashable = "item",
        time: Hashable | None = "time",
        value: Hashable | None = None,
        time_format: str | None = None,
        weight: Hashable | None = None,
        position: Hashable | None = None,
    ) -> Events:
        """Builds events from a table: a row an event.

        Args:
            frame: see `pyrec.data.Interactions.from_frame`.
            user: name of the column with raw user ids.
            item: name of the column with raw item ids.
            time: name of the time column; None if each user's rows are in order.
            value: name of a column of numbers, or None.
            time_format: see `from_arrays`.
            weight: name of a column of numbers of at least 0, or None.
            position: name of a column of whole numbers, 0 at the top of a list, or None.

        Raises:
            ConfigError: ``time_format`` is no format that ``strptime`` knows.
            DataError: not a table, a column is missing or there twice, or a value is missing or malformed; the message
                names the column.
        """
        names = dict(zip(ROLES, (user, item, value, time, weight, position), strict=True))
        chosen = {role: name for role, name in names.items() if name is not None}
        return cls.from_rows(code_table(require_table(frame), chosen, time_format))

    @classmethod
    def from_rows(cls, rows: Rows) -> Events:
        """Sorts rows whose internal ids are there and checked.

        Args:
            rows: in the order given; their ratings become the values.

        Raises:
            DataError: an array is of another kind or length, or a number is out of range.
        """
        users, items, user_ids, item_ids, values, times, notes, weights, positions = rows
        for name, array, kinds in (
            ("users", users, "i"),
            ("items", items, "i"),
            ("user_ids", user_ids, "iTU"),
            ("item_ids", item_ids, "iTU"),
        ):
            check_array(array, name, kinds)
        check_length(items, "items", users.size)
        optional: dict[str, Any] = {
            "values": values,
            "times": times,
            "weights": weights,
            "positions": positions,
        }
        for name, column in optional.items():
            if column is not None:
                check_array(column, name, "if")
                check_length(column, name, users.size)
        if positions is not None:
            check_positions(positions)
        check_codes(users, user_ids.size, "user")
        check_codes(items, item_ids.size, "item")
        order = _order(users, user_ids.size, times)
        return cls(
            users[order],
            items[order],
            as_ids(user_ids),
            as_ids(item_ids),
            notes=notes,
            **taken(optional, order),
        )

    def __len__(self) -> int:
        return int(self.users.size)

    def __repr__(self) -> str:
        extra = "".join(f", {name}" for name in OPTIONAL if getattr(self, name) is not None)
        return f"Events({self.num_users} users, {self.num_items} items, {len(self)} events{extra})"

    @cached_property
    def indptr(self) -> npt.NDArray[np.int64]:
        """int64 (num_users + 1,): user u's events are ``items[indptr[u]:indptr[u + 1]]``, in the order of time."""
        indptr = np.zeros(self.num_users + 1, dtype=np.int64)
        np.cumsum(np.bincount(self.users, minlength=self.num_users), out=indptr[1:])
        return indptr

    def histories(self) -> Ragged:
        """Returns each user's items in the order of time, with repeats: (num_users, num_items)."""
        return Ragged(self.indptr, self.items, self.num_items)

    def to_interactions(self) -> Interactions:
        """Returns the interactions, each user and item once: the latest event counts, with its value as the rating.

        Weights are added.
        """
        return Interactions.from_rows(self._rows(self.users, self.items, self.user_ids, self.item_ids))

    def select(self, mask: npt.ArrayLike) -> Events:
        """Returns some of the events, with the same id maps.

        Args:
            mask: bool (n,), True for what stays.

        Raises:
            DataError: not a boolean array of length n.
        """
        keep = check_mask(mask, len(self))
        kept = taken({name: getattr(self, name) for name in OPTIONAL}, keep)
        return replace(self, users=self.users[keep], items=self.items[keep], **kept)

    def with_ids(self, user_ids: IdArray, item_ids: IdArray) -> Events:
        """Returns the same events in the internal ids of other id maps.

        Args:
            user_ids: (m,) unique raw ids that include all of this one's.
            item_ids: likewise.

        Raises:
            DataError: one of this one's ids is not in the new map.
        """
        users, items = self._renumbering(user_ids, item_ids)
        return Events.from_rows(self._rows(users[self.users], items[self.items], user_ids, item_ids))

    def _rows(self, users: Int32Array, items: Int32Array, user_ids: IdArray, item_ids: IdArray) -> Rows:
        told = self.values, self.times, self.notes, self.weights, self.positions
        return Rows(users, items, user_ids, item_ids, *told)


def _order(users: Int32Array, num_users: int, times: TimeArray | None) -> npt.NDArray[Any]:
    """Returns the positions (n,) of events by user, then time; of equal ones in the order given."""
    if times is None:
        return stable_order(users, num_users)
    by_time = np.argsort(times, kind="stable")
    return np.asarray(by_time[stable_order(users[by_time], num_users)])
