"""What the commands print: results on stdout, notes on stderr."""

from __future__ import annotations

import json
from typing import Any

import click


def note(text: str) -> None:
    """Print a line that is no result on stderr."""
    click.echo(text, err=True)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print a result as JSON on stdout."""
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))
