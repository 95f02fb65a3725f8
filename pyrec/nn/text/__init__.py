"""How a text becomes a vector, a file each; a file in this folder is found by being there."""

from pyrec.nn.text.base import TextBatch, TextEncoder, TextInputs, TextModule
from pyrec.nn.text.self_attention import WordAttention

__all__ = ["TextBatch", "TextEncoder", "TextInputs", "TextModule", "WordAttention"]
