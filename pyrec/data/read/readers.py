"""Reads interactions and events from files, whatever their format.

The format is found from the contents, not the name:

* Parquet, by its first bytes (needs PyArrow).
* Delimited text: columns apart by tabs, commas, ``::``, semicolons, bars or blanks: CSV, TSV, RecBole's ``.inter``,
  MovieLens' ``u.data``, ``ratings.dat``, ``ratings.csv``.
* LightGCN's ``user item item ...``.
* A matrix users x items of ratings, 0 for none, such as coat's ``train.ascii``.

A shape is found from the first lines, and every line is held against it: what contradicts it is an error that names
the line and a way on. A caller may say what the shape is (`pyrec.data.read.reading.Reading`).
``docs/how-to/files.md`` says what is accepted, and what is refused.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from pyrec.data.events import Events
from pyrec.data.frames import guess_columns
from pyrec.data.interactions import Interactions
from pyrec.data.labels import Dislikes, Likes
from pyrec.data.origin import Origin, origin_of
from pyrec.data.read.delimited import read_delimited
from pyrec.data.read.files import Content, opened
from pyrec.data.read.lists import read_ragged
from pyrec.data.read.matrix import read_rated
from pyrec.data.read.parquet import MAGIC, parts_of, read_parquet, read_parts
from pyrec.data.read.reading import Format, IdType, Reading
from pyrec.data.read.shape import Lists, Matrix, find_shape
from pyrec.data.roles import Columns, assign_roles, missing_time
from pyrec.data.rows import FloatArray, Rows, code_table, require_table
from pyrec.errors import ConfigError, DataError

FOLDER_FILES = ("train.txt", "test.txt")
UNIFORM_FILES: Final = (("user.txt", "random.txt"), ("train.ascii", "test.ascii"))
"""The biased and the uniform file of a folder: as AutoDebias names them, and as coat does."""
LARGEST_RATING: Final = 100
"""Of the usual scales."""

Order: TypeAlias = Literal["time", "file"]
"""What puts a user's events in order."""


def read_interactions(
    path: str | Path,
    min_rating: float | None = None,
    id_type: IdType = "auto",
    columns: Columns | None = None,
    header: bool | None = None,
    sep: str | None = None,
    format: Format | None = None,  # noqa: A002
    time_format: str | None = None,
    dislikes: Dislikes | None = None,
    positive: str | float | None = None,
) -> Interactions:
    """Reads one file; see the module for the formats.

    Args:
        path: the file.
        min_rating: keep the interactions with this rating or more, and the users and items that are left with
            any. Duplicates are merged before.
        id_type: "int" or "str" for ids of delimited text that are all integers or all text; "auto" finds out.
            Parquet says itself, and ``user item item ...`` holds integers.
        columns: which columns are the user, item, rating, time, weight and position, by name in the header or by
            number from 1, such as ``{"user": "customer", "item": 3}``; those not given are found by well-known names.
            None for a role that no column has: ``{"time": None}``.
        header: whether the first line of delimited text is a header; None to find out.
        sep: what is between the columns of delimited text, such as ``","``; ``" "`` for any number of blanks; None to
            find out.
        format: "delimited" for columns of text, "lists" for ``user item item ...``, "matrix" for a line of ratings of
            all items a user, 0 for none, "parquet"; None to find out.
        time_format: how times as text are written, by the directives of ``datetime.strptime``, such as ``"%d/%m/%Y"``;
            None for ISO 8601 or numbers.
        dislikes: what happens to ratings below `min_rating`: "drop" leaves them out, as None does; "seen" gives them
            the weight 0, so that they are not recommended and nothing is learned from them; "negatives" gives them the
            label 0 and the others 1, for a pointwise loss, and is like "seen" for models without one.
        positive: a rule such as "rating>=4" or "rating>4", or a number alone, which means ">=": every rating is kept,
            with the label 1 where the rule holds and 0 elsewhere. It says the same as that number as `min_rating` with
            "negatives" as `dislikes`, in one argument.

    Raises:
        ConfigError: an option is none of the above, contradicts another one or means nothing to this format, or the
            file needs a library that is not installed.
        DataError: the file is absent or malformed (the message names file and line), has no ratings for
            `min_rating`, or no interaction is left.
    """
    reading = Reading(id_type, columns, header, sep, format, time_format)
    likes = Likes(min_rating, dislikes, positive)
    whole = read_by(path, likes, reading)
    weights = None if whole.weights is None else "none"
    origin = origin_of(reading, likes, path, weights=weights, everything=True)
    return replace(whole, origin=origin)


def read_by(path: str | Path, likes: Likes, reading: Reading) -> Interactions:
    """Reads one file; see `read_interactions`."""
    likes.check()
    path = Path(path)
    return likes.of(Interactions.from_rows(_read(path, reading)), str(path))


