"""The options that say where interactions come from, shared by the commands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from pyrec.cli.grouped_help import DATA, grouped
from pyrec.cli.output import note
from pyrec.data import Interactions
from pyrec.data.labels import DISLIKES, Dislikes
from pyrec.data.load import (
    Split,
    holds_pair,
    load_data,
    load_everything,
    load_training,
)
from pyrec.data.origin import DEFAULT_SEED, DEFAULT_SPLIT
from pyrec.data.read.files import STDIN, Content, is_pipe, opened
from pyrec.data.read.layout import Layout
from pyrec.data.read.parquet import MAGIC, find_roles, parts_of
from pyrec.data.read.readers import FOLDER_FILES, holds_parts, read_interactions
from pyrec.data.read.reading import FORMATS, Format, Reading
from pyrec.data.read.shape import Lists, find_shape
from pyrec.data.times import time_span
from pyrec.data.weights import DEFAULT
from pyrec.errors import ConfigError, DataError, PyrecError
from pyrec.evaluate.counts import count_test
from pyrec.models import Popularity, Recommender

Command = TypeVar("Command", bound=Callable[..., Any])


def data_help(one_file: str = "is split", without: str = "a built-in generated data set is used") -> str:
    """Return the paragraph of a command's help on DATA: what it does with one file, and what without any."""
    return f"""

DATA is a folder with train.txt and test.txt (lines "user item item ..."), or one file of interactions (CSV,
TSV, Parquet or a folder of its parts, RecBole .inter, MovieLens u.data, ratings.dat, ratings.csv), which {one_file};
--train and --test name two files instead. Files may be packed (gzip, zip, bzip2, xz, zstd); - is the standard input.
Without any, {without}."""


DATA_HELP = data_help()

SPLIT = {"split": DEFAULT_SPLIT, "split_seed": DEFAULT_SEED}
"""What holds for the options of a split that are not given."""

READING = (
    "min_rating",
    "id_type",
    "columns",
    "header",
    "sep",
    "format",
    "time_format",
    "dislikes",
    "positive",
)
"""Options about reading files."""

_LATER = (
    "columns",
    "header",
    "sep",
    "format",
    "time_format",
    "everything",
    "weights",
    "dislikes",
    "positive",
)
"""What the descriptions of older runs lack."""

_NEEDED = {"min_rating": "rating", "dislikes": "rating", "positive": "rating", "time_format": "time"}
"""The role without which an option about reading means nothing."""


