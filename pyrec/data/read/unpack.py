"""Packed files: gzip, zip, bzip2, xz and zstd, recognised by their first bytes and unpacked as they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final, cast
from zipfile import BadZipFile, ZipFile

from pyrec.device import available_memory, gibibytes
from pyrec.errors import ConfigError, DataError

HEAD_BYTES: Final = 262
"""What `packing` looks at."""
DAMAGED: Final = (EOFError, OSError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, BadZipFile)
"""What unpacking raises where the stream is cut off or damaged; Arrow's and zstandard's errors are among them."""

_PACKED: Final = {  # the whole of what such files start with, for text may start like a part of it
    re.compile(rb"\x1f\x8b"): "gzip",
    re.compile(rb"PK(\x03\x04|\x05\x06)"): "zip",
    re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"): "bzip2",
    re.compile(rb"\xfd7zXZ\x00"): "xz",
    re.compile(rb"\x28\xb5\x2f\xfd"): "zstd",
    re.compile(rb"[^\0]{1,100}\0(?s:.{156,255})ustar"): "tar",
}


def packing(head: bytes) -> str | None:
    """Tells by its first `HEAD_BYTES` how a file is packed; None if it is not."""
    return next((name for magic, name in _PACKED.items() if magic.match(head)), None)


def unpacked(file: BinaryIO, packed: str, path: Path, member: str | None = None) -> tuple[BinaryIO, str]:
    """Opens what a packed file holds.

    Args:
        file: the packed file, seekable if it is a zip archive.
        packed: how, as `packing` says.
        path: for messages.
        member: which file of a zip archive; None for the only one.

    Returns:
        the unpacked stream, and how the file was packed, in words.

    Raises:
        ConfigError: a library that unpacks it is missing.
        DataError: it is an archive where the file meant is not clear, or one that cannot be read.
    """
    if packed == "zip":
        return _of_zip(file, path, member)
    if packed == "tar":
        raise DataError(f"{path} is a tar archive; unpack it first, and give the file: tar xf {path.name}")
    if packed == "zstd":
        return _zstd(file, path), "packed with zstd"
    opened = {"gzip": gzip.GzipFile, "bzip2": bz2.BZ2File, "xz": lzma.LZMAFile}[packed]
    stream = gzip.GzipFile(fileobj=file) if opened is gzip.GzipFile else cast("Any", opened)(file)
    return cast("BinaryIO", stream), f"packed with {packed}"


def _zstd(file: BinaryIO, path: Path) -> BinaryIO:
    with suppress(ImportError):  # part of Python from 3.14 on
        return cast("BinaryIO", import_module("compression.zstd").ZstdFile(file))
    with suppress(ImportError):
        reader = import_module("zstandard").ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return cast("BinaryIO", reader)
    with suppress(ImportError):
        arrow = import_module("pyarrow")
        return cast("BinaryIO", arrow.CompressedInputStream(arrow.PythonFile(file, mode="r"), "zstd"))
    raise ConfigError(
        f"{path} is packed with zstd, which needs zstandard or PyArrow: pip install zstandard; or unpack it: zstd -d"
    )


def _of_zip(file: BinaryIO, path: Path, member: str | None) -> tuple[BinaryIO, str]:
    try:
        archive = ZipFile(file if file.seekable() else io.BytesIO(_whole(file, path)))
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        names = [name for name in names if not re.search(r"(^|/)(__MACOSX/|\.)", name)]
        name = _member(names, path, member)
        return cast("BinaryIO", archive.open(name)), f"packed with zip, as {name}"
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:  # a password is a RuntimeError
        raise DataError(f"{path} cannot be unpacked: {error}; unpack it first, or get it anew") from None


def _whole(file: BinaryIO, path: Path) -> bytes:
    """Reads an archive that comes through a pipe; its directory is at its end."""
    most = available_memory()
    content = file.read() if most is None else file.read(most // 2)
    if file.read(1):
        raise DataError(
            f"{path} is an archive of more than {gibibytes(len(content))}; save it to a disk first"
        )
    return content


def _member(names: list[str], path: Path, member: str | None) -> str:
    if "[Content_Types].xml" in names or any(name.startswith("xl/") for name in names):
        raise DataError(f"{path} is an office document, such as an Excel workbook; save its sheet as CSV")
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    if member is not None and member not in names:
        raise DataError(f"{path} has no {member}; it holds {shown or 'no file'}")
    if member is None and len(names) != 1:
        way = f"say which, as {path}/{names[0]}" if names else "give a file with one interaction a row"
        raise DataError(f"{path} holds {len(names)} files{': ' if names else ''}{shown}; {way}")
    return names[0] if member is None else member
