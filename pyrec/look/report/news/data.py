"""The data of a report on a model of news."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyrec.data.news import News
from pyrec.evaluate.impressions import ImpressionEvaluation
from pyrec.models import NewsRecommender


@dataclass(frozen=True)
class NewsReportData:
    """What the parts of a report are made from.

    Attributes:
        model: The fitted model.
        test: What it was measured on.
        data_name: What the data are called.
        evaluation: The model's metrics.
        baseline: Those of popularity; None where it was not measured.
        history: A record an epoch; empty if unknown.
        seconds_train: Seconds that training took, if known.
        settings: What else to say about the data, by name.
        readers: Raw ids of the readers to show; empty for some that the report chooses.
    """

    model: NewsRecommender
    test: News
    data_name: str
    evaluation: ImpressionEvaluation
    baseline: ImpressionEvaluation | None
    history: Sequence[Mapping[str, Any]]
    seconds_train: float | None
    settings: Mapping[str, Any]
    readers: Sequence[Any]

    @property
    def label(self) -> str:
        """The model's name."""
        return self.model.label

    @property
    def columns(self) -> dict[str, ImpressionEvaluation]:
        """What was measured, by label."""
        found = {self.label: self.evaluation, "popularity": self.baseline}
        return {label: one for label, one in found.items() if one is not None}
