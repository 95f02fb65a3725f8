"""``python -m bench.accuracy.minutes --peer NAME=PYTHON ...``: the race, or with ``--table`` its tables and pictures.

NAME is the first word of a contender's script, such as irspack, and PYTHON an environment that has what it imports;
without one it is this Python. A row that the results file has is not run again. A search's parameters are kept, too,
so that the race itself can be run on a quiet machine afterwards.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from ..debias.runs import Kept, Row, processor
from . import files, tables
from .contenders import Contender, Race, python_of, read, run
from .search import search

ACCURACY = Path(__file__).parent.parent


def race(plan: Race, data: str, kept: Kept, peers: Mapping[str, str], only_search: bool) -> None:
    """Searches and runs what is missing on a data set."""
    with tempfile.TemporaryDirectory() as made:
        folder = files.write(data, plan.splits[data], Path(made))
        for contender in plan.contenders(data):
            have = {row["run"]: row for row in kept.rows()}
            names = {of: named(of, data, contender) for of in ("search", "race")}
            chosen = have.get(names["search"]["run"])
            if chosen is None:
                chosen = names["search"] | search(contender, folder, peers, plan.threads, plan.trials)
                kept.append(chosen)
                print(chosen, file=sys.stderr, flush=True)
            if only_search or names["race"]["run"] in have:
                continue
            python = python_of(contender.script, peers)
            row = names["race"] | run(contender, chosen["params"], folder, python, plan.threads)
            kept.append({**row, "date": str(date.today()), "processor": processor()})
            print(row, file=sys.stderr, flush=True)


def named(of: str, data: str, contender: Contender) -> Row:
    """What tells a row: what it is of, ``search`` or ``race``, the data set and the contender."""
    return {"run": f"{of}, {data}, {contender.label}", "of": of, "data": data, "label": contender.label}


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
    tables.write(plan, kept.rows(), options.out.with_suffix(".md"))


if __name__ == "__main__":
    main()
