"""What evaluation asks of a model: one state of it, and the methods that a measure needs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from pyrec._exchange import Exchanged, kind_of, one_state
from pyrec.errors import DataError

Asked = TypeVar("Asked")


def asked(model: Asked, protocol: type[object], methods: str) -> AbstractContextManager[Asked]:
    """Return a context of one state of a fitted model; anything else with the methods is taken as it is.

    Args:
        model: What the caller gave.
        protocol: A runtime-checkable protocol that it is to have.
        methods: Its methods, for the message.

    Raises:
        DataError: If the model is neither.
    """
    if isinstance(model, Exchanged):
        return one_state(model)
    if isinstance(model, type) or not isinstance(model, protocol):
        raise DataError(
            f"model is {kind_of(model)}, but a fitted model is needed, such as EASE().fit(train), "
            f"or an object with the methods {methods}"
        )
    return nullcontext(model)
