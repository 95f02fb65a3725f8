"""What a command line trains and tests on: a folder, a file that is split, two files, or generated data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import numpy as np

from pyrec.data.interactions import Interactions
from pyrec.data.labels import Dislikes, Likes
from pyrec.data.origin import DEFAULT_SEED, DEFAULT_SPLIT, Origin, origin_of, uniform_origin
from pyrec.data.read.files import is_pipe
from pyrec.data.read.readers import (
    FOLDER_FILES,
    file_of_folder,
    folder_by,
    holds_parts,
    pair_by,
    read_by,
)
from pyrec.data.read.reading import Format, IdType, Reading
from pyrec.data.read.uniform import with_uniform_by
from pyrec.data.roles import Columns
from pyrec.data.split import split_random, split_time, union
from pyrec.data.synthetic import synthetic
from pyrec.data.uniform import SHARES, Shared, UniformParts, check_shares, split_uniform
from pyrec.data.weights import DEFAULT, check_transform, transform_weights
from pyrec.errors import ConfigError, DataError

if TYPE_CHECKING:
    from typing_extensions import Unpack


class LoadOptions(TypedDict, total=False):
    """How data are read, labelled, weighed and split; what is left out is None, but "auto" for ``id_type``.

    Attributes:
        split: the training part's fraction of a random split, or "time" for the earliest 80 %; for a single
            file and generated data alone, with 0.8 for None.
        seed: of a random split, with 0 for None.
        min_rating: keep the ratings from this up.
        dislikes: what happens to ratings below `min_rating`; see `pyrec.data.read_interactions`.
        positive: a rule that makes labels of ratings, instead of both; likewise.
        weights: how the training part's weights are made of what was read; see `pyrec.data.transform_weights`.
            None for "log1p" where there are some.
        id_type: see `pyrec.data.read_interactions`.
        columns: likewise.
        header: likewise.
        sep: likewise.
        format: likewise.
        time_format: likewise.
    """

    split: float | Literal["time"] | None
    seed: int | None
    min_rating: float | None
    dislikes: Dislikes | None
    positive: str | float | None
    weights: str | None
    id_type: IdType
    columns: Columns | None
    header: bool | None
    sep: str | None
    format: Format | None
    time_format: str | None


class WithUniform(NamedTuple):
    """Interactions that users chose, all to learn from, and a uniform set in parts; all with the same id maps.

    Attributes:
        name: what the data are called: the folder's or file's name.
        interactions: all of them, with labels unless there were no ratings.
        uniform: the parts of the uniform set, with labels.
    """

    name: str
    interactions: Interactions
    uniform: UniformParts


class Split(NamedTuple):
    """A training and a test part with the same id maps.

    Attributes:
        name: what the data are called: the folder's or file's name, "synthetic" for generated data.
        train: the training part.
        test: the test part.
    """

    name: str
    train: Interactions
    test: Interactions


def load_data(
    data: str | Path | None = None,
    train: str | Path | None = None,
    test: str | Path | None = None,
    **options: Unpack[LoadOptions],
) -> Split:
    """Loads a training and a test part.

    Args:
        data: a folder with ``train.txt`` and ``test.txt``, or one file, which is split.
        train: instead of `data`, the training file; with `test`.
        test: the test file.
        options: `LoadOptions`, such as ``min_rating=4, split="time"``.

    Raises:
        ConfigError: the arguments exclude each other, mean nothing to these data, or are out of range.
        DataError: the data are absent, malformed, or one of the parts is empty.
    """
    asked = _Asked.of(data, train, test, options)
    asked.check_split()
    parts = asked.read()
    return parts._replace(train=replace(asked.weighed(parts.train), origin=asked.origin()))


def load_training(
    data: str | Path | None = None,
    train: str | Path | None = None,
    test: str | Path | None = None,
    **options: Unpack[LoadOptions],
) -> tuple[str, Interactions]:
    """Loads the training part alone; a test file is not opened.

    Args:
        data: see `load_data`; so are the others.
        train: the training file.
        test: the test file, which need not exist.
        options: a split is that of a single file, whose training part is returned.

    Returns:
        The name of the data and the training part. Its id maps lack what only a test file has.

    Raises:
        ConfigError: see `load_data`.
        DataError: see `load_data`.
    """
    asked = _Asked.of(data, train, test, options)
    asked.check_split()
    if train is not None:
        name, part = _name(Path(train)), read_by(train, asked.likes, asked.reading)
    elif data is not None and holds_pair(data):
        folder = Path(data).resolve()
        name, part = folder.name, read_by(file_of_folder(folder, FOLDER_FILES[0]), asked.likes, asked.reading)
    else:
        name, part, _ = asked.read()
    return name, asked.weighed(part)


def load_everything(
    data: str | Path | None = None,
    train: str | Path | None = None,
    test: str | Path | None = None,
    **options: Unpack[LoadOptions],
) -> tuple[str, Interactions]:
    """Loads every interaction, those of a training and a test file together.

    Args:
        data: see `load_data`; so are the others.
        train: a file.
        test: another file.
        options: without ``split`` and ``seed``, for nothing is split or drawn.

    Returns:
        The name of the data and all interactions.

    Raises:
        ConfigError: see `load_data`; or a split is asked for.
        DataError: see `load_data`.
    """
    asked = _Asked.of(data, train, test, options)
    asked.refuse_split("every interaction is loaded")
    if train is None and data is not None and not holds_pair(data):
        name, whole = _name(Path(data)), read_by(Path(data), asked.likes, asked.reading)
    else:
        name, *parts = asked.read()
        whole = union(*parts)
    return name, replace(asked.weighed(whole), origin=asked.origin(everything=True))


def load_with_uniform(
    data: str | Path,
    uniform: str | Path | None = None,
    shares: Sequence[float] = SHARES,
    shared: Shared | None = None,
    uniform_columns: Columns | None = None,
    **options: Unpack[LoadOptions],
) -> WithUniform:
    """Loads interactions, of which nothing is split off, and a uniform set in three parts.

    Args:
        data: the file of interactions, or a folder that holds both; see `pyrec.data.read_with_uniform`.
        uniform: the uniform set's file.
        shares: of the uniform set's training, validation and test part.
        shared: what happens to uniform pairs that are interactions, too; None for "keep".
        uniform_columns: the columns of the uniform file, if they are others.
        options: without ``split``, ``min_rating`` and ``dislikes``; ``seed`` draws the parts of the uniform set.

    Raises:
        ConfigError: the arguments exclude each other, mean nothing to these data, or are out of range.
        DataError: the data are absent or malformed, or one of the parts is empty.
    """
    asked = _Asked.of(data, None, None, options)
    three, seed = check_shares(shares), DEFAULT_SEED if asked.seed is None else asked.seed
    if asked.split is not None:
        raise ConfigError(
            f"split is {asked.split!r}, but beside a uniform set every interaction is learned from; leave it out, or "
            "say how the uniform set is split: shares = (0.05, 0.05, 0.9) (--uniform-split 5/5/90)"
        )
    read = with_uniform_by(data, uniform, asked.likes, shared or "keep", asked.reading, uniform_columns)
    origin = uniform_origin(asked.origin(), uniform, uniform_columns, three, shared)
    path = Path(data)
    name = path.resolve().name if uniform is None else _name(path)
    return WithUniform(
        name, replace(asked.weighed(read[0]), origin=origin), split_uniform(read[1], three, seed)
    )


@dataclass(frozen=True)
class _Asked:
    """What is loaded, and how."""

    data: str | Path | None
    train: str | Path | None
    test: str | Path | None
    split: float | Literal["time"] | None
    seed: int | None
    weights: str | None
    likes: Likes
    reading: Reading

    @classmethod
    def of(
        cls, data: str | Path | None, train: str | Path | None, test: str | Path | None, options: LoadOptions
    ) -> _Asked:
        """Returns the arguments of a function that loads, checked as far as no file is needed."""
        left: dict[str, Any] = {**options}
        if unknown := left.keys() - LoadOptions.__annotations__.keys():
            raise TypeError(
                f"no option is called {min(unknown)!r}; they are {', '.join(LoadOptions.__annotations__)}"
            )
        split, seed, weights = (left.pop(name, None) for name in ("split", "seed", "weights"))
        likes = Likes(**{field.name: left.pop(field.name, None) for field in fields(Likes)})
        _check_sources(data, train, test)
        if weights is not None:
            check_transform(weights)
        reading = Reading(needs_times=split == "time", **left)
        return cls(data, train, test, split, seed, weights, likes, reading)

    def check_split(self) -> None:
        """Refuses what is said about a split where there is none, or a seed where nothing is drawn."""
        if self.train is not None:
            self.refuse_split("train and test are both parts and nothing is split")
        elif self.data is not None and holds_pair(self.data):
            self.refuse_split(f"the folder {self.data} holds both parts and nothing is split")
        if self.split == "time" and self.seed is not None:
            raise ConfigError(
                f"the split's seed is {self.seed!r}, but a split by time draws nothing; leave it out"
            )

    def refuse_split(self, why: str) -> None:
        """Refuses what is said about a split, for there is none."""
        for name, value in (("split", self.split), ("the split's seed", self.seed)):
            if value is not None:
                raise ConfigError(f"{name} is {value!r}, but {why}; leave it out")

    def read(self) -> Split:
        """Returns both parts as they are read."""
        self.likes.check()
        if self.train is not None and self.test is not None:
            return Split(_name(Path(self.train)), *pair_by(self.train, self.test, self.likes, self.reading))
        if self.data is None:
            if self.likes.asked is not None:
                raise DataError(
                    f"generated data have no ratings to compare with {self.likes.asked}; leave it out"
                )
            self.reading.refuse(("columns", "header", "sep", "time_format"), "generated data are no file")
            return Split("synthetic", *_split(synthetic(), self.split, self.seed))
        path = Path(self.data)
        if holds_pair(path):
            return Split(path.resolve().name, *folder_by(path, self.likes, self.reading))
        return Split(_name(path), *_split(read_by(path, self.likes, self.reading), self.split, self.seed))

    def weighed(self, train: Interactions) -> Interactions:
        """Returns the training part with its weights transformed; as it is if nobody asked and all are 0 or 1."""
        if self.weights is None and (train.weights is None or np.isin(train.weights, (0, 1)).all()):
            return train
        return transform_weights(train, DEFAULT if self.weights is None else self.weights)

    def origin(self, everything: bool = False) -> Origin:
        """Returns what a saved model says of where the training part comes from."""
        sources = self.data, self.train, self.test
        return origin_of(self.reading, self.likes, *sources, self.split, self.seed, self.weights, everything)


def holds_pair(data: str | Path) -> bool:
    """Tells whether the data are a folder of a training and a test file; one of Parquet files is like one file."""
    return os.path.isdir(data) and not holds_parts(data)


def _name(path: Path) -> str:
    """What a file is called: its name without the endings that say what it is."""
    if is_pipe(path):
        return "pipe"
    stem = Path(path.stem) if path.suffix in (".gz", ".bz2", ".xz", ".zst", ".zip") else path
    return stem.stem


def _check_sources(data: str | Path | None, train: str | Path | None, test: str | Path | None) -> None:
    if data is not None and (train is not None or test is not None):
        raise ConfigError("both data and train/test are given; give one of the two")
    if (train is None) != (test is None):
        given, missing = ("train", "test") if test is None else ("test", "train")
        raise ConfigError(
            f"{given} is given without {missing}; give both, or a single file or folder as data"
        )


def _split(
    interactions: Interactions, split: float | Literal["time"] | None, seed: int | None
) -> tuple[Interactions, Interactions]:
    if split == "time":
        return split_time(interactions)
    if isinstance(split, str):
        raise ConfigError(f"split is {split!r}; it is a fraction such as 0.8, or 'time'")
    fraction = DEFAULT_SPLIT if split is None else split
    return split_random(interactions, fraction, DEFAULT_SEED if seed is None else seed)
