"""Unpacks a zip archive that is not trusted: no path outside the folder, no link, a bound on what comes out."""

from __future__ import annotations

import shutil
import stat
import zlib
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from pyrec._atomic import replacing
from pyrec.errors import DataError

MOST_MEMBERS = 1000
_ENCRYPTED = 0x1


def unzip(archive: Path, folder: Path, most_bytes: int) -> None:
    """Unpacks an archive, after a look at all its members; files that are there and whole are left alone.

    Args:
        archive: the zip file.
        folder: where to unpack it; existing files of these names are replaced.
        most_bytes: bound on the sum of the unpacked sizes.

    Raises:
        DataError: it is no sound zip file, or would unpack to more than `MOST_MEMBERS` files or `most_bytes`; a
            member's path leads out of the folder, is there twice or is no plain file.
        OSError: a file cannot be read or written.
    """
    try:
        with ZipFile(archive) as opened:
            members = [info for info in opened.infolist() if not info.is_dir()]
            _check(archive, members, most_bytes)
            for info in members:
                target = folder / info.filename
                if not _is_whole(target, info):
                    with (
                        opened.open(info) as source,
                        replacing(target) as temporary,
                        temporary.open("wb") as out,
                    ):
                        shutil.copyfileobj(source, out, 1 << 20)
    except (BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}; it is damaged or no zip file") from None


def _check(archive: Path, members: list[ZipInfo], most_bytes: int) -> None:
    if len(members) > MOST_MEMBERS:
        raise DataError(f"{archive} has {len(members)} members, more than {MOST_MEMBERS}; do not use it")
    size = sum(info.file_size for info in members)
    if size > most_bytes:
        raise DataError(
            f"{archive} would unpack to {size} bytes, but at most {most_bytes} are expected; do not use it"
        )
    seen: set[str] = set()
    for info in members:
        problem = _problem(info) or ("twice" if info.filename.casefold() in seen else None)
        if problem is not None:
            raise DataError(f"{archive} has the member {info.filename!r}, {problem}; do not use it")
        seen.add(info.filename.casefold())


def _problem(info: ZipInfo) -> str | None:
    """Returns why a member must not be unpacked, or None if it may."""
    path = PurePosixPath(info.orig_filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in str(path) or "\0" in str(path):
        return "outside its folder"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "which is a link or a device"
    if info.flag_bits & _ENCRYPTED:
        return "which is encrypted"
    return None


def _is_whole(path: Path, info: ZipInfo) -> bool:
    """Tells whether a file has the size and the CRC-32 that the archive says."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != info.file_size:
        return False
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc == info.CRC