def read_events(
    source: str | Path | Any,
    order: Order = "time",
    id_type: IdType = "auto",
    columns: Columns | None = None,
    header: bool | None = None,
    sep: str | None = None,
    format: Format | None = None,  # noqa: A002
    time_format: str | None = None,
) -> Events:
    """Reads events from a file of any of the formats, or from a table; repeats are kept, and ratings are the values.

    Args:
        source: the file, or a table as `pyrec.data.Interactions.from_frame` takes it.
        order: what puts a user's events in order: "time", which needs a time column; or "file" for the order of the
            rows, or of the items in ``user item item ...``, whatever times there are.
        id_type: see `read_interactions`; of a file alone.
        columns: see `read_interactions`; of a table by name or number too.
        header: see `read_interactions`; of a file alone.
        sep: likewise.
        format: likewise.
        time_format: see `read_interactions`.

    Raises:
        ConfigError: an option is none of the above, contradicts another one or means nothing to the source, or the
            file needs a library that is not installed.
        DataError: the source is absent, malformed or empty, or has no times to order events by.
    """
    if order not in ("time", "file"):
        raise ConfigError(f"order is {order!r}; it is 'time' or 'file'")
    reading = Reading(id_type, columns, header, sep, format, time_format, needs_times=order == "time")
    is_file = isinstance(source, str | os.PathLike)
    rows = _read(Path(source), reading) if is_file else _read_frame(source, reading)
    name = str(source) if is_file else "frame"
    if order == "file":
        return Events.from_rows(rows._replace(times=None))
    if rows.times is None:
        raise DataError(
            f"{name} has no known time column to order events by; choose it: columns={{'time': ...}}; if each user's "
            "rows are in order say so: order='file'"
        )
    return Events.from_rows(rows)


def _read_frame(frame: Any, reading: Reading) -> Rows:
    reading.check()
    reading.refuse(("id_type", "header", "sep"), "frame is a table, whose columns have types and names")
    if reading.format is not None:
        raise ConfigError(f"format is {reading.format!r}, but frame is a table, no file; leave it out")
    table = require_table(frame)
    if reading.columns is None:
        roles = guess_columns(table)
    else:
        found = assign_roles(list(map(str, table.names)), len(table.names), "frame", reading.columns)
        roles = {role: table.names[at] for role, at in found.items()}
    if "time" not in roles:
        missing_time(reading.time_format, Path("frame"))
    rows = code_table(table, roles, reading.time_format)
    if rows.users.size == 0:
        raise DataError("frame holds no row; give one event a row")
    return rows


def read_pair(
    train: str | Path,
    test: str | Path,
    min_rating: float | None = None,
    id_type: IdType = "auto",
    columns: Columns | None = None,
    header: bool | None = None,
    sep: str | None = None,
    format: Format | None = None,  # noqa: A002
    time_format: str | None = None,
    dislikes: Dislikes | None = None,
    positive: str | float | None = None,
) -> tuple[Interactions, Interactions]:
    """Reads a training and a test file; their id maps are the same, the union of both files' ids.

    Args:
        train: the training file.
        test: the test file.
        min_rating: see `read_interactions`.
        id_type: see `read_interactions`.
        columns: of both files; see `read_interactions`.
        header: likewise.
        sep: likewise.
        format: likewise.
        time_format: likewise.
        dislikes: likewise.
        positive: likewise.

    Returns:
        (train, test).

    Raises:
        ConfigError: see `read_interactions`.
        DataError: see `read_interactions`; or one file's ids are integers and the other's text.
    """
    reading = Reading(id_type, columns, header, sep, format, time_format)
    likes = Likes(min_rating, dislikes, positive)
    parts = pair_by(train, test, likes, reading)
    return _with_origin(parts, origin_of(reading, likes, None, train, test, weights=_as_they_are(parts)))


def pair_by(
    train: str | Path, test: str | Path, likes: Likes, reading: Reading
) -> tuple[Interactions, Interactions]:
    """Reads a training and a test file; see `read_pair`."""
    paths = Path(train), Path(test)
    first, second = (read_by(path, likes, reading) for path in paths)
    return with_one_map(paths, first, second)


def with_one_map(
    paths: tuple[Path, Path], first: Interactions, second: Interactions
) -> tuple[Interactions, Interactions]:
    """Returns what two files hold with the same id maps, the union of both files' ids; notes name their file.

    Raises:
        DataError: one file's ids are integers and the other's text.
    """
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
    first_notes, second_notes = (
        tuple(f"{path.name}: {text}" for text in part.notes)
        for path, part in zip(paths, (first, second), strict=True)
    )
    first, second = replace(first, notes=first_notes), replace(second, notes=second_notes)
    return first.with_ids(*maps), second.with_ids(*maps)


def read_folder(
    folder: str | Path,
    min_rating: float | None = None,
    id_type: IdType = "auto",
    columns: Columns | None = None,
    header: bool | None = None,
    sep: str | None = None,
    format: Format | None = None,  # noqa: A002
    time_format: str | None = None,
    dislikes: Dislikes | None = None,
    positive: str | float | None = None,
) -> tuple[Interactions, Interactions]:
    """Reads a folder's ``train.txt`` and ``test.txt``.

    Args:
        folder: the folder.
        min_rating: see `read_interactions`.
        id_type: see `read_interactions`.
        columns: see `read_pair`.
        header: likewise.
        sep: likewise.
        format: likewise.
        time_format: likewise.
        dislikes: likewise.
        positive: likewise.

    Returns:
        (train, test) with the same id maps.

    Raises:
        ConfigError: see `read_interactions`.
        DataError: the folder or one of the files is absent, or see `read_pair`.
    """
    reading = Reading(id_type, columns, header, sep, format, time_format)
    likes = Likes(min_rating, dislikes, positive)
    parts = folder_by(folder, likes, reading)
    return _with_origin(parts, origin_of(reading, likes, folder, weights=_as_they_are(parts)))


