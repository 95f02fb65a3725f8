"""How ``pyrec train`` sets up a run on interactions: from its options, or from the checkpoint of a stopped run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import click

from pyrec.cli.item_names import NamesFile
from pyrec.cli.model_options import cut_off
from pyrec.cli.options import cutoffs_that_fit
from pyrec.cli.run_setup import FREE, RunSetup, StoppedRun, check_unchanged, given_options
from pyrec.cli.sources import Source
from pyrec.errors import DataError
from pyrec.models import MODELS, Recommender
from pyrec.models.fallback import FALLBACKS, Fallback
from pyrec.store import saved_model


@dataclass(kw_only=True)
class Setup(RunSetup):
    """A run on interactions before it is trained.

    Attributes:
        k: Cut-offs of the metrics.
        eval_every: Epochs from one test metrics to the next.
        names_file: What says what the items are called, if anything does.
        baseline: Whether something quick is measured first, beside popularity.
        fallback: What users without a history get where test metrics are measured.
    """

    KEPT: ClassVar[Mapping[str, type]] = {"k": list, "eval_every": int, **RunSetup.KEPT}

    source: Source
    model: Recommender
    k: list[int]
    eval_every: int = 0
    names_file: NamesFile | None = None
    baseline: bool = True
    fallback: Fallback = "popularity"

    def cut_off_at(self, num_items: int) -> None:
        """Take cut-offs that nobody asked for down to the number of items."""
        if not self.resumed:
            self.k = cutoffs_that_fit(self.k, num_items)
            cut_off(self.model, max(self.k))

    def about(self) -> dict[str, Any]:
        """Return what its checkpoints keep: what `take_up` needs beside what a checkpoint says anyway."""
        names = None if self.names_file is None else str(self.names_file)
        more = {"item_names": names, "baseline": self.baseline, "fallback": self.fallback}
        return super().about() | more


def take_up(ctx: click.Context, run: StoppedRun, options: Mapping[str, Any]) -> Setup:
    """Return the run that a checkpoint describes.

    Args:
        ctx: Of the command; it knows which options were given.
        run: The run.
        options: The command's keyword arguments.

    Raises:
        ConfigError: If an option was given that differs from the run's.
        DataError: If the checkpoint is not of ``pyrec train``.
    """
    kept, about = run.kept(Setup.KEPT), run.about
    source = Source.from_json(about.get("data"), str(run.path))
    setup = Setup(source=source, model=_model(run), **kept)
    if options["item_names"] is not None:
        setup.names_file = options["item_names"]
    elif isinstance(before := about.get("item_names"), str):
        setup.names_file = NamesFile.of(before)
    setup.baseline = about.get("baseline", True) is True
    if about.get("fallback") in FALLBACKS:
        setup.fallback = about["fallback"]
    given = given_options(ctx)
    if "baseline" in given:
        setup.baseline = options["baseline"]
    if "every" in given:
        setup.every = options["every"]
    own = {"eval_every": setup.eval_every, "k": setup.k, "fallback": setup.fallback}
    of_data = {field.name for field in fields(Source)}
    check_unchanged(setup, given, options, own, FREE | of_data)
    named = Source.take(dict(options))
    setup.source = replace(source, **{name: getattr(named, name) for name in of_data & given.keys()})
    return setup


def _model(run: StoppedRun) -> Recommender:
    name = run.config["model"]
    if name not in MODELS:
        raise DataError(f"{run.path} is of model {name!r}; known are {', '.join(MODELS)}")
    return saved_model.build(MODELS[name], run.config["params"], run.path)
