"""Raw ids that a model does not know: all of them told, or left out so that rows keep their places."""

import pickle

import numpy as np
import pandas as pd
import pytest

import pyrec
from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError, UnknownIdError

# Items 20 and 30 go together, so does 10 with 20; user 3 has 10 alone.
USERS = [1, 1, 2, 2, 2, 3]
ITEMS = [20, 30, 10, 20, 30, 10]
MODELS = [pyrec.ItemKNN(), pyrec.SVD(embedding_size=2), pyrec.Popularity()]


def as_ids(values, text):
    return list(map(str, values)) if text else values


def fitted(model, text=False):
    return type(model)(**model.get_params()).fit(
        Interactions.from_arrays(as_ids(USERS, text), as_ids(ITEMS, text))
    )


@pytest.mark.parametrize("text", [False, True])
def test_the_error_holds_all_that_is_unknown(text):
    model = fitted(pyrec.Popularity(), text)
    users = as_ids([9, 1, 8, *range(100, 1100), 9, 3], text)
    with pytest.raises(UnknownIdError, match="more unknown") as caught:
        model.recommend(users)
    error = caught.value
    assert error.kind == "user"
    assert error.unknown.tolist() == as_ids([9, 8, *range(100, 1100)], text)
    assert error.positions.tolist() == [0, *range(2, 1004)]
    assert len(str(error)) < 500
    rest = np.delete(np.array(users, dtype=object), error.positions)
    assert model.recommend(rest)[0].shape == (2, 3)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.kind, again.unknown.tolist()) == (str(error), "user", error.unknown.tolist())


def test_unknown_items_are_told_wherever_they_are_given():
    model = fitted(pyrec.ItemKNN())
    for ask, kind, unknown, positions in (
        (lambda: model.similar_items([10, 77, 88, 77]), "item", [77, 88], [1, 2, 3]),
        (lambda: model.recommend_for_items([[10], [77, 20], [88, 99, 77]]), "item", [77, 88, 99], [1, 2]),
        (lambda: model.recommend([1], items=[77, 10]), "item", [77], [0]),
        (lambda: model.recommend([1], exclude=[10, 77]), "item", [77], [1]),
        (lambda: model.recommend([1], exclude={1: [10, 77]}), "item", [77], [1]),
        (lambda: model.recommend([1], exclude={1: [10], 4: [10]}), "user", [4], [1]),
        (lambda: model.train_.encode_users(pd.Series([5, 1, 6])), "user", [5, 6], [0, 2]),
    ):
        with pytest.raises(UnknownIdError) as caught:
            ask()
        assert (caught.value.kind, caught.value.unknown.tolist()) == (kind, unknown)
        assert caught.value.positions.tolist() == positions
        assert isinstance(caught.value, DataError)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.model_name)
def test_skipped_users_have_an_empty_list_in_their_row(model, text):
    model = fitted(model, text)
    users = as_ids([7, 1, 3, 8], text)
    items, scores = model.recommend(users, 2, unknown="skip")
    known_items, known_scores = model.recommend(as_ids([1, 3], text), 2)
    assert items[1:3].tolist() == known_items.tolist()
    assert scores[1:3].tolist() == known_scores.tolist()
    assert items[[0, 3]].tolist() == [["", ""] if text else [-1, -1]] * 2
    assert np.isneginf(scores[[0, 3]]).all()
    codes = model.train_.encode_users(users, unknown="skip")
    assert codes.tolist() == [-1, 0, 2, -1]  # tells a skipped user from one who has every item
    nobody = model.recommend(as_ids([7], text), 2, unknown="skip")
    assert np.isneginf(nobody[1]).all()


def test_skipped_items_are_left_out_of_histories_and_choices():
    model = fitted(pyrec.ItemKNN())
    items, scores = model.recommend_for_items([[10, 77], [77], [20]], 2, unknown="skip", fallback="none")
    for row, history in ((0, [10]), (2, [20])):
        alone = model.recommend_for_items([history], 2)
        assert items[row].tolist() == alone[0][0].tolist()
        assert scores[row].tolist() == alone[1][0].tolist()
    assert items[1].tolist() == [-1, -1]
    assert np.isneginf(scores[1]).all()
    likes, weights = model.similar_items([77, 20], 1, unknown="skip")
    assert likes.tolist() == [[-1], model.similar_items([20], 1)[0][0].tolist()]
    assert np.isneginf(weights[0]).all()
    chosen = model.recommend([3], 1, items=[77, 30], exclude=[88], unknown="skip")[0]
    assert chosen.tolist() == [[30]]
    kept = model.recommend([3, 9], 1, exclude={3: [20, 77], 9: [10]}, unknown="skip")[0]
    assert kept.tolist() == [[30], [-1]]
    with pytest.raises(DataError, match="items holds no known item"):
        model.recommend([3], items=[77], unknown="skip")
    with pytest.raises(DataError, match=r"histories\[1\] is empty"):
        model.recommend_for_items([[10], []], unknown="skip", fallback="none")
    for one in (fitted(pyrec.Popularity()), model):
        popular = one.recommend_for_items([[77], []], 1, unknown="skip")[0]
        assert popular.tolist() == [[10], [10]]  # two users each have 10, 20 and 30: the smallest id


@pytest.mark.parametrize("wrong", ["ignore", None, True])
def test_other_words_for_unknown_are_refused(wrong):
    model = fitted(pyrec.ItemKNN())
    for ask in (
        lambda: model.recommend([1], unknown=wrong),
        lambda: model.recommend_for_items([[10]], unknown=wrong),
        lambda: model.similar_items([10], unknown=wrong),
        lambda: model.train_.encode_items([10], unknown=wrong),
    ):
        with pytest.raises(ConfigError, match="unknown is"):
            ask()


def test_ids_of_the_other_type_are_an_error_even_if_unknown_ones_are_skipped():
    with pytest.raises(DataError, match="the user ids are integers, not text; convert users"):
        fitted(pyrec.ItemKNN()).recommend(["1"], unknown="skip")
    with pytest.raises(DataError, match="the item ids are text, not integers"):
        fitted(pyrec.ItemKNN(), text=True).similar_items([10], unknown="skip")


@pytest.mark.parametrize("ids", [[0, 1, 2], [-(2**63), 5, 2**63 - 1], [2**62, 2**62 + 1, 2**62 + 2]])
def test_long_integers_are_told_apart(ids):
    x = Interactions.from_arrays(ids, ids)
    near = [min(max(raw + step, -(2**63)), 2**63 - 1) for raw in ids for step in (-1, 0, 1)]
    far = [-(2**63), 2**63 - 1, 0]
    expected = [ids.index(raw) if raw in ids else -1 for raw in near + far]
    assert x.encode_users(near + far, unknown="skip").tolist() == expected
