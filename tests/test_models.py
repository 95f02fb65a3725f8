"""The contract that every model keeps, and each baseline against its definition."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, csr_array
from small_models import NUM_ITEMS, NUM_USERS, OPTIONS, fit_data, make, numbers, texts

from pyrec.data import Dataset, Interactions, Ragged, synthetic
from pyrec.data.load import load_data
from pyrec.errors import ConfigError, DataError, NotFittedError
from pyrec.evaluate import evaluate
from pyrec.models import (
    EASE,
    MODELS,
    SVD,
    EpochRecommender,
    ItemKNN,
    Popularity,
    Recommender,
    base,
    item_item,
    pairs,
)


@pytest.fixture(params=list(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(name: str) -> Recommender:
    return make(name).fit(fit_data(name, texts()))


def owned(user: str) -> set[str]:
    x = texts()
    return set(x.item_ids[x.items[x.users == x.encode_users([user])[0]]])


# The contract


def test_the_constructor_stores_the_parameters_and_nothing_else(name: str) -> None:
    model = make(name)
    own = model.get_params(deep=False)
    assert vars(model) == own
    assert type(model)(**own).get_params() == model.get_params()
    assert model.get_params().items() >= OPTIONS.get(name, {}).items()
    assert repr(model).startswith(type(model).__name__ + "(")


def test_nothing_works_before_fit(name: str, tmp_path) -> None:
    model = make(name)
    for use in (
        lambda: model.recommend(["u1"]),
        lambda: model.recommend_for_items([["i1"]]),
        lambda: model.similar_items(["i1"]),
        lambda: model.topk(np.array([0]), 3),
        lambda: model.pair_scores(np.array([0]), np.array([0])),
        lambda: model.save(tmp_path),
        lambda: evaluate(model, texts()),
    ):
        with pytest.raises(NotFittedError, match="fit"):
            use()


def test_fit_returns_the_model_and_takes_a_csr_matrix(name: str) -> None:
    model = make(name)
    matrix = numbers().to_csr()
    assert model.fit(fit_data(name, matrix)) is model
    assert len(model.train_) == matrix.nnz


def test_fit_takes_a_dataset(name: str) -> None:
    train = texts()
    of_dataset, alone = (
        make(name).fit(fit_data(name, data)).topk(np.arange(NUM_USERS), 5) for data in (Dataset(train), train)
    )
    for have, expected in zip(of_dataset, alone, strict=True):
        assert torch.equal(have, expected)


def test_fit_refuses_an_empty_set(name: str) -> None:
    with pytest.raises(DataError, match="nothing to learn from"):
        make(name).fit(csr_array((3, 4), dtype=np.float32))


def test_recommend_gives_unseen_items_best_first(model: Recommender) -> None:
    users = ["u3", "u0", "u3", "u39"]
    ids, scores = model.recommend(users, n=5)
    assert ids.shape == scores.shape == (4, 5)
    assert scores.dtype == np.float32
    assert (np.diff(scores) <= 0).all()
    assert ids[0].tolist() == ids[2].tolist()
    for user, row in zip(users, ids, strict=True):
        assert len(set(row)) == 5
        assert not set(row) & owned(user)


def test_recommend_with_seen_items_ranks_all(model: Recommender) -> None:
    ids, scores = model.recommend(["u0"], n=NUM_ITEMS, filter_seen=False)
    assert sorted(ids[0]) == sorted(texts().item_ids)
    assert np.isfinite(scores).all()


def test_recommend_for_no_user_is_empty(model: Recommender) -> None:
    ids, scores = model.recommend([], n=5)
    assert ids.shape == scores.shape == (0, 5)


def test_recommend_chooses_from_the_items_named(model: Recommender) -> None:
    chosen = ["i9", "i2", "i17", "i9"]
    ids, scores = model.recommend(["u1"], n=5, filter_seen=False, items=chosen)
    assert set(ids[0][:3]) == set(chosen)
    assert ids[0][3:].tolist() == ["", ""]
    assert scores[0][3:].tolist() == [-np.inf, -np.inf]


def test_pairs_have_the_scores_of_the_lists(model: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any order and with repeats, training pairs included, to the bit however they are cut."""
    users, items = np.divmod(np.random.default_rng(2).integers(0, NUM_USERS * NUM_ITEMS, 3000), NUM_ITEMS)
    scores = model.pair_scores(users, items)
    assert scores.dtype == np.float32
    lists = model.topk(np.arange(NUM_USERS), NUM_ITEMS, filter_seen=False, fallback="none")
    dense = np.empty((NUM_USERS, NUM_ITEMS), dtype=np.float32)
    np.put_along_axis(dense, lists[0].numpy().astype(np.int64), lists[1].numpy(), axis=1)
    np.testing.assert_allclose(scores, dense[users, items], rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(base, "QUERY_BYTES", 1)
    monkeypatch.setattr(pairs, "PAIRS_PER_CALL", 7)
    assert np.array_equal(model.pair_scores(users, items), scores)
    ascending = np.unique(users * NUM_ITEMS + items)
    alone = model.pair_scores(*np.divmod(ascending, NUM_ITEMS))
    assert np.array_equal(alone[np.searchsorted(ascending, users * NUM_ITEMS + items)], scores)
    assert model.pair_scores([], []).shape == (0,)


def test_short_lists_of_integer_ids_end_in_minus_one(name: str) -> None:
    model = make(name).fit(fit_data(name, numbers()))
    ids, scores = model.recommend([0], n=NUM_ITEMS)
    short = np.flatnonzero(ids[0] == -1)
    assert len(short) == model.train_.indptr[1]
    assert (scores[0][short] == -np.inf).all()


def test_batches_change_nothing(model: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    users = np.arange(NUM_USERS)
    ids, scores = model.topk(users, 7)
    monkeypatch.setattr(base, "QUERY_BYTES", 1)
    monkeypatch.setattr(item_item, "ROWS_PER_CALL", 3)
    ids_one, scores_one = model.topk(users, 7)
    assert torch.equal(ids, ids_one)
    assert torch.equal(scores, scores_one)
    for user in (0, 3, NUM_USERS - 1):
        ids_alone, scores_alone = model.topk(users[user : user + 1], 7)
        assert torch.equal(ids_alone[0], ids[user])
        assert torch.equal(scores_alone[0], scores[user])


def test_a_request_reads_the_rows_of_its_users_alone(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = np.array([3, 0, 3], dtype=np.int32)
    expected = texts().to_csr()[users]
    monkeypatch.delattr(Interactions, "to_csr")
    rows = model._histories(users).csr()
    assert (rows.shape, rows.dtype) == (expected.shape, np.float32)
    np.testing.assert_array_equal(rows.toarray(), expected.toarray())
    model.recommend(["u3"])
    model.recommend_for_items([["i1"]])


def test_histories_may_come_one_by_one(model: Recommender) -> None:
    histories = [["i1", "i4"], ["i7"]]
    expected = model.recommend_for_items(histories, n=4)
    for have, wanted in zip(model.recommend_for_items(iter(histories), n=4), expected, strict=True):
        np.testing.assert_array_equal(have, wanted)


def test_new_users_get_unseen_items(model: Recommender) -> None:
    ids, scores = model.recommend_for_items([["i1", "i4", "i1"], ["i7"]], n=4)
    assert ids.shape == (2, 4)
    assert (np.diff(scores) <= 0).all()
    assert not {"i1", "i4"} & set(ids[0])
    assert "i7" not in ids[1]
    all_ids, _ = model.recommend_for_items([["i7"]], n=NUM_ITEMS, filter_seen=False)
    assert set(all_ids[0]) == set(texts().item_ids)


def test_a_new_user_with_a_known_history_is_served_as_that_user(model: Recommender) -> None:
    if isinstance(model, EpochRecommender):
        pytest.skip("a known user of this model has a vector of their own")
    known, known_scores = model.recommend(["u5"], n=6)
    new, new_scores = model.recommend_for_items([sorted(owned("u5"))], n=6)
    assert known.tolist() == new.tolist()
    np.testing.assert_array_equal(known_scores, new_scores)


def test_similar_items_are_others(model: Recommender) -> None:
    if not model.personal:
        with pytest.raises(ConfigError, match="no likeness"):
            model.similar_items(["i1"])
        return
    ids, scores = model.similar_items(["i1", "i2"], n=NUM_ITEMS)
    for item, row, values in zip(["i1", "i2"], ids, scores, strict=True):
        assert row[-1] == ""
        assert values[-1] == -np.inf
        assert sorted([*row[:-1], item]) == sorted(texts().item_ids)
        assert (values[:-1] <= values[0]).all()


def test_a_saved_model_answers_the_same(model: Recommender, tmp_path) -> None:
    model.save(tmp_path)
    for loaded in (Recommender.load(tmp_path), type(model).load(tmp_path)):
        assert type(loaded) is type(model)
        assert loaded.get_params() == model.get_params()
        users = texts().user_ids
        for have, expected in zip(loaded.recommend(users, 8), model.recommend(users, 8), strict=True):
            np.testing.assert_array_equal(have, expected)
        for have, expected in zip(
            loaded.recommend_for_items([["i3", "i4"]], 8),
            model.recommend_for_items([["i3", "i4"]], 8),
            strict=True,
        ):
            np.testing.assert_array_equal(have, expected)


def test_another_class_does_not_load_it(model: Recommender, tmp_path) -> None:
    model.save(tmp_path)
    other = next(
        cls for cls in MODELS.values() if not isinstance(model, cls) and not issubclass(cls, type(model))
    )
    with pytest.raises(DataError, match=f"holds a {type(model).__name__}"):
        other.load(tmp_path)


def test_fitting_again_gives_the_same_bits(name: str) -> None:
    first, second = (make(name).fit(fit_data(name, texts())).topk(np.arange(NUM_USERS), 9) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda m: m.recommend(["u1", "nobody"]), DataError, r"users\[1\].*nobody"),
        (lambda m: m.recommend([5]), DataError, "text"),
        (lambda m: m.recommend("u1"), DataError, r"\['u1'\]"),
        (lambda m: m.recommend(["u1"], n=0), DataError, "n = 0 must be at least 1"),
        (lambda m: m.recommend(["u1"], n=-3), DataError, "n = -3"),
        (lambda m: m.recommend(["u1"], n=2.5), DataError, "n = 2.5 must be a whole number"),
        (lambda m: m.recommend(["u1"], n=True), DataError, "n = True must be a whole number"),
        (lambda m: m.recommend(["u1"], n=NUM_ITEMS + 1), DataError, "at most 30, the number of items"),
        (lambda m: m.recommend(["u1"], items=[]), DataError, "items is empty"),
        (lambda m: m.recommend(["u1"], items=["x"], unknown="skip"), DataError, "items holds no known item"),
        (lambda m: m.recommend(["u1"], items=["i1", "x"]), DataError, r"items\[1\].*x"),
        (lambda m: m.recommend_for_items([["i1"], ["i1", "x"]]), DataError, r"histories\[1\]\[1\] = 'x'"),
        (lambda m: m.recommend_for_items(["i1"]), DataError, r"histories\[0\]"),
        (lambda m: m.topk(np.array([NUM_USERS]), 3), DataError, r"user_indices\[0\] = 40.* 40 users"),
        (lambda m: m.topk(np.array([-1]), 3), DataError, r"user_indices\[0\] = -1"),
        (lambda m: m.topk(np.array([0.5]), 3), DataError, "whole numbers"),
        (lambda m: m.topk(np.array([[1]]), 3), DataError, "one-dimensional"),
        (lambda m: m.topk(np.array([1]), 0), DataError, "k = 0"),
        (
            lambda m: m.topk([0, 1], 5, excluded=csr_array((1, 30))),
            DataError,
            r"excluded.*\(1, 30\), but \(2, 30\)",
        ),
        (
            lambda m: m.topk([0, 1], 5, excluded=csr_array((3, 30))),
            DataError,
            r"excluded.*\(3, 30\), but \(2, 30\)",
        ),
        (
            lambda m: m.topk([0], 5, excluded=csr_array((1, 31))),
            DataError,
            r"excluded.*\(1, 31\), but \(1, 30\)",
        ),
        (lambda m: m.topk([0], 5, excluded=np.zeros((1, 30))), DataError, "excluded is a ndarray.* CSR"),
        (lambda m: m.topk([0], 5, excluded=coo_array((1, 30))), DataError, "excluded is a coo_array.* CSR"),
        (lambda m: m.pair_scores([0, 40], [0, 1]), DataError, r"users\[1\] = 40, but there are 40 users"),
        (lambda m: m.pair_scores([0, 1], [0, -1]), DataError, r"items\[1\] = -1, but there are 30 items"),
        (lambda m: m.pair_scores([0, 1], [0]), DataError, "users has 2 entries and items 1"),
        (lambda m: m.pair_scores([0.5], [0]), DataError, "users must be .* whole numbers; got float64"),
        (lambda m: m.pair_scores([0], [[0]]), DataError, r"items must be one-dimensional.* \(1, 1\)"),
        (lambda m: m.pair_scores([[0], [1, 2]], [0]), DataError, "users cannot be read"),
    ],
)
def test_bad_requests_are_refused_by_name(use, error, message: str) -> None:
    with pytest.raises(error, match=message):
        use(Popularity().fit(texts()))


def test_a_history_reaches_the_model_in_its_order_with_its_repeats(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = []
    query = type(model)._query_from_items

    def noting(self: Recommender, histories: Ragged) -> torch.Tensor:
        came.extend(histories.to_lists())
        return query(self, histories)

    monkeypatch.setattr(type(model), "_query_from_items", noting)
    histories = [["i7", "i2", "i7", "i29"], ["i5"], ["i9", "i3"]]
    found = model.recommend_for_items(histories, n=4)
    assert came == [[int(item[1:]) for item in history] for history in histories]
    came.clear()
    model.recommend_for_items([["i7", "nothing", "i2", "i7"]], n=4, unknown="skip")
    assert came == [[7, 2, 7]]
    monkeypatch.undo()
    as_sets = model.recommend_for_items([sorted(set(history)) for history in histories], n=4)
    for have, expected in zip(found, as_sets, strict=True):  # no model of this version goes by order
        np.testing.assert_array_equal(have, expected)


def test_an_empty_history_is_refused_where_it_says_nothing(model: Recommender) -> None:
    if not model.personal:
        assert model.recommend_for_items([[]], n=3, fallback="none")[0].shape == (1, 3)
        return
    with pytest.raises(DataError, match=r"histories\[1\] is empty; .* fallback='popularity'"):
        model.recommend_for_items([["i1"], []], fallback="none")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (EASE(reg=0), "reg = 0.0 must be above 0"),
        (EASE(reg=float("nan")), "reg = nan must be a finite number"),
        (EASE(reg="400"), "reg = '400'"),
        (ItemKNN(neighbors=0), "neighbors = 0 must be at least 1"),
        (ItemKNN(shrinkage=-1), "shrinkage = -1.0 must be at least 0"),
        (SVD(embedding_size=0), "embedding_size = 0 must be at least 1"),
        (SVD(embedding_size=NUM_ITEMS), "embedding_size = 30 must be at most 29"),
    ],
)
def test_bad_hyperparameters_are_refused_by_fit(model: Recommender, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model.fit(texts())
    with pytest.raises(NotFittedError):
        model.recommend(["u1"])


# Each baseline against its definition


def dense() -> np.ndarray:
    return numbers().to_csr().toarray().astype(np.float64)


def test_popularity_counts_users() -> None:
    ids, scores = Popularity().fit(numbers()).recommend([0], n=NUM_ITEMS, filter_seen=False)
    counts = dense().sum(axis=0)
    np.testing.assert_array_equal(ids[0], np.argsort(-counts, kind="stable"))
    np.testing.assert_array_equal(scores[0], np.sort(counts)[::-1])


def test_ease_solves_the_constrained_least_squares() -> None:
    reg = 7.5
    weights = EASE(reg).fit(numbers()).weights_.astype(np.float64)
    R = dense()
    np.testing.assert_array_equal(np.diag(weights), 0)
    gradient = R.T @ (R @ weights - R) + reg * weights  # zero off the diagonal, where B is free
    np.fill_diagonal(gradient, 0)
    np.testing.assert_allclose(gradient, 0, atol=1e-4)


@pytest.mark.parametrize("neighbors", [1, 3, 1000])
def test_ease_keeps_the_largest_weights_of_each_item(neighbors: int, tmp_path: Path) -> None:
    train = synthetic(60, 40, interactions_per_user=8, num_groups=4)
    whole, model = EASE(5.0).fit(train).weights_, EASE(5.0, neighbors).fit(train)
    expected = whole.copy()
    for column in range(train.num_items):
        expected[np.argsort(-np.abs(whole[:, column]))[neighbors:], column] = 0
    np.testing.assert_array_equal(model.weights_.toarray(), expected)
    model.save(tmp_path / "run")
    loaded = EASE.load(tmp_path / "run")
    assert (loaded.weights_ != model.weights_).nnz == 0
    assert loaded.get_params() == {"reg": 5.0, "neighbors": neighbors}
    np.testing.assert_allclose(
        loaded.recommend([3], 5)[1], np.sort(_scores_of(expected, train, 3))[-5:][::-1][None], rtol=1e-5
    )


def _scores_of(weights: np.ndarray, train: Interactions, user: int) -> np.ndarray:
    own = train.items[train.users == user]
    return np.delete(weights[own].sum(axis=0), own)


def test_ease_refuses_what_memory_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrec.models.ease.available_memory", lambda: 100)
    with pytest.raises(
        DataError, match=r"EASE needs 0\.00 GiB for 30 items, but 0\.00 GiB are free; drop rare"
    ):
        EASE().fit(numbers())


@pytest.mark.parametrize("block_bytes", [1, 2**26])
def test_itemknn_sums_over_the_nearest_neighbours(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrec.models.itemknn.BLOCK_BYTES", block_bytes)
    R, neighbors, shrinkage = dense(), 5, 3.0
    together, norms = R.T @ R, np.sqrt(R.sum(axis=0))
    likeness = (together / (np.outer(norms, norms) + shrinkage)).astype(np.float32)
    np.fill_diagonal(likeness, 0)
    expected = np.zeros_like(likeness)
    for item in range(NUM_ITEMS):
        nearest = np.argsort(-likeness[:, item], kind="stable")[:neighbors]
        expected[nearest, item] = likeness[nearest, item]
    weights = ItemKNN(neighbors, shrinkage).fit(numbers()).weights_.toarray()
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_itemknn_of_more_neighbours_than_items_keeps_all() -> None:
    weights = ItemKNN(neighbors=10**6).fit(numbers()).weights_.toarray()
    np.testing.assert_array_equal(weights > 0, (dense().T @ dense() > 0) & ~np.eye(NUM_ITEMS, dtype=bool))


def test_svd_is_the_best_low_rank_approximation() -> None:
    model = SVD(embedding_size=5).fit(numbers())
    R = dense()
    _, values, vectors = np.linalg.svd(R, full_matrices=False)
    Q = model.item_factors_
    np.testing.assert_allclose(Q @ Q.T, vectors[:5].T @ vectors[:5], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(R @ Q, axis=0), values[:5], rtol=1e-5)
    assert (np.abs(Q).max(axis=0) == Q.max(axis=0)).all()


@pytest.mark.parametrize(
    ("model", "precision", "recall", "ndcg"),
    [
        (EASE(reg=400), 0.2923, 0.3256, 0.4197),
        (Popularity(), 0.17423, 0.17134, 0.23397),
        (ItemKNN(), 0.26831, 0.29467, 0.37855),
    ],
    ids=["ease", "popularity", "itemknn"],
)
def test_movielens_metrics(
    model: Recommender, precision: float, recall: float, ndcg: float, data_dir
) -> None:
    folder = data_dir / "ml-100k"
    data = load_data(train=folder / "u1.base", test=folder / "u1.test", min_rating=4)
    found = evaluate(model.fit(data.train), data.test, k=20)
    assert found.num_users == 456
    assert found["precision@20"] == pytest.approx(precision, abs=5e-5)
    assert found["recall@20"] == pytest.approx(recall, abs=5e-5)
    assert found["ndcg@20"] == pytest.approx(ndcg, abs=5e-5)
