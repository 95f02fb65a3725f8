"""A model that is another with other defaults."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import wraps
from typing import Any


def preset(kind: type, defaults: Mapping[str, Any]) -> None:
    """Give a class the constructor of its base with other defaults.

    Args:
        kind: The class; it has no constructor of its own.
        defaults: By the names of the arguments.

    Raises:
        TypeError: The constructor takes no such argument.
    """
    base = kind.__init__  # type: ignore[misc]
    signature = inspect.signature(base)
    unknown = [name for name in defaults if name not in signature.parameters]
    if unknown:
        raise TypeError(f"{kind.__name__} has no arguments {', '.join(unknown)} to give defaults to")
    own = signature.replace(
        parameters=[
            one.replace(default=defaults[name]) if name in defaults else one
            for name, one in signature.parameters.items()
        ]
    )

    @wraps(base)
    def init(self: Any, *args: Any, **params: Any) -> None:
        bound = own.bind(self, *args, **params)
        bound.apply_defaults()
        base(*bound.args, **bound.kwargs)

    init.__signature__ = own  # type: ignore[attr-defined]
    kind.__init__ = init  # type: ignore[misc]
