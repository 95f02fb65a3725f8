"""Models that were saved in format 1, whose hyperparameters were flat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pyrec.nn.combine import Attention, Combine, SelfAttention, Weighted
from pyrec.nn.combine.attention import WIDTH
from pyrec.nn.encoder import FromItems, Table
from pyrec.store.arrays import State
from pyrec.store.saved_model import Saved
from pyrec.store.texts import ids_of
from pyrec.train.augment import Augment, Contrast, EdgeDropout, ExtraEdges
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import BPR, Loss, Softmax
from pyrec.train.loss.softmax import AUTO, MOST_ALL_ITEMS
from pyrec.train.negatives import Hard, InBatch, Negatives, Uniform


def from_format_1(saved: Saved) -> Saved:
    """Return a LightGCN or a matrix factorisation that was saved in format 1 as format 2 has it."""
    params = from_flat(saved.model_name, saved.params, len(ids_of(saved.data, "item_ids")))
    arrays = {
        "first.embedding" if name == "embedding" else name: array
        for name, array in saved.state.arrays.items()
    }
    if _weighs_held_out(saved.params):
        arrays |= {name: _of_default_width(arrays[name]) for name in _OF_WIDTH & arrays.keys()}
    return replace(saved, params=params, state=State(saved.state.source, arrays))


def from_flat(model_name: str, flat: Mapping[str, Any], num_items: int) -> dict[str, Any]:
    """Return the hyperparameters of LightGCN or MF from the flat ones of format 1.

    What acted on nothing in format 1 is left out, as it is refused by now.

    Args:
        model_name: The model's name.
        flat: The hyperparameters; what is missing has format 1's default.
        num_items: Number of items that it was trained on, on which the softmax loss's negatives depended.
    """
    given = {name: value for name, value in flat.items() if name not in _GONE}
    given["loss"] = _loss(flat, num_items)
    if flat.keys() & _STOPPING:
        given["stopping"] = _stopping(flat)
    if model_name == "mf":
        given.pop("precision", None)
        return given
    from_items = flat.get("user_from") == "items"
    init = flat.get("init", "normal")
    given["encoder"] = FromItems(init) if from_items else Table(init)
    n_layers = flat.get("n_layers", 2)
    if n_layers in (0, 1):  # no layer is stored to be propagated again
        given.pop("precision", None)
    one_layer = n_layers == 0 or (from_items and n_layers == 1)
    given["combine"] = "mean" if one_layer else _combine(flat)
    given["augment"] = _augment(flat)
    return given


_LOSS = {"loss", "score", "temperature", "num_negatives", "negatives", "corrected"}
_COMBINE = {"combine", "combine_fit", "attention_size", "attention_kl", "n_heads"}
_AUGMENT = {
    "extra_edges",
    "edge_dropout",
    "contrast",
    "contrast_weight",
    "contrast_temperature",
    "contrast_rate",
}
_STOPPING = {"validation", "patience", "k"}
_OF_WIDTH: Final = {"combine.weight", "combine.bias", "combine.vector"}
_GONE: Final = _LOSS | _COMBINE | _AUGMENT | _STOPPING | {"init", "user_from"}


def _some(flat: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """The entries of ``flat`` by the names of today."""
    return {new: flat[old] for new, old in names.items() if flat.get(old) is not None}


def _loss(flat: Mapping[str, Any], num_items: int) -> Loss:
    source = flat.get("negatives", "uniform")
    number = _some(flat, number="num_negatives")
    score = _some(flat, score="score")
    if flat.get("loss", "softmax") == "bpr":
        return BPR(negatives=Hard(**number) if source == "hard" else Uniform(**number), **score)
    corrected = _some(flat, corrected="corrected")
    negatives: Negatives | str = InBatch(**corrected) if source == "batch" else Uniform(**number, **corrected)
    few = num_items <= MOST_ALL_ITEMS
    if source == "uniform" and not number and (few or not flat.get("corrected")):
        negatives = AUTO
    return Softmax(negatives=negatives, **score, **_some(flat, temperature="temperature"))


def _combine(flat: Mapping[str, Any]) -> Combine | str:
    name = flat.get("combine", "attention")
    fit = _some(flat, fit="combine_fit")
    if name == "weighted":
        return Weighted(**fit)
    if name == "self-attention":
        return SelfAttention(**_some(flat, heads="n_heads"))
    if name != "attention":
        return str(name)
    own = {} if _weighs_held_out(flat) else _some(flat, width="attention_size", kl="attention_kl")
    return Attention(**own, **fit)


def _weighs_held_out(flat: Mapping[str, Any]) -> bool:
    fit = flat.get("combine_fit")
    return fit == "held-out" or (fit is None and flat.get("loss") == "bpr")


def _of_default_width(array: NDArray[Any]) -> NDArray[Any]:
    """An array of the attention, a row for each of its numbers, with the default number of rows.

    Fitted on held-out interactions v is 0, so that W and b act on nothing, whatever their rows.
    """
    resized = np.zeros((WIDTH, *array.shape[1:]), dtype=array.dtype)
    kept = array[:WIDTH]
    resized[: len(kept)] = kept
    return resized


def _augment(flat: Mapping[str, Any]) -> tuple[Augment, ...]:
    found: list[Augment] = []
    if flat.get("extra_edges"):
        found.append(ExtraEdges(flat["extra_edges"]))
    if flat.get("edge_dropout"):
        found.append(EdgeDropout(flat["edge_dropout"]))
    if flat.get("contrast"):
        own = {"weight": "contrast_weight", "temperature": "contrast_temperature", "rate": "contrast_rate"}
        found.append(Contrast(flat["contrast"], **_some(flat, **own)))
    return tuple(found)


def _stopping(flat: Mapping[str, Any]) -> EarlyStopping | None:
    share, patience = flat.get("validation"), flat.get("patience")
    return None if share is None and patience is None else EarlyStopping(share, patience, flat.get("k", 20))
