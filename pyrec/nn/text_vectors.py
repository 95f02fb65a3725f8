"""Vectors of words from the texts of the articles themselves, for languages that have none to download."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyrec._checks import check_count
from pyrec.data.articles import Articles
from pyrec.data.ragged import Ragged
from pyrec.errors import ConfigError, DataError
from pyrec.nn.singular import leading_singular_vectors

TEXTS: Final = "texts"
"""What stands for these vectors where a file may stand."""
SMOOTHED: Final = 0.75
"""The power of a context's frequency."""
TOLERANCE: Final = 1e-3
LENGTH: Final = 1.0
"""The root of the mean square of a vector's numbers."""


def word_vectors_from_texts(
    articles: Articles, dim: int, window: int = 8, seed: int = 0
) -> NDArray[np.float32]:
    """Vectors of the words, which are near each other for words that occur near each other.

    With C_ij how often words are at most ``window`` apart in a title or an abstract, C_i its sum over j and
    q_j = C_j^0.75 / Σ_k C_k^0.75, M_ij = max(0, log(C_ij / (C_i q_j))). The vectors are the rows of U sqrt(S) of
    M = U S Vᵀ, all of one length.

    Source: Levy, Goldberg and Dagan, "Improving distributional similarity with lessons learned from word embeddings",
    TACL 3, 2015.

    Args:
        articles: With texts.
        dim: Numbers of a vector.
        window: How far apart two words of a text may be; nearer ones count more, as 1 / sqrt(distance).
        seed: Of the vectors that the iteration starts at, and of the vectors of words that occur alone.

    Returns:
        (num_words, dim) float32.

    Raises:
        ConfigError: A number is out of its range.
        DataError: There are fewer words than ``dim`` asks for, or no two beside each other.
    """
    check_count("dim", dim, 1, 4096, ConfigError)
    check_count("window", window, 1, 64, ConfigError)
    if len(articles.words) <= dim:
        raise DataError(
            f"{len(articles.words):,} words have no {dim} singular vectors; give a smaller word size"
        )
    near = _near([articles.title, articles.abstract], len(articles.words), window)
    information = _information(near)
    if not information.nnz:
        raise DataError("no two words of the texts are beside each other more often than by chance")
    draw = np.random.default_rng(seed)
    left, values, _, _ = leading_singular_vectors(information.astype(np.float32), dim, TOLERANCE, seed)
    vectors = left * np.sqrt(values)
    alone = np.abs(vectors).sum(axis=1) == 0
    vectors[alone] = draw.standard_normal((int(alone.sum()), dim))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / length * (LENGTH * dim**0.5), dtype=np.float32)


def _near(texts: list[Ragged], num_words: int, window: int) -> csr_array:
    """C, symmetric: how often two words are near, weighted by the distance."""
    total = csr_array((num_words, num_words), dtype=np.float64)
    for text in texts:
        rows, words = text.rows, text.indices
        for distance in range(1, window + 1):
            together = rows[distance:] == rows[:-distance] if len(rows) > distance else np.empty(0, bool)
            one, other = words[: len(together)][together], words[distance:][together]
            amount = np.full(len(one), distance**-0.5)
            total = total + csr_array((amount, (one, other)), shape=total.shape)
    return csr_array(total + total.T)


def _information(near: csr_array) -> csr_array:
    """The positive pointwise mutual information, the context's frequency smoothed."""
    count = near.sum(axis=1)
    context = count**SMOOTHED
    context /= context.sum()
    pairs = near.tocoo()
    found = np.log(pairs.data / (count[pairs.row] * context[pairs.col]))
    kept = found > 0
    return csr_array((found[kept], (pairs.row[kept], pairs.col[kept])), shape=near.shape)
