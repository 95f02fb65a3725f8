"""What a caller says on how a file is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pyrec.data.roles import Columns, check_columns
from pyrec.errors import ConfigError

IdType: TypeAlias = Literal["auto", "int", "str"]
Format: TypeAlias = Literal["parquet", "delimited", "lists", "matrix"]
"""Of a file: Parquet, delimited text, ``user item item ...``, or a matrix users x items of ratings."""

FORMATS: tuple[Format, ...] = ("delimited", "lists", "matrix", "parquet")


@dataclass(frozen=True)
class Reading:
    """How a file is to be read, as far as the caller says; the rest is found from its contents.

    Attributes:
        id_type: see `pyrec.data.read.readers.read_interactions`; so are the others but the last two.
        columns: likewise.
        header: likewise.
        sep: likewise.
        format: likewise.
        time_format: likewise.
        needs_times: whether a time column that cannot be read is an error, though nobody chose it.
        finds_positions: whether four columns without names may be user, item, position and rating.
    """

    id_type: IdType = "auto"
    columns: Columns | None = None
    header: bool | None = None
    sep: str | None = None
    format: Format | None = None
    time_format: str | None = None
    needs_times: bool = False
    finds_positions: bool = False

    def check(self) -> None:
        """Refuses options that are out of range or exclude each other.

        Raises:
            ConfigError: names the option and its value.
        """
        if self.id_type not in ("auto", "int", "str"):
            raise ConfigError(f"id_type is {self.id_type!r}; it is one of 'auto', 'int', 'str'")
        if self.format not in (None, *FORMATS):
            raise ConfigError(f"format is {self.format!r}; it is one of {', '.join(map(repr, FORMATS))}")
        if self.header not in (None, True, False):
            raise ConfigError(f"header is {self.header!r}; it is True, False, or None to find out")
        check_columns(self.columns)
        self._check_sep()
        names = [column for column in (self.columns or {}).values() if isinstance(column, str)]
        if names and self.header is False:
            raise ConfigError(
                f"columns names {names[0]!r}, but header is False; give the numbers of columns, from 1"
            )

    def _check_sep(self) -> None:
        sep = self.sep
        if sep is None:
            return
        if not isinstance(sep, str) or not sep or any(character in sep for character in '\n\r"\0'):
            raise ConfigError(
                f"sep is {sep!r}; it is the text between two columns, such as ',', '\\t', ';' or ' '"
            )

    def given(self) -> Mapping[str, object]:
        """Returns the options that the caller gave, by name."""
        options = {
            "id_type": None if self.id_type == "auto" else self.id_type,
            "columns": None if self.columns is None else dict(self.columns),
            "header": self.header,
            "sep": self.sep,
            "time_format": self.time_format,
        }
        return {name: value for name, value in options.items() if value is not None}

    def refuse(self, meaningless: tuple[str, ...], where: str) -> None:
        """Refuses options that mean nothing to a file.

        Raises:
            ConfigError: names the first that was given.
        """
        for name, value in self.given().items():
            if name in meaningless:
                raise ConfigError(f"{name} is {value!r}, but {where}; leave it out")
