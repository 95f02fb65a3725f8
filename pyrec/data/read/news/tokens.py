"""Looks up a great many short tokens of a text at once, such as the articles of impressions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Int64Array: TypeAlias = npt.NDArray[np.int64]
KeyArray: TypeAlias = npt.NDArray[np.uint64]

_BLANK, _NEWLINE = ord(" "), ord("\n")
_WIDTH: Final = 8  # bytes of a key
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_MASKS: Final = np.array([(1 << 8 * width) - 1 for width in range(_WIDTH)] + [2**64 - 1], dtype=np.uint64)


class Cells(NamedTuple):
    """Tokens of cells that are apart by newlines, apart by blanks within a cell.

    Attributes:
        text: the bytes, with `_WIDTH` more at the end.
        starts: int64 (n,): where each token begins.
        ends: int64 (n,): where it ends.
        indptr: int64 (num_cells + 1,): the tokens of each cell.
    """

    text: npt.NDArray[np.uint8]
    starts: Int64Array
    ends: Int64Array
    indptr: Int64Array

    def spelling(self, at: int) -> str:
        """Returns a token as text."""
        return bytes(self.text[self.starts[at] : self.ends[at]]).decode()

    def cell_of(self, at: int) -> int:
        """Returns the cell of a token."""
        return int(np.searchsorted(self.indptr, at, side="right")) - 1


def split_cells(cells: Iterable[str]) -> Cells:
    """Returns the tokens of cells; a cell holds no newline."""
    joined = "\n".join([*cells, ""]).encode()
    text = np.frombuffer(joined + bytes(_WIDTH), np.uint8)
    inner = text[: len(joined)]
    ends = np.flatnonzero((inner == _BLANK) | (inner == _NEWLINE))
    starts = np.append(0, ends[:-1] + 1) if ends.size else ends
    is_last = inner[ends] == _NEWLINE
    there = ends > starts
    indptr = np.append(0, np.cumsum(there)[is_last])
    if not there.all():
        starts, ends = starts[there], ends[there]
    return Cells(text, starts, ends, indptr)


class TokenMap:
    """Numbers of known tokens.

    Those of at most 8 bytes are looked up together, by a hash table; the others by a dict.

    Args:
        tokens: each once, without blanks and newlines; number k is the k-th.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        encoded = [token.encode() for token in tokens]
        self._long = {token: at for at, token in enumerate(encoded) if len(token) > _WIDTH}
        short = [at for at, token in enumerate(encoded) if len(token) <= _WIDTH]
        padded = b"".join(encoded[at].ljust(_WIDTH, b"\0") for at in short)
        keys = np.frombuffer(padded, np.dtype("<u8")).astype(np.uint64)
        order = np.argsort(keys)
        self._keys = np.append(keys[order], np.uint64(0))  # the last one is no token, for lookups that fail
        self._numbers = np.append(np.array(short, np.int32)[order], np.int32(-1))
        self._shift = np.uint64(64 - max(4, (8 * len(short)).bit_length()))
        self._table = np.full(1 << int(64 - self._shift), len(short), np.int32)
        self._table[self._slots(self._keys[:-1])] = np.arange(len(short), dtype=np.int32)

    def _slots(self, keys: KeyArray) -> KeyArray:
        return np.asarray((keys * _MULTIPLIER) >> self._shift)

    def find(
        self, text: npt.NDArray[np.uint8], starts: Int64Array, ends: Int64Array
    ) -> npt.NDArray[np.int32]:
        """Returns the numbers of tokens int32 (n,); -1 for an unknown one.

        Args:
            text: bytes, 8 more than the last token needs.
            starts: (n,) where each token begins.
            ends: (n,) where it ends.
        """
        lengths = ends - starts
        windows = np.lib.stride_tricks.sliding_window_view(text, _WIDTH)
        keys = np.ascontiguousarray(windows[starts]).view(np.dtype("<u8")).ravel().astype(np.uint64)
        keys &= _MASKS[np.minimum(lengths, _WIDTH)]
        found = self._table[self._slots(keys)]
        wrong = np.flatnonzero(self._keys[found] != keys)
        if wrong.size:  # a slot holds one of the keys that fall there
            at = np.minimum(np.searchsorted(self._keys[:-1], keys[wrong]), self._keys.size - 1)
            found[wrong] = np.where(self._keys[at] == keys[wrong], at, self._keys.size - 1)
        numbers = self._numbers[found]
        for at in np.flatnonzero(lengths > _WIDTH).tolist():
            numbers[at] = self._long.get(bytes(text[starts[at] : ends[at]]), -1)
        return np.asarray(numbers)
