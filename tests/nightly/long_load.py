"""Trains, evaluates, recommends, saves and loads in a loop, and watches the resident memory.

    python tests/nightly/long_load.py [SECONDS]        # an hour by default

Fails on an error, or where memory grew by 1 % or more from the first tenth of the time, the warm-up, to the end.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pyrec
from pyrec.data import split_random, synthetic

LIMIT = 0.01


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    (line,) = (
        text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith("VmRSS:")
    )
    return 1024 * int(line.split()[1])


def one_round(number: int, folder: Path) -> None:
    """One of everything, with data of a size that differs from round to round but not for ever."""
    data = synthetic(300 + 10 * (number % 5), 200, 12.0, seed=number % 7)
    train, test = split_random(data, 0.8, seed=number)
    combine = ("mean", "weighted", "attention", "self-attention")[number % 4]
    model = pyrec.LightGCN(epochs=3, embedding_size=32, combine=combine, seed=number).fit(train)
    metrics = pyrec.evaluate(model, test, k=[5, 10]).metrics
    assert all(np.isfinite(value) for value in metrics.values()), metrics
    ids, scores = model.recommend(train.user_ids[:50], n=10)
    model.recommend_for_items([train.item_ids[:3]], n=10)
    model.similar_items(train.item_ids[:10], n=5)
    model.save(folder)
    again = pyrec.LightGCN.load(folder).recommend(train.user_ids[:50], n=10)
    np.testing.assert_array_equal(again[0], ids)
    np.testing.assert_array_equal(again[1], scores)


def main(seconds: float) -> int:
    started, number, warm = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        while (elapsed := time.monotonic() - started) < seconds or number < 30:
            one_round(number, Path(folder) / "model")
            number += 1
            if warm == 0 and elapsed > seconds / 10 and number >= 20:
                warm = resident()
    growth = resident() / warm - 1
    print(
        f"{number} rounds in {elapsed:.0f} s, 0 errors, {warm / 2**20:.1f} MiB when warm, growth {growth:.2%}"
    )
    return int(growth >= LIMIT)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 3600))
