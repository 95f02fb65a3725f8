"""What other libraries raise, turned into pyrec's own error at the boundary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyrec.errors import DataError, PyrecError


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns any error of another library into a DataError about ``what``, e.g. "column 'user'"."""
    try:
        yield
    except (PyrecError, MemoryError):
        raise
    except Exception as error:
        line = " ".join(str(error).split())
        raise DataError(f"{what} cannot be read: {type(error).__name__}: {line:.300}") from None
