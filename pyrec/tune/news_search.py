"""Search for hyperparameters of a model of news, on the latest impressions of its training part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyrec._checks import check_count, did_you_mean
from pyrec.data.news import News
from pyrec.errors import ConfigError
from pyrec.models import NewsRecommender
from pyrec.params import params_to_json
from pyrec.store.news import news_fingerprint
from pyrec.train.news.stopping import METRICS
from pyrec.tune.budget import EpochCallback
from pyrec.tune.searched import Searched
from pyrec.tune.space import Range


@dataclass(frozen=True)
class NewsSearch(Searched):
    """What is searched, on what.

    Attributes:
        model: The model with the parameters that are fixed, not fitted. Its stopping holds a share out, the latest
            impressions, and keeps the epoch by ``metric``.
        space: See `pyrec.tune.search.Search`.
        train: All news to learn from.
        seed: Of the search.
        metric: What is searched by: ``auc``, ``mrr``, ``ndcg@5`` or ``ndcg@10``.
    """

    model: NewsRecommender
    space: Sequence[Range]
    train: News
    seed: int = 0
    metric: str = "auc"

    @property
    def target(self) -> str:
        """See `Searched.target`."""
        return self.metric

    @property
    def shown(self) -> list[str]:
        """See `Searched.shown`."""
        return list(dict.fromkeys([self.metric, *METRICS]))

    def with_params(self, params: Mapping[str, Any]) -> NewsRecommender:
        """Return the model with other values of some parameters, not fitted."""
        return self.model.clone().set_params(**params)

    def run(
        self, params: Mapping[str, Any], callback: EpochCallback | None = None
    ) -> tuple[dict[str, float], int]:
        """See `Searched.run`."""
        model = self.with_params(params).fit(self.train, callback=callback)
        best = model.history_[model.best_epoch_ - 1]
        return {name: best[f"validation_{name}"] for name in METRICS}, model.best_epoch_

    def seconds(self) -> float | None:
        """See `Searched.seconds`."""
        return self.model.training_seconds(self.train)

    def check(self) -> None:
        """See `Searched.check`."""
        if self.metric not in METRICS:
            raise ConfigError(
                f"metric = {self.metric!r} is none by which impressions choose: {', '.join(METRICS)}"
                f"{did_you_mean(self.metric, METRICS)}"
            )
        check_count("seed", self.seed, 0, None, ConfigError)
        params = self.model.get_params()
        if params.get("stopping__share") is None:
            raise ConfigError(
                "stopping leaves nothing to score trials on; give it a share of the impressions, such as 0.1"
            )
        if params["stopping__metric"] != self.metric:
            raise ConfigError(
                f"metric = {self.metric}, but the model's stopping keeps the epoch by {params['stopping__metric']}; "
                "give both the same"
            )

    def about(self) -> dict[str, Any]:
        """See `Searched.about`."""
        return {
            "model": self.model.model_name,
            "params": params_to_json(self.model),
            "space": [one.as_json() for one in self.space],
            "train": news_fingerprint(self.train),
            "seed": self.seed,
            "metric": self.metric,
        }
