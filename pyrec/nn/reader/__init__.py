"""How a reader is known by the articles clicked, a file each; a file in this folder is found by being there."""

from pyrec.nn.reader.base import Candidates, Clicks, ReaderEncoder, ReaderInputs, ReaderModule
from pyrec.nn.reader.self_attention import ClickAttention

__all__ = ["Candidates", "ClickAttention", "Clicks", "ReaderEncoder", "ReaderInputs", "ReaderModule"]
