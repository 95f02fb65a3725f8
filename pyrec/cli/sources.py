"""The options that say where interactions come from, shared by the commands."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import numpy as np

from pyrec.cli.grouped_help import DATA, grouped
from pyrec.cli.output import note
from pyrec.cli.propensity_weights import ips_option, weighed_by_propensity
from pyrec.data import Interactions
from pyrec.data.labels import DISLIKES, Dislikes
from pyrec.data.load import (
    Split,
    WithUniform,
    holds_pair,
    load_data,
    load_everything,
    load_training,
    load_with_uniform,
)
from pyrec.data.origin import DEFAULT_SEED, DEFAULT_SPLIT, UNIFORM
from pyrec.data.read.files import STDIN, Content, is_pipe, opened
from pyrec.data.read.layout import Layout
from pyrec.data.read.parquet import MAGIC, find_roles, parts_of
from pyrec.data.read.readers import FOLDER_FILES, holds_parts, read_interactions, uniform_files
from pyrec.data.read.reading import FORMATS, Format, Reading
from pyrec.data.read.shape import Lists, Matrix, find_shape
from pyrec.data.times import time_span
from pyrec.data.uniform import SHARED, SHARES, Shared, shared_pairs
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

NEWS_HELP = """

Or DATA is a folder of news: MIND's news.tsv and behaviors.tsv, EB-NeRD's Parquet, or plain columns, or one with the
folders train and dev, validation or test of such files. Models of news learn from it; without DATA they learn from
generated news."""
"""The paragraph of a command's help on news."""

SPLIT = {"split": DEFAULT_SPLIT, "split_seed": DEFAULT_SEED}
"""What holds for the options of a split that are not given."""

DEFAULTS = {**SPLIT, "uniform_split": SHARES}
"""Likewise, with a uniform set's."""

