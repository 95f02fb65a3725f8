"""Tells what the first fields of a column are: integers or text, decimal points or commas, times as numbers or text."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pyrec.data.read.fields import NUMBER, PLAIN_INTEGER
from pyrec.data.read.reading import Reading
from pyrec.data.time_text import text_times
from pyrec.errors import DataError

Cells: TypeAlias = list[tuple[int, str]]
"""Fields of a column: the number of the line, and the text."""
Decimal: TypeAlias = Literal["point", "comma"]
TimeKind: TypeAlias = Literal["number", "text"]

DIGITS: Final = re.compile(r"[0-9]+")
MISSING: Final = frozenset(
    ["NaN", "nan", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NULL", "Null", "null", "None", "none", "nil"]
)
"""What programs write for a value that is not there."""
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]*,[0-9]{1,2}")
_THOUSANDS: Final = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+")
_FIRST_TIME: Final = 10**8


def are_times(texts: list[str]) -> bool:
    """Tells whether all are times in ISO 8601."""
    return text_times(texts)[1] is None


def find_decimal(cells: Cells, sep: str) -> Decimal:
    """Tells how ratings write a fraction: with a comma if some have one, none has a point, and no comma separates."""
    commas = [text for _, text in cells if "," in text]
    is_comma = sep != "," and commas and not any("." in text for _, text in cells)
    return "comma" if is_comma and all(map(_DECIMAL_COMMA.fullmatch, commas)) else "point"


def refuse_times(path: Path, cells: Cells, column: int) -> None:
    """Refuses ratings by position that are times.

    Raises:
        DataError: all are like Unix times, or in ISO 8601.
    """
    texts = [text for _, text in cells]
    if all(map(_is_unix_time, texts)) or (not NUMBER.fullmatch(texts[0]) and are_times(texts)):
        chosen = {"user": 1, "item": 2, "time": column}
        raise DataError(
            f"{path}, line {cells[0][0]}: column {column} would be the rating, but {texts[0]!r} is like a time; choose "
            f"columns: --columns user=1,item=2,time={column} (in Python columns={chosen})"
        )


def _is_unix_time(text: str) -> bool:
    return bool(PLAIN_INTEGER.fullmatch(text)) and int(text) >= _FIRST_TIME


def find_times(
    path: Path, cells: Cells, reading: Reading, name: str, is_named: bool
) -> tuple[TimeKind, str | None]:
    """Tells how times are written.

    Args:
        path: the file.
        cells: the first of the column.
        reading: what the caller says.
        name: what a note calls the column.
        is_named: whether it is the time by its name, not by its position.

    Returns:
        "number" or "text"; and, for a column without times that nobody chose or needs, the note that it is left out.

    Raises:
        DataError: a column that somebody chose or needs holds something else.
    """
    odd = [text for _, text in cells if not NUMBER.fullmatch(text)]
    if reading.time_format is None and (not odd or (2 * len(odd) <= len(cells) and not is_named)):
        return "number", None
    bad = text_times([text for _, text in cells], reading.time_format)[1]
    if bad is None:
        return "text", None
    is_number = reading.time_format is None and 2 * len(odd) <= len(cells)
    number, text = next(cell for cell in cells if cell[1] == odd[0]) if is_number else cells[bad.position]
    if reading.needs_times or reading.time_format is not None or "time" in (reading.columns or {}):
        raise DataError(
            f"{path}, line {number}: the time {text[:40]!r} {bad.reason}; on the command line --time-format"
        )
    return "text", (
        f"{name} is left out: line {number} has {text[:40]!r}, which is no time in ISO 8601 (--time-format says how "
        "times are written)"
    )


def is_text(path: Path, role: str, cells: Cells, id_type: str) -> bool:
    """Tells whether ids are text: at most half of the first rows hold a plain integer, or some have leading zeros.

    Raises:
        DataError: most are plain integers and some are not, or all are numbers and some no plain integers.
    """
    if id_type != "auto":
        return id_type == "str"
    odd = [(number, text) for number, text in cells if not _is_integer(text)]
    if cells and all(_is_wrapped(text) for _, text in cells):
        raise DataError(
            f"{path}, line {cells[0][0]}: the {role} ids are in single quotes, {cells[0][1][:40]}; take them off, or "
            "if they are part of the ids say that these are text: --id-type str (in Python id_type='str')"
        )
    strange = [(number, text) for number, text in odd if not DIGITS.fullmatch(text)]
    if odd and not strange:
        return True  # leading zeros, or more digits than an int64 has
    if odd and (2 * len(odd) < len(cells) or all(_is_number(text) for _, text in cells)):
        raise odd_id(f"{path}, line {strange[0][0]}", role, strange[0][1], "most of the first lines'")
    return bool(odd)


def _is_wrapped(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] == "'"


def _is_number(text: str) -> bool:
    return bool(NUMBER.fullmatch(text) or _THOUSANDS.fullmatch(text))


def text_oddity(text: str, has_quotes: bool) -> str | None:
    """Returns why a text is no id unless somebody says that it is; None for others.

    Args:
        text: the id.
        has_quotes: whether fields may be in quotes, so that those that are left are the id's own.
    """
    if text in MISSING:
        return "stands for a missing value"
    if not has_quotes and len(text) > 1 and text[0] == text[-1] == '"':
        return "is in quotes, as no column is in the first lines"
    if any(_is_invisible(edge) for edge in (text[:1], text[-1:])):
        return "starts or ends with a character that is not seen"
    return None


def _is_invisible(character: str) -> bool:
    return character not in ("", " ") and (
        character.isspace() or unicodedata.category(character) in ("Cc", "Cf")
    )


def _is_integer(text: str) -> bool:
    return bool(PLAIN_INTEGER.fullmatch(text)) and abs(int(text)) < 2**63


def odd_id(where: str, role: str, text: str, which: str) -> DataError:
    """Returns the error for an id that is no plain integer where others are."""
    what = f"is not a plain integer, but {which} are"
    if _is_number(text):
        what = f"is a number, but not written as a plain integer within int64, as {which} are"
    return DataError(
        f"{where}: the {role} id {text[:40]!r} {what}; correct the line, or if ids are text say so: --id-type str (in "
        "Python id_type='str')"
    )
