"""What the commands measure on pairs that were shown at random, and what they say of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyrec.cli.baselines import EASE_ITEMS
from pyrec.cli.output import note
from pyrec.cli.training_data import TrainingData
from pyrec.data import Interactions, UniformParts
from pyrec.evaluate.pairs import PairEvaluation, evaluate_pairs
from pyrec.evaluate.tables import metric_rows, table
from pyrec.evaluate.uniform import UniformEvaluation, evaluate_uniform
from pyrec.models import EASE, Popularity, Recommender
from pyrec.models.fallback import Fallback
from pyrec.models.validation import labelled

SHOWN: Final = ("auc", "ndcg@5")


@dataclass(frozen=True)
class AtRandom:
    """What pairs that were shown at random tell of a model.

    Attributes:
        label: Of the model.
        pairs: Metrics of the pairs' scores, by what columns are called: the model's first, then others'.
        lists: What the pairs tell of its lists of all items.
    """

    label: str
    pairs: Mapping[str, PairEvaluation]
    lists: UniformEvaluation

    @property
    def own(self) -> PairEvaluation:
        """Of the model."""
        return self.pairs[self.label]

    @property
    def seconds(self) -> float:
        """Spent on measuring the model."""
        return self.own.seconds + self.lists.seconds

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the metrics may not expect, a sentence each."""
        return (*self.own.notes, *self.lists.notes)

    def as_json(self) -> dict[str, Any]:
        """Return the metrics and counts for programs, the metrics of pairs without a prefix."""
        counts = self.own.counts
        estimates = {
            name: {
                "estimate": value,
                "low": self.lists.intervals[name][0],
                "high": self.lists.intervals[name][1],
            }
            for name, value in self.lists.metrics.items()
        }
        return {
            **self.own.metrics,
            **{f"pairs_{title}": one.metrics for title, one in self.pairs.items() if title != self.label},
            "estimates": estimates,
            "constant_rate": self.own.constant_rate,
            "seconds_evaluate": self.seconds,
            "num_test_pairs": counts.num_pairs,
            "num_positive_pairs": counts.num_positive_pairs,
            "num_seen_pairs": counts.num_seen_pairs,
            "num_test_users": counts.num_users,
            "num_users_with_positive": counts.num_users_with_positive,
            "num_users_with_both": counts.num_users_with_both,
            "num_ties": counts.num_ties,
        }

    def rows(self) -> list[list[str]]:
        """Return a head and rows of the metrics of pairs, a column a model."""
        return metric_rows({title: one.metrics for title, one in self.pairs.items()})

    def list_rows(self) -> list[list[str]]:
        """Return a head and rows of the estimates of the model's lists."""
        return self.lists.rows("lists of all items", self.label)

    def over(self) -> str:
        """Return what the metrics are over."""
        counts = self.own.counts
        return (
            f"{counts.num_pairs:,} pairs shown at random to {counts.num_users:,} users, {counts.num_positive_pairs:,} "
            "of them liked"
        )

    def summary(self) -> str:
        """Return both tables."""
        return f"{table(self.rows())}\n\n{table(self.list_rows())}"


def measure_at_random(
    model: Recommender,
    uniform: UniformParts,
    k: Sequence[int],
    fallback: Fallback,
    others: Mapping[str, PairEvaluation] | None = None,
) -> AtRandom:
    """Measure a fitted model on the uniform test part.

    Args:
        model: The model.
        uniform: All parts; the validation part calibrates scores if it can.
        k: Cut-offs of lists.
        fallback: See `pyrec.evaluate`.
        others: What it is compared with, by what columns are called.
    """
    pairs = {model.label: _measure_pairs(model, uniform), **(others or {})}
    learned = uniform.train if model.uniform != "ignored" and len(uniform.train) else None
    lists = evaluate_uniform(model, uniform.test, k, seen=learned, fallback=fallback)
    return AtRandom(model.label, pairs, lists)


def _measure_pairs(model: Recommender, uniform: UniformParts) -> PairEvaluation:
    return evaluate_pairs(model, uniform.test, calibrate=_calibrating(uniform.validation))


def _calibrating(validation: Interactions) -> Interactions | None:
    """Return the validation part if it has both labels, without which no probability can be fitted."""
    return validation if labelled(validation) else None


def pair_baselines(model: Recommender, data: TrainingData, quick: bool) -> dict[str, PairEvaluation]:
    """Measure on the uniform test part what needs no training to speak of, and print it.

    Args:
        model: What will be trained.
        data: With a uniform set.
        quick: Whether there is to be more than popularity.

    Returns:
        The evaluations by the models' names, popularity last.
    """
    assert data.uniform is not None
    started = time.perf_counter()
    models: list[Recommender] = [Popularity()]
    if quick and data.train.num_items <= EASE_ITEMS and not isinstance(model, EASE):
        models.insert(0, EASE())
    found = {one.model_name: _measure_pairs(one.fit(data.train), data.uniform) for one in models}
    words = (
        f"{name} " + ", ".join(f"{metric} {one[metric]:.4f}" for metric in SHOWN)
        for name, one in found.items()
    )
    note(f"{'; '.join(words)} ({time.perf_counter() - started:.1f} s); now {model.label}")
    return found
