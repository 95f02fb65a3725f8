"""The hyperparameters of LightGCN: their ranges, and the trainer's view of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyrec._checks import check_count, check_real, check_share
from pyrec.data import Interactions
from pyrec.device import DEVICES
from pyrec.errors import ConfigError
from pyrec.evaluate.ranking import check_cutoffs, check_test
from pyrec.nn.combine import KINDS
from pyrec.ops.propagate import PRECISIONS
from pyrec.train.settings import CONTRASTS, NEGATIVES, SCHEDULES, SCORES, ContrastSettings, Settings

if TYPE_CHECKING:
    from pyrec.models.lightgcn import LightGCN

CHOICES: dict[str, tuple[str | None, ...]] = {
    "combine": KINDS,
    "loss": ("bpr", "softmax"),
    "schedule": SCHEDULES,
    "negatives": NEGATIVES,
    "init": ("normal", "spectral"),
    "device": DEVICES,
    "precision": PRECISIONS,
    "score": (None, *SCORES),
    "combine_fit": (None, "train", "held-out"),
    "contrast": (None, *CONTRASTS),
    "user_from": ("embedding", "items"),
}
HELD_OUT_COMBINES = ("weighted", "attention")
COUNTS = (
    ("embedding_size", 1, 512),
    ("n_layers", 0, 16),
    ("epochs", 1, None),
    ("batch_size", 1, None),
    ("seed", 0, 2**63 - 1),
    ("attention_size", 1, 512),
    ("n_heads", 1, 512),
    ("k", 1, 1024),
)
"""Whole numbers with their smallest and largest values."""


def training_settings(model: LightGCN) -> Settings:
    """The hyperparameters as the trainer takes them."""
    return Settings(
        loss=model.loss,
        batch_size=model.batch_size,
        learning_rate=float(model.learning_rate),
        reg=float(model.reg),
        temperature=float(model.temperature),
        num_negatives=model.num_negatives,
        seed=model.seed,
        negatives=model.negatives,
        corrected=model.corrected,
        epochs=model.epochs,
        schedule=model.schedule,
        contrast=None if model.contrast is None else _contrast_settings(model, model.contrast),
        score=score_of(model),
        edge_dropout=float(model.edge_dropout),
    )


def score_of(model: LightGCN) -> str:
    """How a user and an item are compared, one of `pyrec.train.settings.SCORES`: as asked for, else by the loss."""
    return vars(model)["score"] or ("cosine" if model.loss == "softmax" else "inner")


def combined_layers(model: LightGCN) -> int:
    """How many layers are combined: all K + 1, or where users are made of their items the odd ones."""
    return (model.n_layers + 1) // 2 if model.user_from == "items" else model.n_layers + 1


def _contrast_settings(model: LightGCN, kind: str) -> ContrastSettings:
    return ContrastSettings(
        kind, model.contrast_weight, model.contrast_temperature, model.contrast_rate, model.seed
    )


def check_hyperparameters(model: LightGCN) -> None:
    """Raises for a hyperparameter outside its range, or that does not go with another.

    Args:
        model: The estimator.

    Raises:
        ConfigError: Names the hyperparameter, its value and its bound.
    """
    for name, low, high in COUNTS:
        check_count(name, getattr(model, name), low, high, ConfigError)
    for name in ("num_negatives", "patience"):
        if getattr(model, name) is not None:
            check_count(name, getattr(model, name), 1, 2**16, ConfigError)
    check_real("learning_rate", model.learning_rate, ConfigError, positive=True)
    check_real("reg", model.reg, ConfigError, positive=False)
    check_real("temperature", model.temperature, ConfigError, positive=True)
    params = model.get_params()
    for name, allowed in CHOICES.items():
        if (value := params.get(name, getattr(model, name))) not in allowed:
            raise ConfigError(f"{name} = {value!r} must be one of {_listed(allowed)}")
    if model.combine_fit == "held-out" and model.combine not in HELD_OUT_COMBINES:
        raise ConfigError(
            f"combine_fit = 'held-out' has nothing to learn for combine = {model.combine!r}; "
            f"it is for {_listed(HELD_OUT_COMBINES)}"
        )
    _check_negatives(model)
    _check_contrast(model)
    _check_user_from(model)
    if model.combine_fit == "held-out" and combined_layers(model) == 1:
        raise ConfigError(
            f"combine_fit = 'held-out' has no weights to learn where n_layers = {model.n_layers} leaves one layer to "
            "combine; give more, or leave it out"
        )
    check_real("attention_kl", model.attention_kl, ConfigError, positive=False)
    _check_edges(model)
    if model.validation is not None:
        check_share("validation", model.validation, "the interactions", ConfigError, positive=True)


def _check_negatives(model: LightGCN) -> None:
    if not isinstance(model.corrected, (bool, np.bool_)):
        raise ConfigError(f"corrected = {model.corrected!r} must be True or False")
    if model.loss == "bpr" and (model.negatives == "batch" or model.corrected):
        raise ConfigError(
            "loss = 'bpr' compares single pairs; negatives = 'batch' and corrected are for loss = 'softmax'"
        )
    if model.loss == "softmax" and model.negatives == "hard":
        raise ConfigError(
            "negatives = 'hard' is for loss = 'bpr'; the softmax loss weighs negatives by their score already"
        )
    if model.negatives == "hard" and model.num_negatives == 1:
        raise ConfigError(
            "num_negatives = 1 leaves negatives = 'hard' nothing to choose from; give 2 or more, such as 16"
        )
    if model.negatives == "batch" and model.num_negatives is not None:
        raise ConfigError(
            f"num_negatives = {model.num_negatives} means nothing with negatives = 'batch', "
            "which are the batch's positives; leave it out or give a batch_size"
        )


def _check_contrast(model: LightGCN) -> None:
    if model.contrast is None:
        return
    if model.n_layers == 0:
        raise ConfigError(f"contrast = {model.contrast!r} perturbs layers, but n_layers = 0; give 1 or more")
    for name in ("contrast_weight", "contrast_temperature", "contrast_rate"):
        check_real(name, getattr(model, name), ConfigError, positive=True)
    if model.contrast == "edges":
        check_share("contrast_rate", model.contrast_rate, "the edges", ConfigError, positive=True)


def _check_edges(model: LightGCN) -> None:
    check_share("edge_dropout", model.edge_dropout, "the edges", ConfigError, positive=False)
    check_real("extra_edges", model.extra_edges, ConfigError, positive=False)
    for name in ("edge_dropout", "extra_edges"):
        if model.n_layers == 0 and getattr(model, name) > 0:
            raise ConfigError(
                f"{name} = {getattr(model, name)} changes what is propagated over, but n_layers = 0; give 1 or more"
            )


def _check_user_from(model: LightGCN) -> None:
    if model.user_from == "embedding":
        return
    if model.n_layers % 2 == 0:
        raise ConfigError(
            f"n_layers = {model.n_layers} with user_from = 'items', where odd layers alone hold users; "
            "give 1, 3 or another odd number"
        )
    if model.contrast is not None:
        raise ConfigError(
            f"contrast = {model.contrast!r} compares views of items, which have but one with user_from = 'items'; "
            "leave one of them out"
        )


def check_validation(model: LightGCN, train: Interactions, validation: Interactions | None) -> None:
    """Raises for a validation set that `fit` cannot choose an epoch by.

    Args:
        model: The estimator.
        train: Its training set.
        validation: The validation set given to `fit`, if any.

    Raises:
        ConfigError: There is none, or more than one.
        DataError: It is not one of the training set's users and items, or ``k`` exceeds the items.
    """
    if model.validation is None and validation is None:
        if model.patience is not None:
            raise ConfigError("patience needs a validation set; give validation, such as 0.1")
        return
    if model.validation is not None and validation is not None:
        raise ConfigError("validation is given twice: as a share of the interactions and as a set")
    check_cutoffs(model.k, train.num_items)
    if validation is not None:
        check_test(validation, train, "validation")


def _listed(allowed: tuple[Any, ...]) -> str:
    return ", ".join(repr(value) for value in allowed)
