"""Popularity for those of whom a model knows nothing, and for what an item-to-item model has no score for."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from small_models import SMALL, fit_data, make

from pyrec.data import Interactions, Ragged, read_interactions, split_time
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate import evaluate
from pyrec.models import EASE, MODELS, GraphFilter, ItemKNN, LightGCN, Popularity, Recommender, base
from pyrec.nn.encoder import Table

NUM_USERS, NUM_ITEMS = 40, 24
COLD = np.array([3, 17, 39])
ISLAND = [18, 19, 20]
"""Items that only users of 30 and more have, who have no others."""
NOBODYS = [21, 22, 23]
PERSONAL = [name for name in MODELS if MODELS[name].personal]


def interactions() -> Interactions:
    """Two groups that share no item, items that nobody had, and users without any."""
    rng = np.random.default_rng(0)
    users = [u for u in range(NUM_USERS) if u not in COLD]
    pairs = [
        (u, i) for u in users for i in (rng.choice(ISLAND, 2, False) if u >= 30 else rng.choice(18, 5, False))
    ]
    who, what = np.array(pairs).T
    return Interactions.from_arrays(who, what, user_ids=np.arange(NUM_USERS), item_ids=np.arange(NUM_ITEMS))


@pytest.fixture(params=PERSONAL, scope="module")
def model(request: pytest.FixtureRequest) -> Recommender:
    return make(request.param).fit(fit_data(request.param, interactions()))


@pytest.fixture(scope="module")
def popular() -> Popularity:
    return Popularity().fit(interactions())


LIMITS: dict[str, dict[str, Any]] = {
    "all": {},
    "allowed": {"allowed": torch.tensor([0, 2, 5, 18, 22], dtype=torch.int32)},
    "excluded": {
        "excluded": csr_array(
            np.arange(NUM_USERS * NUM_ITEMS).reshape(NUM_USERS, -1) % 3 == 0, dtype=np.float32
        )
    },
    "candidates": {
        "candidates": Ragged.from_lists([[u % 7, 20, 1, 22, 1][: u % 6] for u in range(NUM_USERS)], NUM_ITEMS)
    },
    "all three": {
        "allowed": torch.tensor([0, 2, 5, 18, 22], dtype=torch.int32),
        "excluded": csr_array(np.eye(NUM_USERS, NUM_ITEMS), dtype=np.float32),
        "candidates": Ragged.from_lists([[u % 7, 5, 22, 18, 2] for u in range(NUM_USERS)], NUM_ITEMS),
    },
}


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("filter_seen", [True, False])
def test_cold_users_get_what_the_popularity_model_gives_them(
    model: Recommender, popular: Popularity, limits: str, filter_seen: bool
) -> None:
    users, k = np.arange(NUM_USERS), NUM_ITEMS
    found = model.topk(users, k, filter_seen, **LIMITS[limits])
    expected = popular.topk(users, k, filter_seen, **LIMITS[limits])
    own = model.topk(users, k, filter_seen, **LIMITS[limits], fallback="none")
    assert torch.equal(found.ids[COLD], expected.ids[COLD])
    assert torch.equal(found.scores[COLD], expected.scores[COLD])
    assert torch.equal(found.is_fallback[COLD], expected.ids[COLD] >= 0)
    assert not own.is_fallback.any()
    warm = np.setdiff1d(users, COLD)
    assert torch.equal(found.scores[warm], own.scores[warm])
    same = torch.equal(found.ids[warm], own.ids[warm])
    assert same or isinstance(model, ItemKNN | EASE | GraphFilter)
    scored = ~found.is_fallback[warm]
    assert torch.equal(found.ids[warm][scored], own.ids[warm][scored])


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("name", ["ease", "itemknn"])
def test_items_without_a_score_are_in_the_order_of_popularity(name: str, limits: str) -> None:
    model = make(name).fit(fit_data(name, interactions()))
    users = np.setdiff1d(np.arange(NUM_USERS), COLD)
    found = model.topk(np.arange(NUM_USERS), NUM_ITEMS, False, **LIMITS[limits])
    popularity = interactions().popularity
    for user in users:
        row = model._scores(interactions().to_csr()[[user]])[0]
        there = found.ids[user][found.ids[user] >= 0].numpy()
        expected = sorted(
            there, key=lambda item: (-row[item], -popularity[item] if row[item] == 0 else 0, item)
        )
        assert there.tolist() == expected
        assert found.is_fallback[user][: len(there)].tolist() == [row[item] == 0 for item in there]
        assert not found.is_fallback[user][len(there) :].any()


def test_what_ease_scores_below_zero_comes_behind_what_it_has_no_score_for() -> None:
    model = EASE(reg=1.0).fit(interactions())
    found = model.topk(np.array([0]), NUM_ITEMS, filter_seen=False)
    scores = found.scores[0]
    assert (scores < 0).any()
    assert torch.equal(found.is_fallback[0], scores == 0)
    unscored = found.ids[0][scores == 0].tolist()
    assert set(unscored) == {*ISLAND, *NOBODYS}
    assert unscored[-3:] == NOBODYS
    assert (scores.diff() <= 0).all()


def test_new_users_without_evidence_get_popular_items(model: Recommender, popular: Popularity) -> None:
    histories = [[], [1, 2], [21, 22], []]
    found = model.recommend_for_items(histories, 8)
    expected = popular.recommend_for_items(histories, 8)
    for row in (0, 2, 3):
        assert found.ids[row].tolist() == expected.ids[row].tolist()
        assert found.scores[row].tolist() == expected.scores[row].tolist()
        assert found.is_fallback[row].all()
    assert not {21, 22} & set(found.ids[2])
    alone = model.recommend_for_items([[1, 2]], 8)
    assert found.ids[1].tolist() == alone.ids[0].tolist()
    assert found.scores[1].tolist() == alone.scores[0].tolist()
    seen = model.recommend_for_items([[21]], 3, filter_seen=False, items=[21, 4, 22])
    assert seen.ids.tolist() == [[4, 21, 22]]
    nothing_left = model.recommend_for_items([[99], [99, 1]], 3, unknown="skip")
    assert nothing_left.ids[0].tolist() == expected.ids[0, :3].tolist()
    with pytest.raises(DataError, match=r"histories\[0\] is empty"):
        model.recommend_for_items([[]], fallback="none")
    empty = model.recommend_for_items([[99], [1]], 3, unknown="skip", fallback="none")
    assert empty.ids[0].tolist() == [-1, -1, -1]
    assert not empty.is_fallback.any()


def test_a_model_is_asked_of_nobody_that_it_knows_nothing_of(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    query = type(model)._query_vectors

    def noting(self: Recommender, users: np.ndarray) -> torch.Tensor:
        asked.extend(users.tolist())
        return query(self, users)

    monkeypatch.setattr(type(model), "_query_vectors", noting)
    model.topk(np.array([5, 3, 17, 6]), 4)
    assert asked == [5, 6]


def test_batches_change_nothing(model: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    users = np.arange(NUM_USERS)[::-1].copy()
    whole = model.topk(users, 9)
    monkeypatch.setattr(base, "QUERY_BYTES", 1)
    parts = model.topk(users, 9)
    for have, expected in (
        (parts.ids, whole.ids),
        (parts.scores, whole.scores),
        (parts.is_fallback, whole.is_fallback),
    ):
        assert torch.equal(have, expected)


def test_on_cold_users_a_model_measures_what_popularity_does(model: Recommender, popular: Popularity) -> None:
    train = interactions()
    test = Interactions.from_codes(
        np.repeat(COLD, 3).astype(np.int32),
        np.tile([0, 5, 19], 3).astype(np.int32),
        train.user_ids,
        train.item_ids,
    )
    found, expected = evaluate(model, test, k=5), evaluate(popular, test, k=5)
    assert found.metrics == expected.metrics
    assert found.metrics["recall@5"] > 0
    assert np.array_equal(found.lists, expected.lists)
    assert not np.array_equal(evaluate(model, test, k=5, fallback="none").lists, expected.lists)


def test_a_users_own_knowledge_may_make_them_warm(popular: Popularity) -> None:
    class Knows(ItemKNN):
        def _cold_users(self, users: np.ndarray) -> np.ndarray:
            return np.zeros(len(users), dtype=bool)

    knows = Knows().fit(interactions())
    found = knows.topk(COLD, NUM_ITEMS)
    assert torch.equal(found.ids, popular.topk(COLD, NUM_ITEMS).ids)
    assert (found.scores == 0).all()


@pytest.mark.filterwarnings("ignore:.*are in the training set too:pyrec.DataWarning")
@pytest.mark.parametrize("wrong", ["popular", None, True])
def test_other_words_are_refused(wrong: object, popular: Popularity) -> None:
    for ask in (
        lambda: popular.topk(COLD, 3, fallback=wrong),
        lambda: popular.recommend(COLD, 3, fallback=wrong),
        lambda: popular.recommend_for_items([[1]], 3, fallback=wrong),
        lambda: evaluate(popular, interactions(), k=3, fallback=wrong),
    ):
        with pytest.raises(ConfigError, match=r"fallback = .* is neither 'popularity' nor 'none'"):
            ask()


@pytest.mark.parametrize("n_layers", [0, 2])
def test_an_encoder_may_know_users_and_items_by_something_else(
    n_layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Table, "knows_users", True)
    monkeypatch.setattr(Table, "knows_items", True)
    model = LightGCN(**SMALL, n_layers=n_layers, combine="mean").fit(interactions())
    found, own = (model.topk(COLD, 5, fallback=fallback) for fallback in ("popularity", "none"))
    assert torch.equal(found.ids, own.ids)
    assert not found.is_fallback.any()
    histories = [[21, 22], []]
    is_fallback = model.recommend_for_items(histories, 5).is_fallback
    assert is_fallback.all(axis=1).tolist() == is_fallback.any(axis=1).tolist() == [False, True]


def test_on_movielens_by_time_no_model_is_worse_than_popularity_on_cold_users(data_dir: Path) -> None:
    """Of items that five users had, so that EASE takes no time: 102 of 127 test users are cold."""
    data = read_interactions(data_dir / "ml-latest-small" / "ratings.csv", min_rating=4)
    data = data.select(data.popularity[data.items] >= 5)
    train, test = split_time(data)
    measure = partial(evaluate, test=test, k=20, metrics=["recall", "ndcg"])
    popularity = measure(Popularity().fit(train))
    cold = ~popularity.is_warm
    assert (popularity.num_cold_users, popularity.num_users) == (102, 127)
    for model in (EASE(), ItemKNN(), LightGCN(epochs=1, embedding_size=8)):
        model.fit(train)
        found, own = measure(model), measure(model, fallback="none")
        assert found.num_fallback_lists == 102
        for name, values in popularity.per_user.items():
            np.testing.assert_array_equal(found.per_user[name][cold], values[cold])
            np.testing.assert_array_equal(found.per_user[name][~cold], own.per_user[name][~cold])
            assert own.per_user[name][cold].mean() < 0.5 * values[cold].mean()
        assert found.warm_metrics["ndcg@20"] == own.warm_metrics["ndcg@20"]
