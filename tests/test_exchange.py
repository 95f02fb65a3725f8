"""A fitted model is exchanged whole: who asks while it is fitted again gets the old answer or the new one."""

import asyncio
import copy
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from small_models import SMALL

from pyrec import EASE, MF, SVD, Fusion, GraphFilter, ItemKNN, LightGCN, Popularity, Recommender, evaluate
from pyrec.data import Interactions, synthetic
from pyrec.errors import DataError, NotFittedError, StoppedError
from pyrec.export.files import vectors_of
from pyrec.models import ease, graph_filter, itemknn, svd
from pyrec.models.item_item import ItemItemRecommender
from pyrec.models.new_users import NewUsers
from pyrec.store.training_checkpoint import Checkpoints

pytestmark = pytest.mark.filterwarnings("ignore:.*are in the training set too:pyrec.DataWarning")

USERS, ITEMS = 40, 30


def old_data() -> Interactions:
    raw = synthetic(USERS, ITEMS, 6.0, 4, seed=3)
    return Interactions.from_arrays(raw.users + 1, raw.items + 1, user_ids=np.arange(1, USERS + 1))


def new_data() -> Interactions:
    """The same, and a user 0 and an item 0 before all others: every internal number moves by one."""
    old = old_data()
    return Interactions.from_arrays(np.r_[0, 0, old.users + 1], np.r_[0, 5, old.item_ids[old.items]])


def answers(model: Recommender) -> list[Any]:
    """What a model tells of users and items that both data sets have."""
    users, items = np.arange(1, USERS + 1), old_data().item_ids[:8]
    found = [model.recommend(users, 5), model.recommend(users, 5, filter_seen=False, exclude=items[:2])]
    found += [model.recommend_for_items([items[:3], items[4:6]], 5), model.topk(np.arange(USERS), 4)]
    if model.personal:
        found.append(model.similar_items(items, 4))
    scores = model.pair_scores(np.arange(USERS), np.zeros(USERS, dtype=np.int64))
    return [np.asarray(part).tolist() for part in (*(part for pair in found for part in pair), scores)]


