"""How a model under training does on held-out interactions: by AUC where these are labelled, else by its lists."""

from __future__ import annotations

from pyrec.data import Interactions
from pyrec.evaluate.pair_metrics import auc
from pyrec.evaluate.ranking import evaluate
from pyrec.models.base import Recommender
from pyrec.train.early_stopping import EarlyStopping

LIST_METRICS = ("precision", "recall", "ndcg")


def labelled(interactions: Interactions) -> bool:
    """Whether the pairs have labels of both kinds, so that an AUC says something."""
    if interactions.labels is None:
        return False
    return bool((interactions.labels > 0).any() and (interactions.labels <= 0).any())


def chosen_by(stopping: EarlyStopping, held_out: Interactions) -> str:
    """The entry of `measured` whose largest value is kept."""
    return "validation_auc" if labelled(held_out) else f"validation_{stopping.metric}@{stopping.k}"


def measured(view: Recommender, held_out: Interactions, stopping: EarlyStopping) -> dict[str, float]:
    """Metrics on held-out interactions, as an epoch's record has them.

    Args:
        view: The model, as it ranks by what it learns from.
        held_out: What it does not learn from.
        stopping: Says which metrics of lists are wanted.
    """
    metrics: dict[str, float]
    if labelled(held_out):
        metrics = {"auc": auc(view.pair_scores(held_out.users, held_out.items), held_out.signs)}
    else:
        names = list(dict.fromkeys([*LIST_METRICS, stopping.metric]))
        metrics = evaluate(view, held_out, stopping.k, names).metrics
    return {f"validation_{name}": value for name, value in metrics.items()}
