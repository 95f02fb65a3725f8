"""Ratings become labels by a rule that is said; the same rule as a least rating with negatives."""

from pathlib import Path

import numpy as np
import pytest

from pyrec import MF
from pyrec.data import (
    Interactions,
    as_interactions,
    label,
    load_data,
    load_training,
    read_interactions,
    read_pair,
)
from pyrec.data.labels import Rule
from pyrec.errors import ConfigError, DataError
from pyrec.train.loss import Pointwise

RATINGS = [5, 3.5, 4, 1, 4.5]


def rated(ratings: object = None) -> Interactions:
    return Interactions.from_arrays(
        [1, 1, 2, 2, 3], [1, 2, 1, 3, 3], ratings=RATINGS if ratings is None else ratings
    )


def written(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("rule", "labels"),
    [
        ("rating>=4", [1, 0, 1, 0, 1]),
        ("rating>4", [1, 0, 0, 0, 1]),
        (" rating >= 4.0 ", [1, 0, 1, 0, 1]),
        ("4", [1, 0, 1, 0, 1]),
        (4, [1, 0, 1, 0, 1]),
        (np.float32(4.5), [1, 0, 0, 0, 1]),
        ("rating>-1e3", [1, 1, 1, 1, 1]),
        ("rating>=.5e1", [1, 0, 0, 0, 0]),
    ],
)
def test_a_rule_makes_labels_and_keeps_everything(rule: object, labels: list[int]) -> None:
    x = label(rated(), rule)
    assert x.labels.tolist() == labels
    assert x.labels.dtype == np.float32
    assert x.ratings.tolist() == RATINGS
    positive = sum(labels)
    assert x.notes[-1].startswith(f"{5 - positive} of 5 ratings are ")
    assert x.notes[-1].endswith(f"; {positive} are positives")


def test_the_bound_is_compared_as_the_ratings_are() -> None:
    """0.1 in float32 is above 0.1 in float64."""
    x = rated([0.1, 0.2, 0.1, 0.3, 0.1])
    assert label(x, "rating>0.1").labels.tolist() == [0, 1, 0, 1, 0]
    assert label(x, "rating>=0.1").labels.tolist() == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("values", [(1, -1), (1, 0), (5, 0)])
def test_ratings_that_are_labels_already(values: tuple[int, int]) -> None:
    up, down = values
    assert label(rated([up, down, down, up, up]), "rating>0").labels.tolist() == [1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    "rule",
    [
        *("rating>>4", "rating>=x", "rating=>4", "rating=4", "rating<4", "rating>=", ">=4", "", "label>0"),
        *("rating>=4 5", "rating>=nan", "rating>=inf", "rating>=1e60", "rating>=1_0"),
        *(float("nan"), float("inf"), 1e60, True, None, [4]),
    ],
)
def test_a_malformed_rule_is_refused(rule: object) -> None:
    with pytest.raises(
        ConfigError, match=r"positive is .*; it is a rule such as 'rating>=4' or 'rating>4', or a number"
    ):
        Rule.of(rule)


def test_nothing_that_is_positive_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"the interactions: no rating reaches positive = 'rating>5'; the largest is 5"
    ):
        label(rated(), "rating>5")
    with pytest.raises(
        DataError, match="the interactions has no ratings to compare with positive = 'rating>=4'"
    ):
        label(Interactions.from_arrays([1], [2]))
    with pytest.raises(DataError, match="interactions is list"):
        label([1, 2])  # type: ignore[arg-type]


