"""LightGCN's text format: a line ``user item item ...`` for each user, integers apart by spaces."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from pyrec.data.files import BOM, opened
from pyrec.data.ids import factorise
from pyrec.data.interactions import Interactions
from pyrec.errors import DataError

_BLOCK_BYTES = 1 << 24
_MAX_DIGITS = 18
_NEWLINE = 10
_ZERO = 48
_ALLOWED = np.zeros(256, dtype=bool)
_ALLOWED[list(b"0123456789 \t\r\n")] = True

IntArray: TypeAlias = npt.NDArray[np.int64]


def read_ragged(path: Path) -> Interactions:
    """Reads a file of lines ``user item item ...``.

    Ids are whole numbers from 0. A user alone on a line is a user without interactions; blank lines are
    passed over; a user may have several lines. The file is read in blocks of whole lines.

    Args:
        path: the file, which `pyrec.data.files.check_text_file` has passed.

    Raises:
        DataError: the file is absent or holds no interaction, or a line holds anything else than
            whole numbers; the message names file and line.
    """
    users: list[IntArray] = []
    items: list[IntArray] = []
    lonely: list[IntArray] = []
    line = 1
    with opened(path) as file:
        while block := _next_block(file):
            parts = _parse(block.removeprefix(BOM) if line == 1 else block, path, line)
            for column, part in zip((users, items, lonely), parts, strict=True):
                column.append(part)
            line += block.count(b"\n")
    all_items = np.concatenate(items)
    if all_items.size == 0:
        raise DataError(f"{path} holds no interaction; a line is 'user item item ...'")
    user_codes, user_ids = factorise(np.concatenate([*users, *lonely]), "users")
    item_codes, item_ids = factorise(all_items, "items")
    return Interactions.from_codes(user_codes[: item_codes.size], item_codes, user_ids, item_ids)


def _next_block(file: BinaryIO) -> bytes:
    return file.read(_BLOCK_BYTES) + file.readline()


def _parse(block: bytes, path: Path, line: int) -> tuple[IntArray, IntArray, IntArray]:
    """Returns the users (n,) and items (n,) of a block of whole lines, and the users without items."""
    text = np.frombuffer(block, dtype=np.uint8)
    if not _ALLOWED[text].all():
        _refuse_byte(block, int((~_ALLOWED[text]).argmax()), path, line)
    is_digit = np.concatenate(([False], text >= _ZERO, [False]))
    starts = np.flatnonzero(is_digit[1:] & ~is_digit[:-1])
    ends = np.flatnonzero(~is_digit[1:] & is_digit[:-1])
    if starts.size == 0:
        return (np.empty(0, np.int64),) * 3
    if int((ends - starts).max()) > _MAX_DIGITS:
        at = int(starts[(ends - starts).argmax()])
        raise DataError(
            f"{_where(block, at, path, line)}: a number of more than {_MAX_DIGITS} digits; ids are int64"
        )
    values = np.fromstring(block, dtype=np.int64, sep=" ")
    line_ends = np.append(np.flatnonzero(text == _NEWLINE), text.size)
    tokens = np.diff(np.searchsorted(starts, line_ends), prepend=0)
    tokens = tokens[tokens > 0]
    is_item = np.ones(values.size, dtype=bool)
    firsts = np.cumsum(tokens) - tokens
    is_item[firsts] = False
    users = values[firsts]
    return np.repeat(users, tokens - 1), values[is_item], users[tokens == 1]


def _where(block: bytes, at: int, path: Path, line: int) -> str:
    number = line + block.count(b"\n", 0, at)
    return f"{path}, line {number}"


def _refuse_byte(block: bytes, at: int, path: Path, line: int) -> NoReturn:
    where = _where(block, at, path, line)
    start = max(block.rfind(space, 0, at) for space in (b" ", b"\t", b"\r", b"\n")) + 1
    token = re.split(rb"[ \t\r\n]", block[start : start + 40], maxsplit=1)[0].decode("utf-8", "replace")
    if token.startswith("-") and token[1:].isdigit():
        raise DataError(f"{where}: {token} is negative; ids in 'user item item ...' are whole numbers from 0")
    raise DataError(
        f"{where}: {token!r} is not a whole number; a line is 'user item item ...' in integers apart by "
        "spaces (columns of other kinds are apart by tabs, commas, '::' or ';')"
    )
