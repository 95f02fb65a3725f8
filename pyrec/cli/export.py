"""``pyrec export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pyrec.cli.family import refuse_news
from pyrec.cli.output import note
from pyrec.cli.run_folder import read_metrics
from pyrec.export.files import FORMATS, MANIFEST, export
from pyrec.models import Recommender


@click.command("export")
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option(
    "--to", "folder", required=True, metavar="FOLDER", type=click.Path(path_type=Path), help="Where to write."
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(list(FORMATS)),
    default="numpy",
    show_default=True,
    help="Files of vectors; faiss and usearch write an index over the items beside NumPy's files.",
)
def command(run_dir: Path, folder: Path, layout: str) -> None:
    """Write the user and item vectors of the model in RUN_DIR, with raw ids and a model card."""
    refuse_news(run_dir, "pyrec export", "from Python, model.save keeps it and pyrec serve answers with it")
    export(Recommender.load(run_dir), folder, layout, _metrics(run_dir))
    note(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    click.echo(folder / MANIFEST)


def _metrics(run_dir: Path) -> dict[str, float]:
    """Return the metrics of a run folder, if some test users are cold also over the others; none without its file."""
    values = read_metrics(run_dir)
    found = _floats(values)
    if values.get("num_cold_users") and isinstance(values.get("warm"), dict):
        found |= {f"{name}, warm": value for name, value in _floats(values["warm"]).items()}
    return found


def _floats(values: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in values.items() if "@" in name and isinstance(value, float)}
