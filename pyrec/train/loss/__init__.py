"""Losses, a file each; every file of this folder is read, so that a new one is known by being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

from pyrec.train.loss.base import SCORES, Loss  # noqa: E402
from pyrec.train.loss.bpr import BPR  # noqa: E402
from pyrec.train.loss.pointwise import Pointwise  # noqa: E402
from pyrec.train.loss.softmax import Softmax  # noqa: E402

__all__ = ["BPR", "SCORES", "Loss", "Pointwise", "Softmax"]
