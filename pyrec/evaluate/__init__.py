"""Measuring lists and scores: metrics, estimates from biased and from random pairs, comparisons, significance."""

from pyrec.evaluate.compare_impressions import ImpressionDifference, compare_impressions
from pyrec.evaluate.estimators import Estimation
from pyrec.evaluate.impressions import ImpressionEvaluation, evaluate_impressions, impression_evaluation
from pyrec.evaluate.item_metrics import ITEM_METRICS
from pyrec.evaluate.pairs import PAIR_METRICS, PairEvaluation, evaluate_pairs
from pyrec.evaluate.ranking import USER_METRICS, Evaluation, evaluate
from pyrec.evaluate.submission import candidate_ranks, write_submission
from pyrec.evaluate.uniform import UniformEvaluation, evaluate_uniform

__all__ = [
    "ITEM_METRICS",
    "PAIR_METRICS",
    "USER_METRICS",
    "Estimation",
    "Evaluation",
    "ImpressionDifference",
    "ImpressionEvaluation",
    "PairEvaluation",
    "UniformEvaluation",
    "candidate_ranks",
    "compare_impressions",
    "evaluate",
    "evaluate_impressions",
    "evaluate_pairs",
    "evaluate_uniform",
    "impression_evaluation",
    "write_submission",
]
