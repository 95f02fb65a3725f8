"""Measuring lists and scores: metrics, estimates from biased and from random pairs, comparisons, significance."""

from pyrec.evaluate.estimators import Estimation
from pyrec.evaluate.item_metrics import ITEM_METRICS
from pyrec.evaluate.pairs import PAIR_METRICS, PairEvaluation, evaluate_pairs
from pyrec.evaluate.ranking import USER_METRICS, Evaluation, evaluate
from pyrec.evaluate.uniform import UniformEvaluation, evaluate_uniform

__all__ = [
    "ITEM_METRICS",
    "PAIR_METRICS",
    "USER_METRICS",
    "Estimation",
    "Evaluation",
    "PairEvaluation",
    "UniformEvaluation",
    "evaluate",
    "evaluate_pairs",
    "evaluate_uniform",
]
