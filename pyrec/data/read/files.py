"""Opens files of interactions, plain or packed, from a disk or through a pipe, and reads each once, from its start."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from pyrec.data.read.unpack import DAMAGED, HEAD_BYTES, packing, unpacked
from pyrec.device import available_memory, gibibytes
from pyrec.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BOM: Final = b"\xef\xbb\xbf"
STDIN: Final = "-"
"""The path that means the standard input."""
LOOK_BYTES = 1 << 20
"""From which the shape of a file is found."""
LONGEST_LINE: Final = 1 << 28
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


class Content:
    """The bytes of a file of interactions.

    Attributes:
        path: for messages.
        head: the first `LOOK_BYTES`, without a byte order mark and with newlines as line ends.
        is_whole: whether that is all.
        notes: what was found in opening it, a sentence each.
        ends_open: whether the file does not end in a newline; known once `blocks` has reached the end.
    """

    def __init__(self, path: Path, stream: BinaryIO, notes: list[str], most: int | None) -> None:
        self.path = path
        self.notes = notes
        self.ends_open = False
        self._stream = stream
        self._most = most
        self._count = 0
        self._is_mac = False
        head = self._read(LOOK_BYTES)
        self.is_whole = len(head) < LOOK_BYTES
        self._is_mac = b"\r" in head and b"\n" not in head
        self.head = (head.replace(b"\r", b"\n") if self._is_mac else head).removeprefix(BOM)

    def _read(self, size: int) -> bytes:
        """Reads so many bytes, fewer only at the end."""
        parts, left = [], size
        try:
            while left and (part := self._stream.read(left)):
                parts.append(part)
                left -= len(part)
        except DAMAGED as error:
            done = self._count + size - left
            raise DataError(
                f"{self.path} cannot be read beyond byte {done:,} of its contents: {_words(error)}; it is cut off or "
                "damaged: get it anew"
            ) from None
        self._count += size - left
        if self._most is not None and self._count > self._most:
            raise DataError(
                f"{self.path} holds more than the {gibibytes(self._most)} of memory that are free; is it the right "
                "file? unpack it to a disk first, or give a part of it"
            )
        whole = b"".join(parts)
        return whole.replace(b"\r", b"\n") if self._is_mac else whole

    def lines(self, most: int) -> list[tuple[int, str]]:
        """Returns number and text of the head's first lines, line ends included; of the last only if it is whole.

        Args:
            most: so many.

        Raises:
            DataError: a line is not UTF-8 text.
        """
        rest = self.head.split(b"\n", most)
        cut = len(self.head) - len(rest[-1]) if len(rest) > most or not self.is_whole else len(self.head)
        text = decode(self.head[:cut] or self.head, 1, self.path, "strict" if cut else "ignore")
        return list(enumerate(io.StringIO(text, newline="\n"), start=1))

    def blocks(self, size: int, skip: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yields blocks of whole lines, each with the number of its first line; once.

        Args:
            size: bytes to read at a time.
            skip: lines of the head to leave out.

        Raises:
            DataError: the file cannot be read further, or a line is longer than `LONGEST_LINE`.
        """
        number, pending = 1 + skip, self.head
        for _ in range(skip):
            pending = pending[pending.find(b"\n") + 1 :] if b"\n" in pending else b""
        while True:
            if cut := pending.rfind(b"\n") + 1:
                yield number, pending[:cut]
                number += pending.count(b"\n", 0, cut)
                pending = pending[cut:]
            if len(pending) > LONGEST_LINE:
                raise DataError(
                    f"{self.path}, line {number}: a line of more than {LONGEST_LINE:,} bytes; is this the right file?"
                )
            more = b"" if self.is_whole else self._read(max(size, len(pending)))
            if not more:
                break
            pending += more
        if pending:
            self.ends_open = True
            yield number, pending + b"\n"

    def everything(self) -> BinaryIO:
        """Returns a seekable file of all bytes: the file itself if it is plain, or a copy in memory."""
        if self._most is None:
            self._stream.seek(0)
            return self._stream
        return io.BytesIO(self.head + b"".join(iter(lambda: self._read(LOOK_BYTES), b"")))


