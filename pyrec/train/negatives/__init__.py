"""Sources of negatives, a file each."""

from pyrec.train.negatives.all_items import AllItems
from pyrec.train.negatives.base import Negatives
from pyrec.train.negatives.hard import Hard
from pyrec.train.negatives.in_batch import InBatch
from pyrec.train.negatives.observed import Observed
from pyrec.train.negatives.shown import Shown
from pyrec.train.negatives.uniform import Uniform

__all__ = ["AllItems", "Hard", "InBatch", "Negatives", "Observed", "Shown", "Uniform"]
