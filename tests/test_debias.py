"""AutoDebias' steps in closed form against the published algorithm by torch's own derivatives."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from pyrec.errors import ConfigError, DataError
from pyrec.ops.debias import PARTS, Debias, Pairs, Rates, Rows, Weights
from pyrec.reference.debias import Debias as Published

RATES = {
    "pair_user": 1e-2,
    "pair_item": 1e-2,
    "pair_label": 1e-2,
    "pair_position": 1e-2,
    "whole_user": 1e-2,
    "whole_item": 1e-2,
    "whole_observed": 1e-2,
    "imputed": 1e-1,
}
DECAYS = {**dict.fromkeys(PARTS, 1e-3), "imputed": 1e-4}
COAT = Rates(
    eta=1e-3,
    lam=0.05,
    reg=1.0,
    rates={**dict.fromkeys(PARTS, 1e-3), "imputed": 1e-1},
    decays={**dict.fromkeys(PARTS[:4], 1e-4), **dict.fromkeys(PARTS[4:7], 1e-3), "imputed": 1e-4},
    bound=50.0,
)
SMALL = Rates(eta=2e-2, lam=0.1, reg=0.5, rates=RATES, decays=DECAYS, bound=50.0)


def random_pairs(num_users=23, num_items=17, share=0.3, num_positions=0, num_uniform=40, seed=0):
    """Observed and uniform pairs; some users and items have none, and some pairs are of both."""
    draw = np.random.default_rng(seed)
    observed = draw.random((num_users, num_items)) < share
    observed[2], observed[:, 5] = False, False
    users, items = np.nonzero(observed)
    cells = draw.choice(num_users * num_items, num_uniform, replace=False)
    return pairs_of(
        users,
        items,
        draw.random(len(users)) < 0.4,
        num_users,
        num_items,
        cells // num_items,
        cells % num_items,
        draw.random(num_uniform) < 0.5,
        draw.integers(num_positions, size=len(users)) if num_positions else None,
    )


def pairs_of(
    users,
    items,
    positive,
    num_users,
    num_items,
    uniform_users,
    uniform_items,
    uniform_positive,
    positions=None,
):
    counts = np.bincount(users, minlength=num_users)
    int32 = lambda array: torch.from_numpy(np.asarray(array, dtype=np.int32))  # noqa: E731
    return Pairs(
        indptr=torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])),
        items=int32(items),
        positive=torch.from_numpy(np.asarray(positive, dtype=bool)),
        positions=None if positions is None else int32(positions),
        num_items=num_items,
        uniform_users=int32(uniform_users),
        uniform_items=int32(uniform_items),
        uniform_positive=torch.from_numpy(np.asarray(uniform_positive, dtype=bool)),
    )


def coat(data_dir):
    """The whole biased part, and a twentieth of the uniform one."""
    biased, uniform = (
        np.loadtxt(data_dir / "coat" / name, delimiter=",", dtype=int) for name in ("user.txt", "random.txt")
    )
    biased = biased[np.lexsort((biased[:, 1], biased[:, 0]))]
    uniform = uniform[np.random.default_rng(0).permutation(len(uniform))[: len(uniform) // 20]]
    return pairs_of(
        biased[:, 0],
        biased[:, 1],
        biased[:, 2] >= 4,
        290,
        300,
        uniform[:, 0],
        uniform[:, 1],
        uniform[:, 2] >= 4,
    )


def start(pairs, dim, dtype, seed=0):
    """Vectors, biases and parts, far enough from zero for every term to count."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, scale=0.3):
        return (scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype)

    users, items = pairs.num_users, pairs.num_items
    theta = [normal(users, dim), normal(items, dim), normal(users), normal(items)]
    sizes = [users, items, 2, pairs.num_positions, users, items, 2, 3]
    return theta, {name: normal(size) for name, size in zip(PARTS, sizes, strict=True)}


