"""What a news model knows, as the arrays of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyrec.models.news.known import Known
from pyrec.nn.counters import Counters
from pyrec.store.arrays import State
from pyrec.store.news import article_arrays, articles_of, ragged_arrays, ragged_of
from pyrec.store.resumable import under
from pyrec.store.texts import id_arrays, ids_of


def known_arrays(known: Known) -> dict[str, NDArray[Any]]:
    """Return all that is known, by name."""
    arrays = under("articles", article_arrays(known.articles)) | id_arrays("reader_ids", known.reader_ids)
    arrays |= under("clicks", ragged_arrays(known.clicks))
    arrays["num_trained"] = np.array(known.num_trained)
    arrays["num_trained_readers"] = np.array(known.num_trained_readers)
    return arrays if known.counters is None else arrays | under("counters", known.counters.arrays())


def known_of(state: State, counted: bool) -> Known:
    """Return what `known_arrays` gave.

    Args:
        state: The arrays.
        counted: Whether the model counts clicks and shows.

    Raises:
        DataError: If an array is missing, of another type, or does not fit the others.
    """
    articles, reader_ids = articles_of(state.under("articles.")), ids_of(state, "reader_ids")
    counters = Counters.of(articles).restored(state.under("counters.")) if counted else None
    return Known(
        articles,
        int(state.within("num_trained", np.int64, 0, len(articles))),
        reader_ids,
        int(state.within("num_trained_readers", np.int64, 0, len(reader_ids))),
        ragged_of(state.under("clicks."), len(articles), len(reader_ids)),
        counters,
    )
