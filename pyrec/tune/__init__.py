"""Search for models and their hyperparameters on held-out training interactions."""

from pyrec.tune.compare_models import Watcher, compare_models
from pyrec.tune.comparison import Compared, Comparison, Tried
from pyrec.tune.search import Search, Trial, Trials, tune
from pyrec.tune.space import Range, default_space

__all__ = [
    "Compared",
    "Comparison",
    "Range",
    "Search",
    "Trial",
    "Trials",
    "Tried",
    "Watcher",
    "compare_models",
    "default_space",
    "tune",
]
