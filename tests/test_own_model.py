"""A model of a user's own, which the package does not name: all that works by the base class works for it."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from pyrec import ItemKNN, evaluate
from pyrec.data import Interactions, split_random, synthetic
from pyrec.errors import ConfigError, DataError, NotFittedError
from pyrec.models import MODELS
from pyrec.models.item_item import ItemItemRecommender
from pyrec.models.vectors import VectorRecommender
from pyrec.tune import Range, Search


class Jaccard(ItemItemRecommender):
    """Items are alike by the share of their users that they have in common, to a power."""

    model_name = "jaccard, of a test"

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def fit(self, interactions: Any, y: Any = None) -> "Jaccard":  # noqa: ARG002
        self.train_ = self._training_set(interactions)
        self.weights_ = jaccard(self.train_) ** np.float32(self.power)
        return self

    def _scores(self, histories: csr_array) -> np.ndarray:
        return np.asarray(histories @ self.weights_, dtype=np.float32)

    def _state(self) -> dict[str, np.ndarray]:
        return {"weights": self.weights_}

    def _restore(self, state: Any) -> None:
        self.weights_ = state.array("weights", np.float32, (self.train_.num_items,) * 2)


def jaccard(train: Interactions) -> np.ndarray:
    owners = [set(train.users[train.items == item].tolist()) for item in range(train.num_items)]
    weights = [[len(a & b) / max(len(a | b), 1) if a is not b else 0.0 for b in owners] for a in owners]
    return np.array(weights, dtype=np.float32)


@pytest.fixture(scope="module")
def parts() -> tuple[Interactions, Interactions]:
    return split_random(synthetic(50, 30, interactions_per_user=8, num_groups=4))


@pytest.fixture(scope="module")
def model(parts: tuple[Interactions, Interactions]) -> Jaccard:
    return Jaccard().fit(parts[0])


def test_it_is_no_model_of_the_package() -> None:
    assert Jaccard not in MODELS.values()
    assert Jaccard.model_name not in MODELS


def test_its_lists_are_its_scores_in_order(model: Jaccard) -> None:
    train = model.train_
    owned = train.to_csr().toarray() > 0
    scores = np.where(owned, -np.inf, owned.astype(np.float32) @ model.weights_)
    ids, found = model.recommend(train.user_ids, 5)
    np.testing.assert_allclose(found, -np.sort(-scores, axis=1)[:, :5], rtol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(scores, np.asarray(ids), axis=1), found, rtol=1e-6)
    near, likeness = model.similar_items(train.item_ids, 3)
    np.testing.assert_allclose(likeness, -np.sort(-model.weights_, axis=1)[:, :3], rtol=1e-6)
    assert not (near == train.item_ids[:, None]).any()


def test_users_known_by_their_items_get_what_known_users_get(model: Jaccard) -> None:
    train = model.train_
    of_user = train.item_ids[train.items[train.users == 7]]
    known, new = model.recommend([7], 5), model.recommend_for_items([of_user], 5)
    for one, other in zip(known, new, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_is_evaluated_as_any_other(model: Jaccard, parts: tuple[Interactions, Interactions]) -> None:
    mine, theirs = (evaluate(each, parts[1], 10) for each in (model, ItemKNN().fit(parts[0])))
    np.testing.assert_array_equal(mine.users, theirs.users)
    ids, _ = model.topk(mine.users, 10)
    tested = [set(parts[1].items[parts[1].users == user].tolist()) for user in mine.users]
    recall = [len(own & set(row)) / len(own) for own, row in zip(tested, ids.tolist(), strict=True)]
    np.testing.assert_allclose(mine.per_user["recall@10"], recall, rtol=1e-12)


def test_its_hyperparameters_are_those_of_its_constructor(parts: tuple[Interactions, Interactions]) -> None:
    model = Jaccard()
    assert model.get_params() == {"power": 1.0}
    assert model.set_params(power=2.0) is model
    assert not np.array_equal(model.fit(parts[0]).weights_, jaccard(parts[0]))
    with pytest.raises(ConfigError, match="nonsense"):
        model.set_params(nonsense=1)


def test_it_can_be_searched(parts: tuple[Interactions, Interactions]) -> None:
    search = Search(Jaccard(), [Range("power", values=(0.5, 1.0))], parts[0])
    value = search.run({"power": 0.5})
    assert value != search.run({"power": 8.0})


def test_it_answers_nothing_before_it_is_fitted_and_for_nobody_it_knows(model: Jaccard) -> None:
    with pytest.raises(NotFittedError, match="Jaccard"):
        Jaccard().recommend([0], 3)
    with pytest.raises(DataError, match="1000000"):
        model.recommend([10**6], 3)


class Drawn(VectorRecommender):
    """Vectors from a generator: no hook is written."""

    model_name = "drawn, of a test"

    def __init__(self, by_items: bool = False) -> None:
        self.by_items = by_items

    def fit(self, interactions: Any, y: Any = None) -> "Drawn":  # noqa: ARG002
        self.train_ = self._training_set(interactions)
        generator = torch.Generator().manual_seed(0)
        self.item_vectors_ = torch.randn(self.train_.num_items, 4, generator=generator)
        users = None if self.by_items else torch.randn(self.train_.num_users, 4, generator=generator)
        self.user_vectors_ = users
        return self


@pytest.mark.parametrize("by_items", [False, True])
def test_a_model_of_vectors_needs_no_hook(
    parts: tuple[Interactions, Interactions], by_items: bool, tmp_path: Any
) -> None:
    model = Drawn(by_items).fit(parts[0])
    train, items = model.train_, model.item_vectors_.numpy()
    own = train.items[train.users == 7]
    mean = items[own].mean(axis=0)
    user = mean if by_items else model.user_vectors_.numpy()[7]
    known, new = model.recommend([7], 5), model.recommend_for_items([train.item_ids[own]], 5)
    for (ids, scores), vector in ((known, user), (new, mean)):
        expected = np.delete(items @ vector, own)
        np.testing.assert_allclose(scores[0], -np.sort(-expected)[:5], rtol=1e-5)
        assert not np.isin(ids, train.item_ids[own]).any()
    model.save(tmp_path / "run")
    loaded = Drawn.load(tmp_path / "run")
    for one, other in zip(loaded.recommend([7, 3], 5), model.recommend([7, 3], 5), strict=True):
        np.testing.assert_array_equal(one, other)


def test_saved_vectors_of_different_dimensions_are_refused(
    parts: tuple[Interactions, Interactions], tmp_path: Any
) -> None:
    model = Drawn().fit(parts[0])
    model.user_vectors_ = model.user_vectors_[:, :3]
    model.save(tmp_path / "run")
    with pytest.raises(DataError, match=r"user_vectors is float32 \(50, 3\), expected float32 \(50, 4\)"):
        Drawn.load(tmp_path / "run")