_PATHS = ("data", "train", "test", "uniform")

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
    *UNIFORM,
    "ips",
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
    uniform: str | None = None
    uniform_columns: Mapping[str, str | int | None] | None = None
    uniform_split: tuple[float, float, float] | None = None
    shared: Shared | None = None
    ips: str | None = None

    @classmethod
    def take(cls, options: dict[str, Any]) -> Source:
        """Return the source, taking its options out of a command's keyword arguments."""
        values = {field.name: options.pop(field.name, field.default) for field in fields(cls)}
        for name in _PATHS:
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
        if isinstance(values.get("uniform_split"), list):
            values["uniform_split"] = tuple(values["uniform_split"])
        defaults = {name: None for name, value in DEFAULTS.items() if values.get(name) == value}
        return cls(**(values | defaults))

    def as_json(self) -> dict[str, Any]:
        """Return the description that a run folder keeps, with the defaults of a split for what was not given.

        A pipe, which can be read once, is kept as the standard input.
        """
        values = asdict(self)
        if not values.pop("everything"):
            meant = ("split_seed", "uniform_split") if self.has_uniform else SPLIT
            values |= {name: DEFAULTS[name] for name in meant if values[name] is None}
        else:
            values["everything"] = True
        if values["uniform_split"] is not None:
            values["uniform_split"] = list(values["uniform_split"])
        return values | {name: STDIN for name in _PATHS if values[name] and is_pipe(values[name])}

    def or_as(self, other: Source) -> Source:
        """Return the source, read and split as ``other`` where it does not say how and that means something to it."""
        left = {name for name in READING if getattr(self, name) == getattr(Source, name)}
        if not {"min_rating", "dislikes"} <= left:
            left -= {"positive"}
        if self.positive is not None or self.has_uniform:
            left -= {"min_rating", "dislikes"}
        source = replace(self, **{name: getattr(other, name) for name in left})
        rule = left & {"positive"} if self.has_uniform else set()  # of the uniform set, whatever DATA have
        for path in source._files():
            left -= source._meaningless(path, left)
        left |= rule
        is_split = self.train is self.test is None and not holds_pair(self.data or "")
        if self.has_uniform:
            own = (*UNIFORM[1:], "split_seed")
            left |= {name for name in own if getattr(self, name) is None}
        elif is_split and self.split is self.split_seed is None:
            left |= {"split", "split_seed"}
        return replace(self, **{name: getattr(other, name) for name in left})

    @property
    def has_uniform(self) -> bool:
        """Whether a uniform set is beside the interactions: named, or in DATA's folder."""
        return self.uniform is not None or (self.data is not None and uniform_files(self.data) is not None)

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
        found = load_data(**self._without_uniform())
        return found._replace(train=weighed_by_propensity(found.train, None, self.ips))

    def load_debiasing(self) -> WithUniform:
        """Return the name, all interactions, which are learned from, and the parts of the uniform set.

        Raises:
            ConfigError: If there is no uniform set, or the options contradict each other.
            DataError: If a file is missing or malformed, or a part is empty.
        """
        if not self.has_uniform:
            raise ConfigError("there is no uniform set; name its file: --uniform FILE, beside DATA")
        if self.train is not None or self.test is not None or self.data is None:
            raise ConfigError(
                "--uniform is beside DATA, all of which is learned from; name the interactions as DATA"
            )
        if self.everything:
            raise ConfigError(
                "--all beside a uniform set: every interaction is learned from anyway; --uniform-split 100/0/0 learns "
                "from every uniform pair, too"
            )
        where = {name: value for name, value in self._arguments().items() if name not in ("train", "test")}
        shares = SHARES if self.uniform_split is None else self.uniform_split
        told = {name: getattr(self, name) for name in UNIFORM if name != "uniform_split"}
        found = load_with_uniform(**where, **told, shares=shares)
        weighed = weighed_by_propensity(found.interactions, found.uniform.train, self.ips)
        return found._replace(interactions=weighed)

    def load_everything(self) -> tuple[str, Interactions]:
        """Return the name and all interactions, of both files where there are two.

        Raises:
            ConfigError: If the options contradict each other, or a split is asked for.
            DataError: If a file is missing or malformed.
        """
        name, whole = load_everything(**self._without_uniform())
        return name, weighed_by_propensity(whole, None, self.ips)

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
        name, train = load_training(**self._without_uniform())
        return name, weighed_by_propensity(train, None, self.ips)

    def read(self) -> Interactions:
        """Return the interactions of one file, or of a folder of Parquet files, that is DATA.

        Raises:
            ConfigError: If the options contradict each other or the file.
            DataError: If the file is missing or malformed.
        """
        return self._read(self.data or "")

    def _read(self, path: str) -> Interactions:
        said = self._without_uniform()
        return read_interactions(path, **{name: said[name] for name in READING})

    @property
    def is_one_file(self) -> bool:
        """Whether DATA alone is named, and is no folder of two files."""
        is_alone = self.data is not None and self.train is self.test is self.uniform is None
        return is_alone and not holds_pair(self.data or "")

    def arguments(self) -> list[str]:
        """Return the command line's words that mean this source."""
        words = [] if self.data is None else [self.data]
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "data" or value == field.default:
                continue
            words += ["--all"] if field.name == "everything" else _words(field.name, value)
        return words

    def _files(self) -> list[Path]:
        if self.data is not None and (found := uniform_files(self.data)):
            return [found[0]]
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
            if isinstance(found, Matrix):
                told = {"format", "sep"} if self.format == "matrix" else set()
                return {"id_type", "columns", "header", "time_format", "format", "sep"} - told
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
            roles = layout.roles if isinstance(layout, Layout) else {}
        return unused | {option for option, role in _NEEDED.items() if role not in roles}

    def _arguments(self) -> dict[str, Any]:
        """Return the arguments of a function that loads, but those of a uniform set."""
        others = ("everything", "ips", *UNIFORM)
        options = {name: value for name, value in asdict(self).items() if name not in others}
        options["seed"] = options.pop("split_seed")
        return options

    def _without_uniform(self) -> dict[str, Any]:
        """Return the arguments of a function that loads no uniform set.

        Raises:
            ConfigError: If something is said of one.
        """
        for name in UNIFORM:
            if (value := getattr(self, name)) is not None:
                raise ConfigError(
                    f"{' '.join(_words(name, value))}, but no uniform set is read; leave it out"
                )
        return self._arguments()


def _words(option: str, value: Any) -> list[str]:
    """Return how an option and its value are written; columns as ``ROLE=NAME,...``."""
    option = option.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if isinstance(value, tuple):
        value = "/".join(f"{100 * share:.9g}" for share in value)
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


