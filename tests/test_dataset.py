"""`Dataset` and what it is made of: events, features, impressions, labels and weights of interactions."""

import pickle
from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from pyrec.data import (
    Dataset,
    Events,
    Features,
    Impressions,
    Interactions,
    Ragged,
    as_dataset,
    split_random,
    split_time,
)
from pyrec.data.feature_columns import Codes, Dense, Tokens
from pyrec.errors import ConfigError, DataError
from pyrec.models import Popularity, Recommender

USERS = ["a", "b", "a", "a", "b", "a"]
ITEMS = ["x", "y", "y", "x", "x", "x"]
TIMES = [4, 2, 1, 4, 1, 3]


def events(**more) -> Events:
    return Events.from_arrays(USERS, ITEMS, TIMES, **more)


# Labels and weights of interactions


def rated() -> Interactions:
    return Interactions.from_arrays(
        ["b", "a", "a", "b"],
        ["x", "y", "x", "x"],
        times=[1, 2, 3, 4],
        labels=[1, -1, 1, 0],
        weights=[0.5, 1, 2, 3],
    )  # the pair of b and x twice


def test_labels_and_weights_go_where_their_interaction_goes() -> None:
    x = rated()
    assert x.item_ids[x.items].tolist() == ["x", "y", "x"]
    assert (x.labels.tolist(), x.weights.tolist()) == ([1, -1, 0], [2, 1, 3.5])
    assert (x.labels.dtype, x.weights.dtype) == (np.float32, np.float32)
    assert repr(x) == "Interactions(2 users, 2 items, 3 interactions, times, labels, weights)"
    kept = x.select(np.array([True, False, True]))
    assert (kept.labels.tolist(), kept.weights.tolist()) == ([1, 0], [2, 3.5])
    assert kept.compact().labels.tolist() == [1, 0]
    wider = x.with_ids(
        np.array(["b", "a"], object).astype(np.dtypes.StringDType()), np.array(["y", "x"], dtype="T")
    )
    assert wider.users.tolist() == [0, 1, 1]
    assert (wider.labels.tolist(), wider.weights.tolist()) == ([0, -1, 1], [3.5, 1, 2])
    for first, second in (split_time(x, 0.5), split_random(x, 0.5)):
        both = [zip(part.users, part.items, part.weights, strict=True) for part in (first, second)]
        assert sorted(row for rows in both for row in rows) == [(0, 0, 2), (0, 1, 1), (1, 0, 3.5)]


def test_a_saved_model_keeps_labels_and_weights(tmp_path) -> None:
    Popularity().fit(rated()).save(tmp_path)
    loaded = Recommender.load(tmp_path).train_
    assert_array_equal(loaded.labels, rated().labels)
    assert_array_equal(loaded.weights, rated().weights)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": [1.0]}, r"labels has shape \(1,\), but \(2,\) is needed"),
        ({"labels": [1.0, np.nan]}, r"labels\[1\] = nan is not a finite number"),
        ({"weights": [1.0, -1.0]}, r"weights\[1\] = -1.0 is below 0"),
        ({"weights": ["heavy", "light"]}, "weights are not numbers"),
    ],
)
def test_bad_labels_and_weights_are_refused(more, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Interactions.from_arrays([1, 2], [3, 4], **more)


# Events


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=20), st.booleans()
)
def test_events_are_in_order_of_user_and_time_and_equal_ones_as_given(log, with_times: bool) -> None:
    users, items, times = (list(column) for column in zip(*log, strict=True)) if log else ([], [], [])
    found = Events.from_arrays(users, items, times if with_times else None, list(range(len(log))))
    key = (lambda at: (users[at], times[at])) if with_times else (lambda at: users[at])
    order = sorted(range(len(log)), key=key)  # Python's sort is stable
    assert found.values.tolist() == order
    assert found.user_ids[found.users].tolist() == [users[at] for at in order]
    assert found.item_ids[found.items].tolist() == [items[at] for at in order]
    assert (found.times is None) == (not with_times)
    if with_times:
        assert found.times.tolist() == [times[at] for at in order]
    wanted = [[items[at] for at in order if users[at] == user] for user in sorted(set(users))]
    assert [found.item_ids[row].tolist() for row in found.histories().to_lists()] == wanted


