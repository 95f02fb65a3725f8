"""``pyrec evaluate --estimator``: metrics of lists that are corrected by how likely each test pair was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from pyrec.cli.grouped_help import MEASURING, grouped
from pyrec.cli.sources import Source
from pyrec.data import Interactions, union
from pyrec.data.load import holds_pair
from pyrec.data.origin import DEFAULT_SPLIT
from pyrec.debias.propensities import METHODS, propensities
from pyrec.evaluate.estimators import ESTIMATORS, Estimation, Estimator, propensities_of_split
from pyrec.evaluate.ranking import evaluate
from pyrec.models import Recommender
from pyrec.models.fallback import Fallback

Command = TypeVar("Command", bound=Callable[..., Any])

WITHOUT_UNIFORM: Final = tuple(name for name in METHODS if name != "naive-bayes")


def estimator_options(command: Command) -> Command:
    """Add ``--estimator`` and ``--propensities``, which `Asked.take` takes."""
    for decorate in (
        grouped(
            MEASURING,
            "--propensities",
            type=click.Choice(WITHOUT_UNIFORM),
            help="With --estimator: what the propensities are estimated by. [default: item]",
        ),
        grouped(
            MEASURING,
            "--estimator",
            type=click.Choice(ESTIMATORS),
            help="Correct the metrics by how likely each test interaction was to be observed: inverse propensities, "
            "the same self-normalised, or doubly robust.",
        ),
    ):
        command = decorate(command)
    return command


@dataclass(frozen=True)
class Asked:
    """An estimate that was asked for.

    Attributes:
        estimator: One of `ESTIMATORS`.
        method: What propensities are estimated by.
    """

    estimator: Estimator
    method: str

    @classmethod
    def take(cls, options: dict[str, Any]) -> Asked | None:
        """Take the options out of a command's; None where no estimate is asked for.

        Raises:
            UsageError: If propensities are named without an estimator.
        """
        estimator, method = options.pop("estimator"), options.pop("propensities")
        if estimator is None and method is not None:
            raise click.UsageError("--propensities are for an estimate; name one: --estimator snips")
        return None if estimator is None else cls(estimator, method or "item")

    def estimate(
        self, model: Recommender, test: Interactions, source: Source, k: Sequence[int], fallback: Fallback
    ) -> Estimation:
        """Estimate the metrics of a model's lists.

        Args:
            model: A fitted model.
            test: Test interactions, in its ids.
            source: Where they are from; if they are a random share of one log, propensities are of the whole log.
            k: Cut-offs.
            fallback: See `pyrec.evaluate`.
        """
        share = _share(source)
        log = test if share is None else union(model.train_, test)
        found = propensities(log, None, self.method).of(test.users, test.items, test.labels, test.positions)
        chance = found if share is None else propensities_of_split(found, share)
        return evaluate(
            model, test, list(k), fallback=fallback, propensities=chance, estimator=self.estimator
        )


def _share(source: Source) -> float | None:
    """Return which share of one log was drawn at random to be tested on; None where that is not how it was made."""
    if source.data is not None and (holds_pair(source.data) or source.split == "time"):
        return None
    if source.data is None and source.given:
        return None
    split = DEFAULT_SPLIT if source.split is None else source.split
    return 1 - float(split)


def as_json(found: Estimation) -> dict[str, Any]:
    """Return estimates and intervals for programs."""
    return {
        "estimator": found.estimator,
        "estimates": {
            name: {
                "estimate": value,
                "low": found.intervals[name][0],
                "high": found.intervals[name][1],
                "uncorrected": found.naive[name],
            }
            for name, value in found.metrics.items()
        },
        "num_test_pairs": found.num_pairs,
        "effective_size": found.effective_size,
        "smallest_propensity": found.smallest,
        "num_clipped": found.num_clipped,
        "seconds_evaluate": found.seconds,
    }
