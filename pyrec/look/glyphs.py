"""Characters that the pictures' font has no glyph for, and that are drawn as boxes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pyrec._optional import need


def lacking(texts: Iterable[str]) -> str:
    """Return the characters that the pictures' font has no glyph for, each once; they are drawn as boxes."""
    fonts = need("matplotlib.font_manager", "a picture", "plots")
    font = fonts.get_font(fonts.findfont(fonts.FontProperties()))
    known = font.get_charmap()
    return "".join(dict.fromkeys(char for text in texts for char in text if ord(char) not in known))


@contextmanager
def boxes_without_warnings() -> Iterator[None]:
    """Draw such boxes without matplotlib's warning of each; who names the characters calls `lacking`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
