"""Answers as JSON: lists without their padding, histories and explanations, with names where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from pyrec.data import Interactions
from pyrec.data.ids import IdArray, Int32Array
from pyrec.models import Explanation
from pyrec.serve.asked import Asked
from pyrec.serve.served import Names


def explained(why: Callable[[], Explanation], names: Names | None) -> JSONResponse:
    """Return what an explanation says, with names if there are to be any."""
    told = why().as_dict()
    if names is not None:
        told["item_name"] = names.get(told["item"])
        told["parts"] = [part | {"name": names.get(part["item"])} for part in told["parts"]]
    return JSONResponse(told)


def histories(
    train: Interactions, users: Int32Array, n: int, names: Names | None, asked: Asked
) -> JSONResponse:
    """Return at most n training items of each user (B,), whose internal id is -1 for a skipped one."""
    lists = [_had(train, user, n) for user in users.tolist()]
    content: dict[str, Any] = {"items": lists, "order": "id" if train.times is None else "time"}
    if names is not None:
        content["names"] = _named(lists, names)
    return JSONResponse(content | asked.told())


def _had(train: Interactions, user: int, n: int) -> list[Any]:
    """Return the raw items of a user's training interactions: the latest first if they have times, else ascending."""
    if user < 0:
        return []
    rows = np.arange(train.indptr[user], train.indptr[user + 1])
    if train.times is not None:
        rows = rows[::-1]
        rows = rows[np.argsort(train.times[rows], kind="stable")][::-1]  # equal ones by ascending id
    return train.item_ids[train.items[rows[:n]]].tolist()  # type: ignore[no-any-return]


def lists(
    items: IdArray,
    scores: NDArray[np.float32],
    is_fallback: NDArray[np.bool_] | None,
    names: Names | None,
    asked: Asked,
) -> JSONResponse:
    """Return lists without the padding of a short one; names if there are to be any."""
    lengths = np.isfinite(scores).sum(axis=1).tolist()
    columns = {"items": items, "scores": scores, "is_fallback": is_fallback}
    content: dict[str, Any] = {
        name: [row[:length] for row, length in zip(column.tolist(), lengths, strict=True)]
        for name, column in columns.items()
        if column is not None
    }
    if names is not None:
        content["names"] = _named(content["items"], names)
    return JSONResponse(content | asked.told())


def _named(lists: list[list[Any]], names: Names) -> list[list[str | None]]:
    return [[names.get(raw) for raw in row] for row in lists]
