"""Files that are replaced in one step, so that a reader never meets half of one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyrec.errors import DataError


def check_regular(path: Path, most_bytes: int | None = None) -> None:
    """Refuses what is no regular file (a pipe or a device, on which a reader may wait for ever) or is too long.

    Raises:
        OSError: If there is no such file.
        DataError: If it is a folder, a pipe or a device, or longer than ``most_bytes``.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{path} is no regular file; give the file itself")
    if most_bytes is not None and found.st_size > most_bytes:
        raise DataError(f"{path} has {found.st_size} bytes, but at most {most_bytes} are read")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends without an error.

    Raises:
        DataError: If the folder cannot be made or written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        permissions = temporary.stat().st_mode
        try:
            yield temporary
            temporary.chmod(permissions)  # some writers put a private file in the place of the one made above
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 in one step.

    Raises:
        DataError: If it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
