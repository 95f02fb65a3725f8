"""Parquet files, through PyArrow (extra ``io``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyrec.data.files import opened
from pyrec.data.interactions import Interactions
from pyrec.data.roles import Columns, assign_roles
from pyrec.device import available_memory, gibibytes
from pyrec.errors import ConfigError, DataError

MAGIC = b"PAR1"
ROW_BYTES = 16
"""Of a user's and an item's number."""


def read_parquet(path: Path, columns: Columns | None = None) -> Interactions:
    """Reads the user, item, rating and time columns of a Parquet file.

    Args:
        path: the file.
        columns: see `pyrec.data.roles.Columns`.

    Raises:
        ConfigError: PyArrow is not installed.
        DataError: the file is malformed, or a value is missing.
    """
    try:
        from pyarrow import ArrowException  # type: ignore[import-untyped]
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigError(
            f"{path} is a Parquet file, and PyArrow, which reads it, is not installed; pip install pyarrow"
        ) from None
    with opened(path) as file:
        try:
            parquet = ParquetFile(file)
            names = parquet.schema_arrow.names
            _check_counts(parquet.metadata, path)
            roles = assign_roles(names, len(names), str(path), columns)
            _check_unique(names, roles, path)
            table: Any = parquet.read(columns=[names[column] for column in roles.values()])
            table.validate(full=True)  # text that is no UTF-8, offsets that lie
        except DataError:
            raise
        except (
            ArrowException,
            OSError,
            ValueError,
            OverflowError,
        ) as error:  # of names that are no text, too
            raise DataError(f"{path} is not a sound Parquet file: {' '.join(str(error).split())}") from None
    chosen = {role: names[column] for role, column in roles.items()}
    try:
        return Interactions.from_frame(table, **chosen)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _check_unique(names: list[str], roles: dict[str, int], path: Path) -> None:
    """Refuses a needed column whose name another one has: PyArrow reads columns by name."""
    for role, column in roles.items():
        if names.count(names[column]) > 1:
            raise DataError(
                f"{path}: {names.count(names[column])} columns are called {names[column]!r}, which is the {role}; "
                "rename or drop all but one"
            )


def _check_counts(metadata: Any, path: Path) -> None:
    """Refuses counts that do not agree, or more rows than there is memory for: PyArrow takes memory by them.

    The columns' counts are left alone: PyArrow ends the process where their metadata are malformed.
    """
    total = sum(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
    if total != metadata.num_rows:
        raise DataError(
            f"{path} is not a sound Parquet file: its row groups have {total:,} rows, but it has {metadata.num_rows:,}"
        )
    needed, free = ROW_BYTES * total, available_memory()
    if free is not None and needed > free:
        raise DataError(
            f"{path}: its {total:,} rows take {gibibytes(needed)} at least, and {gibibytes(free)} are free"
        )
