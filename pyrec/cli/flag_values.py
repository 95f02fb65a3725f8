"""From the values of flags to objects, and back; the objects that are chosen decide where a value goes.

Values are by the names of flags: a flag without its first dashes, with underscores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import click

from pyrec._spellings import plain
from pyrec.cli.flags import (
    FLAGS,
    NONE,
    PLACES,
    Place,
    first_flag,
    flag_of,
    made_by_default,
    name_of,
    options_of,
)
from pyrec.models import Estimator, Recommender
from pyrec.models.member import Member
from pyrec.options import Option
from pyrec.params import Component, Nested, Parameters, Part, Parts, called

Values: TypeAlias = dict[str, Any]


def values_of(one: Parameters) -> Values:
    """Return the values of the flags of a model or a component, those of what it is made of included.

    That of a component's flag is its name; one that is given by its name counts with its defaults.
    """
    own: Values = {}
    inner: Values = {}
    params = one.get_params(deep=False)
    for name, option in options_of(type(one)):
        value = params[name]
        if flag := flag_of(name, option):
            own[name_of(flag)] = _called(option, value)
        if isinstance(option, Nested):
            for component in option.components(value):
                inner |= values_of(component)
    return inner | own


def _called(option: Option, value: Any) -> Any:
    """What a value is called: by the name of the component that it stands for, if it stands for one."""
    if isinstance(option, Part) and (component := option.component(value)) is not None:
        return component.name
    return called(value)


def arguments_of(
    owner: type[Parameters], given: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the arguments of a class's constructor that some flags give, and leave the rest to its defaults.

    Args:
        owner: The class.
        given: Values by the names of flags.
        defaults: The defaults, where they are not those of the class.
    """
    defaults = owner.defaults() if defaults is None else defaults
    made: dict[str, Any] = {}
    for name, option in options_of(owner):
        flag = name_of(flag_of(name, option))
        if isinstance(option, Member):
            made |= _member(name, option, given, defaults[name])
        elif not isinstance(option, (Part, Parts)):
            if flag in given:
                made[name] = given[flag]
        elif flag:
            made |= _chosen(owner, name, flag, given, defaults[name])
        elif several := _present(owner, name, given, defaults[name]):
            made[name] = several[0] if isinstance(option, Part) else several
    return made


def _member(name: str, option: Member, given: Mapping[str, Any], default: Any) -> dict[str, Any]:
    """The model that a flag chooses by its name, or the default, with what is given of it."""
    usual = called(default)
    chosen = given.get(name_of(flag_of(name, option)), usual)
    model = option.component(default if chosen == usual else chosen)
    assert model is not None
    of_owner = {each for each in given if {place.model for place in FLAGS[each]} == {option.owner}}
    of_member = {each: value for each, value in given.items() if each not in of_owner}
    inner = arguments_of(type(model), of_member, model.get_params(deep=False))
    if inner:
        return {name: type(model)(**{**model.get_params(deep=False), **inner})}
    return {} if chosen == usual else {name: chosen}


def members_of(model: Estimator) -> dict[str, Recommender]:
    """Return the models that a model is made of, by the names of its hyperparameters."""
    params, found = model.get_params(deep=False), {}
    for name, option in options_of(type(model)):
        if isinstance(option, Member) and (member := option.component(params[name])) is not None:
            found[name] = member
    return found


def _chosen(
    owner: type[Parameters], name: str, flag: str, given: Mapping[str, Any], default: Any
) -> dict[str, Any]:
    """The component that a flag chooses by its name, or the default, with what is given of it."""
    option, kinds = owner.options[name], {kind.name: kind for kind in owner.kinds_of(name)}
    chosen = given.get(flag, called(default))
    if chosen == NONE and option.optional and default is not None:
        return {name: None}
    counted = kinds.get(option.family.counted) if isinstance(option, Part) else None
    if counted and chosen not in kinds and flag not in given and name_of(first_flag(counted)) in given:
        chosen = counted.name  # --negatives 5 are five uniform ones
    kind = kinds.get(chosen)
    if kind is not None:
        base = made_by_default(kind, option, default).get_params(deep=False)
        inner = arguments_of(kind, given, base)
        if inner:
            return {name: kind(**{**base, **inner})}
    return {} if chosen == called(default) else {name: chosen}


