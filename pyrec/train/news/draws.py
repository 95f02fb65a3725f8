"""Random numbers of a training on news: they hang on the seed, on what they are for, and on the place in the epochs."""

from __future__ import annotations

from enum import IntEnum, auto

import numpy as np


class Draw(IntEnum):
    """What numbers are drawn for."""

    ORDER = auto()
    NEGATIVES = auto()
    DROPPED = auto()
    RELATED = auto()


def generator(seed: int, draw: Draw, epoch: int, first: int = 0, log: int = 0) -> np.random.Generator:
    """A generator whose numbers are those of no other.

    NumPy's Philox counts in the first word of its counter, so that word is 0 and no place stands there.

    Args:
        seed: Of the training.
        draw: What for.
        epoch: Number of the epoch, from 0.
        first: Position in it.
        log: Number of the log that is drawn from.
    """
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, first, epoch, len(Draw) * log + draw]))
