"""The README.md of a run folder: what the model is, what it reached, how to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyrec.cli.finished_run import Run
from pyrec.cli.measured import users_in_words
from pyrec.cli.pairs import AtRandom
from pyrec.evaluate.tables import metric_rows
from pyrec.models import Estimator
from pyrec.version import version

FILES = {
    "model.safetensors": "what the model learned, its training interactions and the raw ids",
    "config.json": "the model's name, hyperparameters and data",
    "metrics.json": "the metrics on the test set",
    "item_names.json": "what the items are called, by raw id",
    "history.jsonl": "a record for each epoch",
    "curves.png": "loss and accuracy by epoch",
    "layer_weights.png": "how much each layer weighs",
    "calibration.png": "how often pairs shown at random were liked, by their probability",
}

UNMEASURED = (
    "Nothing was measured: the model learned from every interaction, and none was left to measure on."
)


def model_card(run: Run, files: Sequence[str]) -> str:
    """Return the card's Markdown.

    Args:
        run: The finished run.
        files: Names of the files in its folder.
    """
    kind = type(run.model).__name__
    sections = {
        "Metrics": _metrics_text(run),
        "Data": _data_text(run),
        "Hyperparameters": parameters_text(run.model),
        "Use": _use_text(run, kind),
    }
    return card(f"{run.label} on {run.data.name}", kind, run.seconds_train, sections, files, FILES)


def card(
    title: str,
    kind: str,
    seconds: float,
    sections: Mapping[str, str],
    files: Sequence[str],
    known: Mapping[str, str],
) -> str:
    """Return a card's Markdown.

    Args:
        title: Its first line.
        kind: The name of the model's class.
        seconds: That training took.
        sections: Texts by their headings.
        files: Names of the files beside it.
        known: What files hold, by name; others are not told of.
    """
    listed = [[f"`{name}`", known[name]] for name in files if name in known]
    parts = [f"# {title}", f"{kind}, trained with pyrec {version()} in {seconds:.1f} s."]
    parts += [f"## {heading}\n\n{text}" for heading, text in sections.items()]
    parts.append("## Files\n\n" + markdown([["file", "what"], *listed]))
    return "\n\n".join(parts) + "\n"


def parameters_text(model: Estimator) -> str:
    """Return a table of the hyperparameters."""
    rows = [[f"`{name}`", f"`{value!r}`"] for name, value in model.flat_params().items()]
    return markdown([["name", "value"], *rows]) if rows else "None."


def _metrics_text(run: Run) -> str:
    if run.evaluation is None:
        return UNMEASURED + _validation_text(run)
    table = markdown(metric_rows(run.columns()), "---:")
    before = [] if run.at_random is None else [_at_random_text(run.at_random), ""]
    lines = [
        *before,
        f"Means over {users_in_words(run.evaluation)}.",
        "What a user had in training is never recommended.",
        *(f"{note[0].upper()}{note[1:]}." for note in run.evaluation.notes),
    ]
    return "\n".join(lines) + f"\n\n{table}"


def _at_random_text(found: AtRandom) -> str:
    notes = "\n".join(f"- {note}" for note in found.notes)
    tables = "\n\n".join(markdown(rows, "---:") for rows in (found.rows(), found.list_rows()))
    return f"From {found.over()}.\n\n{tables}\n\n{notes}\n\nWhich of the liked pairs are in the lists:\n"


def _validation_text(run: Run) -> str:
    if not run.validation:
        return ""
    rows = [["on the held-out share", "value"], *([name, f"{x:.4f}"] for name, x in run.validation.items())]
    return f" Epoch {run.best_epoch} was kept, chosen on a held-out share.\n\n{markdown(rows, '---:')}"


def _data_text(run: Run) -> str:
    rows = [
        ["", "value"],
        ["users", f"{run.data.train.num_users:,}"],
        ["items", f"{run.data.train.num_items:,}"],
        ["training interactions", f"{len(run.data.train):,}"],
        ["test interactions", "none" if run.data.test is None else f"{len(run.data.test):,}"],
    ]
    rows += [[name, f"`{value}`"] for name, value in run.source.as_json().items() if value is not None]
    return markdown(rows)


def _use_text(run: Run, class_name: str) -> str:
    other = " OTHER_DATA" if run.data.test is None else ""
    return f"""```python
from pyrec.models import {class_name}

model = {class_name}.load("this folder")
items, scores = model.recommend([user_id], n=10)
items, scores = model.recommend_for_items([[item_id, item_id]], n=10)  # a new user
```

```
pyrec recommend "this folder" --users 1,2,3
pyrec evaluate "this folder"{other}
```"""


def markdown(rows: Sequence[Sequence[str]], rule: str = "---") -> str:
    """Return a table, the columns after the first aligned by ``rule``."""
    rules = ["---"] + [rule] * (len(rows[0]) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rules, *rows[1:]])
