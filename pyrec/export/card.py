"""The README.md of an export: what the vectors are of, what the model reached, and how to read each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

VECTOR_FILES = {
    "users.npz": "`ids` and `vectors` of the users",
    "items.npz": "`ids` and `vectors` of the items",
    "users.parquet": "columns `id` and `vector`, a row for each user",
    "items.parquet": "columns `id` and `vector`, a row for each item",
    "items.faiss": "a flat index of FAISS by inner product; its keys are the rows of `items.npz`",
    "items.usearch": "an index of usearch by inner product; its keys are the rows of `items.npz`",
}

_READ_NUMPY = """users, items = np.load("users.npz"), np.load("items.npz")
query = users["vectors"][users["ids"] == user_id]
"""
_USE = {
    "numpy": f"""import numpy as np

{_READ_NUMPY}scores = query @ items["vectors"].T
best = items["ids"][np.argsort(-scores[0], kind="stable")[:10]]""",
    "parquet": """import numpy as np
import pyarrow.parquet as pq

users, items = pq.read_table("users.parquet"), pq.read_table("items.parquet")
user_vectors = np.stack(users["vector"].to_numpy())
item_vectors = np.stack(items["vector"].to_numpy())
scores = user_vectors[:1] @ item_vectors.T
best = items["id"].take(np.argsort(-scores[0], kind="stable")[:10])""",
    "faiss": f"""import faiss
import numpy as np

{_READ_NUMPY}scores, rows = faiss.read_index("items.faiss").search(query, 10)
best = items["ids"][rows]""",
    "usearch": f"""import numpy as np
from usearch.index import Index

{_READ_NUMPY}found = Index.restore("items.usearch").search(query, 10)  # exact=True compares with every item
best = items["ids"][found.keys.astype(int)]""",
}


def export_card(facts: Mapping[str, Any], files: Sequence[str], metrics: Mapping[str, float]) -> str:
    """Return the card's Markdown.

    Args:
        facts: What ``export.json`` holds, the hyperparameters by their paths.
        files: Names of the files with vectors.
        metrics: What the model reaches; may be empty.
    """
    params = [f"- `{name}`: `{value!r}`" for name, value in facts["params"].items()]
    sections = [
        f"# Vectors of a {facts['model']} model",
        f"{facts['num_users']:,} users and {facts['num_items']:,} items, {facts['dim']} dimensions each, float32; "
        f"written by pyrec {facts['pyrec']}.\n"
        "A user's score for an item is the inner product of their vectors: the larger the better. What a user has "
        "seen is not left out here;\n"
        "ask for as many more and drop it.",
        *_cold_users(facts),
        "## Files\n\n" + "\n".join(f"- `{name}`: {VECTOR_FILES[name]}" for name in files),
        f"## Use\n\n```python\n{_USE[facts['format']]}\n```",
    ]
    if metrics:
        listed = "\n".join(f"- {name}: {value:.4f}" for name, value in metrics.items())
        told = "On the run's test interactions, seen items left out, means over all test users"
        if any(name.endswith(", warm") for name in metrics):
            told += " and, warm, over those with training interactions"
        sections.append(f"## Metrics\n\n{told}:\n\n{listed}")
    sections.append("## Hyperparameters\n\n" + ("\n".join(params) if params else "None."))
    return "\n\n".join(sections) + "\n"


def _cold_users(facts: Mapping[str, Any]) -> list[str]:
    """Return what is to be said of users whose vectors say nothing."""
    cold = facts["num_cold_users"]
    if not cold:
        return []
    return [
        f"{cold:,} of the users have no training interaction: their vectors say nothing. `model.recommend` gives them "
        "the most popular items;\nso do the vectors of `pyrec.Popularity`."
    ]
