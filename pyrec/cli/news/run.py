"""A finished run on news, as its folder and its card tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from pyrec.cli.model_card import FILES, card, markdown, parameters_text
from pyrec.cli.news.measured import as_json, impressions_in_words, metric_rows
from pyrec.cli.news.source import NewsSource
from pyrec.cli.run_folder import CURVES
from pyrec.data.news import NewsSplit
from pyrec.evaluate.impressions import ImpressionEvaluation
from pyrec.look import plots
from pyrec.models import NewsRecommender
from pyrec.store.news import news_fingerprint

POPULARITY: Final = "popularity alone"
TRAIN: Final = "train"
"""What the run says of its training part: `pyrec.store.news.news_fingerprint`."""


@dataclass(frozen=True)
class NewsRun:
    """A `pyrec.cli.run_folder.FinishedRun` on news.

    Attributes:
        data: The parts; without clicks to measure on nothing is measured.
        source: Where they come from.
        model: Fitted.
        k: Cut-offs of the metrics.
        seconds_train: That training took.
        evaluation: On the test part; None where nothing is measured.
        baseline: Of decayed clicks, likewise.
    """

    data: NewsSplit
    source: NewsSource
    model: NewsRecommender
    k: list[int]
    seconds_train: float
    evaluation: ImpressionEvaluation | None
    baseline: ImpressionEvaluation | None

    @property
    def label(self) -> str:
        """The model's name."""
        return self.model.label

    @property
    def history(self) -> list[dict[str, Any]]:
        """A record an epoch."""
        return self.model.history_

    @property
    def columns(self) -> dict[str, ImpressionEvaluation]:
        """What was measured, by column title; popularity alone last."""
        found = {self.label: self.evaluation, POPULARITY: self.baseline}
        return {title: one for title, one in found.items() if one is not None}

    def metrics(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds."""
        measured = {} if self.evaluation is None else as_json(self.evaluation)
        baseline = None if self.baseline is None else self.baseline.metrics
        articles, shown = self.data.train.articles, self.data.train.impressions
        return {
            **measured,
            "measured": self.evaluation is not None,
            "seconds": self.seconds_train,
            "num_articles": len(articles),
            "num_readers": shown.num_users,
            "num_train_impressions": len(shown),
            "num_epochs": len(self.history),
            "best_epoch": self.model.best_epoch_,
            "baseline_popularity": baseline,
        }

    def save(self, folder: Path) -> None:
        """Save the model, with where its data come from."""
        about = {"data": self.source.as_json(), "k": self.k, TRAIN: news_fingerprint(self.data.train)}
        self.model.save(folder, about | {"torch": torch.__version__})

    def draw(self, folder: Path) -> None:
        """Draw the curves."""
        if self.history:
            plots.plot_curves(self.history, folder / CURVES, f"{self.label}, {self.data.name}")

    def card(self, files: list[str]) -> str:
        """Return what ``README.md`` holds."""
        kind = type(self.model).__name__
        rows = [["", "value"], *([name, str(value)] for name, value in self._data_rows().items())]
        sections = {
            "Metrics": self._metrics_text(),
            "Data": markdown(rows),
            "Hyperparameters": parameters_text(self.model),
            "Use": USE.format(kind=kind),
        }
        kept = FILES | {
            "model.safetensors": "what the model learned, its articles, and what is counted of them"
        }
        return card(f"{self.label} on {self.data.name}", kind, self.seconds_train, sections, files, kept)

    def _metrics_text(self) -> str:
        if self.evaluation is None:
            return "Nothing was measured: no impressions with clicks were left to measure on."
        words = f"Means over {impressions_in_words(self.evaluation)}."
        return f"{words}\n\n{markdown(metric_rows(self.columns), '---:')}"

    def _data_rows(self) -> dict[str, Any]:
        train, test = self.data.train, self.data.test
        counts = {
            "articles": f"{len(train.articles):,}",
            "readers": f"{train.impressions.num_users:,}",
            "training impressions": f"{len(train):,}",
            "test impressions": "none" if test is None else f"{len(test):,}",
        }
        return counts | {
            name: f"`{value}`" for name, value in self.source.as_json().items() if value is not None
        }


USE: Final = """```python
from pyrec.models import {kind}

model = {kind}.load("this folder")
articles, scores = model.recommend([reader_id], n=10)
articles, scores = model.recommend_for_clicks([[article_id, article_id]], n=10)  # a new reader
model.add_articles(articles)  # of today
```

```
pyrec recommend "this folder" --users 1,2,3
pyrec evaluate "this folder"
```"""
