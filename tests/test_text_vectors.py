"""Vectors of words from the texts of articles."""

from __future__ import annotations

import numpy as np
import pytest
from small_news import SMALL, small_news

from pyrec.data.articles import Articles
from pyrec.errors import DataError
from pyrec.models.news import NRMS
from pyrec.nn.text_vectors import _information, _near, word_vectors_from_texts


def articles() -> Articles:
    return small_news().train.articles


def test_words_count_as_near_by_the_root_of_their_distance():
    own, n = articles(), len(articles().words)
    wanted = np.zeros((n, n))
    for text in (own.title, own.abstract):
        for row in range(len(own.ids)):
            words = text.indices[text.indptr[row] : text.indptr[row + 1]]
            for i, one in enumerate(words):
                for distance in (1, 2, 3):
                    if i + distance < len(words):
                        wanted[one, words[i + distance]] += distance**-0.5
                        wanted[words[i + distance], one] += distance**-0.5
    np.testing.assert_allclose(_near([own.title, own.abstract], n, 3).toarray(), wanted)


def test_vectors_are_the_singular_ones_of_positive_information():
    near = _near([articles().title, articles().abstract], len(articles().words), 8).toarray()
    count = near.sum(1)
    context = count**0.75 / (count**0.75).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.maximum(np.nan_to_num(np.log(near / np.outer(count, context)), neginf=0), 0)
    found = _information(_near([articles().title, articles().abstract], len(articles().words), 8)).toarray()
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    left, values, _ = np.linalg.svd(wanted)
    rows = left[:, :6] * np.sqrt(values[:6])
    rows[count > 0] /= np.linalg.norm(rows[count > 0], axis=1, keepdims=True)
    vectors = word_vectors_from_texts(articles(), 6).astype(np.float64)
    there = count > 0
    np.testing.assert_allclose(
        (vectors @ vectors.T)[there][:, there] / 6, (rows @ rows.T)[there][:, there], atol=0.02
    )


def test_a_model_may_start_at_them():
    model = NRMS(**SMALL | {"word_vectors": "texts", "epochs": 1}).fit(small_news().train)
    assert np.isfinite(model.history_[0]["loss"])


def test_more_dimensions_than_words_are_refused():
    with pytest.raises(DataError, match="give a smaller word size"):
        word_vectors_from_texts(articles(), len(articles().words))
