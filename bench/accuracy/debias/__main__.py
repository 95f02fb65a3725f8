"""Debiasing methods beside plain baselines.

    OMP_NUM_THREADS=1 python -m bench.accuracy.debias run DATA_FOLDER --jobs 2
    python -m bench.accuracy.debias table

DATA_FOLDER holds coat and simulation. What is run stands in ``bench/accuracy/debias.yaml``; rows go into
``bench/accuracy/results/debias.jsonl``, and those that it has are not made again. A job is a split with all its
methods.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pyrec.errors import PyrecError

from .jobs import run_jobs
from .plan import read
from .report import write
from .runs import Kept

HERE = Path(__file__).parent.parent
PLAN = HERE / "debias.yaml"
OUT = HERE / "results" / "debias.jsonl"
TABLES = HERE / "results" / "debias.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; the status is 1 if a run failed, 2 if an argument or a file is at fault."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy.debias", description=__doc__)
    parser.add_argument("command", choices=["run", "table"])
    parser.add_argument("folder", type=Path, nargs="?", help="the folder with coat and simulation")
    parser.add_argument("--plan", type=Path, default=PLAN, help="the YAML file")
    parser.add_argument("--out", type=Path, default=OUT, help="the JSONL file of rows")
    parser.add_argument("--tables", type=Path, default=TABLES, help="the Markdown file of tables")
    parser.add_argument("--only", action="append", help="a protocol; may be given several times")
    parser.add_argument("--methods", help="labels, comma separated with a semicolon: 'EASE; MF, biased'")
    parser.add_argument("--splits", type=int, help="the first so many splits alone")
    parser.add_argument("--jobs", type=int, default=1, help="splits at a time")
    options = parser.parse_args(argv)
    try:
        plan = read(options.plan)
        if options.command == "table":
            write(plan, Kept(options.out), options.tables)
            return 0
        if options.folder is None:
            parser.error("run needs the data's folder")
        if options.methods:
            plan = plan.of([label.strip() for label in options.methods.split(";")])
        jobs = list(plan.jobs(options.only, options.splits))
        return int(run_jobs(plan, options.folder, jobs, options.out, options.jobs) > 0)
    except PyrecError as error:
        print(f"debias: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
