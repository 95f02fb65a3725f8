"""``python -m bench.accuracy.ease_neighbors DATA OUT.json``: what EASE is worth with fewer weights of each item.

MovieLens latest-small, ratings from 4, the random split of seed 0, reg 400 (the default, not chosen here). EASE draws
nothing, so there are no seeds.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pyrec

KEPT = (None, 1000, 300, 100, 50, 20)


def measure(data: Path) -> list[dict[str, object]]:
    """A row for each number of weights: bytes of the saved model, recall and ndcg at 20."""
    ratings = pyrec.data.read_interactions(data / "ml-latest-small" / "ratings.csv", min_rating=4)
    train, test = pyrec.data.split_random(ratings)
    rows: list[dict[str, object]] = []
    for kept in KEPT:
        model = pyrec.EASE(400.0, kept).fit(train)
        with tempfile.TemporaryDirectory() as folder:
            model.save(folder)
            size = sum(path.stat().st_size for path in Path(folder).iterdir())
        metrics = pyrec.evaluate(model, test, 20, ["recall", "ndcg"]).metrics
        rows.append({"neighbors": kept, "reg": 400.0, "split": "random, seed 0", "bytes": size, **metrics})
    return rows


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(measure(Path(sys.argv[1])), indent=1) + "\n")
