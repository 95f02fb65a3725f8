"""The models' hyperparameters as flags of the command line, as the classes' ``options`` declare them.

Flags are flat: ``--temperature`` is that of whichever loss has one, so that a flag may have several places. A
component is chosen by the flag of its option, ``--loss bpr``. Where that has none, a component is there if the flag of
its first hyperparameter is given: ``--edge-dropout .3``, ``--validation .1``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import click

from pyrec.cli.sources import Source
from pyrec.models import MODELS, NEWS_MODELS, Estimator
from pyrec.models.member import Member
from pyrec.options import Choice, Count, Option, Several, Switch, Text
from pyrec.params import Component, Parameters, Part, Parts, called, parameter_names

MODEL: Final = "Model"
ALL_MODELS: Final[dict[str, type[Estimator]]] = {**MODELS, **NEWS_MODELS}
"""Models of interactions, then of news, by name."""


@dataclass(frozen=True)
class Step:
    """A component on the way from a model to a hyperparameter.

    Attributes:
        part: The name of the hyperparameter that it is.
        flag: The flag that chooses it.
        by_name: Whether that flag takes its name, rather than its first hyperparameter.
        kind: Its class.
    """

    part: str
    flag: str
    by_name: bool
    kind: type[Component]


@dataclass(frozen=True)
class Place:
    """A hyperparameter that a flag may be of.

    Attributes:
        model: The name of the model that has it.
        steps: The components on the way to it, outermost first; empty for the model's own.
        hyperparameter: What its class calls it.
        given: Its default.
        option: What it may be.
        flag: Its flag, with dashes.
    """

    model: str
    steps: tuple[Step, ...]
    hyperparameter: str
    given: Any
    option: Option
    flag: str

    @property
    def path(self) -> str:
        """Its name for `get_params` and `set_params`."""
        return "__".join([*(step.part for step in self.steps), self.hyperparameter])

    @property
    def presence(self) -> bool:
        """Whether its component is there if the flag is given."""
        return bool(self.steps) and not self.steps[-1].by_name and self.steps[-1].flag == self.flag

    @property
    def owner_name(self) -> str:
        """What the class that has it is called, with the one around it if that gives another default."""
        if not self.steps:
            return self.model
        kind = self.steps[-1].kind
        if kind.defaults()[self.hyperparameter] == self.given or len(self.steps) == 1:
            return kind.name
        return f"{kind.name} of {self.steps[-2].kind.name}"

    @property
    def group(self) -> str:
        """The heading of its flag."""
        if self.option.group:
            return self.option.group
        if isinstance(self.option, Part):
            return self.option.family.family.capitalize()
        return self.steps[-1].kind.family.capitalize() if self.steps else MODEL

    @property
    def default(self) -> str:
        """Its default, in words."""
        value = None if self.presence else called(self.given)
        return self.option.unset if value is None else str(value)


NONE: Final = "none"
"""What leaves a component out that is there by default and may be missing."""


def name_of(flag: str) -> str:
    """Return the name of a flag, which its value has among a command's arguments."""
    return flag.lstrip("-").replace("-", "_")


def flag_of(name: str, option: Option) -> str:
    """Return the flag of a hyperparameter; empty for none."""
    return "--" + name.replace("_", "-") if option.flag is None else option.flag


def options_of(owner: type[Parameters]) -> Iterator[tuple[str, Option]]:
    """The options of the hyperparameters that a class takes."""
    names = parameter_names(owner)
    return ((name, option) for name, option in owner.options.items() if name in names)


def first_flag(kind: type[Component]) -> str:
    """Return the flag of a class's first hyperparameter."""
    return next((flag_of(*each) for each in options_of(kind)), "")


def made_by_default(kind: type[Component], option: Option, default: Any) -> Component:
    """Return what the name of a kind stands for: the default of a hyperparameter, if that is of the kind."""
    components = option.components(default) if isinstance(option, (Part, Parts)) else ()
    return next((one for one in components if type(one) is kind), kind())


