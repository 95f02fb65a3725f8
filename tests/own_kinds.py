"""Components and models that a test defines for itself: known while it runs, and to no test that lists all kinds."""

from typing import TypeVar

import pytest

from pyrec.models import Estimator, estimator
from pyrec.params import Component

Kind = TypeVar("Kind", bound=type)


def unlisted(kind: Kind) -> Kind:
    """Take a class out of the known ones, in which its definition put it."""
    if issubclass(kind, Component):
        del kind.kinds[kind.name]
    elif issubclass(kind, Estimator):
        del estimator._KNOWN[kind.model_name]
    return kind


def listed(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put it back for a test, as its definition does for a user."""
    if issubclass(kind, Component):
        monkeypatch.setitem(kind.kinds, kind.name, kind)
    elif issubclass(kind, Estimator):
        monkeypatch.setitem(estimator._KNOWN, kind.model_name, kind)