def test_a_rule_is_a_least_rating_with_negatives(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item,rating\n1,1,5\n1,2,3\n2,1,4\n2,3,1\n3,3,4.5\n")
    by_rule = read_interactions(path, positive="rating>=4")
    other = read_interactions(path, min_rating=4, dislikes="negatives")
    assert by_rule.labels.tolist() == other.labels.tolist() == [1, 0, 1, 0, 1]
    assert by_rule.notes == other.notes
    assert label(read_interactions(path), "rating>=4").labels.tolist() == [1, 0, 1, 0, 1]
    assert label(as_interactions({"user": [1], "item": [2], "rating": [4]})).labels.tolist() == [1]
    train, test = read_pair(path, path, positive=4)
    assert train.labels.tolist() == test.labels.tolist() == [1, 0, 1, 0, 1]
    _, train, test = load_data(path, split=0.6, positive="rating>=4")
    assert sorted([*train.labels, *test.labels]) == [0, 0, 1, 1, 1]
    assert load_training(path, split=0.6, positive="rating>=4")[1].labels.tolist() == train.labels.tolist()


@pytest.mark.parametrize(
    "given", [{"min_rating": 4}, {"dislikes": "negatives"}, {"min_rating": 4, "dislikes": "seen"}]
)
def test_two_ways_to_say_it_exclude_each_other(tmp_path: Path, given: dict[str, object]) -> None:
    path = written(tmp_path, "user,item,rating\n1,1,5\n1,2,3\n")
    for read in (read_interactions, load_data):
        with pytest.raises(
            ConfigError, match=r"positive is 'rating>=4' and .* but both say what the ratings mean"
        ):
            read(path, positive="rating>=4", **given)


def test_where_they_come_from_says_the_rule(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item,rating\n1,1,5\n1,2,3\n")
    read = read_interactions(path, positive="rating>3")
    assert read.origin["positive"] == "rating>3"
    assert label(read_interactions(path), "rating>3").origin == read.origin
    assert label(read, "rating>4").origin is None
    assert label(read_interactions(path, min_rating=1), "rating>4").origin is None


def test_signs_are_1_for_a_positive_and_minus_1_for_others() -> None:
    assert rated().signs.tolist() == [1] * 5
    assert label(rated()).signs.tolist() == [1, -1, 1, -1, 1]
    assert label(rated()).signs.dtype == rated().signs.dtype == np.float32
    told = Interactions.from_arrays([1, 1, 2], [1, 2, 3], labels=[-1, 0.5, 0], weights=[1, 0, 2])
    assert told.signs.tolist() == [-1, 1, -1]
    seen = Interactions.from_arrays([1, 1], [1, 2], weights=[0, 3])
    assert seen.signs.tolist() == [-1, 1]


def test_the_logistic_loss_takes_signs_as_labels() -> None:
    users, items = np.divmod(np.arange(30 * 20), 20)
    liked = users % 2 == items % 2
    kinds = []
    for labels in (np.where(liked, 1, 0), np.where(liked, 1, -1)):
        x = Interactions.from_arrays(users, items, labels=labels).select(items != users % 20)
        loss = Pointwise(kind="logistic", negatives="none")
        model = MF(loss=loss, embedding_size=4, epochs=3, batch_size=64, seed=1).fit(x)
        kinds.append((model.user_vectors_ @ model.item_vectors_.T).numpy())
    np.testing.assert_array_equal(*kinds)
    squared = Pointwise(kind="squared").labels(Interactions.from_arrays([1, 1], [1, 2], labels=[-1, 1]))
    assert squared.tolist() == [-1, 1]
    with pytest.raises(DataError, match=r"labels\[0\] = -1, but the logistic loss takes 0 to 1"):
        Pointwise().labels(Interactions.from_arrays([1, 1], [1, 2], labels=[-1, 0.5]))


def test_recboles_labels_are_ratings(tmp_path: Path) -> None:
    path = written(tmp_path, "user_id:token\titem_id:token\tlabel:float\n1\t5\t1\n1\t6\t0\n2\t5\t1\n")
    x = read_interactions(path, positive="rating>0")
    assert x.labels.tolist() == [1, 0, 1]
    assert read_interactions(path, columns={"rating": None}).ratings is None
    path.write_text("user_id:token\titem_id:token\tlabel:float\trating:float\n1\t5\t1\t4\n")
    assert read_interactions(path).ratings.tolist() == [4]
    path.write_text("user_id:token\titem_id:token\tlabel:float\n1\t5\t7\n")
    weighted = read_interactions(path, columns={"weight": "label:float"})
    assert (weighted.weights.tolist(), weighted.ratings) == ([7], None)
    path.write_text("user,item,label\n1,5,shoes\n2,6,hats\n")
    assert read_interactions(path).notes == ()
    path.write_text("user,item,label\n1,5,1\n2,6,0\n")
    note = "the column 'label' is not used; --columns rating=3 takes it as the rating"
    assert read_interactions(path).notes == (note,)
