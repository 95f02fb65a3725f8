"""Tables of any library as named columns: DataFrames through narwhals, Arrow, dicts of columns, structured arrays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt

from pyrec.data.foreign import reading
from pyrec.data.roles import named_roles, role_of
from pyrec.errors import DataError

_ARROW = ("__arrow_c_stream__", "__arrow_c_array__")


@dataclass(frozen=True)
class Table:
    """Columns that are taken when they are asked for.

    Attributes:
        names: of the columns; of a pandas frame, its named index levels follow.
        take: returns the columns of some positions, each a `narwhals.Series` or what the table holds.
        num_columns: how many of the names are columns; the others are index levels.
    """

    names: Sequence[Hashable]
    take: Callable[[Sequence[int]], list[Any]]
    num_columns: int


def open_table(frame: Any) -> Table | None:
    """Returns a table's columns, or None if the object is no table.

    Args:
        frame: a DataFrame of pandas, Polars, Modin or another library that narwhals knows, eager or lazy; a pandas
            Series with named index levels; an Arrow table, record batch or stream; a mapping from names to columns;
            a structured array.

    Raises:
        DataError: its library cannot read it.
    """
    with reading("frame"):
        if isinstance(frame, Mapping):
            return _plain_table(list(frame), frame)
        if isinstance(frame, np.ndarray):
            return None if frame.dtype.names is None else _plain_table(frame.dtype.names, frame)
        if nw.dependencies.is_pandas_like_series(frame):
            frame = frame.to_frame("rating" if frame.name is None else frame.name)
        if nw.dependencies.is_pandas_like_dataframe(frame):
            return _pandas_table(frame)
        if nw.dependencies.is_pyarrow_table(frame):
            return _arrow_table(frame)
        opened = nw.from_native(frame, pass_through=True)
        if isinstance(opened, nw.DataFrame | nw.LazyFrame):
            return _narwhals_table(opened)
        if any(hasattr(frame, name) for name in _ARROW) and not nw.dependencies.is_into_series(frame):
            return _arrow_table(_from_stream(frame))
    return None


def _plain_table(names: Sequence[Hashable], columns: Any) -> Table:
    return Table(names, lambda at: [columns[names[k]] for k in at], len(names))


def _pandas_table(frame: Any) -> Table:
    width = frame.shape[1]
    levels = {at: name for at, name in enumerate(frame.index.names) if name is not None}
    at_level = list(levels)

    def one(k: int) -> Any:
        native = (
            frame.iloc[:, k]
            if k < width
            else frame.index.get_level_values(at_level[k - width]).to_series(index=range(len(frame)))
        )
        return nw.from_native(native, series_only=True)

    return Table([*frame.columns, *levels.values()], lambda at: list(map(one, at)), width)


def _arrow_table(table: Any) -> Table:
    names = table.column_names
    return Table(
        names, lambda at: [nw.from_native(table.column(k), series_only=True) for k in at], len(names)
    )


def _from_stream(frame: Any) -> Any:
    """An Arrow table of a record batch, or of a stream of them, which is then at its end."""
    arrow = import_module("pyarrow")
    if hasattr(frame, "__arrow_c_stream__"):
        return arrow.table(frame)
    return arrow.Table.from_batches([arrow.record_batch(frame)])


def _narwhals_table(frame: nw.DataFrame[Any] | nw.LazyFrame[Any]) -> Table:
    names = frame.collect_schema().names()

    def take(at: Sequence[int]) -> list[Any]:
        needed = frame.select(list(dict.fromkeys(names[k] for k in at)))
        table = needed.collect() if isinstance(needed, nw.LazyFrame) else needed
        return [table[names[k]] for k in at]

    return Table(names, take, len(names))


def guess_columns(table: Table) -> dict[str, Hashable]:
    """Returns `Interactions.from_frame`'s arguments for a table with well-known column names.

    An index level counts where no column has its role.

    Raises:
        DataError: the user or the item column has no well-known name, or a role has two columns.
    """
    columns = list(map(str, table.names[: table.num_columns]))
    known = set(map(role_of, columns))
    levels = [name for name in table.names[table.num_columns :] if role_of(str(name)) not in known]
    names = [*table.names[: table.num_columns], *levels]
    if any(isinstance(name, tuple) for name in names):
        raise DataError(
            f"frame has column names of several levels, {_listed(names)}; make one level of them first: "
            "frame.columns = ['_'.join(map(str, name)) for name in frame.columns]"
        )
    roles = named_roles(list(map(str, names)), "frame")
    if "user" not in roles:
        raise DataError(
            f"frame has the columns {_listed(names)}, none with a well-known name for the user; "
            "use Interactions.from_frame(frame, user=..., item=...)"
        )
    return {role: names[column] for role, column in roles.items()}


def _listed(names: Sequence[Hashable]) -> str:
    shown = ", ".join(map(repr, names[:20]))
    return f"{shown}, ... ({len(names)} columns)" if len(names) > 20 else shown


def frame_columns(table: Table, names: Mapping[str, Hashable]) -> dict[str, Any]:
    """Returns the columns of roles as what `Interactions.from_arrays` takes.

    Args:
        table: from `open_table`.
        names: the column of each role.

    Raises:
        DataError: a column does not exist, is there twice, cannot be read, or has a missing value (the row is named).
    """
    at = {role: _position(table, role, name) for role, name in names.items()}
    with reading(f"one of the frame columns {_listed(list(names.values()))}"):
        taken = dict(zip(at, table.take(list(at.values())), strict=True))
    columns = {}
    for role, column in taken.items():
        name = names[role]
        with reading(f"frame column {name!r}"):
            columns[role] = _values(column, role, name)
    return columns


def _position(table: Table, role: str, name: Hashable) -> int:
    found = [at for at, known in enumerate(table.names[: table.num_columns]) if known == name]
    found = found or [at for at, known in enumerate(table.names) if known == name]
    if len(found) > 1:
        raise DataError(f"frame has {len(found)} columns {name!r} (for {role}=); rename or drop all but one")
    if not found:
        raise DataError(
            f"frame has no column {name!r} (for {role}=); it has {_listed(table.names)}; give {role}= one of these"
        )
    return found[0]


def _values(column: Any, role: str, name: Hashable) -> Any:
    if not isinstance(column, nw.Series):
        return column
    missing = column.is_null()
    if missing.any():
        row = int(np.asarray(missing.to_numpy()).argmax())
        raise DataError(f"frame column {name!r} is missing in row {row}; drop the row or fill it in")
    if role == "time":
        return column.to_native()
    return _ids(column) if role in ("user", "item") else np.asarray(column.to_numpy())


def _ids(column: nw.Series[Any]) -> npt.NDArray[Any]:
    """Ids of a column; categories that are numbers stay numbers, others become text."""
    if column.dtype in (nw.Int128, nw.UInt128):
        column = column.cast(nw.Int64)
    values = np.asarray(column.to_numpy())
    if column.dtype in (nw.Categorical, nw.Enum) and values.dtype.kind not in "iuf":
        return np.asarray(column.cast(nw.String).to_numpy())
    return values
