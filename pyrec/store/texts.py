"""Text as arrays: its UTF-8 bytes end to end, and where each text starts; and raw ids, which may be text."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrec.data.ids import TEXT, text_problem
from pyrec.errors import DataError
from pyrec.store.arrays import State


def text_arrays(name: str, texts: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return texts as ``name.text``, uint8, and ``name.starts``, int64 (count + 1,)."""
    encoded = [text.encode("utf-8") for text in texts]
    starts = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in encoded], out=starts[1:])
    return {f"{name}.text": np.frombuffer(b"".join(encoded), dtype=np.uint8), f"{name}.starts": starts}


def texts_of(state: State, name: str) -> list[str]:
    """Return the texts that `text_arrays` gave.

    Raises:
        DataError: If an array is missing or of another type, or the bytes are no UTF-8.
    """
    text = state.array(f"{name}.text", np.uint8, (None,)).tobytes()
    starts = state.offsets(f"{name}.starts", len(text)).tolist()
    try:
        return [text[a:b].decode("utf-8") for a, b in pairwise(starts)]
    except UnicodeDecodeError as error:
        raise DataError(f"{state.source}: {name}.text is not UTF-8: {error}") from None


def id_arrays(name: str, ids: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the raw id of each internal id: ``name``, int64 (count,), or text ids as `text_arrays` has them."""
    return {name: ids} if ids.dtype.kind == "i" else text_arrays(name, ids.tolist())


def ids_of(state: State, name: str) -> NDArray[Any]:
    """Return the raw ids that `id_arrays` gave, each there once.

    Raises:
        DataError: If an array is missing or of another type, or an id is there twice or is none.
    """
    ids = state.array(name, np.int64, (None,)) if name in state else _text_ids(state, name)
    if not (ids[1:] > ids[:-1]).all() and len(np.unique(ids)) != len(ids):
        raise DataError(f"{state.source}: {name} holds an id twice")
    return ids


def _text_ids(state: State, name: str) -> NDArray[Any]:
    texts = texts_of(state, name)
    for at, raw in enumerate(texts):
        if problem := text_problem(raw):
            raise DataError(f"{state.source}: {name}[{at}] = {raw[:40]!r} {problem}")
    return np.array(texts, dtype=TEXT)
