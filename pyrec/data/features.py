"""Features of users or items: named columns, a row for each id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyrec.data.feature_columns import (
    FILL,
    Codes,
    Column,
    Dense,
    Feature,
    Kind,
    Missing,
    Tokens,
    check_missing,
    make_feature,
)
from pyrec.data.ids import IdArray, IdMap
from pyrec.data.rows import Values, unique_ids
from pyrec.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """Named columns about users or about items, with a row for each id.

    Build them with `from_columns` or `pyrec.data.read_features`. A column is `Dense` (float32 numbers), `Codes` (one
    word a row) or `Tokens` (a list of words a row). The arrays are shared, not copied: do not write to them.

    Attributes:
        ids: (n,) raw ids, int64 or text, each once; row k is about ``ids[k]``.
        columns: the features by name, each of n rows.
        notes: what was decided or dropped on the way here, a sentence each.

    Raises:
        DataError: a column is no feature, or has another number of rows.
    """

    ids: IdArray
    columns: Mapping[str, Feature]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", unique_ids(self.ids, "ids"))
        object.__setattr__(self, "columns", dict(self.columns))
        for name, feature in self.columns.items():
            if not isinstance(feature, Dense | Codes | Tokens):
                raise DataError(
                    f"columns[{name!r}] is {type(feature).__name__}, but Dense, Codes or Tokens is needed; "
                    "Features.from_columns makes them of values"
                )
            if len(feature) != self.ids.size:
                raise DataError(
                    f"columns[{name!r}] has {len(feature)} rows, but there are {self.ids.size} ids; give one row an id"
                )

    @classmethod
    def from_columns(
        cls,
        ids: Values,
        columns: Mapping[str, Any],
        kinds: Mapping[str, Kind] | None = None,
        separators: Mapping[str, str] | None = None,
        missing: Missing = "error",
    ) -> Features:
        """Builds features from columns of values.

        Numbers become `Dense`, and so do lists of fractions that have one length; text becomes `Codes`; lists, and
        text with a separator, become `Tokens`.

        Args:
            ids: (n,) raw ids, each once.
            columns: by name, each (n,) numbers, text or lists, or numbers (n, d). None and NaN are missing.
            kinds: "dense", "codes" or "tokens" for columns that are not to be what they look like.
            separators: what is between two tokens, for columns of text that hold several: ``{"genres": "|"}``.
            missing: "error", or "fill" for zeros, the code -1 or no tokens where a value is missing.

        Raises:
            ConfigError: a kind is none of the three, or names a column that is not there.
            DataError: an id is there twice, a column has another length, or a value is missing or does not fit.
        """
        known = unique_ids(ids, "ids")
        made = make_columns(
            [Column(name, values, _position_of(name)) for name, values in columns.items()],
            kinds or {},
            separators or {},
            missing,
        )
        return cls(known, made)

    def __len__(self) -> int:
        return int(self.ids.size)

    def __getitem__(self, name: str) -> Feature:
        if name not in self.columns:
            raise DataError(
                f"there is no column {name!r}; there are {', '.join(map(repr, self.columns)) or 'none'}"
            )
        return self.columns[name]

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}: {_shown(feature)}" for name, feature in self.columns.items())
        return f"Features({len(self)} rows, {columns})"

    def align(self, ids: Values, missing: Missing = "error", name: str = "ids") -> Features:
        """Returns a row for each of some ids, in their order: those of a training set, say.

        Args:
            ids: (m,) raw ids, each once. Rows about others are left out.
            missing: what is done about ids without a row: "error", or "fill" with zeros, the code -1 or no tokens.
            name: what messages call the ids.

        Raises:
            ConfigError: ``missing`` is neither of the two.
            DataError: an id has no row and ``missing`` is "error"; or ids are text here and integers there.
        """
        check_missing(missing)
        wanted = unique_ids(ids, name)
        rows = IdMap(self.ids, "feature rows'").encode(wanted, name, "skip").astype(np.int64)
        absent = np.flatnonzero(rows < 0)
        if absent.size and missing == "error":
            at = int(absent[0])
            others = f" (and {absent.size - 1} more)" if absent.size > 1 else ""
            raise DataError(
                f"{name}[{at}] = {wanted[at : at + 1].tolist()[0]!r}{others} has none of the {len(self)} rows of "
                f"features; add it; {FILL}"
            )
        note = (f"{absent.size:,} of {rows.size:,} ids have no row of features and are filled in",) * bool(
            absent.size
        )
        taken = {column: feature.take(rows) for column, feature in self.columns.items()}
        return Features(wanted, taken, (*self.notes, *note))


def make_columns(
    columns: list[Column], kinds: Mapping[str, Kind], separators: Mapping[str, str], missing: Missing
) -> dict[str, Feature]:
    """Returns columns as features by name.

    Raises:
        ConfigError: a kind or a separator is of a column that is not there, or is none.
        DataError: see `pyrec.data.feature_columns.make_feature`.
    """
    names = [column.name for column in columns]
    for argument, given in (("kinds", kinds), ("separators", separators)):
        unknown = next((name for name in given if name not in names), None)
        if unknown is not None:
            raise ConfigError(f"{argument} names {unknown!r}; the columns are {', '.join(map(repr, names))}")
    for name, separator in separators.items():
        if not isinstance(separator, str) or not separator:
            raise ConfigError(
                f"separators[{name!r}] = {separator!r}; it is the text between two tokens, such as '|'"
            )
        if kinds.get(name) == "codes":
            raise ConfigError(f"separators[{name!r}] = {separator!r}, but kinds[{name!r}] = {kinds[name]!r}")
    return {
        column.name: make_feature(column, kinds.get(column.name), separators.get(column.name), missing)
        for column in columns
    }


def _position_of(name: str) -> Any:
    return lambda at: f"columns[{name!r}][{at}]"


def _shown(feature: Feature) -> str:
    if isinstance(feature, Dense):
        return f"dense ({feature.values.shape[1]})"
    return f"{type(feature).__name__.lower()} ({feature.vocabulary.size} words)"
