"""Articles and impressions as named arrays, in saved models and fingerprints.

Rows of different lengths are ``NAME.indptr`` (int64) and ``NAME.indices`` (int32); text is as ids are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrec.data import Ragged
from pyrec.data.articles import Articles
from pyrec.data.feature_columns import Codes, Tokens
from pyrec.data.impressions import Impressions
from pyrec.data.news import News
from pyrec.data.text import Tokenizer
from pyrec.errors import DataError
from pyrec.store.arrays import State, fingerprint_of
from pyrec.store.resumable import Arrays, under
from pyrec.store.texts import id_arrays, ids_of, text_arrays, texts_of


def ragged_arrays(rows: Ragged) -> Arrays:
    """Return rows by name; their number of columns is kept by whoever keeps them."""
    return {"indptr": rows.indptr, "indices": rows.indices}


def ragged_of(state: State, num_columns: int, num_rows: int | None = None) -> Ragged:
    """Return the rows that `ragged_arrays` gave.

    Raises:
        DataError: If an array is missing, of another type, or out of range, or the number of rows is another.
    """
    indices = state.indices("indices", num_columns)
    rows = Ragged(state.offsets("indptr", len(indices)), indices, num_columns)
    if num_rows is not None and len(rows) != num_rows:
        raise DataError(f"{state.source}: indptr has {len(rows)} rows, but {num_rows} are expected")
    return rows


def article_arrays(articles: Articles) -> Arrays:
    """Return articles by name."""
    arrays: Arrays = {**id_arrays("ids", articles.ids), **id_arrays("words", articles.words)}
    for name in ("title", "abstract"):
        arrays |= under(name, ragged_arrays(getattr(articles, name)))
    for name in ("titles", "abstracts"):
        arrays |= text_arrays(name, list(getattr(articles, name)))
    if articles.category is not None:
        arrays |= {"category.codes": articles.category.codes}
        arrays |= id_arrays("category.words", articles.category.vocabulary)
    for name in ("subcategories", "entities"):
        tokens: Tokens | None = getattr(articles, name)
        if tokens is not None:
            arrays |= under(name, ragged_arrays(tokens.rows)) | id_arrays(f"{name}.words", tokens.vocabulary)
    if articles.published is not None:
        known = np.flatnonzero(~np.isnan(articles.published))
        arrays |= {"published.rows": known.astype(np.int32), "published.times": articles.published[known]}
    if articles.tokenizer is not None:
        told = articles.tokenizer
        arrays |= text_arrays("tokenizer", [told.json or "", "lower" if told.lower else ""])
    return arrays


def articles_of(state: State) -> Articles:
    """Return the articles that `article_arrays` gave.

    Raises:
        DataError: If an array is missing, of another type, or does not fit the others.
    """
    ids, words = ids_of(state, "ids"), ids_of(state, "words")
    n = len(ids)
    texts = {name: ragged_of(state.under(f"{name}."), len(words), n) for name in ("title", "abstract")}
    return Articles(
        ids,
        texts["title"],
        texts["abstract"],
        words,
        tuple(texts_of(state, "titles")),
        tuple(texts_of(state, "abstracts")),
        _codes(state, n),
        _tokens(state, "subcategories", n),
        _tokens(state, "entities", n),
        _published(state, n),
        tokenizer=_tokenizer(state),
    )


def _tokenizer(state: State) -> Tokenizer | None:
    if "tokenizer.starts" not in state:
        return None
    told = texts_of(state, "tokenizer")
    if len(told) != 2:
        raise DataError(f"{state.source}: tokenizer has {len(told)} texts, but 2 are expected")
    return Tokenizer(told[0] or None, bool(told[1]))


def _codes(state: State, n: int) -> Codes | None:
    if "category.codes" not in state:
        return None
    return Codes(state.array("category.codes", np.int32, (n,)), ids_of(state, "category.words"))


def _tokens(state: State, name: str, n: int) -> Tokens | None:
    if f"{name}.indptr" not in state:
        return None
    vocabulary = ids_of(state, f"{name}.words")
    return Tokens(ragged_of(state.under(f"{name}."), len(vocabulary), n), vocabulary)


def _published(state: State, n: int) -> NDArray[np.float64] | None:
    if "published.rows" not in state:
        return None
    rows = state.indices("published.rows", n)
    times = np.full(n, np.nan)
    times[rows] = state.array("published.times", np.float64, (len(rows),))
    return times


def impression_arrays(impressions: Impressions) -> Arrays:
    """Return impressions by name, with the ids of readers but not of articles."""
    arrays: Arrays = {"users": impressions.users, **id_arrays("user_ids", impressions.user_ids)}
    arrays |= under("candidates", ragged_arrays(impressions.candidates))
    if impressions.histories is not None:
        arrays |= under("histories", ragged_arrays(impressions.histories))
    optional: dict[str, NDArray[Any] | None] = {
        name: getattr(impressions, name) for name in ("clicks", "times", "history_rows")
    }
    return arrays | {name: array for name, array in optional.items() if array is not None}


def news_fingerprint(news: News, others: Mapping[str, NDArray[Any]] | None = None) -> dict[str, Any]:
    """Return what tells news from others: numbers of articles, readers and impressions, and a hash of all.

    Args:
        news: The news.
        others: Further arrays, part of the fingerprint, too.
    """
    arrays = under("articles", article_arrays(news.articles))
    arrays |= under("impressions", impression_arrays(news.impressions))
    return fingerprint_of(
        arrays | under("others", others or {}),
        articles=len(news.articles),
        readers=news.impressions.num_users,
        impressions=len(news.impressions),
    )
