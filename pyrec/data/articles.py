"""Articles: their text as tokens and as written, their categories, entities and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrec.data.feature_columns import Codes, Tokens
from pyrec.data.ids import IdArray, IdMap, Int32Array, as_ids, is_text
from pyrec.data.ragged import Ragged
from pyrec.data.rows import Values, refuse_masked, unique_ids
from pyrec.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class Articles:
    """Articles, a row each. The arrays are shared, not copied: do not write to them.

    Attributes:
        ids: (n,) raw ids, int64 or text, each once.
        title: the words of each title, in order: (n, num_words).
        abstract: likewise; an empty row where there is none.
        words: (num_words,) text, each once: the vocabulary that title and abstract share.
        titles: each title as it is written.
        abstracts: likewise; "" where there is none.
        category: one word an article, with code -1 for none; None where nobody knows any.
        subcategories: a list of words an article, or None.
        entities: likewise: whom and what an article is about.
        published: float64 (n,), seconds since 1970, NaN where nobody knows; or None.
        notes: what was decided or dropped on the way here, a sentence each.

    Raises:
        DataError: a part is of another type, or has another number of rows or words; the message names it.
    """

    ids: IdArray
    title: Ragged
    abstract: Ragged
    words: IdArray
    titles: tuple[str, ...]
    abstracts: tuple[str, ...]
    category: Codes | None = None
    subcategories: Tokens | None = None
    entities: Tokens | None = None
    published: npt.NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", unique_ids(self.ids, "ids"))
        words = unique_ids(self.words, "words") if np.size(self.words) else as_ids(np.empty(0, "U1"))
        if not is_text(words):
            raise DataError(f"words are {words.dtype}, but text is needed: the words themselves")
        if not (isinstance(self.words, np.ndarray) and is_text(self.words)):
            object.__setattr__(self, "words", words)
        for name in ("title", "abstract"):
            self._check_tokens(name, getattr(self, name))
        for name in ("titles", "abstracts"):
            self._check_texts(name, getattr(self, name))
        for name, kind in (("category", Codes), ("subcategories", Tokens), ("entities", Tokens)):
            self._check_feature(name, getattr(self, name), kind)
        self._check_published()

    def _check_tokens(self, name: str, rows: object) -> None:
        if not isinstance(rows, Ragged):
            raise DataError(f"{name} is a {type(rows).__name__}, but Ragged is needed: words by number")
        self._check_rows(name, len(rows))
        if rows.num_columns != self.words.size:
            raise DataError(f"{name} counts {rows.num_columns} words, but there are {self.words.size} words")

    def _check_texts(self, name: str, texts: object) -> None:
        if not isinstance(texts, tuple):
            raise DataError(f"{name} is a {type(texts).__name__}, but a tuple of text is needed")
        self._check_rows(name, len(texts))
        odd = next((at for at, text in enumerate(texts) if not isinstance(text, str)), None)
        if odd is not None:
            raise DataError(
                f"{name}[{odd}] is {texts[odd]!r:.60}, but text is needed; '' where there is none"
            )

    def _check_feature(self, name: str, feature: Any, kind: type[Codes] | type[Tokens]) -> None:
        if feature is None:
            return
        if not isinstance(feature, kind):
            raise DataError(f"{name} is a {type(feature).__name__}, but {kind.__name__} is needed")
        self._check_rows(name, len(feature))
        codes = feature.codes if isinstance(feature, Codes) else feature.rows.indices
        if codes.size and (codes.min() < -1 or codes.max() >= feature.vocabulary.size):
            at = int(((codes < -1) | (codes >= feature.vocabulary.size)).argmax())
            raise DataError(
                f"{name} has the code {codes[at]} at {at}, but there are {feature.vocabulary.size} words of it"
            )

    def _check_published(self) -> None:
        times = self.published
        if times is None:
            return
        if not isinstance(times, np.ndarray) or times.dtype != np.float64 or times.ndim != 1:
            found = f"{times.dtype} {times.shape}" if isinstance(times, np.ndarray) else type(times).__name__
            raise DataError(f"published is {found}, but float64 ({self.ids.size},) is needed: seconds")
        refuse_masked(times, "published")
        self._check_rows("published", times.size)
        if np.isinf(times).any():
            at = int(np.isinf(times).argmax())
            raise DataError(f"published[{at}] = {times[at]}; give seconds since 1970, or NaN for unknown")

    def _check_rows(self, name: str, found: int) -> None:
        if found != self.ids.size:
            raise DataError(
                f"{name} has {found} rows, but there are {self.ids.size} ids; give one an article"
            )

    def __len__(self) -> int:
        return int(self.ids.size)

    def __repr__(self) -> str:
        counted = {
            "categories": self.category,
            "subcategories": self.subcategories,
            "entities": self.entities,
        }
        parts = [f"{len(self):,}", f"{self.words.size:,} words"]
        parts += [f"{part.vocabulary.size:,} {name}" for name, part in counted.items() if part is not None]
        return f"Articles({', '.join([*parts, *(['published'] * (self.published is not None))])})"

    def take(self, rows: npt.ArrayLike) -> Articles:
        """Returns some articles, with the same vocabularies.

        Args:
            rows: (m,) numbers of articles in any order, each once; or a mask bool (n,).

        Raises:
            DataError: a number is out of range or there twice, or the mask has another length.
        """
        title = self.title[np.asarray(rows)]
        at = np.arange(len(self), dtype=np.int64)[np.asarray(rows)]
        return Articles(
            self.ids[at],
            title,
            self.abstract[at],
            self.words,
            tuple(self.titles[k] for k in at.tolist()),
            tuple(self.abstracts[k] for k in at.tolist()),
            None if self.category is None else self.category.take(at),
            None if self.subcategories is None else self.subcategories.take(at),
            None if self.entities is None else self.entities.take(at),
            None if self.published is None else self.published[at],
            self.notes,
        )

    def joined(self, other: Articles) -> Articles:
        """Returns these articles and then others, in these ones' vocabularies.

        What a vocabulary lacks is left out and counted in the notes: a model has no vector for it. A part that these
        articles do not have is left out of the others, too.

        Args:
            other: none of them has an id of these ones.

        Raises:
            DataError: an id is in both, or ids are text here and integers there.
        """
        if not isinstance(other, Articles):
            raise DataError(f"other is a {type(other).__name__}, but Articles are needed")
        self._check_new(other)
        numbers = _numbers(self.words, other.words)
        title, lost_title = _renumbered(other.title, numbers, self.words.size)
        abstract, lost_abstract = _renumbered(other.abstract, numbers, self.words.size)
        category, lost_category = _join_codes(self.category, other.category, len(other))
        subcategories, lost_sub = _join_tokens(self.subcategories, other.subcategories, len(other))
        entities, lost_entities = _join_tokens(self.entities, other.entities, len(other))
        lost = {
            "words": lost_title + lost_abstract,
            "categories": lost_category,
            "subcategories": lost_sub,
            "entities": lost_entities,
        }
        notes = tuple(
            f"{count:,} {name} of {len(other):,} further articles are unknown and were left out"
            for name, count in lost.items()
            if count
        )
        return Articles(
            np.concatenate([self.ids, other.ids]),
            _end_to_end(self.title, title),
            _end_to_end(self.abstract, abstract),
            self.words,
            self.titles + other.titles,
            self.abstracts + other.abstracts,
            category,
            subcategories,
            entities,
            self._join_published(other),
            self.notes + other.notes + notes,
        )

    def _check_new(self, other: Articles) -> None:
        if not len(self) or not len(other):
            return
        if is_text(self.ids) != is_text(other.ids):
            have, got = ("text", "integers") if is_text(self.ids) else ("integers", "text")
            raise DataError(f"ids of these articles are {have}, those of the others are {got}; convert them")
        both = np.flatnonzero(IdMap(self.ids, "article").encode(other.ids, "ids", "skip") >= 0)
        if both.size:
            at = int(both[0])
            raise DataError(
                f"the others' ids[{at}] = {other.ids[at : at + 1].tolist()[0]!r} is one of these articles, too "
                f"({both.size} are); an article has one text: leave it out, or give it another id"
            )

    def _join_published(self, other: Articles) -> npt.NDArray[np.float64] | None:
        if self.published is None and other.published is None:
            return None
        return np.concatenate(
            [
                np.full(len(part), np.nan) if part.published is None else part.published
                for part in (self, other)
            ]
        )

    def encode(self, raw: Values, name: str = "articles") -> Int32Array:
        """Returns the rows int32 (m,) of raw ids (m,).

        Raises:
            UnknownIdError: an id is of no article here.
            DataError: an id is malformed.
        """
        return IdMap(self.ids, "article").encode(raw, name)

    def title_of(self, row: int) -> str:
        """Returns the words of a title, with blanks between them: what a model sees of it."""
        return " ".join(self.words[self.title.row(row)].tolist())


def _numbers(ours: IdArray, theirs: IdArray) -> Int32Array:
    """Returns our number of each of their words, int32 (m,); -1 for one that we lack."""
    if ours is theirs:
        return np.arange(ours.size, dtype=np.int32)
    if is_text(ours) != is_text(theirs) or not theirs.size:
        return np.full(theirs.size, -1, np.int32)
    return IdMap(ours, "word").encode(theirs, "words", "skip")


def _renumbered(rows: Ragged, numbers: Int32Array, num_words: int) -> tuple[Ragged, int]:
    """Returns rows in another vocabulary, and how many entries that lacks."""
    codes = numbers[rows.indices]
    known = codes >= 0
    kept = rows.entries(known)
    return Ragged(kept.indptr, codes[known], num_words), int(codes.size - kept.indices.size)


def _end_to_end(one: Ragged, other: Ragged) -> Ragged:
    indptr = np.concatenate([one.indptr, one.indptr[-1] + other.indptr[1:]])
    return Ragged(indptr, np.concatenate([one.indices, other.indices]), one.num_columns)


def _join_codes(ours: Codes | None, theirs: Codes | None, num_theirs: int) -> tuple[Codes | None, int]:
    if ours is None:
        return None, 0 if theirs is None else int(np.count_nonzero(theirs.codes >= 0))
    codes = np.full(num_theirs, -1, np.int32)
    lost = 0
    if theirs is not None:
        there = theirs.codes >= 0
        codes[there] = _numbers(ours.vocabulary, theirs.vocabulary)[theirs.codes[there]]
        lost = int(np.count_nonzero(codes[there] < 0))
    return Codes(np.concatenate([ours.codes, codes]), ours.vocabulary), lost


def _join_tokens(ours: Tokens | None, theirs: Tokens | None, num_theirs: int) -> tuple[Tokens | None, int]:
    if ours is None:
        return None, 0 if theirs is None else int(theirs.rows.indices.size)
    size = ours.vocabulary.size
    rows, lost = Ragged(np.zeros(num_theirs + 1, np.int64), np.empty(0, np.int32), size), 0
    if theirs is not None:
        rows, lost = _renumbered(theirs.rows, _numbers(ours.vocabulary, theirs.vocabulary), size)
    return Tokens(_end_to_end(ours.rows, rows), ours.vocabulary), lost
