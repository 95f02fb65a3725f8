"""Models of news by content, and with popularity, beside popularity alone.

    OMP_NUM_THREADS=1 python -m bench.accuracy.news run DATA_FOLDER --part choosing
    OMP_NUM_THREADS=1 python -m bench.accuracy.news run DATA_FOLDER
    python -m bench.accuracy.news table

DATA_FOLDER is EB-NeRD demo. What is run stands in ``bench/accuracy/news.yaml``; rows go into
``bench/accuracy/results/news.jsonl``, and those that it has are not made again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pyrec.errors import PyrecError

from ..debias.runs import Kept
from .plan import read
from .runs import PARTS, run_all
from .tables import write

HERE = Path(__file__).parent.parent
PLAN = HERE / "news.yaml"
OUT = HERE / "results" / "news.jsonl"
TABLES = HERE / "results" / "news.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; the status is 1 if a run failed, 2 if an argument or a file is at fault."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy.news", description=__doc__)
    parser.add_argument("command", choices=["run", "table"])
    parser.add_argument("folder", type=Path, nargs="?", help="EB-NeRD's folder")
    parser.add_argument("--plan", type=Path, default=PLAN, help="the YAML file")
    parser.add_argument("--out", type=Path, default=OUT, help="the JSONL file of rows")
    parser.add_argument("--tables", type=Path, default=TABLES, help="the Markdown file of tables")
    parser.add_argument("--part", choices=PARTS, default="validation", help="what is measured on")
    parser.add_argument("--only", help="labels with semicolons between")
    parser.add_argument("--seeds", type=int, help="the first so many seeds alone")
    options = parser.parse_args(argv)
    try:
        plan = read(options.plan)
        if options.command == "table":
            write(plan, Kept(options.out), options.tables)
            return 0
        if options.folder is None:
            parser.error("run needs the data's folder")
        only = None if options.only is None else [label.strip() for label in options.only.split(";")]
        return int(run_all(plan.of(only), options.folder, options.part, Kept(options.out), options.seeds) > 0)
    except PyrecError as error:
        print(f"news: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
