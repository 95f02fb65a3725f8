"""The cosine contrastive loss against its formula, sample by sample."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from pyrec import LightGCN, Recommender, evaluate
from pyrec.data import split_random, synthetic
from pyrec.errors import ConfigError
from pyrec.ops.sample import Triples
from pyrec.train.batch import Batch
from pyrec.train.loss import Loss
from pyrec.train.loss.ccl import CCL
from pyrec.train.negatives import Hard, Uniform


def batch(weight: torch.Tensor | None = None) -> Batch:
    """Two samples with three negatives each, of seven rows: users 0 and 1, items 2 to 6."""
    position = torch.tensor([0, 1, 2, 3, 4, 5, 2, 6, 2, 3])
    empty = torch.zeros(2, dtype=torch.int32)
    return Batch(Triples(empty, empty, empty[:, None]), torch.arange(7), position, weight=weight)


def expected(vectors: torch.Tensor, weight: list[float]) -> torch.Tensor:
    samples = [(0, 2, (4, 5, 2)), (1, 3, (6, 2, 3))]
    losses = []
    for user, positive, negatives in samples:
        near = [
            (cosine_similarity(vectors[user], vectors[one], dim=0) - 0.3).clamp_min(0) for one in negatives
        ]
        losses.append(1 - cosine_similarity(vectors[user], vectors[positive], dim=0) + 5.0 * sum(near) / 3)
    return sum(w * one for w, one in zip(weight, losses, strict=True)) / sum(weight)


@pytest.mark.parametrize("weight", [None, [1.0, 3.0]])
def test_value_and_gradient_are_those_of_the_formula(weight: list[float] | None) -> None:
    vectors = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, plain = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    weights = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    loss = CCL(margin=0.3, negative_weight=5.0)(batch(weights), ours)
    wanted = expected(plain, weight or [1.0, 1.0])
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    wanted.backward()
    torch.testing.assert_close(ours.grad, plain.grad)


def test_it_learns_saves_and_loads(tmp_path) -> None:
    train, test = split_random(synthetic(200, 100, 12, num_groups=5), 0.2)
    untrained = LightGCN(loss="ccl", epochs=1, learning_rate=1e-9).fit(train)
    model = LightGCN(loss=CCL(negatives=Uniform(16)), epochs=20).fit(train)
    assert evaluate(model, test, 10)["recall@10"] > 1.2 * evaluate(untrained, test, 10)["recall@10"]
    model.save(tmp_path)
    assert Recommender.load(tmp_path).loss == model.loss


def test_it_is_known_by_its_name_and_refuses_what_it_cannot_do_with() -> None:
    assert Loss.of("ccl") == CCL()
    with pytest.raises(ConfigError, match=r"loss__negatives = 'hard' is not for the loss 'ccl'"):
        LightGCN(loss=CCL(negatives=Hard())).check_params()
    with pytest.raises(ConfigError, match=r"loss__margin = 1.5"):
        LightGCN(loss=CCL(margin=1.5)).check_params()
