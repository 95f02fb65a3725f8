"""The tables of a report: data, hyperparameters, and metrics beside popularity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pyrec.evaluate.compare import Difference, compare
from pyrec.evaluate.item_metrics import ITEM_METRICS, item_metrics
from pyrec.look.report.data import ReportData

CARDS = ("recall", "ndcg", "precision", "coverage")
MEANING = {
    "precision": "hits among the k recommended items, over k",
    "recall": "hits over the user's test items",
    "ndcg": "hits weighed by 1 / log2(place + 1), over the best possible",
    "hit": "users with any hit",
    "mrr": "1 / place of the first hit",
    "map": "precision at each hit, over min(k, test items)",
    "coverage": "share of all items that anybody is recommended",
    "popularity": "mean number of training users of a recommended item",
    "popularity_rank": "mean place of a recommended item by popularity, from 1, over the number of items",
    "novelty": "mean of -log2(share of users who had the item, one user at least), in bits",
    "head": "share of the recommendations that go to the most popular fifth of the items",
    "gini": "0 if all items are recommended equally often, near 1 if a few take all",
}
"""What each metric is, in a line."""


@dataclass(frozen=True)
class Card:
    """A figure shown large."""

    name: str
    value: str
    beside: str


def cards(data: ReportData) -> list[Card]:
    """Return the figures to show large, at the largest cut-off; beside them those over warm users, if some are cold."""
    ours, base = data.evaluation, data.baseline
    shown = []
    for name in (f"{name}@{data.k}" for name in CARDS):
        beside = f"popularity {base[name]:.4f}"
        if data.has_both:
            beside += f"; warm users {ours.warm_metrics[name]:.4f}, popularity {base.warm_metrics[name]:.4f}"
        shown.append(Card(name, f"{ours[name]:.4f}", beside))
    return shown


def metric_tables(data: ReportData) -> list[tuple[str, list[list[str]]]]:
    """Return a title and rows (metric, model, popularity, difference, interval, p) for each cut-off.

    If some test users are cold, the same over the warm ones follows.
    """
    if not data.has_both:
        return _tables(data, "all", "")
    num_warm = data.evaluation.counts.num_warm_users
    everybody = f", all {len(data.users):,} test users"
    return _tables(data, "all", everybody) + _tables(data, "warm", f", the {num_warm:,} warm users")


def _tables(data: ReportData, users: Literal["all", "warm"], who: str) -> list[tuple[str, list[list[str]]]]:
    tables: dict[str, list[list[str]]] = {}
    for row in compare(data.baseline, data.evaluation, users):
        name, _, cutoff = row.metric.partition("@")
        tables.setdefault(cutoff, []).append(_cells(name, row))
    return [(f"{cutoff} items recommended{who}", rows) for cutoff, rows in tables.items()]


def _cells(name: str, row: Difference) -> list[str]:
    tested = not math.isnan(row.half)
    digits = _digits(name)
    return [
        name.replace("_", " "),
        f"{row.second:,.{digits}f}",
        f"{row.first:,.{digits}f}",
        f"{row.difference:+,.{digits}f}",
        f"± {row.half:.4f}" if tested else "",
        "" if math.isnan(row.p_t) else ("< 1e-4" if row.p_t < 1e-4 else f"{row.p_t:.4f}"),
    ]


def exposure_rows(data: ReportData) -> list[list[str]]:
    """Return rows (metric, model, popularity, training) of what the lists do to the items, at the largest cut-off."""
    users_of = data.users_of_items
    training = item_metrics(users_of, users_of, data.train.num_users)
    rows = []
    for name in ITEM_METRICS:
        values = (
            *(one[f"{name}@{data.k}"] for one in (data.evaluation, data.baseline)),
            training[name],
        )
        rows.append([name.replace("_", " "), *(f"{value:,.{_digits(name)}f}" for value in values)])
    return rows


def _digits(name: str) -> int:
    return 1 if name == "popularity" else 4


def data_rows(data: ReportData) -> list[tuple[str, str]]:
    """Return what there is to say about the data, a name and a value each."""
    train, test = data.train, data.test
    cells = train.num_users * train.num_items
    counts = data.evaluation.counts
    rows = [
        ("users", f"{train.num_users:,}"),
        ("items", f"{train.num_items:,}"),
        ("training interactions", f"{len(train):,}"),
        ("test interactions", f"{len(test):,}"),
        ("users with test items", f"{len(data.users):,}"),
        ("of them cold, without training interactions", f"{counts.num_cold_users:,}"),
        ("items with test interactions", f"{counts.num_items:,}"),
        ("cold items among them", f"{counts.num_cold_items:,}"),
        ("test interactions with cold items", f"{counts.num_cold_interactions:,}"),
        ("density of training", f"{len(train) / cells:.3%}"),
        ("training items of a user, median", f"{np.median(data.items_of_users):,.0f}"),
        ("training users of an item, median", f"{np.median(data.users_of_items):,.0f}"),
    ]
    return rows + [
        (name.replace("_", " "), str(value)) for name, value in data.settings.items() if value is not None
    ]


def parameter_rows(data: ReportData) -> list[tuple[str, str]]:
    """Return the hyperparameters, a name and a value each."""
    return [(name, repr(value)) for name, value in data.model.flat_params().items()]


def summary(data: ReportData) -> str:
    """Return the report's first sentence."""
    recall, base = (one[f"recall@{data.k}"] for one in (data.evaluation, data.baseline))
    against = f", {recall / base:.2f} times what popularity finds" if base > 0 else ""
    trained = "" if data.seconds_train is None else f" It was trained in {data.seconds_train:,.1f} s."
    return (
        f"In the {data.k} items that {data.label} recommends to each of {len(data.users):,} users of "
        f"{data.data_name} are {recall:.1%} of their test items (mean over users){against}.{trained}"
    )
