"""What readers of news make of files: articles as written, impressions by number of article."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pyrec.data.ids import TEXT, IdArray, IdMap, Int32Array, is_text, text_problem
from pyrec.data.ragged import Ragged
from pyrec.data.read.fields import PLAIN_INTEGER
from pyrec.data.read.news.tokens import Cells, TokenMap
from pyrec.errors import ConfigError, DataError

Unknown: TypeAlias = Literal["error", "empty", "drop"]
"""What is done about candidates that are no article of the files."""

UNKNOWN: Final[tuple[Unknown, ...]] = ("error", "empty", "drop")

Bools: TypeAlias = npt.NDArray[np.bool_]
Int64Array: TypeAlias = npt.NDArray[np.int64]
Seconds: TypeAlias = npt.NDArray[np.float64]


class RawArticles(NamedTuple):
    """Articles as files have them: one list entry each.

    Attributes:
        ids: raw ids, int64 or text.
        titles: "" where there is none.
        abstracts: likewise.
        categories: "" for none; or None.
        subcategories: lists of words; or None.
        entities: likewise.
        published: seconds since 1970, NaN for unknown; or None.
        notes: what was decided or dropped.
    """

    ids: IdArray
    titles: list[str]
    abstracts: list[str]
    categories: list[str] | None
    subcategories: list[list[str]] | None
    entities: list[list[str]] | None
    published: Seconds | None
    notes: tuple[str, ...] = ()

    def joined(self, other: RawArticles) -> RawArticles:
        """Returns these articles and those of the others that are not among them."""
        if is_text(self.ids) != is_text(other.ids):
            return self._with_text_ids().joined(other._with_text_ids())
        new = np.flatnonzero(IdMap(self.ids, "article").encode(other.ids, "ids", "skip") < 0)
        if not new.size:
            return self
        at = new.tolist()

        def both(name: str, filler: Any) -> list[Any] | None:
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours is None and theirs is None:
                return None
            ours = [filler] * len(self.ids) if ours is None else ours
            return ours + [filler if theirs is None else theirs[k] for k in at]

        return RawArticles(
            np.concatenate([self.ids, other.ids[new]]),
            self.titles + [other.titles[k] for k in at],
            self.abstracts + [other.abstracts[k] for k in at],
            both("categories", ""),
            both("subcategories", []),
            both("entities", []),
            self._join_published(other, new),
            tuple(dict.fromkeys(self.notes + other.notes)),
        )

    def _with_text_ids(self) -> RawArticles:
        return self if is_text(self.ids) else self._replace(ids=self.ids.astype(str).astype(TEXT))

    def _join_published(self, other: RawArticles, new: Int64Array) -> Seconds | None:
        if self.published is None and other.published is None:
            return None
        ours = np.full(len(self.ids), np.nan) if self.published is None else self.published
        theirs = np.full(new.size, np.nan) if other.published is None else other.published[new]
        return np.concatenate([ours, theirs])


class Shown(NamedTuple):
    """Impressions as files have them.

    Attributes:
        users: (n,) raw ids, int64 or text.
        times: float64 (n,) seconds since 1970, or None.
        candidates: (n, number of articles so far).
        clicks: bool, one for each candidate, or None.
        histories: the distinct histories, (m, number of articles).
        history_rows: int32 (n,).
        notes: what was decided or dropped.
        first_clicks: when each article was first clicked in a history, inf for never; None where nobody knows.
    """

    users: IdArray
    times: Seconds | None
    candidates: Ragged
    clicks: Bools | None
    histories: Ragged
    history_rows: Int32Array
    notes: tuple[str, ...]
    first_clicks: Seconds | None = None


class ArticleIndex:
    """Numbers of articles by raw id; those that no file tells anything of can be added.

    Attributes:
        ids: of the articles of the files, int64 or text.
        unknown: what is done about candidates that are none of them.
        added: the number of each further raw id.
    """

    def __init__(self, ids: IdArray, unknown: Unknown) -> None:
        if unknown not in UNKNOWN:
            raise ConfigError(f"unknown is {unknown!r}; it is one of {', '.join(map(repr, UNKNOWN))}")
        self.ids = ids
        self.unknown = unknown
        self.added: dict[str | int, int] = {}
        self._map = IdMap(ids, "article")

    @cached_property
    def _tokens(self) -> TokenMap:
        return TokenMap(map(str, self.ids.tolist()))

    def find(self, cells: Cells, ends: Int64Array | None = None) -> Int32Array:
        """Returns the articles of tokens, int32 (n,); -1 for an unknown one."""
        return self._tokens.find(cells.text, cells.starts, cells.ends if ends is None else ends)

    def find_values(self, values: IdArray) -> Int32Array:
        """Returns the articles of raw ids, int32 (n,); -1 for an unknown one."""
        if is_text(self.ids) and values.dtype.kind in "iu":
            values = values.astype(str)
        if not is_text(self.ids) and values.dtype.kind not in "iu":
            numbers = [int(raw) if PLAIN_INTEGER.fullmatch(raw) else None for raw in values.tolist()]
            known = np.array([raw is not None and abs(raw) < 2**63 for raw in numbers], dtype=bool)
            codes = np.full(values.size, -1, np.int32)
            whole = np.array([raw for raw in numbers if raw is not None and abs(raw) < 2**63], np.int64)
            codes[known] = self._map.encode(whole, "articles", "skip")
            return codes
        return self._map.encode(values, "articles", "skip")

    def settle(
        self,
        codes: Int32Array,
        spelling: Callable[[int], str | int],
        where: Callable[[int], str],
    ) -> Bools | None:
        """Does about unknown candidates what is said: returns which candidates stay; None for all.

        Args:
            codes: int32 (n,), the candidates' articles; unknown ones are -1, and added ones are numbered in place.
            spelling: the raw id of a candidate.
            where: the place of a candidate, for the message.

        Raises:
            DataError: a candidate is unknown, and that is to be an error.
        """
        lost = np.flatnonzero(codes < 0)
        if not lost.size:
            return None
        if self.unknown == "drop":
            return codes >= 0
        if self.unknown == "error":
            at = int(lost[0])
            raise DataError(
                f"{where(at)}: the candidate {spelling(at)!r:.60} is none of the {self.ids.size:,} articles; give "
                "its text, or choose: unknown='drop' leaves such candidates out, unknown='empty' makes articles "
                "without text of them"
            )
        for at in lost.tolist():
            raw = self._as_id(spelling(at), partial(where, at))
            codes[at] = self.added.setdefault(raw, self.ids.size + len(self.added))
        return None

    def _as_id(self, raw: str | int, where: Callable[[], str]) -> str | int:
        """Returns a raw id of the kind that the articles' are.

        Raises:
            DataError: it is none.
        """
        if is_text(self.ids):
            if problem := text_problem(str(raw)):
                raise DataError(f"{where()}: the candidate {str(raw)[:40]!r} {problem}")
            return str(raw)
        if isinstance(raw, str) and not PLAIN_INTEGER.fullmatch(raw):
            raise DataError(
                f"{where()}: the candidate {raw[:40]!r} is no whole number, as the ids of articles are; correct it"
            )
        if abs(int(raw)) >= 2**63:
            raise DataError(
                f"{where()}: the candidate {raw} is beyond int64's 2**63 - 1; number the articles anew"
            )
        return int(raw)

    def all_ids(self) -> IdArray:
        """Returns the raw ids of all articles, those added last."""
        return np.concatenate([self.ids, np.array(list(self.added), dtype=self.ids.dtype)])


def latest(rows: Ragged, most: int) -> Ragged:
    """Returns the last ``most`` entries of each row."""
    if not rows.indices.size or rows.lengths.max() <= most:
        return rows
    place = np.repeat(rows.indptr[1:], rows.lengths) - np.arange(rows.indices.size)
    return rows.entries(place <= most)


def known_history(indptr: Int64Array, codes: Int32Array, num_articles: int, most: int) -> tuple[Ragged, int]:
    """Returns histories without unknown articles (-1), their latest ``most`` clicks; and how many were unknown."""
    known = codes >= 0
    kept = np.append(0, np.cumsum(known, dtype=np.int64))[indptr]
    whole = Ragged(kept, codes[known], num_articles)
    return latest(whole, most), int(codes.size - whole.indices.size)
