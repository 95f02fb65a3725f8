"""Combines, a file each; every file of this folder is read, so that a new one is known by being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

from pyrec.nn.combine.attention import Attention, AttentionCombine, mean_divergence  # noqa: E402
from pyrec.nn.combine.base import Combine, CombineModule, PullBack  # noqa: E402
from pyrec.nn.combine.mean import Mean, MeanCombine  # noqa: E402
from pyrec.nn.combine.self_attention import SelfAttention, SelfAttentionCombine  # noqa: E402
from pyrec.nn.combine.weighted import Weighted, WeightedCombine  # noqa: E402

__all__ = [
    "Attention",
    "AttentionCombine",
    "Combine",
    "CombineModule",
    "Mean",
    "MeanCombine",
    "PullBack",
    "SelfAttention",
    "SelfAttentionCombine",
    "Weighted",
    "WeightedCombine",
    "mean_divergence",
]