def orders(pairs, users_per_block, items_per_block, seed):
    """Random ones, as an epoch has them."""
    generator = torch.Generator().manual_seed(seed)
    blocks = -(-pairs.num_users // users_per_block)
    users = torch.randperm(pairs.num_users, generator=generator).int()
    items = torch.stack([torch.randperm(pairs.num_items, generator=generator).int() for _ in range(blocks)])
    return users, items


def published(pairs, theta, parts, rates):
    users = torch.repeat_interleave(torch.arange(pairs.num_users), pairs.indptr.diff())
    label = (pairs.uniform_positive * 2 - 1).to(theta[0].dtype)
    ends = torch.stack([pairs.uniform_users.long(), pairs.uniform_items.long()])
    return Published(
        theta=[one.clone() for one in theta],
        parameter={name: one.clone() for name, one in parts.items()},
        pairs=torch.stack([users, pairs.items.long()]),
        positive=pairs.positive,
        position=None if pairs.positions is None else pairs.positions.long(),
        weight=pairs.weight,
        uniform=(ends, label),
        eta=rates.eta,
        lam=rates.lam,
        reg=rates.reg,
        rates=dict(rates.rates),
        decays=dict(rates.decays),
        learned=set(rates.rates),
        bound=rates.bound,
    )


def both(device, pairs, theta, parts, rates, sizes, steps):
    """Theta and parts after some steps: by the kernel and by torch's derivatives; and the losses."""
    ours = Debias(pairs, Rows(theta[0], theta[1], theta[2], theta[3]), Weights(parts))
    ours.emulated = device.name == "cuda-emulated"
    theirs = published(pairs, theta, parts, rates)
    epoch, done, losses = 0, 0, []
    while done < steps:
        users, items = orders(pairs, *sizes, epoch)
        ours.arrange(users, items, *sizes)
        last = min(ours.num_blocks, steps - done)
        have = float(ours.steps(0, last, rates))
        right = 0.0
        by_items = -(-pairs.num_items // sizes[1])
        for block in range(last):
            of_users, of_items = divmod(block, by_items)
            theirs.step(
                users[of_users * sizes[0] :][: sizes[0]].long(),
                items[of_users][of_items * sizes[1] :][: sizes[1]].long(),
            )
            right += theirs.loss
        losses.append((have, right))
        epoch, done = epoch + 1, done + last
    mine = {f"theta{k}": one for k, one in enumerate(ours.rows.get())} | {
        name: ours.weights.part(name) for name in PARTS
    }
    return mine, {f"theta{k}": one for k, one in enumerate(theirs.theta)} | theirs.parameter, losses


def check(mine, theirs, losses, tolerance):
    for name, right in theirs.items():
        if right.numel() == 0:
            continue
        error = float((mine[name].double() - right.double()).norm() / right.double().norm().clamp(min=1e-300))
        assert error <= tolerance, (name, error)
    for have, right in losses:
        assert have == pytest.approx(right, rel=10 * tolerance)


TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coat_after_50_steps_with_all_weights_learning(kernels, data_dir, dtype):
    pairs = coat(data_dir)
    theta, parts = start(pairs, 10, dtype)
    check(*both(kernels, pairs, theta, parts, COAT, (64, 64), 50), TOLERANCE[dtype])


WIDTHS = [1, 3, 6, 13, 14, 15, 30, 31, 62, 64, 100]


@pytest.mark.parametrize("dim", WIDTHS)
def test_widths(kernels, dim):
    pairs = random_pairs()
    theta, parts = start(pairs, dim, torch.float64)
    theta = [one / max(1, dim / 10) ** 0.5 for one in theta]
    check(*both(kernels, pairs, theta, parts, SMALL, (10, 7), 12), 1e-10)


@pytest.mark.parametrize("sizes", [(23, 17), (1, 17), (23, 1), (4, 4), (22, 16)])
@pytest.mark.parametrize("num_positions", [0, 5])
def test_blocks_of_any_size_with_and_without_positions(device, sizes, num_positions):
    pairs = random_pairs(num_positions=num_positions)
    theta, parts = start(pairs, 6, torch.float64)
    check(*both(device, pairs, theta, parts, SMALL, sizes, 12), 1e-10)


def test_many_pairs_of_a_user_and_of_an_item(device):
    pairs = random_pairs(num_users=90, num_items=110, share=0.95, num_uniform=300)
    theta, parts = start(pairs, 6, torch.float64)
    slow = replace(SMALL, eta=1e-3)
    check(*both(device, pairs, theta, parts, slow, (90, 110), 4), 1e-10)


def held(*names):
    """Rates by which these parts do not learn."""
    return replace(SMALL, rates={name: rate for name, rate in RATES.items() if name not in names})


HELD = {
    "implicit": held("pair_label"),
    "label": held("pair_user", "pair_item", "whole_user", "whole_item"),
    "before weights learn": held(*PARTS[:-1]),
    "pairs alone": held(*PARTS[4:]),
    "whole alone": held(*PARTS[:4], "imputed"),
}


@pytest.mark.parametrize("rates", HELD.values(), ids=HELD)
def test_parts_that_do_not_learn_stay(device, rates):
    pairs = random_pairs()
    if "pair_label" not in rates.rates and "pair_user" in rates.rates:
        pairs = replace(pairs, positive=torch.ones_like(pairs.positive))
    theta, parts = start(pairs, 6, torch.float64)
    mine, theirs, losses = both(device, pairs, theta, parts, rates, (10, 7), 12)
    check(mine, theirs, losses, 1e-10)
    for name in PARTS:
        moved = not torch.equal(mine[name], parts[name])
        assert moved == (name in rates.rates and parts[name].numel() > 0), name


def test_given_weights_multiply(device):
    pairs = random_pairs()
    generator = torch.Generator().manual_seed(3)
    weight = 3 * torch.rand(len(pairs.items), generator=generator, dtype=torch.float64)
    weight[::4] = 0
    theta, parts = start(pairs, 6, torch.float64)
    check(*both(device, replace(pairs, weight=weight), theta, parts, SMALL, (10, 7), 12), 1e-10)


def test_weights_are_cut_off_at_the_bound(device):
    pairs = random_pairs()
    theta, parts = start(pairs, 6, torch.float64)
    bounded = replace(SMALL, bound=0.5, rates=dict.fromkeys(PARTS, 0.2))
    mine, theirs, losses = both(device, pairs, theta, parts, bounded, (23, 17), 10)
    check(mine, theirs, losses, 1e-10)
    assert mine["pair_user"].abs().max() == 0.5
    assert mine["imputed"].abs().max() > 0.5


def test_the_gradient_of_weights_is_that_of_finite_differences(device):
    """A step of Adam from rest has the sign of the gradient, and its first moment a tenth of it."""
    pairs = random_pairs(num_positions=3)
    theta, parts = start(pairs, 5, torch.float64)
    still = replace(SMALL, rates=dict.fromkeys(PARTS, 1e-300), decays=dict.fromkeys(PARTS, 0.0))
    users, items = orders(pairs, 23, 17, 0)
    ours = Debias(pairs, Rows(*theta), Weights(parts))
    ours.emulated = device.name == "cuda-emulated"
    ours.arrange(users, items, 23, 17)
    ours.steps(0, 1, still)

    def uniform_loss(changed):
        moved = published(pairs, theta, changed, replace(still, rates={}))
        moved.step(users.long(), items[0].long())
        ends, label = moved.uniform
        return float(((moved._score(moved.theta, *ends) - label) ** 2).sum())

    draw = np.random.default_rng(0)
    for name in PARTS:
        gradient = ours.weights.part(name, ours.weights.moment) / 0.1
        for at in draw.choice(len(parts[name]), min(3, len(parts[name])), replace=False):
            ends = []
            for step in (1e-4, -1e-4):
                changed = {key: one.clone() for key, one in parts.items()}
                changed[name][at] += step
                ends.append(uniform_loss(changed))
            assert float(gradient[at]) == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-5, abs=1e-9), name


def after(device, pairs, dtype, sizes, calls):
    """All that learns after an epoch, whose blocks were asked for in some calls."""
    theta, parts = start(pairs, 20, dtype)
    ours = Debias(pairs, Rows(*theta), Weights(parts))
    ours.emulated = device.name == "cuda-emulated"
    ours.arrange(*orders(pairs, *sizes, 0), *sizes)
    ends = np.linspace(0, ours.num_blocks, calls + 1).astype(int).tolist()
    for first, last in pairwise(ends):
        ours.steps(first, last, replace(SMALL, eta=1e-4))
    return [*ours.rows.get(), ours.weights.parameter, ours.weights.square]


def test_same_bits_at_any_number_of_threads_and_calls(device, threads):
    pairs = random_pairs(num_users=1500, num_items=700, share=0.04, num_uniform=900)
    sizes = (700, 700)
    results = []
    for count, calls in ((1, 1), (2, 1), (3, 3), (7, 2)):
        threads(count)
        results.append(after(device, pairs, torch.float32, sizes, calls))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


PLAN = {
    "indptr": torch.tensor([0, 2, 3]),
    "items": torch.tensor([0, 2, 1], dtype=torch.int32),
    "positive": torch.tensor([True, False, True]),
    "positions": None,
    "num_items": 3,
    "uniform_users": torch.tensor([0, 1], dtype=torch.int32),
    "uniform_items": torch.tensor([1, 1], dtype=torch.int32),
    "uniform_positive": torch.tensor([True, False]),
}
NONE = torch.empty(0, dtype=torch.int32)


def small(**change):
    pairs = Pairs(**PLAN | change)
    theta, parts = start(Pairs(**PLAN), 2, torch.float32)
    return Debias(pairs, Rows(*theta), Weights(parts))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": torch.tensor([0, 3, 1], dtype=torch.int32)}, r"items\[1\] = 3, but there are 3 items"),
        ({"items": torch.tensor([0, 1, 2])}, "items has dtype int64, but int32 is needed"),
        ({"indptr": torch.tensor([0, 2, 4])}, "indptr"),
        (
            {"uniform_users": torch.tensor([0, 2], dtype=torch.int32)},
            r"users\[1\] = 2, but there are 2 users",
        ),
        (
            {"uniform_items": torch.tensor([0, -1], dtype=torch.int32)},
            r"items\[1\] = -1, but there are 3 items",
        ),
        ({"uniform_items": torch.tensor([0], dtype=torch.int32)}, r"uniform_items has shape \(1,\)"),
        ({"positive": torch.tensor([True])}, r"codes has shape \(1,\), but \(3,\) is needed"),
    ],
)
def test_bad_pairs_are_named(change, message):
    with pytest.raises(DataError, match=message):
        small(**change)


