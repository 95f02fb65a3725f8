"""scikit-learn's tools take the models: searches, cross-validation, pipelines, copies in joblib's files."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import children
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array, csr_matrix
from small_models import SMALL

from pyrec import EASE, MF, SVD, Fusion, GraphFilter, ItemKNN, LightGCN, Popularity, Recommender, evaluate
from pyrec.data import Interactions, as_interactions, split_random, synthetic
from pyrec.errors import ConfigError, DataError, NotFittedError
from pyrec.models.score import hide_items
from pyrec.train.augment import Contrast, EdgeDropout
from pyrec.train.loss import BPR, Softmax

selection = pytest.importorskip("sklearn.model_selection")
from sklearn.base import clone  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer  # noqa: E402
from sklearn.utils.validation import check_is_fitted  # noqa: E402

MODELS: dict[str, Callable[[], Recommender]] = {
    "LightGCN": lambda: LightGCN(**SMALL),
    "LightGCN by inner products": lambda: LightGCN(**SMALL, loss=Softmax(score="inner")),
    "MF": lambda: MF(**SMALL, loss=BPR("cosine")),
    "EASE": lambda: EASE(5.0),
    "ItemKNN": lambda: ItemKNN(5),
    "GraphFilter": lambda: GraphFilter(vectors=4),
    "Fusion": lambda: Fusion("graph-filter", "ease"),
    "SVD": lambda: SVD(6),
    "Popularity": Popularity,
}


def data() -> Interactions:
    return synthetic(60, 30, 7.0, 4, seed=2)


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> Recommender:
    return MODELS[request.param]()


def test_a_model_goes_through_cross_validation_and_pipelines(model: Recommender) -> None:
    matrix, rows = data().to_csr(), selection.KFold(3)
    scores = selection.cross_val_score(model, matrix, cv=rows)
    by_hand = []
    for train, test in rows.split(matrix):
        by_hand.append(clone(model).fit(matrix[train]).score(matrix[test]))
    assert scores.tolist() == by_hand
    assert all(0 < score < 1 for score in by_hand)
    pipeline = make_pipeline(FunctionTransformer(csr_array, accept_sparse=True), model)
    assert pipeline.fit(matrix.toarray(), np.arange(60)) is pipeline
    check_is_fitted(pipeline[-1])
    assert pipeline.score(matrix) == model.score(matrix.toarray(), y=None) == model.score(matrix)
    assert type(model).__name__ in pipeline._repr_html_()
    assert clone(pipeline)[-1].get_params() == model.get_params()


def test_a_search_finds_what_ranks_best() -> None:
    """SVD of two groups of items: one factor cannot tell the groups apart, two can, and y is ignored."""
    rng = np.random.default_rng(0)
    matrix = np.zeros((80, 40))
    for user in range(80):
        matrix[user, rng.choice(20, 6, replace=False) + 20 * (user % 2)] = 1
    for y in (None, np.arange(80)):
        search = selection.GridSearchCV(SVD(), {"embedding_size": [1, 2]}, cv=selection.KFold(4))
        search.fit(csr_matrix(matrix), y)
        assert search.best_params_ == {"embedding_size": 2}
        assert search.best_estimator_.recommend([0], 3)[0].max() < 20


def test_a_search_by_a_scorer_in_processes_and_through_a_pipeline() -> None:
    def nearest(model: Any, rows: Any, y: Any = None) -> float:
        return -abs(model.get_params()["model__reg"] - 0.02)

    pipeline = Pipeline([("model", LightGCN(**SMALL))])
    assert pipeline.set_params(model__reg=0.5)["model"].reg == 0.5
    search = selection.GridSearchCV(
        pipeline, {"model__reg": [0.01, 0.02, 0.4]}, scoring=nearest, cv=2, n_jobs=2, refit=False
    )
    assert search.fit(data().to_csr()).best_params_ == {"model__reg": 0.02}


def test_folds_of_a_frames_rows_are_interactions_of_known_users() -> None:
    x = data()
    frame = pd.DataFrame({"user_id": [f"u{u}" for u in x.users], "item_id": [f"i{i}" for i in x.items]})
    frame = frame.sample(frac=1, random_state=0)
    found = selection.cross_val_score(EASE(5.0), frame, cv=selection.KFold(4))
    for fold, (train, test) in enumerate(selection.KFold(4).split(frame)):
        model = EASE(5.0).fit(frame.iloc[train])
        known = frame.iloc[test]
        known = known[known.user_id.isin(model.train_.user_ids) & known.item_id.isin(model.train_.item_ids)]
        ids = {"user_ids": model.train_.user_ids, "item_ids": model.train_.item_ids}
        held_out = Interactions.from_arrays(known.user_id.to_numpy(), known.item_id.to_numpy(), **ids)
        assert found[fold] == evaluate(model, held_out, 20)["ndcg@20"]


@pytest.mark.parametrize("name", ["LightGCN", "EASE"])
def test_the_score_of_rows_is_ndcg_of_the_hidden_items(name: str) -> None:
    model = MODELS[name]().fit(data())
    rows = synthetic(25, 30, 5.0, 4, seed=9).to_csr()
    rows = csr_array(
        np.vstack([rows.toarray(), np.zeros((1, 30)), np.eye(1, 30), np.r_[1, 1, np.zeros(28)][None]])
    )
    told, hidden = (part.to_csr().toarray() for part in hide_items(Interactions.from_csr(rows)))
    np.testing.assert_array_equal(told + hidden, rows.toarray())
    counts, wanted = rows.toarray().sum(1), hidden.sum(1)
    assert wanted[counts < 2].sum() == 0
    assert wanted[-1] == 1
    assert (wanted[counts > 1] == np.maximum(np.rint(counts[counts > 1] / 5), 1)).all()
    gains = []
    for row in np.flatnonzero(wanted):
        ids, _ = model.recommend_for_items([np.flatnonzero(told[row])], 20)
        truth = set(np.flatnonzero(hidden[row]).tolist())
        gain = sum(1 / math.log2(at + 2) for at, item in enumerate(ids[0].tolist()) if item in truth)
        gains.append(gain / sum(1 / math.log2(at + 2) for at in range(min(20, len(truth)))))
    assert model.score(rows) == pytest.approx(np.mean(gains), rel=1e-6)
    assert model.score(rows) == model.score(rows.toarray())


def test_the_score_of_interactions_is_that_of_evaluate() -> None:
    train, test = split_random(data(), seed=1)
    model = SVD(6).fit(train)
    assert model.score(test) == evaluate(model, test, 20)["ndcg@20"]


def test_what_cannot_be_scored() -> None:
    model = EASE(5.0)
    with pytest.raises(NotFittedError):
        model.score(data().to_csr())
    model.fit(data())
    with pytest.raises(DataError, match="has 29 columns, but the model has 30 items"):
        model.score(data().to_csr()[:, :29])
    with pytest.raises(DataError, match="no row to score has two items"):
        model.score(np.eye(30))
    with pytest.raises(DataError, match="no user and item that the model knows"):
        model.score(Interactions.from_arrays([10**6], [10**6]))
    with pytest.raises(DataError, match="user ids are integers, not text"):
        model.score(Interactions.from_arrays(["a"], ["b"]))


@pytest.mark.filterwarnings("ignore:.*are in the training set too:pyrec.DataWarning")
def test_what_is_scored_costs_time_by_its_length() -> None:
    users = [f"user {k}" for k in range(20_000)]
    train = Interactions.from_arrays(2 * users, [f"item {k // 20_000}" for k in range(40_000)])
    test = Interactions.from_arrays(
        [*users, "nobody"], 20_001 * ["item 2"], item_ids=["item 0", "item 1", "item 2"]
    )
    model = Popularity().fit(train)
    with pytest.raises(DataError, match="no user and item"):
        model.score(test)
    started = time.process_time()
    some = Interactions.from_arrays([*users, "nobody"], ["item 0", *20_000 * ["item 2"]])
    model.score(some)
    assert time.process_time() - started < 1.5  # of pairs of ids: 2.4 s


@pytest.mark.parametrize("mode", [None, "r"])
def test_joblibs_files_hold_a_fitted_model(model: Recommender, mode: str | None, tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    model.fit(data())
    joblib.dump(model, tmp_path / "model")
    again = joblib.load(tmp_path / "model", mmap_mode=mode)
    for one, other in zip(again.recommend([0, 7], 5), model.recommend([0, 7], 5), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.score(data().to_csr()) == model.score(data().to_csr())


def test_a_search_goes_through_hyperparameters_of_components() -> None:
    """By their own and the component's name, beside others; the best are those of a fit of one's own."""
    matrix, rows = data().to_csr(), selection.KFold(3)
    grid = {"loss__temperature": [0.1, 2.0], "augment__edge_dropout__share": [0.1, 0.9]}
    search = selection.GridSearchCV(LightGCN(**SMALL, augment="edge-dropout"), grid, cv=rows).fit(matrix)
    found = search.cv_results_
    for at, params in enumerate(found["params"]):
        share, temperature = params["augment__edge_dropout__share"], params["loss__temperature"]
        model = LightGCN(**SMALL, loss=Softmax(temperature), augment=EdgeDropout(share))
        scores = selection.cross_val_score(model, matrix, cv=rows)
        assert scores.tolist() == [found[f"split{fold}_test_score"][at] for fold in range(3)]
    assert len({*found["mean_test_score"].tolist()}) > 1
    assert search.best_estimator_.loss == Softmax(search.best_params_["loss__temperature"])
    pipeline = Pipeline([("model", LightGCN(**SMALL))]).set_params(model__loss__temperature=0.3)
    assert pipeline[-1].loss == Softmax(0.3)


def test_whole_components_are_searched() -> None:
    grid = {"loss": ["softmax", BPR(), Softmax(score="inner")]}
    search = selection.GridSearchCV(MF(**SMALL), grid, cv=selection.KFold(2)).fit(data().to_csr())
    assert search.best_params_["loss"] in grid["loss"]


def test_scikit_learns_clone_copies_components() -> None:
    contrast = Contrast("noise", weight=0.3)
    model = LightGCN(loss=Softmax(0.1), augment=[contrast, "edge-dropout"])
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert again.augment[0] is not contrast
    again.set_params(augment__contrast__weight=0.5)
    assert (contrast.weight, model.augment[0].weight, again.augment[0].weight) == (0.3, 0.3, 0.5)


class Plain(EASE):
    """A model of one's own whose fit knows of no y."""

    def fit(self, interactions: Any) -> "Plain":  # type: ignore[override]
        super().fit(interactions)
        return self


