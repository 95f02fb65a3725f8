"""Measuring rankings: metrics by user and of the items, comparisons and their significance."""

from pyrec.evaluate.item_metrics import ITEM_METRICS
from pyrec.evaluate.pairs import PAIR_METRICS, PairEvaluation, evaluate_pairs
from pyrec.evaluate.ranking import USER_METRICS, Evaluation, evaluate

__all__ = [
    "ITEM_METRICS",
    "PAIR_METRICS",
    "USER_METRICS",
    "Evaluation",
    "PairEvaluation",
    "evaluate",
    "evaluate_pairs",
]
