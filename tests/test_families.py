"""Families of models beside each other: what learns from other data is saved by the same files, and told apart."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from own_kinds import listed, unlisted
from small_models import numbers

from pyrec import Popularity, Recommender
from pyrec.errors import DataError, NotFittedError
from pyrec.models import Estimator
from pyrec.store.arrays import State, fingerprint_of
from pyrec.store.saved_model import Saved
from pyrec.store.texts import text_arrays, texts_of


@unlisted
class Longest(Estimator):
    """Knows the longest of some texts, which it keeps."""

    model_name = "longest"
    learns_from: ClassVar[str] = "texts"
    data_name: ClassVar[str] = "texts_"

    def fit(self, texts: list[str]) -> "Longest":
        self.texts_ = list(texts)
        self.longest_ = max(map(len, texts))
        return self

    def _data(self) -> dict[str, NDArray[Any]]:
        return text_arrays("texts", self.texts_)

    def _restore_data(self, saved: Saved) -> None:
        self.texts_ = texts_of(saved.data, "texts")

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"longest": np.array(self.longest_)}

    def _restore(self, state: State) -> None:
        self.longest_ = int(state.within("longest", np.int64, 0, 100))


def test_a_family_keeps_its_own_data(tmp_path: Path) -> None:
    Longest().fit(["a", "", "große Wörter"]).save(tmp_path, {"note": "mine"})
    loaded = Longest.load(tmp_path)
    assert (loaded.texts_, loaded.longest_) == (["a", "", "große Wörter"], 12)


def test_any_model_loads_as_an_estimator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listed(Longest, monkeypatch)
    Longest().fit(["a"]).save(tmp_path / "texts")
    Popularity().fit(numbers()).save(tmp_path / "popularity")
    assert type(Estimator.load(tmp_path / "texts")) is Longest
    assert type(Estimator.load(tmp_path / "popularity")) is Popularity
    with pytest.raises(
        DataError, match=r"holds a Longest, a model of texts, not a Recommender; use Longest\.load"
    ):
        Recommender.load(tmp_path / "texts")
    with pytest.raises(DataError, match=r"holds a Popularity, a model of interactions, not a Longest"):
        Longest.load(tmp_path / "popularity")


def test_what_fit_is_given_is_named() -> None:
    with pytest.raises(NotFittedError, match=r"this Longest is not fitted; call fit\(texts\) first"):
        Longest().save("nowhere")
    with pytest.raises(NotFittedError, match=r"call fit\(interactions\) first"):
        Popularity().save("nowhere")


def test_texts_that_are_torn(tmp_path: Path) -> None:
    state = State("file", {"texts.text": np.array([0xC3], np.uint8), "texts.starts": np.array([0, 1])})
    with pytest.raises(DataError, match=r"file: texts\.text is not UTF-8"):
        texts_of(state, "texts")


def test_a_fingerprint_has_counts_and_a_hash_of_everything() -> None:
    one = fingerprint_of({"a": np.arange(3)}, articles=3)
    assert one["articles"] == 3
    assert one != fingerprint_of({"a": np.arange(3, dtype=np.int32)}, articles=3)
    assert one != fingerprint_of({"b": np.arange(3)}, articles=3)
