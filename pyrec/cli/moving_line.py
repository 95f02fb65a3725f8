"""One line on stderr that says what goes on and how long it will take."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

from tqdm import tqdm  # type: ignore[import-untyped]

from pyrec.cli.output import is_watched, note
from pyrec.tune.budget import Progress
from pyrec.tune.estimate import in_words

REDRAWN: Final = 0.2
"""Seconds between two states of the line on a terminal."""
TOLD: Final = 15.0
"""Seconds between two lines elsewhere."""

NARROW: Final = 79
"""Characters of a line where the terminal does not tell its width."""


class MovingLine:
    """A line that is written anew on a terminal, and now and then as a line of its own elsewhere."""

    def __init__(self, metric: str) -> None:
        """Begin.

        Args:
            metric: What the best is shown by, such as ``recall@10``.
        """
        self._metric = metric
        self._shown = time.monotonic()
        self._bar: Any = None
        if is_watched():
            self._bar = tqdm(bar_format="{desc}", file=sys.stderr, dynamic_ncols=True, leave=False)

    def __enter__(self) -> MovingLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: Progress) -> None:
        """Say how far a search is, unless that was said a moment ago."""
        now = time.monotonic()
        if now - self._shown < (TOLD if self._bar is None else REDRAWN):
            return
        self._shown = now
        text = in_a_line(progress, self._metric)
        if self._bar is None:
            note(text)
        else:
            width = self._bar.format_dict["ncols"] or NARROW  # a longer line would wrap and stay
            self._bar.set_description_str(text[:width])

    def note(self, text: str) -> None:
        """Print a line that stays, above the moving one."""
        if self._bar is None:
            note(text)
        else:
            self._bar.clear()
            note(text)
            self._bar.refresh()


def in_a_line(progress: Progress, metric: str) -> str:
    """Return how far a search is, in words."""
    words = [f"{progress.label}, trial {progress.trial}"]
    if progress.epochs:
        words.append(f"epoch {progress.epoch}/{progress.epochs}")
    if progress.best is not None:
        by = "" if progress.best_label == progress.label else f" by {progress.best_label}"
        words.append(f"best {metric} {progress.best:.4f}{by}")
    if progress.left is not None:
        words.append(f"about {in_words(progress.left)} left")
    return "  ".join(words)