def _present(
    owner: type[Parameters], name: str, given: Mapping[str, Any], default: Any
) -> tuple[Component, ...]:
    """The components that are there, as the flags of their first hyperparameters are given, beside those by default."""
    option = owner.options[name]
    assert isinstance(option, (Part, Parts))
    found = {type(one): one for one in option.components(default)}
    asked = [kind for kind in owner.kinds_of(name) if name_of(first_flag(kind)) in given]
    for kind in asked:
        base = made_by_default(kind, option, default).get_params(deep=False)
        found[kind] = kind(**{**base, **arguments_of(kind, given, base)})
    return tuple(found.values()) if asked else ()


def words_of(one: Parameters, defaults: Mapping[str, Any] | None = None) -> list[str]:
    """Return the command line's words for what differs from the defaults; `arguments_of` reads them."""
    defaults = type(one).defaults() if defaults is None else defaults
    words: list[str] = []
    params = one.get_params(deep=False)
    for name, option in options_of(type(one)):
        value, flag = params[name], flag_of(name, option)
        chosen = _called(option, value)
        if flag and chosen != called(defaults[name]):
            words += [flag, NONE if chosen is None else str(chosen)]
        if isinstance(option, Member):
            words += _words_of_member(option, value, defaults[name])
        if isinstance(option, (Part, Parts)):
            for component in option.components(value):
                base = made_by_default(type(component), option, defaults[name]).get_params(deep=False)
                inner = words_of(component, base)
                there = any(type(one) is type(component) for one in option.components(defaults[name]))
                words += inner if flag or (there and not inner) else _with_first(component, inner)
    return words


def _words_of_member(option: Member, value: Any, default: Any) -> list[str]:
    member, usual = option.component(value), option.component(default)
    assert member is not None
    base = usual if type(usual) is type(member) else type(member)()
    return words_of(member, base.get_params(deep=False))


def _with_first(component: Component, words: list[str]) -> list[str]:
    """The words with the flag that a component is there by, whatever its value."""
    flag = first_flag(type(component))
    return words if flag in words else [flag, str(values_of(component)[name_of(flag)]), *words]


def misplaced(name: str, model: Estimator) -> click.UsageError:
    """Return the error for a flag that is given and is not of the objects that a model has; it says which has it."""
    names = [model.model_name, *(member.model_name for member in members_of(model).values())]
    flag, own = FLAGS[name][0].flag, [place for place in PLACES if place.model in names]
    places = [place for place in own if place.flag == flag and place.model == model.model_name]
    for member in members_of(model).values():
        if not places and any(place.flag == flag and place.model == member.model_name for place in own):
            return misplaced(name, member)
    if not places:
        takes = ", ".join(dict.fromkeys(place.flag for place in own)) or "no such option"
        word = plain(flag)
        meant = next((place.flag for place in own if word in map(plain, place.option.aka)), None)
        hint = "" if meant is None else f"; did you mean {meant}?"
        return click.UsageError(f"{flag} is not for {model.model_name}, which takes {takes}{hint}")
    params = model.get_params()
    depth = max(_steps_taken(place, params) for place in places)
    lacking = [place.steps[depth] for place in places if _steps_taken(place, params) == depth]
    step = lacking[0]
    if not step.by_name:
        return click.UsageError(f"{flag} is of {step.flag}, which is not given; give both, or leave it out")
    path = "__".join([*(before.part for before in places[0].steps[:depth]), step.part])
    chosen = called(params.get(path))
    kinds = " or ".join(dict.fromkeys(each.kind.name for each in lacking))
    if chosen is None:
        return click.UsageError(f"{flag} is for {step.flag} {kinds}; give both, or leave it out")
    return click.UsageError(
        f"{flag} is not for the {step.kind.family} {chosen}; it is for {step.flag} {kinds}"
    )


def _steps_taken(place: Place, params: Mapping[str, Any]) -> int:
    """How many of the components on the way to a hyperparameter a model has, from the outermost on."""
    path: list[str] = []
    for taken, step in enumerate(place.steps):
        path.append(step.part)
        chosen = params.get("__".join(path))
        if step.by_name and step.kind.name != called(chosen):
            return taken
        if not step.by_name and not any(name.startswith("__".join([*path, ""])) for name in params):
            return taken
    return len(place.steps)
