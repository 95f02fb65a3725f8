"""The report on a run folder: its history and times beside the model that is measured again."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyrec.cli.run_folder import read_history, read_metrics
from pyrec.cli.sources import Source
from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.models import Recommender


def report_run(
    run_dir: Path,
    data_name: str,
    source: Source,
    model: Recommender,
    test: Interactions,
    k: Sequence[int],
    item_names: Path | None,
    path: Path,
) -> None:
    """Write the report of a run; see `pyrec.report.write_report`.

    Raises:
        ConfigError: If matplotlib or Jinja is missing.
        DataError: If a file of the run or of names cannot be read, or the report not be written.
    """
    from pyrec.report import write_report

    metrics = read_metrics(run_dir)
    write_report(
        path,
        model,
        test,
        k=k,
        data_name=data_name,
        history=read_history(run_dir),
        seconds_train=metrics.get("seconds_train"),
        settings=source.as_json(),
        item_names=None if item_names is None else read_names(item_names, model.train_),
    )


def read_names(path: Path, train: Interactions) -> dict[Any, str]:
    """Return what items are called, by raw id, from lines ``ITEM,NAME`` (or with tabs, or ``|``).

    Columns beyond the second, and items that the model does not know, such as those of a header, are left out. Text
    that is not UTF-8 is taken for Latin-1.

    Raises:
        DataError: If the file cannot be read, a line has one column, or no item is known.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        lines = content.decode("latin-1").splitlines()
    first = lines[0] if lines else ""
    delimiter = next((sign for sign in ("\t", "|", ",") if sign in first), ",")
    known = {str(raw): raw for raw in train.item_ids.tolist()}
    names: dict[Any, str] = {}
    plain = delimiter != ","  # quotation marks are then part of a name
    rows = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL)
    for number, row in enumerate(rows, start=1):
        if len(row) == 1:
            raise DataError(f"{path}:{number} has one column, {row[0][:40]!r}; a line is ITEM,NAME")
        if row and row[0] in known:
            names[known[row[0]]] = row[1]
    if not names:
        raise DataError(f"{path} names none of the model's items; its first column holds their ids")
    return names