def test_a_fit_of_ones_own_need_not_take_y() -> None:
    matrix = data().to_csr()
    for y in (None, np.ones(60)):
        assert make_pipeline(Plain(5.0)).fit(matrix, y).score(matrix) == EASE(5.0).fit(matrix).score(matrix)
    with pytest.raises(TypeError, match="positional arguments"):
        Plain().fit(matrix, None, None)  # type: ignore[call-arg]


def test_a_second_set_is_given_by_name() -> None:
    train, test = split_random(data(), seed=1)
    with pytest.raises(ConfigError, match=r"y is Interactions.*validation="):
        LightGCN(**SMALL).fit(train, test)


@pytest.mark.parametrize("kind", ["float64", "int8", "bool"])
def test_a_dense_matrix_is_users_times_items(kind: str) -> None:
    matrix = data().to_csr().toarray()
    have, expected = as_interactions(matrix.astype(kind)), Interactions.from_csr(csr_array(matrix))
    assert (have.num_users, have.num_items) == (60, 30)
    np.testing.assert_array_equal(have.users, expected.users)
    np.testing.assert_array_equal(have.items, expected.items)


@pytest.mark.parametrize(
    "array",
    [np.zeros((9, 4)), np.zeros((9, 2), int), np.zeros(9), np.zeros((9, 9), object), np.zeros((9, 9, 9))],
)
def test_arrays_that_may_be_columns_of_ids_are_refused(array: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"interactions are ndarray, but .*from_arrays\(users, items\)"):
        EASE().fit(array)


def test_a_dense_matrix_of_what_is_no_number_is_refused() -> None:
    with pytest.raises(DataError, match="nan"):
        EASE().fit(np.where(np.eye(6) > 0, np.nan, 1.0))


def test_scikit_learn_is_not_imported() -> None:
    code = "import sys, pyrec; pyrec.EASE().fit(pyrec.data.synthetic(9, 8, 3.0, 2)); sys.exit('sklearn' in sys.modules)"
    assert children.run("-c", code).returncode == 0
