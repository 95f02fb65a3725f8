"""Measuring rankings: metrics by user and of the items, comparisons and their significance."""

from pyrec.evaluate.item_metrics import ITEM_METRICS
from pyrec.evaluate.ranking import USER_METRICS, Evaluation, evaluate

__all__ = ["ITEM_METRICS", "USER_METRICS", "Evaluation", "evaluate"]
