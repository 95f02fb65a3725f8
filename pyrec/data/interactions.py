"""Interactions of users with items: internal ids, sorted, without duplicates."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse

from pyrec.data.frames import guess_columns, open_table
from pyrec.data.ids import MAX_COUNT, IdArray, Int32Array, as_ids
from pyrec.data.roles import ROLES
from pyrec.data.rows import (
    FloatArray,
    Numbered,
    Rows,
    Values,
    check_array,
    check_codes,
    check_length,
    check_mask,
    check_numbers,
    check_positions,
    check_weights,
    code_rows,
    code_table,
    refuse_masked,
    require_table,
    taken,
)
from pyrec.data.sort import pair_order, pair_sums
from pyrec.data.sparse import csr_parts
from pyrec.data.stats import InteractionStats, describe
from pyrec.data.times import TimeArray
from pyrec.errors import ConfigError, DataError

_ID_COLUMNS: Final = 4
"""An array of no more columns may hold users, items, ratings and times instead of a column an item."""

OPTIONAL: Final = ("ratings", "times", "labels", "weights", "positions")
"""Arrays of a value an interaction, each of which may be None."""


@dataclass(frozen=True, eq=False, repr=False)
class Interactions(Numbered):
    """Who interacted with what; sorted by (user, item), each pair once.

    Build one with `from_arrays`, `from_csr`, `from_frame` or `as_interactions`. Of several interactions with
    the same user and item the latest by time is kept; without times, or at equal times, the last one given. Its rating,
    label and position count. Their weights are added: two rows of 3 plays are 6 plays.
    The arrays are shared, not copied, wherever they are handed on: do not write to them. They may be read-only, as a
    file's memory is that joblib maps; they are not made so here, for other consumers of DLPack refuse such arrays.

    Text ids are held in NumPy's ``StringDType``, in which each takes the memory of its own length. Elements are plain
    ``str``; pandas, Polars, PyArrow, ``tolist``, ``==`` and ``in`` take such arrays as they are. Two things differ from
    fixed-width text: ``astype`` wants a width, such as ``.astype("U20")``, and ``np.isin`` with thousands of ids is
    slow; use ``encode_users(ids, unknown="skip") >= 0``, or sets.

    Attributes:
        users: int32 (n,), ascending internal ids in [0, num_users).
        items: int32 (n,), ascending for each user, in [0, num_items).
        user_ids: (num_users,) raw ids, int64 or text (see above); ``user_ids[users]`` are the raw users.
        item_ids: (num_items,) likewise.
        ratings: float32 (n,) or None.
        times: int64 or float64 (n,) or None; in the unit given (int64 nanoseconds for datetimes).
        notes: what was decided or dropped on the way here, a sentence each.
        labels: float32 (n,) or None; what a pointwise loss is to predict.
        weights: float32 (n,), at least 0, or None; how much each interaction counts in a model, such as how often
            something was played. See `pyrec.data.transform_weights`.
        positions: int32 (n,), at least 0, or None; where in a list the item was shown, 0 at the top.
        origin: where they were read and how they were split, kept with a saved model, or None; see
            `pyrec.data.origin`. A selection has none.
    """

    users: Int32Array
    items: Int32Array
    user_ids: IdArray
    item_ids: IdArray
    ratings: FloatArray | None = None
    times: TimeArray | None = None
    notes: tuple[str, ...] = ()
    labels: FloatArray | None = None
    weights: FloatArray | None = None
    positions: Int32Array | None = None
    origin: Mapping[str, Any] | None = None

    @classmethod
    def from_arrays(
        cls,
        users: Values,
        items: Values,
        ratings: npt.ArrayLike | None = None,
        times: Any | None = None,
        user_ids: Values | None = None,
        item_ids: Values | None = None,
        time_format: str | None = None,
        labels: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        positions: npt.ArrayLike | None = None,
    ) -> Interactions:
        """Builds interactions from raw ids.

        Args:
            users: (n,) raw user ids: integers (whole floats too) or text.
            items: (n,) raw item ids.
            ratings: (n,) finite numbers, or None.
            times: (n,) integers, finite floats, datetimes, dates or ISO 8601 text, or None. What is no number becomes
                nanoseconds since 1970 UTC; without a zone or offset it is taken as UTC.
            user_ids: (num_users,) every user id, in the order of the internal ids; by default the ids that
                occur, ascending. Users without interactions can be named here.
            item_ids: (num_items,) likewise.
            time_format: how times as text are written, by the directives of ``datetime.strptime``, such as
                ``"%d/%m/%Y"``; None for ISO 8601.
            labels: (n,) finite numbers, such as 1 and -1, or None.
            weights: (n,) finite numbers of at least 0, or None.
            positions: (n,) whole numbers of at least 0, or None.

        Raises:
            ConfigError: ``time_format`` is no such format.
            DataError: lengths differ, an id, rating, time, label, weight or position is missing or malformed, or an id
                is not in the list given; the message says at which place.
        """
        ids = (user_ids, item_ids)
        rows = code_rows(users, items, ratings, times, ids, time_format, weights=weights, positions=positions)
        told = None if labels is None else check_numbers(labels, rows.users.size, "labels")
        return cls.from_codes(**rows._asdict(), labels=told)

    @classmethod
    def from_codes(
        cls,
        users: Int32Array,
        items: Int32Array,
        user_ids: IdArray,
        item_ids: IdArray,
        ratings: FloatArray | None = None,
        times: TimeArray | None = None,
        notes: tuple[str, ...] = (),
        labels: FloatArray | None = None,
        weights: FloatArray | None = None,
        positions: Int32Array | None = None,
    ) -> Interactions:
        """Sorts and merges interactions whose internal ids are there and checked.

        Args:
            users: int32 (n,) in [0, len(user_ids)).
            items: int32 (n,) in [0, len(item_ids)).
            user_ids: (num_users,) unique raw ids.
            item_ids: (num_items,) unique raw ids.
            ratings: float32 (n,) or None.
            times: int64 or float64 (n,) or None.
            notes: see the attribute; one on merged duplicates is added where there are any.
            labels: float32 (n,) or None.
            weights: float32 (n,) or None; those of equal pairs are added.
            positions: int32 (n,), at least 0, or None.

        Raises:
            DataError: an array is of another kind or length, or a number is out of range; or users and items
                together exceed 2**31 - 1, the number of nodes of a graph; or a sum of weights exceeds float32.
        """
        for name, values, kinds in (
            ("users", users, "i"),
            ("items", items, "if"),
            ("user_ids", user_ids, "iTU"),
            ("item_ids", item_ids, "iTU"),
        ):
            check_array(values, name, kinds)
        check_length(items, "items", users.size)
        user_ids, item_ids = as_ids(user_ids), as_ids(item_ids)
        optional: dict[str, Any] = dict(
            zip(OPTIONAL, (ratings, times, labels, weights, positions), strict=True)
        )
        for name, column in optional.items():
            if column is not None:
                check_array(column, name, "if")
                check_length(column, name, users.size)
        if positions is not None:
            check_positions(positions)
        if user_ids.size + item_ids.size > MAX_COUNT:
            raise DataError(
                f"{user_ids.size} users and {item_ids.size} items are more than the {MAX_COUNT} nodes of "
                "int32; drop the rarest"
            )
        check_codes(users, user_ids.size, "user")
        check_codes(items, item_ids.size, "item")
        order = pair_order(users, items, (user_ids.size, item_ids.size), times)
        if order is None:
            return cls(users, items, user_ids, item_ids, notes=notes, **optional)
        if merged := users.size - order.size:
            which = "last" if times is None else "latest"
            sums = "" if weights is None else ", with the sum of their weights"
            notes += (
                f"{merged:,} of {users.size:,} rows repeat a user and an item; the {which} one counts{sums}",
            )
        kept = taken(optional, order)
        if merged and weights is not None:
            kept["weights"] = _summed(weights, users, items, (user_ids.size, item_ids.size))
        return cls(users[order], items[order], user_ids, item_ids, notes=notes, **kept)

    @classmethod
    def from_csr(cls, matrix: Any, values: Literal["ratings", "weights"] = "ratings") -> Interactions:
        """Builds interactions from a SciPy sparse matrix or array, users x items.

        Raw ids are row and column numbers; empty rows and columns stay, as users and items without
        interactions. Values become the ratings or the weights, unless all are 1. An entry that is stored more than
        once is the sum of its values, as SciPy reads it in every format (of booleans: True). Zeros, stored or summed,
        are no interactions. Negative values are ratings like others, but no weights.

        Args:
            matrix: CSR; other sparse formats are converted and give the same interactions.
            values: what the values are: "ratings", or "weights", such as counts.

        Raises:
            ConfigError: ``values`` is neither of the two.
            DataError: not a sparse matrix, or its indptr, indices or values are malformed.
        """
        if values not in ("ratings", "weights"):
            raise ConfigError(f"values is {values!r}; it is 'ratings' or 'weights'")
        rows, columns, data, (num_users, num_items) = csr_parts(matrix)
        check = check_numbers if values == "ratings" else check_weights
        numbers = check(data, rows.size, "user_items.data")
        stored = data != 0  # not of the ratings: what float32 rounds to 0 is an interaction
        if not stored.all():
            rows, columns, numbers = rows[stored], columns[stored], numbers[stored]
        told = {} if bool(np.all(numbers == 1)) else {values: numbers}
        ids = (np.arange(size, dtype=np.int64) for size in (num_users, num_items))
        return cls.from_codes(rows, columns, *ids, **told)  # type: ignore[arg-type]

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        user: Hashable = "user",
        item: Hashable = "item",
        rating: Hashable | None = None,
        time: Hashable | None = None,
        time_format: str | None = None,
        weight: Hashable | None = None,
        position: Hashable | None = None,
    ) -> Interactions:
        """Builds interactions from a table: a row an interaction.

        Args:
            frame: a DataFrame of pandas, Polars or another library that narwhals knows (a lazy one is collected), an
                Arrow table, record batch or stream, a mapping from names to columns, or a structured array. The named
                index levels of a pandas frame or series count as columns.
            user: name of the column with raw user ids.
            item: name of the column with raw item ids.
            rating: name of the rating column, or None.
            time: name of the time column, or None.
            time_format: see `from_arrays`.
            weight: name of a column of numbers of at least 0, such as counts, or None; see `weights`.
            position: name of a column of whole numbers, 0 at the top of a list, or None; see `positions`.

        Raises:
            ConfigError: ``time_format`` is no format that ``strptime`` knows.
            DataError: not a table, a column is missing or there twice, or a value is missing or malformed; the
                message names the column.
        """
        names = dict(zip(ROLES, (user, item, rating, time, weight, position), strict=True))
        chosen = {role: name for role, name in names.items() if name is not None}
        return cls.from_rows(code_table(require_table(frame), chosen, time_format))

    @classmethod
    def from_rows(cls, rows: Rows) -> Interactions:
        """Sorts and merges rows whose internal ids are there and checked.

        Args:
            rows: in the order given.

        Raises:
            DataError: see `from_codes`.
        """
        return cls.from_codes(**rows._asdict())

    def __len__(self) -> int:
        return int(self.users.size)

    def __repr__(self) -> str:
        extra = "".join(f", {name}" for name in OPTIONAL if getattr(self, name) is not None)
        return (
            f"Interactions({self.num_users} users, {self.num_items} items, {len(self)} interactions{extra})"
        )

    @cached_property
    def indptr(self) -> npt.NDArray[np.int64]:
        """int64 (num_users + 1,): user u's items are ``items[indptr[u]:indptr[u + 1]]``."""
        indptr = np.zeros(self.num_users + 1, dtype=np.int64)
        np.cumsum(np.bincount(self.users, minlength=self.num_users), out=indptr[1:])
        return indptr

    @cached_property
    def is_positive(self) -> npt.NDArray[np.bool_] | None:
        """Which interactions speak for their item, bool (n,): of a weight and a label above 0; None where all do.

        The others are seen, and no more: models neither learn from them as from likes nor recommend them.
        """
        given = [array > 0 for array in (self.weights, self.labels) if array is not None]
        positive = np.logical_and.reduce(given) if given else None
        return None if positive is None or bool(positive.all()) else positive

    @cached_property
    def signs(self) -> FloatArray:
        """What a squared error of likes and dislikes predicts, float32 (n,): 1 for a positive, else -1.

        A positive has a label above 0; where there are no labels, a weight above 0 or none.
        """
        given = self.weights if self.labels is None else self.labels
        if given is None:
            return np.ones(len(self), dtype=np.float32)
        return np.where(given > 0, 1, -1).astype(np.float32)

    def positives(self) -> Interactions:
        """Returns the interactions that speak for their item, see `is_positive`, with the same id maps."""
        return self if self.is_positive is None else self.select(self.is_positive)

    @cached_property
    def activity(self) -> npt.NDArray[np.int64]:
        """int64 (num_users,): how many items each user has that it speaks for."""
        return self._counts(self.users, self.num_users)

    @cached_property
    def popularity(self) -> npt.NDArray[np.int64]:
        """int64 (num_items,): how many users each item has who speak for it."""
        return self._counts(self.items, self.num_items)

    def _counts(self, codes: Int32Array, count: int) -> npt.NDArray[np.int64]:
        return np.bincount(codes if self.is_positive is None else codes[self.is_positive], minlength=count)

    @cached_property
    def effective_weights(self) -> FloatArray | None:
        """The weights, float32 (n,), or None where all count the same because each is 1 or none is given."""
        return None if self.weights is None or bool((self.weights == 1).all()) else self.weights

    @cached_property
    def preferences(self) -> FloatArray | None:
        """How much each interaction speaks for its item, float32 (n,): its weight, or 0; None where each is 1."""
        weights = self.effective_weights
        if self.is_positive is None:
            return weights
        return np.where(self.is_positive, 1 if weights is None else weights, 0).astype(np.float32)

    def to_csr(self, weighted: bool = False) -> csr_array:
        """Returns the matrix users x items in float32, with sorted indices.

        Args:
            weighted: whether the values are the preferences, where there are some, or ones.
        """
        preferences = self.preferences if weighted else None
        values = np.ones(len(self), dtype=np.float32) if preferences is None else preferences
        matrix = csr_array((values, self.items, self.indptr), shape=(self.num_users, self.num_items))
        matrix.has_sorted_indices = True
        return matrix

    @property
    def pair_numbers(self) -> npt.NDArray[np.int64]:
        """int64 (n,): each pair's place, user * num_items + item, among all pairs of users and items; ascending."""
        return self.users.astype(np.int64) * self.num_items + self.items

    def has_pairs(
        self, users: npt.NDArray[np.integer], items: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.bool_]:
        """Returns which pairs of users and items (n,), in internal ids, are among the interactions, bool (n,).

        An id that is none, such as the -1 of an unknown one, is in no pair.
        """
        if not len(self):
            return np.zeros(len(users), dtype=bool)
        known, asked = self.pair_numbers, users.astype(np.int64) * self.num_items + items
        at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        return np.asarray((known[at] == asked) & (items >= 0) & (items < self.num_items))

    def select(self, mask: npt.ArrayLike) -> Interactions:
        """Returns a subset of the interactions that keeps the id maps.

        Args:
            mask: bool (n,), True for what stays.

        Raises:
            DataError: not a boolean array of length n.
        """
        keep = check_mask(mask, len(self))
        kept = taken({name: getattr(self, name) for name in OPTIONAL}, keep)
        return replace(self, users=self.users[keep], items=self.items[keep], origin=None, **kept)

    def with_ids(self, user_ids: IdArray, item_ids: IdArray) -> Interactions:
        """Returns the same interactions in the internal ids of other id maps.

        Args:
            user_ids: (m,) unique raw ids that include all of this one's.
            item_ids: likewise.

        Raises:
            DataError: one of this one's ids is not in the new map.
        """
        users, items = self._renumbering(user_ids, item_ids)
        optional = {name: getattr(self, name) for name in OPTIONAL}
        return Interactions.from_codes(
            users[self.users], items[self.items], user_ids, item_ids, notes=self.notes, **optional
        )

    def compact(self) -> Interactions:
        """Returns the same interactions without the users and items that have none."""
        users, user_rows = _used(self.users, self.num_users)
        items, item_rows = _used(self.items, self.num_items)
        return replace(
            self,
            users=users,
            items=items,
            user_ids=self.user_ids[user_rows],
            item_ids=self.item_ids[item_rows],
            origin=None,
        )

    def stats(self) -> InteractionStats:
        """Returns counts, density, degree quantiles and the span of time; ``print`` shows a table."""
        size = self.num_users, self.num_items
        return describe(self.users, self.items, *size, self.times, self.notes, self.labels)


