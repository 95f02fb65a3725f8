"""A finished training run, as its folder and its card tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyrec.cli.item_names import Names
from pyrec.cli.measured import as_json, columns, warm_as_json
from pyrec.cli.pairs import AtRandom
from pyrec.cli.sources import Source
from pyrec.cli.training_data import TrainingData
from pyrec.evaluate.ranking import Evaluation
from pyrec.models import EpochRecommender, Recommender


@dataclass(frozen=True)
class Run:
    """A finished training run; without a test set, it learned from every interaction and nothing is measured."""

    data: TrainingData
    source: Source
    model: Recommender
    k: list[int]
    seconds_train: float
    evaluation: Evaluation | None
    baselines: Mapping[str, Evaluation]
    at_random: AtRandom | None = None
    item_names: Names = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The model's name, with how it combines its layers if it has any."""
        return self.model.label

    @property
    def history(self) -> list[dict[str, Any]]:
        """A record an epoch; empty for a model without epochs."""
        return self.model.history_ if isinstance(self.model, EpochRecommender) else []

    @property
    def best_epoch(self) -> int | None:
        """The epoch that was kept; None for a model without epochs."""
        return self.model.best_epoch_ if isinstance(self.model, EpochRecommender) else None

    @property
    def validation(self) -> dict[str, float]:
        """The metrics on the held-out share at the epoch that was kept; empty where none chose it."""
        if self.best_epoch is None:
            return {}
        record, prefix = self.history[self.best_epoch - 1], "validation_"
        return {name.removeprefix(prefix): record[name] for name in record if name.startswith(prefix)}

    def columns(self) -> dict[str, dict[str, float]]:
        """Return the metrics of the model and of what it is compared with, by column title."""
        model = {} if self.evaluation is None else {self.label: self.evaluation}
        return columns({**model, **self.baselines})

    def metrics(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds."""
        epochs = {} if self.best_epoch is None else {"best_epoch": self.best_epoch}
        baselines: dict[str, Any] = {}
        for name, baseline in self.baselines.items():
            baselines[f"baseline_{name}"] = baseline.metrics
            baselines[f"baseline_{name}_warm"] = warm_as_json(baseline)
        train, test = self.data.train, self.data.test
        return {
            **self._measured(),
            "measured": self.evaluation is not None,
            "seconds_train": self.seconds_train,
            "num_users": train.num_users,
            "num_items": train.num_items,
            "num_train": len(train),
            "num_test": 0 if test is None else len(test),
            "num_epochs": len(self.history),
            **epochs,
            **({"validation": self.validation} if self.validation else {}),
            **baselines,
        }

    def _measured(self) -> dict[str, Any]:
        """Return the metrics of lists; with a uniform set those of pairs, and those of lists under their own name."""
        lists = {} if self.evaluation is None else as_json(self.evaluation)
        return lists if self.at_random is None else {**self.at_random.as_json(), "lists": lists}
