"""How a text becomes a vector, a file each; a file in this folder is found by being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

from pyrec.nn.text.base import TextBatch, TextEncoder, TextInputs, TextModule  # noqa: E402
from pyrec.nn.text.cnn import CNN  # noqa: E402
from pyrec.nn.text.frozen import Frozen  # noqa: E402
from pyrec.nn.text.pooling import WordPooling  # noqa: E402
from pyrec.nn.text.pretrained import Pretrained  # noqa: E402
from pyrec.nn.text.self_attention import WordAttention  # noqa: E402
from pyrec.nn.text.transformer import Transformer  # noqa: E402

__all__ = [
    "CNN",
    "Frozen",
    "Pretrained",
    "TextBatch",
    "TextEncoder",
    "TextInputs",
    "TextModule",
    "Transformer",
    "WordAttention",
    "WordPooling",
]
