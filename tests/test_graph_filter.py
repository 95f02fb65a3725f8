"""Graph filters against dense matrices."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_models import NUM_ITEMS, NUM_USERS, numbers

from pyrec import GraphFilter, ItemKNN, evaluate
from pyrec.data import Interactions, split_random, synthetic
from pyrec.data.split import hold_out_of_lists, some_users
from pyrec.errors import ConfigError, DataError
from pyrec.models.graph_filter import BETAS, PRESETS
from pyrec.nn import graph_filter as filters
from pyrec.nn.graph_filter import Normalised, plateau_coefficients
from pyrec.nn.kept_vectors import keeping_vectors
from pyrec.tune import Range, Search, default_space, tune


def powers(degree: NDArray, exponent: float) -> NDArray:
    return np.array([d**exponent if d > 0 else 0.0 for d in degree])


def dense_weights(matrix: NDArray, model: GraphFilter) -> NDArray:
    """W of ``s = x W`` by the formula, float64 (num_items, num_items)."""
    matrix = matrix.astype(np.float64)
    users, items = (np.abs(matrix).sum(axis) for axis in (1, 0))
    normalised = powers(users, -model.user_exponent)[:, None] * matrix * powers(items, -model.item_exponent)
    _, values, vectors = np.linalg.svd(normalised)
    largest = 1.0 if model.user_exponent == model.item_exponent == 0.5 else values[0] ** 2
    gram = normalised.T @ normalised / largest
    passed = gram
    if model.order > 1:
        angles = np.arccos(np.clip(1 - 2 * np.linalg.eigvalsh(gram), -1, 1))
        basis = np.linalg.eigh(gram)[1]
        coefficients = plateau_coefficients(model.order, model.flatness)
        response = sum(c * np.cos(k * angles) for k, c in enumerate(coefficients))
        passed = basis * response @ basis.T
    weights = powers(items, -model.beta)[:, None] * passed * powers(items, model.beta)
    if model.vectors:
        around = model.beta if model.vectors_beta is None else model.vectors_beta
        kept = vectors[: model.vectors]
        low_pass = powers(items, -around)[:, None] * (kept.T @ kept) * powers(items, around)
        weights = weights + model.alpha * low_pass
    return weights


def scores_of(model: GraphFilter) -> NDArray:
    return model._query_vectors(np.arange(model.train_.num_users, dtype=np.int32)).numpy()


def disliked(seed: int = 1) -> Interactions:
    """Interactions of which a third have label 0."""
    data = numbers()
    labels = np.random.default_rng(seed).integers(0, 3, len(data)).clip(0, 1)
    return Interactions.from_codes(
        data.users, data.items, data.user_ids, data.item_ids, labels=labels.astype(np.float32)
    )


CASES = {
    "defaults": {},
    "beta": {"beta": -0.3},
    "exponents": {"user_exponent": 0.35, "item_exponent": 0.4},
    "no exponents": {"user_exponent": 0.0, "item_exponent": 0.0, "beta": 0.0},
    "order 2": {"order": 2},
    "order 8": {"order": 8, "flatness": 2.5},
    "order 5 of other exponents": {"order": 5, "user_exponent": 0.3},
    "vectors": {"vectors": 7, "alpha": 0.3},
    "all of it": {"vectors": 4, "alpha": 2.0, "order": 3, "beta": 0.1, "vectors_beta": 0.5},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["plain", "weighted", "dislikes"])
def test_scores_are_the_formula(case, kind):
    data, options = numbers(), dict(CASES[case])
    matrix = data.to_csr().toarray()
    if kind == "weighted":
        weights = np.random.default_rng(3).uniform(0.5, 2, len(data)).astype(np.float32)
        data = Interactions.from_codes(data.users, data.items, data.user_ids, data.item_ids, weights=weights)
        matrix[data.users, data.items] = weights
    if kind == "dislikes":
        data, options = disliked(), {**options, "dislike_weight": 0.5}
        matrix[data.users, data.items] = np.where(data.labels > 0, 1, -0.5)
    model = GraphFilter(**options).fit(data)
    weights = dense_weights(matrix, model)
    expected = matrix @ weights
    bound = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(scores_of(model), expected, atol=bound)
    histories = [[0, 1, 5], [7]]
    new = np.zeros((2, NUM_ITEMS))
    new[0, [0, 1, 5]], new[1, 7] = 1, 1
    found = model.recommend_for_items(histories, NUM_ITEMS, filter_seen=False, fallback="none")
    ids, scores = found
    np.testing.assert_allclose(scores, np.take_along_axis(new @ weights, ids, axis=1), atol=bound)


@pytest.mark.parametrize("case", ["defaults", "all of it"])
def test_reasons_sum_to_the_score(case):
    for data, options in ((numbers(), {}), (disliked(), {"dislike_weight": 0.5})):
        model = GraphFilter(**CASES[case], **options).fit(data)
        found = model.explain(3)
        assert found.kind == "exact"
        total = sum(part.value for part in found.parts) + (found.remainder or 0.0)
        assert total == pytest.approx(found.score, rel=1e-4, abs=1e-6)
        assert (found.remainder is None) == (not options)


def test_dislikes_count_against_their_like():
    data = disliked()
    unaware, aware = (GraphFilter(dislike_weight=weight).fit(data) for weight in (0.0, 1.0))
    with_labels = data.to_csr(weighted=True).toarray()
    assert np.array_equal(scores_of(unaware), scores_of(GraphFilter().fit(with_labels)))
    assert scores_of(unaware).min() >= 0 > scores_of(aware).min()
    bad = data.labels <= 0
    assert scores_of(aware)[data.users[bad], data.items[bad]].mean() < 0


def test_item_knn_of_all_neighbours_is_a_filter_but_for_the_item_itself():
    knn = ItemKNN(None, 0.0, user_exponent=0.5, beta=0.4).fit(numbers()).weights_.toarray()
    own = dense_weights(numbers().to_csr().toarray(), GraphFilter())
    np.fill_diagonal(own, 0)
    np.testing.assert_allclose(knn, own, rtol=1e-5, atol=1e-7)


# The polynomial


def test_published_coefficients():
    found = plateau_coefficients(8, 1.5)
    np.testing.assert_allclose(found, [0.5, -0.493, 0, -0.032, 0, 0.021, 0, -0.001, 0], atol=6e-4)


@pytest.mark.parametrize("order", [1, 2, 5, 8, 20])
@pytest.mark.parametrize("flatness", [0.5, 1.0, 3.0])
def test_the_polynomial_goes_through_its_points(order, flatness):
    at = np.arange(order + 1)
    roots = np.cos((at + 0.5) * np.pi / (order + 1))
    extrema = np.cos(at * np.pi / order)
    target = (1 - np.sign(extrema) * np.abs(extrema) ** flatness) / 2
    found = np.polynomial.chebyshev.chebval(roots, plateau_coefficients(order, flatness))
    np.testing.assert_allclose(found, target, atol=1e-12)
    assert found[0] == pytest.approx(0, abs=1e-12)
    assert found[-1] == pytest.approx(1)


# The same bits


@pytest.mark.parametrize("case", ["defaults", "all of it"])
def test_blocks_and_threads_do_not_change_a_bit(case, threads, monkeypatch):
    data = synthetic(300, 120, interactions_per_user=9)
    threads(1)
    model = GraphFilter(**CASES[case]).fit(data)
    expected = scores_of(model)
    for count, width in ((2, 16), (3, 32), (1, 512)):
        threads(count)
        monkeypatch.setattr(filters, "LEAST_WIDTH", width)
        monkeypatch.setattr(filters, "MOST_WIDTH", width)
        assert np.array_equal(scores_of(GraphFilter(**CASES[case]).fit(data)), expected)
    assert np.array_equal(model._query_vectors(np.array([17], dtype=np.int32)).numpy()[0], expected[17])


def test_a_block_takes_what_a_cache_holds(monkeypatch):
    polynomial = GraphFilter().fit(numbers())._polynomial
    assert polynomial.width == filters.MOST_WIDTH
    monkeypatch.setattr(filters, "TABLE_BYTES", 4 * (NUM_USERS + NUM_ITEMS) * 70)
    assert polynomial.width == 64
    monkeypatch.setattr(filters, "TABLE_BYTES", 0)
    assert polynomial.width == filters.LEAST_WIDTH


def test_saved_and_loaded(tmp_path: Path):
    for case in ("exponents", "all of it"):
        model = GraphFilter(**CASES[case]).fit(numbers())
        model.save(tmp_path / case)
        loaded = GraphFilter.load(tmp_path / case)
        assert loaded.get_params() == model.get_params()
        assert np.array_equal(scores_of(loaded), scores_of(model))


# Around it


def test_link_propagation_is_a_preset():
    """Paths of three steps whose inner nodes and end have powers of their degrees, as in Fu et al., WWW 2022."""
    matrix = numbers().to_csr().toarray().astype(np.float64)
    users, items = matrix.sum(1), matrix.sum(0)
    for beta, gamma, delta in ((0.5, 0.5, 0.5), (0.7, 0.6, 0.1)):
        expected = matrix * powers(items, -beta) @ matrix.T @ (powers(users, -gamma)[:, None] * matrix)
        expected *= powers(items, -delta)
        exponents = {
            "user_exponent": gamma / 2,
            "item_exponent": (beta + delta) / 2,
            "beta": (beta - delta) / 2,
        }
        found = scores_of(GraphFilter.preset("linkprop", **exponents).fit(numbers()))
        np.testing.assert_allclose(found * (expected.max() / found.max()), expected, rtol=1e-4, atol=1e-6)


def test_presets():
    for name, params in PRESETS.items():
        model = GraphFilter.preset(name, vectors=5)
        assert model.get_params() == GraphFilter(**{**params, "vectors": 5}).get_params()
        assert model.fit(numbers()).topk(np.arange(3), 4).ids.shape == (3, 4)
    with pytest.raises(
        ConfigError, match="preset 'gfcf' is none of gf-cf, linkprop, chebycf; did you mean gf-cf"
    ):
        GraphFilter.preset("gfcf")


def test_parameters_are_searched():
    data = synthetic(200, 80, interactions_per_user=10, num_groups=4)
    assert {one.name for one in default_space(GraphFilter(), data)} == {"beta", "user_exponent"}
    names = {one.name for one in default_space(GraphFilter(vectors=8), data)}
    assert names == {"beta", "user_exponent", "alpha"}
    found = tune(Search(GraphFilter(), default_space(GraphFilter(), data), data, metric="ndcg@5"), trials=3)
    assert len(found) == 3
    assert 0 <= found[0].params["beta"] <= 0.6


def test_a_search_finds_the_vectors_of_a_matrix_once(monkeypatch):
    data = synthetic(200, 80, interactions_per_user=10, num_groups=4)
    asked = []
    whole = Normalised.right_vectors

    def counted(self: Normalised, count: int):
        asked.append(count)
        return whole(self, count)

    monkeypatch.setattr(Normalised, "right_vectors", counted)
    space = [Range("beta", 0.0, 0.5), Range("alpha", 0.1, 0.9)]
    tune(Search(GraphFilter(vectors=8), space, data, metric="ndcg@5"), trials=4)
    assert asked == [8]
    with keeping_vectors():
        models = [GraphFilter(vectors=8, beta=beta).fit(data) for beta in (0.0, 0.4)]
        GraphFilter(vectors=8, user_exponent=0.3).fit(data)
        GraphFilter(vectors=7).fit(data)
    assert asked == [8, 8, 8, 7]
    assert np.array_equal(models[0].vectors_, models[1].vectors_)
    assert np.array_equal(GraphFilter(vectors=8).fit(data).vectors_, models[0].vectors_)
    assert asked[-1] == 8


def test_the_exponent_is_chosen_on_held_out_interactions(tmp_path: Path):
    data = synthetic(200, 80, interactions_per_user=10, num_groups=4)
    model = GraphFilter(beta=None, vectors=6).fit(data)
    learned, held_out = hold_out_of_lists(data, 0.1, 0)
    found = {
        beta: evaluate(GraphFilter(beta).fit(learned), held_out, 20, ["ndcg"])["ndcg@20"] for beta in BETAS
    }
    assert found[model.beta_] == max(found.values())
    assert model.beta is None
    assert np.array_equal(scores_of(model), scores_of(GraphFilter(model.beta_, vectors=6).fit(data)))
    model.save(tmp_path)
    assert np.array_equal(scores_of(GraphFilter.load(tmp_path)), scores_of(model))
    single = Interactions.from_arrays(np.arange(5), np.arange(5) % 3)
    assert GraphFilter(beta=None).fit(single).beta_ == 0


def test_some_users_are_always_the_same_ones():
    data = synthetic(300, 80, interactions_per_user=5)
    few = some_users(data, 40)
    assert np.count_nonzero(few.activity) == 40
    assert all(few.activity[user] in (0, data.activity[user]) for user in range(300))
    assert np.array_equal(some_users(data, 40).items, few.items)
    assert some_users(data, 1000) is data


def test_the_time_is_estimated():
    data = synthetic(400, 300, interactions_per_user=20)
    assert 0 <= GraphFilter().training_seconds(data) < 1
    assert 0 < GraphFilter(vectors=32).training_seconds(data) < 60
    assert 0 < GraphFilter(beta=None).training_seconds(data) < 60
    with pytest.raises(ConfigError, match="vectors = 300 must be at most 299"):
        GraphFilter(vectors=300).training_seconds(data)


def test_it_is_above_popularity_where_users_have_tastes():
    train, test = split_random(synthetic(300, 150, interactions_per_user=12, num_groups=6), 0.8)
    best = evaluate(GraphFilter().fit(train), test, 10).metrics["ndcg@10"]
    assert best > 1.5 * evaluate(GraphFilter(beta=3.0).fit(train), test, 10).metrics["ndcg@10"]


def test_items_and_users_without_interactions():
    data = Interactions.from_codes(
        np.array([0, 0, 2], dtype=np.int32),
        np.array([0, 3, 0], dtype=np.int32),
        np.arange(4),
        np.arange(5),
    )
    for options in ({}, {"order": 3}, {"vectors": 2, "alpha": 1.0}, {"item_exponent": 0.2}):
        scores = scores_of(GraphFilter(**options).fit(data))
        assert np.isfinite(scores).all()
        assert (scores[[1, 3]] == 0).all()
        assert (scores[:, [1, 2, 4]] == 0).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"beta": np.nan}, ConfigError, "beta = nan must be a finite number"),
        ({"user_exponent": -0.1}, ConfigError, "user_exponent = -0.1 must be at least 0"),
        ({"item_exponent": np.inf}, ConfigError, "item_exponent"),
        ({"order": 0}, ConfigError, "order = 0 must be"),
        ({"order": 65}, ConfigError, "order = 65 must be at most 64"),
        ({"flatness": 0.0}, ConfigError, "flatness = 0.0 must be above 0"),
        ({"vectors": -1}, ConfigError, "vectors = -1"),
        ({"vectors": NUM_ITEMS}, ConfigError, "vectors = 30 must be at most 29"),
        ({"alpha": -1}, ConfigError, "alpha = -1"),
        ({"dislike_weight": -1}, ConfigError, "dislike_weight = -1"),
    ],
)
def test_bad_parameters_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        GraphFilter(**options).fit(numbers())


def test_nothing_to_learn_from_is_refused():
    data = numbers()
    labels = np.zeros(len(data), dtype=np.float32)
    told = Interactions.from_codes(data.users, data.items, data.user_ids, data.item_ids, labels=labels)
    for options in ({}, {"vectors": 3}, {"item_exponent": 0.4}):
        with pytest.raises(DataError, match="speaks for or against an item"):
            GraphFilter(**options).fit(told)
    assert np.isfinite(scores_of(GraphFilter(dislike_weight=1.0).fit(told))).all()
