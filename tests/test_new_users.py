"""Users whom training did not know: the vector of a history is a step of the softmax loss, and a good one."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from small_models import LEARNING

from pyrec import BPR, CCL, Pointwise, Softmax
from pyrec.data import Ragged, synthetic
from pyrec.models import MF, LightGCN, Popularity, Recommender
from pyrec.models.new_users import NewUsers

COMBINES = ["mean", "weighted", "attention", "self-attention"]


def rows(lists, num_items):
    indptr = np.concatenate([[0], np.cumsum([len(items) for items in lists])])
    return Ragged(indptr.astype(np.int64), np.concatenate(lists).astype(np.int32), num_items).csr()


def vectors(num_users, num_items, dim, seed=0):
    generator = np.random.default_rng(seed)
    return [(generator.normal(size=(num, dim)) + 0.3).astype(np.float32) for num in (num_users, num_items)]


def new_users_of(users, items, temperature, telling=None, score="inner"):
    telling = np.ones(len(items), bool) if telling is None else telling
    return NewUsers.of(users, items, telling, temperature, score)


def newton_step(users, items, temperature, history, per_item):
    """From the mean user, by autograd: of the loss of the history's items and the prior."""
    v, mean = torch.from_numpy(items).double(), torch.from_numpy(users).double().mean(0)
    chance = torch.softmax(v @ mean / temperature, 0)
    centred = v - chance @ v
    spread = (chance @ centred**2).mean() / temperature**2

    def loss(x):
        logits = v @ x / temperature
        of_items = len(history) * logits.logsumexp(0) - logits[history].sum()
        return of_items + spread * (30 + per_item * len(history)) * ((x - mean) ** 2).sum() / 2

    gradient = torch.autograd.functional.jacobian(loss, mean)
    return mean - torch.linalg.solve(torch.autograd.functional.hessian(loss, mean), gradient)


@pytest.mark.parametrize(("score", "per_item"), [("inner", 2), ("cosine", 3)])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
@pytest.mark.parametrize("dim", [1, 3, 16])
def test_the_vector_is_a_newton_step(dim, temperature, score, per_item):
    users, items = vectors(20, 5000, dim)  # more items than are taken at a time
    histories = [[7], [1, 2, 3, 4998], list(range(0, 5000, 50)), []]
    found = new_users_of(users, items, temperature, score=score)(rows(histories, 5000))
    assert found.dtype == np.float32
    for have, history in zip(found, histories, strict=True):
        expected = newton_step(users, items, temperature, history, per_item)
        np.testing.assert_allclose(have, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[3], users.mean(0), rtol=1e-6)


def test_one_user_has_the_bits_of_many():
    users, items = vectors(20, 60, 24)
    new = new_users_of(users, items, 0.2)
    generator = np.random.default_rng(1)
    histories = [np.sort(generator.choice(60, count, replace=False)) for count in (1, 3, 9, 40, 60)]
    together = new(rows(histories, 60))
    for have, history in zip(together, histories, strict=True):
        np.testing.assert_array_equal(new(rows([history], 60))[0], have)