@contextmanager
def opened(path: Path) -> Iterator[Content]:
    """Opens a file for reading once; packed ones are unpacked.

    Args:
        path: the file; "-" for the standard input; a zip archive's file as ``archive.zip/file``.

    Raises:
        ConfigError: a library that unpacks it is missing.
        DataError: the file does not exist, is a folder, is empty, is UTF-16, or cannot be read.
    """
    with ExitStack() as stack:
        file, member = _open(path, stack)
        notes: list[str] = []
        try:
            file, head = _peeked(file)
            is_plain = file.seekable()
            if packed := packing(head):
                file, words = unpacked(file, packed, path, member)
                stack.callback(file.close)
                notes.append(words)
                is_plain = False
            elif member is not None:
                raise DataError(f"{path} does not exist; check the path")
        except OSError as error:
            raise DataError(f"{path} cannot be read: {_words(error)}") from None
        content = Content(path, file, notes, None if is_plain else available_memory())
        if not content.head:
            raise DataError(f"{path} is empty; give a file that holds lines")
        if packed and (again := packing(content.head[:HEAD_BYTES])):
            raise DataError(f"{path} holds what is packed with {again} in turn; unpack it first")
        if content.head.startswith(_UTF16):
            raise DataError(
                f"{path}, line 1: UTF-16 text; save it as UTF-8, e.g. iconv -f utf-16 -t utf-8 {path.name} > utf8.csv"
            )
        yield content


def is_pipe(path: str | Path) -> bool:
    """Tells whether a path is the standard input, a pipe or a device: what can be read once."""
    return str(path) == STDIN or (
        os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    )


def _open(path: Path, stack: ExitStack) -> tuple[BinaryIO, str | None]:
    """Opens the file, or the archive that it would be in, and then returns the rest of the path."""
    try:
        if str(path) == STDIN:
            return stack.enter_context(open(0, "rb", closefd=False)), None
        return stack.enter_context(path.open("rb")), None
    except (FileNotFoundError, NotADirectoryError):
        archive = next((parent for parent in path.parents if parent.is_file()), None)
        if archive is None:
            raise DataError(f"{path} does not exist; check the path") from None
        return stack.enter_context(archive.open("rb")), path.relative_to(archive).as_posix()
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; give a file of interactions") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {_words(error)}") from None


def _words(error: BaseException) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())


def _peeked(file: BinaryIO) -> tuple[BinaryIO, bytes]:
    """Returns the file as it was, and its first bytes."""
    head = b""
    while len(head) < HEAD_BYTES and (part := file.read(HEAD_BYTES - len(head))):
        head += part
    if file.seekable():
        file.seek(-len(head), io.SEEK_CUR)
        return file, head
    return cast("BinaryIO", io.BufferedReader(_Joined(head, file))), head


class _Joined(io.RawIOBase):
    """Bytes that were read already, and the rest of a stream."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills the buffer as far as bytes are there; 0 at the end."""
        view = memoryview(buffer).cast("B")
        part = self._head[: len(view)] or self._rest.read(len(view))
        self._head = self._head[len(view) :]
        view[: len(part)] = part
        return len(part)


def decode(block: bytes, number: int, path: Path, errors: str = "strict") -> str:
    """Returns the text of lines; the first has this number.

    Raises:
        DataError: a line holds a NUL or is not UTF-8.
    """
    if b"\0" in block:
        line = number + block.count(b"\n", 0, block.index(b"\0"))
        raise DataError(
            f"{path}, line {line}: a NUL byte; this is no text, or UTF-16: give a text file in UTF-8, or Parquet"
        )
    try:
        return block.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        line = number + block.count(b"\n", 0, error.start)
        raise DataError(
            f"{path}, line {line}: not UTF-8 text; convert it, e.g. iconv -f latin1 -t utf-8"
        ) from None
