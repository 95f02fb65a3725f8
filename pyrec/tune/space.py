"""Ranges of hyperparameters to search, and the default ones of each model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrec._checks import check_finite
from pyrec.errors import ConfigError
from pyrec.models import MODELS, NEWS_MODELS, Estimator
from pyrec.options import Count, Option
from pyrec.params import to_json

if TYPE_CHECKING:
    from optuna import Trial as OptunaTrial

DIGITS = 3
"""Significant digits of a real number that is tried, so that it can be written down as it was."""
LOG_RATIO = 10
COMPARED_BY = ("seed", "stopping", "stopping__k", "stopping__metric", "stopping__share")
"""Hyperparameters that say what a trial is scored on: not searched, or the best would be the luckiest."""


@dataclass(frozen=True)
class Range:
    """What to try for one hyperparameter: numbers from ``low`` to ``high``, or the ``values``.

    Attributes:
        name: Of the hyperparameter, as `get_params` has it: ``reg``, ``loss__temperature``.
        low: Smallest number, finite.
        high: Largest number, finite and above ``low``.
        whole: Only whole numbers; the bounds are whole as well.
        values: Instead of numbers between bounds, these alone; a component by its name or as an object.
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
            drawn: Any = trial.suggest_categorical(self.name, [self.written(value) for value in self.values])
        elif self.whole:
            drawn = trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        else:
            drawn = trial.suggest_float(self.name, self.low, self.high, log=self.log)
        return self.read(drawn)

    def written(self, value: Any) -> Any:
        """Return a value as a search keeps it: a component as text."""
        plain = value.item() if isinstance(value, np.generic) else to_json(value)
        return json.dumps(plain, sort_keys=True) if isinstance(plain, (dict, list)) else plain

    def read(self, written: Any) -> Any:
        """Return the value that a search kept, a real number with `DIGITS` digits."""
        if self.values:
            value = next(one for one in self.values if self.written(one) == written)
            return value.item() if isinstance(value, np.generic) else value
        if self.whole:
            return int(written)
        return min(max(float(f"{written:.{DIGITS}g}"), self.low), self.high)

    def as_json(self) -> dict[str, Any]:
        """Return the range as JSON holds it."""
        fields = {name: getattr(self, name) for name in ("name", "low", "high", "whole")}
        return fields | {"values": [self.written(value) for value in self.values]}

    def __contains__(self, value: Any) -> bool:
        if self.values:
            return value in self.values
        return isinstance(value, Real) and self.low <= float(value) <= self.high


def check_space(model: Estimator, space: Sequence[Range]) -> None:
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


def default_space(model: Estimator, train: Any) -> list[Range]:
    """Return what is worth searching for a model: what the options of its class and of its components say.

    The number of epochs is not searched: early stopping finds it.

    Args:
        model: The model with the parameters that are fixed.
        train: What it will be trained on.

    Raises:
        ConfigError: If the model has nothing to search.
    """
    space = [_range(name, option) for name, option in model.search_options(train).items()]
    if not space:
        raise ConfigError(f"{model.model_name} has nothing to tune; tune one of {', '.join(_tunable())}")
    return space


def _range(name: str, option: Option) -> Range:
    if option.search is None:
        return Range(name, values=option.tried)
    return Range(name, *option.search, whole=isinstance(option, Count))


def _tunable() -> list[str]:
    """The names of the models that have something to search."""
    return [
        name
        for name, kind in (MODELS | NEWS_MODELS).items()
        if any(option.search for option in kind.options.values())
    ]
