"""The estimator's face: parameters, what fit takes, which items may be recommended, and names for the list's length."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import coo_array, csc_array, csr_array, csr_matrix
from small_models import NUM_ITEMS, fit_data, make, numbers, texts

from pyrec import EASE, MF, SVD, LightGCN, Popularity, Recommender
from pyrec.data.synthetic import synthetic
from pyrec.errors import ConfigError, DataError
from pyrec.models import MODELS, base


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> Recommender:
    return make(request.param).fit(fit_data(request.param, texts()))


def whole_ranking(model: Recommender, user: str) -> dict[str, float]:
    """Every item's score for a user, from the full list."""
    ids, scores = model.recommend([user], n=model.train_.num_items, filter_seen=False)
    return dict(zip(ids[0].tolist(), scores[0].tolist(), strict=True))


def owned(user: str) -> set[str]:
    x = texts()
    return set(x.item_ids[x.items[x.users == x.encode_users([user])[0]]])


def check_list(ids, scores, ranking: dict[str, float], allowed: set[str], n: int) -> None:
    """A list is the n best of the allowed items by the whole ranking, and nothing else."""
    best = sorted((item for item in ranking if item in allowed), key=lambda item: -ranking[item])[:n]
    assert [ranking[item] for item in ids.tolist() if item] == pytest.approx(
        [ranking[i] for i in best], abs=1e-6
    )
    assert set(ids.tolist()) - {""} <= allowed
    assert (ids != "").sum() == len(best)
    np.testing.assert_allclose(scores[: len(best)], [ranking[item] for item in best], atol=1e-6)
    assert (scores[len(best) :] == -np.inf).all()


# Parameters


@pytest.mark.parametrize("name", list(MODELS))
def test_a_clone_has_the_same_parameters_and_no_fit(name: str) -> None:
    fitted = make(name).fit(fit_data(name, numbers()))
    clone = fitted.clone()
    assert type(clone) is type(fitted)
    assert vars(clone) == fitted.get_params(deep=False) == clone.get_params(deep=False)


@pytest.mark.parametrize("name", list(MODELS))
def test_scikit_learns_clone_takes_every_model(name: str) -> None:
    sklearn = pytest.importorskip("sklearn.base")
    fitted = make(name).fit(fit_data(name, numbers()))
    clone = sklearn.clone(fitted)
    assert type(clone) is type(fitted)
    assert vars(clone) == fitted.get_params(deep=False)
    assert clone.get_params() == fitted.get_params()


def test_scikit_learns_grid_sets_parameters() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    grid = selection.ParameterGrid({"reg": [1.0, 2.0]})
    assert [EASE().set_params(**params).reg for params in grid] == [1.0, 2.0]


def test_parameters_are_set_by_name_and_used_by_the_next_fit() -> None:
    model = EASE(reg=3.0).fit(numbers())
    assert model.set_params(reg=50.0) is model
    again = EASE(reg=50.0).fit(numbers())
    np.testing.assert_array_equal(model.fit(numbers()).weights_, again.weights_)


def test_an_unknown_parameter_changes_nothing() -> None:
    model = LightGCN()
    with pytest.raises(
        ConfigError,
        match="LightGCN has no hyperparameter 'layers', 'lr'; did you mean n_layers and learning_rate",
    ):
        model.set_params(epochs=3, layers=2, lr=0.1)
    assert model.get_params() == LightGCN().get_params()
    with pytest.raises(ConfigError, match="'n_layers'"):
        MF().set_params(n_layers=2)
    with pytest.raises(ConfigError, match="it takes none"):
        Popularity().set_params(reg=1)


def test_parameters_are_checked_by_fit() -> None:
    with pytest.raises(ConfigError, match="epochs = 0"):
        LightGCN().set_params(epochs=0).fit(numbers())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_of_a_fitted_model_answer_the_same(model: Recommender, duplicate: Callable[..., Any]) -> None:
    for have, expected in zip(duplicate(model).recommend(["u3"]), model.recommend(["u3"]), strict=True):
        np.testing.assert_array_equal(have, expected)


# What fit takes


def columns() -> dict[str, list[Any]]:
    x = texts()
    return {"user_id": x.user_ids[x.users].tolist(), "item_id": x.item_ids[x.items].tolist()}


MATRICES = {kind.__name__: kind for kind in (csr_array, csr_matrix, csc_array, coo_array)}
FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(columns()),
    "pandas objects": lambda: pd.DataFrame(columns(), dtype=object),
    "pandas categories": lambda: pd.DataFrame(columns(), dtype="category"),
    "polars": lambda: pl.DataFrame(columns()),
    "polars lazy": lambda: pl.LazyFrame(columns()),
    "polars categories": lambda: pl.DataFrame(columns()).cast(pl.Categorical),
}