def _places(
    model: str, owner: type[Parameters], defaults: Mapping[str, Any], steps: tuple[Step, ...] = ()
) -> Iterator[Place]:
    for name, option in options_of(owner):
        flag = flag_of(name, option)
        if flag:
            yield Place(model, steps, name, defaults[name], option, flag)
        for kind in owner.kinds_of(name):
            part = f"{name}__{kind.name.replace('-', '_')}" if isinstance(option, Parts) else name
            step = Step(part, flag or first_flag(kind), bool(flag), kind)
            inner = made_by_default(kind, option, defaults[name]).get_params(deep=False)
            yield from _places(model, kind, inner, (*steps, step))


PLACES: Final = tuple(
    place for name, model in ALL_MODELS.items() for place in _places(name, model, model.defaults())
)
"""Every hyperparameter of every model that has a flag."""
FLAGS: Final[dict[str, list[Place]]] = {}
"""The same by the names of their flags."""
for _place in PLACES:
    FLAGS.setdefault(name_of(_place.flag), []).append(_place)


def _aliases() -> dict[str, list[str]]:
    """Return the names in Python, as flags, by the name of the flag that they stand for."""
    taken = {places[0].flag for places in FLAGS.values()}
    taken |= {"--" + field.name.replace("_", "-") for field in fields(Source)}
    found: dict[str, list[str]] = {}
    meant: dict[str, set[str]] = {}
    for place in PLACES:
        alias = "--" + place.path.replace("__", "-").replace("_", "-")
        if alias not in taken:
            meant.setdefault(alias, set()).add(name_of(place.flag))
    for alias, names in meant.items():
        if len(names) == 1:
            found.setdefault(names.pop(), []).append(alias)
    return found


ALIASES: Final = _aliases()
"""What a flag is called in Python, written as a flag, by the flag's name: ``--learning-rate`` of ``lr``."""
CHOOSING: Final = frozenset(
    name
    for name, places in FLAGS.items()
    for place in places
    if place.presence or isinstance(place.option, Part)
)
"""Names of the flags that choose a component."""


def also_known_as(name: str) -> list[str]:
    """Return the words of other libraries for a flag, by its name."""
    return list(dict.fromkeys(word for place in FLAGS[name] for word in place.option.aka))


def type_of(places: list[Place]) -> click.ParamType[Any]:
    """Return what a flag takes: the values of all places that it may have."""
    options = [place.option for place in places]
    values = [value for place in places for value in _values_of(place)]
    if values:
        return click.Choice(list(dict.fromkeys(values)))
    if isinstance(options[0], Switch):
        return click.BOOL
    if isinstance(options[0], Several | Text):
        return click.STRING
    return click.INT if isinstance(options[0], Count) else click.FLOAT


def _values_of(place: Place) -> list[str]:
    option = place.option
    if isinstance(option, Part):
        owner = place.steps[-1].kind if place.steps else ALL_MODELS[place.model]
        kinds = [kind.name for kind in owner.kinds_of(place.hyperparameter)]
        kinds += [NONE] * (option.optional and place.given is not None)
        return kinds if option.auto is None else [option.auto, *kinds]
    if isinstance(option, Member):
        return option.names
    return list(option.values) if isinstance(option, Choice) else []


def help_of(places: list[Place]) -> str:
    """Return what a flag is, with its default; by owner where these differ."""
    texts = _by_value((place.option.help, _kind_name(place)) for place in places)
    first, *others = texts
    words = [first, *(f"For {', '.join(texts[text])}: {text}" for text in others)]
    return " ".join([*words, f"[default: {_default_in_words(places)}]"])


def _kind_name(place: Place) -> str:
    return place.steps[-1].kind.name if place.steps else place.model


def _default_in_words(places: list[Place]) -> str:
    defaults = _by_value((place.default, place.owner_name) for place in places)
    if len(defaults) == 1:
        return next(iter(defaults))
    return "; ".join(f"{value} ({', '.join(owners)})" for value, owners in defaults.items())


def _by_value(pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    """The distinct second entries by the first, in their order."""
    found: dict[str, list[str]] = {}
    for value, owner in pairs:
        owners = found.setdefault(value, [])
        if owner not in owners:
            owners.append(owner)
    return found
