"""Where interactions come from, so that a saved model can say what it was trained on.

An origin is a mapping that JSON can hold: the arguments of `pyrec.data.load_data` with absolute paths, ``split_seed``
for its ``seed``, ``everything`` where nothing is split off, and ``ips``, which the command line alone makes other than
None. ``pyrec evaluate RUN`` reads the data by it again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pyrec.data.labels import Likes
from pyrec.data.read.files import STDIN, is_pipe
from pyrec.data.read.reading import Reading
from pyrec.data.roles import Columns
from pyrec.data.uniform import Shared

Origin: TypeAlias = Mapping[str, Any]

UNIFORM: Final = ("uniform", "uniform_columns", "uniform_split", "shared")
"""What is said of a uniform set: its file, the columns of that, the shares of its parts, and what becomes of pairs that
are interactions, too."""

DEFAULT_SPLIT: Final = 0.8
DEFAULT_SEED: Final = 0


def origin_of(
    reading: Reading,
    likes: Likes,
    data: str | Path | None = None,
    train: str | Path | None = None,
    test: str | Path | None = None,
    split: float | Literal["time"] | None = None,
    seed: int | None = None,
    weights: str | None = None,
    everything: bool = False,
) -> Origin:
    """Returns the origin of the training part that `pyrec.data.load_data` loads with these arguments.

    Args:
        reading: how files are read.
        likes: what ratings mean.
        data: see `pyrec.data.load_data`; so are the others.
        train: likewise.
        test: likewise.
        split: likewise.
        seed: likewise.
        weights: likewise.
        everything: whether nothing is split off, as by `pyrec.data.load_everything`.
    """
    asked = asdict(reading) | asdict(likes)
    for name in ("needs_times", "finds_positions"):
        asked.pop(name)
    paths = {"data": data, "train": train, "test": test}
    origin = {name: _written(path) for name, path in paths.items()} | asked
    origin |= {"weights": weights, "ips": None, **dict.fromkeys(UNIFORM)}
    if everything:
        return origin | {"split": None, "split_seed": None, "everything": True}
    split = DEFAULT_SPLIT if split is None else split
    return origin | {"split": split, "split_seed": DEFAULT_SEED if seed is None else seed}


def uniform_origin(
    origin: Origin,
    uniform: str | Path | None,
    columns: Columns | None,
    shares: tuple[float, float, float],
    shared: Shared | None,
) -> Origin:
    """Returns the origin of interactions beside a uniform set, of which nothing is split.

    Args:
        origin: of the interactions.
        uniform: the uniform set's file; None where a folder holds both.
        columns: of the uniform file alone, or None.
        shares: of the uniform set's parts.
        shared: see `pyrec.data.read_with_uniform`.
    """
    told = (_written(uniform), columns, list(shares), shared)
    return {**origin, "split": None, **dict(zip(UNIFORM, told, strict=True))}


def split_origin(
    origin: Origin | None, split: float | Literal["time"], seed: int | None = None
) -> Origin | None:
    """Returns the origin of the training part of a file that was read whole and is split; None for anything else.

    Weights that were transformed before the split are others than those of a training part alone.
    """
    if origin is None or not origin.get("everything") or not os.path.isfile(origin["data"] or ""):
        return None
    if origin.get("weights") not in (None, "none"):
        return None
    kept = {name: value for name, value in origin.items() if name != "everything"}
    return kept | {"split": split, "split_seed": DEFAULT_SEED if seed is None else seed}


def _written(path: str | Path | None) -> str | None:
    if path is None:
        return None
    return STDIN if is_pipe(path) else str(Path(path).resolve())
