"""What may be meant by an id that is unknown: items by what they are called, ids by their spelling."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

MOST_COMPARED: Final = 200_000
"""Texts that a mistyped one is compared with; among more none is suggested, as that would take seconds."""
SUGGESTED: Final = 3
"""Ids that are suggested at most."""


def like_name(text: str, names: Mapping[Any, str], best: Callable[[list[Any]], list[Any]]) -> list[Any]:
    """Return the ids whose name holds the text, else those whose name is spelled much like it.

    Args:
        text: What was given for an id.
        names: By raw id.
        best: Puts ids in the order in which they are suggested.
    """
    wanted = text.casefold().strip()
    if not wanted or wanted.isdecimal():
        return []
    if found := [raw for raw, name in names.items() if wanted in name.casefold()]:
        return best(found)[:SUGGESTED]
    return _near(wanted, {name.casefold(): raw for raw, name in names.items()})


def like_spelling(text: str, ids: Iterable[str]) -> list[str]:
    """Return the ids that are spelled much like a text, whatever its capitals."""
    return _near(text.casefold().strip(), {raw.casefold(): raw for raw in ids})


def _near(wanted: str, known: Mapping[str, Any]) -> list[Any]:
    if len(known) > MOST_COMPARED:
        return []
    return [known[text] for text in difflib.get_close_matches(wanted, known, SUGGESTED)]


def did_you_mean(shown: Sequence[str]) -> str:
    """Return the question in a message; empty for nothing to suggest."""
    return f"did you mean {' or '.join(shown)}" if shown else ""
