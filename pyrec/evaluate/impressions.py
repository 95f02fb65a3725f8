"""Evaluation of impressions: does a model rank what was clicked above what was shown beside it?

Metrics are of one impression at a time and averaged over impressions (MIND's way, Wu et al., ACL 2020). Of an
impression whose candidates are ranked by score, P of them clicked:

- ``auc``: the share of pairs of a clicked candidate and another one in which the clicked one has the larger score
- ``mrr``: the mean of 1 / rank over the clicked candidates, MIND's definition
- ``mrr_first``: 1 / rank of the first clicked candidate, the usual definition
- ``ndcg@k`` = Σ 1 / log2(rank + 1) over clicked ones of rank k or less  /  Σ_{j ≤ min(k, P)} 1 / log2(j + 1)
- ``hit@k`` = 1 if a clicked one has rank k or less, else 0

Candidates of equal scores count as if in random order: the metrics are expected values, so that a constant score has
``auc`` .5 wherever the clicked candidates stand. Impressions of one class, with all candidates clicked or none, or
without candidates, have no value: they are counted and left out. All others are in, also those without a history.

A pooled AUC, over all pairs of candidates of whatever impressions, is another number: it also rewards scores that
tell impressions apart. `docs/measuring-news.md` has an example.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from numpy.typing import NDArray

from pyrec._ambient import defaults
from pyrec._arrays import tensor_of
from pyrec.data.impressions import Impressions
from pyrec.data.news import News
from pyrec.errors import DataError
from pyrec.evaluate.asked import asked
from pyrec.evaluate.impression_groups import impression_groups
from pyrec.evaluate.pair_metrics import check_finite_array
from pyrec.evaluate.tables import metric_rows, table
from pyrec.ops.impressions import impression_metrics, metric_names

CUTOFFS: Final = (5, 10)
SHOWN: Final = 5
"""Metrics in a `repr`."""


@runtime_checkable
class ImpressionScorer(Protocol):
    """What `evaluate_impressions` asks of a model."""

    def score_impressions(self, news: News) -> NDArray[np.floating] | torch.Tensor:
        """Return a score for each of ``news.impressions.candidates.indices`` (n,)."""


@dataclass(frozen=True)
class ImpressionCounts:
    """How many impressions there are, and why some are left out.

    Attributes:
        num_impressions: All of them.
        num_none_clicked: Left out, for no candidate was clicked.
        num_all_clicked: Left out, for every candidate was.
        num_empty: Left out, for there are no candidates.
        num_candidates: Of all impressions.
        num_clicks: Of all impressions.
        num_readers: Known readers of the impressions that are measured.
    """

    num_impressions: int
    num_none_clicked: int
    num_all_clicked: int
    num_empty: int
    num_candidates: int
    num_clicks: int
    num_readers: int

    @property
    def num_left_out(self) -> int:
        """Impressions without a value."""
        return self.num_none_clicked + self.num_all_clicked + self.num_empty

    @property
    def num_measured(self) -> int:
        """Impressions that the means are over."""
        return self.num_impressions - self.num_left_out

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the metrics may not expect, a sentence each."""
        if not self.num_left_out:
            return ()
        reasons = {
            "without a click": self.num_none_clicked,
            "with nothing but clicks": self.num_all_clicked,
            "without candidates": self.num_empty,
        }
        told = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        return (f"{self.num_left_out:,} of {self.num_impressions:,} impressions are left out: {told}",)


@dataclass(frozen=True)
class Slice:
    """The means over some of the impressions.

    Attributes:
        label: Which ones, such as ``6 to 20 clicks``.
        num_impressions: Measured ones.
        metrics: Means by name.
    """

    label: str
    num_impressions: int
    metrics: dict[str, float]