def test_events_keep_repeats_and_interactions_of_them_do_not() -> None:
    x = events(values=[1, 2, 3, 4, 5, 6])
    assert len(x) == 6
    assert [x.item_ids[row].tolist() for row in x.histories().to_lists()] == [
        ["y", "x", "x", "x"],
        ["x", "y"],
    ]
    merged = x.to_interactions()
    expected = Interactions.from_arrays(USERS, ITEMS, [1, 2, 3, 4, 5, 6], TIMES)
    for name in ("users", "items", "ratings", "times", "user_ids", "item_ids"):
        assert_array_equal(getattr(merged, name), getattr(expected, name))
    assert repr(x) == "Events(2 users, 2 items, 6 events, times, values)"
    assert x.encode_users(["b"]).tolist() == [1]


def test_events_are_selected_and_renumbered() -> None:
    x = events()
    early = x.select(x.times <= 2)
    assert early.times.tolist() == [1, 1, 2]
    assert early.num_users == 2
    other = x.with_ids(np.array(["c", "b", "a"], dtype="T"), np.array(["y", "x"], dtype="T"))
    assert [other.item_ids[row].tolist() for row in other.histories().to_lists()] == [
        [],
        ["x", "y"],
        ["y", "x", "x", "x"],
    ]
    with pytest.raises(DataError, match="mask has dtype int64"):
        x.select([1, 0, 1, 0, 1, 0])


