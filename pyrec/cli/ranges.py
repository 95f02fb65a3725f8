"""``--range``: what a search tries of one option."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from pyrec.cli.flag_values import arguments_of
from pyrec.cli.flags import FLAGS, type_of
from pyrec.cli.model_options import find_flag, path_of
from pyrec.models import Estimator
from pyrec.params import Part
from pyrec.tune.space import Range

Model = TypeVar("Model", bound=Estimator)


@dataclass(frozen=True)
class Wanted:
    """A ``--range``: the name of its flag, and the values or the two bounds."""

    flag: str
    values: tuple[Any, ...] = ()
    bounds: tuple[float, ...] = ()
    whole: bool = False

    @property
    def first(self) -> Any:
        """A value, by which the component is there that has the hyperparameter, or the default if it is among them."""
        if self.bounds:
            return sum(self.bounds) / 2
        defaults = [place.default for place in FLAGS[self.flag]]
        return next((value for value in self.values if value in defaults), self.values[0])


def read_range(text: str, fixed: set[str]) -> Wanted:
    """Read ``lr=1e-4:1e-2``, ``layers=1:4`` or ``combine=mean,attention``."""
    name, _, wanted = text.partition("=")
    flag = find_flag(name)
    if flag in fixed:
        raise click.UsageError(f"{name} is given and has a --range; give one of the two")
    kind = type_of(FLAGS[flag])
    number = {click.INT: int, click.FLOAT: float}.get(kind)
    low, colon, high = wanted.partition(":")
    try:
        if not colon:
            return Wanted(flag, tuple(kind.convert(word, None, None) for word in wanted.split(",")))
        if number is not None:
            return Wanted(flag, bounds=(number(low), number(high)), whole=number is int)
    except (ValueError, click.BadParameter):
        pass
    raise click.UsageError(
        f"--range {text} is neither NAME=LOW:HIGH in numbers nor NAME=A,B with values that "
        f"{FLAGS[flag][0].flag} takes"
    )


def range_of(wanted: Wanted, model: Estimator, given: Mapping[str, Any]) -> Range:
    """The range among the objects that a model has; a component is tried with what is given of it."""
    path = path_of(wanted.flag, model)
    if wanted.bounds:
        return Range(path, wanted.bounds[0], wanted.bounds[1], wanted.whole)
    values = wanted.values
    if isinstance(model.get_options()[path], Part):
        values = tuple(_with(model, given, {wanted.flag: value}).get_params()[path] for value in values)
    return Range(path, values=values)


def _with(model: Model, given: Mapping[str, Any], changes: Mapping[str, Any]) -> Model:
    """The model of the same options but for some."""
    flags = {
        name: value for name, value in {**given, **changes}.items() if name in FLAGS and value is not None
    }
    return type(model)(**arguments_of(type(model), flags))
