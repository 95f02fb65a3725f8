"""What ``pyrec train`` measures first, within seconds: popularity, and EASE or item-kNN."""

from __future__ import annotations

import time

import numpy as np

from pyrec.cli.output import note
from pyrec.data import Interactions
from pyrec.evaluate.ranking import Evaluation, evaluate
from pyrec.models import EASE, EpochRecommender, ItemKNN, Popularity, Recommender
from pyrec.models.fallback import Fallback

EASE_ITEMS = 3_000
"""EASE inverts a matrix of items x items: 3,000³ operations, about 2 s of a core."""
KNN_PAIRS = 1_000_000_000
"""Pairs of items that users have, which item-kNN counts: about 2 s of a core."""
SCORES = 2_000_000_000
"""Scores of items for test users: a few seconds of a core."""
SHOWN = ("recall", "ndcg")


def baselines(
    model: Recommender,
    train: Interactions,
    test: Interactions,
    k: list[int],
    quick: bool,
    fallback: Fallback = "popularity",
) -> dict[str, Evaluation]:
    """Measure what needs no training to speak of, and print it before the model is trained.

    Args:
        model: What will be trained.
        train: The training set.
        test: The test set.
        k: Cut-offs.
        quick: Whether there is to be more than popularity, for a model that trains by epochs.
        fallback: See `pyrec.evaluate`.

    Returns:
        The evaluations by the models' names, popularity last.

    Raises:
        ConfigError: If a cut-off is out of range.
        DataError: If the test set does not fit.
    """
    popularity = {"popularity": evaluate(Popularity().fit(train), test, k)}
    other = quick_model(train, test) if quick and isinstance(model, EpochRecommender) else None
    if other is None:
        return popularity
    started = time.perf_counter()
    first = {other.model_name: evaluate(other.fit(train), test, k, fallback=fallback)}
    seconds = time.perf_counter() - started
    words = (_in_words(name, one, max(k)) for name, one in (popularity | first).items())
    note(f"{'; '.join(words)} ({seconds:.1f} s); now {model.label}")
    return first | popularity


def quick_model(train: Interactions, test: Interactions) -> Recommender | None:
    """Return the model that tells within seconds what can be reached, by what it costs; None if none does."""
    tested = np.count_nonzero(np.diff(test.indptr))
    if tested * train.num_items > SCORES:
        return None
    if train.num_items <= EASE_ITEMS:
        return EASE()
    lengths = np.diff(train.indptr)
    return ItemKNN() if int(lengths @ lengths) <= KNN_PAIRS else None


def _in_words(name: str, evaluation: Evaluation, k: int) -> str:
    means = ", ".join(f"{metric}@{k} {evaluation[f'{metric}@{k}']:.4f}" for metric in SHOWN)
    return f"{name} {means}"