def test_no_uniform_pair_is_an_error():
    with pytest.raises(ConfigError, match="uniform pairs = 0 is outside 1 to"):
        small(uniform_users=NONE, uniform_items=NONE, uniform_positive=torch.empty(0, dtype=torch.bool))


USERS, ITEMS = torch.tensor([1, 0], dtype=torch.int32), torch.tensor([[0, 2, 1]], dtype=torch.int32)


@pytest.mark.parametrize(
    ("users", "items", "sizes", "error", "message"),
    [
        (USERS * 0, ITEMS, (2, 3), DataError, "user_order names 0 twice"),
        (USERS + 1, ITEMS, (2, 3), DataError, r"user_order\[0\] = 2, but there are 2 rows"),
        (USERS, ITEMS * 0, (2, 3), DataError, "item_order names 0 twice"),
        (USERS, ITEMS, (1, 3), DataError, r"item_order has shape \(1, 3\), but \(2, 3\) is needed"),
        (USERS.long(), ITEMS, (2, 3), DataError, "user_order has dtype int64"),
        (USERS, ITEMS, (0, 3), ConfigError, "users_per_block = 0 is outside 1 to 2"),
        (USERS, ITEMS, (2, 4), ConfigError, "items_per_block = 4 is outside 1 to 3"),
    ],
)
def test_bad_orders_are_named(users, items, sizes, error, message):
    with pytest.raises(error, match=message):
        small().arrange(users, items, *sizes)


def test_steps_need_an_order_and_its_blocks():
    ours = small()
    with pytest.raises(DataError, match="blocks 0 to 1 were asked for, but there are 0"):
        ours.steps(0, 1, SMALL)
    ours.arrange(USERS, ITEMS, 2, 2)
    with pytest.raises(DataError, match="blocks 1 to 3 were asked for, but there are 2"):
        ours.steps(1, 3, SMALL)
