"""The errors that pyrec raises for bad input; each message names what, where, the bound and a way on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class PyrecError(Exception):
    """Base of every error that pyrec raises on purpose."""


class DataError(PyrecError, ValueError):
    """Arrays, files or ids that do not fit: the message names the argument, position, value and bound."""


class DataWarning(UserWarning):
    """Data that can be worked with, but say something other than they seem to."""


class UnknownIdError(DataError):
    """Raw ids that a model or data set does not know; the message names the first few.

    Attributes:
        kind: "user" or "item".
        unknown: (m,) the distinct unknown raw ids, in order of appearance.
        positions: int64 (p,), ascending: where unknown ids are in the argument, or, of ``histories``, which of these
            have one.
    """

    def __init__(self, message: str, kind: str, unknown: NDArray[Any], positions: NDArray[np.int64]) -> None:
        super().__init__(message)
        self.kind = kind
        self.unknown = unknown
        self.positions = positions

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.kind, self.unknown, self.positions)


class ConfigError(PyrecError, ValueError):
    """A hyperparameter, option or environment variable outside its range."""


class UnknownParameterError(ConfigError, TypeError):
    """A hyperparameter that a class does not have; the message names the one that may be meant."""


class CudaError(PyrecError, RuntimeError):
    """CUDA kernels were asked for that this build lacks, or the CUDA runtime reported an error."""


class StoppedError(PyrecError):
    """Training ended early because it was asked to; its checkpoint is where it goes on."""


class NotFittedError(PyrecError, RuntimeError):
    """A model was asked for something that only exists after ``fit``."""
