"""Libraries that only some parts of pyrec use: imported when needed, and named with their extra when missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from pyrec.errors import ConfigError


def need(module: str, purpose: str, extra: str | None) -> ModuleType:
    """Return a module of an optional dependency.

    Args:
        module: Its name.
        purpose: What needs it, to begin the message with.
        extra: The extra of this package that installs it; None if none does.

    Raises:
        ConfigError: If it cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        reason = "" if getattr(error, "name", None) == name else f" ({error})"
        wanted = name if extra is None else f"'.[{extra}]'"
        raise ConfigError(f"{purpose} needs {name}: pip install {wanted}{reason}") from None
