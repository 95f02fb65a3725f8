"""What the commands say of evaluations: columns of means, who these are over, and the same for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pyrec.cli.output import note
from pyrec.evaluate.ranking import Evaluation

WARM = "warm: over the users with training interactions alone"


def columns(evaluations: Mapping[str, Evaluation]) -> dict[str, dict[str, float]]:
    """Return the means over all test users by column title and, if some are cold, then those over the warm ones."""
    all_users = {label: one.metrics for label, one in evaluations.items()}
    warm = {label: one.columns(label) for label, one in evaluations.items()}
    return all_users | {title: means for titled in warm.values() for title, means in titled.items()}


def users_in_words(evaluation: Evaluation) -> str:
    """Return how many users the means are over, what a second mean is over if there is one, and how many are cold."""
    counts = evaluation.counts
    cold, users = counts.num_cold_users, counts.num_users
    words = f"{users:,} test users"
    if cold:
        words += f", {cold:,} of them cold"
    if counts.num_cold_items:
        words += f", {counts.num_cold_items:,} of {counts.num_items:,} test items cold"
    return words + (f"; {WARM}, {users - cold:,}" if 0 < cold < users else "")


def note_lists(evaluation: Evaluation) -> None:
    """Print what there is to say of the lists; `pyrec.cli.sources.describe` tells of the test set beforehand."""
    for text in evaluation.list_notes:
        note(f"note: {text}")


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the means and counts of an evaluation; ``warm`` and ``warm_items`` are null over nobody."""
    counts = evaluation.counts
    return {
        **evaluation.metrics,
        "warm": warm_as_json(evaluation),
        "warm_items": _as_json(evaluation.warm_item_metrics),
        "seconds_evaluate": evaluation.seconds,
        "num_test_users": counts.num_users,
        "num_cold_users": counts.num_cold_users,
        "num_fallback_lists": evaluation.num_fallback_lists,
        "num_test_items": counts.num_items,
        "num_cold_items": counts.num_cold_items,
        "num_cold_interactions": counts.num_cold_interactions,
        "num_seen_interactions": counts.num_seen_interactions,
        "num_short_lists": evaluation.num_short_lists,
    }


def warm_as_json(evaluation: Evaluation) -> dict[str, float] | None:
    """Return the means over the warm test users; JSON knows no NaN, so None without any."""
    return _as_json(evaluation.warm_metrics)


def _as_json(means: dict[str, float]) -> dict[str, float] | None:
    return None if any(math.isnan(mean) for mean in means.values()) else means