@dataclass(frozen=True, repr=False)
class ImpressionEvaluation:
    """The outcome of `evaluate_impressions`; ``print`` shows its `summary`.

    Attributes:
        metrics: Each metric's mean over the impressions with a clicked and an unclicked candidate.
        per_impression: Each metric's values, float64 (num_impressions,), NaN where an impression is left out.
        readers: Whose each impression is, raw ids (num_impressions,); see ``is_known``.
        is_known: Whether anybody knows the reader, bool (num_impressions,).
        counts: How many impressions there are, and how many were left out for what reason.
        slices: Means over parts of the impressions by what divides them: ``history``, ``age``, ``article``, ``reader``,
            ``hour`` and ``day``, as far as it is known.
        scores: The scores of the candidates, float32 (num_candidates,).
        seconds: Wall time of scoring and measuring.
    """

    metrics: dict[str, float]
    per_impression: dict[str, NDArray[np.float64]]
    readers: NDArray[Any]
    is_known: NDArray[np.bool_]
    counts: ImpressionCounts
    slices: dict[str, tuple[Slice, ...]]
    scores: NDArray[np.float32]
    seconds: float
    _notes: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> float:
        return self.metrics[name]

    @property
    def num_impressions(self) -> int:
        """Impressions that the means are over."""
        return self.counts.num_measured

    @property
    def num_left_out(self) -> int:
        """Impressions without a value, for they have candidates of one class or none."""
        return self.counts.num_left_out

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of ``metrics`` may not expect, a sentence each."""
        return (*self.counts.notes, *self._notes)

    def summary(self) -> str:
        """Return a table of the metrics, and below it what they are over."""
        label = f"{self.num_impressions:,} impressions"
        rows = metric_rows({label: self.metrics})
        return "\n".join([table(rows), *(f"note: {note}" for note in self.notes)])

    def slice_table(self, by: str) -> str:
        """Return a table of the means over the parts of one division.

        Args:
            by: One of `slices`.

        Raises:
            DataError: If there is no such division.
        """
        if by not in self.slices:
            known = ", ".join(self.slices) or "none"
            raise DataError(f"there are no slices by {by!r}; known are {known}")
        rows = [[by, "impressions", *self.metrics]]
        for part in self.slices[by]:
            means = [f"{part.metrics[name]:.4f}" for name in self.metrics]
            rows.append([part.label, f"{part.num_impressions:,}", *means])
        return table(rows)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.4f}" for name, value in list(self.metrics.items())[:SHOWN])
        more = ", ..." if len(self.metrics) > SHOWN else ""
        measured = f"{self.num_impressions:,} impressions, {self.num_left_out:,} left out"
        return f"ImpressionEvaluation({measured}: {means}{more})"


@defaults()
def evaluate_impressions(
    model: ImpressionScorer,
    news: News,
    cutoffs: Sequence[int] = CUTOFFS,
    train: News | Impressions | None = None,
) -> ImpressionEvaluation:
    """Score the candidates of impressions and measure how well the clicked ones are told from the others.

    Args:
        model: A fitted model of news, or anything with `ImpressionScorer.score_impressions`.
        news: Impressions with clicks, and their articles.
        cutoffs: Values of k, strictly ascending, 1 to 65,536.
        train: What the model was fitted on. With it there are slices by known and new articles, that is, whether
            training showed what was clicked, and by known and new readers.

    Returns:
        Means over the impressions with a clicked and an unclicked candidate, their values, and means over slices.

    Raises:
        NotFittedError: If the model is not fitted.
        DataError: If the impressions have no clicks, none has a clicked and an unclicked candidate, or a score is
            not finite; or ``news`` or ``model`` is of another type.
        ConfigError: If ``cutoffs`` is empty, not ascending or out of range.
    """
    if not isinstance(news, News):
        raise DataError(
            f"news is a {type(news).__name__}, but News is needed; with scores of Impressions alone, call "
            "pyrec.evaluate.impression_evaluation"
        )
    _check_labelled(news.impressions)
    started = time.perf_counter()
    example = "NRMS().fit(train)"
    with asked(model, ImpressionScorer, "score_impressions", example) as state:
        scores = state.score_impressions(news)
    return impression_evaluation(scores, news, cutoffs, train, started=started)


@defaults()
def impression_evaluation(
    scores: npt.ArrayLike | torch.Tensor,
    impressions: News | Impressions,
    cutoffs: Sequence[int] = CUTOFFS,
    train: News | Impressions | None = None,
    *,
    started: float | None = None,
) -> ImpressionEvaluation:
    """Measure scores of impressions' candidates, wherever they are from; see `evaluate_impressions`.

    Args:
        scores: Finite numbers (n,), one for each of ``candidates.indices``.
        impressions: With clicks; `pyrec.data.News` for slices by the age of what was clicked.
        cutoffs: As there.
        train: As there.
        started: What ``time.perf_counter`` was when scoring began; None for now.

    Raises:
        DataError: As there; or there are not as many scores as candidates.
        ConfigError: As there.
    """
    began = time.perf_counter() if started is None else started
    shown = impressions_of(impressions, "impressions")
    clicks = _check_labelled(shown)
    values = checked_scores(scores, shown)
    candidates = shown.candidates
    measured = impression_metrics(
        tensor_of(values), tensor_of(clicks), tensor_of(candidates.indptr), cutoffs
    ).numpy()
    names = metric_names(cutoffs)
    there = ~np.isnan(measured[:, 0])
    if not there.any():
        raise DataError(
            f"none of {len(shown):,} impressions has both a clicked and an unclicked candidate, so there is nothing to "
            "measure; are the clicks those of these impressions?"
        )
    groups = impression_groups(impressions, train)
    return ImpressionEvaluation(
        metrics=_means(names, measured[there]),
        per_impression={name: measured[:, column].copy() for column, name in enumerate(names)},
        readers=_readers(shown),
        is_known=shown.users >= 0,
        counts=_count(shown, clicks, there),
        slices={
            by: tuple(
                Slice(label, int(rows.sum()), _means(names, measured[rows]))
                for label, rows in ((label, part & there) for label, part in parts)
                if rows.any()
            )
            for by, parts in groups.items()
        },
        scores=values,
        seconds=time.perf_counter() - began,
        _notes=_notes(shown, there),
    )


def impressions_of(given: News | Impressions, name: str) -> Impressions:
    """Return the impressions of news, or impressions as they are.

    Raises:
        DataError: If it is neither; names the argument.
    """
    if isinstance(given, News):
        return given.impressions
    if not isinstance(given, Impressions):
        raise DataError(f"{name} is a {type(given).__name__}, but News or Impressions are needed")
    return given


def checked_scores(scores: npt.ArrayLike | torch.Tensor, impressions: Impressions) -> NDArray[np.float32]:
    """Return scores of the candidates as float32 (n,).

    Raises:
        DataError: If they are no finite numbers, or not one a candidate.
    """
    given = scores.detach().cpu().numpy() if isinstance(scores, torch.Tensor) else scores
    values = check_finite_array("scores", given)
    n = impressions.candidates.indices.size
    if len(values) != n:
        raise DataError(f"there are {len(values)} scores, but {n} candidates; give one a candidate")
    return np.ascontiguousarray(values, dtype=np.float32)


def _check_labelled(impressions: Impressions) -> NDArray[np.bool_]:
    if impressions.clicks is None:
        raise DataError(
            "the impressions have no clicks, as in a test file, so nothing can be measured; to send in what a model "
            "says of them: pyrec.evaluate.write_submission(model.score_impressions(news), news, 'prediction.zip')"
        )
    return impressions.clicks


def _readers(impressions: Impressions) -> NDArray[Any]:
    if not impressions.user_ids.size:
        return np.zeros(len(impressions), dtype=impressions.user_ids.dtype)
    return impressions.user_ids[np.maximum(impressions.users, 0)]


def _means(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(mean) for name, mean in zip(names, values.mean(axis=0), strict=True)}


def _count(impressions: Impressions, clicks: NDArray[np.bool_], there: NDArray[np.bool_]) -> ImpressionCounts:
    lengths = impressions.candidates.lengths
    total = np.append(0, np.cumsum(clicks, dtype=np.int64))
    clicked = np.diff(total[impressions.candidates.indptr])
    readers = impressions.users[there & (impressions.users >= 0)]
    return ImpressionCounts(
        num_impressions=len(impressions),
        num_none_clicked=int(((clicked == 0) & (lengths > 0)).sum()),
        num_all_clicked=int(((clicked == lengths) & (lengths > 0)).sum()),
        num_empty=int((lengths == 0).sum()),
        num_candidates=len(clicks),
        num_clicks=int(total[-1]),
        num_readers=len(np.unique(readers)),
    )


def _notes(impressions: Impressions, there: NDArray[np.bool_]) -> tuple[str, ...]:
    notes = []
    unknown = int((impressions.users[there] < 0).sum())
    if unknown:
        notes.append(f"{unknown:,} of {there.sum():,} measured impressions are of an unknown reader")
    if impressions.histories is not None:
        lengths = impressions.histories.lengths
        of_each = lengths if impressions.history_rows is None else lengths[impressions.history_rows]
        empty = int((of_each[there] == 0).sum())
        if empty:
            notes.append(
                f"{empty:,} of {there.sum():,} measured impressions have no history; they are measured, too"
            )
    return tuple(notes)
