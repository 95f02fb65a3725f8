"""A model of one's own against the built-in one: an epoch of each, everything `fit` does included.

The own one is that of docs/how-to/own-model.md, run from the page: LightGCN's loop in Python, with a gate for each
dimension of each layer. The built-in one has the mean in place of the gates, so its floor is a little lower.
"""

import re
from functools import cache, partial
from pathlib import Path

from race import Race, row
from workloads import gowalla, movielens

from pyrec import LightGCN

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "own-model.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DIM, N_LAYERS = 64, 2


@cache
def own_model():
    """The class that the page's loop and its ten lines define."""
    names = {"__name__": "own_model"}
    for block in BLOCK.findall(PAGE.read_text())[:2]:
        exec(compile(block, PAGE, "exec"), names)
    return names["Gated"]


def own(train, epochs):
    model = own_model()(DIM, N_LAYERS, epochs)
    return lambda: model.fit(train)


def built_in(train, epochs):
    model = LightGCN(DIM, N_LAYERS, combine="mean", loss="bpr", epochs=epochs)
    return lambda: model.fit(train)


def fit_race(name, load, epochs):
    return Race(
        group=f"fit of {epochs} epoch{'s' * (epochs > 1)}, {name}, {N_LAYERS} layers, d {DIM}",
        problem=lambda: load()[0],
        contenders={
            "own model, by the page": partial(own, epochs=epochs),
            "LightGCN, mean": partial(built_in, epochs=epochs),
        },
        check=None,  # gates are learned; tests/test_docs.py runs the page and measures both
        rounds=5,
        seconds=60.0,
        info={"work": "fit", "data": name, "dim": DIM, "dtype": "float32"},
    )


def races(scale_max):  # noqa: ARG001
    return [fit_race("ml-100k", movielens, 5), fit_race("gowalla", gowalla, 1)]


def bench_own_model(benchmark, race, contender):
    row(benchmark, race, contender)
