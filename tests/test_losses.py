"""The softmax losses with weights of samples, and their second derivatives."""

import pytest
import torch
from torch.nn import functional

from pyrec.errors import DataError
from pyrec.train.loss import Softmax, cross_entropy

BATCH, NUM_ITEMS, DIM, TEMPERATURE = 6, 9, 4, 0.5


def make(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def weights():
    return torch.tensor([0.5, 3, 0, 1, 0.25, 2], dtype=torch.float64).requires_grad_()


def sampled(users, items, weight=None, exponent=1.0):
    """Every second item is the pool, without each user's own."""
    own, ids = torch.tensor([0, -1, -1, 2, -1, -1]), torch.arange(5)
    log_expected = torch.linspace(-1, 1, 5, dtype=users.dtype)
    pool = items[::2].contiguous()
    return cross_entropy.sampled_softmax(
        users, items[:BATCH], pool, own, ids, TEMPERATURE, log_expected, weight, exponent
    )


def full(users, items, weight=None, exponent=1.0):
    """Of the three first users, each of whom has two samples."""
    user, item = torch.arange(BATCH) % 3, torch.arange(BATCH) + 2
    return cross_entropy.full_softmax(users[:3], items, user, item, TEMPERATURE, weight, exponent)


POOL = [0, 2, 2, 5, 2, 7, 3]
"""Items 2 to 4 are positives, and two items are there more than once."""


def pooled(users, items, weight=None, exponent=1.0):
    """Of the three first users, among a pool that two samples' own positives are in."""
    rows = torch.cat([users[:3], items])
    user, item = torch.arange(BATCH) % 3, torch.arange(BATCH) + 2
    pool = torch.tensor(POOL) + 3
    return cross_entropy.pooled_softmax(rows, user, item + 3, pool, TEMPERATURE, weight, exponent)


def each_pooled(users, items):
    """(BATCH,) from the formula: the positive among itself and what is not itself in the pool."""
    user, item = torch.arange(BATCH) % 3, torch.arange(BATCH) + 2
    logits = users[user] @ items.T / TEMPERATURE
    positive = logits[torch.arange(BATCH), item]
    others = torch.stack([torch.tensor(POOL) != own for own in item.tolist()])
    total = positive.exp() + (logits[:, POOL].exp() * others).sum(1)
    return total.log() - positive


def each_sampled(users, items):
    """(BATCH,) from the formula: the positive among itself and the pool."""
    positive = (users * items[:BATCH]).sum(1) / TEMPERATURE
    negative = users @ items[::2].T / TEMPERATURE - torch.linspace(-1, 1, 5, dtype=users.dtype)
    left_out = torch.zeros(BATCH, 5, dtype=users.dtype)
    left_out[0, 0] = left_out[3, 2] = 1
    total = positive.exp() + (negative.exp() * (1 - left_out)).sum(1)
    return total.log() - positive


def each_full(users, items):
    """(BATCH,) cross-entropies."""
    logits = users[torch.arange(BATCH) % 3] @ items.T / TEMPERATURE
    return functional.cross_entropy(logits, torch.arange(BATCH) + 2, reduction="none")


def own_positives(users, items):
    """(BATCH,) scores over the temperature, where the three first users have two samples each."""
    return (users[torch.arange(BATCH) % 3] * items[torch.arange(BATCH) + 2]).sum(1) / TEMPERATURE


def sampled_positives(users, items):
    """(BATCH,) scores over the temperature."""
    return (users * items[:BATCH]).sum(1) / TEMPERATURE


PAIRS = pytest.mark.parametrize(
    ("loss", "each"), [(sampled, each_sampled), (pooled, each_pooled), (full, each_full)]
)


def inputs():
    return make(BATCH, DIM, seed=1), make(NUM_ITEMS, DIM, seed=2)


@PAIRS
def test_a_weighted_loss_is_the_weighted_mean_of_the_formula(loss, each):
    tensors = (*inputs(), weights())
    have = loss(*tensors)
    expected = (tensors[2] * each(*tensors[:2])).sum() / tensors[2].sum()
    torch.testing.assert_close(have, expected)
    for ours, right in zip(
        torch.autograd.grad(have, tensors), torch.autograd.grad(expected, tensors), strict=True
    ):
        torch.testing.assert_close(ours, right)


@pytest.mark.parametrize("exponent", [0.6, 1.4])
@pytest.mark.parametrize(
    ("loss", "each", "positives"),
    [
        (sampled, each_sampled, sampled_positives),
        (pooled, each_pooled, own_positives),
        (full, each_full, own_positives),
    ],
)
def test_an_exponent_is_of_the_sum_alone(loss, each, positives, exponent):
    """c log Z - p, from log Z = (log Z - p) + p."""
    tensors = (*inputs(), weights())
    have = loss(*tensors, exponent=exponent)
    positive = positives(*tensors[:2])
    of_samples = exponent * (each(*tensors[:2]) + positive) - positive
    expected = (tensors[2] * of_samples).sum() / tensors[2].sum()
    torch.testing.assert_close(have, expected)
    for ours, right in zip(
        torch.autograd.grad(have, tensors), torch.autograd.grad(expected, tensors), strict=True
    ):
        torch.testing.assert_close(ours, right)
    sound = (*tensors[:2], (weights() + 0.5).detach().requires_grad_())
    assert torch.autograd.gradcheck(lambda *given: loss(*given, exponent), sound)
    assert torch.autograd.gradgradcheck(lambda *given: loss(*given, exponent), sound)


@pytest.mark.parametrize("loss", [sampled, pooled, full])
def test_the_exponent_one_leaves_every_bit(loss):
    users, items = (one.detach().float() for one in inputs())
    losses = torch.rand(BATCH, generator=torch.Generator().manual_seed(3))
    assert cross_entropy.bilateral(losses, losses, 1) is losses
    assert torch.equal(loss(users, items), loss(users, items, exponent=1.0))


def test_scores_that_are_known_have_the_exponent_too():
    scores = make(3, 4, seed=4)
    present = torch.tensor([[True] * 4, [True, True, False, True], [True, False, False, False]])
    have = Softmax(TEMPERATURE, "inner", exponent=0.8).each_of_scores(scores, present)
    totals = ((scores / TEMPERATURE).exp() * present).sum(1)
    torch.testing.assert_close(have, 0.8 * totals.log() - scores[:, 0] / TEMPERATURE)


@PAIRS
def test_the_gradient_in_a_weight_is_what_its_loss_is_above_the_mean(loss, each):
    users, items = inputs()
    weight = weights()
    value = loss(users, items, weight)
    (grad,) = torch.autograd.grad(value, [weight])
    torch.testing.assert_close(grad, (each(users, items) - value) / weight.sum())


@PAIRS
def test_equal_weights_have_the_value_of_none(loss, each):
    users, items = inputs()
    plain, weighted = loss(users, items), loss(users, items, torch.full((BATCH,), 3.0, dtype=torch.float64))
    torch.testing.assert_close(plain, weighted)
    torch.testing.assert_close(plain, each(users, items).mean())


@PAIRS
def test_first_and_second_derivatives(loss, each):
    tensors = (*inputs(), (weights() + 0.5).detach().requires_grad_())
    assert torch.autograd.gradcheck(loss, tensors)
    assert torch.autograd.gradgradcheck(loss, tensors)
    assert torch.autograd.gradgradcheck(loss, tensors[:2])


@pytest.mark.parametrize("scale", [1e-3, 1, 60])
@pytest.mark.parametrize("own_pool", [False, True], ids=["drawn", "positives"])
def test_a_pool_that_users_share_is_the_one_that_each_sample_meets(scale, own_pool):
    """In float32, for scores near 0 and so large that their exponentials overflow, and with a near-perfect fit."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(40 + 60, 8, generator=generator)
    rows[40:80] = rows[:40] + 0.01 * rows[40:80]
    rows *= scale
    user = torch.arange(200) % 40
    item = torch.where(torch.arange(200) < 80, user + 40, 40 + torch.arange(200) % 60)
    pool = item if own_pool else torch.randint(40, 100, (300,), generator=generator)
    rows.requires_grad_()
    result = cross_entropy.pooled_softmax(rows, user, item, pool, 1.0)
    expected = cross_entropy.sampled_softmax(rows[user], rows[item], rows[pool], item, pool, 1.0)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)
    grads = [torch.autograd.grad(one, rows)[0] for one in (result, expected)]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-6 * max(scale, 1))


def test_an_only_positive_as_its_own_pool_has_no_loss():
    rows = make(2, DIM, seed=1)
    user, item = torch.tensor([0]), torch.tensor([1])
    value = cross_entropy.pooled_softmax(rows, user, item, item, TEMPERATURE)
    (grad,) = torch.autograd.grad(value, rows)
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert grad.abs().max() < 1e-12


def test_an_empty_pool_has_no_second_derivative_either():
    users, items = (make(2, DIM, seed=seed) for seed in (1, 2))
    same = torch.zeros(2, dtype=torch.int64)
    value = cross_entropy.sampled_softmax(users, items, items, same, same, TEMPERATURE)
    (grad,) = torch.autograd.grad(value, [users], create_graph=True)
    assert not grad.any()
    (second,) = torch.autograd.grad(grad.sum(), [users])
    assert not second.any()


@pytest.mark.parametrize("loss", [sampled, pooled, full])
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.ones(BATCH, 1), r"weight has shape \(6, 1\), but shape \(6,\) is needed"),
        (torch.ones(BATCH - 1), r"weight has shape"),
        (torch.ones(BATCH), "weight has dtype torch.float32, but dtype torch.float64 is needed"),
        (
            torch.tensor([1, 1, -0.5, 1, 1, 1]).double(),
            r"weight\[2\] = -0.5, but a weight is a finite number",
        ),
        (torch.tensor([1, 1, 1, 1, 1, torch.nan]).double(), r"weight\[5\] = nan"),
        (torch.tensor([torch.inf, 1, 1, 1, 1, 1]).double(), r"weight\[0\] = inf"),
        (torch.zeros(BATCH).double(), "weight has the sum 0"),
        ([1.0] * BATCH, "weight is a list"),
    ],
)
def test_bad_weights_are_named(loss, weight, message):
    with pytest.raises(DataError, match=message):
        loss(*inputs(), weight)