class Gate:
    """Stops a thread inside a fit until it is let go."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, *_: Any) -> None:
        self.reached.set()
        assert self.go.wait(60)


@contextmanager
def fitting(model: Recommender, gate: Gate, *args: Any, **kwargs: Any) -> Iterator[None]:
    """Inside, a thread is in the middle of a fit; at the end the fit has ended."""
    with ThreadPoolExecutor(1) as pool:
        fit = pool.submit(model.fit, *args, **kwargs)
        try:
            assert gate.reached.wait(60)
            yield
        finally:
            gate.go.set()
        assert fit.result() is model


class Own(ItemItemRecommender):
    """A model that somebody wrote by the letter of the base class: it sets one thing after another."""

    model_name = "own"
    pause: Callable[[], None] = staticmethod(lambda: None)
    weights_: np.ndarray

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def fit(self, interactions: Any) -> "Own":
        self.train_ = self._training_set(interactions)
        together = self.train_.to_csr().T @ self.train_.to_csr()
        self.__dict__.pop("pairs", None)
        type(self).pause()
        self.weights_ = together.toarray().astype(np.float32) ** self.power
        return self

    @cached_property
    def pairs(self) -> float:
        return float(self.weights_.sum())

    def _scores(self, histories: csr_array) -> np.ndarray:
        return np.asarray(histories @ self.weights_)

    def _state(self) -> dict[str, np.ndarray]:
        return {"weights": self.weights_}

    def _restore(self, state: Any) -> None:
        self.weights_ = state.array("weights", np.float32, (self.train_.num_items,) * 2)


MODELS: dict[str, Callable[[], Recommender]] = {
    "LightGCN": lambda: LightGCN(**SMALL),
    "users from items": lambda: LightGCN(**SMALL, encoder="items", n_layers=1, combine="mean"),
    "MF": lambda: MF(**SMALL),
    "EASE": lambda: EASE(5.0),
    "ItemKNN": lambda: ItemKNN(5),
    "GraphFilter": lambda: GraphFilter(vectors=4),
    "Fusion": lambda: Fusion("graph-filter", SVD(6)),
    "SVD": lambda: SVD(6),
    "Popularity": Popularity,
    "own": Own,
}


@pytest.fixture(params=list(MODELS))
def fitted(request: pytest.FixtureRequest) -> Recommender:
    return MODELS[request.param]().fit(old_data())


@pytest.fixture
def paused(fitted: Recommender, monkeypatch: pytest.MonkeyPatch) -> tuple[Gate, dict[str, Any]]:
    """A gate in the middle of the model's fit, and what `fit` is given for it."""
    gate = Gate()
    if "epochs" in fitted.get_params():
        return gate, {"callback": gate}

    def stopping(of: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: (gate(), of(*args, **kwargs))[1]

    monkeypatch.setattr(Own, "pause", staticmethod(gate))
    for module, name in (
        (ease, "_solve"),
        (itemknn, "Likeness"),
        (svd, "_right_factors"),
        (graph_filter, "right_vectors"),
    ):
        monkeypatch.setattr(module, name, stopping(getattr(module, name)))
    monkeypatch.setattr(Popularity, "_training_set", staticmethod(stopping(Recommender._training_set)))
    return gate, {}


def test_readers_see_the_old_model_until_the_fit_ends(
    fitted: Recommender, paused: tuple[Gate, dict[str, Any]], tmp_path: Any
) -> None:
    gate, given = paused
    before, measured = answers(fitted), evaluate(fitted, old_data(), 5).metrics
    with fitting(fitted, gate, new_data(), **given):
        assert answers(fitted) == before
        for duplicate in (copy.copy(fitted), copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
            assert answers(duplicate) == before
        assert evaluate(fitted, old_data(), 5).metrics == measured
        kept = copy.copy(fitted)
        if not isinstance(fitted, Own):  # it is not in the table of models that load
            fitted.save(tmp_path)
            assert answers(Recommender.load(tmp_path)) == before
        if isinstance(fitted, LightGCN | SVD):
            assert vectors_of(fitted)[0].ids.tolist() == list(range(1, USERS + 1))
    assert answers(kept) == before
    assert fitted.train_.num_users == USERS + 1
    assert answers(fitted) == answers(copy.deepcopy(fitted)) != before


def test_a_first_fit_leaves_the_model_unfitted_until_its_end() -> None:
    model, gate = LightGCN(**SMALL), Gate()
    with fitting(model, gate, old_data(), callback=gate), pytest.raises(NotFittedError):
        model.recommend([1])
    assert model.recommend([1])[0].shape == (1, 10)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, StoppedError])
def test_a_fit_that_is_interrupted_leaves_the_model(fitted: Recommender, error: type, tmp_path: Any) -> None:
    def fail(*_: Any) -> None:
        raise error("now")

    before, state = answers(fitted), dict(vars(fitted))
    if "epochs" in fitted.get_params():
        kept = Checkpoints(tmp_path) if error is StoppedError else None
        with pytest.raises(error):
            fitted.fit(new_data(), callback=fail, checkpoints=kept)
    else:
        fitted._training_set = fail  # type: ignore[method-assign]
        with pytest.raises(error):
            fitted.fit(new_data())
        del fitted._training_set
    assert answers(fitted) == before
    assert all(vars(fitted)[name] is value for name, value in state.items())


class Refitted(SVD):
    """Is fitted to other data by another thread in the very middle of a search."""

    outer: "Refitted"

    def _query_vectors(self, users: np.ndarray) -> torch.Tensor:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(Refitted.outer.fit, new_data()).result()
        return super()._query_vectors(users)

    def _unit_item_vectors(self) -> torch.Tensor:
        Refitted.outer.fit(new_data())
        return super()._unit_item_vectors()


