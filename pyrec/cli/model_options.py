"""The options that become a model's hyperparameters. A model's own defaults hold for those not given."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from pyrec._spellings import plain
from pyrec.cli.flag_values import arguments_of, members_of, misplaced, values_of, words_of
from pyrec.cli.flags import ALIASES, ALL_MODELS, FLAGS, MODEL, also_known_as, help_of, type_of
from pyrec.cli.grouped_help import grouped
from pyrec.models import MODELS, NEWS_MODELS, Estimator, NewsRecommender, Recommender

Command = TypeVar("Command", bound=Callable[..., Any])
Model = TypeVar("Model", bound=Estimator)

CUTOFF = "stopping__k"
"""The hyperparameter that is the metrics' largest cut-off."""


def model_options(command: Command) -> Command:
    """Add ``--model`` and every model's hyperparameters to a command; `build_model` reads them."""
    groups: dict[str, list[str]] = {}
    for name, places in FLAGS.items():
        groups.setdefault(places[0].group, []).append(name)
    for group, names in reversed(groups.items()):
        for name in reversed(names):
            places = FLAGS[name]
            command = grouped(
                group,
                places[0].flag,
                name,
                aliases=ALIASES.get(name, ()),
                aka=also_known_as(name),
                type=type_of(places),
                help=help_of(places),
            )(command)
    models = list(ALL_MODELS)
    choose = grouped(
        MODEL,
        "--model",
        "model_name",
        type=click.Choice(models),
        default=models[0],
        help=f"Model. [default: {models[0]}; of news {next(iter(NEWS_MODELS))}]",
    )
    return choose(command)


def build_model(
    model_name: str, options: dict[str, Any], cutoff: int, base: Recommender | None = None
) -> Recommender:
    """Return an unfitted model of interactions from the options given, taking them out of a command's arguments.

    Args:
        model_name: A name in `MODELS`.
        options: The command's keyword arguments.
        cutoff: The metrics' largest cut-off, which validation uses as well.
        base: A model of that name whose hyperparameters hold where no option is given; None for the defaults.

    Raises:
        click.UsageError: If an option means nothing to this model, or to the objects that are chosen.
    """
    model = _built(MODELS[model_name], options, base)
    cut_off(model, cutoff)
    return model


def build_news_model(model_name: str, options: dict[str, Any]) -> NewsRecommender:
    """Return an unfitted model of news likewise.

    Args:
        model_name: A name in `NEWS_MODELS`.
        options: The command's keyword arguments.

    Raises:
        click.UsageError: If an option means nothing to this model, or to the objects that are chosen.
    """
    return _built(NEWS_MODELS[model_name], options)


def _built(kind: type[Model], options: dict[str, Any], base: Estimator | None = None) -> Model:
    given = {name: options.pop(name) for name in FLAGS}
    given = {name: value for name, value in given.items() if value is not None}
    held = {} if base is None else base.get_params(deep=False)
    model = kind(**{**held, **arguments_of(kind, given, held or None)})
    check_reached(model, given)
    return model


def check_reached(model: Estimator, names: Mapping[str, Any] | set[str]) -> None:
    """Raise click.UsageError for a flag, by its name, that is not of the objects that a model has."""
    reached = values_of(model)
    for name in names:
        if name not in reached:
            raise misplaced(name, model)


def cut_off(model: Recommender, cutoff: int) -> None:
    """Set the cut-off that a model stops early by, if it does."""
    for name in model.get_params():
        if name == CUTOFF or name.endswith(f"__{CUTOFF}"):
            model.set_params(**{name: cutoff})


def given_arguments(options: Mapping[str, Any]) -> set[str]:
    """Return the names of the flags that a command's keyword arguments have a value for."""
    return {name for name in FLAGS if options.get(name) is not None}


def find_flag(name: str) -> str:
    """Return the name of a flag that is written with or without dashes, or as the hyperparameter's.

    Raises:
        click.UsageError: If there is no such flag.
    """
    for known, places in FLAGS.items():
        spelled = {known, places[0].flag.removeprefix("--"), *(place.path for place in places)}
        if name.removeprefix("--") in spelled | {place.hyperparameter for place in places if not place.steps}:
            return known
    words = {plain(word): known for known in FLAGS for word in (known, *also_known_as(known))}
    if near := difflib.get_close_matches(plain(name), words, 1, cutoff=0.7):
        flag = FLAGS[words[near[0]]][0].flag.removeprefix("--")
        raise click.UsageError(f"{name!r} is no hyperparameter; did you mean {flag}?")
    flags = ", ".join(places[0].flag.removeprefix("--") for places in FLAGS.values())
    raise click.UsageError(f"{name!r} is no hyperparameter; known are {flags}")


def path_of(name: str, model: Estimator) -> str:
    """Return the hyperparameter that a flag, by its name, is of among the objects that a model has.

    Raises:
        click.UsageError: If they have none.
    """
    check_reached(model, {name})
    if (found := _own_path(name, model)) is not None:
        return found
    paths = [
        f"{prefix}__{path}"
        for prefix, member in members_of(model).items()
        if (path := _own_path(name, member)) is not None
    ]
    if len(paths) > 1:
        raise click.UsageError(
            f"{name!r} is of both models, {' and '.join(paths)}; search one of them in Python, by pyrec.tune"
        )
    return paths[0]


def _own_path(name: str, model: Estimator) -> str | None:
    """Return the hyperparameter that a flag is of among a model's own objects, its members aside."""
    known = model.get_options()
    return next(
        (
            place.path
            for place in FLAGS[name]
            if place.model == model.model_name and known.get(place.path) is place.option
        ),
        None,
    )


def flag_word(path: str, model: Estimator) -> str:
    """Return the flag of a model's hyperparameter, without dashes."""
    prefix, _, rest = path.partition("__")
    if rest and (member := members_of(model).get(prefix)) is not None:
        return flag_word(rest, member)
    return next(
        place.flag.removeprefix("--")
        for places in FLAGS.values()
        for place in places
        if place.model == model.model_name and place.path == path
    )


def model_arguments(model: Estimator) -> list[str]:
    """Return the command line's words that `build_model` makes this model of: what differs from the defaults."""
    return ["--model", model.model_name, *words_of(model)]
