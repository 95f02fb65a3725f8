"""The hyperparameters of LightGCN and MF as rows of results have them: flat, as saved models of format 1 do.

A row's key is of these, so that it stays that of its run. What they have no name for is named by its path among the
objects: ``loss: ccl`` with ``loss__margin: .3``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyrec.models import MODELS, Recommender
from pyrec.models.format_1 import from_flat

MF: Final[dict[str, Any]] = {
    "embedding_size": 64,
    "loss": "softmax",
    "epochs": 30,
    "batch_size": 2048,
    "learning_rate": 4e-3,
    "schedule": "linear",
    "reg": 1e-4,
    "seed": 0,
    "device": "cpu",
    "precision": "fp32",
    "score": None,
    "temperature": 0.2,
    "num_negatives": None,
    "negatives": "uniform",
    "corrected": False,
    "validation": None,
    "patience": None,
    "k": 20,
}
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "lightgcn": MF
    | {
        "n_layers": 2,
        "combine": "attention",
        "combine_fit": None,
        "init": "normal",
        "attention_size": 16,
        "attention_kl": 10.0,
        "n_heads": 2,
        "contrast": None,
        "contrast_weight": 0.1,
        "contrast_temperature": 0.2,
        "contrast_rate": 0.1,
        "extra_edges": 0.0,
        "user_from": "embedding",
        "edge_dropout": 0.0,
    },
    "mf": MF,
}
"""The defaults of format 1, by model."""
KNOWN: Final = {"loss": ("bpr", "softmax"), "combine": ("mean", "weighted", "attention", "self-attention")}
"""What format 1 knew; others are named among the objects."""

OF: Final = {
    "loss": ("score", "temperature", "num_negatives", "negatives", "corrected"),
    "combine": ("combine_fit", "attention_size", "attention_kl", "n_heads"),
}
"""What is flat and belongs to these."""


def defaults_of(model: str) -> dict[str, Any]:
    """The defaults of a model's hyperparameters as a row has them."""
    return DEFAULTS[model] if model in DEFAULTS else MODELS[model].defaults()


def build(model: str, params: Mapping[str, Any], num_items: int) -> Recommender:
    """The model of a row, not fitted.

    Args:
        model: Its name.
        params: The hyperparameters as the row has them, flat ones and paths.
        num_items: Of the training set, on which format 1's negatives depended.

    Raises:
        ConfigError: A path leads nowhere.
    """
    if model not in DEFAULTS:
        return MODELS[model](**params)
    flat = {name: value for name, value in params.items() if name in DEFAULTS[model]}
    newer = {name: value for name, value in params.items() if name not in flat}
    for name, known in KNOWN.items():
        if name in flat and flat[name] not in known:
            newer[name] = flat.pop(name)
    built = MODELS[model](**from_flat(model, flat, num_items))
    return built.set_params(**newer)
