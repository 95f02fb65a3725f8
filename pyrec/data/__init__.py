"""Interactions from files, frames, arrays, a generator or named data sets."""

from pyrec.data.interactions import Interactions, as_interactions
from pyrec.data.stats import InteractionStats

__all__ = ["InteractionStats", "Interactions", "as_interactions"]
