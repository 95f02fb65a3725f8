"""Impressions: what was shown to whom, and what of it was clicked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrec.data.events import Events
from pyrec.data.ids import IdArray, IdMap, Int32Array, as_ids, factorise, first_difference
from pyrec.data.ragged import Positions, Ragged, row_numbers
from pyrec.data.rows import (
    Numbered,
    Rows,
    Values,
    as_list,
    check_array,
    check_length,
    check_mask,
    check_times,
    unique_ids,
)
from pyrec.data.times import TimeArray
from pyrec.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class Impressions(Numbered):
    """Lists of items that were shown, each with its user, its time and the clicks.

    Impressions stay in the order given. Those of one class, with all candidates clicked or none, are kept and counted
    (`num_one_class`); a metric by impression leaves them out. The arrays are shared, not copied: do not write to them.

    Attributes:
        users: int32 (n,) in [0, num_users), or -1 where nobody knows who it was.
        candidates: the items shown, (n, num_items), in the order shown.
        user_ids: (num_users,) raw ids, int64 or text.
        item_ids: (num_items,) likewise.
        clicks: bool, one for each of ``candidates.indices``; None where nobody knows, as in a test file.
        times: int64 or float64 (n,) or None; in the unit given (int64 nanoseconds for datetimes).
        histories: the items that each user had clicked before, (n, num_items), in that order; or None. With
            ``history_rows`` it has a row for each distinct history, (m, num_items).
        history_rows: int32 (n,), the row of ``histories`` of each impression; None where row k is impression k's.

    Raises:
        DataError: the arrays contradict each other, or a number is out of range.
    """

    users: Int32Array
    candidates: Ragged
    user_ids: IdArray
    item_ids: IdArray
    clicks: npt.NDArray[np.bool_] | None = None
    times: TimeArray | None = None
    histories: Ragged | None = None
    history_rows: Int32Array | None = None

    def __post_init__(self) -> None:
        for name in ("user_ids", "item_ids"):
            check_array(getattr(self, name), name, "iTU")
            object.__setattr__(self, name, as_ids(getattr(self, name)))
        check_array(self.users, "users", "i")
        outside = (self.users < -1) | (self.users >= self.num_users)
        if self.users.dtype != np.int32 or outside.any():
            at = int(outside.argmax())
            raise DataError(
                f"users[{at}] = {self.users[at : at + 1]} ({self.users.dtype}); int32 numbers below "
                f"{self.num_users} are needed, or -1 for an unknown user"
            )
        self._check_ragged("candidates", self.candidates)
        _check_rows("candidates", len(self.candidates), self.users.size)
        if self.histories is not None:
            self._check_ragged("histories", self.histories)
        self._check_history_rows()
        self._check_clicks()
        if self.times is not None:
            check_array(self.times, "times", "if")
            _check_rows("times", self.times.size, self.users.size)

    def _check_ragged(self, name: str, rows: object) -> None:
        if not isinstance(rows, Ragged):
            raise DataError(
                f"{name} is a {type(rows).__name__}, but Ragged is needed; see Impressions.from_lists"
            )
        if rows.num_columns != self.num_items:
            raise DataError(
                f"{name} counts {rows.num_columns} items, but there are {self.num_items} item_ids"
            )

    def _check_history_rows(self) -> None:
        rows, histories = self.history_rows, self.histories
        if rows is None:
            if histories is not None:
                _check_rows("histories", len(histories), self.users.size)
            return
        if histories is None:
            raise DataError("history_rows are given, but there are no histories; give both or neither")
        check_array(rows, "history_rows", "i")
        _check_rows("history_rows", rows.size, self.users.size)
        outside = (rows < 0) | (rows >= len(histories))
        if rows.dtype != np.int32 or outside.any():
            at = int(outside.argmax())
            raise DataError(
                f"history_rows[{at}] = {rows[at : at + 1]} ({rows.dtype}); int32 numbers from 0 and below "
                f"{len(histories)} are needed: there are so many histories"
            )

    def _check_clicks(self) -> None:
        clicks, n = self.clicks, self.candidates.indices.size
        if clicks is not None and (
            not isinstance(clicks, np.ndarray) or clicks.dtype != np.bool_ or clicks.shape != (n,)
        ):
            found = (
                f"{clicks.dtype} {clicks.shape}" if isinstance(clicks, np.ndarray) else type(clicks).__name__
            )
            raise DataError(f"clicks is {found}, but bool ({n},) is needed: one for each candidate")

    @classmethod
    def from_lists(
        cls,
        users: Sequence[Any],
        candidates: Sequence[Any],
        clicks: Sequence[Any] | None = None,
        times: Any | None = None,
        histories: Sequence[Any] | None = None,
        user_ids: Values | None = None,
        item_ids: Values | None = None,
        time_format: str | None = None,
    ) -> Impressions:
        """Builds impressions from raw ids.

        Args:
            users: (n,) raw user ids; None for an unknown user.
            candidates: for each impression the raw ids of the items shown.
            clicks: for each impression a truth value, or 0 or 1, for each candidate; None where nobody knows.
            times: (n,) times, as `pyrec.data.Events.from_arrays` takes them, or None.
            histories: for each impression the raw ids of what the user had clicked before, in that order; or None.
            user_ids: every user id, in the order of the internal ids; by default the ids that occur, ascending.
            item_ids: likewise; by default those of candidates and histories.
            time_format: how times as text are written.

        Raises:
            ConfigError: ``time_format`` is no format that ``strptime`` knows.
            DataError: lengths differ, an id, click or time is missing or malformed, or an id is not in the list given;
                the message names the impression.
        """
        users = as_list(users, "users", "a raw id for each impression")
        n = len(users)
        given = {"candidates": candidates, **({} if histories is None else {"histories": histories})}
        lists = {
            name: as_list(rows, name, "a list of items for each impression") for name, rows in given.items()
        }
        for name, rows in lists.items():
            _check_rows(name, len(rows), n)
        codes, known_items = _number_lists(lists, item_ids)
        numbered, known_users = _number_users(users, user_ids)
        return cls(
            numbered,
            codes["candidates"],
            known_users,
            known_items,
            None if clicks is None else _clicks(clicks, codes["candidates"]),
            None if times is None else check_times(times, n, "times", time_format),
            codes.get("histories"),
        )

    def __len__(self) -> int:
        return int(self.users.size)

    def __repr__(self) -> str:
        extra = "".join(
            f", {name}" for name in ("clicks", "times", "histories") if getattr(self, name) is not None
        )
        return (
            f"Impressions({len(self)} of {self.num_users} users, {self.candidates.indices.size} candidates of "
            f"{self.num_items} items{extra})"
        )

    @property
    def is_one_class(self) -> npt.NDArray[np.bool_]:
        """Whether all candidates of an impression were clicked, or none: bool (n,).

        Raises:
            DataError: there are no clicks.
        """
        if self.clicks is None:
            raise DataError("impressions have no clicks, so nobody knows their classes; give clicks")
        total = np.append(0, np.cumsum(self.clicks, dtype=np.int64))
        clicked = np.diff(total[self.candidates.indptr])
        return np.asarray((clicked == 0) | (clicked == self.candidates.lengths))

    @property
    def num_one_class(self) -> int:
        """How many impressions have all candidates clicked, or none."""
        return int(np.count_nonzero(self.is_one_class))

    def time_order(self) -> npt.NDArray[np.int64]:
        """Returns the numbers of the impressions (n,) by time, those of one time as given; without times, all so."""
        if self.times is None:
            return np.arange(len(self))
        return np.argsort(self.times, kind="stable")

    def select(self, mask: npt.ArrayLike) -> Impressions:
        """Returns some of the impressions, with the same id maps.

        Args:
            mask: bool (n,), True for what stays.

        Raises:
            DataError: not a boolean array of length n.
        """
        keep = check_mask(mask, len(self))
        histories, history_rows = self._histories_of(keep)
        return Impressions(
            self.users[keep],
            self.candidates[keep],
            self.user_ids,
            self.item_ids,
            None if self.clicks is None else self.clicks[keep[self.candidates.rows]],
            None if self.times is None else self.times[keep],
            histories,
            history_rows,
        )

    def _histories_of(self, keep: npt.NDArray[np.bool_]) -> tuple[Ragged | None, Int32Array | None]:
        """The distinct histories of some impressions, and which of them each has."""
        if self.histories is None or self.history_rows is None:
            return None if self.histories is None else self.histories[keep], None
        rows = self.history_rows[keep]
        needed = np.zeros(len(self.histories), dtype=bool)
        needed[rows] = True
        if needed.all():
            return self.histories, rows
        numbers = np.cumsum(needed, dtype=np.int32) - np.int32(1)
        return self.histories[needed], numbers[rows]

    def history_of(self, rows: Positions) -> Ragged:
        """Returns the histories of some impressions, a row each, (m, num_items).

        Args:
            rows: a slice, numbers of impressions (m,), or a mask bool (n,).

        Raises:
            DataError: there are no histories, or a number is out of range.
        """
        if self.histories is None:
            raise DataError("impressions have no histories; give histories")
        at = row_numbers(rows, len(self))
        return self.histories[at if self.history_rows is None else self.history_rows[at]]

    def joined(self, other: Impressions) -> Impressions:
        """Returns these impressions and then others.

        Args:
            other: of the same users and items in the same order. What only one of the two has, such as times, is left
                out.

        Raises:
            DataError: users or items are others.
        """
        for name in ("user_ids", "item_ids"):
            if first_difference(getattr(self, name), getattr(other, name)) is not None:
                raise DataError(
                    f"the {name} of these impressions and of the others differ; read both together"
                )
        histories, history_rows = None, None
        if self.histories is not None and other.histories is not None:
            histories = self.histories.joined(other.histories)
            later = np.int32(len(self.histories)) + other._history_rows()
            history_rows = np.concatenate([self._history_rows(), later])
        return Impressions(
            np.concatenate([self.users, other.users]),
            self.candidates.joined(other.candidates),
            self.user_ids,
            self.item_ids,
            _end_to_end(self.clicks, other.clicks),
            _end_to_end(self.times, other.times),
            histories,
            history_rows,
        )

    def _history_rows(self) -> Int32Array:
        """Which history each impression has, (n,)."""
        return np.arange(len(self), dtype=np.int32) if self.history_rows is None else self.history_rows

    def clicked(self) -> Events:
        """Returns the clicks of known users as events, at the times of their impressions.

        Raises:
            DataError: there are no clicks.
        """
        if self.clicks is None:
            raise DataError("impressions have no clicks to make events of; give clicks")
        rows = self.candidates.rows
        keep = self.clicks & (self.users[rows] >= 0)
        at = rows[keep]
        times = None if self.times is None else self.times[at]
        items = self.candidates.indices[keep]
        return Events.from_rows(Rows(self.users[at], items, self.user_ids, self.item_ids, None, times))


def _end_to_end(one: Any | None, other: Any | None) -> Any | None:
    return None if one is None or other is None else np.concatenate([one, other])


def _check_rows(name: str, found: int, n: int) -> None:
    if found != n:
        raise DataError(f"{name} has {found} rows, but there are {n} users; give one an impression")


def _number_lists(lists: dict[str, list[Any]], item_ids: Values | None) -> tuple[dict[str, Ragged], IdArray]:
    """Returns lists of raw item ids as rows of internal ids, and the raw id of each."""
    indptrs, flat = {}, {}
    for name, rows in lists.items():
        indptrs[name] = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([_length(row, f"{name}[{at}]") for at, row in enumerate(rows)], out=indptrs[name][1:])
        flat[name] = [raw for row in rows for raw in (row.tolist() if isinstance(row, np.ndarray) else row)]
    if item_ids is None:
        codes, known = factorise([raw for part in flat.values() for raw in part], " and ".join(lists))
        parts = dict(zip(lists, np.split(codes, [len(flat["candidates"])]), strict=False))
    else:
        known = unique_ids(item_ids, "item_ids")
        parts = {name: IdMap(known, "item").encode(part, name) for name, part in flat.items()}
    return {name: Ragged(indptrs[name], parts[name], known.size) for name in lists}, known


def _length(row: Any, name: str) -> int:
    if not isinstance(row, list | tuple | np.ndarray):
        raise DataError(f"{name} is {row!r:.60} ({type(row).__name__}), but a list is needed")
    return len(row)


def _number_users(users: Sequence[Any], user_ids: Values | None) -> tuple[Int32Array, IdArray]:
    there = np.fromiter((user is not None for user in users), bool, len(users))
    known = [user for user in users if user is not None]
    numbers = np.full(len(users), -1, dtype=np.int32)
    if user_ids is None:
        numbers[there], ids = factorise(known, "users")
        return numbers, ids
    ids = unique_ids(user_ids, "user_ids")
    numbers[there] = IdMap(ids, "user").encode(known, "users")
    return numbers, ids


def _is_click(value: object) -> bool:
    return isinstance(value, int | float | np.bool_ | np.integer | np.floating) and value in (0, 1)


def _clicks(clicks: Sequence[Any], candidates: Ragged) -> npt.NDArray[np.bool_]:
    """Returns a bool for each candidate."""
    clicks = as_list(clicks, "clicks", "a list of 0 and 1 for each impression")
    _check_rows("clicks", len(clicks), len(candidates))
    for at, (row, length) in enumerate(zip(clicks, candidates.lengths.tolist(), strict=True)):
        if _length(row, f"clicks[{at}]") != length:
            raise DataError(f"clicks[{at}] has {len(row)} values, but candidates[{at}] has {length} items")
        odd = next((k for k, value in enumerate(row) if not _is_click(value)), None)
        if odd is not None:
            raise DataError(f"clicks[{at}][{odd}] = {row[odd]!r}; a click is 0 or 1")
    flat = np.array([bool(value) for row in clicks for value in row], dtype=bool)
    check_length(flat, "clicks", candidates.indices.size)
    return flat
