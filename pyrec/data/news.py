"""News: articles with their text, and the impressions that show them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyrec.data.articles import Articles
from pyrec.data.dataset import Dataset
from pyrec.data.feature_columns import Codes, Dense, Feature, Tokens
from pyrec.data.features import Features
from pyrec.data.ids import IdArray, IdMap, as_ids, first_difference, is_text
from pyrec.data.impressions import Impressions
from pyrec.data.ragged import Ragged
from pyrec.errors import DataError

COLUMNS = ("title", "abstract", "category", "subcategories", "entities", "published")
"""The columns of `pyrec.data.Features` that say what articles are."""


@dataclass(frozen=True, eq=False, repr=False)
class News:
    """What a model of news is fitted on and evaluated by.

    Attributes:
        articles: in the order of ``impressions.item_ids``.
        impressions: what was shown to whom, with clicks where anybody knows them.
        notes: what was decided or dropped on the way here, a sentence each.

    Raises:
        DataError: one is of another type, or the articles are not the items of the impressions in their order.
    """

    articles: Articles
    impressions: Impressions
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("articles", Articles), ("impressions", Impressions)):
            if not isinstance(getattr(self, name), kind):
                raise DataError(
                    f"{name} is a {type(getattr(self, name)).__name__}, but {kind.__name__} is needed"
                )
        ours, theirs = self.articles.ids, self.impressions.item_ids
        at = first_difference(ours, theirs)
        if at is None:
            return
        if ours.size != theirs.size:
            raise DataError(
                f"there are {ours.size} articles, but the impressions have {theirs.size} item_ids; give both the "
                "same: Impressions.from_lists(item_ids=articles.ids)"
            )
        raise DataError(
            f"articles.ids[{at}] is {ours[at : at + 1].tolist()[0]!r}, but impressions.item_ids[{at}] is "
            f"{theirs[at : at + 1].tolist()[0]!r}; give both the same order: "
            "Impressions.from_lists(item_ids=articles.ids)"
        )

    def __len__(self) -> int:
        return len(self.impressions)

    def __repr__(self) -> str:
        return f"News({self.articles!r}, {self.impressions!r})"

    def select(self, mask: npt.ArrayLike) -> News:
        """Returns some of the impressions, with all articles.

        Args:
            mask: bool (n,), True for what stays.

        Raises:
            DataError: not a boolean array of length n.
        """
        return replace(self, impressions=self.impressions.select(mask))

    def joined(self, other: News) -> News:
        """Returns these impressions and then others, of the same articles and readers.

        Raises:
            DataError: articles or readers are others.
        """
        notes = tuple(dict.fromkeys((*self.notes, *other.notes)))
        return replace(self, impressions=self.impressions.joined(other.impressions), notes=notes)


class NewsSplit(NamedTuple):
    """A training and a test part with the same articles and the same user ids.

    Attributes:
        name: of the data set.
        train: what is fitted on.
        test: what is evaluated, or predicted where it has no clicks; None where there is none.
    """

    name: str
    train: News
    test: News | None


def as_news(obj: Any) -> News:
    """Returns news of anything that a model of news takes.

    Args:
        obj: `News` (returned as it is), or a `pyrec.data.Dataset` with impressions and with items whose columns are
            ``title`` (tokens) and, where there are any, ``abstract`` (tokens), ``category`` (codes),
            ``subcategories`` and ``entities`` (tokens) and ``published`` (dense: seconds since 1970).

    Raises:
        DataError: another type, or a part or column is missing or of another kind.
    """
    if isinstance(obj, News):
        return obj
    if not isinstance(obj, Dataset):
        raise DataError(
            f"news is a {type(obj).__name__}, but News is needed: pyrec.data.read_news reads it, and "
            "News(articles, impressions) holds what is already there"
        )
    if obj.impressions is None or obj.items is None:
        lacking = "impressions" if obj.impressions is None else "items"
        raise DataError(f"the data set has no {lacking}; news need items with titles, and impressions")
    return News(_articles_of(obj.items), obj.impressions)


def _articles_of(items: Features) -> Articles:
    if "title" not in items.columns:
        raise DataError(f"items have no column 'title', only {', '.join(map(repr, items.columns)) or 'none'}")
    title = _column(items, "title", Tokens)
    abstract = _column(items, "abstract", Tokens)
    words = _all_words(title.vocabulary, None if abstract is None else abstract.vocabulary)
    titles, abstracts = (_in_words(part, words, len(items)) for part in (title, abstract))
    published = _column(items, "published", Dense)
    return Articles(
        items.ids,
        titles,
        abstracts,
        words,
        spelt(titles, words),
        spelt(abstracts, words),
        _column(items, "category", Codes),
        _column(items, "subcategories", Tokens),
        _column(items, "entities", Tokens),
        None if published is None else published.values[:, 0].astype(np.float64),
        items.notes,
    )


def _column(items: Features, name: str, kind: type[Any]) -> Any:
    """Returns a column of some kind; None where there is none."""
    feature: Feature | None = items.columns.get(name)
    if feature is not None and not isinstance(feature, kind):
        raise DataError(
            f"the column {name!r} is {type(feature).__name__}, but {kind.__name__} is needed; choose it by kinds="
        )
    return feature


def _all_words(title: IdArray, abstract: IdArray | None) -> IdArray:
    vocabularies = [title, *([] if abstract is None else [abstract])]
    return as_ids(np.unique(np.concatenate([_as_text(words) for words in vocabularies])))


def _as_text(words: IdArray) -> IdArray:
    return words if is_text(words) else words.astype(str).astype(np.dtypes.StringDType())


def _in_words(part: Tokens | None, words: IdArray, num_rows: int) -> Ragged:
    if part is None:
        return Ragged(np.zeros(num_rows + 1, np.int64), np.empty(0, np.int32), words.size)
    numbers = IdMap(words, "word").encode(_as_text(part.vocabulary), "words")
    return Ragged(part.rows.indptr, numbers[part.rows.indices], words.size)


def spelt(rows: Ragged, words: IdArray) -> tuple[str, ...]:
    """Returns each row's words with blanks between them."""
    spelling = words.tolist()
    return tuple(" ".join([spelling[word] for word in row]) for row in rows.to_lists())
