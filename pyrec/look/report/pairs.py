"""The part of a report on pairs that were shown at random: metrics of their scores, and how far to trust them."""

from __future__ import annotations

from pyrec.evaluate.tables import metric_rows
from pyrec.look import panels
from pyrec.look.report.data import ReportData
from pyrec.look.report.pictures import Picture, draw


def pair_rows(data: ReportData) -> list[list[str]]:
    """Return a head and rows of the metrics, a column a model; nothing without such pairs."""
    if not data.pairs:
        return []
    return metric_rows({title: one.metrics for title, one in data.pairs.items()})


def pair_summary(data: ReportData) -> str:
    """Return what the metrics are over."""
    if not data.pairs:
        return ""
    counts = data.pairs[data.label].counts
    return (
        f"{counts.num_pairs:,} pairs of {counts.num_users:,} users that chance chose, {counts.num_positive_pairs:,} of "
        "them positive. What a user chose has no part in which pairs these are, so they tell taste from exposure."
    )


def pair_notes(data: ReportData) -> tuple[str, ...]:
    """Return what a reader of the metrics may not expect, a sentence each."""
    return data.pairs[data.label].notes if data.pairs else ()


def list_rows(data: ReportData) -> list[list[str]]:
    """Return a head and rows of what the pairs tell of lists of all items; nothing where that is not known."""
    return [] if data.lists is None else data.lists.rows(label=data.label)


def list_summary(data: ReportData) -> str:
    """Return what the estimates of lists are from."""
    if data.lists is None:
        return ""
    told = ". ".join(f"{note[0].upper()}{note[1:]}" for note in data.lists.notes)
    return f"Which of the pairs are in the lists estimates what the lists are worth among all items. {told}."


def calibration(data: ReportData) -> list[Picture]:
    """Return how often pairs were positive against their probabilities; nothing without such pairs."""
    if not data.pairs:
        return []
    ours = data.pairs[data.label]
    found = ours.reliability()
    how = (
        "by two parameters fitted to the validation part"
        if ours.calibration
        else "as the scores' logistic function"
    )
    caption = (
        f"Test pairs in groups by their probability, {how}. On the dashed line pairs are positive as often as said; "
        f"the mean distance from it is {found.error:.3f}."
    )
    return [
        draw(
            lambda axes, theme: panels.draw_calibration(axes, found, theme),
            "Points: the share of positive pairs by probability, beside a diagonal.",
            caption,
        )
    ]
