"""Parquet files, and folders of their parts, through PyArrow (extra ``io``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyrec.data.read.files import Content, opened
from pyrec.data.read.reading import Reading
from pyrec.data.roles import assign_roles, missing_time, unused_columns
from pyrec.data.rows import Rows, code_table, require_table
from pyrec.device import available_memory, gibibytes
from pyrec.errors import ConfigError, DataError

MAGIC = b"PAR1"
ROW_BYTES = 16
"""Of a user's and an item's number."""


def parts_of(folder: Path) -> list[Path]:
    """Returns the files ``*.parquet`` of a folder, by name; what starts with a dot or an underscore is none."""
    return sorted(path for path in folder.glob("[!._]*.parquet") if path.is_file())


def read_parquet(content: Content, reading: Reading) -> Rows:
    """Reads the columns of the roles, `pyrec.data.roles.ROLES`, of a Parquet file.

    Args:
        content: the file.
        reading: what the caller says.

    Raises:
        ConfigError: PyArrow is not installed.
        DataError: the file is malformed, or a value is missing.
    """
    roles, table, notes = _read_table(content, reading)
    return _rows(table, roles, content.path, reading, (*content.notes, *notes))


def read_parts(folder: Path, reading: Reading) -> Rows:
    """Reads the Parquet files of a folder as one.

    Raises:
        ConfigError: PyArrow is not installed.
        DataError: a part is malformed, or the parts have different columns.
    """
    parts = parts_of(folder)
    tables: list[Any] = []
    roles: dict[str, str] = {}
    notes: list[str] = []
    for path in parts:
        with opened(path) as content:
            if not content.head.startswith(MAGIC):
                raise DataError(f"{path} is no Parquet file, as its name says; leave it out of the folder")
            roles, table, notes = _read_table(content, reading)
            tables.append(table)
    with _arrow_errors(folder, "its parts have different columns") as arrow:
        whole = arrow.concat_tables(tables)
    return _rows(whole, roles, folder, reading, (f"{len(parts)} Parquet files are read as one", *notes))


def find_roles(content: Content, reading: Reading) -> dict[str, str]:
    """Returns the columns' names by role.

    Raises:
        ConfigError: PyArrow is not installed.
        DataError: the file is malformed, or its columns cannot be told.
    """
    return _open(content, reading)[0]


def _open(content: Content, reading: Reading) -> tuple[dict[str, str], Any]:
    """Returns the columns' names by role, and the opened file."""
    path = content.path
    with _arrow_errors(path, "it is not a sound Parquet file"):
        parquet = _parquet_file(content)
        names = parquet.schema_arrow.names
        _check_unique(
            names, {role: name for role, name in (reading.columns or {}).items() if name in names}, path
        )
        roles = assign_roles(names, len(names), str(path), reading.columns)
        _check_unique(names, {role: names[column] for role, column in roles.items()}, path)
    return {role: names[column] for role, column in roles.items()}, parquet


def _parquet_file(content: Content) -> Any:
    """Returns the opened file; to be called within `_arrow_errors`."""
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    parquet = ParquetFile(content.everything())
    _check_counts(parquet.metadata, content.path)
    return parquet


def read_columns(content: Content, choose: Callable[[list[str]], list[str]]) -> Any:
    """Returns the table of some columns.

    Args:
        content: the file.
        choose: returns which, of all names.

    Raises:
        ConfigError: PyArrow is not installed.
        DataError: the file is malformed, or a column that is wanted is there twice.
    """
    path = content.path
    with _arrow_errors(path, "it is not a sound Parquet file"):
        parquet = _parquet_file(content)
        names = parquet.schema_arrow.names
        chosen = choose(names)
        for name in chosen:
            _check_unique(names, {"feature": name}, path)
        table: Any = parquet.read(columns=chosen)
        table.validate(full=True)
    return table


def _read_table(content: Content, reading: Reading) -> tuple[dict[str, str], Any, list[str]]:
    """Returns the columns' names by role, the table of these columns, and notes on others."""
    roles, parquet = _open(content, reading)
    notes = _unused(parquet.schema_arrow, roles, reading)
    with _arrow_errors(content.path, "it is not a sound Parquet file"):
        table: Any = parquet.read(columns=list(roles.values()))
        table.validate(full=True)  # text that is no UTF-8, offsets that lie
    return roles, table, notes


def _unused(schema: Any, roles: dict[str, str], reading: Reading) -> list[str]:
    from pyarrow import types  # type: ignore[import-untyped]

    names: list[str] = schema.names
    taken = {role: names.index(name) for role, name in roles.items()}

    def is_number(at: int) -> bool:
        kind = schema.types[at]
        return bool(types.is_integer(kind) or types.is_floating(kind))

    return unused_columns(names, taken, reading.columns, is_number)


def _rows(table: Any, roles: dict[str, str], path: Path, reading: Reading, notes: tuple[str, ...]) -> Rows:
    if "time" not in roles:
        missing_time(reading.time_format, path)
    with _arrow_errors(path, "a column cannot be read"):
        try:
            whole = code_table(require_table(table), roles, reading.time_format)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    return whole._replace(notes=notes)


@contextmanager
def _arrow_errors(path: Path, otherwise: str) -> Iterator[Any]:
    """Gives PyArrow, and makes DataError of its errors.

    Raises:
        ConfigError: PyArrow is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise ConfigError(
            f"{path} is Parquet, and PyArrow, which reads it, is not installed; pip install pyarrow"
        ) from None
    try:
        yield pyarrow
    except (DataError, ConfigError):
        raise
    except (
        pyarrow.ArrowException,
        OSError,
        ValueError,
        OverflowError,
    ) as error:  # of names that are no text, too
        raise DataError(f"{path}: {otherwise}: {' '.join(str(error).split())}") from None


def _check_unique(names: list[str], chosen: Mapping[str, object], path: Path) -> None:
    """Refuses a needed column whose name another one has: PyArrow reads columns by name."""
    for role, name in chosen.items():
        if (count := names.count(str(name))) > 1:
            raise DataError(
                f"{path}: {count} columns are called {name!r}, which is the {role}; rename or drop all but one"
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
