"""Augmentations, a file each; every file of this folder is read, so that a new one is known by being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

from pyrec.train.augment.base import Augment, Auxiliary  # noqa: E402
from pyrec.train.augment.contrast import Contrast  # noqa: E402
from pyrec.train.augment.edge_dropout import EdgeDropout  # noqa: E402
from pyrec.train.augment.extra_edges import ExtraEdges  # noqa: E402

__all__ = ["Augment", "Auxiliary", "Contrast", "EdgeDropout", "ExtraEdges"]
