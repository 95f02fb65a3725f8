"""Estimates of time as people read them; `pyrec.Recommender.training_seconds` makes them."""

from __future__ import annotations

from typing import Final

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE


def in_words(seconds: float) -> str:
    """Return a time with two digits at most: ``40 seconds``, ``3 minutes``, ``1.5 hours``."""
    if seconds < 1.5 * MINUTE:
        return _counted(max(round(seconds), 1), "second")
    if seconds < 1.5 * HOUR:
        return _counted(round(seconds / MINUTE), "minute")
    hours = seconds / HOUR
    return f"{hours:.1f} hours" if hours < 10 else f"{hours:,.0f} hours"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" + ("" if number == 1 else "s")
