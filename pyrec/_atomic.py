"""Files that are replaced in one step, so that a reader never meets half of one, even after a power cut.

File systems that do not know a call (mounted buckets, shares, FAT) still keep the file. What they lose is permissions,
the word that the data have reached the disk, or the one step.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from pyrec.errors import DataError

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_UNKNOWN: Final = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_REFUSED: Final = _UNKNOWN | {errno.EPERM, errno.EACCES, errno.EINVAL, errno.EBADF, errno.EISDIR}
"""Answers to a call that a file system does not know or leaves to others; a disk that fails has none of them."""
_NO_RENAME: Final = _UNKNOWN | {errno.EXDEV, errno.EBUSY}
"""Answers to a rename where files are copied instead: it is unknown, or the target is a mount of its own."""

_in_use: set[str] = set()
"""Names of the temporary folders that this process's threads write in."""


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


def read_text(path: Path, most_bytes: int, advice: str) -> str:
    """Return the text of a file that is not trusted.

    Raises:
        DataError: If it cannot be read, is no regular file, longer than ``most_bytes``, or not UTF-8.
    """
    try:
        check_regular(path, most_bytes)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; {advice}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: {error}; {advice}") from None


def parse_json(text: str, source: object, advice: str) -> Any:
    """Return what JSON that is not trusted holds.

    Raises:
        DataError: If it is no JSON, too deep, or has a number of too many digits.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is no JSON that can be read: {error}; {advice}") from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals, as a file or folder is written, into an error of pyrec.

    Raises:
        DataError: If the block raises an OSError.
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path, in a folder of its own beside ``path``, that takes its place when the block ends well.

    The file has reached the disk before it takes its place, and the folder's entry before this returns. What a process
    that was killed in here has left is removed by the next one.

    Raises:
        DataError: If the folder cannot be made or written. The file at ``path`` is as it was, unless the disk failed
            in the very last step, after it was replaced.
    """
    machine = re.sub(r"[^\w-]", "", platform.node())
    # A folder, for some writers make files beside the one that they are asked for; of a name of its own in each call.
    folder = path.with_name(f".{path.name}.{machine}-{os.getpid()}-{token_hex(8)}.tmp")
    temporary = folder / path.name
    with writing(path), _taken(folder.name), _making(path.parent):
        _remove_orphans(path, machine)
        folder.mkdir()
        try:
            temporary.touch()
            permissions = temporary.stat().st_mode
            yield temporary
            with _unless_refused():  # some writers put a private file in the place of the one made above
                temporary.chmod(permissions)
            _sync(temporary)
            replace(temporary, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.rmdir()  # which needs not open it
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 in one step.

    Raises:
        DataError: If it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def hash_file(path: Path, digest: Hash) -> str:
    """Return the hexadecimal digest of what ``digest`` has taken already and the file's bytes.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def replace(source: Path, target: Path) -> None:
    """Put a file in another's place in one step; by a copy, which takes longer, where the file system cannot.

    Raises:
        OSError: If it cannot be written.
    """
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno not in _NO_RENAME:
            raise
        with suppress(OSError):
            target.unlink()  # who has the old one open keeps it
        shutil.copyfile(source, target)
        _sync(target)
        with _unless_refused():
            source.unlink()


@contextmanager
def _making(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; what was made, and is empty, is removed again if the block fails."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for one in missing:
            with suppress(OSError):
                one.rmdir()
        raise


def check_writable(folder: Path) -> None:
    """Refuses a folder in which no file can be made, or that cannot be made; it is not made.

    Raises:
        DataError: Says why.
    """
    place = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    path = place / f".pyrec-{token_hex(8)}"
    with writing(folder):
        path.touch()
        with _unless_refused():
            path.unlink()


def sync_folder(folder: Path) -> None:
    """Wait until the folder's entries are on the disk, where the file system can tell."""
    _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int = os.O_RDWR) -> None:
    with _unless_refused():
        descriptor = os.open(path, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _unless_refused() -> Iterator[None]:
    """Do what a file is whole without, unless the file system refuses."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSED:
            raise


@contextmanager
def _taken(name: str) -> Iterator[None]:
    """Say that this process writes in a temporary folder."""
    _in_use.add(name)
    try:
        yield
    finally:
        _in_use.discard(name)


def _remove_orphans(path: Path, machine: str) -> None:
    """Remove temporary folders for ``path`` whose process, on this machine, is no more.

    A folder with this process's number that no thread has in use is of one before it with the same number.
    """
    name = re.compile(rf"{re.escape(f'.{path.name}.{machine}-')}([0-9]+)(-[0-9a-f]+)?\.tmp")
    present: list[Path] = []
    with _unless_refused():
        present += path.parent.iterdir()
    for orphan in present:
        found = name.fullmatch(orphan.name)
        if found is None or orphan.name in _in_use:
            continue
        if int(found[1]) == os.getpid() or not _is_alive(int(found[1])):
            shutil.rmtree(orphan, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
