"""Several models, measured on the same held-out interactions: what was tried, and which is best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyrec.evaluate.compare import Difference
from pyrec.evaluate.ranking import Evaluation
from pyrec.evaluate.tables import table
from pyrec.models import Recommender
from pyrec.params import params_to_json


@dataclass(frozen=True)
class Tried:
    """A model with some hyperparameters, as it was measured on the held-out interactions.

    Attributes:
        model: Not fitted.
        evaluation: On the held-out interactions, by the metric of the comparison alone.
        score: Its mean over users.
        best_epoch: The epoch that was kept; 0 for a model without epochs.
        seconds: Wall time of training and measuring.
    """

    model: Recommender
    evaluation: Evaluation
    score: float
    best_epoch: int
    seconds: float

    def for_everything(self) -> Recommender:
        """Return the model that learns from all interactions, not fitted: with the epochs that were best here."""
        model = self.model.clone()
        if "stopping" in model.get_params(deep=False):
            model.set_params(stopping=None, epochs=self.best_epoch)
        return model


@dataclass(frozen=True)
class Compared:
    """What came of one model.

    Attributes:
        label: Its name in the comparison.
        untuned: With its own hyperparameters.
        best: With the best ones that were tried, which may be its own.
        num_trials: Trials beside its own hyperparameters that succeeded.
        num_failed: Trials that failed.
        seconds: Wall time of all of them.
        difference: To the best model, paired over the held-out users, with a 95 % interval; None of the best itself.
        test: The best hyperparameters on the test interactions, learned from all training interactions; None where not
            measured.
    """

    label: str
    untuned: Tried
    best: Tried
    num_trials: int
    num_failed: int
    seconds: float
    difference: Difference | None
    test: Evaluation | None = None


@dataclass(frozen=True, repr=False)
class Comparison:
    """Models side by side; ``print`` shows `table`.

    Attributes:
        metric: What they were compared by, such as ``recall@10``.
        models: What came of each, the best first.
        left_out: Models that could not be measured, by their names, and why.
        interrupted: Whether Ctrl-C ended the search.
    """

    metric: str
    models: tuple[Compared, ...]
    left_out: Mapping[str, str]
    interrupted: bool = False

    @property
    def best(self) -> Recommender:
        """The best model with its best hyperparameters, not fitted: ``comparison.best.fit(interactions)``."""
        return self.models[0].best.for_everything()

    @property
    def best_label(self) -> str:
        """The name of the best model."""
        return self.models[0].label

    @property
    def num_users(self) -> int:
        """Users with held-out interactions, whom scores and intervals are over."""
        return self.models[0].best.evaluation.num_users

    @property
    def as_good(self) -> list[str]:
        """The models that these users do not tell from the best one: 0 is inside the interval of the difference."""
        return [
            one.label
            for one in self.models[1:]
            if one.difference is not None and not one.difference.difference + one.difference.half < 0
        ]

    def table(self) -> str:
        """Return the models as lines of text, the best first."""
        rows = [["model", self.metric, "difference", "95 %", "untuned", "trials", "seconds"]]
        tested = any(one.test is not None for one in self.models)
        if tested:
            rows[0].append(f"test {self.metric}")
        for one in self.models:
            rows.append(_cells(one))
            if tested:
                rows[-1].append("" if one.test is None else f"{one.test[self.metric]:.4f}")
        return table(rows)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "metric": self.metric,
            "num_users": self.num_users,
            "best": self.best_label,
            "as_good": self.as_good,
            "interrupted": self.interrupted,
            "models": [self._as_dict(one) for one in self.models],
            "left_out": dict(self.left_out),
        }

    def _as_dict(self, one: Compared) -> dict[str, Any]:
        difference = one.difference
        return {
            "label": one.label,
            "model": one.best.model.model_name,
            "params": params_to_json(one.best.for_everything()),
            "score": one.best.score,
            "score_untuned": one.untuned.score,
            "difference": 0.0 if difference is None else difference.difference,
            "half": None if difference is None or math.isnan(difference.half) else difference.half,
            "best_epoch": one.best.best_epoch,
            "num_trials": one.num_trials,
            "num_failed": one.num_failed,
            "seconds": one.best.seconds,
            "seconds_all": one.seconds,
            "test": None if one.test is None else one.test[self.metric],
        }

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        scores = ", ".join(f"{one.label} {one.best.score:.4f}" for one in self.models)
        return f"Comparison({self.metric} of {self.num_users:,} users: {scores})"


def _cells(one: Compared) -> list[str]:
    difference = one.difference
    gap = ["best", ""]
    if difference is not None:
        half = "" if math.isnan(difference.half) else f"± {difference.half:.4f}"
        gap = [f"{difference.difference:+.4f}", half]
    return [
        one.label,
        f"{one.best.score:.4f}",
        *gap,
        f"{one.untuned.score:.4f}",
        str(one.num_trials),
        f"{one.best.seconds:.1f}",
    ]
