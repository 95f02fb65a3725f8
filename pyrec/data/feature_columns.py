"""A column of features from values: numbers become dense, text becomes codes, lists become tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pyrec.data.ids import IdArray, Int32Array, factorise
from pyrec.data.ragged import Ragged
from pyrec.data.read.fields import NUMBER, PLAIN_INTEGER
from pyrec.data.rows import as_list, refuse_masked
from pyrec.errors import ConfigError, DataError

Kind: TypeAlias = Literal["dense", "codes", "tokens"]
Missing: TypeAlias = Literal["error", "fill"]
KINDS: Final[tuple[Kind, ...]] = ("dense", "codes", "tokens")
FILL: Final = "missing='fill' puts zeros, the code -1 or no tokens there"


@dataclass(frozen=True, eq=False, repr=False)
class Dense:
    """Numbers: ``values`` float32 (n, d), each finite."""

    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"Dense({len(self):,} rows of {self.values.shape[1]:,} values)"

    def take(self, rows: npt.NDArray[np.int64]) -> Dense:
        """Returns some rows (m,); -1 gives zeros."""
        values = np.zeros((rows.size, self.values.shape[1]), np.float32)
        values[rows >= 0] = self.values[rows[rows >= 0]]
        return Dense(values)


@dataclass(frozen=True, eq=False, repr=False)
class Codes:
    """One word a row: ``codes`` int32 (n,) into ``vocabulary`` (v,), int64 or text, ascending; -1 for none."""

    codes: Int32Array
    vocabulary: IdArray

    def __len__(self) -> int:
        return int(self.codes.size)

    def __repr__(self) -> str:
        return f"Codes({len(self):,} rows, {self.vocabulary.size:,} words)"

    def take(self, rows: npt.NDArray[np.int64]) -> Codes:
        """Returns some rows (m,); -1 gives the code -1."""
        codes = np.full(rows.size, -1, np.int32)
        codes[rows >= 0] = self.codes[rows[rows >= 0]]
        return Codes(codes, self.vocabulary)


@dataclass(frozen=True, eq=False, repr=False)
class Tokens:
    """Words of each row, in order: ``rows`` (n, v) into ``vocabulary`` (v,), int64 or text, ascending."""

    rows: Ragged
    vocabulary: IdArray

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return (
            f"Tokens({len(self):,} rows, {self.rows.indices.size:,} tokens of {self.vocabulary.size:,} words)"
        )

    def take(self, rows: npt.NDArray[np.int64]) -> Tokens:
        """Returns some rows (m,); -1 gives no tokens."""
        indptr = np.append(self.rows.indptr, self.rows.indptr[-1])  # a row of no tokens, the last
        padded = Ragged(indptr, self.rows.indices, self.rows.num_columns)
        return Tokens(padded[np.where(rows < 0, len(self.rows), rows)], self.vocabulary)


Feature: TypeAlias = Dense | Codes | Tokens


@dataclass(frozen=True)
class Column:
    """A column's values, and what messages call one of them.

    Attributes:
        name: the column's.
        values: (n,) numbers, text or lists, or (n, d) numbers; None and NaN are missing.
        where: of a position: where it is, such as "items.csv, line 3: the column 'year'".
        is_written: whether values are the text of a file, in which numbers are written and empty text is missing.
    """

    name: str
    values: Any
    where: Callable[[int], str]
    is_written: bool = False


def make_feature(column: Column, kind: Kind | None, separator: str | None, missing: Missing) -> Feature:
    """Returns a column as a feature.

    Args:
        column: the values.
        kind: what to make of them; None to find out.
        separator: what is between two tokens, or numbers, of a text; None for blanks, and one number.
        missing: what is done about missing values: "error", or "fill" with zeros, the code -1 or no tokens.

    Raises:
        ConfigError: ``kind`` or ``missing`` is none of the above.
        DataError: a value is missing or does not fit the kind; the message names it.
    """
    if kind not in (None, *KINDS):
        raise ConfigError(f"kinds[{column.name!r}] = {kind!r}; it is one of {', '.join(map(repr, KINDS))}")
    check_missing(missing)
    refuse_masked(column.values, f"the column {column.name!r}")
    if isinstance(column.values, np.ndarray) and column.values.dtype.kind in "biuf":
        if separator is not None:
            raise ConfigError(
                f"separators[{column.name!r}] = {separator!r}, but the column holds numbers, not text; leave it out"
            )
        return _of_numbers(column, column.values, kind, missing)
    cells = as_list(column.values, f"the column {column.name!r}")
    if column.is_written or (kind == "dense" and separator is not None):
        cells = _read(column, cells, kind, separator)
    kind = _find_kind(column, cells, separator) if kind is None else kind
    there = np.fromiter((not _is_missing(cell) for cell in cells), bool, len(cells))
    _check_there(column, there, missing)
    if kind == "dense":
        return _dense(column, cells, there)
    if kind == "codes":
        return _codes(column, cells, there)
    return _tokens(column, cells, there, separator)


def check_missing(missing: object) -> None:
    """Raises ConfigError for anything but "error" and "fill"."""
    if not isinstance(missing, str) or missing not in ("error", "fill"):
        raise ConfigError(f"missing is {missing!r}; it is 'error', or 'fill': {FILL}")


def _of_numbers(column: Column, values: npt.NDArray[Any], kind: Kind | None, missing: Missing) -> Feature:
    """Returns numbers (n,) or (n, d) as a feature."""
    if values.ndim not in (1, 2) or (values.ndim == 2 and kind not in (None, "dense")) or kind == "tokens":
        raise DataError(
            f"the column {column.name!r} has numbers of shape {values.shape}, which are no {kind or 'feature'}; give "
            "kinds= something else, or the column as lists"
        )
    wide = values if values.ndim == 2 else values[:, None]
    there = ~np.isnan(wide).any(axis=1) if values.dtype.kind == "f" else np.ones(len(values), bool)
    _check_there(column, there, missing)
    if kind == "codes":
        return _codes(column, values.tolist(), there)
    with np.errstate(over="ignore"):
        dense = np.where(there[:, None], wide, 0).astype(np.float32)
    return Dense(_finite(column, dense, wide))


def _finite(
    column: Column, dense: npt.NDArray[np.float32], given: npt.NDArray[Any]
) -> npt.NDArray[np.float32]:
    bad = ~np.isfinite(dense).all(axis=1)
    if bad.any():
        at = int(bad.argmax())
        raise DataError(
            f"{column.where(at)} is {given[at].tolist()}, which is not finite in float32; correct it"
        )
    return np.ascontiguousarray(dense)


def _check_there(column: Column, there: npt.NDArray[np.bool_], missing: Missing) -> None:
    if not there.any() and there.size:
        raise DataError(
            f"the column {column.name!r} holds nothing; leave it out by naming the others: columns="
        )
    if missing == "error" and not there.all():
        at = int((~there).argmax())
        raise DataError(f"{column.where(at)} is missing; fill it in or drop the row; {FILL}")


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, float | np.floating):
        return bool(np.isnan(cell))
    return cell is None or type(cell).__name__ in ("NAType", "NaTType")  # pandas'


def _is_list(cell: Any) -> bool:
    return isinstance(cell, list | tuple | np.ndarray)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float | Decimal | np.integer | np.floating | np.bool_)


def _find_kind(column: Column, cells: list[Any], separator: str | None) -> Kind:
    """Tells what the values of a column are: numbers, text, or lists."""
    if separator is not None:
        return "tokens"
    present = [(at, cell) for at, cell in enumerate(cells) if not _is_missing(cell)]
    if all(_is_list(cell) for _, cell in present):
        return "dense" if _are_vectors([cell for _, cell in present]) else "tokens"
    if all(_is_number(cell) for _, cell in present):
        return "dense"
    odd = next(((at, cell) for at, cell in present if not isinstance(cell, str)), None)
    if odd is not None:
        at, cell = odd
        raise DataError(
            f"{column.where(at)} is {cell!r:.60} ({type(cell).__name__}); a column holds numbers, text or lists, "
            "all of one kind: convert it, or leave it out by naming the others: columns="
        )
    return "codes"


def _are_vectors(lists: Sequence[Any]) -> bool:
    """Tells lists of fractions, all of one length, from lists of tokens."""
    if len(set(map(len, lists))) != 1 or not len(lists[0]):
        return False
    return all(isinstance(number, float | np.floating) for cell in lists for number in cell)


def _read(column: Column, cells: list[Any], kind: Kind | None, separator: str | None) -> list[Any]:
    """Returns what is written in a file's fields: numbers, text, or lists of text; None for an empty field."""
    if kind == "dense" and separator is not None:
        texts = ["" if _is_missing(cell) else str(cell) for cell in cells]
        return [
            [_number(column, at, word) for word in _split(text, separator)] if text else None
            for at, text in enumerate(texts)
        ]
    if kind == "tokens" or (kind is None and separator is not None):
        return [_split(text, separator) for text in cells]
    filled = [text for text in cells if text]
    if kind == "codes":
        is_whole = all(PLAIN_INTEGER.fullmatch(text) and abs(int(text)) < 2**63 for text in filled)
        return [(int(text) if is_whole else text) if text else None for text in cells]
    if kind is None and not all(map(NUMBER.fullmatch, filled)):
        return [text or None for text in cells]
    return [_number(column, at, text) if text else None for at, text in enumerate(cells)]


