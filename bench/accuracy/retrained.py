"""``python -m bench.accuracy.retrained DATA OUT.json``: what it is worth to train again on everything.

LightGCN with its defaults, 64 dimensions, seed 0, on MovieLens latest-small (ratings from 4), in three random splits
of 80 %. The epoch is chosen on a tenth of the training part (patience 5, at most 30 epochs). Then the model learns
from the whole training part for as many epochs. Nothing is chosen by the test part.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyrec
from pyrec import EarlyStopping, LightGCN


def measure(data: Path) -> list[dict[str, object]]:
    """A row for each schedule and split: the epoch, and ndcg at 20 of both models."""
    ratings = pyrec.data.read_interactions(data / "ml-latest-small" / "ratings.csv", min_rating=4)
    rows: list[dict[str, object]] = []
    for schedule in ("constant", "linear"):
        for split in range(3):
            train, test = pyrec.data.split_random(ratings, 0.8, seed=split)
            stopped = LightGCN(schedule=schedule, stopping=EarlyStopping(share=0.1, patience=5)).fit(train)
            again = LightGCN(schedule=schedule, epochs=stopped.best_epoch_).fit(train)
            values = [pyrec.evaluate(model, test, 20, ["ndcg"])["ndcg@20"] for model in (stopped, again)]
            row = {"schedule": schedule, "split": split, "seed": 0, "dim": 64, "epoch": stopped.best_epoch_}
            rows.append({**row, "stopped": values[0], "again": values[1]})
    return rows


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(measure(Path(sys.argv[1])), indent=1) + "\n")