@pytest.mark.parametrize("ask", ["recommend", "similar", "evaluate", "explain"])
def test_a_fit_that_ends_within_a_search_does_not_change_it(ask: str) -> None:
    asks: dict[str, Callable[[Recommender], Any]] = {
        "recommend": lambda model: model.recommend(np.arange(1, USERS + 1), 5)[0].tolist(),
        "similar": lambda model: model.similar_items(old_data().item_ids, 5)[0].tolist(),
        "evaluate": lambda model: evaluate(model, old_data(), 5, batch_size=7).lists.tolist(),
        "explain": lambda model: model.explain(3),
    }
    expected, after = (asks[ask](SVD(6).fit(old_data())), SVD(6).fit(new_data()))
    Refitted.outer = model = Refitted(6).fit(old_data())
    assert asks[ask](model) == expected
    assert model.train_.num_users == USERS + 1
    np.testing.assert_array_equal(model.item_factors_, after.item_factors_)


def test_hyperparameters_set_meanwhile_are_those_of_the_next_fit(tmp_path: Any) -> None:
    model, gate = LightGCN(**SMALL), Gate()
    model.fit(old_data())
    before = answers(model)
    model.set_params(n_layers=0, combine="mean", embedding_size=4, loss__score="inner", encoder="table")
    assert answers(model) == before  # by the hyperparameters of the fit, not by the ones to come
    model.save(tmp_path)
    assert answers(Recommender.load(tmp_path)) == before
    assert Recommender.load(tmp_path).n_layers == model.fitted_params_["n_layers"] == 2
    with fitting(model, gate, new_data(), callback=gate):
        model.set_params(epochs=7)
        model.loss = "bpr"
    assert (model.epochs, model.loss, model.embedding_size) == (7, "bpr", 4)
    assert (model.fitted_params_["epochs"], len(model.history_)) == (2, 2)
    assert model.item_vectors_.shape == (new_data().num_items, 4)
    assert model.fit(new_data()).fitted_params_ == model.get_params(deep=False)
    assert Recommender.load(tmp_path).fitted_params_ == Recommender.load(tmp_path).get_params(deep=False)


def test_of_two_fits_at_a_time_the_later_to_end_stays_whole() -> None:
    model, gate = LightGCN(**SMALL), Gate()
    with fitting(model, gate, new_data(), callback=gate):
        model.fit(old_data())
        assert answers(model) == answers(LightGCN(**SMALL).fit(old_data()))
    assert answers(model) == answers(LightGCN(**SMALL).fit(new_data()))


def test_a_callback_gets_the_model_under_training() -> None:
    model, seen = LightGCN(**SMALL), []

    def callback(trained: Recommender, record: dict[str, Any]) -> None:
        assert trained is not model
        seen.append((evaluate(trained, old_data(), 5)["ndcg@5"], copy.deepcopy(trained)))

    assert model.fit(old_data(), callback=callback) is model
    assert len(seen) == 2
    assert answers(seen[1][1]) == answers(model)
    with pytest.raises(DataError, match="interactions is empty"):  # what was kept is a model like any other
        seen[0][1].fit(old_data().select(np.zeros(len(old_data()), dtype=bool)))
    assert seen[0][0] == evaluate(seen[0][1], old_data(), 5)["ndcg@5"]


def test_what_a_reader_computes_is_kept_with_the_state_that_it_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    model, gate, made = LightGCN(**SMALL), Gate(), []
    model.fit(old_data())
    of = NewUsers.of
    monkeypatch.setattr(NewUsers, "of", lambda *args: (made.append(1), of(*args))[1])
    expected = copy.deepcopy(model).recommend_for_items([[3, 4]], 5)[0].tolist()
    made.clear()
    for _ in range(3):
        assert model.recommend_for_items([[3, 4]], 5)[0].tolist() == expected
    assert len(made) == 1
    with fitting(model, gate, new_data(), callback=gate):
        model.similar_items([3])  # the first to ask for unit vectors, while a fit is under way
    fresh = LightGCN(**SMALL).fit(new_data())
    assert answers(model) == answers(fresh)


