"""What `pyrec.tune.tune` asks of a search, whatever its model learns from."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from pyrec.models import Estimator
from pyrec.store.saved_model import plain
from pyrec.tune.budget import EpochCallback
from pyrec.tune.space import Range


class Searched(ABC):
    """What is searched, on what.

    Attributes:
        model: The model with the parameters that are fixed, not fitted.
        space: What is searched.
        seed: Of the search.
    """

    model: Estimator
    space: Sequence[Range]
    seed: int

    @property
    @abstractmethod
    def target(self) -> str:
        """The name that `Trial.metrics` has for the metric that is searched by."""

    @property
    @abstractmethod
    def shown(self) -> list[str]:
        """The names that `Trial.metrics` has for what tables show, the metric first."""

    @abstractmethod
    def run(
        self, params: Mapping[str, Any], callback: EpochCallback | None = None
    ) -> tuple[dict[str, float], int]:
        """Train with these parameters; return the held-out metrics and the best epoch.

        Args:
            params: What differs from the model's.
            callback: Called after each epoch, as the model's `fit` does.

        Raises:
            ConfigError: If a parameter is out of its range.
            DataError: If training diverges, or a part of the data is empty.
        """

    @abstractmethod
    def seconds(self) -> float | None:
        """Return about how many seconds a trial takes; None where the model cannot tell."""

    @abstractmethod
    def check(self) -> None:
        """Refuse what leaves nothing to score trials on, or scores them by something else than asked for.

        Raises:
            ConfigError: The message names the parameter.
        """

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Return what tells searches apart."""

    def describe(self) -> str:
        """Return what tells searches apart, as JSON."""
        return json.dumps(self.about(), sort_keys=True, default=plain)