@pytest.mark.parametrize("kind", list(MATRICES))
def test_fit_takes_sparse_matrices(kind: str) -> None:
    matrix = numbers().to_csr()
    expected = EASE().fit(numbers()).recommend([3, 4])
    for have, wanted in zip(EASE().fit(MATRICES[kind](matrix)).recommend([3, 4]), expected, strict=True):
        np.testing.assert_array_equal(have, wanted)


@pytest.mark.parametrize("kind", list(FRAMES))
def test_fit_takes_frames(kind: str) -> None:
    frame = EASE().fit(FRAMES[kind]())
    x = texts()
    assert set(frame.train_.item_ids) == set(x.item_ids[x.items])
    ids, scores = frame.recommend(["u7"], n=5)
    ranking = whole_ranking(EASE().fit(x.compact()), "u7")
    check_list(ids[0], scores[0], ranking, set(ranking) - owned("u7"), 5)


@pytest.mark.parametrize("kind", ["int8", "uint32", "Int64", "float64"])
def test_frames_of_numbers_give_numbers_back(kind: str) -> None:
    x = numbers()
    frame = pd.DataFrame({"user": x.users, "item": x.items}).astype(kind)
    ids, _ = EASE().fit(frame).recommend(np.array([5], dtype=np.uint8), n=4)
    assert ids.dtype == np.int64
    assert not set(ids[0].tolist()) & set(x.items[x.users == 5].tolist())


def test_raw_ids_come_in_any_sequence(model: Recommender) -> None:
    expected, _ = model.recommend(["u2", "u1"], n=3)
    for users in (("u2", "u1"), np.array(["u2", "u1"]), pd.Series(["u2", "u1"]), pl.Series(["u2", "u1"])):
        assert model.recommend(users, n=3)[0].tolist() == expected.tolist()


# items and exclude


def test_items_and_exclude_leave_the_best_of_the_rest(model: Recommender) -> None:
    users = ["u3", "u0", "u21"]
    items = [f"i{item}" for item in range(0, NUM_ITEMS, 2)]
    exclude = ["i2", "i4", "i8", "i9", "i2"]
    for some_items in (None, items):
        for some_exclude in (None, exclude, set(exclude), []):
            ids, scores = model.recommend(users, n=12, items=some_items, exclude=some_exclude)
            for user, row, values in zip(users, ids, scores, strict=True):
                allowed = set(texts().item_ids) - owned(user) - set(some_exclude or ())
                allowed &= set(some_items or texts().item_ids)
                check_list(row, values, whole_ranking(model, user), allowed, 12)


