"""Fusions against the members' own scores."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_models import NUM_ITEMS, NUM_USERS, numbers

from pyrec import (
    EASE,
    MF,
    SVD,
    Fusion,
    GraphFilter,
    ItemKNN,
    LightGCN,
    Popularity,
    Recommender,
    evaluate,
    export,
)
from pyrec.data import Interactions, split_random, synthetic
from pyrec.data.split import hold_out_of_lists
from pyrec.errors import ConfigError, DataError
from pyrec.models import base, fusion
from pyrec.models.standard_scores import WEIGHTS, standardise
from pyrec.tune import Search, compare_models, default_space, tune

SMALL = {"embedding_size": 8, "epochs": 2, "batch_size": 64}
ALL_USERS = np.arange(NUM_USERS, dtype=np.int32)


def lightgcn(**options) -> LightGCN:
    return LightGCN(**{**SMALL, **options})


def rows_of(model: Recommender) -> NDArray[np.float64]:
    """Scores of all users and items, by pairs."""
    users, items = np.divmod(np.arange(NUM_USERS * NUM_ITEMS), NUM_ITEMS)
    scores = model.pair_scores(users.astype(np.int32), items.astype(np.int32))
    return scores.reshape(NUM_USERS, NUM_ITEMS).astype(np.float64)


def standard(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)


MEMBERS = {
    "filter and lightgcn": lambda: (GraphFilter(vectors=4), lightgcn()),
    "of names": lambda: ("itemknn", "ease"),
    "vectors": lambda: (SVD(6), MF(**SMALL, loss="bpr")),
    "with popularity": lambda: (Popularity(), EASE(5.0)),
    "of a fusion": lambda: (Fusion("itemknn", "ease", weight=0.5), SVD(6)),
    "users are items": lambda: (lightgcn(encoder="items", n_layers=3), GraphFilter()),
}


@pytest.mark.parametrize("members", MEMBERS)
def test_scores_are_the_formula(members) -> None:
    model = Fusion(*MEMBERS[members](), weight=0.3).fit(numbers())
    first, second = (standard(rows_of(one)) for one in (model.first_, model.second_))
    np.testing.assert_allclose(rows_of(model), 0.7 * first + 0.3 * second, atol=2e-5)
    assert model.weight_ == 0.3
    assert model.ndcg_by_weight_ is None


@pytest.mark.parametrize("members", MEMBERS)
def test_a_history_of_a_new_user(members) -> None:
    model = Fusion(*MEMBERS[members](), weight=0.4).fit(numbers())
    found = model.recommend_for_items([[0, 1, 5], [7]], NUM_ITEMS, filter_seen=False, fallback="none")
    whole = []
    for one in (model.first_, model.second_):
        ids, scores = one.recommend_for_items([[0, 1, 5], [7]], NUM_ITEMS, filter_seen=False, fallback="none")
        by_item = np.empty_like(scores)
        np.put_along_axis(by_item, ids, scores, axis=1)
        whole.append(standard(by_item.astype(np.float64)))
    expected = 0.6 * whole[0] + 0.4 * whole[1]
    np.testing.assert_allclose(found.scores, np.take_along_axis(expected, found.ids, axis=1), atol=2e-5)


def test_at_either_end_lists_are_a_members() -> None:
    for weight, name in ((0.0, "first_"), (1.0, "second_")):
        model = Fusion(EASE(5.0), SVD(6), weight=weight).fit(numbers())
        assert np.array_equal(model.topk(ALL_USERS, 5).ids, getattr(model, name).topk(ALL_USERS, 5).ids)


def test_the_weight_is_chosen_on_held_out_interactions_and_both_are_fitted_again() -> None:
    data = synthetic(300, 120, interactions_per_user=12, num_groups=6)
    model = Fusion(Popularity(), EASE(20.0), seed=3).fit(data)
    assert set(model.ndcg_by_weight_) == set(WEIGHTS)
    learned, held_out = hold_out_of_lists(data, 0.1, 3)
    for weight in (0.0, 0.5, 1.0):
        own = evaluate(Fusion(Popularity(), EASE(20.0), weight=weight).fit(learned), held_out, 20, ["ndcg"])
        assert model.ndcg_by_weight_[weight] == pytest.approx(own["ndcg@20"], abs=1e-9)
    assert model.ndcg_by_weight_[model.weight_] == max(model.ndcg_by_weight_.values())
    assert model.weight_ > 0.5
    assert np.array_equal(model.second_.weights_, EASE(20.0).fit(data).weights_)
    assert model.train_ is model.first_.train_ is model.second_.train_


def test_a_validation_set_chooses_instead() -> None:
    train, held_out = split_random(synthetic(300, 120, interactions_per_user=12, num_groups=6), 0.9)
    model = Fusion("popularity", "itemknn").fit(train, validation=held_out)
    assert len(model.train_) == len(train)
    assert model.ndcg_by_weight_ is not None
    with pytest.raises(ConfigError, match=r"validation chooses a weight, but weight = 0\.5 is given"):
        Fusion("popularity", "itemknn", weight=0.5).fit(train, validation=held_out)


@pytest.mark.parametrize("members", ["filter and lightgcn", "vectors"])
def test_blocks_and_threads_do_not_change_a_bit(members, threads, monkeypatch) -> None:
    threads(1)
    model = Fusion(*MEMBERS[members](), weight=0.3).fit(numbers())
    expected = model.topk(ALL_USERS, 7)
    for count, queries in ((2, 1), (3, 4 * NUM_ITEMS * 5), (1, 2**20)):
        threads(count)
        monkeypatch.setattr(base, "QUERY_BYTES", queries)
        found = model.topk(ALL_USERS, 7)
        assert np.array_equal(found.ids, expected.ids)
        assert np.array_equal(found.scores, expected.scores)


def test_a_seed_reaches_members_that_are_named() -> None:
    data = numbers()
    named = Fusion("popularity", "mf", weight=1.0, seed=4)
    named.set_params(second__epochs=1)  # makes an object of the name, which keeps its own seed
    assert named.get_params()["second__seed"] == 0
    model = Fusion("popularity", "whole-mf", weight=1.0, seed=4)
    assert model._member("second").seed == 4
    given = Fusion(Popularity(), lightgcn(seed=2), weight=1.0, seed=4).fit(data)
    assert given.second_.seed == 2
    again = Fusion(Popularity(), lightgcn(seed=2), weight=1.0).fit(data)
    assert np.array_equal(rows_of(given), rows_of(again))


def test_members_stay_as_they_were_given() -> None:
    member = EASE(5.0).fit(numbers())
    weights = member.weights_
    model = Fusion(member, "popularity", weight=0.5).fit(synthetic(30, 20))
    assert member.weights_ is weights
    assert model.first is member
    assert model.first_ is not member
    assert Fusion().first is not Fusion().first
    Fusion().first.set_params(beta=0.0)
    assert fusion.FILTER.beta is Fusion().first.beta is None


def test_a_member_that_knows_nothing_adds_nothing() -> None:
    data = Interactions.from_codes(
        np.array([0, 0, 2, 2], dtype=np.int32),
        np.array([0, 3, 0, 1], dtype=np.int32),
        np.arange(4),
        np.arange(5),
    )
    model = Fusion(EASE(1.0), Popularity(), weight=0.25).fit(data)
    rows = model._query_vectors(np.arange(4, dtype=np.int32)).numpy()
    of_popularity = standard(data.popularity[None].astype(np.float64))[0]
    np.testing.assert_allclose(rows[1], 0.25 * of_popularity, atol=1e-6)
    assert model._cold_users(np.arange(4)).tolist() == [False, True, False, True]
    alone = Fusion(EASE(1.0), ItemKNN(), weight=0.25).fit(data)
    assert alone._cold_users(np.arange(4)).tolist() == [False, True, False, True]
    assert alone.topk(np.array([1]), 2).is_fallback.all()


def test_standard_scores_of_rows_without_spread() -> None:
    scores = np.array([[1, 1, 1, 1], [1e6, 1e6, 1e6 + 0.0625, 1e6], [0, 1, 0, 1], [0, 1, 0, 1]], np.float32)
    means, factors = standardise(scores, np.array([True, True, True, False]))
    assert scores.tolist() == [[0] * 4, [0] * 4, [-1, 1, -1, 1], [0] * 4]
    assert factors[:, 0].tolist() == [0, 0, 2, 0]
    assert means[2, 0] == 0.5


# Contract


@pytest.mark.parametrize("members", MEMBERS)
def test_saved_and_loaded(members, tmp_path: Path) -> None:
    model = Fusion(*MEMBERS[members]()).fit(numbers())
    model.save(tmp_path)
    for loaded in (Fusion.load(tmp_path), Recommender.load(tmp_path)):
        assert loaded.weight_ == model.weight_
        assert str(loaded) == str(model)
        assert np.array_equal(rows_of(loaded), rows_of(model))
        assert loaded.train_ is loaded.first_.train_


def test_reasons_are_exact_where_both_are() -> None:
    for members in ("of names", "with popularity", "users are items"):
        why = Fusion(*MEMBERS[members](), weight=0.4).fit(numbers()).explain(3)
        assert why.kind == "exact"
        assert why.remainder_of == "the mean over all items"
        assert sum(part.value for part in why.parts) + why.remainder == pytest.approx(why.score, abs=1e-5)


def test_reasons_are_falls_where_one_member_has_those() -> None:
    model = Fusion(GraphFilter(vectors=4), lightgcn(), weight=0.4).fit(numbers())
    why = model.explain(3)
    assert why.kind == "left out"
    assert why.remainder is None
    items = {part.item: part.value for part in why.parts}
    scores = np.stack([rows_of(one)[3] for one in (model.first_, model.second_)])
    scales = np.array([0.6, 0.4]) / scores.std(1)
    for item, value in items.items():
        falls = [
            next(part.value for part in one.explain(3, why.item).parts if part.item == item)
            for one in (model.first_, model.second_)
        ]
        assert value == pytest.approx(scales @ falls, rel=1e-4, abs=1e-6)
    new = model.explain_for_items([0, 5, 9])
    assert new.kind == "exact"
    assert sum(part.value for part in new.parts) + new.remainder == pytest.approx(new.score, abs=1e-5)


def test_reasons_that_do_not_add_up_are_refused() -> None:
    model = Fusion(SVD(6), MF(**SMALL), weight=0.4).fit(numbers())
    with pytest.raises(
        ConfigError, match=r"svd and mf have none in common here; explain one of them, model\.first_"
    ):
        model.explain(3)
    assert model.explain_for_items([0, 5]).kind in ("exact", "left out")


def test_similar_items_mix_both() -> None:
    model = Fusion(EASE(5.0), SVD(6), weight=0.3).fit(numbers())
    ids, scores = model.similar_items([4], NUM_ITEMS - 1)
    first = model.first_.weights_[4].astype(np.float64)
    unit = model.second_._unit_item_vectors().numpy()
    expected = 0.7 * standard(first[None])[0] + 0.3 * standard((unit @ unit[4])[None].astype(np.float64))[0]
    np.testing.assert_allclose(scores[0], expected[ids[0]], atol=2e-5)
    alone = Fusion(Popularity(), SVD(6), weight=0.3).fit(numbers())
    assert np.array_equal(alone.similar_items([4], 5).ids, alone.second_.similar_items([4], 5).ids)


def test_vectors_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="Fusion mixes the scores of two models and has no vectors to export"
    ):
        export(Fusion("ease", "itemknn").fit(numbers()), tmp_path)


def test_time_is_that_of_both_twice_where_the_weight_is_chosen() -> None:
    once = Fusion("popularity", lightgcn(), weight=0.5).training_seconds(numbers())
    twice = Fusion("popularity", lightgcn(), share=0.2).training_seconds(numbers())
    assert 0 < once < 5 * twice
    assert Fusion("popularity", "popularity").training_seconds(numbers()) is None


def test_parameters_of_members_are_set_and_searched() -> None:
    model = Fusion(GraphFilter(), lightgcn())
    model.set_params(first__beta=0.1, second__loss__temperature=0.3)
    assert (model.first.beta, model.second.loss.temperature) == (0.1, 0.3)
    data = synthetic(200, 80, interactions_per_user=10, num_groups=4)
    space = default_space(Fusion(GraphFilter(), EASE()), data)
    assert {one.name for one in space} == {"first__beta", "first__user_exponent", "second__reg"}
    found = tune(Search(Fusion(GraphFilter(), EASE()), space, data, metric="ndcg@5"), trials=2)
    assert len(found) == 2
    compared = compare_models(
        data, {"both": Fusion("itemknn", "ease"), "ease": EASE()}, minutes=None, trials=0
    )
    assert {one.label for one in compared.models} == {"both", "ease"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first": "eas"}, "first = 'eas' must be one of .*'lightgcn'"),
        ({"first": "fusion"}, "first = 'fusion' must be one of"),
        ({"second": EASE}, "second = EASE must be one of .*, or an object such as"),
        ({"second": EASE(0)}, "second__reg = 0.* must be above 0"),
        ({"weight": 1.5}, "weight = 1.5 is the second model's share; it must be at most 1"),
        ({"weight": -0.1}, "weight = -0.1 must be at least 0"),
        ({"share": 1.0}, "share = 1.0 is a share of a user's interactions; it must be below 1"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_bad_parameters_are_refused(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        Fusion(**options).fit(numbers())


def test_too_little_to_hold_out_is_refused() -> None:
    lists = Interactions.from_arrays(np.arange(5), np.arange(5) % 3)
    with pytest.raises(
        DataError, match="holds nothing out of 5 interactions to choose the weight by; give a weight"
    ):
        Fusion("popularity", "itemknn").fit(lists)
    assert Fusion("popularity", "itemknn", weight=0.5).fit(lists).weight_ == 0.5


# What is held out


def test_the_latest_of_each_list_are_held_out() -> None:
    data = synthetic(50, 40, interactions_per_user=10)
    times = np.random.default_rng(0).permutation(len(data)).astype(np.int64)
    timed = Interactions.from_codes(data.users, data.items, data.user_ids, data.item_ids, times=times)
    learned, held_out = hold_out_of_lists(timed, 0.2, 0)
    assert len(learned) + len(held_out) == len(timed)
    for user in range(50):
        own, late = (part.times[part.users == user] for part in (learned, held_out))
        assert len(late) <= 0.2 * (len(own) + len(late)) + 1
        assert len(late) == 0 or own.max() < late.min()


def test_shares_of_short_lists_are_held_out_at_random() -> None:
    data = synthetic(2000, 60, interactions_per_user=3)
    learned, held_out = hold_out_of_lists(data, 0.1, 1)
    assert len(held_out) == pytest.approx(0.1 * len(data), rel=0.15)
    assert (learned.activity[data.activity > 0] > 0).all()
    again = hold_out_of_lists(data, 0.1, 1)[1]
    assert np.array_equal(again.items, held_out.items)
    assert not np.array_equal(hold_out_of_lists(data, 0.1, 2)[1].items, held_out.items)
