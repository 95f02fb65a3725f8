"""Reads a biased and a uniform set, which have the same id maps and labels by the same rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from pyrec.data.interactions import Interactions
from pyrec.data.labels import DEFAULT_RULE, Likes, Rule
from pyrec.data.read.readers import UNIFORM_FILES, read_by, uniform_files, with_one_map
from pyrec.data.read.reading import Format, IdType, Reading
from pyrec.data.roles import Columns
from pyrec.data.uniform import Shared, apart, check_shared
from pyrec.errors import ConfigError, DataError

_STARS: Final = (4, 5)
"""The largest rating of the scales that `DEFAULT_RULE` is for."""


def read_with_uniform(
    data: str | Path,
    uniform: str | Path | None = None,
    positive: str | float | None = None,
    shared: Shared = "keep",
    id_type: IdType = "auto",
    columns: Columns | None = None,
    header: bool | None = None,
    sep: str | None = None,
    format: Format | None = None,  # noqa: A002
    time_format: str | None = None,
    uniform_columns: Columns | None = None,
) -> tuple[Interactions, Interactions]:
    """Reads interactions that users chose, and a uniform set of pairs that were shown at random.

    Four columns without names of which the third holds whole numbers from 0 and the fourth no times are user, item,
    position and rating.

    Args:
        data: the file of interactions; or, without `uniform`, a folder with ``user.txt`` and ``random.txt`` or with
            ``train.ascii`` and ``test.ascii``, the second of which is uniform.
        uniform: the file of uniform pairs, with ratings.
        positive: which ratings are positive, see `pyrec.data.label`. None for the larger one where there are two
            different ratings, and for ``"rating>=4"`` where the largest is 4 to 5. Interactions without ratings are all
            positive.
        shared: what happens to the uniform pairs that are interactions, too: "keep" says how many there are, "drop"
            leaves them out of the uniform set, "error" refuses them.
        id_type: see `pyrec.data.read_interactions`; so are the others but the last.
        columns: of both files.
        header: likewise.
        sep: likewise.
        format: likewise.
        time_format: likewise.
        uniform_columns: those of the uniform file, if they are others.

    Returns:
        (interactions, uniform), with the same id maps, the union of both files' ids.

    Raises:
        ConfigError: see `pyrec.data.read_interactions`; or ``shared`` is none of the three.
        DataError: see `pyrec.data.read_interactions`; or the uniform pairs have no ratings, it is not clear which
            ratings are positive, or pairs are shared that are refused.
    """
    reading = Reading(id_type, columns, header, sep, format, time_format)
    likes = Likes(positive=positive)
    return with_uniform_by(data, uniform, likes, shared, reading, uniform_columns)


def with_uniform_by(
    data: str | Path,
    uniform: str | Path | None,
    likes: Likes,
    shared: Shared,
    reading: Reading,
    uniform_columns: Columns | None,
) -> tuple[Interactions, Interactions]:
    """Reads a biased and a uniform set; see `read_with_uniform`."""
    likes.check()
    check_shared(shared)
    if likes.min_rating is not None:
        raise ConfigError(
            f"{likes.asked}, but a model learns from a uniform set by labels; say which ratings are positive: "
            f"positive = 'rating>={likes.min_rating:g}'"
        )
    paths = _paths(data, uniform)
    reading = replace(reading, finds_positions=True)
    biased = read_by(paths[0], Likes(), reading)
    pairs = _read_uniform(paths[1], reading, uniform_columns)
    biased, pairs = _labelled(paths, biased, pairs, likes)
    biased, pairs = with_one_map(paths, biased, pairs)
    return biased, apart(pairs, biased, shared)


def _read_uniform(path: Path, reading: Reading, columns: Columns | None) -> Interactions:
    """Reads the uniform file, with columns of its own or those of both files."""
    if columns is not None:
        return read_by(path, Likes(), replace(reading, columns=columns))
    try:
        return read_by(path, Likes(), reading)
    except DataError as error:
        if reading.columns is None:
            raise
        raise DataError(
            f"{error}; the columns are those of both files: say what this one's are, uniform_columns={{...}} "
            "(--uniform-columns)"
        ) from None


def _paths(data: str | Path, uniform: str | Path | None) -> tuple[Path, Path]:
    """Returns the biased and the uniform file.

    Raises:
        ConfigError: a folder that holds both is given beside a uniform file.
        DataError: there is no uniform file.
    """
    found = uniform_files(data)
    if uniform is None and found is not None:
        return found
    if uniform is None:
        names = " or ".join(" and ".join(two) for two in UNIFORM_FILES)
        raise DataError(
            f"{data} is no folder with {names}, a biased and a uniform set; give the uniform set's file, too: "
            "uniform = ... (--uniform FILE)"
        )
    if found is not None:
        raise ConfigError(
            f"uniform is {str(uniform)!r}, but {data} holds {found[1].name}; give {found[0]} as data"
        )
    return Path(data), Path(uniform)


def _labelled(
    paths: tuple[Path, Path], biased: Interactions, uniform: Interactions, likes: Likes
) -> tuple[Interactions, Interactions]:
    """Returns both with labels by one rule; interactions without ratings are all positive."""
    if uniform.ratings is None:
        raise DataError(
            f"{paths[1]} has no ratings, so it says nothing of what was liked; choose their column: "
            "uniform_columns={'rating': ...} (--uniform-columns rating=...)"
        )
    notes: tuple[str, ...] = ()
    if likes.positive is None:
        likes, notes = _default_rule(paths, biased, uniform)
    uniform = likes.of(uniform, str(paths[1]))
    uniform = replace(uniform, notes=(*notes, *uniform.notes))
    if biased.ratings is None:
        told = (*biased.notes, "there are no ratings, so each interaction is a positive")
        return replace(biased, notes=told), uniform
    return likes.of(biased, str(paths[0])), uniform


def _default_rule(
    paths: tuple[Path, Path], biased: Interactions, uniform: Interactions
) -> tuple[Likes, tuple[str, ...]]:
    """Returns the rule where nobody said one, and the note on it.

    Raises:
        DataError: ratings are all the same, or of a scale that no rule is known for.
    """
    given = [part.ratings for part in (biased, uniform) if part.ratings is not None]
    found = np.unique(np.concatenate([np.unique(ratings) for ratings in given]))
    where = " and ".join(
        str(path) for path, part in zip(paths, (biased, uniform), strict=True) if part.ratings is not None
    )
    if found.size == 1:
        raise DataError(f"every rating of {where} is {found[0]:g}, so nothing tells positives from negatives")
    if found.size == 2:
        rule = Rule(float(found[1]))
    elif _STARS[0] <= found[-1] <= _STARS[1]:
        rule = Rule.of(DEFAULT_RULE)
    else:
        raise DataError(
            f"the ratings of {where} are {found[0]:g} to {found[-1]:g}; which are positive? say it: "
            f"positive = 'rating>=...' (--positive)"
        )
    note = f"which ratings are positive was not said: {rule}, and the others are negatives"
    return Likes(positive=str(rule)), (note,)
