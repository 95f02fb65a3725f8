"""New users, known by 1, 3, 10 or all of their items, beside the same users known in training: recall and ndcg at 10.

    export PYREC_DATA=FOLDER OMP_NUM_THREADS=1
    python -m bench.accuracy.new_users run ROWS.jsonl [--group choose] [--data NAME ..] [--models NAME ..]
    python -m bench.accuracy.new_users table ROWS.jsonl

A fifth of the users are tested, all of at least 13 items. A fifth of the items of each, at least three, are hidden and
to be found. A row is of one data set, model, seed and number of items told, and has two trainings: ``apart`` without
the tested users, and ``beside`` with what is told of them. ``known`` is the vector that training gave such a user,
``new`` that of a new user with the same items, and ``propagated`` that of a node with these neighbours and without an
embedding. Differences are paired over users. One half of the users, ``choose``, is for choosing the constants of
`pyrec.models.new_users`, the other for what is reported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrec import BPR, MF, LightGCN, Popularity, Recommender
from pyrec.data import Interactions, Ragged, read_interactions
from pyrec.models.graph_recommender import GraphRecommender
from pyrec.models.item_sets import row_tensors
from pyrec.ops.metrics import METRICS, ranking_metrics

from .datasets import MIN_RATING, folder

K = 10
LEAST_ITEMS = 13
HIDDEN, LEAST_HIDDEN = 0.2, 3
TESTED = 0.2
TOLD: tuple[int | None, ...] = (1, 3, 10, None)
GROUPS = ("choose", "report")
FILES = {
    "ml-latest-small": ("ratings.csv", MIN_RATING),
    "ml-100k": ("u.data", MIN_RATING),
    "hetrec2011-lastfm": ("user_artists.dat", None),
}
OF_BPR: dict[str, Any] = {
    "loss": BPR(),
    "learning_rate": 1e-2,
    "schedule": "constant",
    "reg": 1e-3,
    "epochs": 60,
}
MODELS: dict[str, Callable[[int], GraphRecommender]] = {
    "attention": lambda seed: LightGCN(seed=seed),
    "mean": lambda seed: LightGCN(combine="mean", seed=seed),
    "weighted": lambda seed: LightGCN(combine="weighted", seed=seed),
    "self-attention": lambda seed: LightGCN(combine="self-attention", seed=seed),
    "mean, bpr": lambda seed: LightGCN(combine="mean", seed=seed, **OF_BPR),
    "attention, ccl": lambda seed: LightGCN(loss="ccl", seed=seed),
    "mf": lambda seed: MF(seed=seed),
    "mf, bpr": lambda seed: MF(seed=seed, **OF_BPR),
}
Rows = list[NDArray[np.int32]]


def read(name: str) -> Interactions:
    """All interactions of a data set."""
    file, min_rating = FILES[name]
    return read_interactions(folder(name) / file, min_rating)


def tested_users(data: Interactions, group: str, seed: int) -> tuple[NDArray[np.intp], Rows, Rows]:
    """The users (T,), ascending, and for each the items to tell, in random order, and those that are hidden."""
    half = np.random.default_rng(12345).permutation(data.num_users) % 2
    chosen = (half == GROUPS.index(group)) & (np.diff(data.indptr) >= LEAST_ITEMS)
    generator = np.random.default_rng(seed)
    users = np.sort(generator.permutation(np.flatnonzero(chosen))[: int(TESTED * data.num_users)])
    told, hidden = [], []
    for user in users:
        items = generator.permutation(data.items[data.indptr[user] : data.indptr[user + 1]])
        count = max(LEAST_HIDDEN, round(HIDDEN * len(items)))
        told.append(items[count:])
        hidden.append(items[:count])
    return users, told, hidden


def training_set(data: Interactions, users: NDArray[np.intp], told: Rows) -> Interactions:
    """The other users' interactions, and of ``users`` those with what is told."""
    kept = ~np.isin(data.users, users)
    for user, items in zip(users, told, strict=True):
        row = slice(data.indptr[user], data.indptr[user + 1])
        kept[row] = np.isin(data.items[row], items)
    return data.select(kept)


def rows_of(lists: Rows, num_items: int) -> Ragged:
    """(Q, num_items), ascending."""
    indptr = np.concatenate([[0], np.cumsum([len(items) for items in lists])])
    return Ragged(indptr.astype(np.int64), np.concatenate([np.sort(items) for items in lists]), num_items)


def propagated(model: GraphRecommender, histories: Ragged) -> Tensor:
    """The vectors of nodes of these neighbours, whose own embeddings are zero; without layers their items' mean."""
    if model.n_layers == 0:
        sums = histories.csr() @ model.item_vectors_.numpy()
        vectors = torch.from_numpy(sums / np.diff(histories.indptr)[:, None]).float()
    else:
        with torch.no_grad():
            vectors = model._propagated(histories.csr())
    return torch.nn.functional.normalize(vectors, dim=1) if model._by_cosine else vectors


def metrics(
    model: Recommender, queries: Tensor, told: Ragged, hidden: Ragged
) -> dict[str, NDArray[np.float64]]:
    """Recall and ndcg of each user, (Q,)."""
    ids, _ = model._rank(queries, K, told.csr(), None)
    indptr, indices = row_tensors(hidden.csr())
    assert indptr is not None
    assert indices is not None
    found = ranking_metrics(ids, indptr, indices, [K])[:, 0].numpy()
    return {name: found[:, METRICS.index(name)] for name in ("recall", "ndcg")}