@dataclass(frozen=True)
class Source:
    """Where interactions come from: the values of the options that `data_options` and `file_options` add.

    None stands for an option that was not given; one of a split means nothing where nothing is split.
    ``everything`` tells that nothing is split and all parts are learned from.
    """

    data: str | None = None
    train: str | None = None
    test: str | None = None
    min_rating: float | None = None
    split: float | Literal["time"] | None = None
    split_seed: int | None = None
    id_type: Literal["auto", "int", "str"] = "auto"
    columns: Mapping[str, str | int | None] | None = None
    header: bool | None = None
    sep: str | None = None
    format: Format | None = None
    time_format: str | None = None
    everything: bool = False
    weights: str | None = None
    dislikes: Dislikes | None = None
    positive: str | float | None = None

    @classmethod
    def take(cls, options: dict[str, Any]) -> Source:
        """Return the source, taking its options out of a command's keyword arguments."""
        values = {field.name: options.pop(field.name, field.default) for field in fields(cls)}
        for name in ("data", "train", "test"):
            path = values[name]
            values[name] = path if path is None or is_pipe(path) else str(Path(path).resolve())
        return cls(**values)

    @classmethod
    def from_json(cls, saved: object, where: str) -> Source:
        """Return a source that `as_json` described.

        Raises:
            DataError: If the description is not one.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(saved, Mapping) or {*saved, *_LATER} != names:
            raise DataError(
                f"{where} does not say what it was trained on; name what to measure on: DATA, or --train and --test"
            )
        values = dict(saved)
        defaults = {name: None for name, value in SPLIT.items() if values[name] == value}
        return cls(**(values | defaults))

    def as_json(self) -> dict[str, Any]:
        """Return the description that a run folder keeps, with the defaults of a split for what was not given.

        A pipe, which can be read once, is kept as the standard input.
        """
        values = asdict(self)
        if not values.pop("everything"):
            values |= {name: value for name, value in SPLIT.items() if values[name] is None}
        else:
            values["everything"] = True
        values |= {
            name: STDIN for name in ("data", "train", "test") if values[name] and is_pipe(values[name])
        }
        return values

    def or_as(self, other: Source) -> Source:
        """Return the source, read and split as ``other`` where it does not say how and that means something to it."""
        left = {name for name in READING if getattr(self, name) == getattr(Source, name)}
        if self.positive is not None:
            left -= {"min_rating", "dislikes"}
        elif not {"min_rating", "dislikes"} <= left:
            left -= {"positive"}
        source = replace(self, **{name: getattr(other, name) for name in left})
        for path in source._files():
            left -= source._meaningless(path, left)
        is_split = self.train is self.test is None and not holds_pair(self.data or "")
        if is_split and self.split is self.split_seed is None:
            left |= {"split", "split_seed"}
        return replace(self, **{name: getattr(other, name) for name in left})

    @property
    def given(self) -> bool:
        """Whether the user named any data."""
        return any(value is not None for value in (self.data, self.train, self.test))

    def load(self) -> Split:
        """Return the name, the training and the test part, the parts with common id maps.

        Raises:
            ConfigError: If the options contradict each other.
            DataError: If a file is missing or malformed, or a part is empty.
        """
        return load_data(**self._where())

    def load_everything(self) -> tuple[str, Interactions]:
        """Return the name and all interactions, of both files where there are two.

        Raises:
            ConfigError: If the options contradict each other, or a split is asked for.
            DataError: If a file is missing or malformed.
        """
        return load_everything(**self._where())

    def load_test(self) -> Interactions:
        """Return all interactions of the test file.

        Raises:
            ConfigError: If options of a split are given, for nothing is split.
            DataError: If there is no such file, or it is malformed.
        """
        if self.split is not None or self.split_seed is not None:
            raise ConfigError(
                "--test alone is measured on as a whole and nothing is split; leave out the split"
            )
        return self._read(self.test or "")

    def load_training(self) -> tuple[str, Interactions]:
        """Return the name and the training part; a test file is not opened.

        Raises:
            ConfigError: If the options contradict each other.
            DataError: If a file is missing or malformed, or a part is empty.
        """
        return load_training(**self._where())

    def read(self) -> Interactions:
        """Return the interactions of one file, or of a folder of Parquet files, that is DATA.

        Raises:
            ConfigError: If the options contradict each other or the file.
            DataError: If the file is missing or malformed.
        """
        return self._read(self.data or "")

    def _read(self, path: str) -> Interactions:
        return read_interactions(path, **{name: getattr(self, name) for name in READING})

    @property
    def is_one_file(self) -> bool:
        """Whether DATA alone is named, and is no folder of a training and a test file."""
        return self.data is not None and self.train is self.test is None and not holds_pair(self.data)

    def arguments(self) -> list[str]:
        """Return the command line's words that mean this source."""
        words = [] if self.data is None else [self.data]
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "data" or value == field.default:
                continue
            words += ["--all"] if field.name == "everything" else _words(field.name.replace("_", "-"), value)
        return words

    def _files(self) -> list[Path]:
        if self.data is not None and holds_pair(self.data):
            return [Path(self.data) / name for name in FOLDER_FILES]
        return [Path(name) for name in (self.data, self.train, self.test) if name is not None]

    def _meaningless(self, path: Path, names: set[str]) -> set[str]:
        """Return those of the options about reading that a file has no place for; none if it cannot be looked at."""
        if is_pipe(path):
            return set()
        try:
            if holds_parts(path):
                path = parts_of(path)[0]
            with opened(path) as content:
                return names & self._unused(content)
        except PyrecError:  # which loading will say
            return set()

    def _unused(self, content: Content) -> set[str]:
        """Return the options that a file has no place for."""
        if content.head.startswith(MAGIC):
            roles: Collection[str] = find_roles(content, Reading(columns=self.columns))
            unused = {"id_type", "header", "sep", *(["format"] if self.format != "parquet" else [])}
        else:
            found = find_shape(content, Reading())
            says_columns = (self.columns, self.header, self.sep) != (None, None, None)
            if isinstance(found, Lists) and not (found.is_even and says_columns):
                return {*READING} - ({"format"} if self.format == "lists" else set())
            unused = {"format"} if self.format == "parquet" else set()
            if isinstance(found, Layout):  # what it shows itself counts more than how another file was read
                unused |= {"sep"} if found.dialect.sep != self.sep else set()
                unused |= {"header"} if found.header is not None and self.header is False else set()
            left = {name: getattr(self, name) for name in ("columns", "header", "sep", "time_format")}
            reading = Reading("str", **{name: value for name, value in left.items() if name not in unused})
            try:
                layout = find_shape(content, reading)
            except ConfigError:  # there is no time
                layout = find_shape(content, replace(reading, time_format=None))
            roles = {} if isinstance(layout, Lists) else layout.roles
        return unused | {option for option, role in _NEEDED.items() if role not in roles}

    def _where(self) -> dict[str, Any]:
        options = asdict(self)
        options["seed"] = options.pop("split_seed")
        options.pop("everything")
        return options


