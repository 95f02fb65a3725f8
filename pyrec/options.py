"""What a hyperparameter may be: its range, its help and its place on the command line, declared once by its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pyrec._checks import check_count, check_finite, check_real, check_share
from pyrec.errors import ConfigError

DIM_AKA: Final = (
    *("factors", "n_factors", "num_factors", "n_components", "no_components"),
    *("embedding_dim", "latent_dim", "hidden_dim", "hidden_size", "rank"),
)
REG_AKA: Final = ("regularization", "l2", "l2_reg", "weight_decay", "lambda", "lambda_", "reg_weight")
NEGATIVES_AKA: Final = ("num_negatives", "n_negatives", "num_neg", "neg_samples", "negative_samples")
"""What other libraries call hyperparameters that several classes have."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """A hyperparameter; a subclass says which values it takes.

    Attributes:
        help: What it is, in one sentence.
        flag: Its option on the command line, with dashes; None for its own name, empty for none.
        aka: What other libraries call it, which messages answer with its name.
        group: The heading of that option in the command's help; empty for that of the class.
        search: Smallest and largest number worth trying, where the class says so.
        tried: The values that are worth trying, instead of numbers between two.
        optional: Whether None is a value too.
        unset: What None stands for, in words.
    """

    help: str = ""
    flag: str | None = None
    aka: tuple[str, ...] = ()
    group: str = ""
    search: tuple[float, float] | None = None
    tried: tuple[Any, ...] = ()
    optional: bool = False
    unset: str = "none"

    def check(self, name: str, value: Any) -> None:
        """Raise ConfigError, which names the hyperparameter, its value and its bound, for another value."""
        if value is not None or not self.optional:
            self._check(name, value)

    def _check(self, name: str, value: Any) -> None:
        raise NotImplementedError


Options = Mapping[str, Option]
"""The options of a class, by the name of the hyperparameter."""


@dataclass(frozen=True, kw_only=True)
class Count(Option):
    """A whole number of at least ``low`` and, if there is a ``high``, at most that."""

    low: int = 1
    high: int | None = None

    def _check(self, name: str, value: Any) -> None:
        check_count(name, value, self.low, self.high, ConfigError)


@dataclass(frozen=True, kw_only=True)
class Number(Option):
    """A finite number above 0 or, where it need not be ``positive``, of at least 0."""

    positive: bool = True

    def _check(self, name: str, value: Any) -> None:
        check_real(name, value, ConfigError, positive=self.positive)


@dataclass(frozen=True, kw_only=True)
class Real(Option):
    """A finite number of either sign."""

    def _check(self, name: str, value: Any) -> None:
        check_finite(name, value, ConfigError)


@dataclass(frozen=True, kw_only=True)
class Share(Option):
    """A number above 0 and below 1: a share ``of`` something."""

    of: str

    def _check(self, name: str, value: Any) -> None:
        check_share(name, value, self.of, ConfigError, positive=True)


@dataclass(frozen=True, kw_only=True)
class Choice(Option):
    """One of some ``values``."""

    values: tuple[str, ...]

    def _check(self, name: str, value: Any) -> None:
        if not isinstance(value, str) or value not in self.values:
            raise ConfigError(f"{name} = {value!r} must be one of {listed(self.values)}")


@dataclass(frozen=True, kw_only=True)
class Text(Option):
    """Text, such as the path of a file."""

    def _check(self, name: str, value: Any) -> None:
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{name} = {value!r} must be text that is not empty")


@dataclass(frozen=True, kw_only=True)
class Several(Option):
    """Some of a number of ``values``, each at most once: a tuple, or text with commas between them."""

    values: tuple[str, ...]

    def chosen(self, value: Any) -> tuple[str, ...]:
        """Return the values that are chosen."""
        return tuple(value.split(",")) if isinstance(value, str) else tuple(value)

    def _check(self, name: str, value: Any) -> None:
        if not isinstance(value, (str, tuple, list)) or not value:
            raise ConfigError(
                f"{name} = {value!r} must be some of {listed(self.values)}, such as {self.values[0]!r}"
            )
        chosen = self.chosen(value)
        for at, one in enumerate(chosen):
            if one not in self.values:
                raise ConfigError(f"{name}[{at}] = {one!r} must be one of {listed(self.values)}")
            if one in chosen[:at]:
                raise ConfigError(f"{name} has {one!r} twice; give it once")


@dataclass(frozen=True, kw_only=True)
class Switch(Option):
    """True or False."""

    def _check(self, name: str, value: Any) -> None:
        if not isinstance(value, (bool, np.bool_)):
            raise ConfigError(f"{name} = {value!r} must be True or False")


def listed(values: Sequence[Any]) -> str:
    """Return values as messages list them."""
    return ", ".join(repr(value) for value in values)
