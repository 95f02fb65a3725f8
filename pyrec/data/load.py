"""What a command line trains and tests on: a folder, a file that is split, two files, or generated data."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pyrec.data.interactions import Interactions
from pyrec.data.origin import DEFAULT_SEED, DEFAULT_SPLIT, origin_of
from pyrec.data.read.files import is_pipe
from pyrec.data.read.readers import (
    FOLDER_FILES,
    check_min_rating,
    file_of_folder,
    folder_by,
    holds_parts,
    pair_by,
    read_by,
)
from pyrec.data.read.reading import Dislikes, Format, IdType, Reading
from pyrec.data.roles import Columns
from pyrec.data.split import split_random, split_time, union
from pyrec.data.synthetic import synthetic
from pyrec.data.weights import DEFAULT, check_transform, transform_weights
from pyrec.errors import ConfigError, DataError


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
    split: float | Literal["time"] | None = None,
    min_rating: float | None = None,
    seed: int | None = None,
    id_type: IdType = "auto",
    columns: Columns | None = None,
    header: bool | None = None,
    sep: str | None = None,
    format: Format | None = None,  # noqa: A002
    time_format: str | None = None,
    weights: str | None = None,
    dislikes: Dislikes | None = None,
) -> Split:
    """Loads a training and a test part.

    Args:
        data: a folder with ``train.txt`` and ``test.txt``, or one file, which is split.
        train: instead of `data`, the training file; with `test`.
        test: the test file.
        split: the training part's fraction of a random split, or "time" for the earliest 80 %; for a single
            file and generated data alone, with 0.8 for None.
        min_rating: keep the ratings from this up.
        seed: of the random split, with 0 for None.
        id_type: see `pyrec.data.read.readers.read_interactions`.
        columns: likewise.
        header: likewise.
        sep: likewise.
        format: likewise.
        time_format: likewise.
        weights: how the training part's weights are made of what was read; see
            `pyrec.data.weights.transform_weights`. None for "log1p" where there are some.
        dislikes: what happens to ratings below `min_rating`; see `pyrec.data.read.readers.read_interactions`.

    Raises:
        ConfigError: the arguments exclude each other, mean nothing to these data, or are out of range.
        DataError: the data are absent, malformed, or one of the parts is empty.
    """
    reading = Reading(id_type, columns, header, sep, format, time_format, split == "time", dislikes)
    _check_sources(data, train, test)
    _check_split(data, train, split, seed)
    if weights is not None:
        check_transform(weights)
    parts = _read(data, train, test, split, min_rating, seed, reading)
    origin = origin_of(reading, data, train, test, min_rating, split, seed, weights)
    return parts._replace(train=replace(_weighed(parts.train, weights), origin=origin))


def _read(
    data: str | Path | None,
    train: str | Path | None,
    test: str | Path | None,
    split: float | Literal["time"] | None,
    min_rating: float | None,
    seed: int | None,
    reading: Reading,
) -> Split:
    check_min_rating(min_rating, reading.dislikes)
    if train is not None and test is not None:
        return Split(_name(Path(train)), *pair_by(train, test, min_rating, reading))
    if data is None:
        if min_rating is not None:
            raise DataError(
                f"generated data have no ratings to compare with min_rating = {min_rating:g}; leave it out"
            )
        reading.refuse(("columns", "header", "sep", "time_format"), "generated data are no file")
        return Split("synthetic", *_split(synthetic(), split, seed))
    path = Path(data)
    if holds_pair(path):
        return Split(path.resolve().name, *folder_by(path, min_rating, reading))
    return Split(_name(path), *_split(read_by(path, min_rating, reading), split, seed))


def load_training(
    data: str | Path | None = None,
    train: str | Path | None = None,
    test: str | Path | None = None,
    split: float | Literal["time"] | None = None,
    min_rating: float | None = None,
    seed: int | None = None,
    id_type: IdType = "auto",
    columns: Columns | None = None,
    header: bool | None = None,
    sep: str | None = None,
    format: Format | None = None,  # noqa: A002
    time_format: str | None = None,
    weights: str | None = None,
    dislikes: Dislikes | None = None,
) -> tuple[str, Interactions]:
    """Loads the training part alone; a test file is not opened.

    Args:
        data: see `load_data`; so are the others.
        train: the training file.
        test: the test file, which need not exist.
        split: of a single file, whose training part is returned.
        min_rating: keep the ratings from this up.
        seed: of the random split.
        id_type: see `pyrec.data.read.readers.read_interactions`.
        columns: likewise.
        header: likewise.
        sep: likewise.
        format: likewise.
        time_format: likewise.
        weights: see `load_data`.
        dislikes: likewise.

    Returns:
        The name of the data and the training part. Its id maps lack what only a test file has.

    Raises:
        ConfigError: see `load_data`.
        DataError: see `load_data`.
    """
    reading = Reading(id_type, columns, header, sep, format, time_format, split == "time", dislikes)
    _check_sources(data, train, test)
    _check_split(data, train, split, seed)
    if weights is not None:
        check_transform(weights)
    if train is not None:
        name, part = _name(Path(train)), read_by(train, min_rating, reading)
    elif data is not None and holds_pair(data):
        folder = Path(data).resolve()
        name, part = folder.name, read_by(file_of_folder(folder, FOLDER_FILES[0]), min_rating, reading)
    else:
        name, part, _ = _read(data, None, None, split, min_rating, seed, reading)
    return name, _weighed(part, weights)


def _weighed(train: Interactions, weights: str | None) -> Interactions:
    """Returns the training part with its weights transformed; as it is if nobody asked and all are 0 or 1."""
    if weights is None and (train.weights is None or np.isin(train.weights, (0, 1)).all()):
        return train
    return transform_weights(train, DEFAULT if weights is None else weights)


def load_everything(
    data: str | Path | None = None,
    train: str | Path | None = None,
    test: str | Path | None = None,
    split: float | Literal["time"] | None = None,
    min_rating: float | None = None,
    seed: int | None = None,
    id_type: IdType = "auto",
    columns: Columns | None = None,
    header: bool | None = None,
    sep: str | None = None,
    format: Format | None = None,  # noqa: A002
    time_format: str | None = None,
    weights: str | None = None,
    dislikes: Dislikes | None = None,
) -> tuple[str, Interactions]:
    """Loads every interaction, those of a training and a test file together.

    Args:
        data: see `load_data`; so are the others.
        train: a file.
        test: another file.
        split: None, for nothing is split.
        min_rating: keep the ratings from this up.
        seed: None, for nothing is drawn.
        id_type: see `pyrec.data.read.readers.read_interactions`.
        columns: likewise.
        header: likewise.
        sep: likewise.
        format: likewise.
        time_format: likewise.
        weights: see `load_data`.
        dislikes: likewise.

    Returns:
        The name of the data and all interactions.

    Raises:
        ConfigError: see `load_data`; or a split is asked for.
        DataError: see `load_data`.
    """
    for name, value in (("split", split), ("the split's seed", seed)):
        if value is not None:
            raise ConfigError(f"{name} is {value!r}, but every interaction is loaded; leave it out")
    reading = Reading(id_type, columns, header, sep, format, time_format, dislikes=dislikes)
    _check_sources(data, train, test)
    if weights is not None:
        check_transform(weights)
    if train is None and data is not None and not holds_pair(data):
        name, whole = _name(Path(data)), read_by(Path(data), min_rating, reading)
    else:
        name, *parts = _read(data, train, test, None, min_rating, None, reading)
        whole = union(*parts)
    origin = origin_of(reading, data, train, test, min_rating, weights=weights, everything=True)
    return name, replace(_weighed(whole, weights), origin=origin)


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


def _check_split(
    data: str | Path | None, train: str | Path | None, split: float | str | None, seed: int | None
) -> None:
    """Refuses what is said about a split where there is none, or a seed where nothing is drawn."""
    whole = f"the folder {data} holds" if data is not None and holds_pair(data) else None
    whole = whole if train is None else "train and test are"
    for name, value in (("split", split), ("the split's seed", seed)):
        if whole is not None and value is not None:
            raise ConfigError(
                f"{name} is {value!r}, but {whole} both parts and nothing is split; leave it out"
            )
    if split == "time" and seed is not None:
        raise ConfigError(f"the split's seed is {seed!r}, but a split by time draws nothing; leave it out")


def _split(
    interactions: Interactions, split: float | Literal["time"] | None, seed: int | None
) -> tuple[Interactions, Interactions]:
    if split == "time":
        return split_time(interactions)
    if isinstance(split, str):
        raise ConfigError(f"split is {split!r}; it is a fraction such as 0.8, or 'time'")
    fraction = DEFAULT_SPLIT if split is None else split
    return split_random(interactions, fraction, DEFAULT_SEED if seed is None else seed)
