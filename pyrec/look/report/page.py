"""The page itself: its parts put into the template, and written in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from pyrec._atomic import write_text
from pyrec.data import Interactions
from pyrec.evaluate.pairs import PairEvaluation
from pyrec.evaluate.ranking import Evaluation
from pyrec.evaluate.uniform import UniformEvaluation
from pyrec.look.report import examples, facts, learned_weights, named_users, pairs, pictures
from pyrec.look.report.data import ReportData, measure
from pyrec.look.report.template import load_template
from pyrec.models import Recommender
from pyrec.version import version


def write_report(
    path: str | PathLike[str],
    model: Recommender,
    test: Interactions,
    *,
    k: int | Sequence[int] = (10, 20),
    data_name: str = "the data",
    history: Sequence[Mapping[str, Any]] | None = None,
    seconds_train: float | None = None,
    settings: Mapping[str, Any] | None = None,
    item_names: Mapping[Any, str] | None = None,
    users: Sequence[Any] = (),
    evaluation: Evaluation | None = None,
    baseline: Evaluation | None = None,
    uniform: Mapping[str, PairEvaluation] | None = None,
    uniform_lists: UniformEvaluation | None = None,
) -> None:
    """Write a report on a fitted model as one HTML file.

    It shows the metrics beside popularity's, learning curves, the layers' weights, accuracy by user activity, which
    items are recommended, and a few users with their lists. It loads nothing, runs no script, and whatever ids and
    names hold is text. The same model gives the same bytes, if it is given the same ``seconds_train``.

    Args:
        path: The file to write.
        model: A fitted model.
        test: Test interactions, with the model's id maps.
        k: Cut-off or cut-offs of the metrics.
        data_name: What the data are called.
        history: A record an epoch, as in ``history.jsonl``; None for the model's own.
        seconds_train: Seconds that training took, to be mentioned.
        settings: What else to say about the data, by name.
        item_names: What items are called, by raw id; ids are shown for others.
        users: Raw ids of users to show with their history, their list, and why each item is in it.
        evaluation: What `pyrec.evaluate` gave for this model, test set and all metrics, to spare measuring it again;
            its cut-offs then take the place of ``k``.
        baseline: The same of `pyrec.Popularity`, at the same cut-offs.
        uniform: What `pyrec.evaluate_pairs` gave for pairs that were shown at random, by the models' labels, this one's
            among them.
        uniform_lists: What `pyrec.evaluate_uniform` gave for the same pairs and this model.

    Raises:
        NotFittedError: If the model is not fitted.
        UnknownIdError: If one of ``users`` is unknown.
        DataError: If the test set does not fit the model or an evaluation, or the file cannot be written.
        ConfigError: If matplotlib or Jinja is missing, a cut-off out of range, or a metric not in an evaluation.
    """
    template = load_template("page.html")
    data = measure(
        model,
        test,
        k,
        evaluation,
        baseline,
        data_name=data_name,
        history=history,
        seconds_train=seconds_train,
        settings=settings or {},
        item_names=item_names or {},
        named=list(users),
        pairs=uniform or {},
        lists=uniform_lists,
    )
    write_text(Path(path), template.render(**_parts(data)))


def _parts(data: ReportData) -> dict[str, Any]:
    return {
        "version": version(),
        "data": data,
        "summary": facts.summary(data),
        "cards": facts.cards(data),
        "metric_tables": facts.metric_tables(data),
        "meaning": facts.MEANING,
        "data_rows": facts.data_rows(data),
        "parameter_rows": facts.parameter_rows(data),
        "curves": pictures.curves(data),
        "layer_weights": pictures.layer_weights(data),
        "activity": pictures.activity(data),
        "pair_summary": pairs.pair_summary(data),
        "pair_rows": pairs.pair_rows(data),
        "list_summary": pairs.list_summary(data),
        "list_rows": pairs.list_rows(data),
        "pair_notes": pairs.pair_notes(data),
        "calibration": pairs.calibration(data),
        "learned_weights": learned_weights.learned_weights(data),
        "exposure_rows": facts.exposure_rows(data),
        "exposure": pictures.exposure(data),
        "examples": examples.examples(data),
        "named_users": named_users.named_users(data),
    }
