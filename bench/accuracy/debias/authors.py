"""Scores that other code gave on a test part, as rows beside ours.

    python -m bench.accuracy.debias.authors FOLDER bench/accuracy/results/debias_authors.jsonl

FOLDER holds a file ``METHOD.SEED.npz`` a run with the arrays ``users``, ``items``, ``scores`` and ``labels`` (1 and -1)
of the test pairs, and ``METHOD.SEED.log`` with a line ``user 1m2.3s``, the processor time as bash's ``time`` has it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pyrec.evaluate.pair_metrics import auc, log_loss, pair_ndcg, user_auc

NAMES = {
    "train_list": "AutoDebias",
    "MF_bias": "MF(biased)",
    "MF_combine": "MF(combined)",
    "MF_uniform": "MF(uniform)",
    "DLA": "DLA",
    "HeckE": "HeckE",
}


def row_of(path: Path) -> dict[str, Any]:
    """A run's row, from its arrays."""
    method, seed = path.stem.rsplit(".", 1)
    with np.load(path) as arrays:
        users, scores, labels = arrays["users"], arrays["scores"], arrays["labels"]
    told = {"data": "simulation", "method": NAMES[method], "seed": int(seed)}
    if not np.isfinite(scores).all():
        return {**told, "error": "the scores are not finite"}
    found = re.search(r"user\s+(\d+)m([\d.]+)s", path.with_suffix(".log").read_text(encoding="utf-8"))
    return {
        **told,
        "auc": round(float(auc(scores, labels)), 5),
        "user_auc": round(float(np.nanmean(user_auc(scores, labels, users))), 5),
        "ndcg@5": round(float(np.nanmean(pair_ndcg(scores, labels, users, 5))), 5),
        "log_loss": round(float(log_loss(scores, labels)), 5),
        "seconds": None if found is None else round(60 * int(found[1]) + float(found[2]), 1),
    }


def main(folder: Path, out: Path) -> None:
    """Writes the rows of a folder, by method and seed."""
    place = list(NAMES)
    paths = [path for path in folder.glob("*.npz") if path.with_suffix(".log").exists()]
    paths.sort(key=lambda path: (place.index(path.stem.rsplit(".", 1)[0]), int(path.stem.rsplit(".", 1)[1])))
    out.write_text("".join(json.dumps(row_of(path)) + "\n" for path in paths), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