def test_exclude_for_single_users(model: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    users = ["u3", "u0", "u21", "u3"]
    exclude = {"u3": ["i1", "i5", "i29", "i5"], "u21": ["i1"], "u9": ["i2"], "u0": []}
    for query_bytes in (base.QUERY_BYTES, 1):  # one batch, and one for each user
        monkeypatch.setattr(base, "QUERY_BYTES", query_bytes)
        for filter_seen in (True, False):
            ids, scores = model.recommend(users, n=NUM_ITEMS, filter_seen=filter_seen, exclude=exclude)
            for user, row, values in zip(users, ids, scores, strict=True):
                allowed = set(texts().item_ids) - set(exclude.get(user, ()))
                allowed -= owned(user) if filter_seen else set()
                check_list(row, values, whole_ranking(model, user), allowed, NUM_ITEMS)


def test_exclude_for_new_users(model: Recommender) -> None:
    histories = [["i1", "i4"], ["i7"]]
    ids, scores = model.recommend_for_items(histories, n=NUM_ITEMS, filter_seen=False)
    less, less_scores = model.recommend_for_items(
        histories, n=6, filter_seen=False, items=["i3", "i8", "i5", "i6"], exclude=["i8"]
    )
    for row, values, less_row, less_values in zip(ids, scores, less, less_scores, strict=True):
        ranking = dict(zip(row.tolist(), values.tolist(), strict=True))
        check_list(less_row, less_values, ranking, {"i3", "i5", "i6"}, 6)


def test_most_items_excluded_of_many_users(kernels: Any) -> None:
    """Enough users and items for the search by codes, against dense scores."""
    x = synthetic(300, 2000, interactions_per_user=10, num_groups=8)
    model = SVD(embedding_size=16).fit(x)
    scores = x.to_csr() @ model.item_factors_.astype(np.float64) @ model.item_factors_.T
    scores[x.users, x.items] = -np.inf
    rng = np.random.default_rng(0)
    exclude = rng.choice(2000, 500, replace=False)
    single = {user: rng.choice(2000, 20, replace=False).tolist() for user in range(0, 300, 3)}
    for user, items in single.items():
        scores[user, items] = -np.inf
    _, found = model.recommend(np.arange(300), n=10, exclude=single)
    np.testing.assert_allclose(found, -np.sort(-scores, axis=1)[:, :10], rtol=1e-4, atol=1e-5)
    scores[:, exclude] = -np.inf
    _, found = model.recommend(np.arange(300), n=10, exclude=np.concatenate([exclude, *single.values()]))
    scores[:, np.concatenate([np.array(items) for items in single.values()])] = -np.inf
    np.testing.assert_allclose(found, -np.sort(-scores, axis=1)[:, :10], rtol=1e-4, atol=1e-5)


# n, N and k


def test_other_names_for_n(model: Recommender) -> None:
    asked: list[Callable[..., Any]] = [
        lambda **length: model.recommend(["u1"], **length),
        lambda **length: model.recommend_for_items([["i1"]], **length),
    ]
    if model.personal:
        asked.append(lambda **length: model.similar_items(["i1"], **length))
    for ask in asked:
        expected = ask(n=7)[0].tolist()
        assert ask(N=7)[0].tolist() == ask(k=7)[0].tolist() == expected
        assert ask()[0].tolist() == ask(n=10)[0].tolist()
        for two in ({"n": 7, "N": 7}, {"N": 7, "k": 8}, {"n": 1, "k": 1}):
            with pytest.raises(ConfigError, match=r" and .*same argument"):
                ask(**two)


# Refusals


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda m: m.recommend(["u1"], N=0), DataError, "N = 0 must be at least 1"),
        (lambda m: m.recommend(["u1"], k=31), DataError, "k = 31 must be at most 30, the number of items"),
        (lambda m: m.recommend(["u1"], k="5"), DataError, "k = '5' must be a whole number"),
        (
            lambda m: m.recommend(["u1", "a", "u2", "b", "a", "c"]),
            DataError,
            r"users\[1\] = 'a' is not one of the 40 known user ids.*2 more unknown: 'b', 'c'",
        ),
        (
            lambda m: m.recommend(["u1"], items=["i1", "x", "y"]),
            DataError,
            r"items\[1\] = 'x'.*1 more unknown: 'y'",
        ),
        (lambda m: m.recommend(["u1"], exclude=["x"]), DataError, r"exclude\[0\] = 'x'.*item ids"),
        (lambda m: m.recommend(["u1"], exclude="i1"), DataError, r"exclude is str.*\['i1'\]"),
        (lambda m: m.recommend(["u1"], exclude=[3]), DataError, r"exclude\[0\] = 3: the item ids are text"),
        (lambda m: m.recommend(["u1"], exclude=texts().item_ids), DataError, "exclude leaves none"),
        (lambda m: m.recommend(["u1"], items=["i1"], exclude=["i1", "i2"]), DataError, "exclude leaves none"),
        (lambda m: m.recommend(["u1"], items=[], exclude=["i1"]), DataError, "items is empty"),
        (lambda m: m.recommend(["u1"], exclude={"no": ["i1"]}), DataError, r"exclude\[0\] = 'no'.*user ids"),
        (
            lambda m: m.recommend(["u1"], exclude={"u2": ["i1", "x"]}),
            DataError,
            r"exclude\['u2'\]\[1\] = 'x'",
        ),
        (
            lambda m: m.recommend_for_items([["i1"]], exclude={"u1": ["i1"]}),
            DataError,
            "exclude is a mapping",
        ),
        (lambda m: m.recommend_for_items([["i1"]], exclude=["x"]), DataError, r"exclude\[0\] = 'x'"),
    ],
)
def test_bad_requests_are_refused_by_name(use: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        use(Popularity().fit(texts()))


@pytest.mark.parametrize(
    ("interactions", "message"),
    [
        ([[1, 2]], "interactions are list"),
        (np.ones((3, 3)), "interactions are ndarray"),
        (pd.DataFrame({"a": [1], "b": [2]}), "none with a well-known name"),
        (pd.DataFrame({"user": [1.5], "item": [2]}), r"column 'user'\[0\] = 1.5 is not a whole number"),
        (pl.DataFrame({"user": [1, None], "item": [2, 2]}), "missing in row 1"),
        (csr_array(([np.inf], [0], [0, 1]), shape=(1, 2)), r"user_items.data\[0\] = inf"),
    ],
)
def test_what_fit_does_not_take(interactions: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Popularity().fit(interactions)
