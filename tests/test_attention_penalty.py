"""The penalty of the additive attention: how far a row's weights are from those of its side and activity."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from small_models import numbers
from strategies import random_graph

from pyrec.errors import ConfigError
from pyrec.graph.nodes import Nodes
from pyrec.models import LightGCN
from pyrec.nn.combine import Attention, AttentionCombine, mean_divergence
from pyrec.reference.combine import combine_attention

NUM_LAYERS, DIM, KL = 3, 12, 0.7


@pytest.fixture
def nodes():
    return Nodes.of(random_graph(20, 15, 0.2))


@pytest.fixture
def combine():
    module = AttentionCombine(NUM_LAYERS - 1, DIM, hidden=5, kl=KL)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    return module


def make_layers(num_rows):
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(num_rows, DIM, generator=generator) for _ in range(NUM_LAYERS)]


def test_the_divergence_is_that_of_scipy():
    rng = np.random.default_rng(0)
    alpha = rng.dirichlet(np.ones(4), size=9)
    alpha[0] = [1, 0, 0, 0]
    offset = rng.normal(size=(9, 4))
    counted = np.array([1, 1, 0, 1, 1, 1, 0, 1, 1])
    sides = np.exp(offset) / np.exp(offset).sum(1, keepdims=True)
    expected = entropy(alpha[counted == 1], sides[counted == 1], axis=1).mean()
    found = mean_divergence(
        torch.from_numpy(alpha), torch.from_numpy(offset), torch.from_numpy(counted * 1.0)
    )
    assert found.item() == pytest.approx(expected, rel=1e-12)


def gradients_by_hand(combine, layers, nodes, weights, kl):
    """Of sum <weight, E> + kl * penalty, by autograd in float64: those of the layers, then of the parameters."""
    wide = [value.detach().double().requires_grad_() for value in (*layers, *combine.parameters())]
    rows, (weight, bias, vector, prior, slope) = wide[:NUM_LAYERS], wide[NUM_LAYERS:]
    offset = prior[nodes.is_item] + slope[nodes.is_item] * nodes.activity.double()[:, None]
    pooled, alpha = combine_attention(rows, weight, bias, vector, normalise=True, offset=offset)
    counts = nodes.counted.bool()
    divergence = (alpha * (alpha.log() - offset.log_softmax(1))).sum(1)[counts].mean()
    return torch.autograd.grad((pooled * weights.double()).sum() + kl * divergence, wide)


@pytest.mark.parametrize("penalised", [True, False])
def test_pooling_takes_its_gradient_back(combine, nodes, penalised):
    some = nodes.at(torch.tensor([3, 30, 7, 0, 21, -1, -1]))
    layers, weights = make_layers(7), torch.randn(7, DIM, generator=torch.Generator().manual_seed(3))
    expected = gradients_by_hand(combine, layers, some, weights, KL if penalised else 0)
    pooled, pull_back = combine.pool(layers, some, penalised)
    torch.testing.assert_close(pooled, combine(layers, some).detach(), rtol=0, atol=0)
    found = [*pull_back(weights), *(parameter.grad for parameter in combine.parameters())]
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=0, atol=2e-5 * float(theirs.abs().max()))


def test_what_stands_behind_the_last_row_does_not_count(combine, nodes):
    layers = make_layers(5)
    _, alone = combine.with_penalty([layer[:3] for layer in layers], nodes.at(torch.tensor([4, 25, 9])))
    _, padded = combine.with_penalty(layers, nodes.at(torch.tensor([4, 25, 9, -1, -1])))
    assert alone > 1e-3
    assert padded.item() == pytest.approx(alone.item(), rel=1e-6)
    assert combine.with_penalty(layers)[1] is None


def test_a_strong_pull_leaves_the_weights_of_side_and_activity():
    def spread(kl):
        model = LightGCN(embedding_size=8, epochs=15, learning_rate=2e-2, combine=Attention(kl=kl)).fit(
            numbers()
        )
        sides = torch.softmax(
            model.network_.combine._offset(model.network_.nodes(model._graph)), dim=1
        ).detach()
        return entropy(model.layer_weights_, sides.numpy(), axis=1).mean()

    free, pulled = spread(0.0), spread(10.0)
    assert free > 1e-3
    assert pulled < free / 10


@pytest.mark.parametrize("kl", [-1, np.nan, "much"])
def test_a_bad_weight_is_an_error(kl):
    with pytest.raises(ConfigError, match="combine__kl = "):
        LightGCN(combine=Attention(kl=kl)).fit(numbers())
    with pytest.raises(ConfigError, match="kl = "):
        AttentionCombine(2, 8, kl=kl)


@pytest.mark.parametrize(("name", "value"), [("kl", 1.0), ("width", 4)])
def test_what_acts_on_nothing_beside_held_out_weights_is_an_error(name, value):
    for options, because in (
        ({"loss": "bpr", "combine": Attention(**{name: value})}, ", as the loss asks for"),
        ({"combine": Attention(**{name: value}, fit="held-out")}, ""),
    ):
        message = rf"combine__{name} = {value} acts on nothing .* held-out interactions{because}: the sides"
        with pytest.raises(ConfigError, match=message):
            LightGCN(**options).fit(numbers())
