"""Search for hyperparameters on held-out training interactions."""

from pyrec.tune.search import Search, Trial, tune
from pyrec.tune.space import Range, default_space

__all__ = ["Range", "Search", "Trial", "default_space", "tune"]
