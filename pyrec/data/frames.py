"""Columns of a DataFrame of any library, through narwhals."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt

from pyrec.data.roles import named_roles
from pyrec.errors import DataError


def is_frame(obj: Any) -> bool:
    """Tells whether narwhals knows the object as a DataFrame, eager or lazy."""
    return isinstance(nw.from_native(obj, pass_through=True), nw.DataFrame | nw.LazyFrame)


def _open(frame: Any) -> nw.DataFrame[Any]:
    opened = nw.from_native(frame, pass_through=True)
    if isinstance(opened, nw.LazyFrame):
        return opened.collect()
    if isinstance(opened, nw.DataFrame):
        return opened
    raise DataError(
        f"frame is {type(frame).__name__}; a DataFrame that narwhals supports (pandas, Polars, ...) is needed"
    )


def guess_columns(frame: Any) -> dict[str, str]:
    """Returns `Interactions.from_frame`'s arguments for a frame with well-known column names.

    Raises:
        DataError: the user or the item column has no well-known name.
    """
    names = nw.from_native(frame).collect_schema().names()
    roles = named_roles([str(name) for name in names], "frame")
    if "user" not in roles:
        raise DataError(
            f"frame has the columns {', '.join(map(repr, names))}, none with a well-known name for the user; "
            "use Interactions.from_frame(frame, user=..., item=...)"
        )
    return {role: names[column] for role, column in roles.items()}


def frame_columns(
    frame: Any, user: str, item: str, rating: str | None, time: str | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None, Any | None]:
    """Returns the columns as arrays (n,); an absent rating or time as None.

    Raises:
        DataError: a column does not exist or has a missing value (the row is named).
    """
    table = _open(frame)
    for role, name in (("user", user), ("item", item), ("rating", rating), ("time", time)):
        if name is not None and name not in table.columns:
            raise DataError(
                f"frame has no column {name!r} (for {role}=); it has {', '.join(map(repr, table.columns))}; "
                f"give {role}= one of these"
            )
    return (
        _ids(table[user], user),
        _ids(table[item], item),
        None if rating is None else _plain(table[rating], rating),
        None if time is None else _times(table[time], time),
    )


def _plain(column: nw.Series[Any], name: str) -> npt.NDArray[Any]:
    _refuse_missing(column, name)
    return np.asarray(column.to_numpy())


def _refuse_missing(column: nw.Series[Any], name: str) -> None:
    missing = column.is_null()
    if missing.any():
        row = int(np.asarray(missing.to_numpy()).argmax())
        raise DataError(f"frame column {name!r} is missing in row {row}; drop the row or fill it in")


def _times(column: nw.Series[Any], name: str) -> Any:
    """The native series of a time column, for `pyrec.data.times.as_times`."""
    _refuse_missing(column, name)
    return column.to_native()


def _ids(column: nw.Series[Any], name: str) -> npt.NDArray[Any]:
    """Ids of a column; categories that are numbers stay numbers, others become text."""
    values = _plain(column, name)
    if column.dtype in (nw.Categorical, nw.Enum) and values.dtype.kind not in "iuf":
        return _plain(column.cast(nw.String), name)
    return values