def as_interactions(obj: Any) -> Interactions:
    """Returns interactions from any object that holds them.

    Args:
        obj: `Interactions` (returned as they are); a SciPy sparse matrix or array users x items, or a NumPy array of
            more than 4 columns, whose zeros are no interactions; or a table as `Interactions.from_frame` takes it,
            with well-known column names (user_id, item_id, rating, timestamp, ...; see `pyrec.data.roles`).

    Raises:
        DataError: another type, or malformed contents.
    """
    if isinstance(obj, Interactions):
        return obj
    if issparse(obj):
        return Interactions.from_csr(obj)
    table = open_table(obj)
    if table is not None:
        return Interactions.from_rows(code_table(table, guess_columns(table)))
    if isinstance(obj, np.ndarray):
        return Interactions.from_csr(_sparse(obj))
    raise DataError(
        f"interactions are {type(obj).__name__}, but a scipy CSR matrix, a DataFrame or Interactions is "
        "needed; for arrays of ids use Interactions.from_arrays(users, items)"
    )


def _sparse(matrix: npt.NDArray[Any]) -> csr_array:
    """Returns a dense matrix users x items as a sparse one; refuses what may be columns of ids instead."""
    refuse_masked(matrix, "interactions")
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf" or matrix.shape[1] <= _ID_COLUMNS:
        raise DataError(
            f"interactions are {type(matrix).__name__}, but a scipy CSR matrix, a DataFrame or Interactions is needed, "
            f"or users x items as numbers in more than {_ID_COLUMNS} columns; this is {matrix.dtype} {matrix.shape}. "
            "For arrays of ids use Interactions.from_arrays(users, items), for so few items scipy.sparse.csr_array"
        )
    return csr_array(matrix)


def require_interactions(obj: object, name: str) -> Interactions:
    """The object if it is `Interactions`.

    Raises:
        DataError: Names the argument and its type.
    """
    if not isinstance(obj, Interactions):
        raise DataError(f"{name} is {type(obj).__name__}, but Interactions are needed; see as_interactions")
    return obj


def _summed(weights: FloatArray, users: Int32Array, items: Int32Array, shape: tuple[int, int]) -> FloatArray:
    """Returns the sum of the weights of each pair, float32 (m,), in the order of (user, item)."""
    sums = pair_sums(weights, users, items, shape)
    with np.errstate(over="ignore"):
        rounded: FloatArray = sums.astype(np.float32)
    if not np.isfinite(rounded).all():
        raise DataError(
            f"the weights of one user and item sum to {sums.max():.6g}, beyond float32; scale the weights"
        )
    return rounded


def _used(codes: Int32Array, num_codes: int) -> tuple[Int32Array, npt.NDArray[np.intp]]:
    """Returns the codes renumbered without gaps, and the old code of each new one."""
    used = np.bincount(codes, minlength=num_codes) > 0
    return (np.cumsum(used, dtype=np.int32) - np.int32(1))[codes], np.flatnonzero(used)
