"""How ``pyrec train`` sets up a run on news: from its options, or from the checkpoint of a run that was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import click

from pyrec.cli.model_options import build_news_model
from pyrec.cli.news.options import cutoffs_of, refuse_others
from pyrec.cli.news.source import NewsSource
from pyrec.cli.run_folder import check_folder, note_replaced
from pyrec.cli.run_setup import FREE, RunSetup, StoppedRun, check_unchanged, given_options
from pyrec.models import NEWS_MODELS, NewsRecommender
from pyrec.store import saved_model

OF_DATA = {field.name for field in fields(NewsSource)}
OPTIONS = (OF_DATA | FREE | {"model_name", "track", "k"}) - {"item_names", "baseline"}
"""The options of ``pyrec train`` that mean something here, beside those of models."""


@dataclass(kw_only=True)
class NewsSetup(RunSetup):
    """A run on news before it is trained.

    Attributes:
        k: Cut-offs of the metrics.
    """

    KEPT: ClassVar[Mapping[str, type]] = {"k": list, **RunSetup.KEPT}

    source: NewsSource
    model: NewsRecommender
    k: list[int]


def set_up(ctx: click.Context, options: dict[str, Any]) -> NewsSetup:
    """Return the run that the options of ``pyrec train`` describe.

    Raises:
        UsageError: If an option means nothing for news, or options contradict each other.
        ConfigError: If a hyperparameter is out of its range.
    """
    refuse_others(ctx, OPTIONS)
    source, folder, every = NewsSource.take(options), options["out"], options["every"]
    model = build_news_model(options["model_name"], options)
    model.check_params()  # before data are read
    if every and folder is None:
        raise click.UsageError("--checkpoint-every needs --out RUN_DIR")
    if folder is not None:
        check_folder(folder, options["replace"])
        note_replaced(folder)
    k = cutoffs_of(ctx, options["k"])
    return NewsSetup(
        source=source, model=model, k=k, every=every, track=list(options["track"]), folder=folder
    )


def take_up(ctx: click.Context, run: StoppedRun, options: Mapping[str, Any]) -> NewsSetup:
    """Return the run that a checkpoint describes.

    Raises:
        ConfigError: If an option was given that differs from the run's.
        DataError: If the checkpoint is not of ``pyrec train``.
    """
    source = NewsSource.from_json(run.about.get("data"), str(run.path))
    kind = NEWS_MODELS[run.config["model"]]
    model = saved_model.build(kind, run.config["params"], run.path)
    setup = NewsSetup(source=source, model=model, **run.kept(NewsSetup.KEPT))
    given = given_options(ctx)
    refuse_others(ctx, OPTIONS)
    if "every" in given:
        setup.every = options["every"]
    check_unchanged(setup, given, options, {"k": setup.k}, FREE | OF_DATA)
    named = {name: options[name] for name in OF_DATA & given.keys()}
    if named:
        found = NewsSource.take({**dict.fromkeys(OF_DATA), **named})
        setup.source = replace(source, **{name: getattr(found, name) for name in named})
    return setup
