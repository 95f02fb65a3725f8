"""The options that become a model's hyperparameters. A model's own defaults hold for those not given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from pyrec.models import MODELS, Recommender
from pyrec.models.hyperparameters import CHOICES

Command = TypeVar("Command", bound=Callable[..., Any])


def _choice(argument: str) -> click.Choice[str]:
    """Return what can be given for a hyperparameter; None is not giving it."""
    return click.Choice([value for value in CHOICES[argument] if value is not None])


_OPTIONS: dict[str, tuple[str, Any, str]] = {
    "combine": ("--combine", _choice("combine"), "How the layers' embeddings become one."),
    "combine_fit": (
        "--combine-fit",
        _choice("combine_fit"),
        "What a learned combine is learned on; held-out for bpr, else train.",
    ),
    "loss": ("--loss", _choice("loss"), "Training loss."),
    "n_layers": ("--layers", int, "Propagation layers."),
    "embedding_size": ("--dim", int, "Embedding size; for svd the number of factors."),
    "epochs": ("--epochs", int, "Passes over the training interactions."),
    "batch_size": ("--batch-size", int, "Interactions a training step."),
    "learning_rate": ("--lr", float, "Adam's learning rate."),
    "schedule": ("--schedule", _choice("schedule"), "Learning rate over the epochs."),
    "reg": ("--reg", float, "L2 penalty; for ease its λ."),
    "init": ("--init", _choice("init"), "First embeddings: random or singular vectors."),
    "seed": ("--seed", int, "Seed of weights and samples."),
    "device": ("--device", _choice("device"), "Where to train."),
    "precision": ("--precision", _choice("precision"), "Storage of what whole layers gather."),
    "score": ("--score", _choice("score"), "How a user and an item are compared."),
    "temperature": ("--temperature", float, "Temperature of the softmax loss."),
    "num_negatives": ("--negatives", int, "Sampled negatives an interaction."),
    "negatives": (
        "--negatives-from",
        _choice("negatives"),
        "All items alike, the batch's positives, or the hardest of some uniform ones.",
    ),
    "corrected": ("--corrected", bool, "Weigh sampled negatives so that they stand for all items."),
    "attention_size": ("--attention-size", int, "Width of the attention over layers."),
    "attention_kl": (
        "--attention-kl",
        float,
        "Pull of a node's layer weights to those of its side and activity.",
    ),
    "n_heads": ("--heads", int, "Heads of the self-attention over layers."),
    "contrast": (
        "--contrast",
        _choice("contrast"),
        "Second loss between two views of each node: edges dropped (SGL) or noise on layers (SimGCL).",
    ),
    "contrast_weight": ("--contrast-weight", float, "Weight of the second loss."),
    "contrast_temperature": ("--contrast-temperature", float, "Temperature of the second loss."),
    "contrast_rate": ("--contrast-rate", float, "Share of edges dropped, or length of the noise."),
    "extra_edges": ("--extra-edges", float, "Random unseen pairs to propagate over, for each interaction."),
    "user_from": (
        "--user-from",
        _choice("user_from"),
        "What a user's layers start from: an embedding of its own, or its items alone.",
    ),
    "edge_dropout": ("--edge-dropout", float, "Share of edges that a training step leaves out."),
    "validation": ("--validation", float, "Share of the training set held out for early stopping."),
    "patience": ("--patience", int, "Epochs without a better validation score before stopping."),
    "neighbors": ("--neighbors", int, "Neighbours an item, for itemknn."),
    "shrinkage": ("--shrinkage", float, "Damping of likeness that few users support, for itemknn."),
}
"""Constructor argument: option, type, help."""


def model_options(command: Command) -> Command:
    """Add ``--model`` and every model's hyperparameters to a command; `build_model` reads them."""
    for argument, (flag, kind, text) in reversed(_OPTIONS.items()):
        shown = f"{text} {_default(argument)}".strip()
        command = click.option(flag, argument, type=kind, help=shown)(command)
    names = list(MODELS)
    choose = click.option(
        "--model", "model_name", type=click.Choice(names), default=names[0], show_default=True, help="Model."
    )
    return choose(command)


def build_model(model_name: str, options: dict[str, Any], cutoff: int) -> Recommender:
    """Return an unfitted model from the options given, taking them out of a command's keyword arguments.

    Args:
        model_name: A name in `MODELS`.
        options: The command's keyword arguments.
        cutoff: The metrics' largest cut-off, which validation uses as well.

    Raises:
        click.UsageError: If an option means nothing to this model.
    """
    given = {name: options.pop(name) for name in _OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    accepted = inspect.signature(MODELS[model_name]).parameters
    for name in given:
        if name not in accepted:
            flags = [_OPTIONS[known][0] for known in accepted if known in _OPTIONS]
            takes = ", ".join(flags) or "no such option"
            raise click.UsageError(f"{_OPTIONS[name][0]} is not for {model_name}, which takes {takes}")
    if "k" in accepted:
        given["k"] = cutoff
    return MODELS[model_name](**given)


def given_arguments(options: Mapping[str, Any]) -> set[str]:
    """Return the constructor arguments that a command's keyword arguments have a value for."""
    return {name for name in _OPTIONS if options.get(name) is not None}


def find_argument(name: str) -> tuple[str, Any]:
    """Return the constructor argument and the type of an option, named with or without dashes or as the argument.

    Raises:
        click.UsageError: If there is no such option.
    """
    for argument, (flag, kind, _) in _OPTIONS.items():
        if name.removeprefix("--") in (argument, flag.removeprefix("--")):
            return argument, kind
    known = ", ".join(flag.removeprefix("--") for flag, _, _ in _OPTIONS.values())
    raise click.UsageError(f"{name!r} is no hyperparameter; known are {known}")


def flag_of(argument: str) -> str:
    """Return a constructor argument's option, without dashes."""
    return _OPTIONS[argument][0].removeprefix("--")


def model_arguments(model: Recommender) -> list[str]:
    """Return the command line's words that `build_model` makes this model of: what differs from the defaults."""
    words = ["--model", model.model_name]
    defaults = inspect.signature(type(model)).parameters
    for name, value in model.get_params().items():
        if name in _OPTIONS and value != defaults[name].default:
            words += [_OPTIONS[name][0], str(value)]
    return words


def _default(argument: str) -> str:
    """Return the default of an argument, in brackets; by model where they differ."""
    defaults: dict[Any, list[str]] = {}
    for name, model in MODELS.items():
        parameter = inspect.signature(model).parameters.get(argument)
        if parameter is not None and parameter.default is not None:
            defaults.setdefault(parameter.default, []).append(name)
    if len(defaults) <= 1:
        return "".join(f"[default: {value}]" for value in defaults)
    shown = (f"{value} ({', '.join(names)})" for value, names in defaults.items())
    return f"[default: {'; '.join(shown)}]"
