"""Small data sets, with raw ids of each kind, and models that are quickly trained on them."""

from typing import Any

import numpy as np

from pyrec.data import Dataset, Interactions, as_dataset
from pyrec.data.synthetic import synthetic
from pyrec.models import MODELS, Recommender

NUM_USERS, NUM_ITEMS = 40, 30
SMALL: dict[str, Any] = {"embedding_size": 8, "epochs": 2, "batch_size": 64}
"""Of a model that is trained in no time, whatever it learns."""
LEARNING: dict[str, Any] = {"embedding_size": 16, "epochs": 2, "batch_size": 256, "learning_rate": 1e-2}
"""Of a model that learns something in a few epochs."""
OPTIONS: dict[str, dict[str, Any]] = {
    "svd": {"embedding_size": 6},
    "lightgcn": SMALL,
    "mf": SMALL,
    "fusion": {"first": "graph-filter", "second": "ease"},
    "whole-mf": {"embedding_size": 8, "epochs": 2},
    "doubly-robust": {"embedding_size": 8, "epochs": 2},
    "autodebias": {"embedding_size": 6, "epochs": 3, "weights_from": 1, "learning_rate": 1e-2},
}
"""By the name of a model; those of the other models are the defaults."""


def make(name: str) -> Recommender:
    return MODELS[name](**OPTIONS.get(name, {}))


def fit_data(name: str, data: Any) -> Any:
    """What a model is fitted on: the data, and a uniform set beside them if the model needs one."""
    train = as_dataset(data).interactions
    if MODELS[name].uniform != "needed" or len(train) == 0:
        return data
    cells = np.random.default_rng(5).choice(train.num_users * train.num_items, 25, replace=False)
    users, items = (part.astype(np.int32) for part in np.divmod(cells, train.num_items))
    labels = np.where(cells % 3 == 0, 1, 0).astype(np.float32)
    return Dataset(
        train, uniform=Interactions.from_codes(users, items, train.user_ids, train.item_ids, labels=labels)
    )


def numbers() -> Interactions:
    return synthetic(NUM_USERS, NUM_ITEMS, interactions_per_user=6, num_groups=4)


def texts() -> Interactions:
    """The same interactions with raw ids of text, which do not sort as the numbers do."""
    x = numbers()
    return Interactions.from_arrays(
        [f"u{user}" for user in x.users],
        [f"i{item}" for item in x.items],
        user_ids=[f"u{user}" for user in range(NUM_USERS)],
        item_ids=[f"i{item}" for item in range(NUM_ITEMS)],
    )


def sparse_ids(text_ids: bool) -> Interactions:
    """Interactions whose raw ids are not the internal ones: numbers with gaps, or text beyond ASCII."""
    made = synthetic(60, 45, interactions_per_user=6, num_groups=4)
    users, items = made.users.astype(np.int64) * 3 + 100, made.items.astype(np.int64) + 7
    if text_ids:
        return Interactions.from_arrays([f"Nutzer {u} ü" for u in users], [f"商品{i}" for i in items])
    return Interactions.from_arrays(users, items)
