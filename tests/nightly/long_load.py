"""Trains, evaluates, recommends, saves, loads and serves in a loop, and watches the resident memory.

    python tests/nightly/long_load.py [SECONDS]        # an hour by default

Fails on an error, or where memory reached 1 % more in the last third of the rounds than in the first third after the
warm-up. Maxima are compared, because the resident memory goes up and down by the size of one of Python's tables.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pyrec
from pyrec.data import Interactions, split_random, synthetic

sys.path.insert(0, str(Path(__file__).parents[1]))
from serving import same, serving

LIMIT = 0.01
WARM_UP = 1000
"""Rounds; by then the allocator has its arenas for the threads of a server, new ones in each round."""


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    (line,) = (
        text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith("VmRSS:")
    )
    return 1024 * int(line.split()[1])


def age_table_of_interned_strings() -> None:
    """Let Python's table of interned strings be made anew now, not at a moment of its own.

    Dead strings leave their places taken until the table is full and made anew, once in some 10^5 strings; that moves
    up to 11 MB in a process with torch. With enough of them in each round the table is always as old.
    """
    for number in range(20_000):
        sys.intern(f"interned {number}")


def one_round(number: int, folder: Path) -> None:
    """One of everything, with data of a size that differs from round to round but not for ever."""
    data = synthetic(300 + 10 * (number % 5), 200, 12.0, seed=number % 7)
    train, test = split_random(data, 0.8, seed=number)
    combine = ("mean", "weighted", "attention", "self-attention")[number % 4]
    model = pyrec.LightGCN(epochs=3, embedding_size=32, combine=combine, seed=number).fit(train)
    metrics = pyrec.evaluate(model, test, k=[5, 10]).metrics
    assert all(np.isfinite(value) for value in metrics.values()), metrics
    model.save(folder)
    again = pyrec.LightGCN.load(folder)
    for one, other in zip(model.recommend(train.user_ids), again.recommend(train.user_ids), strict=True):
        np.testing.assert_array_equal(one, other)
    ask(again, train)


def ask(model: pyrec.LightGCN, train: Interactions) -> None:
    """Serve the model; every answer is the model's own."""
    users, items = train.user_ids[:50].tolist(), train.item_ids[:10].tolist()
    with serving(model) as client:
        assert client.get("/health").json()["num_items"] == train.num_items
        for user in users[:20]:
            same(client.post("/recommend", json={"users": [user]}), model.recommend([user]))
        same(client.post("/recommend", json={"users": users, "n": 5}), model.recommend(users, 5))
        histories = [items[:3], items[3:4]]
        same(client.post("/recommend", json={"histories": histories}), model.recommend_for_items(histories))
        same(client.post("/similar", json={"items": items, "n": 5}), model.similar_items(items, 5))
        assert client.post("/recommend", json={"users": [-1]}).status_code == 404


def main(seconds: float) -> int:
    started, number, told = time.monotonic(), 0, 0
    seen: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        while (elapsed := time.monotonic() - started) < seconds or number <= 2 * WARM_UP:
            one_round(number, Path(folder) / "model")
            age_table_of_interned_strings()
            number += 1
            if number >= WARM_UP and number % 10 == 0:
                seen.append(resident())
            if elapsed >= told * seconds / 10:
                print(f"{number} rounds in {elapsed:.0f} s: {resident() / 2**20:.1f} MiB", flush=True)
                told += 1
    first, last = (max(part) for part in (seen[: len(seen) // 3], seen[-len(seen) // 3 :]))
    growth = last / first - 1
    print(
        f"{number} rounds in {elapsed:.0f} s, 0 errors, at most {first / 2**20:.1f} MiB in the first third after the "
        f"warm-up and {last / 2**20:.1f} MiB in the last, growth {growth:.2%}"
    )
    return int(growth >= LIMIT)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 3600))
