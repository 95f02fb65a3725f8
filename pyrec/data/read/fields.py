"""The fields of lines of text as arrays of bytes: where they start and end, and what numbers they hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Int64Array: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

NEWLINE: Final = 0x0A
QUOTE: Final = 0x22
MOST_DIGITS: Final = 19
"""Of an int64."""
PLAIN_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
PADDED_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
LIKE_DATA: Final = re.compile(r"[+-]?[0-9.,][0-9.,:/%+TZ-]*([ T][0-9.,:/%+TZ-]+)?")
"""Numbers, dates, shares: what no header has."""
NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_RETURN: Final = 0x0D
_IS_BLANK: Final = np.isin(np.arange(256), list(b" \t\r"))
_ZERO, _MINUS, _POINT = b"0-."
# Digits whose integer and whose power of ten are exact in float64, so that their quotient is rounded once.
_EXACT_DIGITS: Final = 15
_TENS: Final = 10.0 ** np.arange(_EXACT_DIGITS + 1)


class Fields(NamedTuple):
    """A column of n fields.

    Attributes:
        text: uint8, the block that they are in.
        starts: int64 (n,).
        ends: int64 (n,), one beyond the last byte.
    """

    text: Bytes
    starts: Int64Array
    ends: Int64Array


class Split(NamedTuple):
    """The fields of lines.

    Attributes:
        text: uint8, the lines.
        starts: int64 (lines, columns).
        ends: int64 (lines, columns), one beyond the last byte.
        has_blanks: whether there is any blank.
    """

    text: Bytes
    starts: Int64Array
    ends: Int64Array
    has_blanks: bool


def split(block: bytes, sep: bytes, num_columns: int) -> Split | None:
    """Finds the fields of lines.

    Args:
        block: whole lines, none of them blank.
        sep: between two fields, one byte.
        num_columns: of each line.

    Returns:
        the fields; or None if a line has another number of them.
    """
    text = np.frombuffer(block, dtype=np.uint8)
    is_end = text == sep[0]
    is_end |= text == NEWLINE
    return _split(block, text, np.flatnonzero(is_end), num_columns)


def split_quoted(block: bytes, sep: bytes, num_columns: int) -> Split | None:
    """Finds the fields of lines, some of them in quotes.

    Args:
        block: whole rows; a line end in quotes ends none.
        sep: between two fields, one byte.
        num_columns: of each row.

    Returns:
        the fields, quotes included; or None if a row has another number of them, or a quote is not right at an end of a
        field.
    """
    text = np.frombuffer(block, dtype=np.uint8)
    is_quote = text == QUOTE
    is_inside = (np.cumsum(is_quote, dtype=np.uint8) & 1).astype(bool)
    is_end = text == sep[0]
    is_end |= text == NEWLINE
    is_end &= ~is_inside
    quotes = np.flatnonzero(is_quote)
    is_opening = is_inside[quotes]
    may_precede, may_follow = np.zeros((2, 256), dtype=bool)
    may_precede[[sep[0], NEWLINE, QUOTE]] = may_follow[[sep[0], NEWLINE, _RETURN, QUOTE]] = True
    before = text[quotes[is_opening] - 1]
    after = text[np.minimum(quotes[~is_opening] + 1, text.size - 1)]
    if not (may_precede[before].all() and may_follow[after].all()):
        return None
    return _split(block, text, np.flatnonzero(is_end), num_columns)


def _split(block: bytes, text: Bytes, found: Int64Array, num_columns: int) -> Split | None:
    if found.size % num_columns:
        return None
    ends = found.reshape(-1, num_columns)
    is_newline = text[ends] == NEWLINE
    if not is_newline[:, -1].all() or int(np.count_nonzero(is_newline)) != len(ends):
        return None
    starts = np.empty_like(ends)
    starts.reshape(-1)[:1] = 0
    np.add(found[:-1], 1, out=starts.reshape(-1)[1:])
    return Split(text, starts, ends, any(blank in block for blank in (b" ", b"\t", b"\r")))


def column(lines: Split, at: int) -> Fields:
    """Returns the fields (n,) of a column without the blanks around them."""
    text = lines.text
    starts, ends = lines.starts[:, at].copy(), lines.ends[:, at].copy()
    if lines.has_blanks:
        while (moved := np.flatnonzero((starts < ends) & _IS_BLANK[text[starts]])).size:
            starts[moved] += 1
        while (moved := np.flatnonzero((starts < ends) & _IS_BLANK[text[ends - 1]])).size:
            ends[moved] -= 1
    return Fields(text, starts, ends)


def quoted_column(lines: Split, at: int) -> Fields:
    """Returns the fields (n,) of a column without the blanks and the quotes around them."""
    text, starts, ends = column(lines, at)
    firsts = np.where(starts < ends, starts, 0)
    wrapped = (starts < ends) & (text[firsts] == QUOTE)
    starts, ends = starts + wrapped, ends - wrapped
    count = np.append(0, np.cumsum(text == QUOTE, dtype=np.int32))
    if not (wrapped & (count[ends] > count[starts])).any():
        return Fields(text, starts, ends)
    return joined([cell.replace(b'""', b'"') for cell in texts(Fields(text, starts, ends))])


def joined(cells: Sequence[bytes]) -> Fields:
    """Returns cells (n,) as fields."""
    ends = np.cumsum(np.fromiter(map(len, cells), np.int64, len(cells)))
    starts = np.append(np.zeros(1, np.int64), ends[:-1])
    return Fields(np.frombuffer(b"".join(cells) or b"\n", dtype=np.uint8), starts, ends)


def integers(fields: Fields) -> tuple[Int64Array, BoolArray, BoolArray]:
    """Reads decimal integers.

    Returns:
        the values, int64 (n,); which fields are integers within int64, with or without leading zeros; and which of
        those are written plainly: no leading zeros, no -0.
    """
    text, starts, ends = fields
    lead = text[np.minimum(starts, text.size - 1)]
    is_negative = lead == _MINUS
    firsts = starts + is_negative
    digits = ends - firsts
    good = (digits >= 1) & (digits <= MOST_DIGITS)
    magnitude = np.zeros(starts.size, dtype=np.uint64)
    fewest, most = (int(digits.min()), int(digits.max())) if digits.size else (0, 0)
    for place in range(min(most, MOST_DIGITS)):
        value = text[ends - 1 - place] - np.uint8(_ZERO)
        if place >= fewest:
            value = np.where(place < digits, value, 0).astype(np.uint8)
        good &= value <= 9
        magnitude += value * np.uint64(10**place)
    if most == MOST_DIGITS:
        good &= magnitude <= np.uint64(2**63 - 1)
    values = magnitude.astype(np.int64)
    if is_negative.any():
        values = np.where(is_negative, -values, values)
    leads_with_zero = text[np.minimum(firsts, text.size - 1)] == _ZERO
    return values, good, good & ~(leads_with_zero & ((digits > 1) | is_negative))


def numbers(fields: Fields, point: bytes = b".") -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Reads decimal numbers, rounded once.

    Args:
        fields: n of them.
        point: what is between whole and fraction, one byte.

    Returns:
        the values, float64 (n,), and which fields are finite numbers.
    """
    text, starts, ends = fields
    widths = ends - starts
    mantissa = np.zeros(starts.size)
    count, fraction = np.zeros((2, starts.size), dtype=np.int64)
    after_point, odd = np.zeros((2, starts.size), dtype=bool)
    for place in range(min(int(widths.max(initial=0)), _EXACT_DIGITS + 1)):
        inside = place < widths
        byte = text[np.where(inside, starts + place, 0)]
        value = byte - np.uint8(_ZERO)
        is_digit = (value <= 9) & inside
        is_point = (byte == point[0]) & inside & ~after_point
        odd |= inside & ~is_digit & ~is_point
        mantissa = np.where(is_digit, mantissa * 10 + value, mantissa)
        count += is_digit
        fraction += is_digit & after_point
        after_point |= is_point
    odd |= (count == 0) | (count > _EXACT_DIGITS) | (widths > _EXACT_DIGITS + 1)
    values = mantissa / _TENS[np.minimum(fraction, _EXACT_DIGITS)]
    good = np.ones(starts.size, dtype=bool)
    for at in np.flatnonzero(odd).tolist():
        values[at], good[at] = _number(text[starts[at] : ends[at]].tobytes(), point)
    return values, good


def _number(field: bytes, point: bytes) -> tuple[float, bool]:
    written = (
        field.decode("latin-1").replace(point.decode(), ".") if point != b"." else field.decode("latin-1")
    )
    if not NUMBER.fullmatch(written):
        return 0.0, False
    value = float(written)
    return value, bool(np.isfinite(value))


def texts(fields: Fields) -> list[bytes]:
    """Returns fields as bytes."""
    block = fields.text.tobytes()
    bounds = zip(fields.starts.tolist(), fields.ends.tolist(), strict=True)
    return [block[start:end] for start, end in bounds]
