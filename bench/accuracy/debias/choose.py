"""How settings are chosen, without a test pair.

232 uniform pairs decide nothing on coat: the standard error of an AUC over them is .04. So three figures are averaged:

- ``uniform``, for protocols with uniform pairs to learn from: AUC on the validation part; AUC on the training part of a
  fit that learned from the validation part in its place; AUC on a fifth of the biased pairs that the fit was without.
- ``order``, where no uniform label may be seen: on a fifth of the biased pairs that the fit was without, thrice anew.
  A held-out positive ranks above a held-out negative, above a random pair that is not observed, and that one above a
  held-out negative. It is the mean of the three AUCs, as Hand and Till (Machine Learning, 2001) have it for classes.
- ``thirds``, for other shares of uniform pairs: AUC on the validation part, and on a third of the training part that
  the fit was without.
- ``labels``: the first of these three alone, as a paper's cross-validation does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyrec.data import Interactions
from pyrec.errors import ConfigError
from pyrec.evaluate.pair_metrics import auc

from .protocols import Part, swapped, without

Params = Mapping[str, Any]
REPEATS = 3


class Scorer(Protocol):
    """What a fit gives."""

    def pair_scores(self, users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
        """Scores of pairs, (n,)."""


Fit = Callable[[Part, Params, int], Scorer]
"""Learns from a part with a setting and a seed."""


def by_uniform(fit: Fit, part: Part, params: Params, seed: int) -> float:
    """The mean of the three AUCs of ``uniform``; see the module."""
    kept, held = without(part.biased, seed)
    first = auc_of(fit(part, params, 0), _some(part.validation))
    other = auc_of(fit(swapped(part), params, 0), _some(part.uniform))
    third = auc_of(fit(Part(kept, part.uniform, part.validation), params, 0), held)
    return (first + other + third) / 3


def by_thirds(fit: Fit, part: Part, params: Params, seed: int) -> float:
    """The mean of the two AUCs of ``thirds``; see the module."""
    kept, held = without(_some(part.uniform), seed, 1 / 3)
    first = auc_of(fit(part, params, 0), _some(part.validation))
    other = auc_of(fit(Part(part.biased, kept, part.validation), params, 0), held)
    return (first + other) / 2


def by_order(fit: Fit, part: Part, params: Params, seed: int) -> float:
    """The mean of the three AUCs of ``order``, over `REPEATS` held-out fifths."""
    found = []
    for repeat in range(REPEATS):
        kept, held = without(part.biased, seed + repeat)
        scorer = fit(Part(kept), params, 0)
        found.append(order_auc(*_groups(scorer, part.biased, held, seed + repeat)))
    return float(np.mean(found))


def by_labels(fit: Fit, part: Part, params: Params, seed: int) -> float:
    """AUC on held-out biased pairs, over `REPEATS` fifths."""
    found = []
    for repeat in range(REPEATS):
        kept, held = without(part.biased, seed + repeat)
        found.append(auc_of(fit(Part(kept), params, 0), held))
    return float(np.mean(found))


CRITERIA = {"uniform": by_uniform, "thirds": by_thirds, "order": by_order, "labels": by_labels}


def ranked(
    fit: Fit, part: Part, settings: Sequence[Params], criterion: str, seed: int
) -> tuple[list[int], list[float]]:
    """The settings' places from the best to the worst, ties in the file's order, and each one's figure.

    Raises:
        ConfigError: If there is no such criterion.
    """
    if criterion not in CRITERIA:
        raise ConfigError(f"criterion = {criterion!r} is none of {', '.join(CRITERIA)}")
    if len(settings) == 1:
        return [0], [float("nan")]
    figures = [CRITERIA[criterion](fit, part, params, seed) for params in settings]
    return np.argsort(-np.array(figures), kind="stable").tolist(), figures


def auc_of(scorer: Scorer, pairs: Interactions) -> float:
    """AUC over all comparisons of a positive with a negative pair."""
    return float(auc(scorer.pair_scores(pairs.users, pairs.items), positive(pairs)))


def order_auc(
    positives: NDArray[np.floating], unobserved: NDArray[np.floating], negatives: NDArray[np.floating]
) -> float:
    """The mean AUC of positives against negatives, positives against unobserved, and unobserved against negatives.

    Args:
        positives: (p,) scores.
        unobserved: (m,) scores.
        negatives: (n,) scores.
    """
    two = [(positives, negatives), (positives, unobserved), (unobserved, negatives)]
    return float(np.mean([_between(above, below) for above, below in two]))


def positive(pairs: Interactions) -> NDArray[np.bool_]:
    """Which pairs have a positive label, (n,)."""
    if pairs.is_positive is None:
        raise ConfigError("the pairs have no labels; give a rule, such as positive: rating>=4")
    return pairs.is_positive


def _between(above: NDArray[np.floating], below: NDArray[np.floating]) -> float:
    label = np.repeat([True, False], [len(above), len(below)])
    return float(auc(np.concatenate([above, below]), label))


def _groups(
    scorer: Scorer, biased: Interactions, held: Interactions, seed: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    users = rng.integers(biased.num_users, size=10 * len(held))
    items = rng.integers(biased.num_items, size=10 * len(held))
    fresh = ~biased.has_pairs(users, items)
    scores, label = scorer.pair_scores(held.users, held.items), positive(held)
    return scores[label], scorer.pair_scores(users[fresh], items[fresh]), scores[~label]


def _some(pairs: Interactions | None) -> Interactions:
    if pairs is None:
        raise ConfigError("the criterion 'uniform' needs a protocol with uniform pairs to learn from")
    return pairs
