"""The ways to fit, each a function of what is learned from, a setting and a seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pyrec.data import Interactions
from pyrec.debias import propensities
from pyrec.errors import ConfigError
from pyrec.models import EASE, MODELS, LightGCN, Popularity, WholeMF
from pyrec.nn.combine import Attention
from pyrec.train.loss import Pointwise

from .attention import attended
from .choose import Fit, Params, Scorer
from .protocols import Part
from .scores import Constant, Dense


def constant(_part: Part, _params: Params, _seed: int) -> Scorer:
    """The same score for every pair."""
    return Constant()


def popularity(part: Part, _params: Params, _seed: int) -> Scorer:
    """How many positives an item has."""
    return Popularity().fit(part.biased.positives())


def rates(part: Part, params: Params, _seed: int) -> Scorer:
    """The user's and the item's mean label, each drawn to the mean of all by ``prior`` pairs' weight."""
    biased, prior = part.biased, params["prior"]
    mean = float(biased.signs.mean())
    of_user = _shrunk(biased.users, biased.signs - mean, biased.num_users, prior)
    of_item = _shrunk(biased.items, biased.signs - mean, biased.num_items, prior)
    return Dense(of_user[:, None] + of_item + mean)


def _shrunk(rows: NDArray[Any], values: NDArray[Any], count: int, prior: float) -> NDArray[np.float64]:
    return np.bincount(rows, values, minlength=count) / (np.bincount(rows, minlength=count) + prior)


def ease(part: Part, params: Params, _seed: int) -> Scorer:
    """EASE on the positives."""
    return EASE(**params).fit(part.biased.positives())


def whole_mf(part: Part, params: Params, seed: int) -> WholeMF:
    """`WholeMF`, with ``uniform_weight`` where there are uniform pairs.

    ``learns`` may be "uniform", for these alone. ``rise`` and ``fall`` weigh by the position p: a positive by
    (1 + p)^rise, a negative by (1 + p)^-fall.
    """
    own = dict(params)
    learns, rise, fall = own.pop("learns", "all"), own.pop("rise", 0.0), own.pop("fall", 0.0)
    model = WholeMF(**own, seed=seed)
    if learns == "uniform":
        return model.fit(_given(part.uniform))
    biased = weighed(part.biased, by_position(part.biased, rise, fall)) if rise or fall else part.biased
    return model.fit(biased, uniform=part.uniform if own.get("uniform_weight", 0) else None)


def weighted_mf(part: Part, params: Params, seed: int) -> Scorer:
    """`WholeMF` whose biased pairs weigh 1 / propensity, by ``propensity``; ``normalised`` as SNIPS does."""
    own = dict(params)
    method, clip = own.pop("propensity"), own.pop("clip", 0.01)
    found = propensities(part.biased, part.uniform, method=method, clip=clip)
    weights = found.weights(normalised=True)
    return WholeMF(**own, seed=seed).fit(weighed(part.biased, weights))


def model(part: Part, params: Params, seed: int) -> Scorer:
    """The model of `pyrec.models.MODELS` that ``model`` names, with the uniform pairs and an epoch by validation."""
    own = dict(params)
    kind = MODELS[own.pop("model")]
    fitted = kind(**own, seed=seed)
    return fitted.fit(part.biased, uniform=part.uniform, validation=part.validation)


def lightgcn(part: Part, params: Params, seed: int) -> Scorer:
    """`LightGCN` by the squared error of labels; ``reweight`` and a ``fit`` of the combine learn on the uniform pairs.

    ``negatives`` is 0 for the labelled pairs alone, else the pairs without a label that are drawn beside each.
    """
    own = dict(params)
    loss = Pointwise(kind="squared", negatives=own.pop("negatives") or "none")
    combine = Attention(fit="uniform") if own.pop("attention", False) else "mean"
    fitted = LightGCN(loss=loss, combine=combine, **own, seed=seed)
    taught = combine != "mean" or own.get("reweight") is not None
    return fitted.fit(part.biased, validation=part.validation, uniform=part.uniform if taught else None)


def taught(part: Part, params: Params, seed: int) -> Scorer:
    """`WholeMF` with the weights, of mean 1, and the imputed label that `AutoDebias` ends with.

    ``autodebias`` are its options.
    """
    own = dict(params)
    teacher = model(part, {"model": "autodebias", **own.pop("autodebias")}, seed)
    biased = part.biased
    weights = teacher.label_weights_[(biased.signs > 0).astype(int)]
    weights = weights * teacher.user_weights_[biased.users] * teacher.item_weights_[biased.items]
    if biased.positions is not None:
        weights = weights * teacher.position_weights_[biased.positions]
    prior = float(teacher.imputed_[0])
    biased = weighed(biased, (weights / weights.mean()).astype(np.float32))
    return WholeMF(**own, prior=prior, seed=seed).fit(biased, uniform=part.uniform)


def attention(part: Part, params: Params, seed: int) -> Scorer:
    """`WholeMF` of the biased pairs, and attention over the uniform ones on top."""
    own = dict(params)
    rate, decay = own.pop("rate"), own.pop("decay", 0.0)
    base = whole_mf(Part(part.biased), own, seed)
    return attended(base, _given(part.uniform), _given(part.validation), rate, decay, seed)


def by_position(biased: Interactions, rise: float, fall: float) -> NDArray[np.float32]:
    """Weights (n,): positives by (1 + p)^rise, negatives by (1 + p)^-fall.

    A click far down a list says more than one at its top, and no click there says less: nobody may have looked.
    """
    if biased.positions is None:
        raise ConfigError("rise and fall go by the position, and these pairs have none")
    place = 1.0 + biased.positions.astype(np.float64)
    return np.where(biased.signs > 0, place**rise, place**-fall).astype(np.float32)


def weighed(pairs: Interactions, weights: NDArray[np.float32]) -> Interactions:
    """The pairs with weights (n,)."""
    return replace(pairs, weights=weights)


def _given(pairs: Interactions | None) -> Interactions:
    if pairs is None:
        raise ConfigError("the method learns from uniform pairs, and the protocol has none to learn from")
    return pairs


FITS: Final[dict[str, Fit]] = {
    "constant": constant,
    "popularity": popularity,
    "rates": rates,
    "ease": ease,
    "whole_mf": whole_mf,
    "weighted_mf": weighted_mf,
    "model": model,
    "lightgcn": lightgcn,
    "taught": taught,
    "attention": attention,
}
