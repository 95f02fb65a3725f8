"""What a race measured, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One contender's rounds, in seconds."""

    name: str
    median: float
    iqr: float
    rounds: int
    scale: float
    bytes: int | None

    def __str__(self) -> str:
        spread = f"± {milliseconds(self.iqr / 2)} ms" if self.rounds >= 3 else f"ms in {self.rounds} rounds"
        return f"{milliseconds(self.median)} {spread}" + (", scaled" if self.scale > 1 else "")


@dataclass(frozen=True)
class Result:
    """A race: ours, and the rivals from the best to the worst."""

    name: str
    info: dict[str, Any]
    ours: Entry
    rivals: list[Entry]

    @property
    def ratio(self) -> float:
        """How many times the best rival's speed ours has."""
        return self.rivals[0].median / self.ours.median


def milliseconds(seconds: float) -> str:
    """Three digits."""
    value = 1e3 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
