"""Parquet files, through PyArrow (extra ``io``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyrec.data.files import opened
from pyrec.data.interactions import Interactions
from pyrec.data.roles import Columns, assign_roles
from pyrec.errors import ConfigError, DataError

MAGIC = b"PAR1"


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
            roles = assign_roles(names, len(names), str(path), columns)
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
    except (DataError, ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from None
