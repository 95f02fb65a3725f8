"""Whether a command is about interactions or about news: by its data and its model, or by the run it is asked of."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from pyrec.data import is_news_folder
from pyrec.errors import ConfigError
from pyrec.models import MODELS, NEWS_MODELS, NewsRecommender
from pyrec.models.estimator import class_in

NEWS_FOLDER: Final = "a folder with news.tsv and behaviors.tsv (MIND), or with EB-NeRD's Parquet files"


def learns_news(ctx: click.Context, options: dict[str, Any]) -> bool:
    """Return whether a model is to learn from news: it is one of news, or DATA is a folder of news.

    Where no model is named, that of news folders is chosen.

    Args:
        ctx: Of the command; it knows which options were given.
        options: Its keyword arguments.

    Raises:
        UsageError: If the model learns from other data than those named.
    """
    data, name = options["data"] or options["train"], options["model_name"]
    holds_news = data is not None and is_news_folder(data)
    named = ctx.get_parameter_source("model_name") is ParameterSource.COMMANDLINE
    if named and name in NEWS_MODELS:
        if data is not None and not holds_news:
            raise click.UsageError(
                f"--model {name} learns from news, and {data} holds none; name {NEWS_FOLDER}, no DATA for generated "
                f"news, or a model of interactions: {', '.join(MODELS)}"
            )
        return True
    if holds_news and named:
        raise click.UsageError(
            f"--model {name} learns from interactions, and {data} holds news; name a model of news: "
            f"{', '.join(NEWS_MODELS)}"
        )
    if holds_news:
        options["model_name"] = next(iter(NEWS_MODELS))
    return holds_news


def holds_news_model(run: Path) -> bool:
    """Return whether the run in a folder is of a model of news.

    Raises:
        DataError: If there is no run, or what it says of itself is damaged.
    """
    return issubclass(class_in(run) or object, NewsRecommender)


def refuse_news(run: Path, command: str, instead: str) -> None:
    """Refuse the run of a model of news where a command is for models of interactions.

    Args:
        run: Its folder.
        command: What the command is called.
        instead: What to do.

    Raises:
        ConfigError: If it is one.
    """
    if holds_news_model(run):
        raise ConfigError(
            f"{run} holds a model of news, and {command} is for models of interactions; {instead}"
        )


def refuse_news_data(data: str | None, models: Collection[str]) -> None:
    """Refuse news, and models of news, where ``pyrec compare`` is for interactions.

    Args:
        data: A file or a folder that was named.
        models: Names of models.

    Raises:
        ConfigError: If it is a folder of news, or one is a model of news.
    """
    named = [name for name in models if name in NEWS_MODELS]
    if named or (data is not None and is_news_folder(data)):
        what = f"{named[0]} is a model of news" if named else f"{data} holds news"
        raise ConfigError(
            f"{what}, and pyrec compare is for interactions; pyrec tune searches a model of news, and pyrec evaluate "
            "--compare RUN_A RUN_B tests two of their runs over readers"
        )
