"""What the YAML file's methods are: a way to fit, its settings, and what of the uniform pairs it sees.

An entry has ``fit`` (of `FITS`), ``fixed`` parameters and a ``grid`` of lists; or ``mean_of`` and ``best``, the mean of
the scores of another method's best settings; or ``blend``, the mean of other methods' standardised scores.
``protocols`` names those it runs on, all by default; ``slow`` leaves the grid's test median out; ``draws: false`` says
that starts do not differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyrec.errors import ConfigError

from .choose import Fit, Params, Scorer, ranked
from .fits import FITS
from .protocols import Part, Task
from .scores import Mean, standardised


@dataclass(frozen=True)
class Method:
    """An entry of the YAML file; see the module.

    Attributes:
        label: What the tables call it.
        fit_name: Of `FITS`; empty for what is made of other methods.
        fixed: Parameters that are not searched.
        grid: Values of each searched parameter.
        mean_of: The method whose best settings are averaged.
        best: How many of them.
        blend: Methods whose scores are averaged.
        protocols: Those it runs on; empty for all.
        slow: Whether its grid's test median is left out.
        draws: Whether starts differ.
    """

    label: str
    fit_name: str = ""
    fixed: Params = field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    mean_of: str = ""
    best: int = 1
    blend: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    slow: bool = False
    draws: bool = True

    def __post_init__(self) -> None:
        if bool(self.fit_name) + bool(self.mean_of) + bool(self.blend) != 1:
            raise ConfigError(f"{self.label}: exactly one of fit, mean_of and blend says what it is")
        if self.fit_name and self.fit_name not in FITS:
            raise ConfigError(f"{self.label}: fit = {self.fit_name!r} is none of {', '.join(FITS)}")

    @property
    def fit(self) -> Fit:
        """How one setting is fitted."""
        return FITS[self.fit_name]

    def settings(self) -> list[dict[str, Any]]:
        """Every combination of the grid, with the fixed parameters."""
        return [
            {**self.fixed, **dict(zip(self.grid, values, strict=True))}
            for values in itertools.product(*self.grid.values())
        ]

    def choose(self, task: Task, criterion: str, fitted: Fitted) -> Choice:
        """The settings from the best to the worst; those of ``mean_of`` are not chosen anew."""
        if self.mean_of:
            return fitted.choices[self.mean_of]
        if self.blend:
            return Choice([{"of": ", ".join(self.blend)}], [float("nan")], criterion)
        settings = self.settings()
        order, figures = ranked(self.fit, task.part, settings, criterion, task.split)
        return Choice([settings[at] for at in order], [figures[at] for at in order], criterion)

    def final(self, part: Part, choice: Choice, start: int, fitted: Fitted) -> Scorer:
        """The model that is measured."""
        if self.blend:
            models = [fitted.models[label] for label in self.blend]
            return Mean([standardised(own[start % len(own)], part) for own in models])
        if self.mean_of:
            fit = fitted.methods[self.mean_of].fit
            return Mean([fit(part, params, start) for params in choice.settings[: self.best]])
        return self.fit(part, choice.settings[0], start)


@dataclass(frozen=True)
class Choice:
    """Settings from the best to the worst, and each one's figure.

    Attributes:
        settings: Of a method.
        figures: In the same order; NaN where there was nothing to choose.
        criterion: What they are by.
    """

    settings: list[dict[str, Any]]
    figures: list[float]
    criterion: str


@dataclass
class Fitted:
    """What the methods of a task have chosen and fitted, for those that are made of others.

    Attributes:
        methods: Those that ran, by label.
        choices: Their settings.
        models: Their models of the chosen setting, one a start.
    """

    methods: dict[str, Method] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    models: dict[str, list[Scorer]] = field(default_factory=dict)

    def keep(self, method: Method, choice: Choice, models: list[Scorer]) -> None:
        """Adds a method that ran."""
        self.methods[method.label], self.choices[method.label] = method, choice
        self.models[method.label] = models


def parse(label: str, entry: Mapping[str, Any]) -> Method:
    """An entry as a method.

    Raises:
        ConfigError: If it has other keys, or says not or twice what it is.
    """
    known = ("fit", "fixed", "grid", "mean_of", "best", "blend", "protocols", "slow", "draws")
    unknown = [key for key in entry if key not in known]
    if unknown:
        raise ConfigError(f"{label}: {unknown[0]!r} is none of {', '.join(known)}")
    told = {key: value for key, value in entry.items() if key != "fit"}
    told |= {key: tuple(told[key]) for key in ("blend", "protocols") if key in told}
    return Method(label, fit_name=entry.get("fit", ""), **told)
