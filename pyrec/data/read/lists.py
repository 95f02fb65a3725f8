"""LightGCN's text format: a line ``user item item ...`` for each user, integers apart by spaces."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from pyrec.data.ids import Int32Array, factorise
from pyrec.data.read.files import Content
from pyrec.data.read.shape import DECIDE, LISTS, Lists
from pyrec.data.rows import Rows
from pyrec.errors import DataError

_BLOCK_BYTES = 1 << 24
_MOST_DIGITS = 19
_NEWLINE = 10
_ZERO = 48
_ALLOWED = np.zeros(256, dtype=bool)
_ALLOWED[list(b"0123456789 \t\r\n")] = True

IntArray: TypeAlias = npt.NDArray[np.int64]


def read_ragged(content: Content, lists: Lists) -> Rows:
    """Reads a file of lines ``user item item ...``.

    Ids are whole numbers from 0. A user alone on a line is a user without interactions; blank lines are
    passed over; a user may have several lines. The file is read in blocks of whole lines.

    Args:
        content: the file.
        lists: where the lines start, and whether the caller says that they are lists.

    Raises:
        DataError: the file holds no interaction, a line holds anything else than whole numbers, or the lines may be
            columns as well; the message names file and line.
    """
    path = content.path
    users: list[IntArray] = []
    counts: list[IntArray] = []
    items: list[IntArray] = []
    notes = [*content.notes, *lists.notes]
    for line, block in content.blocks(_BLOCK_BYTES, lists.skip):
        if content.ends_open:
            notes.append(_open_end(block, path, line))
        for column, part in zip((users, counts, items), _parse(block, path, line), strict=True):
            column.append(part)
    all_users, all_counts, all_items = map(np.concatenate, (users, counts, items))
    if all_items.size == 0:
        raise DataError(f"{path} holds no interaction; a line is 'user item item ...'")
    user_codes, user_ids = factorise(all_users, "users")
    item_codes, item_ids = factorise(all_items, "items")
    if not lists.is_sure:
        _check_lists(path, user_codes, user_ids.size, all_counts, all_users, all_items)
        if all_counts.min() == all_counts.max() > 1:
            notes.append(
                f"each line has {all_counts[0] + 1} numbers and is read as 'user item item ...'; if these are "
                "columns say so: --sep ' ' (in Python sep=' ')"
            )
    users_of = np.repeat(user_codes, all_counts)
    return Rows(users_of, item_codes, user_ids, item_ids, notes=tuple(notes))


def _open_end(block: bytes, path: Path, line: int) -> str:
    """Returns the note on a last line without a newline, which has to hold an item."""
    last = block.rstrip(b" \t\r\n").rpartition(b"\n")[2].split()
    if len(last) == 1:
        number = line + block.count(b"\n") - 1
        raise DataError(
            f"{path}, line {number}: the last line has no newline and no item; the file is cut off "
            "there: get it anew, complete the line or drop it"
        )
    shown = b" ".join(last[-3:]).decode("utf-8", "replace")
    return f"the last line has no newline and is taken as whole, up to {shown[-40:]!r}"


def _check_lists(
    path: Path,
    user_codes: Int32Array,
    num_users: int,
    counts: IntArray,
    users: IntArray,
    items: IntArray,
) -> None:
    """Refuses lines that may be columns such as user, item, rating: as many numbers in most, and users repeat."""
    how_often = np.bincount(counts)
    usual, lines = int(how_often.argmax()), int(how_often.max())
    if usual < 2 or 2 * lines <= counts.size:
        return
    if user_codes.size > num_users:
        why = f"user {users[_second(user_codes)]} has several of them"
    elif lines == counts.size and _is_rated(items.reshape(-1, usual)):
        why = f"the {'last' if usual == 2 else 'fourth'} numbers are like {'ratings' if usual == 2 else 'times'}"
    else:
        return
    raise DataError(
        f"{path}: {lines:,} of {counts.size:,} lines have {usual + 1} numbers apart by blanks, and {why}: "
        f"these may be columns such as user, item, rating, or lists 'user item item ...'; {DECIDE}"
    )


def _second(codes: Int32Array) -> int:
    """Returns a position whose code another one has too."""
    order = np.argsort(codes, kind="stable")
    return int(order[1:][codes[order][1:] == codes[order][:-1]].min())


def _is_rated(table: IntArray) -> bool:
    """Tells whether rows (n, 2 or more) of what would be items look like an item, a rating and perhaps a time."""
    if len(table) < 2:
        return False
    if table.shape[1] > 2:
        return bool(table[:, 2].min() >= 10**8 > table[:, 0].max())
    return bool(table[:, 1].max() <= 10 < table[:, 0].min())


def _parse(block: bytes, path: Path, line: int) -> tuple[IntArray, IntArray, IntArray]:
    """Returns the users (m,) of the lines of a block, how many items each has, and all items (n,)."""
    text = np.frombuffer(block, dtype=np.uint8)
    if not _ALLOWED[text].all():
        _refuse_byte(block, int((~_ALLOWED[text]).argmax()), path, line)
    is_digit = np.concatenate(([False], text >= _ZERO, [False]))
    starts = np.flatnonzero(is_digit[1:] & ~is_digit[:-1])
    ends = np.flatnonzero(~is_digit[1:] & is_digit[:-1])
    if starts.size == 0:
        return (np.empty(0, np.int64),) * 3
    _check_numbers(block, text, starts, ends - starts, path, line)
    values = np.fromstring(block, dtype=np.int64, sep=" ")
    line_ends = np.append(np.flatnonzero(text == _NEWLINE), text.size)
    tokens = np.diff(np.searchsorted(starts, line_ends), prepend=0)
    tokens = tokens[tokens > 0]
    is_item = np.ones(values.size, dtype=bool)
    firsts = np.cumsum(tokens) - tokens
    is_item[firsts] = False
    return values[firsts], tokens - 1, values[is_item]


def _check_numbers(
    block: bytes, text: npt.NDArray[np.uint8], starts: IntArray, widths: IntArray, path: Path, line: int
) -> None:
    """Refuses numbers that int64 does not hold, and those with leading zeros, which would become others."""
    padded = (text[starts] == _ZERO) & (widths > 1)
    if padded.any():
        at = int(padded.argmax())
        padding = block[starts[at] : starts[at] + widths[at]].decode()
        raise DataError(
            f"{_where(block, int(starts[at]), path, line)}: {padding[:40]!r} has leading zeros, but ids in {LISTS} are "
            "whole numbers; write them plainly, or as text in two columns, user,item"
        )
    for at in np.flatnonzero(widths >= _MOST_DIGITS).tolist():
        shown = block[starts[at] : starts[at] + widths[at]]
        if widths[at] > _MOST_DIGITS or int(shown) >= 2**63:
            raise DataError(
                f"{_where(block, int(starts[at]), path, line)}: {shown[:40].decode()} is beyond int64's 2**63 - 1; "
                "number the ids anew, or write them as text in two columns, user,item"
            )


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
        f"{where}: {token!r} is not a whole number, as all are in {LISTS}; correct it, or if these are columns say "
        "what is between them: --sep ' ' (in Python sep=' ')"
    )
