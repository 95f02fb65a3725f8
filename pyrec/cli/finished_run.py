"""A finished training run, as its folder and its card tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyrec.cli.measured import as_json, columns, warm_as_json
from pyrec.cli.sources import Source
from pyrec.data import Interactions
from pyrec.evaluate.ranking import Evaluation
from pyrec.models import EpochRecommender, Recommender


@dataclass(frozen=True)
class Run:
    """A finished training run."""

    data_name: str
    source: Source
    model: Recommender
    train: Interactions
    test: Interactions
    k: list[int]
    seconds_train: float
    evaluation: Evaluation
    baseline: Evaluation

    @property
    def label(self) -> str:
        """The model's name, with how it combines its layers if it has any."""
        return self.model.label

    @property
    def history(self) -> list[dict[str, Any]]:
        """A record an epoch; empty for a model without epochs."""
        return self.model.history_ if isinstance(self.model, EpochRecommender) else []

    def columns(self) -> dict[str, dict[str, float]]:
        """Return the metrics of the model and of popularity, by column title."""
        return columns({self.label: self.evaluation, "popularity": self.baseline})

    def metrics(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds."""
        return {
            **as_json(self.evaluation),
            "seconds_train": self.seconds_train,
            "num_users": self.train.num_users,
            "num_items": self.train.num_items,
            "num_train": len(self.train),
            "num_test": len(self.test),
            "num_epochs": len(self.history),
            **({"best_epoch": self.model.best_epoch_} if isinstance(self.model, EpochRecommender) else {}),
            "baseline_popularity": self.baseline.metrics,
            "baseline_popularity_warm": warm_as_json(self.baseline),
        }
