"""How a model under training does on held-out interactions: by AUC where these are labelled, else by its lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pyrec.data import Interactions
from pyrec.evaluate.pair_metrics import auc
from pyrec.evaluate.ranking import evaluate
from pyrec.models.base import Recommender
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.validated import Validation

LIST_METRICS: Final = ("precision", "recall", "ndcg")
AUC: Final = "validation_auc"
"""What an epoch's record calls the AUC of held-out pairs."""


def labelled(interactions: Interactions) -> bool:
    """Whether the pairs have labels of both kinds, so that an AUC says something."""
    if interactions.labels is None:
        return False
    return bool((interactions.labels > 0).any() and (interactions.labels <= 0).any())


def validation_by(
    view: Callable[[], Recommender], held_out: Interactions, stopping: EarlyStopping, least_epochs: int = 0
) -> Validation:
    """How the best epoch is chosen.

    Args:
        view: Gives the model, as it ranks by what it learns from.
        held_out: What it does not learn from.
        stopping: How.
        least_epochs: Epochs before one may be chosen.
    """
    chosen_by = AUC if labelled(held_out) else _of_lists(stopping)
    return Validation(
        lambda: _measured(view(), held_out, stopping), chosen_by, stopping.patience, least_epochs
    )


def chosen_by(record: Mapping[str, Any], stopping: EarlyStopping) -> str | None:
    """The entry of an epoch's record that it is chosen by; None where nothing was held out."""
    return next((name for name in (AUC, _of_lists(stopping)) if name in record), None)


def _of_lists(stopping: EarlyStopping) -> str:
    return f"validation_{stopping.metric}@{stopping.k}"


def _measured(view: Recommender, held_out: Interactions, stopping: EarlyStopping) -> dict[str, float]:
    """Metrics on held-out interactions, as an epoch's record has them."""
    metrics: dict[str, float]
    if labelled(held_out):
        metrics = {"auc": auc(view.pair_scores(held_out.users, held_out.items), held_out.signs)}
    else:
        names = list(dict.fromkeys([*LIST_METRICS, stopping.metric]))
        metrics = evaluate(view, held_out, stopping.k, names).metrics
    return {f"validation_{name}": value for name, value in metrics.items()}
