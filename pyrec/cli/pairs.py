"""What the commands measure on pairs that were shown at random, and what they say of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from pyrec.cli.output import note
from pyrec.cli.training_data import TrainingData
from pyrec.data import Interactions, UniformParts
from pyrec.evaluate.pairs import PairEvaluation, evaluate_pairs, positive_pairs
from pyrec.evaluate.tables import metric_rows, table
from pyrec.models import EASE, Popularity, Recommender

EASE_ITEMS: Final = 3_000
"""EASE inverts a matrix of items x items: 3,000³ operations, about 2 s of a core."""
SHOWN: Final = ("auc", "ndcg@5")


def measure_pairs(model: Recommender, uniform: UniformParts) -> PairEvaluation:
    """Measure a fitted model on the uniform test part; the validation part calibrates its scores if it can."""
    return evaluate_pairs(model, uniform.test, calibrate=_calibrating(uniform.validation))


def _calibrating(validation: Interactions) -> Interactions | None:
    """Return the validation part if it has both labels, without which no probability can be fitted."""
    positive = positive_pairs(validation)
    return validation if 0 < positive.sum() < len(validation) else None


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
    found = {one.model_name: measure_pairs(one.fit(data.train), data.uniform) for one in models}
    words = (
        f"{name} " + ", ".join(f"{metric} {one[metric]:.4f}" for metric in SHOWN)
        for name, one in found.items()
    )
    note(f"{'; '.join(words)} ({time.perf_counter() - started:.1f} s); now {model.label}")
    return found


def pairs_as_json(evaluation: PairEvaluation) -> dict[str, Any]:
    """Return the metrics and counts of an evaluation for programs."""
    counts = evaluation.counts
    return {
        **evaluation.metrics,
        "constant_rate": evaluation.constant_rate,
        "seconds_evaluate": evaluation.seconds,
        "num_test_pairs": counts.num_pairs,
        "num_positive_pairs": counts.num_positive_pairs,
        "num_seen_pairs": counts.num_seen_pairs,
        "num_test_users": counts.num_users,
        "num_users_with_positive": counts.num_users_with_positive,
        "num_users_with_both": counts.num_users_with_both,
        "num_ties": counts.num_ties,
    }


def in_two_tables(evaluations: Mapping[str, PairEvaluation], label: str) -> str:
    """Return a table of evaluations by column title, what it is over, and a heading for the table of lists."""
    rows = metric_rows({title: one.metrics for title, one in evaluations.items()})
    return (
        f"{table(rows)}\n\nover {pairs_in_words(evaluations[label])}\n\n"
        "lists of all items, and which of the liked pairs are in them:\n"
    )


def pairs_in_words(evaluation: PairEvaluation) -> str:
    """Return what the metrics of pairs are over."""
    counts = evaluation.counts
    return (
        f"{counts.num_pairs:,} pairs shown at random to {counts.num_users:,} users, {counts.num_positive_pairs:,} of "
        f"them liked"
    )


def note_pairs(evaluation: PairEvaluation) -> None:
    """Print what a reader of the metrics may not expect."""
    for text in evaluation.notes:
        note(f"note: {text}")
