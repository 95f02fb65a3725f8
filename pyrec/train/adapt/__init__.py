"""What a loss estimates between epochs, a file each; every file of this folder is read, as those of losses are."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

from pyrec.train.adapt.base import Adapt  # noqa: E402
from pyrec.train.adapt.one_temperature import OneTemperature  # noqa: E402
from pyrec.train.adapt.user_temperatures import UserTemperatures  # noqa: E402

__all__ = ["Adapt", "OneTemperature", "UserTemperatures"]
