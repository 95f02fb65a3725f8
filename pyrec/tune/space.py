"""Ranges of hyperparameters to search, and the default ones of each model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrec._checks import check_finite
from pyrec.data import Interactions
from pyrec.errors import ConfigError
from pyrec.models import Recommender

if TYPE_CHECKING:
    from optuna import Trial as OptunaTrial

DIGITS = 3
"""Significant digits of a real number that is tried, so that it can be written down as it was."""
LOG_RATIO = 10
COMPARED_BY = ("k", "seed", "validation")
"""Hyperparameters that say what a trial is scored on: not searched, or the best would be the luckiest."""


@dataclass(frozen=True)
class Range:
    """What to try for one hyperparameter: numbers from ``low`` to ``high``, or the ``values``.

    Attributes:
        name: The constructor's argument.
        low: Smallest number, finite.
        high: Largest number, finite and above ``low``.
        whole: Only whole numbers; the bounds are whole as well.
        values: Instead of numbers between bounds, these alone.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    values: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.values:
            return
        low, high = (
            check_finite(f"the range of {self.name}: {bound}", getattr(self, bound), ConfigError)
            for bound in ("low", "high")
        )
        if low >= high:
            raise ConfigError(
                f"the range of {self.name}, {low:g} to {high:g}, is none; name two numbers, the smaller first"
            )
        if self.whole and not (low.is_integer() and high.is_integer()):
            raise ConfigError(f"the range of {self.name}, {low:g} to {high:g}, needs whole bounds")

    @property
    def log(self) -> bool:
        """Whether the logarithm is searched evenly: where the bounds are a factor of ten or more apart."""
        return self.low > 0 and self.high >= LOG_RATIO * self.low

    def suggest(self, trial: OptunaTrial) -> Any:
        """Return the value that a trial is to use."""
        if self.values:
            values = tuple(one.item() if isinstance(one, np.generic) else one for one in self.values)
            return trial.suggest_categorical(self.name, values)
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        value = float(f"{trial.suggest_float(self.name, self.low, self.high, log=self.log):.{DIGITS}g}")
        return min(max(value, self.low), self.high)

    def __contains__(self, value: Any) -> bool:
        if self.values:
            return value in self.values
        return isinstance(value, Real) and self.low <= float(value) <= self.high


def check_space(model: Recommender, space: Sequence[Range]) -> None:
    """Check what is to be searched against the model's hyperparameters.

    Raises:
        ConfigError: If a range is of none of them, of one in `COMPARED_BY`, or of one that has a range already.
    """
    params = model.get_params()
    names = [one.name for one in space]
    for at, name in enumerate(names):
        if name not in params:
            known = ", ".join(one for one in params if one not in COMPARED_BY) or "none"
            raise ConfigError(f"{model.model_name} has no {name} to search; it has {known}")
        if name in COMPARED_BY:
            raise ConfigError(
                f"the range of {name}: trials are compared at one {name}; set it instead of searching it"
            )
        if name in names[:at]:
            raise ConfigError(f"{name} has more than one range; give one")


def default_space(model: Recommender, train: Interactions) -> list[Range]:
    """Return what is worth searching for a model.

    LightGCN and MF: the learning rate, the penalty, for the softmax loss the temperature, and for LightGCN the
    number of layers. The number of epochs is not searched: early stopping finds it.

    Args:
        model: The model with the parameters that are fixed.
        train: What it will be trained on.

    Raises:
        ConfigError: If the model has nothing to search.
    """
    params = model.get_params()
    spaces = {
        "lightgcn": [*_gradient_descent(params), _layers(params)],
        "mf": _gradient_descent(params),
        "ease": [Range("reg", 1, 10_000)],
        "itemknn": [Range("neighbors", 10, 500, whole=True), Range("shrinkage", 0, 100)],
        "svd": [Range("embedding_size", 2, _largest_rank(train), whole=True)],
    }
    if model.model_name not in spaces:
        raise ConfigError(f"{model.model_name} has nothing to tune; tune one of {', '.join(spaces)}")
    return spaces[model.model_name]


def _layers(params: dict[str, Any]) -> Range:
    """Users made of their items are on odd layers alone."""
    if params.get("user_from") == "items":
        return Range("n_layers", values=(1, 3))
    return Range("n_layers", 1, 4, whole=True)


def _gradient_descent(params: dict[str, Any]) -> list[Range]:
    space = [Range("learning_rate", 5e-4, 2e-2), Range("reg", 1e-6, 1e-2)]
    return [*space, Range("temperature", 0.05, 0.5)] if params.get("loss") == "softmax" else space


def _largest_rank(train: Interactions) -> int:
    return max(3, min(256, train.num_users - 1, train.num_items - 1))