def _shares_value(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> tuple[float, float, float] | None:
    if value is None:
        return None
    try:
        percents = [float(part) for part in value.split("/")]
    except ValueError:
        percents = []
    total = sum(percents)
    if len(percents) != 3 or not math.isclose(total, 100, rel_tol=0, abs_tol=1e-7) or min(percents) < 0:
        summed = f", but sums to {total:g}" if len(percents) == 3 else ""
        raise click.BadParameter(
            f"{value!r} is to be three percentages that sum to 100, training/validation/test, such as 5/5/90{summed}"
        )
    first, second, third = (percent / 100 for percent in percents)
    return first, second, third


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
            help='Whether the file is delimited columns, lists "user item item ...", a matrix of users x items, or '
            "Parquet. [default: found out]",
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


def uniform_options(command: Command) -> Command:
    """Add the options about a uniform set beside DATA to a command; `Source.load_debiasing` reads it."""
    for decorate in (
        grouped(
            DATA,
            "--shared",
            type=click.Choice(SHARED),
            help="What happens to uniform pairs that are interactions, too. [default: keep, and say how many]",
        ),
        grouped(
            DATA,
            "--uniform-split",
            callback=_shares_value,
            metavar="TRAIN/VALIDATION/TEST",
            help="Percentages of the uniform pairs that are learned from, choose the epoch, and are tested on. "
            "[default: 5/5/90]",
        ),
        grouped(
            DATA,
            "--uniform-columns",
            callback=_columns_value,
            metavar="ROLE=NAME,...",
            help="The columns of the uniform file, if they are others than --columns.",
        ),
        grouped(
            DATA,
            "--uniform",
            metavar="FILE",
            help="Pairs that were shown at random, with ratings; all of DATA is then learned from. A folder with "
            "user.txt and random.txt, as DATA, holds both.",
        ),
    ):
        command = decorate(command)
    return command


def data_options(command: Command) -> Command:
    """Add `file_options` and those about splitting one file."""
    for decorate in (
        ips_option,
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
    if train.ratings is not None and train.labels is None and source.min_rating is None and not by_rating:
        low, high = train.ratings.min(), train.ratings.max()
        note(
            f"note: ratings, {low:g} to {high:g}, do not count: each is a like; --min-rating X leaves those below X out"
        )
    if train.times is not None and source.split == "time" and (span := time_span(train.times)):
        note(f"note: the split is by time; the training part ends at {span.last}")
    elif train.times is not None and source.is_one_file and not source.everything:
        note("note: times do not count; --split time tests on the latest interactions")


def labelled(part: Interactions) -> str:
    """Return how many of some interactions are positive and negative, in brackets; nothing without labels."""
    if part.labels is None:
        return ""
    positives = int(np.count_nonzero(part.labels > 0))
    return f" ({positives:,} positive, {len(part) - positives:,} negative)"


def describe_debiasing(found: WithUniform) -> str:
    """Return what there is to say about interactions beside a uniform set, a line each."""
    train, parts = found.interactions, found.uniform
    sizes = ", ".join(
        f"{len(part):,} to {use}" for part, use in zip(parts, ("learn from", "validate", "test"), strict=True)
    )
    shared = [int(np.count_nonzero(shared_pairs(part, train))) for part in parts]
    told = (
        f"{found.name}: {train.num_users:,} users x {train.num_items:,} items, {len(train):,} training interactions"
        f"{labelled(train)}\nuniform pairs: {sizes}{labelled(parts.test)}"
    )
    if any(shared):
        told += f"\nnote: {shared[-1]:,} of the tested pairs are training interactions, too"
    return told


def describe(name: str, train: Interactions, test: Interactions | None) -> str:
    """Return what there is to say about the data, a line each; without a test set all of them are learned from."""
    if test is None:
        return (
            f"{name}: {train.num_users:,} users x {train.num_items:,} items, "
            f"{len(train):,} interactions{labelled(train)}, all to learn from; nothing is left to measure on"
        )
    text = (
        f"{name}: {train.num_users:,} users x {train.num_items:,} items, "
        f"{len(train):,} training{labelled(train)} and {len(test):,} test interactions{labelled(test)}"
    )
    return "\n".join([text, *(f"note: {found}" for found in count_test(train, test).notes)])
