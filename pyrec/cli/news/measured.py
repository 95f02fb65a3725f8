"""What the commands say of a model of news that was measured on impressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyrec.cli.output import counted
from pyrec.evaluate.impressions import ImpressionEvaluation

FIRST: Final = ("auc", "mrr")
CUTOFFS: Final = [5, 10]
"""Of the metrics, where none are asked for."""


def shown(found: ImpressionEvaluation) -> list[str]:
    """Return the names of the metrics that tables have."""
    return [name for name in found.metrics if name in FIRST or name.startswith("ndcg@")]


def metric_rows(columns: Mapping[str, ImpressionEvaluation]) -> list[list[str]]:
    """Return a table's rows: a header, then a metric each."""
    names = shown(next(iter(columns.values())))
    rows = [[name, *(f"{one.metrics[name]:.4f}" for one in columns.values())] for name in names]
    return [["", *columns], *rows]


def impressions_in_words(found: ImpressionEvaluation) -> str:
    """Return how many impressions the means are over, and how many were left out for want of two classes."""
    words = counted(found.num_impressions, "impressions")
    return "; ".join([words, *found.notes])


def as_json(found: ImpressionEvaluation) -> dict[str, Any]:
    """Return the means and counts of an evaluation."""
    return {
        **found.metrics,
        "impressions": found.num_impressions,
        "left_out": found.num_left_out,
        "seconds_evaluate": found.seconds,
        "slices": {
            by: [{"label": part.label, "impressions": part.num_impressions, **part.metrics} for part in parts]
            for by, parts in found.slices.items()
        },
    }