class Counted(Own):
    """Overrides readers, keeps a count and a property of a fit, and calls its base's fit."""

    def __init__(self, power: float = 1.0) -> None:
        super().__init__(power)
        self.asked = 0
        self.log_: dict[str, int] = {}

    def fit(self, interactions: Any) -> "Counted":
        super().fit(interactions)
        self.log_["fits"] = self.log_.get("fits", 0) + 1
        if self.train_.num_users > USERS:
            raise ValueError("too late")
        return self

    def recommend(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        return super().recommend(*args, **kwargs)


def test_models_of_ones_own_need_to_do_nothing_for_it() -> None:
    model = Counted()
    assert model.fit(old_data()) is model
    assert (model.log_, model.asked) == ({"fits": 1}, 0)
    before, pairs = answers(model), model.pairs
    assert (model.asked, model.pairs) == (2, float(model.weights_.sum()))
    with pytest.raises(ValueError, match="too late"):
        model.fit(new_data())
    assert answers(model) == before
    assert (model.log_, model.pairs) == ({"fits": 1}, pairs)  # a container that the fit wrote to is as it was
    half = old_data().select(np.arange(len(old_data())) % 2 == 0)
    model.fit(half)
    assert (model.log_, model.pairs) == ({"fits": 2}, float(model.weights_.sum()))
    assert model.pairs != pairs


def test_attributes_that_are_set_by_hand_count() -> None:
    model = SVD(6).fit(old_data())
    other = SVD(6).fit(old_data().select(np.arange(len(old_data())) % 3 > 0))
    model.item_factors_ = other.item_factors_
    np.testing.assert_array_equal(
        model.similar_items(old_data().item_ids)[0], other.similar_items(old_data().item_ids)[0]
    )


@pytest.mark.parametrize("what", [None, EASE, "model"])
def test_what_is_no_model_is_not_measured(what: Any) -> None:
    with pytest.raises(DataError, match=r"model is .*, but a fitted model is needed"):
        evaluate(what, old_data(), 5)


def test_requests_of_a_service_are_answered_by_one_state() -> None:
    """The model is fitted anew between a request's arrival, its search and its answer."""
    serve = pytest.importorskip("pyrec.serve.service")
    model = SVD(6).fit(old_data())
    service = serve.Service(serve.Served(model), 1)
    old, new = (SVD(6).fit(data) for data in (old_data(), new_data()))
    gate = Gate()

    async def run() -> list[Any]:
        service.known.submit(gate)  # searches wait
        asked = [ask({"users": [7], "n": 4}), ask({"users": [9], "n": 4})]
        await asyncio.sleep(0.02)
        model.fit(new_data())
        asked += [ask({"users": [7], "n": 4}), ask({"users": [0], "n": 4})]
        await asyncio.sleep(0.02)
        gate.go.set()
        return await asyncio.gather(*asked)

    def ask(body: dict[str, Any]) -> Any:
        return asyncio.ensure_future(service.recommend(serve.RecommendRequest(**body)))

    try:
        found = [json.loads(answer.body)["items"] for answer in asyncio.run(run())]
    finally:
        service.close()
    expected = [(old, 7), (old, 9), (new, 7), (new, 0)]
    assert found == [one.recommend([user], 4)[0].tolist() for one, user in expected]


def test_many_threads_ask_while_it_is_fitted() -> None:
    model = EASE(5.0).fit(old_data())
    lists = {len(data.user_ids): EASE(5.0).fit(data) for data in (old_data(), new_data())}
    own = [{u: one.recommend([u], 5)[0].tolist() for u in range(1, USERS + 1)} for one in lists.values()]
    stop, wrong = threading.Event(), []

    def ask(seed: int) -> int:
        rng, count = np.random.default_rng(seed), 0
        while not stop.is_set() or count < 50:
            user = int(rng.integers(1, USERS + 1))
            found = model.recommend([user], 5)[0].tolist()
            if found not in (own[0][user], own[1][user]):
                wrong.append((user, found))
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask, seed) for seed in range(3)]
        for at in range(40):
            model.fit(new_data() if at % 2 else old_data())
        stop.set()
        assert all(one.result() >= 50 for one in asking)
    assert wrong == []