def trained(name: str, seed: int, train: Interactions, kept: Path | None, key: str) -> GraphRecommender:
    """The model, from the folder of those that were trained before if it is there."""
    place = None if kept is None else kept / key.replace(", ", "-")
    if place is not None and (place / "config.json").exists():
        return LightGCN.load(place) if "mf" not in name else MF.load(place)
    model = MODELS[name](seed).fit(train)
    if place is not None:
        model.save(place)
    return model


def measure(data_name: str, name: str, seed: int, group: str, kept: Path | None) -> Iterator[dict[str, Any]]:
    """One row for each number of items told."""
    data = read(data_name)
    users, all_told, hidden_rows = tested_users(data, group, seed)
    hidden = rows_of(hidden_rows, data.num_items)
    of_key = f"{data_name}-{name}-{seed}-{group}"
    others = training_set(data, users, [items[:0] for items in all_told])
    apart = trained(name, seed, others, kept, f"{of_key}-none")
    popularity = Popularity().fit(others)
    for count in TOLD:
        told_rows = [items[:count] for items in all_told]
        told = rows_of(told_rows, data.num_items)
        beside = trained(name, seed, training_set(data, users, told_rows), kept, f"{of_key}-{count or 'all'}")
        ways = {
            "popularity": metrics(popularity, popularity._query_from_items(told), told, hidden),
            "known": metrics(beside, beside._query_vectors(users.astype(np.int32)), told, hidden),
            "beside, propagated": metrics(beside, propagated(beside, told), told, hidden),
            "beside, new": metrics(beside, beside._query_from_items(told), told, hidden),
            "apart, propagated": metrics(apart, propagated(apart, told), told, hidden),
            "apart, new": metrics(apart, apart._query_from_items(told), told, hidden),
        }
        yield {
            "data": data_name,
            "model": name,
            "seed": seed,
            "group": group,
            "told": count or "all",
            "num_users": len(users),
            "ways": {way: described(found, ways["known"]) for way, found in ways.items()},
        }


def described(
    found: dict[str, NDArray[np.float64]], known: dict[str, NDArray[np.float64]]
) -> dict[str, dict[str, float]]:
    """Means, and the mean difference from ``known`` with its standard error over users."""
    rows = {}
    for name, values in found.items():
        difference = values - known[name]
        error = difference.std(ddof=1) / len(difference) ** 0.5
        numbers = {"mean": values.mean(), "against_known": difference.mean(), "standard_error": error}
        rows[name] = {of: round(float(number), 6) for of, number in numbers.items()}
    return rows


def run(options: argparse.Namespace) -> None:
    """Measures what the file has not yet."""
    done = {tuple(row[name] for name in ("data", "model", "seed", "group")) for row in rows_in(options.rows)}
    for seed, data, model in product(options.seeds, options.data, options.models):
        if (data, model, seed, options.group) in done:
            continue
        rows = list(measure(data, model, seed, options.group, options.keep))
        with options.rows.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        print(f"{data}, {model}, seed {seed}", file=sys.stderr, flush=True)


def rows_in(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; none where it is not there yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(path: Path) -> Iterator[str]:
    """Lines of Markdown: for each data set, model and number of items the means over seeds."""
    ways = ("popularity", "known", "beside, propagated", "beside, new", "apart, propagated", "apart, new")
    yield (
        "| data | model | seeds | told | " + " | ".join(ways) + " | beside, new against known: recall, ndcg |"
    )
    yield "|---|---|---:|---:|" + "---:|" * (len(ways) + 1)
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows_in(path):
        groups.setdefault((row["data"], row["model"], str(row["told"])), []).append(row)
    for (data, model, told), rows in groups.items():
        cells = [
            " / ".join(
                f"{np.mean([row['ways'][way][name]['mean'] for row in rows]):.4f}"
                for name in ("recall", "ndcg")
            )
            for way in ways
        ]
        gains = ", ".join(
            difference([row["ways"]["beside, new"][name] for row in rows]) for name in ("recall", "ndcg")
        )
        yield f"| {data} | {model} | {len(rows)} | {told} | " + " | ".join(cells) + f" | {gains} |"


def mean(rows: Sequence[dict[str, Any]], way: str, name: str) -> float:
    """The mean of a metric over seeds."""
    return float(np.mean([row["ways"][way][name]["mean"] for row in rows]))


def difference(of_seeds: Sequence[dict[str, float]]) -> str:
    """The mean over seeds of a difference, and its 95 % interval, as if the seeds' users were others."""
    mean = np.mean([one["against_known"] for one in of_seeds])
    half = 1.96 * np.sqrt(sum(one["standard_error"] ** 2 for one in of_seeds)) / len(of_seeds)
    return f"{mean:+.4f} ± {half:.4f}"


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("rows", type=Path, help="the JSONL file of rows")
    parser.add_argument("--data", nargs="+", default=list(FILES), choices=list(FILES))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--group", choices=GROUPS, default="report", help="which half of the users is tested")
    parser.add_argument("--keep", type=Path, help="a folder for the trained models, which are trained once")
    options = parser.parse_args(argv)
    if options.command == "table":
        print(*table(options.rows), sep="\n")
    else:
        run(options)


if __name__ == "__main__":
    main()
