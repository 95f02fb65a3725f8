"""Where news come from: a folder of articles and impressions, or generated ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

import click

from pyrec.data import generate_news, read_news
from pyrec.data.news import News, NewsSplit
from pyrec.data.origin import DEFAULT_SPLIT
from pyrec.data.read.news.parts import find_parts
from pyrec.errors import DataError

FAMILY: Final = "news"
GENERATED: Final = "generated news"


@dataclass(frozen=True)
class NewsSource:
    """Where news come from: the values of the options that say so; None for one that was not given.

    Attributes:
        data: A folder; None for generated news.
        test: Another one, to be measured on.
        split: The share of the impressions, the earliest ones, that is learned from, where no folder is to be
            measured on.
        everything: Whether all impressions are learned from and nothing is measured.
        columns: Names of columns by role, where they are not well known.
        time_format: How times are written.
    """

    data: str | None = None
    test: str | None = None
    split: float | None = None
    everything: bool = False
    columns: Mapping[str, str] | None = None
    time_format: str | None = None

    @classmethod
    def take(cls, options: Mapping[str, Any]) -> NewsSource:
        """Return the source that a command's keyword arguments name.

        Raises:
            UsageError: If they contradict each other.
        """
        data, test = (
            None if options[name] is None else str(Path(options[name]).resolve()) for name in ("data", "test")
        )
        split, everything = _share(options["split"]), bool(options.get("everything"))
        if split is not None and (test is not None or everything or data is None):
            raise click.UsageError("--split is for one folder of news without a test part; leave it out")
        return cls(data, test, split, everything, _names(options["columns"]), options["time_format"])

    @classmethod
    def from_json(cls, saved: object, where: str) -> NewsSource:
        """Return a source that `as_json` described.

        Raises:
            DataError: If the description is not one.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(saved, Mapping) or set(saved) != {"family", *names} or saved["family"] != FAMILY:
            raise DataError(f"{where} does not say what it was trained on; name a folder of news, DATA")
        return cls(**{name: saved[name] for name in names})

    def as_json(self) -> dict[str, Any]:
        """Return the description that a run folder keeps."""
        return {"family": FAMILY, **asdict(self)}

    @property
    def given(self) -> bool:
        """Whether a folder is named."""
        return self.data is not None or self.test is not None

    def arguments(self) -> list[str]:
        """Return the command line's words that mean this source."""
        columns = None if self.columns is None else ",".join("=".join(pair) for pair in self.columns.items())
        values = {
            "--test": self.test,
            "--split": None if self.split is None else f"{self.split:g}",
            "--columns": columns,
            "--time-format": self.time_format,
        }
        words = [] if self.data is None else [self.data]
        words += [word for flag, value in values.items() if value is not None for word in (flag, value)]
        return [*words, *(["--all"] if self.everything else [])]

    def load(self) -> NewsSplit:
        """Return the name, the training part and the part to measure on; that is None where all are learned from.

        Raises:
            ConfigError: If a folder that has a test part is to be split.
            DataError: If a file is missing or malformed, or a part is empty.
        """
        if self.data is None:
            if self.test is not None:
                raise DataError(f"--test {self.test} is measured on; name the news to learn from, DATA")
            made = generate_news()
            found = NewsSplit(GENERATED, made.train, made.test)
        else:
            found = self._read(self.data, self.test, None if self.everything else self._share())
        return found._replace(train=_joined(found), test=None) if self.everything else found

    def load_to_measure(self) -> tuple[str, News]:
        """Return the name of the news that are named and what of them is measured on: their test part, else all.

        Raises:
            DataError: As from `load`.
        """
        folder = self.test if self.data is None else self.data
        assert folder is not None
        found = self._read(folder, None if self.data is None else self.test, self.split)
        return found.name, found.train if found.test is None else found.test

    def read_as(self, other: NewsSource) -> NewsSource:
        """Return the source, read as another where it does not say how."""
        columns, times = self.columns or other.columns, self.time_format or other.time_format
        return replace(self, columns=columns, time_format=times)

    def _share(self) -> float | None:
        """The share that is learned from; None where there is a test part."""
        assert self.data is not None
        has_test = find_parts(Path(self.data), None if self.test is None else Path(self.test))[1] is not None
        return DEFAULT_SPLIT if self.split is None and not has_test else self.split

    def _read(self, folder: str, test: str | None, split: float | None) -> NewsSplit:
        return read_news(folder, test, split=split, columns=self.columns, time_format=self.time_format)


def _joined(found: NewsSplit) -> News:
    """Return all impressions whose clicks are known."""
    if found.test is None or found.test.impressions.clicks is None:
        return found.train
    return found.train.joined(found.test)


def _share(split: float | Literal["time"] | None) -> float | None:
    """Return the share of a split; "time" is that of news anyway."""
    if split is None or split == "time":
        return None
    if not 0 < split < 1:
        raise click.UsageError(f"--split {split:g} is no share between 0 and 1")
    return split


def _names(columns: Mapping[str, str | int | None] | None) -> dict[str, str] | None:
    """Return the columns that were named.

    Raises:
        UsageError: If one is a number or nothing.
    """
    if columns is None:
        return None
    for role, name in columns.items():
        if not isinstance(name, str):
            raise click.UsageError(
                f"--columns {role}={'' if name is None else name}: columns of news have names"
            )
    return {role: str(name) for role, name in columns.items()}
