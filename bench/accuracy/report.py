"""``python -m bench.accuracy.report results.jsonl ... --grid GRID.yaml``: tables, tests and pictures of a grid.

Prints the Markdown, and keeps it with the pictures in ``--folder``. Only rows of the grid's runs count.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from pyrec.errors import PyrecError
from pyrec.look.plots import plot_gain

from . import grid as grids
from .grid import Grid, key_of
from .paired import Comparison, compare, correct
from .pairs import common_splits, finished, pair_runs, pair_users, select, user_means
from .pictures import draw_curves, draw_layer_weights
from .results import Arrays, Row, Store
from .tables import accuracy_table, comparison_table, failures

HERE = Path(__file__).parent
EXPLAINED = (
    "Mean ± standard deviation over seeds and splits. Gains are relative, with 95 % intervals over users; p-values "
    "are two-sided, paired and corrected by Holm over the metrics of a table. Splits of one data set share "
    "interactions, so p over folds and seeds is optimistic; p over users is the one to rely on."
)


class Report:
    """A grid's rows, and the sections that tell of them."""

    def __init__(self, grid: Grid, stores: Sequence[Store], folder: Path) -> None:
        """Reads the rows; of a run that several files have, the last file's counts.

        Raises:
            DataError: If a file is no results file.
        """
        self.grid, self.folder = grid, folder
        homes = [(key, row, store) for store in stores for key, row in store.rows().items()]
        self.rows = select(grid, {key: row for key, row, _ in homes})
        self._home = {key: store for key, _, store in homes}
        self.load = cache(self._load)

    def _load(self, key: str) -> Arrays | None:
        return self._home[key].arrays(key)

    def arrays(self, row: Row) -> Arrays | None:
        """A run's arrays, or None where they are not kept."""
        return self.load(key_of(row))

    def markdown(self) -> str:
        """The whole report; writes its pictures."""
        sections = [self._section(data) for data in self.rows]
        if not sections:
            return "No run of this grid is in these files.\n"
        return "\n\n".join([EXPLAINED, *(text for section in sections for text in section)]) + "\n"

    def _section(self, data: str) -> list[str]:
        by_label = self.rows[data]
        text = [f"## {data}", accuracy_table(by_label, self.grid.cutoffs)]
        if failed := failures(by_label):
            text.append(f"Failed:\n\n{failed}")
        text += self._curves(data)
        text += [part for label in by_label for part in self._layer_weights(data, label)]
        text += [part for pair in self.grid.compare for part in self._comparison(data, *pair)]
        return text

    def _comparison(self, data: str, ours: str, base: str) -> list[str]:
        rows = [self.rows[data].get(label, []) for label in (ours, base)]
        if not common_splits(rows[0], rows[1])[0]:
            return []
        heading = f"### {data}: {ours} against {base}"
        family = self.compare(data, ours, base)
        if not family:
            return [
                heading,
                "No test over users: the runs' arrays are not beside the JSONL file; run the grid here.",
            ]
        return [heading, comparison_table(family, ours, base), *self._gain(data, ours, base)]

    def compare(self, data: str, ours: str, base: str) -> list[Comparison]:
        """The comparison of two models on a data set, corrected; empty where arrays are not kept."""
        mine, other = self.rows[data][ours], self.rows[data][base]
        family = []
        for metric in self.grid.metrics:
            users = pair_users(mine, other, metric, self.arrays)
            if not len(users[0]):
                return []
            family.append(compare(metric, users, pair_runs(mine, other, metric)))
        return correct(family)

    def _gain(self, data: str, ours: str, base: str) -> list[str]:
        metric = self.grid.metrics[-1]
        mine, other = common_splits(self.rows[data][ours], self.rows[data][base])
        degrees = user_means(mine, "user_degree", self.arrays)
        values = [user_means(rows, metric, self.arrays) for rows in (mine, other)]
        both = sorted(values[0].keys() & values[1].keys())
        columns = [np.array([of[user] for user in both]) for of in values]
        path = self._path("gain", data, ours, base)
        degree = np.rint([degrees[user] for user in both]).astype(np.int64)
        plot_gain(degree, *columns, path, f"{data}: {ours} against {base}", metric)
        return [f"![Gain by user activity]({path.name})"]

    def _curves(self, data: str) -> list[str]:
        """The curves of the runs on the first split."""
        first = next(run.split for run in self.grid.runs if run.data == data)
        runs = {label: self._loaded(rows, first) for label, rows in self.rows[data].items()}
        path = self._path("curves", data)
        drawn = draw_curves(runs, max(self.grid.cutoffs), path, f"{data}, split {first}")
        return [f"![Learning curves]({path.name})"] if drawn else []

    def _layer_weights(self, data: str, label: str) -> list[str]:
        """The weights of one run, since those of others look alike."""
        path = self._path("layer-weights", data, label)
        for arrays in self._loaded(self.rows[data][label])[:1]:
            if draw_layer_weights(arrays, path, f"{data}: {label}"):
                return [f"![Weights of the layers, {label}]({path.name})"]
        return []

    def _loaded(self, rows: list[Row], split: str | None = None) -> list[Arrays]:
        chosen = [row for row in finished(rows) if split is None or row["split"] == split]
        return [arrays for row in chosen if (arrays := self.arrays(row)) is not None]

    def _path(self, *words: str) -> Path:
        return self.folder / (re.sub(r"[^\w.-]+", "-", "-".join(words)) + ".png")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; the status is 2 if the grid or a file is at fault."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy.report", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="JSONL files that bench.accuracy.run wrote")
    parser.add_argument("--grid", type=Path, default=HERE / "grid.yaml", help="whose runs to report")
    parser.add_argument(
        "--folder", type=Path, default=HERE / "results", help="where report.md and pictures go"
    )
    options = parser.parse_args(argv)
    try:
        report = Report(grids.read(options.grid), [Store(path) for path in options.results], options.folder)
        text = report.markdown()
    except PyrecError as error:
        print(f"accuracy: error: {error}", file=sys.stderr)
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "report.md").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
