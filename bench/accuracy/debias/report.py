"""The Markdown file: a table of accuracy and one of tests for each protocol."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..tables import markdown, mean_sd
from .plan import Entry, Plan
from .runs import Kept, Row
from .tables import accuracy, by_share, comparisons, of_methods

AUTHORS = "debias_authors.jsonl"


def write(plan: Plan, kept: Kept, path: Path) -> None:
    """Writes the tables of every protocol that has rows."""
    by_protocol: dict[str, list[Row]] = defaultdict(list)
    for row in kept.rows():
        by_protocol[row["protocol"]].append(row)
    have = [entry for entry in plan.entries if by_protocol[entry.protocol.name]]
    ordered = {entry.protocol.name: in_order(plan, by_protocol[entry.protocol.name]) for entry in have}
    whole = [entry for entry in have if entry.protocol.share is None]
    parts = [section(entry, ordered[entry.protocol.name], kept) for entry in whole]
    by_data: dict[str, list[Entry]] = defaultdict(list)
    for entry in have:
        if entry.protocol.share is not None:
            by_data[entry.protocol.data].append(entry)
    parts += [of_shares(entries, ordered, kept) for entries in by_data.values()]
    authors = kept.path.with_name(AUTHORS)
    if authors.exists():
        parts.append(of_authors([json.loads(line) for line in authors.read_text().splitlines()]))
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def in_order(plan: Plan, rows: list[Row]) -> list[Row]:
    """Rows in the order of the file's methods; rows of others are left out."""
    place = {method.label: at for at, method in enumerate(plan.methods)}
    return sorted((row for row in rows if row["method"] in place), key=lambda row: place[row["method"]])


def section(entry: Entry, rows: list[Row], kept: Kept) -> str:
    """A protocol's tables."""
    methods = of_methods(rows)
    failed = [f"- {row['run']}: {row['error']}" for row in rows if "error" in row]
    splits = max((len(found) for found in methods.values()), default=0)
    starts = max(
        (len(row["metrics"]["auc"]) for found in methods.values() for row in found.values()), default=0
    )
    of_splits = "1 split" if splits == 1 else f"{splits} splits"
    told = f"{of_splits}, {starts} starts; settings chosen by `{entry.criterion}`. Mean ± sd over the splits."
    parts = [f"### {entry.title}", told, accuracy(methods, entry.metrics)]
    parts += ["p-values, corrected by Holm over the methods:"]
    parts += [comparisons(methods, entry.reference, entry.metrics, kept), *failed]
    return "\n\n".join(part for part in parts if part)


def of_shares(entries: list[Entry], rows: Mapping[str, list[Row]], kept: Kept) -> str:
    """A table of the protocols of a data set that differ in the share of uniform pairs to learn from."""
    methods = {entry.protocol.share or 0.0: of_methods(rows[entry.protocol.name]) for entry in entries}
    first = entries[0]
    splits = max(len(found) for share in methods.values() for found in share.values())
    told = (
        f"AUC / NDCG@5 on the same 45 %, {splits} splits; searched settings are chosen by `{first.criterion}`. "
        f"* AUC differs from that of {first.reference}: p < .05 over splits, by Nadeau and Bengio, corrected by Holm."
    )
    return f"### Shares of the uniform pairs: {first.protocol.data}\n\n{told}\n\n" + by_share(
        methods, first.methods, first.reference, kept
    )


def of_authors(rows: list[dict[str, Any]]) -> str:
    """What the code of AutoDebias' authors gives, a row a method."""
    by_method: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_method[row["method"]].append(row)
    table = [["method", "auc", "user_auc", "ndcg@5", "log loss", "s", "seeds"]]
    for label, own in by_method.items():
        done = [row for row in own if "error" not in row]
        cells = [
            mean_sd([row[name] for row in done], 4) for name in ("auc", "user_auc", "ndcg@5", "log_loss")
        ]
        seconds = [row["seconds"] for row in done if row["seconds"] is not None]
        lost = f"{len(done)}, {len(own) - len(done)} diverged" if len(done) < len(own) else str(len(done))
        table.append([label, *cells, f"{np.mean(seconds):.0f}" if seconds else "", lost])
    return "### The authors' code on the simulation\n\n" + markdown(table)
