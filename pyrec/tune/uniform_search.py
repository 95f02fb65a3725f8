"""Search for hyperparameters by pairs that were shown at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyrec._checks import check_count, did_you_mean
from pyrec.data import Dataset, Interactions
from pyrec.errors import ConfigError
from pyrec.evaluate.pairs import PAIR_METRICS, evaluate_pairs
from pyrec.models import EpochRecommender, Recommender
from pyrec.models.uniform import learned_by
from pyrec.store.interactions import fingerprint
from pyrec.tune.budget import EpochCallback
from pyrec.tune.search import Search

HIGHER: tuple[str, ...] = tuple(name for name in PAIR_METRICS if name != "log_loss")
"""The metrics of pairs of which more is better."""


@dataclass(frozen=True, kw_only=True)
class UniformSearch(Search):
    """A search by the uniform validation part, beside the uniform pairs that are learned from.

    The uniform test part has no place here. Nothing is held out of the training interactions.

    Attributes:
        uniform: Uniform pairs to learn from, for a model that does; None for none.
        validation: Uniform pairs that trials are scored on, and epochs chosen by.
        metric: One of `HIGHER`.
    """

    validation: Interactions
    uniform: Interactions | None = None
    metric: str = "auc"

    @property
    def target(self) -> str:
        """See `Search.target`."""
        return self.metric

    @property
    def shown(self) -> list[str]:
        """See `Search.shown`."""
        return list(dict.fromkeys([self.target, *HIGHER]))

    def check(self) -> None:
        """See `Search.check`."""
        if self.metric not in HIGHER:
            raise ConfigError(
                f"metric = {self.metric!r} is none by which uniform pairs choose: {', '.join(HIGHER)}"
                f"{did_you_mean(self.metric, HIGHER)}"
            )
        check_count("seed", self.seed, 0, None, ConfigError)
        share = self.model.get_params().get("stopping__share")
        if share is not None and self.model.uniform != "ignored":
            raise ConfigError(
                f"stopping__share = {share:g} (--validation) is not for {self.model.model_name} beside uniform pairs: "
                "their validation part chooses the epoch; leave it out"
            )

    def learned_by(self, model: Recommender) -> Interactions | Dataset:
        """See `Search.learned_by`."""
        return learned_by(model, self.train, self.uniform)

    def run(
        self, params: Mapping[str, Any], callback: EpochCallback | None = None
    ) -> tuple[dict[str, float], int]:
        """See `Search.run`."""
        model, epoch = self.with_params(params), 0
        learns = model.uniform != "ignored"
        learned = self.learned_by(model)
        if isinstance(model, EpochRecommender):
            model.fit(learned, validation=self.validation if learns else None, callback=callback)
            epoch = model.best_epoch_
        else:
            model.fit(learned)
        return evaluate_pairs(model, self.validation, HIGHER).metrics, epoch

    def about(self) -> dict[str, Any]:
        """See `Search.about`."""
        return {
            **super().about(),
            "uniform": fingerprint(self.uniform),
            "validation": fingerprint(self.validation),
        }
