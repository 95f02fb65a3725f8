"""The vectors that words start at, from a file."""

from __future__ import annotations

from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data.ids import IdArray
from pyrec.data.word_vectors import read_word_vectors
from pyrec.errors import ConfigError


def first_words(path: str, words: IdArray, size: int, seed: int) -> Tensor:
    """The vectors of words, (num_words, size); those that the file lacks are random, alike in mean and spread.

    Args:
        path: As for `pyrec.data.read_word_vectors`.
        words: (num_words,), the vocabulary.
        size: Dimension of a vector.
        seed: Of the missing ones.

    Raises:
        ConfigError: The file's vectors have another dimension.
        DataError: The file cannot be read.
    """
    found = read_word_vectors(path, words)
    dim = found.vectors.shape[1]
    if dim != size:
        raise ConfigError(
            f"word_size = {size}, but the vectors of {path} have {dim} columns; give word_size = {dim}"
        )
    return tensor_of(found.filled(seed % 2**31))
