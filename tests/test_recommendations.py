"""Lists as callers get them: a pair with more beside it, and frames of it."""

import copy
import pickle
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from small_models import sparse_ids

from pyrec.data import Features, Interactions
from pyrec.errors import ConfigError, DataError
from pyrec.graph.graph import Graph
from pyrec.models import EASE, ItemKNN, Popularity
from pyrec.models.lists import Ranking, Recommendations

IDS = {"user_ids": [1, 2, 3, 4], "item_ids": [10, 20, 30, 40]}
DATA = Interactions.from_arrays([1, 1, 2, 2, 2, 3], [20, 30, 10, 20, 30, 10], **IDS)


@pytest.fixture(scope="module")
def model() -> ItemKNN:
    return ItemKNN().fit(DATA)


def test_lists_are_a_pair(model: ItemKNN) -> None:
    found = model.recommend([3, 2], 2)
    ids, scores = found
    assert isinstance(found, tuple)
    assert len(found) == 2
    assert found[0] is ids is found.ids
    assert found[1] is scores is found.scores
    assert found[-1:] == (scores,)
    assert (ids.shape, scores.dtype, found.is_fallback.dtype) == ((2, 2), np.float32, np.bool_)
    internal = model.topk(np.array([2, 1]), 2)
    assert isinstance(internal, Ranking)
    assert internal[0] is internal.ids
    assert repr(internal) == "Ranking(2 lists of 2 items, internal ids, 1 by popularity)"


@pytest.mark.parametrize("again", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_copies_and_pickles_keep_everything(model: ItemKNN, again) -> None:
    found = model.recommend([3, 4], 2, item_names={10: "ten"})
    other = again(found)
    assert type(other) is Recommendations
    for name in ("ids", "scores", "is_fallback", "keys"):
        np.testing.assert_array_equal(getattr(other, name), getattr(found, name))
    assert (other.key_name, other.item_names) == ("user", {10: "ten"})
    internal = again(model.topk(np.array([2, 3]), 2))
    assert type(internal) is Ranking
    assert internal.is_fallback.tolist() == model.topk(np.array([2, 3]), 2).is_fallback.tolist()


def columns(frame: Any) -> dict[str, list]:
    return {name: frame[name].to_list() for name in frame.columns}


@pytest.mark.parametrize(("library", "kind"), [(True, pd), ("pandas", pd), ("polars", pl)])
def test_a_frame_has_a_row_for_each_recommendation(model: ItemKNN, library, kind) -> None:
    frame = model.recommend([3, 2, 4, 9], 3, as_frame=library, unknown="skip")
    assert isinstance(frame, kind.DataFrame)
    found = model.recommend([3, 2, 4, 9], 3, unknown="skip")
    table = columns(frame)
    assert list(table) == ["user", "item", "rank", "score", "fallback"]
    assert table["user"] == [3, 3, 3, 2, 4, 4, 4]
    assert table["item"] == [20, 30, 40, 40, 10, 20, 30]
    assert table["rank"] == [1, 2, 3, 1, 1, 2, 3]
    assert table["fallback"] == [False, False, True, True, True, True, True]
    assert table["score"] == found.scores[found.scores > -np.inf].tolist()
    assert columns(found.to_frame(library)) == table
    dtypes = [str(frame[name].dtype).lower() for name in table]
    assert dtypes == ["int64", "int64", "int64", "float32", "bool" if kind is pd else "boolean"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_text_ids_and_names(library: str) -> None:
    model = ItemKNN().fit(sparse_ids(text_ids=True))
    users = model.train_.user_ids[:2]
    some = model.recommend(users, 2)[0][0, 0]
    frame = model.recommend(users, 2, as_frame=library, item_names={some: "Näme"})
    table = columns(frame)
    assert table["user"] == np.repeat(users, 2).tolist()
    assert table["name"][0] == "Näme"
    assert [name is None or name != name for name in table["name"]] == [
        item != some for item in table["item"]
    ]


def test_histories_and_similar_items_name_whose_lists_they_are(model: ItemKNN) -> None:
    of_new = columns(model.recommend_for_items([[20], [], [10]], 2, as_frame=True))
    assert of_new["history"] == [0, 0, 1, 1, 2, 2]
    assert of_new["fallback"] == [False, False, True, True, False, False]
    like = columns(
        model.similar_items([30, 77], 2, as_frame=True, unknown="skip", item_names={20: "b", 10: "a"})
    )
    assert like["similar_to"] == [30, 30]
    assert like["item"] == [20, 10]
    assert like["name"] == ["b", "a"]
    assert not any(like["fallback"])


def test_no_lists_are_an_empty_frame(model: ItemKNN) -> None:
    frame = model.recommend([], 2, as_frame=True)
    assert frame.shape == (0, 5)
    assert repr(model.recommend([], 2)) == "Recommendations(0 lists of 2 items)"


def test_an_empty_frame_has_the_columns_of_a_full_one() -> None:
    text = ItemKNN().fit(Interactions.from_arrays(["a", "a", "b"], ["x", "y", "y"]))
    for model, users in ((text, ["b"]), (ItemKNN().fit(DATA), [3])):
        full, empty = (model.recommend(some, 1, as_frame="polars") for some in (users, []))
        assert len(full) == 1
        assert len(empty) == 0
        assert empty.schema == full.schema


def test_bad_requests_are_refused(model: ItemKNN, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="as_frame = 'arrow' is none of True, 'pandas' and 'polars'"):
        model.recommend([1], 1, as_frame="arrow")
    with pytest.raises(DataError, match="item_names is a list, but a mapping from raw item ids"):
        model.recommend([1], 1, item_names=["a"])
    for library in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(
            ConfigError, match=f"a data frame of recommendations needs {library}: pip install {library}"
        ):
            model.recommend([1], 1, as_frame=library)


def test_what_is_shown_is_short(model: ItemKNN) -> None:
    found = model.recommend([3, 2], 3, item_names={20: "twenty"})
    assert repr(found) == (
        "Recommendations(2 lists of 3 items, 2 by popularity)\n  user 3: twenty, 30, 40\n  user 2: 40"
    )
    rng = np.random.default_rng(0)
    wide = EASE().fit(Interactions.from_arrays(rng.integers(0, 500, 9000), rng.integers(0, 200, 9000)))
    text = repr(wide.recommend(wide.train_.user_ids, 100))
    assert len(text.splitlines()) == 7
    assert len(text) < 400
    assert len(repr(Popularity().fit(DATA).recommend([1], 4))) < 100


def test_what_else_a_prompt_shows_spills_no_arrays() -> None:
    columns = {
        "size": np.ones((4, 3), np.float32),
        "kind": ["a", "b", "a", "c"],
        "tags": [["x", "y"], [], ["x"], []],
    }
    features = Features.from_columns(np.arange(4), columns)
    shown = [repr(features[name]) for name in columns]
    assert shown == [
        "Dense(4 rows of 3 values)",
        "Codes(4 rows, 3 words)",
        "Tokens(4 rows, 3 tokens of 2 words)",
    ]
    assert repr(Graph.from_interactions(DATA)) == "Graph(4 users, 4 items, 12 edges, cpu)"
