"""The tables of the kept rows, in Markdown: every row beside the constant, EASE and the plain factorisation.

Tests are of a method against the table's reference, paired:

- over users within a split: t and Wilcoxon's, each user's value the mean over the starts. A table's p is twice the
  median over the splits, a valid p-value however the splits depend on each other (Rüger, 1978).
- over J splits: Student's t of the means over starts, with Nadeau and Bengio's variance for parts that overlap (Machine
  Learning, 2003): 1/J + n_test/n_train, where all pairs that are learned from count.
- over splits, strict: 1/J + r/(1 - r), where r is the share of all uniform pairs that a test part has. Two test parts
  have that share in common, so it stands for the correlation of their metrics.

Each column is corrected by Holm over the table's methods.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pyrec.evaluate.significance import corrected_t, holm, paired_t, wilcoxon

from ..tables import markdown, mean_sd, p_value
from .runs import Kept, Row

BARS = ("EASE", "MF, biased", "MF, combined")
"""What a debiaser has to be above: EASE and the plain regularised factorisation, of the biased or of all labels."""
PLAIN = (
    "constant",
    "popularity",
    "user's and item's rates",
    "EASE",
    "MF, biased",
    "MF, uniform",
    "MF, combined",
)
BySplit = dict[int, Row]


@dataclass(frozen=True)
class Tested:
    """p-values of a method against the reference, not corrected; NaN where they cannot be had."""

    users_t: float
    users_wilcoxon: float
    splits: float
    strict: float


def of_methods(rows: Sequence[Row]) -> dict[str, BySplit]:
    """The rows by method and split, in the file's order, without those that failed."""
    found: dict[str, BySplit] = defaultdict(dict)
    for row in rows:
        if "error" not in row:
            found[row["method"]][row["split"]] = row
    return dict(found)


def mean_of(row: Row, metric: str) -> float:
    """A metric's mean over the starts."""
    return float(np.mean(row["metrics"][metric])) if metric in row["metrics"] else float("nan")


def by_split(rows: BySplit, metric: str) -> list[float]:
    return [mean_of(rows[split], metric) for split in sorted(rows)]


def difference(ours: BySplit, base: BySplit, metric: str) -> float:
    """The mean of ours less the other's, over the splits that both have."""
    both = ours.keys() & base.keys()
    return float(np.mean([mean_of(ours[split], metric) - mean_of(base[split], metric) for split in both]))


def below(methods: Mapping[str, BySplit], label: str, metrics: Sequence[str]) -> str:
    """Which bars a method's mean does not reach, by which metric; empty for the bars themselves and plain rows."""
    if label in PLAIN:
        return ""
    found = []
    for bar in BARS:
        if bar not in methods:
            continue
        lost = [name for name in metrics if difference(methods[label], methods[bar], name) < 0]
        if lost:
            found.append(f"{bar} ({', '.join(lost)})")
    return "; ".join(found) or "none"


def tested(ours: BySplit, base: BySplit, metric: str, kept: Kept) -> Tested:
    """A method against the reference, by the metric over splits and its values by user within one.

    ``auc`` is over all pairs and has no value by user; ``user_auc`` stands for it there.
    """
    splits = sorted(ours.keys() & base.keys())
    by_user = "user_auc" if metric == "auc" else metric
    within = [_within(kept, ours[split], base[split], by_user) for split in splits]
    t, rank = (twice_median([one[at] for one in within]) for at in (0, 1))
    means = [np.array([mean_of(rows[split], metric) for split in splits]) for rows in (ours, base)]
    over = strict = float("nan")
    if len(splits) > 1:
        first = ours[splits[0]]
        over = corrected_t(means[0], means[1], first["test_to_train"]).p
        strict = corrected_t(means[0], means[1], first["test_share"] / (1 - first["test_share"])).p
    return Tested(t, rank, over, strict)


def twice_median(p_values: Sequence[float]) -> float:
    """Twice the median, at most 1: a p-value of tests that depend on each other in any way."""
    known = [p for p in p_values if not np.isnan(p)]
    return min(1.0, 2 * float(np.median(known))) if len(known) > 1 else (known[0] if known else float("nan"))


