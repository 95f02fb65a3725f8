"""LightGCN over edges with the weights of the interactions: the normalised matrix, and what stays as it is without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_models import SMALL

from pyrec import LightGCN
from pyrec.data import Interactions, synthetic
from pyrec.errors import ConfigError, DataError
from pyrec.graph import Graph
from pyrec.train.augment import EdgeDropout
from pyrec.train.early_stopping import EarlyStopping

MEAN = {**SMALL, "combine": "mean", "loss": "bpr"}


def data(weights: Any = "some") -> Interactions:
    x = synthetic(40, 30, interactions_per_user=6, num_groups=4)
    if isinstance(weights, str):
        weights = np.random.default_rng(1).gamma(1.0, 2.0, len(x)).astype(np.float32)
        weights[::9] = 0
    given = None if weights is None else np.broadcast_to(weights, len(x)).astype(np.float32)
    return Interactions.from_codes(x.users, x.items, x.user_ids, x.item_ids, weights=given)


def dense(x: Interactions) -> np.ndarray:
    """D^-1/2 A D^-1/2 in float64, with 0 for a node without weights."""
    matrix = np.zeros((x.num_users + x.num_items,) * 2)
    matrix[x.users, x.num_users + x.items] = matrix[x.num_users + x.items, x.users] = x.weights
    degree = matrix.sum(axis=1)
    scale = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    return scale[:, None] * matrix * scale


def test_vectors_are_those_of_the_normalised_weights() -> None:
    x = data()
    model = LightGCN(**MEAN, weighted_edges=True).fit(x)
    first = model.network_.first().detach().double().numpy()
    layers = [first, dense(x) @ first, dense(x) @ (dense(x) @ first)]
    found = torch.cat([model.user_vectors_, model.item_vectors_]).numpy()
    np.testing.assert_allclose(found, np.mean(layers, axis=0), rtol=1e-4, atol=1e-6)
    plain = LightGCN(**MEAN).fit(x)
    assert not torch.allclose(plain.item_vectors_, model.item_vectors_, atol=1e-3)


def test_a_new_users_items_count_1_each() -> None:
    x = data()
    model = LightGCN(**MEAN, weighted_edges=True, encoder="items", n_layers=3).fit(x)
    items = np.array([3, 7, 11])
    layers = dense(x) @ dense(x)
    first = model.network_.first().detach().double().numpy()
    weight_of_items = np.bincount(x.items, x.weights, minlength=x.num_items)[items]
    at = x.num_users + items
    sent = [
        (layer[at] / np.sqrt(weight_of_items)[:, None]).sum(axis=0) / np.sqrt(3)
        for layer in (first, layers @ first)
    ]
    vector = np.mean(sent, axis=0)
    ids, scores = model.recommend_for_items([x.item_ids[items]], n=5)
    expected = np.array([model.item_vectors_.numpy() @ vector])[0][x.encode_items(ids[0])]
    np.testing.assert_allclose(scores[0], expected, rtol=1e-4, atol=1e-6)


def test_weights_of_1_and_the_option_off_give_the_bits_of_no_weights() -> None:
    plain = LightGCN(**MEAN).fit(data(None))
    for x, weighted in ((data(1.0), True), (data(1.0), False)):
        other = LightGCN(**MEAN, weighted_edges=weighted).fit(x)
        assert torch.equal(plain.user_vectors_, other.user_vectors_)
        assert torch.equal(plain.item_vectors_, other.item_vectors_)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "softmax", "combine": "attention"},
        {"combine": "weighted"},
        {"augment": EdgeDropout(0.3)},
        {"augment": "contrast"},
        {"stopping": EarlyStopping(share=0.2)},
        {"encoder": "items", "n_layers": 3},
        {"precision": "bf16"},
    ],
    ids=lambda options: ", ".join(map(str, options)) or "mean",
)
def test_it_goes_with_the_other_options_and_with_files(options: dict[str, Any], tmp_path) -> None:
    x = data()
    model = LightGCN(**MEAN | options, weighted_edges=True).fit(x)
    ids, scores = model.recommend(x.user_ids, n=12)
    for user in range(x.num_users):
        seen = x.item_ids[x.items[x.users == user]]
        assert not np.isin(ids[user], seen).any()  # a pair of weight 0 is seen, too
    model.save(tmp_path / "model")
    again = LightGCN.load(tmp_path / "model").recommend(x.user_ids, n=12)
    np.testing.assert_array_equal(again[0], ids)
    np.testing.assert_array_equal(again[1], scores)
    assert model.training_bytes(x) > LightGCN(**MEAN | options).training_bytes(x)


def test_explained_parts_of_users_made_of_their_items_sum_to_the_score() -> None:
    x = data()
    model = LightGCN(**MEAN | {"encoder": "items", "n_layers": 3}, weighted_edges=True).fit(x)
    for user in x.user_ids[:5].tolist():
        why = model.explain(user)
        assert why.kind == "exact"
        assert sum(part.value for part in why.parts) == pytest.approx(why.score, rel=1e-3, abs=1e-6)


def test_an_item_of_weight_0_is_no_part_of_an_explanation() -> None:
    x = data()
    model = LightGCN(**MEAN, weighted_edges=True).fit(x)
    zeros = {
        (u, i)
        for u, i, w in zip(x.users.tolist(), x.items.tolist(), x.weights.tolist(), strict=True)
        if w == 0
    }
    user = min(zeros)[0]
    values = {part.item: part.value for part in model.explain(int(x.user_ids[user])).parts}
    assert not {int(x.item_ids[item]) for one, item in zeros if one == user} & values.keys()
    assert max(map(abs, values.values())) > 1e-4


def test_graphs_by_weights() -> None:
    x = data()
    graph = Graph.of_positives(x, weighted=True)
    assert graph.num_edges == 2 * np.count_nonzero(x.weights)
    np.testing.assert_allclose(graph.total_weight[: x.num_users], np.bincount(x.users, x.weights), rtol=1e-6)
    assert Graph.of_positives(data(1.0), weighted=True).weights is None
    assert Graph.of_positives(x).weights is None
    assert Graph.of_positives(x).num_edges == graph.num_edges
    assert Graph.of_positives(data(None)).num_edges == graph.beside(x).num_edges == 2 * len(x)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(DataError, match="weighted_edges = True, but the interactions have no weights"):
        LightGCN(**MEAN, weighted_edges=True).fit(data(None))
    with pytest.raises(ConfigError, match="weighted_edges = True has no layers to propagate"):
        LightGCN(**MEAN, n_layers=0, weighted_edges=True).fit(data())
    with pytest.raises(ConfigError, match="weighted_edges = True has no weights for augment = 'extra-edges'"):
        LightGCN(**MEAN, augment="extra-edges", weighted_edges=True).fit(data())
    with pytest.raises(ConfigError, match="weighted_edges = 1 must be True or False"):
        LightGCN(**MEAN, weighted_edges=1).fit(data())