def _with_origin(
    parts: tuple[Interactions, Interactions], origin: Origin
) -> tuple[Interactions, Interactions]:
    """Returns a training and a test part, the first with where it comes from."""
    return replace(parts[0], origin=origin), parts[1]


def _as_they_are(parts: tuple[Interactions, Interactions]) -> str | None:
    """What is done to the weights of parts that are read alone: nothing, where they have some."""
    return None if parts[0].weights is None else "none"


def _some_files(folder: Path) -> str:
    """Returns the names of a folder's first three files, to choose from, the largest first; nothing if it has none."""
    try:
        found = [(entry.stat().st_size, entry.path) for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        return ""
    paths = [path for _, path in sorted(found, key=lambda one: (-one[0], one[1]))[:3]]
    return f" of it ({', '.join(paths)}{', ...' if len(found) > 3 else ''})" if paths else ""


def folder_by(folder: str | Path, likes: Likes, reading: Reading) -> tuple[Interactions, Interactions]:
    """Reads a folder's ``train.txt`` and ``test.txt``; see `read_folder`."""
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise DataError(f"{folder} is not a folder with {' and '.join(FOLDER_FILES)}; check the path")
    train, test = (file_of_folder(folder, name) for name in FOLDER_FILES)
    return pair_by(train, test, likes, reading)


def file_of_folder(folder: Path, name: str) -> Path:
    """Returns the path of one of `FOLDER_FILES`.

    Raises:
        DataError: the folder has no such file.
    """
    if found := uniform_files(folder):
        both = " and ".join(path.name for path in found)
        raise DataError(
            f"{folder} has no {name}, but {both}, a biased and a uniform set: pyrec.data.read_with_uniform reads the "
            "two, and so do the commands that take --uniform"
        )
    if not os.path.isfile(folder / name):
        raise DataError(
            f"{folder} has no {name}; a folder holds {' and '.join(FOLDER_FILES)}: add it, or give a "
            f"single file{_some_files(folder)}, or a training and a test file"
        )
    return folder / name


def holds_parts(path: str | Path) -> bool:
    """Tells whether a path is a folder of Parquet files that are read as one, not one of a training and a test file."""
    folder = Path(path)
    return (
        os.path.isdir(folder)
        and not any(os.path.exists(folder / name) for name in FOLDER_FILES)
        and bool(parts_of(folder))
    )


def uniform_files(folder: str | Path) -> tuple[Path, Path] | None:
    """Returns the biased and the uniform file of a folder that holds the two; None for anything else."""
    for names in UNIFORM_FILES:
        first, second = (Path(folder) / name for name in names)
        if os.path.isfile(first) and os.path.isfile(second):
            return first, second
    return None


def _read(path: Path, reading: Reading) -> Rows:
    reading.check()
    rows = _read_rows(path, reading)
    if rows.users.size == 0:
        raise DataError(f"{path} holds no interaction; give a file with one interaction a row")
    if "rating" not in (reading.columns or {}) and (note := _like_counts(rows.ratings)):
        return rows._replace(notes=(*rows.notes, note))
    return rows


def _like_counts(ratings: FloatArray | None) -> str | None:
    """Returns the note on ratings that nobody chose and that look like counts: whole numbers beyond any scale."""
    if ratings is None or ratings.min() < 0 or ratings.max() <= LARGEST_RATING or (ratings % 1 != 0).any():
        return None
    return (
        f"the ratings are whole numbers up to {ratings.max():,.0f}, as counts are; --columns weight=... takes their "
        "column as the weight, which models learn from"
    )


def _read_rows(path: Path, reading: Reading) -> Rows:
    if holds_parts(path):
        _check_parquet(path, reading)
        return read_parts(path, reading)
    with opened(path) as content:
        if content.head.startswith(MAGIC):
            _check_parquet(path, reading)
            return read_parquet(content, reading)
        return _read_text(content, reading)


def _read_text(content: Content, reading: Reading) -> Rows:
    if reading.format == "parquet":
        raise DataError(f"{content.path} is no Parquet file; leave format out, or give one that is")
    shape = find_shape(content, reading)
    if isinstance(shape, Lists):
        return read_ragged(content, shape)
    if isinstance(shape, Matrix):
        return read_rated(content, shape)
    return read_delimited(content, shape, reading)


def _check_parquet(path: Path, reading: Reading) -> None:
    if reading.format not in (None, "parquet"):
        raise ConfigError(f"format is {reading.format!r}, but {path} is a Parquet file; leave it out")
    reading.refuse(
        ("id_type", "header", "sep"), f"{path} is a Parquet file, whose columns have types and names"
    )
