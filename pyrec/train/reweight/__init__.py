"""Ways to weigh training samples by a uniform set, a file each; a new file of this folder is known by being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

from pyrec.train.reweight.base import (  # noqa: E402
    REWEIGHT,
    UNOBSERVED_WEIGHT,
    Known,
    Pairs,
    Reweight,
    Weigher,
    Weighing,
    imputes,
)
from pyrec.train.reweight.bridge import Bridge  # noqa: E402
from pyrec.train.reweight.label import LabelWeights  # noqa: E402
from pyrec.train.reweight.linear import LinearWeights  # noqa: E402
from pyrec.train.reweight.meta_weight_net import MetaWeightNet  # noqa: E402
from pyrec.train.reweight.ren import Ren  # noqa: E402

__all__ = [
    "REWEIGHT",
    "UNOBSERVED_WEIGHT",
    "Bridge",
    "Known",
    "LabelWeights",
    "LinearWeights",
    "MetaWeightNet",
    "Pairs",
    "Ren",
    "Reweight",
    "Weigher",
    "Weighing",
    "imputes",
]
