"""What a run's items are called: ``item_names.json`` beside the model, a list of pairs of a raw id and a name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from pyrec._atomic import parse_json, read_text, write_text, writing
from pyrec.errors import DataError

FILE: Final = "item_names.json"
MOST_BYTES: Final = 2**30
"""A longer file is not read."""
_MEND: Final = "write it again with --item-names, or delete it"


def write(folder: str | PathLike[str], names: Mapping[Any, str]) -> None:
    """Keep what items are called beside a saved model, in the place of what was kept before.

    Args:
        folder: Of the model.
        names: By raw item id, an integer or text. Without any there is no file.

    Raises:
        DataError: If an id or a name is of another type, or the folder cannot be written.
    """
    put(folder, text_of(names))


def text_of(names: Mapping[Any, str]) -> str:
    """Return the file's text, empty for no names.

    Raises:
        DataError: If an id or a name is of another type.
    """
    if not isinstance(names, Mapping):
        raise DataError(
            f"item_names is a {type(names).__name__}, but a mapping from raw item ids to names is needed"
        )
    pairs = [json.dumps([_plain(raw), _text(raw, name)], ensure_ascii=False) for raw, name in names.items()]
    return "[\n" + ",\n".join(pairs) + "\n]\n" if pairs else ""


def put(folder: str | PathLike[str], text: str) -> None:
    """Write what `text_of` returned; no file for no names.

    Raises:
        DataError: If the folder cannot be written.
    """
    path = Path(folder) / FILE
    if text:
        write_text(path, text)
        return
    with writing(path):
        path.unlink(missing_ok=True)


def read(folder: str | PathLike[str]) -> dict[int | str, str]:
    """Return what the items of a saved model are called, by raw id; empty if nothing was kept.

    Raises:
        DataError: If the file cannot be read or holds something else.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return {}
    pairs = parse_json(read_text(path, MOST_BYTES, _MEND), path, _MEND)
    if not isinstance(pairs, list):
        raise DataError(f"{path} holds no list of pairs of an id and a name; {_MEND}")
    for at, pair in enumerate(pairs):
        if not _is_pair(pair):
            raise DataError(f"{path}: entry {at} is {str(pair)[:60]}, no pair of an id and a name; {_MEND}")
    return dict(pairs)


def _plain(raw: Any) -> int | str:
    if isinstance(raw, (int, np.integer)) and not isinstance(raw, bool):
        return int(raw)
    if isinstance(raw, str):
        return str(raw)
    raise DataError(f"item_names has the id {raw!r}; ids are integers or text")


def _text(raw: Any, name: Any) -> str:
    if not isinstance(name, str):
        raise DataError(f"item_names[{raw!r}] is {name!r}, but a name is text")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"item_names[{raw!r}] is no text that UTF-8 can hold: {error}") from None
    return str(name)


def _is_pair(pair: Any) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], (int, str))
        and not isinstance(pair[0], bool)
        and isinstance(pair[1], str)
    )