def _number(column: Column, at: int, text: str) -> float:
    if not NUMBER.fullmatch(text):
        raise DataError(
            f"{column.where(at)} is {text[:40]!r}, which is no number; correct it, or choose another kind: "
            f"kinds={{{column.name!r}: 'codes'}}"
        )
    return float(text)


def _split(text: str, separator: str | None) -> list[str]:
    return [word for part in text.split(separator) if (word := part.strip())]


def _dense(column: Column, cells: list[Any], there: npt.NDArray[np.bool_]) -> Dense:
    rows = [cell if _is_list(cell) else [cell] for cell in cells]
    width = len(rows[int(there.argmax())]) if there.size else 1
    values = np.zeros((len(rows), width))
    for at in np.flatnonzero(there).tolist():
        if len(rows[at]) != width or not all(map(_is_number, rows[at])):
            raise DataError(
                f"{column.where(at)} is {cells[at]!r:.60}, but {width} number{'s are' * (width > 1) or ' is'} needed; "
                "correct it, or choose another kind: kinds="
            )
        values[at] = [float(number) for number in rows[at]]
    with np.errstate(over="ignore"):
        return Dense(_finite(column, values.astype(np.float32), values))


def _codes(column: Column, cells: list[Any], there: npt.NDArray[np.bool_]) -> Codes:
    codes = np.full(len(cells), -1, np.int32)
    present = [cells[at] for at in np.flatnonzero(there).tolist()]
    codes[there], vocabulary = factorise(present, f"the column {column.name!r}")
    return Codes(codes, vocabulary)


def _tokens(column: Column, cells: list[Any], there: npt.NDArray[np.bool_], separator: str | None) -> Tokens:
    rows = [
        [] if not is_there else _split(cell, separator) if isinstance(cell, str) else cell
        for cell, is_there in zip(cells, there.tolist(), strict=True)
    ]
    odd = next((at for at, row in enumerate(rows) if not _is_list(row)), None)
    if odd is not None:
        raise DataError(f"{column.where(odd)} is {rows[odd]!r:.60}, but a list or a text of tokens is needed")
    indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(list(map(len, rows)), out=indptr[1:])
    flat = [token for row in rows for token in row]
    codes, vocabulary = factorise(flat, f"the tokens of the column {column.name!r}")
    return Tokens(Ragged(indptr, codes, vocabulary.size), vocabulary)
