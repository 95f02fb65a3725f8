"""Ids found as they are typed: users by the beginning of their id, items by id or by words of their name."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyrec.data import Interactions
from pyrec.data.ids import IdArray, is_text
from pyrec.errors import DataError
from pyrec.serve.served import Names

NamedItems: TypeAlias = tuple[list[Any], list[str | None]]

BLOCK = 4096
"""Items whose texts are looked through at once."""
_LAST = chr(0x10FFFF)
_MOST_DIGITS = 19


class Lookup:
    """The ids of one training set, with what items are called. Use it from one thread.

    Args:
        train: Whose ids these are.
        names: By raw item id.
    """

    def __init__(self, train: Interactions, names: Names) -> None:
        self.train = train
        self.names = names

    def users(self, prefix: str, limit: int) -> list[Any]:
        """Return the first raw ids, ascending, that begin with ``prefix``; of numbers the shorter first."""
        ids, order = self.train.user_ids, self._user_order
        ranges = _text_range if is_text(ids) else _number_ranges
        found: list[Any] = []
        for start, stop in ranges(ids, order, prefix):
            at = np.arange(start, min(stop, start + limit - len(found)))
            found += ids[at if order is None else order[at]].tolist()
        return found

    def items(self, search: str, limit: int) -> list[Any]:
        """Return raw ids whose id or name has each of the words in it, the most popular first.

        An item whose id is the text comes before all others. Case and accents do not count; no words find every item.
        """
        exact = self._exact(search.strip())
        words = folded(search).split()
        others = (code for code in self._with_words(words) if code != exact)
        codes = [*([] if exact is None else [exact]), *islice(others, limit - (exact is not None))]
        return self.train.item_ids[np.array(codes, dtype=np.int64)].tolist()  # type: ignore[no-any-return]

    def known_items(self, texts: Sequence[str]) -> list[Any]:
        """Return the raw ids that texts stand for, of those that are known."""
        codes = [code for code in map(self._exact, texts) if code is not None]
        return self.train.item_ids[np.array(codes, dtype=np.int64)].tolist()  # type: ignore[no-any-return]

    def named(self, items: list[Any]) -> NamedItems:
        """Return raw item ids with their names, None for one without."""
        return items, [self.names.get(raw) for raw in items]

    def _exact(self, text: str) -> int | None:
        try:
            wanted: Any = text if is_text(self.train.item_ids) else int(text)
            return int(self.train.encode_items([wanted])[0])
        except (DataError, ValueError):
            return None

    def _with_words(self, words: list[str]) -> Iterator[int]:
        for start, block in zip(range(0, self.train.num_items, BLOCK), self._blocks, strict=True):
            if all(word in block for word in words):
                for at, text in enumerate(block.split("\n"), start):
                    if all(word in text for word in words):
                        yield int(self._by_popularity[at])

    @cached_property
    def _user_order(self) -> NDArray[np.intp] | None:
        """The ascending order of user ids, or None if they are ascending as they stand."""
        ids = self.train.user_ids
        return None if bool(np.all(ids[1:] > ids[:-1])) else np.argsort(ids, kind="stable")

    @cached_property
    def _by_popularity(self) -> NDArray[np.intp]:
        return np.argsort(-self.train.popularity, kind="stable")

    @cached_property
    def _blocks(self) -> list[str]:
        """Id and name of each item, the most popular first, a line each, so that a search is one in long texts."""
        ids = self.train.item_ids[self._by_popularity].tolist()
        lines = [folded(f"{raw} {self.names.get(raw, '')}") for raw in ids]
        return ["\n".join(lines[start : start + BLOCK]) for start in range(0, len(lines), BLOCK)]


def folded(text: str) -> str:
    """Return a text in one line as it is compared: without accents and case."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).split())


def _text_range(ids: IdArray, order: NDArray[np.intp] | None, prefix: str) -> Iterator[tuple[int, int]]:
    ascending = range(len(ids)) if order is None else order
    yield (
        bisect_left(ascending, prefix, key=ids.__getitem__),
        bisect_left(ascending, prefix + _LAST, key=ids.__getitem__),
    )


def _number_ranges(ids: IdArray, order: NDArray[np.intp] | None, prefix: str) -> Iterator[tuple[int, int]]:
    """Yield where, in ascending order, the numbers are that begin with these digits and have 0, 1, 2 ... more."""
    prefix = prefix.strip()
    if prefix in ("", "-"):
        yield (0, len(ids)) if not prefix else (0, int(np.searchsorted(ids, 0, sorter=order)))
        return
    digits = prefix.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
        return
    if digits[0] == "0" and prefix != "0":
        return
    more = _MOST_DIGITS - len(digits) if digits != "0" else 0
    for zeros in range(more + 1):
        low, high = int(digits) * 10**zeros, (int(digits) + 1) * 10**zeros - 1
        if prefix[0] == "-":
            low, high = -high, -low
        if high < -(2**63) or low >= 2**63:
            return
        ends = (np.int64(max(low, -(2**63))), "left"), (np.int64(min(high, 2**63 - 1)), "right")
        start, stop = (int(np.searchsorted(ids, end, side=side, sorter=order)) for end, side in ends)  # type: ignore[call-overload]
        yield start, stop
