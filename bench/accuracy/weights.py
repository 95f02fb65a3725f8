"""Counts and ratings as weights: a row a run of a model with a transform of the weights, on a seed's split.

    OMP_NUM_THREADS=1 python -m bench.accuracy.weights run lastfm ease,itemknn,svd DATA_FOLDER 0,1,2,3,4 ROWS.jsonl
    python -m bench.accuracy.weights table ROWS.jsonl...

DATA_FOLDER holds hetrec2011-lastfm and ml-latest-small. Users and items of fewer than five interactions are left out.
A fifth of the interactions is the test part, of ratings those of 4 and more. A tenth of the others chooses the
parameters of each model with each transform, by ndcg@20; then it learns from both. Rows that the file has are not made
again. The values of each user, which the tests need, go into ROWS.users.jsonl beside it.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pyrec import EASE, MF, SVD, ItemKNN, LightGCN, Recommender, evaluate
from pyrec.data import Interactions, read_interactions, split_random, transform_weights
from pyrec.evaluate.significance import holm, paired_t, relative_gain, wilcoxon

METRIC = "ndcg@20"
LEAST = 5
TRANSFORMS = {
    "lastfm": ("off", "log1p", "bm25", "cap:1000", "none"),
    "movielens": ("off", "none", "bm25", "likes", "likes, dislikes seen"),
}
"""``off`` leaves the weights out. ``likes`` has no weights either, and leaves ratings below `LIKED` out of the training
part; or these have weight 0, so that they are seen."""
LIKED = 4.0

GRIDS: dict[str, tuple[type[Recommender], dict[str, tuple[Any, ...]]]] = {
    "ease": (EASE, {"reg": (10.0, 30.0, 100.0, 300.0, 1000.0)}),
    "itemknn": (ItemKNN, {"neighbors": (30, 100, 300), "shrinkage": (0.0, 3.0, 30.0)}),
    "svd": (SVD, {"embedding_size": (16, 32, 64)}),
    "mf": (MF, {"epochs": (20,)}),
    "lightgcn": (LightGCN, {"epochs": (20,)}),
    "lightgcn and edges": (LightGCN, {"epochs": (20,), "weighted_edges": (True,)}),
}


def dense_part(x: Interactions) -> Interactions:
    """The interactions of users and items that have `LEAST` of them or more, of those that are left."""
    while True:
        users, items = np.bincount(x.users), np.bincount(x.items)
        keep = (users[x.users] >= LEAST) & (items[x.items] >= LEAST)
        if keep.all():
            return x
        x = x.select(keep).compact()


def read(data: str, folder: Path) -> Interactions:
    if data == "lastfm":
        return dense_part(read_interactions(folder / "hetrec2011-lastfm" / "user_artists.dat"))
    ratings = read_interactions(folder / "ml-latest-small" / "ratings.csv", columns={"time": None})
    codes = ratings.users, ratings.items, ratings.user_ids, ratings.item_ids
    return dense_part(Interactions.from_codes(*codes, ratings=ratings.ratings, weights=ratings.ratings))


def learned_from(x: Interactions, how: str) -> Interactions:
    """A training part as a model gets it."""
    if how == "likes":
        x = x.select(x.ratings >= LIKED)
    if how in ("off", "likes"):
        return replace(x, weights=None)
    if how == "likes, dislikes seen":
        return replace(x, weights=(x.ratings >= LIKED).astype(np.float32))
    return transform_weights(x, how)


def liked(x: Interactions) -> Interactions:
    """What is to be found of a test part: all, or what has a rating of `LIKED` or more."""
    return x if x.ratings is None else x.select(x.ratings >= LIKED)


def combinations(grid: Mapping[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def run(data: str, models: list[str], folder: Path, seeds: list[int], out: Path) -> None:
    done = {row["run"] for row in rows_of([out])} if out.exists() else set()
    whole = read(data, folder)
    for seed, how, name in itertools.product(seeds, TRANSFORMS[data], models):
        kind, grid = GRIDS[name]
        key = f"{data}, {name}, {how}, {seed}"
        if key in done or ("edges" in name and (how == "off" or "likes" in how)):
            continue
        row = {"run": key, "data": data, "model": name, "weights": how, "seed": seed}
        found, users = measure(whole, kind, grid, how, seed)
        for path, line in ((of_users(out), {"run": key, "users": users}), (out, row | found)):
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")


def of_users(rows: Path) -> Path:
    return rows.with_suffix(".users.jsonl")


def measure(
    whole: Interactions, kind: type[Recommender], grid: Any, how: str, seed: int
) -> tuple[dict[str, Any], dict[str, float]]:
    """The row of a run, and the metric of each user."""
    train, test = split_random(whole, 0.8, seed=seed)
    learned, held_out = split_random(train, 0.9, seed=seed)
    own = {"seed": seed} if kind in (MF, LightGCN) else {}
    tried = [
        (
            evaluate(kind(**options, **own).fit(learned_from(learned, how)), liked(held_out), 20)[METRIC],
            options,
        )
        for options in combinations(grid)
    ]
    score, options = max(tried, key=lambda one: one[0])
    found = evaluate(kind(**options, **own).fit(learned_from(train, how)), liked(test), 20)
    users = dict(zip(found.users.tolist(), found.per_user[METRIC].round(5).tolist(), strict=True))
    row = {"options": options, "validation": None if np.isnan(score) else score, "metrics": found.metrics}
    return row, users


def rows_of(paths: list[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def table(paths: list[Path]) -> None:
    """Prints each model's metric by transform, and the change against ``off`` over users, corrected over transforms."""
    found: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    users = {line["run"]: line["users"] for line in rows_of(list(map(of_users, paths)))}
    for row in rows_of(paths):
        row["users"] = users[row["run"]]
        found[row["data"], row["model"]][row["weights"]].append(row)
    print("| data | model | weights | ndcg@20 | change, 95 % interval | p, t | p, Wilcoxon | seeds |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for (data, model), by_weights in found.items():
        base = by_user(found[data, model.partition(" ")[0]]["off"])
        others = [how for how in by_weights if how != "off"]
        pairs = {how: paired(by_user(by_weights[how]), base) for how in others}
        tests = [holm([test(*pairs[how]) for how in others]) for test in (paired_t, wilcoxon)]
        for how, rows in by_weights.items():
            mean = np.mean([row["metrics"][METRIC] for row in rows])
            cells = [data, model, how, f"{mean:.4f}"[1:]]
            if how == "off":
                cells += ["", "", ""]
            else:
                gain, low, high = (100 * number for number in relative_gain(*pairs[how]))
                at = others.index(how)
                cells += [f"{gain:+.1f} % [{low:+.1f}, {high:+.1f}]", *(f"{p[at]:.2g}" for p in tests)]
            print(f"| {' | '.join([*cells, str(len(rows))])} |")


def by_user(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Each user's metric, the mean over the seeds that test the user."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for user, value in row["users"].items():
            values[user].append(value)
    return {user: float(np.mean(own)) for user, own in values.items()}


def paired(ours: Mapping[str, float], base: Mapping[str, float]) -> tuple[Any, Any]:
    both = sorted(ours.keys() & base.keys())
    return np.array([ours[user] for user in both]), np.array([base[user] for user in both])


if __name__ == "__main__":
    if sys.argv[1] == "table":
        table([Path(name) for name in sys.argv[2:]])
    else:
        data, models, folder, seeds, out = sys.argv[2:]
        run(data, models.split(","), Path(folder), list(map(int, seeds.split(","))), Path(out))
