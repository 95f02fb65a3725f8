"""What ``bench/accuracy/news.yaml`` says, checked; its head explains the form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from pyrec.errors import ConfigError, DataError

from .fits import FITS


@dataclass(frozen=True)
class Entry:
    """A row of a table.

    Attributes:
        label: What it is called.
        table: The heading of its table.
        fit: One of `FITS`.
        params: Of the fit.
        draws: Whether seeds make a difference.
        seeds: How many there are, where that is not the plan's number.
        against: Labels that it is compared with.
    """

    label: str
    table: str
    fit: str
    params: Mapping[str, Any] = field(default_factory=dict)
    draws: bool = True
    seeds: int | None = None
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The YAML file, checked.

    Attributes:
        seeds: How many starts each entry has that draws.
        entries: In the file's order.
    """

    seeds: int
    entries: tuple[Entry, ...]

    def of(self, labels: Sequence[str] | None) -> Plan:
        """The plan with these entries alone.

        Raises:
            ConfigError: If there is no such entry.
        """
        if labels is None:
            return self
        known = {entry.label: entry for entry in self.entries}
        unknown = [label for label in labels if label not in known]
        if unknown:
            raise ConfigError(f"no entry is named {unknown[0]!r}; there are {'; '.join(known)}")
        return replace(self, entries=tuple(known[label] for label in labels))


def read(path: Path) -> Plan:
    """Reads and checks the YAML file.

    Raises:
        ConfigError: If it is no plan, or names something unknown.
        DataError: If it cannot be read.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if not isinstance(content, Mapping) or not {"seeds", "entries"} <= set(content):
        raise ConfigError(f"{path}: a plan is a mapping with the keys seeds and entries")
    entries = tuple(_entry(label, told) for label, told in content["entries"].items())
    labels = [entry.label for entry in entries]
    for entry in entries:
        unknown = [label for label in entry.against if label not in labels]
        if entry.fit not in FITS or unknown:
            raise ConfigError(
                f"{entry.label}: {(unknown or [entry.fit])[0]!r} is no entry of the plan, or no fit"
            )
    return Plan(int(content["seeds"]), entries)


def _entry(label: str, told: Mapping[str, Any]) -> Entry:
    try:
        return Entry(label, **{**told, "against": tuple(told.get("against", ()))})
    except TypeError as error:
        raise ConfigError(f"{label}: {error}") from None