def test_items_that_nobody_had_say_nothing():
    users, items = vectors(20, 60, 8)
    telling = np.arange(60) % 3 > 0
    found = new_users_of(users, items, 0.2, telling)
    history = np.array([1, 3, 4, 6, 8])
    (some, alone) = found(rows([history, history[telling[history]]], 60))
    np.testing.assert_array_equal(some, alone)
    places = np.cumsum(telling) - 1
    kept = new_users_of(users, items[telling], 0.2)(rows([places[history[telling[history]]]], 40))
    np.testing.assert_allclose(alone, kept[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_parts_sum_to_the_inner_product(count):
    users, items = vectors(20, 60, 8)
    new = new_users_of(users, items, 0.2, np.arange(60) != 9)
    history = np.arange(3, 60, 6)[:count]  # with 9, which adds nothing
    values, rest = new.parts(history.astype(np.int32), items[40])
    assert values.shape == (count,)
    assert (values[history == 9] == 0).all()
    expected = new(rows([history], 60))[0].astype(float) @ items[40]
    assert values.sum() + rest == pytest.approx(expected, rel=1e-5)


def test_items_that_are_all_the_same_leave_the_mean_user():
    users, items = vectors(5, 6, 4)
    items[:] = items[0]
    found = new_users_of(users, items, 1.0)(rows([[0, 1]], 6))
    np.testing.assert_allclose(found[0], users.mean(0), rtol=1e-4)


def test_nobody_asked_for_is_no_vector():
    users, items = vectors(5, 6, 4)
    assert new_users_of(users, items, 1.0)(csr_array((0, 6), dtype=np.float32)).shape == (0, 4)


def test_large_scores_do_not_overflow():
    users, items = vectors(5, 6, 4)
    found = new_users_of(100 * users, 100 * items, 1.0)(rows([[0, 1]], 6))
    assert np.isfinite(found).all()


def test_users_without_interactions_are_no_part_of_the_mean():
    train = synthetic(40, 30, interactions_per_user=6, num_groups=4)
    train = train.select(train.users >= 5)
    model = MF(**LEARNING, loss="bpr").fit(train)
    empty = csr_array((1, train.num_items), dtype=np.float32)
    expected = model.user_vectors_[5:].mean(0)
    torch.testing.assert_close(model._query_from_items(Ragged.from_csr(empty))[0], expected)


@pytest.fixture(scope="module")
def new_users():
    """A training set, and for users who are not in it ten items that are told and at least three that are hidden."""
    data = synthetic(400, 200, interactions_per_user=24, num_groups=6, seed=2)
    told, hidden = [], []
    for user in range(300, 400):
        items = np.random.default_rng(user).permutation(data.items[data.users == user])
        if len(items) >= 13:
            told.append(items[:10])
            hidden.append(items[10:])
    assert len(told) > 60
    return data.select(data.users < 300), told, hidden


def recall(model, told, hidden, count):
    ids, _ = model.recommend_for_items([items[:count] for items in told], 20)
    return np.mean([np.isin(items, row).mean() for items, row in zip(hidden, ids, strict=True)])


@pytest.mark.parametrize(
    "loss", [Softmax(), Softmax(score="inner"), BPR(), BPR("cosine"), CCL(), Pointwise()]
)
def test_few_items_are_enough_to_beat_popularity(new_users, loss):
    train, told, hidden = new_users
    model = LightGCN(**LEARNING | {"epochs": 20}, loss=loss).fit(train)
    popular = recall(Popularity().fit(train), told, hidden, 1)
    found = [recall(model, told, hidden, count) for count in (1, 3, 10)]
    assert found[0] > popular
    assert found[1] > 1.2 * popular
    assert found[2] > 1.5 * popular


@pytest.mark.parametrize("combine", COMBINES)
def test_every_combine_of_layers_serves_new_users_after_loading_too(new_users, combine, tmp_path):
    train, told, hidden = new_users
    model = LightGCN(**LEARNING | {"epochs": 20}, combine=combine).fit(train)
    assert recall(model, told, hidden, 10) > 1.5 * recall(Popularity().fit(train), told, hidden, 10)
    model.save(tmp_path)
    again = Recommender.load(tmp_path)
    for have, expected in zip(
        again.recommend_for_items(told, 20), model.recommend_for_items(told, 20), strict=True
    ):
        np.testing.assert_array_equal(have, expected)


def test_vectors_follow_the_model_under_training(new_users):
    train, told, _ = new_users
    seen = []

    def note(model, record):
        seen.append(model.recommend_for_items(told[:1], 20)[1])

    model = LightGCN(**LEARNING | {"epochs": 3}).fit(train, callback=note)
    assert not np.array_equal(seen[0], seen[2])
    np.testing.assert_array_equal(seen[2], model.recommend_for_items(told[:1], 20)[1])