def _words(option: str, value: Any) -> list[str]:
    """Return how an option and its value are written; columns as ``ROLE=NAME,...``."""
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if isinstance(value, Mapping):
        value = ",".join(f"{role}={'' if column is None else column}" for role, column in value.items())
    return [f"--{option}", str(value)]


def _split_value(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> float | Literal["time"] | None:
    if value is None:
        return None
    if value == "time":
        return "time"
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a fraction such as 0.8 nor 'time'") from None


def _columns_value(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> dict[str, str | int | None] | None:
    if value is None:
        return None
    parts = [part.partition("=") for part in value.split(",")]
    roles = [role.strip() for role, _, _ in parts]
    if not all(sign for _, sign, _ in parts) or len(set(roles)) < len(roles):
        raise click.BadParameter(f"{value!r} is no list such as user=customer,item=product or user=2,item=3")
    names = [column.strip() for _, _, column in parts]
    return {role: _column(name) for role, name in zip(roles, names, strict=True)}


def _column(name: str) -> str | int | None:
    if not name:
        return None
    return int(name) if name.isdecimal() else name


def _sep_value(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> str | None:
    return "\t" if value == "\\t" else value


def file_options(command: Command) -> Command:
    """Add DATA and the options about reading it to a command; `Source.take` reads them."""
    for decorate in (
        grouped(
            DATA,
            "--id-type",
            type=click.Choice(["auto", "int", "str"]),
            default="auto",
            show_default=True,
            help="Read ids as integers or text.",
        ),
        grouped(
            DATA,
            "--columns",
            callback=_columns_value,
            metavar="ROLE=NAME,...",
            help="Which columns are the user, item, rating, time, weight and position, by name or number: "
            "user=customer,item=3; time= for none. [default: by well-known names]",
        ),
        grouped(
            DATA,
            "--header/--no-header",
            default=None,
            help="Whether the first line is a header. [default: found out]",
        ),
        grouped(
            DATA,
            "--sep",
            callback=_sep_value,
            metavar="TEXT",
            help=r"What is between columns: , or \t or ' ' for any blanks. [default: found out]",
        ),
        grouped(
            DATA,
            "--format",
            type=click.Choice(FORMATS),
            help='Whether the file is delimited columns, lists "user item item ..." or Parquet. [default: found out]',
        ),
        grouped(
            DATA,
            "--time-format",
            metavar="FORMAT",
            help="How times as text are written: %d/%m/%Y. [default: ISO 8601]",
        ),
        grouped(
            DATA,
            "--dislikes",
            type=click.Choice(DISLIKES),
            help="What happens to ratings below --min-rating: they are left out, seen but not learned from, or "
            f"negatives for --loss pointwise. [default: {DISLIKES[0]}]",
        ),
        grouped(
            DATA,
            "--positive",
            metavar="RULE",
            help="Which ratings are positive, such as 'rating>=4' or 'rating>4'; the others are negatives. The same as "
            "--min-rating 4 --dislikes negatives.",
        ),
        grouped(DATA, "--min-rating", type=float, metavar="X", help="Keep ratings from X up."),
        grouped(DATA, "--test", metavar="FILE", help="File of test interactions, with --train."),
        grouped(DATA, "--train", metavar="FILE", help="File of training interactions, with --test."),
        click.argument("data", required=False),
    ):
        command = decorate(command)
    return command


def data_options(command: Command) -> Command:
    """Add `file_options` and those about splitting one file."""
    for decorate in (
        grouped(DATA, "--split-seed", type=int, help=f"Seed of a random split. [default: {DEFAULT_SEED}]"),
        grouped(
            DATA,
            "--split",
            callback=_split_value,
            metavar="FRACTION|time",
            help="How one file is split: the training share, drawn at random, or by time (older 80 %). "
            f"[default: {DEFAULT_SPLIT}]",
        ),
        grouped(
            DATA,
            "--weights",
            metavar="log1p|bm25|cap:N|none",
            help="How weights, such as counts of plays, are made even before training: by their logarithm, by BM25, "
            f"by a bound, or not. [default: {DEFAULT}]",
        ),
        file_options,
    ):
        command = decorate(command)
    return command


def note_reading(*parts: Interactions) -> None:
    """Print what was decided in reading the parts, each sentence once, on stderr."""
    for text in dict.fromkeys(text for part in parts for text in part.notes):
        note(f"note: {text}")


def note_training(name: str, train: Interactions) -> None:
    """Print what there is to say about a training part alone, on stderr."""
    note_reading(train)
    note(
        f"{name}: {train.num_users:,} users x {train.num_items:,} items, {len(train):,} training interactions"
    )


def note_use(source: Source, train: Interactions, model: Recommender) -> None:
    """Print what training takes no account of, on stderr.

    Args:
        source: Where the interactions come from.
        train: The training part.
        model: What is trained.
    """
    if train.weights is not None and isinstance(model, Popularity):
        note("note: popularity takes no account of the weights: it counts interactions")
    by_rating = getattr(getattr(model, "loss", None), "target", None) == "rating"
    if train.ratings is not None and source.min_rating is source.positive is None and not by_rating:
        low, high = train.ratings.min(), train.ratings.max()
        note(
            f"note: ratings, {low:g} to {high:g}, do not count: each is a like; --min-rating X leaves those below X out"
        )
    if train.times is not None and source.split == "time" and (span := time_span(train.times)):
        note(f"note: the split is by time; the training part ends at {span.last}")
    elif train.times is not None and source.is_one_file and not source.everything:
        note("note: times do not count; --split time tests on the latest interactions")


def describe(name: str, train: Interactions, test: Interactions | None) -> str:
    """Return what there is to say about the data, a line each; without a test set all of them are learned from."""
    if test is None:
        return (
            f"{name}: {train.num_users:,} users x {train.num_items:,} items, "
            f"{len(train):,} interactions, all to learn from; nothing is left to measure on"
        )
    text = (
        f"{name}: {train.num_users:,} users x {train.num_items:,} items, "
        f"{len(train):,} training and {len(test):,} test interactions"
    )
    return "\n".join([text, *(f"note: {found}" for found in count_test(train, test).notes)])
