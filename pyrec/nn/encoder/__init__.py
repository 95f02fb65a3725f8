"""Encoders, a file each; every file of this folder is read, so that a new one is known by being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

from pyrec.nn.encoder.base import Encoder, Inputs  # noqa: E402
from pyrec.nn.encoder.from_items import FromItems  # noqa: E402
from pyrec.nn.encoder.table import Table  # noqa: E402

__all__ = ["Encoder", "FromItems", "Inputs", "Table"]
