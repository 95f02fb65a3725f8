"""How a news model under training does on held-out impressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyrec.data.news import News
from pyrec.evaluate.impressions import impression_evaluation
from pyrec.train.news.stopping import METRICS, LatestImpressions
from pyrec.train.validated import Validation

if TYPE_CHECKING:
    from pyrec.models.news.asking import NewsAsking


def validation_by(view: Callable[[], NewsAsking], held_out: News, stopping: LatestImpressions) -> Validation:
    """How the best epoch is chosen.

    Args:
        view: Gives the model as its parameters are.
        held_out: What it does not learn from.
        stopping: How.
    """

    def measured() -> dict[str, float]:
        scores = view().score_impressions(held_out)
        found = impression_evaluation(scores, held_out).metrics
        return {f"validation_{name}": found[name] for name in METRICS}

    return Validation(measured, f"validation_{stopping.metric}", stopping.patience)
