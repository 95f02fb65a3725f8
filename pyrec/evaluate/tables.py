"""Plain text tables, as results are printed."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Final

WIDEST: Final = 60
"""Places of a column; a longer cell moves the rest of its own row, and widens no other."""
NARROWEST: Final = 12
"""Places that are left to a column of text, however narrow the terminal."""
DOTS: Final = "…"


def table(
    rows: Sequence[Sequence[str]],
    left: Collection[int] = (0,),
    cut: Collection[int] = (),
    width: int | None = None,
) -> str:
    """Return rows of cells as lines.

    Args:
        rows: The cells; what is no printable character is shown as a blank.
        left: Columns that are aligned to the left, the others to the right.
        cut: Columns whose cells are cut where a line would be longer than ``width``.
        width: Places of a line; None for any number.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [min(WIDEST, max(width_of(row[column]) for row in shown)) for column in range(len(shown[0]))]
    if width is not None:
        widths = _narrowed(widths, cut, width)
        shown = [
            [shortened(cell, widths[at]) if at in cut else cell for at, cell in enumerate(row)]
            for row in shown
        ]
    return "\n".join(
        "  ".join(_padded(cell, widths[at], at in left) for at, cell in enumerate(row)).rstrip()
        for row in shown
    )


def printable(text: str) -> str:
    """Return a text of one line without signs that steer a terminal: these and line breaks become blanks."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else " " for sign in text)


def width_of(text: str) -> int:
    """Return how many places of a terminal a text takes: two for signs of East Asian scripts, none for accents."""
    if text.isascii():
        return len(text)
    return sum(_places(sign) for sign in text)


def shortened(text: str, width: int) -> str:
    """Return a text of at most so many places, with dots in the place of what was cut."""
    if width_of(text) <= width:
        return text
    taken, kept = 1, []
    for sign in text:
        taken += _places(sign)
        if taken > width:
            break
        kept.append(sign)
    return "".join(kept).rstrip() + DOTS


def metric_rows(columns: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """Return a header and a row for each metric, with a column of values for each model."""
    names = list(dict.fromkeys(name for values in columns.values() for name in values))
    rows = [["metric", *columns]]
    for name in names:
        rows.append([name, *(f"{values[name]:.4f}" if name in values else "" for values in columns.values())])
    return rows


def _places(sign: str) -> int:
    if unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def _padded(cell: str, width: int, left: bool) -> str:
    blanks = " " * (width - width_of(cell))
    return cell + blanks if left else blanks + cell


def _narrowed(widths: Sequence[int], cut: Collection[int], width: int) -> list[int]:
    """Return the widths with columns that may be cut as wide as the others leave room for, in equal shares."""
    narrowed = list(widths)
    room = width - sum(widths[at] for at in range(len(widths)) if at not in cut) - 2 * (len(widths) - 1)
    by_need = sorted(cut, key=lambda at: widths[at])
    for done, at in enumerate(by_need):
        share = max(NARROWEST, room // (len(by_need) - done))
        narrowed[at] = min(widths[at], share)
        room -= narrowed[at]
    return narrowed
