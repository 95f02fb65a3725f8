"""Models of a user's own: classes below `Recommender` save and load by themselves, and by name where they have one."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from own_kinds import listed, unlisted
from small_models import SMALL, numbers

from pyrec import MF, LightGCN, Popularity, Recommender
from pyrec.data.ragged import Ragged
from pyrec.errors import DataError
from pyrec.models import estimator
from pyrec.models.vectors import VectorRecommender
from pyrec.store.arrays import State


@unlisted
class Drawn(VectorRecommender):
    """Vectors of items that are drawn; a user is the sum of its items'."""

    model_name: ClassVar[str] = "drawn"

    def __init__(self, dim: int = 4, seed: int = 0) -> None:
        self.dim = dim
        self.seed = seed

    def fit(self, interactions: Any, y: Any = None) -> "Drawn":  # noqa: ARG002
        """See `Recommender.fit`."""
        self.train_ = self._training_set(interactions)
        generator = torch.Generator().manual_seed(self.seed)
        self.vectors_ = torch.randn(self.train_.num_items, self.dim, generator=generator)
        return self

    def _item_vectors(self) -> torch.Tensor:
        return self.vectors_

    def _query_from_items(self, histories: Ragged) -> torch.Tensor:
        return torch.from_numpy((histories.csr() @ self.vectors_.numpy()).astype(np.float32))

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"vectors": self.vectors_.numpy()}

    def _restore(self, state: State) -> None:
        shape = (self.train_.num_items, self.dim)
        self.vectors_ = torch.from_numpy(state.array("vectors", np.float32, shape).copy())


@unlisted
class DrawnTwice(Drawn):
    """Another one with a name of its own."""

    model_name: ClassVar[str] = "drawn-twice"


class Own(LightGCN):
    """LightGCN under another class, with its name."""

    def greeting(self) -> str:
        """What the base class has not."""
        return f"of {self.train_.num_users} users"


class Sized(MF):
    """A subclass with a constructor of its own."""

    def __init__(self, size: int = 8, epochs: int = 1, embedding_size: int = 8) -> None:
        super().__init__(embedding_size=embedding_size, epochs=epochs, batch_size=64)
        self.size = size


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Drawn, DrawnTwice):
        listed(kind, monkeypatch)


def lists(model: Recommender) -> list[bytes]:
    users = model.recommend(numbers().user_ids[:10], 5)
    new = model.recommend_for_items([numbers().item_ids[:3]], 5)
    alike = model.similar_items(numbers().item_ids[:3], 5)
    return [array.tobytes() for array in (*users, *new, *alike)]


@pytest.mark.parametrize("kind", [Drawn, DrawnTwice])
@pytest.mark.parametrize("by", [None, VectorRecommender, Recommender])
def test_a_model_with_a_name_loads_by_its_class_and_by_what_is_above_it(
    kind: Any, by: Any, tmp_path: Path
) -> None:
    model = kind(dim=6, seed=3).fit(numbers())
    model.save(tmp_path)
    loaded = (by or kind).load(tmp_path)
    assert type(loaded) is kind
    assert loaded.get_params() == {"dim": 6, "seed": 3}
    assert lists(loaded) == lists(model)


def test_a_name_of_ones_own_is_no_model_of_another_class(tmp_path: Path) -> None:
    Drawn().fit(numbers()).save(tmp_path / "drawn")
    Popularity().fit(numbers()).save(tmp_path / "popularity")
    with pytest.raises(DataError, match=r"holds a Drawn, not a MF; use Drawn\.load"):
        MF.load(tmp_path / "drawn")
    with pytest.raises(DataError, match=r"holds a Drawn, not a DrawnTwice; use Drawn\.load"):
        DrawnTwice.load(tmp_path / "drawn")
    with pytest.raises(DataError, match=r"holds a Popularity, not a Drawn; use Popularity\.load"):
        Drawn.load(tmp_path / "popularity")


def test_a_model_whose_module_was_not_imported_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Drawn().fit(numbers()).save(tmp_path)
    monkeypatch.delitem(estimator._KNOWN, "drawn")
    with pytest.raises(
        DataError, match=r"holds model 'drawn'; known are .*; import the module that defines it"
    ):
        Recommender.load(tmp_path)
    assert type(Drawn.load(tmp_path)) is Drawn  # itself knows its name


def test_a_subclass_that_keeps_the_name_loads_as_itself_by_its_own_class(tmp_path: Path) -> None:
    model = Own(**SMALL, loss="bpr", augment="edge-dropout").fit(numbers())
    model.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model"] == "lightgcn"
    loaded = Own.load(tmp_path)
    assert type(loaded) is Own
    assert loaded.greeting() == "of 40 users"
    for kind in (LightGCN, Recommender):
        assert type(kind.load(tmp_path)) is LightGCN
        assert lists(kind.load(tmp_path)) == lists(loaded) == lists(model)
    LightGCN(**SMALL).fit(numbers()).save(tmp_path / "base")
    assert type(Own.load(tmp_path / "base")) is Own


def test_a_constructor_of_ones_own_says_what_is_saved(tmp_path: Path) -> None:
    model = Sized(size=3, epochs=2).fit(numbers())
    model.save(tmp_path)
    loaded = Sized.load(tmp_path)
    assert loaded.get_params() == {"size": 3, "epochs": 2, "embedding_size": 8}
    assert loaded.batch_size == 64
    assert lists(loaded) == lists(model)
    with pytest.raises(DataError, match=r"params do not fit MF: .*'size'"):
        MF.load(tmp_path)