def _within(kept: Kept, ours: Row, base: Row, metric: str) -> tuple[float, float]:
    one, other = kept.users(ours["run"]), kept.users(base["run"])
    if one is None or other is None:
        return float("nan"), float("nan")
    both = ~(np.isnan(one[metric]) | np.isnan(other[metric]))
    a, b = one[metric][both], other[metric][both]
    return paired_t(a, b), wilcoxon(a, b)


def accuracy(methods: Mapping[str, BySplit], metrics: Sequence[str]) -> str:
    """A row a method: metrics, log loss, the grid, what it is below, and time."""
    header = [
        "method",
        *metrics,
        "log loss raw",
        "calibrated",
        "constant's",
        "settings",
        "grid's median",
        "below",
        "s",
    ]
    table = [header]
    most = max(len(rows) for rows in methods.values())
    best = {name: max(np.mean(by_split(rows, name)) for rows in methods.values()) for name in metrics}
    for label, rows in methods.items():
        cells = []
        for name in metrics:
            values = by_split(rows, name)
            cell = mean_sd(values, 4)
            cells.append(f"**{cell}**" if np.mean(values) == best[name] else cell)
        losses = [_loss(rows, name) for name in ("log_loss", "calibrated_log_loss", "constant_log_loss")]
        first = next(iter(rows.values()))
        seconds = np.mean([row["seconds"] for row in rows.values()])
        shown = label if len(rows) == most else f"{label} ({len(rows)} of {most} splits)"
        cells += [*losses, str(first["settings"]), _median(rows, metrics), below(methods, label, metrics)]
        table.append([shown, *cells, f"{seconds:.2g}"])
    return markdown(table)


def _loss(rows: BySplit, name: str) -> str:
    values = by_split(rows, name)
    return "" if np.isnan(values).any() else f"{np.mean(values):.3f}"


def _median(rows: BySplit, metrics: Sequence[str]) -> str:
    grids = [row["grid"]["median"] for row in rows.values() if row.get("grid")]
    shown = [name for name in metrics if grids and name in grids[0]]
    return " / ".join(f"{np.mean([grid[name] for grid in grids]):.4f}" for name in shown)


def by_share(
    methods: Mapping[float, Mapping[str, BySplit]], labels: Sequence[str], reference: str, kept: Kept
) -> str:
    """AUC / NDCG@5 by the share of uniform pairs that is learned from, a row a method; * as `starred` says."""
    shares = sorted(methods)
    stars = {share: starred(methods[share], reference, kept) for share in shares}
    table = [["method", *(f"{100 * share:g} %" for share in shares)]]
    for label in labels:
        cells = []
        for share in shares:
            rows = methods[share].get(label)
            means = [] if rows is None else [np.mean(by_split(rows, name)) for name in ("auc", "ndcg@5")]
            star = "*" if label in stars[share] else ""
            cells.append(" / ".join(f"{mean:.4f}" for mean in means) + star)
        table.append([label, *cells])
    return markdown(table)


def starred(methods: Mapping[str, BySplit], reference: str, kept: Kept, level: float = 0.05) -> set[str]:
    """The methods whose AUC differs from the reference's over splits, corrected by Holm over the methods."""
    if reference not in methods:
        return set()
    others = [label for label in methods if label != reference]
    p = holm([tested(methods[label], methods[reference], "auc", kept).splits for label in others])
    return {label for label, one in zip(others, p, strict=True) if one < level}


def comparisons(methods: Mapping[str, BySplit], reference: str, metrics: Sequence[str], kept: Kept) -> str:
    """A row a method and metric: the difference to the reference and the corrected p-values."""
    if reference not in methods:
        return ""
    others = [label for label in methods if label != reference]
    tests = {
        "users_t": "p users, t",
        "users_wilcoxon": "p users, Wilcoxon",
        "splits": "p splits",
        "strict": "p splits, strict",
    }
    header = ["method", "metric", f"minus {reference}", *tests.values()]
    table = [header]
    for metric in metrics:
        found = [tested(methods[label], methods[reference], metric, kept) for label in others]
        columns = [holm([getattr(one, name) for one in found]) for name in tests]
        for at, label in enumerate(others):
            gain = difference(methods[label], methods[reference], metric)
            table.append([label, metric, f"{gain:+.4f}", *(p_value(column[at]) for column in columns)])
    return markdown(table)
