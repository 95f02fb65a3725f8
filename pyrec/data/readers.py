"""Reads interactions from files, whatever their format.

The format is found from the contents, not the name:

* Parquet, by its first bytes (needs PyArrow).
* Delimited text: columns apart by tabs, commas, ``::`` or semicolons, whichever of these the first line has,
  in this order: CSV, TSV, RecBole's ``.inter``, MovieLens' ``u.data``, ``ratings.dat``, ``ratings.csv``.
  Between commas and semicolons, fields may be in double quotes.
* Otherwise LightGCN's ``user item item ...``.

The first line of delimited text is a header if it names a user and an item column, or if none of its fields
is a number and it has three fields or more or the second line has numbers only. With well-known names
(`pyrec.data.roles`), or as the caller says, columns are found by name; without a header by position: user, item,
rating, time.

Ids are integers if all of the first 1,000 lines' are written plainly (no leading zeros or signs), text if at
most half are, and an error between. A text file ends in a newline, or it is taken as cut off.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from pyrec.data.delimited import IdType, find_delimiter, read_delimited
from pyrec.data.files import check_text_file, first_line, opened
from pyrec.data.interactions import Interactions
from pyrec.data.parquet import MAGIC, read_parquet
from pyrec.data.ragged import read_ragged
from pyrec.data.roles import Columns, check_columns
from pyrec.errors import ConfigError, DataError

FOLDER_FILES = ("train.txt", "test.txt")

Format: TypeAlias = Literal["parquet", "delimited", "lists"]
"""Of a file: Parquet, delimited text, or ``user item item ...``."""


def read_interactions(
    path: str | Path,
    min_rating: float | None = None,
    id_type: IdType = "auto",
    columns: Columns | None = None,
) -> Interactions:
    """Reads one file; see the module for the formats.

    Args:
        path: the file.
        min_rating: keep the interactions with this rating or more, and the users and items that are left with
            any. Duplicates are merged before.
        id_type: "int" or "str" for ids of delimited text that are all integers or all text; "auto" finds out.
            Parquet says itself, and ``user item item ...`` holds integers.
        columns: which columns are the user, item, rating and time, by name in the header or by number from 1, such
            as ``{"user": "customer", "item": 3}``; those not given are found by well-known names.

    Raises:
        ConfigError: `id_type` or `min_rating` is not one of the above or means nothing to this format, or the
            file needs a library that is not installed.
        DataError: the file is absent or malformed (the message names file and line), has no ratings for
            `min_rating`, or no interaction is left.
    """
    _check_options(min_rating, id_type)
    check_columns(columns)
    path = Path(path)
    interactions = _read(path, id_type, columns)
    if len(interactions) == 0:
        raise DataError(f"{path} holds no interaction; give a file with one interaction a row")
    return interactions if min_rating is None else _at_least(interactions, min_rating, path)


def read_pair(
    train: str | Path,
    test: str | Path,
    min_rating: float | None = None,
    id_type: IdType = "auto",
    columns: Columns | None = None,
) -> tuple[Interactions, Interactions]:
    """Reads a training and a test file; their id maps are the same, the union of both files' ids.

    Args:
        train: the training file.
        test: the test file.
        min_rating: see `read_interactions`.
        id_type: see `read_interactions`.
        columns: of both files; see `read_interactions`.

    Returns:
        (train, test).

    Raises:
        ConfigError: see `read_interactions`.
        DataError: see `read_interactions`; or one file's ids are integers and the other's text.
    """
    paths = Path(train), Path(test)
    first, second = (read_interactions(path, min_rating, id_type, columns) for path in paths)
    maps = []
    for what, ids, other in (
        ("user", first.user_ids, second.user_ids),
        ("item", first.item_ids, second.item_ids),
    ):
        if ids.dtype.kind != other.dtype.kind:
            kinds = ["integers" if side.dtype.kind == "i" else "text" for side in (ids, other)]
            raise DataError(
                f"the {what} ids of {paths[0]} are {kinds[0]}, those of {paths[1]} are {kinds[1]}; make them "
                "alike, or read both with id_type='str'"
            )
        maps.append(np.union1d(ids, other))
    train_notes, test_notes = (
        tuple(f"{path.name}: {text}" for text in part.notes)
        for path, part in zip(paths, (first, second), strict=True)
    )
    first, second = replace(first, notes=train_notes), replace(second, notes=test_notes)
    return first.with_ids(*maps), second.with_ids(*maps)


def read_folder(
    folder: str | Path,
    min_rating: float | None = None,
    id_type: IdType = "auto",
    columns: Columns | None = None,
) -> tuple[Interactions, Interactions]:
    """Reads a folder's ``train.txt`` and ``test.txt``.

    Args:
        folder: the folder.
        min_rating: see `read_interactions`.
        id_type: see `read_interactions`.
        columns: see `read_pair`.

    Returns:
        (train, test) with the same id maps.

    Raises:
        ConfigError: see `read_interactions`.
        DataError: the folder or one of the files is absent, or see `read_pair`.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise DataError(f"{folder} is not a folder with {' and '.join(FOLDER_FILES)}; check the path")
    for name in FOLDER_FILES:
        if not os.path.isfile(folder / name):
            raise DataError(
                f"{folder} has no {name}; a folder holds {' and '.join(FOLDER_FILES)}: add it, or give a "
                "single file, or a training and a test file"
            )
    train, test = (folder / name for name in FOLDER_FILES)
    return read_pair(train, test, min_rating, id_type, columns)


def _check_options(min_rating: float | None, id_type: str) -> None:
    if id_type not in ("auto", "int", "str"):
        raise ConfigError(f"id_type is {id_type!r}; it is one of 'auto', 'int', 'str'")
    if min_rating is not None and not math.isfinite(min_rating):
        raise ConfigError(f"min_rating is {min_rating}; a finite number is needed")


def find_format(path: Path) -> Format:
    """Returns the format of a file, from its contents: see the module.

    Raises:
        DataError: the file cannot be read, or is no text that could be one.
    """
    with opened(path) as file:
        if file.read(len(MAGIC)) == MAGIC:
            return "parquet"
    check_text_file(path)
    is_delimited = find_delimiter(first_line(path).decode("utf-8", "replace")) is not None
    return "delimited" if is_delimited else "lists"


def _read(path: Path, id_type: IdType, columns: Columns | None) -> Interactions:
    found = find_format(path)
    if found == "parquet":
        if id_type != "auto":
            raise ConfigError(
                f"id_type is {id_type!r}, but {path} is a Parquet file, whose columns have types; leave it out"
            )
        return read_parquet(path, columns)
    if found == "lists":
        if id_type == "str":
            raise ConfigError(
                f"id_type is 'str', but {path} holds lines 'user item item ...', whose ids are integers; leave it out"
            )
        if columns is not None:
            raise ConfigError(
                f"columns = {dict(columns)}, but {path} holds lines 'user item item ...'; leave it out"
            )
        return read_ragged(path)
    return read_delimited(path, id_type, columns)


def _at_least(interactions: Interactions, min_rating: float, path: Path) -> Interactions:
    ratings = interactions.ratings
    if ratings is None:
        raise DataError(f"{path} has no ratings to compare with min_rating = {min_rating:g}; leave it out")
    keep = ratings >= np.float32(min_rating)
    if not keep.any():
        raise DataError(
            f"{path}: no rating reaches min_rating = {min_rating:g}; the largest is {ratings.max():g}"
        )
    return interactions.select(keep).compact()
