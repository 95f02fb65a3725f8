"""Opens text files of interactions and says what is wrong with those that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pyrec.errors import DataError

BOM = b"\xef\xbb\xbf"
_PACKED = {  # the whole of what such files start with, for text may start like a part of it
    re.compile(rb"\x1f\x8b"): "gzip",
    re.compile(rb"PK(\x03\x04|\x05\x06)"): "zip",
    re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"): "bzip2",
    re.compile(rb"\xfd7zXZ\x00"): "xz",
    re.compile(rb"\x28\xb5\x2f\xfd"): "zstd",
}
_HEAD_BYTES = 10
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for reading; the operating system's refusals become `DataError`.

    Raises:
        DataError: the file does not exist, is a folder, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; give a file of interactions") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def check_text_file(path: Path) -> None:
    """Refuses files that are empty, packed, not UTF-8 by their first bytes, or cut off in their last line.

    A file that does not end in a newline is taken as cut off: a shortened last number would otherwise pass
    for another number.

    Raises:
        DataError: with the mend.
    """
    with opened(path) as file:
        head = file.read(_HEAD_BYTES)
        if not head.removeprefix(BOM):
            raise DataError(f"{path} is empty; give a file with one interaction a line")
        for magic, name in _PACKED.items():
            if magic.match(head):
                raise DataError(f"{path} is packed with {name}; unpack it first")
        if head.startswith(_UTF16):
            raise DataError(f"{path}, line 1: UTF-16 text; save it as UTF-8")
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            last = _count_lines(file) + 1
            raise DataError(
                f"{path}, line {last}: the last line has no newline at its end, so the file may be cut off "
                "there; complete it, or if it is whole add the newline"
            )


def _count_lines(file: BinaryIO) -> int:
    file.seek(0)
    return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def first_line(path: Path) -> bytes:
    """Returns the first line of a text file that is not blank, or what the file has of one."""
    with opened(path) as file:
        return next((line for line in file if line.removeprefix(BOM).strip()), b"")


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the number and the text of each line of a UTF-8 file, line ends included.

    Raises:
        DataError: a line is not UTF-8.
    """
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                yield number, (line.removeprefix(BOM) if number == 1 else line).decode("utf-8")
            except UnicodeDecodeError:
                raise DataError(
                    f"{path}, line {number}: not UTF-8 text; convert it, e.g. iconv -f latin1 -t utf-8"
                ) from None
