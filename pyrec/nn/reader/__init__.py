"""How a reader is known by the articles clicked, a file each; a file in this folder is found by being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

from pyrec.nn.reader.base import (  # noqa: E402
    Candidates,
    Clicks,
    ReaderEncoder,
    ReaderInputs,
    ReaderModule,
)
from pyrec.nn.reader.candidate import CandidateAttention  # noqa: E402
from pyrec.nn.reader.candidate_self_attention import CandidateSelfAttention  # noqa: E402
from pyrec.nn.reader.interests import Interests  # noqa: E402
from pyrec.nn.reader.long_short import LongShort  # noqa: E402
from pyrec.nn.reader.pooling import ClickPooling  # noqa: E402
from pyrec.nn.reader.self_attention import ClickAttention  # noqa: E402

__all__ = [
    "CandidateAttention",
    "CandidateSelfAttention",
    "Candidates",
    "ClickAttention",
    "ClickPooling",
    "Clicks",
    "Interests",
    "LongShort",
    "ReaderEncoder",
    "ReaderInputs",
    "ReaderModule",
]
