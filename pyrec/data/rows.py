"""Rows of who, what, how much, when and where: raw columns checked, in the order given and with repeats."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pyrec.data.foreign import reading
from pyrec.data.frames import Table, frame_columns, open_table
from pyrec.data.ids import MAX_COUNT, IdArray, IdMap, Int32Array, Unknown, as_ids, check_ids, factorise
from pyrec.data.roles import ROLES
from pyrec.data.times import TimeArray, as_times
from pyrec.errors import DataError

FloatArray: TypeAlias = npt.NDArray[np.float32]
Values: TypeAlias = npt.ArrayLike | Sequence[object]

ARGUMENTS: Final[Mapping[str, str]] = {
    "user": "users",
    "item": "items",
    "rating": "ratings",
    "time": "times",
    "weight": "weights",
    "position": "positions",
}
"""What messages call the column of a role."""


class Rows(NamedTuple):
    """Numbered rows, as `pyrec.data.Interactions.from_codes` takes them.

    Attributes:
        users: int32 (n,) in [0, len(user_ids)).
        items: int32 (n,) in [0, len(item_ids)).
        user_ids: (num_users,) unique raw ids.
        item_ids: (num_items,) unique raw ids.
        ratings: float32 (n,) or None.
        times: int64 or float64 (n,) or None.
        notes: what was decided or dropped on the way here, a sentence each.
        weights: float32 (n,), at least 0, or None.
        positions: int32 (n,), at least 0, or None.
    """

    users: Int32Array
    items: Int32Array
    user_ids: IdArray
    item_ids: IdArray
    ratings: FloatArray | None = None
    times: TimeArray | None = None
    notes: tuple[str, ...] = ()
    weights: FloatArray | None = None
    positions: Int32Array | None = None


class Numbered:
    """Users and items by internal ids: their raw ids, and the way from raw ids to internal ones."""

    user_ids: IdArray
    item_ids: IdArray

    @property
    def num_users(self) -> int:
        """Number of users, with or without rows."""
        return int(self.user_ids.size)

    @property
    def num_items(self) -> int:
        """Number of items, with or without rows."""
        return int(self.item_ids.size)

    @cached_property
    def _user_map(self) -> IdMap:
        return IdMap(self.user_ids, "user")

    @cached_property
    def _item_map(self) -> IdMap:
        return IdMap(self.item_ids, "item")

    def encode_users(self, raw: Values, name: str = "users", unknown: Unknown = "error") -> Int32Array:
        """Returns the internal ids int32 (n,) of raw user ids (n,).

        Args:
            raw: (n,) raw ids.
            name: what the message calls them.
            unknown: "error", or "skip" to make unknown ids -1.

        Raises:
            ConfigError: ``unknown`` is neither of the two.
            UnknownIdError: an id is unknown; it holds all that are, and their positions.
            DataError: an id is malformed, or text where the ids are integers.
        """
        return self._user_map.encode(raw, name, unknown)

    def encode_items(self, raw: Values, name: str = "items", unknown: Unknown = "error") -> Int32Array:
        """Returns the internal ids int32 (n,) of raw item ids (n,).

        Args:
            raw: (n,) raw ids.
            name: what the message calls them.
            unknown: "error", or "skip" to make unknown ids -1.

        Raises:
            ConfigError: ``unknown`` is neither of the two.
            UnknownIdError: an id is unknown; it holds all that are, and their positions.
            DataError: an id is malformed, or text where the ids are integers.
        """
        return self._item_map.encode(raw, name, unknown)

    def _renumbering(self, user_ids: IdArray, item_ids: IdArray) -> tuple[Int32Array, Int32Array]:
        """Returns the internal ids of this one's users and items in other id maps.

        Raises:
            DataError: one of this one's ids is not in the new map.
        """
        check_array(user_ids, "user_ids", "iTU")
        check_array(item_ids, "item_ids", "iTU")
        users = IdMap(as_ids(user_ids), "user").encode(self.user_ids, "user_ids")
        items = IdMap(as_ids(item_ids), "item").encode(self.item_ids, "item_ids")
        return users, items


def code_rows(
    users: Any,
    items: Any,
    ratings: Any | None,
    times: Any | None,
    ids: tuple[Any | None, Any | None] = (None, None),
    time_format: str | None = None,
    names: Mapping[str, str] = ARGUMENTS,
    weights: Any | None = None,
    positions: Any | None = None,
) -> Rows:
    """Returns raw columns as numbers.

    Args:
        users: (n,) raw user ids.
        items: (n,) raw item ids.
        ratings: (n,) finite numbers, or None.
        times: (n,) times as `pyrec.data.times.as_times` takes them, or None.
        ids: every user id and every item id, in the order of the internal ids; None for those that occur, ascending.
        time_format: of times as text.
        names: what messages call the column of each role.
        weights: (n,) finite numbers of at least 0, or None.
        positions: (n,) whole numbers of at least 0, or None.

    Raises:
        ConfigError: ``time_format`` is no format that ``strptime`` knows.
        DataError: lengths differ, or a value is missing or malformed, or an id is not in the list given.
    """
    user_codes, all_users = number_ids(users, ids[0], "user", names["user"])
    item_codes, all_items = number_ids(items, ids[1], "item", names["item"])
    n = user_codes.size
    check_length(item_codes, names["item"], n)
    return Rows(
        user_codes,
        item_codes,
        all_users,
        all_items,
        None if ratings is None else check_numbers(ratings, n, names["rating"]),
        None if times is None else check_times(times, n, names["time"], time_format),
        weights=None if weights is None else check_weights(weights, n, names["weight"]),
        positions=None if positions is None else as_positions(positions, n, names["position"]),
    )


def code_table(table: Table, names: Mapping[str, Hashable], time_format: str | None = None) -> Rows:
    """Returns the columns of a table as numbers.

    Args:
        table: from `pyrec.data.frames.open_table`.
        names: the column of each role.
        time_format: of times as text.

    Raises:
        ConfigError: ``time_format`` is no format that ``strptime`` knows.
        DataError: a column does not exist or is there twice, or a value is missing or malformed.
    """
    columns = {**dict.fromkeys(ROLES), **frame_columns(table, names)}
    called = {role: f"column {name!r}" for role, name in names.items()}
    users, items, ratings, times, weights, positions = (columns[role] for role in ROLES)
    told = {**ARGUMENTS, **called}
    return code_rows(users, items, ratings, times, (None, None), time_format, told, weights, positions)


def require_table(frame: Any) -> Table:
    """Returns a frame's columns.

    Raises:
        DataError: it is no table.
    """
    table = open_table(frame)
    if table is None:
        raise DataError(
            f"frame is {type(frame).__name__}; a DataFrame that narwhals supports (pandas, Polars, ...), an Arrow "
            "table, a dict of columns or a structured array is needed"
        )
    return table


def number_ids(values: Values, ids: Values | None, what: str, name: str) -> tuple[Int32Array, IdArray]:
    """Returns the internal ids int32 (n,) of raw ids (n,), and the raw id (m,) of each.

    Args:
        values: (n,) raw ids.
        ids: (m,) every id, in the order of the internal ids; None for those that occur, ascending.
        what: "user" or "item".
        name: what messages call the values.

    Raises:
        DataError: an id is malformed, not in the list given, or listed more than once.
    """
    if ids is None:
        return factorise(values, name)
    known = unique_ids(ids, f"{what}_ids")
    return IdMap(known, what).encode(values, name), known


def unique_ids(ids: Values, name: str) -> IdArray:
    """Returns raw ids (m,), int64 or text, each listed once.

    Raises:
        DataError: an id is malformed, or listed more than once.
    """
    known = as_ids(check_ids(ids, name))
    unique, first, counts = np.unique(known, return_index=True, return_counts=True)
    if unique.size != known.size:
        at = int(first[counts > 1].min())
        raise DataError(
            f"{name}[{at}] = {known[at : at + 1].tolist()[0]!r} is listed more than once; list each id once"
        )
    return known


def as_list(values: Any, name: str, what: str = "one value a row") -> list[Any]:
    """Returns the elements of a list, an array or a series.

    Args:
        values: the sequence; text and mappings are none.
        name: what messages call it.
        what: what is needed, for the message.

    Raises:
        DataError: it is none, or cannot be read.
    """
    if not isinstance(values, str | bytes | Mapping | type) and hasattr(values, "__len__"):
        with reading(name):
            return list(values)
    raise DataError(f"{name} is a {type(values).__name__}, but a list is needed: {what}")


def taken(arrays: Mapping[str, npt.NDArray[Any] | None], at: npt.NDArray[Any]) -> dict[str, Any]:
    """Returns the arrays (n,) at some positions, or where a mask is true; None stays None."""
    return {name: None if array is None else array[at] for name, array in arrays.items()}


def check_mask(mask: Any, n: int) -> npt.NDArray[np.bool_]:
    """Returns a mask bool (n,).

    Raises:
        DataError: another dtype or shape.
    """
    with reading("mask"):
        keep = np.asarray(mask)
    if keep.dtype != np.bool_ or keep.shape != (n,):
        raise DataError(f"mask has dtype {keep.dtype} and shape {keep.shape}; bool ({n},) is needed")
    return keep


def check_array(values: Any, name: str, kinds: str) -> None:
    """Refuses what is no one-dimensional array of one of the kinds, or masked."""
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in kinds:
        found = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise DataError(f"{name} is {found}, but a one-dimensional array of numbers or ids is needed")
    refuse_masked(values, name)


def refuse_masked(values: Any, name: str) -> None:
    """Refuses a masked array."""
    if isinstance(values, np.ma.MaskedArray):
        raise DataError(f"{name} is a masked array; drop what is masked and pass its .data")


def check_codes(codes: npt.NDArray[Any], count: int, what: str) -> None:
    """Refuses internal ids (n,) that are not int32 within [0, count): SciPy would follow them anywhere."""
    if codes.dtype != np.int32:
        raise DataError(f"{what}s has dtype {codes.dtype}, but int32 is needed; convert it with .astype")
    if codes.size and (codes.min() < 0 or codes.max() >= count):
        at = int(((codes < 0) | (codes >= count)).argmax())
        raise DataError(f"{what}s[{at}] = {codes[at]}, but there are {count} {what}_ids")


def check_length(values: Any, name: str, n: int) -> None:
    """Refuses an array that is not (n,)."""
    if values.shape != (n,):
        raise DataError(
            f"{name} has shape {values.shape}, but ({n},) is needed; give one value an interaction"
        )


def check_finite(values: npt.NDArray[Any], name: str) -> None:
    """Refuses numbers (n,) unless all are finite."""
    bad = ~np.isfinite(values)
    if bad.any():
        at = int(bad.argmax())
        raise DataError(f"{name}[{at}] = {values[at]} is not a finite number; drop it or fill it in")


def check_numbers(numbers: Any, n: int, name: str = "ratings") -> FloatArray:
    """Returns numbers (n,) as float32; each has to be finite in it."""
    refuse_masked(numbers, name)
    kind = getattr(getattr(numbers, "dtype", None), "kind", None)
    if kind in ("M", "m", "S"):
        raise DataError(f"{name} have dtype {numbers.dtype}, but numbers are needed")
    with reading(name):
        if np.iscomplexobj(numbers):
            raise DataError(f"{name} are complex, but real numbers are needed")
        try:
            with np.errstate(over="ignore"):
                values = np.asarray(numbers, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} are not numbers: {error}") from None
    check_length(values, name, n)
    check_finite(values, name)
    return values


def check_weights(weights: Any, n: int, name: str = "weights") -> FloatArray:
    """Returns weights (n,) as float32, in which each has to be finite and at least 0."""
    values = check_numbers(weights, n, name)
    if (values < 0).any():
        at = int((values < 0).argmax())
        raise DataError(f"{name}[{at}] = {values[at]} is below 0; a weight is 0 or more")
    return values


def as_positions(positions: Any, n: int, name: str = "positions") -> Int32Array:
    """Returns positions (n,) as int32; each has to be a whole number of at least 0."""
    refuse_masked(positions, name)
    with reading(name):
        values = np.asarray(positions)
    if values.dtype.kind not in "iuf":
        raise DataError(f"{name} have dtype {values.dtype}, but whole numbers are needed, 0 at the top")
    check_length(values, name, n)
    _refuse_positions(values, name, values < 0)
    _refuse_positions(values, name, ~(values <= MAX_COUNT) | (values != np.floor(values)))
    return values.astype(np.int32)


def check_positions(positions: npt.NDArray[Any]) -> None:
    """Refuses positions (n,) that are not int32 of at least 0."""
    if positions.dtype != np.int32:
        raise DataError(
            f"positions has dtype {positions.dtype}, but int32 is needed; convert it with .astype"
        )
    _refuse_positions(positions, "positions", positions < 0)


def _refuse_positions(values: npt.NDArray[Any], name: str, bad: npt.NDArray[np.bool_]) -> None:
    if bad.any():
        at = int(bad.argmax())
        raise DataError(
            f"{name}[{at}] = {values[at]} is no position: a whole number from 0, at the top, to {MAX_COUNT}"
        )


def check_times(times: Any, n: int, name: str, time_format: str | None) -> TimeArray:
    """Returns times (n,) as numbers that can be compared."""
    values = as_times(times, name, time_format)
    check_length(values, name, n)
    return values
