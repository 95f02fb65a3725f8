"""Articles: their text as tokens and as written, their categories, entities and times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pyrec.data.feature_columns import Codes, Tokens
from pyrec.data.foreign import reading
from pyrec.data.ids import IdArray, IdMap, Int32Array, Unknown, as_ids, factorise, is_text
from pyrec.data.ragged import Ragged
from pyrec.data.rows import Values, check_mask, refuse_masked, unique_ids
from pyrec.data.text import Tokenizer, check_vocabulary, cut, encoded, frequent_words
from pyrec.errors import DataError

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


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
        tokenizer: what made words of the texts, and will of further ones; None where words were given as such.
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
    tokenizer: Tokenizer | None = None

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
        if not (together := "".join(texts)).isascii() and _SURROGATE.search(together):
            at = next(at for at, text in enumerate(texts) if _SURROGATE.search(text))
            raise DataError(
                f"{name}[{at}] holds half a surrogate pair, which is no character; decode the text anew"
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

    @classmethod
    def from_texts(
        cls,
        ids: Values,
        titles: Sequence[str],
        abstracts: Sequence[str] | None = None,
        categories: Sequence[str | int | None] | None = None,
        subcategories: Sequence[Sequence[str | int]] | None = None,
        entities: Sequence[Sequence[str | int]] | None = None,
        published: npt.ArrayLike | None = None,
        *,
        tokenizer: Tokenizer | None = None,
        vocabulary: Sequence[str] | IdArray | None = None,
        counted: npt.ArrayLike | None = None,
        min_count: int = 1,
        max_title: int = 30,
        max_abstract: int = 50,
    ) -> Articles:
        """Makes words of texts.

        Args:
            ids: (n,) raw ids, each once.
            titles: (n,) texts.
            abstracts: likewise; None for none.
            categories: (n,) words, None or "" for none; or None.
            subcategories: (n,) lists of words, or None.
            entities: likewise.
            published: (n,) seconds since 1970, NaN for unknown; or None.
            tokenizer: how texts become words; None for words in lower case and punctuation marks.
            vocabulary: the words; None for those of the counted articles, the most frequent first.
            counted: bool (n,): the articles that words, categories and entities are taken from; None for all. What the
                others have beyond that is left out, and a part of which these have nothing is None.
            min_count: a word that occurs less often is left out.
            max_title: so many words of a title count.
            max_abstract: so many words of an abstract count.

        Raises:
            ConfigError: a bound is out of range.
            DataError: a part is malformed or has another length.
        """
        known = unique_ids(ids, "ids")
        abstracts = [""] * known.size if abstracts is None else abstracts
        given = {
            "titles": titles,
            "abstracts": abstracts,
            "categories": categories,
            "subcategories": subcategories,
            "entities": entities,
        }
        for name, rows_given in given.items():
            if rows_given is not None and len(rows_given) != known.size:
                raise DataError(f"{name} has {len(rows_given)} rows, but there are {known.size} ids")
        whose = np.ones(known.size, bool) if counted is None else check_mask(counted, known.size)
        splitter = Tokenizer() if tokenizer is None else tokenizer
        split = splitter.split([*titles, *abstracts])
        if vocabulary is None:
            vocabulary = frequent_words(split, np.tile(whose, 2), min_count)
        else:
            vocabulary = check_vocabulary(vocabulary)
        rows, lost = encoded(split, vocabulary)
        title, cut_titles = cut(rows[: known.size], max_title)
        abstract, cut_abstracts = cut(rows[known.size :], max_abstract)
        told = {
            f"{lost:,} of {split.rows.indices.size:,} words are not in the vocabulary and are left out": lost,
            f"{cut_titles:,} titles have more than {max_title} words and are cut": cut_titles,
            f"{cut_abstracts:,} abstracts have more than {max_abstract} words and are cut": cut_abstracts,
        }
        return cls(
            known,
            title,
            abstract,
            vocabulary,
            tuple(titles),
            tuple(abstracts),
            None if categories is None else _category_codes(categories, whose),
            None if subcategories is None else _word_lists(subcategories, whose, "subcategories"),
            None if entities is None else _word_lists(entities, whose, "entities"),
            None if published is None else _seconds(published),
            tuple(note for note, count in told.items() if count),
            splitter,
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
            self.tokenizer,
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
            self.title.joined(title),
            self.abstract.joined(abstract),
            self.words,
            self.titles + other.titles,
            self.abstracts + other.abstracts,
            category,
            subcategories,
            entities,
            self._join_published(other),
            self.notes + other.notes + notes,
            self.tokenizer,
        )

    def _check_new(self, other: Articles) -> None:
        if not len(self) or not len(other):
            return
        if is_text(self.ids) != is_text(other.ids):
            have, got = ("text", "integers") if is_text(self.ids) else ("integers", "text")
            raise DataError(f"ids of these articles are {have}, those of the others are {got}; convert them")
        both = np.flatnonzero(self.encode(other.ids, "ids", "skip") >= 0)
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

    @cached_property
    def _map(self) -> IdMap:
        return IdMap(self.ids, "article")

    def encode(self, raw: Values, name: str = "articles", unknown: Unknown = "error") -> Int32Array:
        """Returns the rows int32 (m,) of raw ids (m,).

        Args:
            raw: (m,) raw ids.
            name: what the message calls them.
            unknown: "error", or "skip" to make unknown ids -1.

        Raises:
            UnknownIdError: an id is of no article here.
            DataError: an id is malformed.
        """
        return self._map.encode(raw, name, unknown)

    @cached_property
    def names(self) -> dict[Any, str]:
        """Each title as it is written, by raw id."""
        return dict(zip(self.ids.tolist(), self.titles, strict=True))

    def title_of(self, row: int) -> str:
        """Returns the words of a title, with blanks between them: what a model sees of it."""
        return " ".join(self.words[self.title.row(row)].tolist())


def _seconds(published: npt.ArrayLike) -> npt.NDArray[np.float64]:
    refuse_masked(published, "published")
    with reading("published"):
        values = np.asarray(published)
    if values.dtype.kind not in "iuf":
        raise DataError(
            f"published is {values.dtype}, but numbers are needed: seconds since 1970, NaN for unknown"
        )
    return values.astype(np.float64)


def _category_codes(values: Sequence[str | int | None], counted: npt.NDArray[np.bool_]) -> Codes | None:
    """Returns one word a row in the vocabulary of the counted ones; None where they have none.

    The code -1 stands for what the vocabulary lacks.
    """
    vocabulary = _vocabulary(
        [value for value, counts in zip(values, counted, strict=True) if counts], "categories"
    )
    if not vocabulary.size:
        return None
    place = {word: at for at, word in enumerate(vocabulary.tolist())}
    return Codes(np.fromiter((place.get(value, -1) for value in values), np.int32, len(values)), vocabulary)


def _word_lists(
    values: Sequence[Sequence[str | int]], counted: npt.NDArray[np.bool_], name: str
) -> Tokens | None:
    """Returns lists of words in the vocabulary of the counted ones, without what that lacks.

    None where the counted ones have no words.
    """
    taken = [value for value, counts in zip(values, counted, strict=True) if counts]
    vocabulary = _vocabulary(list(chain.from_iterable(taken)), name)
    if not vocabulary.size:
        return None
    place = {word: at for at, word in enumerate(vocabulary.tolist())}
    rows = [[place[word] for word in row if word in place] for row in values]
    indptr = np.append(0, np.cumsum(list(map(len, rows)), dtype=np.int64))
    codes = np.fromiter(chain.from_iterable(rows), np.int32, int(indptr[-1]))
    return Tokens(Ragged(indptr, codes, vocabulary.size), vocabulary)


def _vocabulary(values: Sequence[str | int | None], name: str) -> IdArray:
    """Returns the distinct words, ascending; None and "" are none."""
    kinds = {value for value in values if value is not None and value != ""}
    return factorise(list(kinds), name)[1] if kinds else as_ids(np.empty(0, "U1"))


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
    return Tokens(ours.rows.joined(rows), ours.vocabulary), lost
