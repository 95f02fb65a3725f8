"""What a model learns from where some pairs were shown at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pyrec.data import Dataset, Interactions
from pyrec.errors import ConfigError, DataError
from pyrec.models.base import Recommender
from pyrec.train.loss import Loss


def learned_by(
    model: Recommender, train: Interactions, uniform: Interactions | None
) -> Interactions | Dataset:
    """Return what the model's `fit` is given.

    Args:
        model: Not fitted.
        train: Labelled interactions.
        uniform: Pairs that were shown at random, to learn from, with the same id maps; None for none.

    Raises:
        DataError: If the model needs such pairs and there are none.
    """
    if model.uniform == "needed":
        needed_uniform(uniform, model.model_name)
    learned = _likes_of(train) if takes_likes_alone(model) else train
    return learned if model.uniform == "ignored" else Dataset(learned, uniform=uniform)


def takes_likes_alone(model: Recommender) -> bool:
    """Return whether the model's loss reads no labels."""
    loss = model.get_params(deep=False).get("loss")
    return loss is not None and not Loss.of(loss).reads_labels


def _likes_of(train: Interactions) -> Interactions:
    """Return interactions for a loss that reads no labels: those that are not liked weigh 0, so they are seen alone."""
    if train.labels is None:
        return train
    weights = np.ones(len(train), dtype=np.float32) if train.weights is None else train.weights
    return replace(train, labels=None, weights=np.where(train.labels > 0, weights, 0).astype(np.float32))


def needed_uniform(uniform: Interactions | None, asked: str) -> Interactions:
    """The uniform pairs.

    Args:
        uniform: None, or without a pair, where there are none.
        asked: The model, or the option of one, that learns from them; for the message.

    Raises:
        DataError: There are none.
    """
    if uniform is None or len(uniform) == 0:
        raise DataError(
            f"{asked} learns from pairs that were shown at random, and there are none; give a uniform set: "
            "fit(train, uniform=...), a Dataset with one, or --uniform FILE whose --uniform-split leaves some to learn "
            "from"
        )
    return uniform


def with_uniform(dataset: Dataset, uniform: Interactions | None) -> Dataset:
    """The data set with uniform pairs that `fit` was given beside it.

    Raises:
        ConfigError: They are given twice.
        DataError: They are of other users and items, or have no labels.
    """
    if uniform is None:
        return dataset
    if dataset.uniform is not None:
        raise ConfigError("uniform is given twice: in the data set and to fit; leave out one of the two")
    return replace(dataset, uniform=uniform)
