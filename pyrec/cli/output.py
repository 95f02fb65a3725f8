"""What the commands print: results on stdout, notes on stderr."""

from __future__ import annotations

import codecs
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

QUIET = "quiet"
"""The option of a command that prints its result and errors alone."""


def is_quiet() -> bool:
    """Whether the command that runs was asked to be quiet."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(QUIET))


def counted(count: int, things: str) -> str:
    """Return a number of things in words: ``1 history``, ``1,200 items``.

    Args:
        count: How many.
        things: In the plural.
    """
    one = things.removesuffix("ies") + "y" if things.endswith("ies") else things.removesuffix("s")
    return f"{count:,} {one if count == 1 else things}"


def note(text: str) -> None:
    """Print a line that is no result on stderr, unless the command is to be quiet; an error ends it beforehand."""
    if not is_quiet():
        click.echo(text, err=True)


def is_watched() -> bool:
    """Whether stderr is a terminal, where a bar can be drawn, and the command is not to be quiet."""
    return sys.stderr is not None and sys.stderr.isatty() and not is_quiet()


def terminal_width() -> int | None:
    """Return how many places a line has where standard output is a terminal; None elsewhere."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


@contextmanager
def any_encoding() -> Iterator[None]:
    r"""A block whose output can be written in any encoding.

    What an encoding lacks is written as ``\uXXXX``, as in JSON, which is told once. ASCII is what Python takes where
    the locale says nothing, so UTF-8 is written there.
    """
    before = []
    for name, stream in (("standard output", sys.stdout), ("standard error", sys.stderr)):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        before.append((stream, stream.encoding, stream.errors))
        if codecs.lookup(stream.encoding).name == "ascii":
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
        elif stream.errors == "strict":
            codecs.register_error(f"pyrec: {name}", _escape(f"{name} is {stream.encoding}"))
            stream.reconfigure(errors=f"pyrec: {name}")
    try:
        yield
    finally:
        for stream, encoding, errors in before:
            if not stream.closed:
                with suppress(BrokenPipeError):  # what is left to be written has no reader
                    stream.reconfigure(encoding=encoding, errors=errors)


def _escape(which: str) -> Callable[[UnicodeError], tuple[str, int]]:
    """Return what gives the characters that an encoding lacks as JSON's escapes."""
    told = False

    def escape(error: UnicodeError) -> tuple[str, int]:
        nonlocal told
        if not isinstance(error, UnicodeEncodeError):
            raise error
        if not told:
            told = True
            note(f"note: {which}; what that lacks is written as \\uXXXX, and PYTHONUTF8=1 writes UTF-8")
        units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end

    return escape


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print a result as JSON on stdout."""
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))
