"""Plain text tables, as results are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WIDEST = 60
"""Characters of a column; a longer cell moves the rest of its own row, and widens no other."""


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines: the first column to the left, the others to the right."""
    widths = [min(WIDEST, max(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())
    return "\n".join(lines)


def metric_rows(columns: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """Return a header and a row for each metric, with a column of values for each model."""
    names = list(dict.fromkeys(name for values in columns.values() for name in values))
    rows = [["metric", *columns]]
    for name in names:
        rows.append([name, *(f"{values[name]:.4f}" if name in values else "" for values in columns.values())])
    return rows