@pytest.mark.parametrize("library", [pd, pl])
def test_events_come_from_frames_and_datetimes_order_them(library) -> None:
    at = [datetime(2020, 1, day) for day in (3, 1, 2)]
    frame = library.DataFrame({"who": ["a", "a", "a"], "what": [1, 2, 1], "when": at, "stars": [3, 4, 5]})
    x = Events.from_frame(frame, "who", "what", "when", "stars")
    assert x.values.tolist() == [4, 5, 3]
    assert x.item_ids[x.items].tolist() == [2, 1, 1]
    with pytest.raises(DataError, match="no column 'time'"):
        Events.from_frame(frame, "who", "what")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Events.from_arrays([1, 2], [3]), r"items has shape \(1,\), but \(2,\) is needed"),
        (lambda: Events.from_arrays([1], [3], ["soon"]), r"times\[0\] = 'soon'"),
        (lambda: Events.from_arrays([1], [3], [1], [np.inf]), r"values\[0\] = inf is not a finite"),
        (
            lambda: Events.from_arrays([1], [3], user_ids=[2]),
            r"users\[0\] = 1 is not one of the 1 known user",
        ),
        (lambda: Events.from_frame(3), "frame is int"),
    ],
)
def test_bad_events_are_refused_by_name(make, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


# Features


def items() -> Features:
    return Features.from_columns(
        ["x", "y", "z"],
        {
            "year": [1990, 2001, 1990],
            "vector": np.arange(6.0).reshape(3, 2),
            "maker": ["ann", "bob", "ann"],
            "genres": ["comedy|drama", "", "drama|comedy|drama"],
            "words": [[5, 3], [], [3, 3]],
            "place": [[0.5, 1.5], [2.5, 3.5], [0.0, 1.0]],
        },
        separators={"genres": "|"},
    )


def test_columns_become_what_they_look_like() -> None:
    x = items()
    assert isinstance(x["year"], Dense)
    assert x["year"].values.tolist() == [[1990], [2001], [1990]]
    assert x["vector"].values.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert x["place"].values.tolist() == [[0.5, 1.5], [2.5, 3.5], [0, 1]]
    assert x["vector"].values.dtype == np.float32
    assert isinstance(x["maker"], Codes)
    assert (x["maker"].codes.tolist(), x["maker"].vocabulary.tolist()) == ([0, 1, 0], ["ann", "bob"])
    assert x["maker"].codes.dtype == np.int32
    assert isinstance(x["genres"], Tokens)
    assert x["genres"].rows.to_lists() == [[0, 1], [], [1, 0, 1]]
    assert x["genres"].vocabulary.tolist() == ["comedy", "drama"]
    assert (x["words"].rows.to_lists(), x["words"].vocabulary.tolist()) == ([[1, 0], [], [0, 0]], [3, 5])
    assert repr(x).startswith("Features(3 rows, year: dense (1), vector: dense (2), maker: codes (2 words)")


def test_a_kind_may_be_chosen() -> None:
    columns = {"year": [1990, 2001], "text": ["a b", "b"]}
    x = Features.from_columns([1, 2], columns, {"year": "codes", "text": "tokens"})
    assert (x["year"].codes.tolist(), x["year"].vocabulary.tolist()) == ([0, 1], [1990, 2001])
    assert x["text"].rows.to_lists() == [[0, 1], [1]]
    x = Features.from_columns([1, 2], {"v": ["1|2.5", "3|4"]}, {"v": "dense"}, {"v": "|"})
    assert x["v"].values.tolist() == [[1, 2.5], [3, 4]]


def test_rows_are_aligned_and_missing_ones_are_an_error_or_filled_by_choice() -> None:
    x = items()
    turned = x.align(["z", "x"])
    assert turned.ids.tolist() == ["z", "x"]
    assert turned["maker"].codes.tolist() == [0, 0]
    assert turned["genres"].rows.to_lists() == [[1, 0, 1], [0, 1]]
    with pytest.raises(
        DataError, match=r"ids\[1\] = 'q' \(and 1 more\) has none of the 3 rows .*missing='fill'"
    ):
        x.align(["z", "q", "r"])
    filled = x.align(["q", "y"], missing="fill")
    assert filled["vector"].values.tolist() == [[0, 0], [2, 3]]
    assert filled["maker"].codes.tolist() == [-1, 1]
    assert filled["words"].rows.to_lists() == [[], []]
    assert filled.notes == ("1 of 2 ids have no row of features and are filled in",)
    with pytest.raises(DataError, match="ids are text, not integers"):
        x.align([1, 2])
    with pytest.raises(ConfigError, match="missing is 'drop'"):
        x.align(["x"], missing="drop")


@pytest.mark.parametrize("empty", [None, float("nan")])
def test_missing_values_are_an_error_or_filled_by_choice(empty) -> None:
    columns = {"year": [1.5, empty], "maker": ["ann", empty], "words": [["a"], empty]}
    for name, values in columns.items():
        with pytest.raises(DataError, match=rf"columns\['{name}'\]\[1\] is missing; .*missing='fill'"):
            Features.from_columns([1, 2], {name: values})
    x = Features.from_columns([1, 2], columns, missing="fill")
    assert x["year"].values.tolist() == [[1.5], [0]]
    assert x["maker"].codes.tolist() == [0, -1]
    assert x["words"].rows.to_lists() == [[0], []]


@pytest.mark.parametrize(
    ("columns", "more", "error", "message"),
    [
        ({"a": [1]}, {}, DataError, r"columns\['a'\] has 1 rows, but there are 2 ids"),
        (
            {"a": [1, "x"]},
            {},
            DataError,
            r"columns\['a'\]\[0\] is 1 \(int\); a column holds numbers, text or lists",
        ),
        ({"a": [None, None]}, {"missing": "fill"}, DataError, "column 'a' holds nothing"),
        ({"a": [1, 2]}, {"kinds": {"b": "codes"}}, ConfigError, "kinds names 'b'; the columns are 'a'"),
        (
            {"a": [1, 2]},
            {"kinds": {"a": "sparse"}},
            ConfigError,
            r"kinds\['a'\] = 'sparse'; it is one of 'dense'",
        ),
        (
            {"a": ["x", "y"]},
            {"kinds": {"a": "dense"}},
            DataError,
            r"\['a'\]\[0\] is 'x', but 1 number is needed",
        ),
        (
            {"a": [[1.0, 2.0], [1.0]]},
            {"kinds": {"a": "dense"}},
            DataError,
            r"\[1\] is \[1.0\], but 2 numbers are",
        ),
        (
            {"a": [1e300, 1]},
            {},
            DataError,
            r"columns\['a'\]\[0\] is \[1e\+300\], which is not finite in float32",
        ),
        (
            {"a": np.ones((2, 2))},
            {"kinds": {"a": "codes"}},
            DataError,
            r"shape \(2, 2\), which are no codes",
        ),
        ({"a": ["x", "y"]}, {"separators": {"a": ""}}, ConfigError, "it is the text between two tokens"),
        ({"a": ["x", "y"]}, {"kinds": {"a": "codes"}, "separators": {"a": "|"}}, ConfigError, "but kinds"),
        ({"a": np.ones(2)}, {"separators": {"a": "|"}}, ConfigError, "the column holds numbers, not text"),
        (
            {"a": [1, 2]},
            {"separators": {"a": "|"}},
            DataError,
            "is 1, but a list or a text of tokens is needed",
        ),
        ({"a": [1, 2]}, {"missing": "drop"}, ConfigError, "missing is 'drop'"),
        ({"a": [datetime.now(), datetime.now()]}, {}, DataError, r"\(datetime\); a column holds"),
        ({"a": [["x", 1], []]}, {}, DataError, "tokens of the column 'a'"),
    ],
)
def test_bad_columns_are_refused_by_name(columns, more, error, message: str) -> None:
    with pytest.raises(error, match=message):
        Features.from_columns([1, 2], columns, **more)


def test_ids_of_features_are_unique_and_columns_known() -> None:
    with pytest.raises(DataError, match=r"ids\[0\] = 1 is listed more than once"):
        Features.from_columns([1, 1], {})
    with pytest.raises(DataError, match="no column 'a'; there are none"):
        Features.from_columns([1], {})["a"]
    with pytest.raises(DataError, match=r"columns\['a'\] is list, but Dense"):
        Features(np.array([1]), {"a": [1]})


# Impressions


def impressions(**more) -> Impressions:
    return Impressions.from_lists(
        ["a", None, "b", "a"],
        [["x", "y"], ["y"], ["x", "z"], ["z", "x", "y"]],
        [[0, 1], [1], [0, 0], [True, False, True]],
        **more,
    )


def test_impressions_keep_their_order_and_count_those_of_one_class() -> None:
    x = impressions(times=[5, 6, 7, 8], histories=[["y", "x", "y"], [], ["z"], []])
    assert x.user_ids[x.users[[0, 2, 3]]].tolist() == ["a", "b", "a"]
    assert x.users[1] == -1
    shown = [x.item_ids[row].tolist() for row in x.candidates.to_lists()]
    assert shown == [["x", "y"], ["y"], ["x", "z"], ["z", "x", "y"]]
    assert [x.item_ids[row].tolist() for row in x.histories.to_lists()] == [["y", "x", "y"], [], ["z"], []]
    assert x.clicks.tolist() == [False, True, True, False, False, True, False, True]
    assert x.is_one_class.tolist() == [False, True, True, False]
    assert x.num_one_class == 2
    assert repr(x) == "Impressions(4 of 2 users, 8 candidates of 3 items, clicks, times, histories)"
    part = x.select(~x.is_one_class)
    assert part.times.tolist() == [5, 8]
    assert part.clicks.tolist() == [False, True, True, False, True]
    assert part.histories.lengths.tolist() == [3, 0]


def test_clicks_of_known_users_are_events() -> None:
    found = impressions(times=[5, 6, 7, 4]).clicked()
    assert found.times.tolist() == [4, 4, 5]
    assert [found.item_ids[row].tolist() for row in found.histories().to_lists()] == [["z", "y", "y"], []]


def test_impressions_without_clicks_have_no_classes() -> None:
    x = Impressions.from_lists([1], [[2, 3]], item_ids=[3, 2, 9])
    assert x.candidates.to_lists() == [[1, 0]]
    for use in (lambda: x.num_one_class, x.clicked):
        with pytest.raises(DataError, match="no clicks"):
            use()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Impressions.from_lists([1], [[1], [2]]), "candidates has 2 rows, but there are 1 users"),
        (lambda: Impressions.from_lists([1], [5]), r"candidates\[0\] is 5 \(int\), but a list"),
        (
            lambda: Impressions.from_lists([1], [[1]], [[0, 1]]),
            r"clicks\[0\] has 2 values, but candidates\[0\] has 1",
        ),
        (lambda: Impressions.from_lists([1], [[1]], [[2]]), r"clicks\[0\]\[0\] = 2; a click is 0 or 1"),
        (lambda: Impressions.from_lists([1], [[1]], [[0], [1]]), "clicks has 2 rows"),
        (lambda: Impressions.from_lists([1], [[1]], histories=[]), "histories has 0 rows"),
        (lambda: Impressions.from_lists([1], [[1]], times=[1, 2]), r"times has shape \(2,\)"),
        (
            lambda: Impressions.from_lists([1], [[4]], item_ids=[1]),
            r"candidates\[0\] = 4 is not one of the 1 known",
        ),
        (
            lambda: Impressions(
                np.array([3], np.int32), Ragged.from_lists([[0]], 1), np.array([1]), np.array([1])
            ),
            r"users\[0\] = \[3\] \(int32\); int32 numbers below 1",
        ),
        (
            lambda: Impressions(
                np.array([0], np.int32), Ragged.from_lists([[0]], 2), np.array([1]), np.array([1])
            ),
            "candidates counts 2 items, but there are 1 item_ids",
        ),
        (
            lambda: Impressions(np.array([0], np.int32), csr_array((1, 1)), np.array([1]), np.array([1])),
            "candidates is a csr_array",
        ),
    ],
)
def test_bad_impressions_are_refused_by_name(make, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


# Dataset


def test_a_dataset_is_made_of_whatever_fit_takes() -> None:
    x = events()
    merged = x.to_interactions()
    assert as_dataset(merged).interactions is merged
    whole = Dataset(merged, x, items=items().align(merged.item_ids))
    assert as_dataset(whole) is whole
    assert (whole.num_users, whole.num_items) == (2, 2)
    assert repr(whole).startswith("Dataset(Interactions(2 users, 2 items, 4 interactions, times), Events(")
    of_events = as_dataset(x)
    assert of_events.events is x
    assert len(of_events.interactions) == 4
    assert as_dataset(pd.DataFrame({"user": [1], "item": [2]})).events is None
    assert len(as_dataset(csr_array(np.eye(3))).interactions) == 3
    with pytest.raises(DataError, match="interactions are int"):
        as_dataset(3)


def test_a_dataset_cannot_be_changed_and_survives_pickling() -> None:
    x = events()
    whole = Dataset(x.to_interactions(), x, items=items().align(["x", "y"]), impressions=None)
    with pytest.raises(AttributeError):
        whole.events = None
    again = pickle.loads(pickle.dumps(whole))
    assert_array_equal(again.events.items, x.items)
    assert again.items["words"].rows.to_lists() == [[1, 0], []]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"interactions": 3}, "interactions is a int, but Interactions"),
        ({"events": 3}, "events is a int, but Events"),
        ({"items": {"year": [1]}}, "items is a dict, but Features"),
        (
            {"items": items()},
            r"items.ids has 3 items, the interactions have 2; items.align\(interactions.item_ids\)",
        ),
        ({"items": items().align(["y", "x"])}, r"items.ids\[0\] is 'y', the interactions have 'x' there"),
        (
            {"users": Features.from_columns([1, 2], {})},
            r"users.ids\[0\] is 1, the interactions have 'a' there",
        ),
        (
            {"events": Events.from_arrays(["a"], ["x"])},
            r"events.user_ids has 1 users, the interactions have 2",
        ),
        ({"impressions": impressions()}, "impressions.item_ids has 3 items, the interactions have 2"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(parts, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset(**{"interactions": events().to_interactions(), **parts})
