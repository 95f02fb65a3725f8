"""``python -m bench.accuracy.minutes --peer NAME=PYTHON ...``: the race, or with ``--table`` its tables and pictures.

NAME is the first word of a contender's script, such as irspack, and PYTHON an environment that has what it imports;
without one it is this Python. A row that the results file has is not run again. A search's parameters are kept, too,
so that the race itself can be run on a quiet machine afterwards.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from . import files, tables
from .contenders import Race, python_of, read, run
from .search import search

ACCURACY = Path(__file__).parent.parent
Row = dict[str, Any]


class Kept:
    """A JSONL file of rows, by data set, label and what a row is of: ``search`` or ``race``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows = [json.loads(line) for line in lines]

    def find(self, of: str, data: str, label: str) -> Row | None:
        """The last such row."""
        found = [row for row in self.rows if (row["of"], row["data"], row["label"]) == (of, data, label)]
        return found[-1] if found else None

    def add(self, row: Row) -> None:
        """Appends a row."""
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def race(plan: Race, data: str, kept: Kept, peers: Mapping[str, str], only_search: bool) -> None:
    """Searches and runs what is missing on a data set."""
    with tempfile.TemporaryDirectory() as made:
        folder = files.write(data, plan.splits[data], Path(made))
        for contender in plan.contenders(data):
            names = {"data": data, "label": contender.label}
            chosen = kept.find("search", **names)
            if chosen is None:
                chosen = {"of": "search", **names}
                chosen |= search(contender, folder, peers, plan.threads, plan.trials)
                kept.add(chosen)
                print(chosen, file=sys.stderr, flush=True)
            if only_search or kept.find("race", **names):
                continue
            python = python_of(contender.script, peers)
            row = run(contender, chosen["params"], folder, python, plan.threads)
            kept.add({"of": "race", **names, **row, "date": str(date.today()), "machine": platform.machine()})
            print(row, file=sys.stderr, flush=True)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy.minutes", description=__doc__)
    parser.add_argument("--plan", type=Path, default=ACCURACY / "minutes.yaml")
    parser.add_argument("--out", type=Path, default=ACCURACY / "results/minutes.jsonl")
    parser.add_argument("--peer", nargs="*", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--data", nargs="*")
    parser.add_argument("--only-search", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    plan, kept = read(options.plan), Kept(options.out)
    if not options.table:
        for data in options.data or plan.splits:
            race(plan, data, kept, dict(one.split("=", 1) for one in options.peer), options.only_search)
    tables.write(plan, kept.rows, options.out.with_suffix(".md"))


if __name__ == "__main__":
    main()
