"""A uniform set beside a biased one: read with the same ids and rule, split, and checked for shared pairs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrec.data import (
    Dataset,
    Interactions,
    as_dataset,
    label,
    read_with_uniform,
    shared_pairs,
    split_uniform,
    synthetic,
)
from pyrec.errors import ConfigError, DataError

BIASED = "0,72,2\n0,136,4\n1,150,5\n2,72,1\n"
UNIFORM = "0,72,4\n1,9,2\n7,136,5\n2,72,3\n1,72,1\n"


def written(folder: Path, biased: str = BIASED, uniform: str = UNIFORM) -> tuple[Path, Path]:
    paths = folder / "user.txt", folder / "random.txt"
    for path, text in zip(paths, (biased, uniform), strict=True):
        path.write_text(text)
    return paths


def triples(x: Interactions, values: Any) -> list[tuple[int, int, float]]:
    return list(zip(x.user_ids[x.users].tolist(), x.item_ids[x.items].tolist(), values.tolist(), strict=True))


def pairs_of(count: int) -> Interactions:
    users, items = np.divmod(np.arange(count), 50)
    return Interactions.from_arrays(users, items, labels=(users + items) % 2)


def test_both_files_have_the_same_ids_and_labels_by_one_rule(tmp_path: Path) -> None:
    biased, uniform = read_with_uniform(*written(tmp_path), positive="rating>=4")
    for part in (biased, uniform):
        assert part.user_ids.tolist() == [0, 1, 2, 7]  # 7 is in the uniform file alone
        assert part.item_ids.tolist() == [9, 72, 136, 150]
    assert triples(biased, biased.labels) == [(0, 72, 0), (0, 136, 1), (1, 150, 1), (2, 72, 0)]
    assert triples(uniform, uniform.labels) == [(0, 72, 1), (1, 9, 0), (1, 72, 0), (2, 72, 0), (7, 136, 1)]
    assert biased.notes[0].startswith("user.txt: 2 of 4 ratings are below 4 and negatives")
    assert uniform.notes[0].startswith("random.txt: 3 of 5 ratings are below 4 and negatives")
    Dataset(biased, uniform=uniform)


def test_a_folder_of_the_two_is_enough(tmp_path: Path) -> None:
    two = read_with_uniform(*written(tmp_path))
    for one, other in zip(read_with_uniform(tmp_path), two, strict=True):
        assert triples(one, one.labels) == triples(other, other.labels)
    with pytest.raises(ConfigError, match=r"holds random.txt; give .*user.txt as data"):
        read_with_uniform(tmp_path, tmp_path / "random.txt")
    with pytest.raises(
        DataError, match=r"is no folder with user.txt and random.txt or train.ascii and test.ascii"
    ):
        read_with_uniform(tmp_path / "user.txt")


def test_shared_pairs_are_counted_dropped_or_refused(tmp_path: Path) -> None:
    paths = written(tmp_path)
    biased, kept = read_with_uniform(*paths)
    assert shared_pairs(kept, biased).tolist() == [True, False, False, True, False]
    assert shared_pairs(biased, kept).tolist() == [True, False, False, True]
    assert "2 of 5 uniform pairs are among the biased ones, too: a model may have learned" in kept.notes[-1]
    _, dropped = read_with_uniform(*paths, shared="drop")
    assert triples(dropped, dropped.ratings) == [(1, 9, 2), (1, 72, 1), (7, 136, 5)]
    assert (
        dropped.notes[-1]
        == "2 of 5 uniform pairs are among the biased ones, too; they are left out of the uniform set"
    )
    with pytest.raises(
        DataError, match=r"2 of 5 uniform pairs .*, such as user 0 and item 72; leave them out"
    ):
        read_with_uniform(*paths, shared="error")
    with pytest.raises(
        DataError, match=r"4 of 4 uniform pairs .* so none is left; are the two files the same"
    ):
        read_with_uniform(paths[0], paths[0], shared="drop")
    with pytest.raises(ConfigError, match="shared is 'warn'; it is one of 'keep', 'drop', 'error'"):
        read_with_uniform(*paths, shared="warn")  # type: ignore[arg-type]


def test_shared_pairs_of_other_id_maps() -> None:
    first = Interactions.from_arrays(["a", "b", "b"], [1, 2, 3])
    second = Interactions.from_arrays(["b", "c", "b"], [3, 1, 9])
    assert shared_pairs(first, second).tolist() == [False, False, True]
    assert shared_pairs(second, first).tolist() == [True, False, False]  # by user: b 3, b 9, c 1
    assert shared_pairs(first.select([False] * 3), second).tolist() == []
    assert shared_pairs(first, second.select([False] * 3)).tolist() == [False] * 3
    with pytest.raises(DataError, match=r"first.user_ids"):
        shared_pairs(first, Interactions.from_arrays([1], [1]))


def test_coat_shares_366_pairs(data_dir: Path) -> None:
    folder = data_dir / "coat"
    if not folder.is_dir():
        pytest.skip("coat is not there")
    biased, uniform = read_with_uniform(folder)
    assert (len(biased), len(uniform)) == (6960, 4640)
    assert (biased.labels.sum(), uniform.labels.sum()) == (1905, 860)
    assert shared_pairs(uniform, biased).sum() == 366
    assert len(read_with_uniform(folder, shared="drop")[1]) == 4640 - 366
    assert [len(part) for part in split_uniform(uniform)] == [232, 232, 4176]


def test_list_feedback_has_positions(data_dir: Path) -> None:
    folder = data_dir / "simulation"
    if not folder.is_dir():
        pytest.skip("the simulated lists are not there")
    biased, uniform = read_with_uniform(folder)
    assert (len(biased), len(uniform)) == (12500, 75000)
    assert np.bincount(biased.positions).tolist() == [500] * 25
    assert set(biased.ratings.tolist()) == {0, 5}
    assert uniform.positions is None
    assert (biased.labels.sum(), uniform.labels.sum()) == (7513, 37450)
    assert "user.txt: the columns have no names and are user, item, position and rating" in biased.notes


@pytest.mark.parametrize(
    ("rows", "has_positions"),
    [
        ("1,5,0,5\n1,6,1,0\n2,5,2,5\n", True),
        ("1,5,1,5\n1,6,2,0\n2,5,3,5\n", False),  # nothing is at the top
        ("1,5,0,5\n1,6,1,0\n2,5,1,5\n", False),  # two values are a label's
        ("1,5,0,881250949\n1,6,1,881250950\n2,5,2,881250951\n", False),
        ("1,5,0.5,5\n1,6,0,5\n2,5,2,1\n", False),
    ],
)
def test_four_columns_without_names(tmp_path: Path, rows: str, has_positions: bool) -> None:
    biased, _ = read_with_uniform(*written(tmp_path, rows, "1,5,4\n2,6,0\n"), positive=1)
    assert (biased.positions is not None) == has_positions
    assert (biased.times is None) == has_positions


def test_the_uniform_file_may_have_columns_of_its_own(tmp_path: Path) -> None:
    paths = written(tmp_path, "p,u,i,r\n3,1,5,4\n0,1,6,1\n", "1 5 2\n2 6 5\n")
    columns = {"user": "u", "item": "i", "position": "p", "rating": "r"}
    of_uniform = {"user": 1, "item": 2, "rating": 3}
    biased, uniform = read_with_uniform(*paths, columns=columns, uniform_columns=of_uniform)
    assert (biased.positions.tolist(), uniform.ratings.tolist()) == ([3, 0], [2, 5])


def test_columns_that_the_uniform_file_lacks_are_told_apart(tmp_path: Path) -> None:
    paths = written(tmp_path, "1,5,0,5\n1,6,1,0\n", "1,5,4\n2,6,0\n")
    columns = {"user": 1, "item": 2, "position": 3, "rating": 4}
    with pytest.raises(
        DataError, match=r"random.txt, .* there are columns 1 to 3; the columns are those of both files"
    ):
        read_with_uniform(*paths, columns=columns)
    own = {"user": 1, "item": 2, "rating": 3}
    assert read_with_uniform(*paths, columns=columns, uniform_columns=own)[1].ratings.tolist() == [4, 0]


@pytest.mark.parametrize(
    ("biased", "uniform", "rule"),
    [
        ("1,5,4\n1,6,1\n", "1,5,5\n", "rating>=4"),
        ("1,5,1\n1,6,0\n", "1,5,0\n1,6,1\n", "rating>=1"),
        ("1,5,1\n1,6,-1\n", "1,5,1\n", "rating>=1"),
        ("1,5,5\n1,6,0\n", "1,5,5\n", "rating>=5"),
        ("1,5,5\n1,6,0\n", "1,5,4\n", "rating>=4"),
        ("1,5,1\n1,6,1\n", "1,5,1\n2,5,0\n", "rating>=1"),
        ("user,item\n1,5\n1,6\n", "1,5,1\n2,5,0\n", "rating>=1"),
    ],
)
def test_the_rule_where_none_is_said(tmp_path: Path, biased: str, uniform: str, rule: str) -> None:
    _, pairs = read_with_uniform(*written(tmp_path, biased, uniform))
    assert (
        pairs.notes[0]
        == f"random.txt: which ratings are positive was not said: {rule}, and the others are negatives"
    )


def test_interactions_without_ratings_are_all_positive(tmp_path: Path) -> None:
    biased, _ = read_with_uniform(*written(tmp_path, "user,item\n1,5\n1,6\n", "1,5,1\n2,5,0\n"))
    assert biased.labels is None
    assert biased.signs.tolist() == [1, 1]
    assert "user.txt: there are no ratings, so each interaction is a positive" in biased.notes


@pytest.mark.parametrize(
    ("biased", "uniform", "message"),
    [
        (
            "1,5,80\n1,6,7\n",
            "1,5,99\n",
            r"user.txt and .*random.txt are 7 to 99; which are positive\? say it",
        ),
        ("1,5,3\n1,6,3\n", "1,5,3\n", "every rating of .* is 3, so nothing tells positives from negatives"),
        ("1,5,3\n", "user,item\n1,5\n", r"random.txt has no ratings, so it says nothing of what was liked"),
        (
            "1,5,5\n1,6,1\n",
            "1,5,1\n2,6,2\n",
            r"random.txt: no rating reaches positive = 'rating>=4'; the largest is 2",
        ),
        ("1,5,5\n2,5,1\n", "a,5,5\n", r"user ids of .*user.txt are integers, those of .*random.txt are text"),
    ],
)
def test_what_is_unclear_is_refused(tmp_path: Path, biased: str, uniform: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_with_uniform(*written(tmp_path, biased, uniform))


def test_a_malformed_rule_is_refused_before_a_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="positive is 'rating>>4'"):
        read_with_uniform(tmp_path / "absent", tmp_path / "absent", positive="rating>>4")


def test_the_parts_of_a_uniform_set_are_drawn_over_its_pairs() -> None:
    whole = pairs_of(1000)
    parts = split_uniform(whole, seed=3)
    assert parts._fields == ("train", "validation", "test")
    assert [len(part) for part in parts] == [50, 50, 900]
    assert sorted(row for part in parts for row in triples(part, part.labels)) == triples(whole, whole.labels)
    again, other = split_uniform(whole, seed=3), split_uniform(whole, seed=4)
    assert triples(parts.train, parts.train.labels) == triples(again.train, again.train.labels)
    assert triples(parts.train, parts.train.labels) != triples(other.train, other.train.labels)
    assert all(part.user_ids is whole.user_ids for part in parts)


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [
        ((0.05, 0.05, 0.9), [1, 1, 17]),
        ((0.5, 0.5, 0), [10, 9, 0]),
        ((0, 0, 1), [0, 0, 19]),
        ((0.1, 0, 0.9), [2, 0, 17]),
    ],
)
def test_shares_are_rounded(shares: tuple[float, float, float], sizes: list[int]) -> None:
    whole = pairs_of(19)
    assert [len(part) for part in split_uniform(whole, shares)] == sizes


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (
            (0.1, 0.1, 0.9),
            r"shares is \(0.1, 0.1, 0.9\), which sums to 1.1; the shares of all pairs sum to 1",
        ),
        ((5, 5, 90), "which sums to 100"),
        ((0.1, 0.9), "it is three numbers"),
        ("5/5/90", "it is three numbers"),
        ((-0.1, 0.2, 0.9), r"shares\[0\] = -0.1 must be at least 0"),
        ((float("nan"), 0.5, 0.5), r"shares\[0\]"),
        (("a", 0.5, 0.5), r"shares\[0\]"),
        (None, "it is three numbers"),
    ],
)
def test_malformed_shares_are_refused(shares: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_uniform(pairs_of(100), shares)


def test_what_is_no_uniform_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed"):
        split_uniform(pairs_of(100), seed=-1)
    with pytest.raises(DataError, match="uniform is list"):
        split_uniform([1])  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"the train part, 0.05 of 9 uniform pairs, is empty"):
        split_uniform(pairs_of(9))


def test_a_data_set_checks_its_uniform_pairs() -> None:
    x = synthetic(20, 20, 3)
    uniform = label(Interactions.from_arrays(x.user_ids, x.item_ids, ratings=[4, 1] * 10))
    told = Dataset(x, uniform=uniform.with_ids(x.user_ids, x.item_ids))
    assert repr(told) == f"Dataset({x!r}, uniform={told.uniform!r})"
    assert as_dataset(told) is told
    with pytest.raises(
        DataError, match=r"uniform.user_ids has 1 users, the interactions have 20; give both the same ids"
    ):
        Dataset(x, uniform=Interactions.from_arrays([1], [1], labels=[1]))
    with pytest.raises(DataError, match=r"uniform has no labels, so it says nothing .*pyrec.data.label"):
        Dataset(x, uniform=x)
    with pytest.raises(DataError, match="uniform is a list, but Interactions is needed"):
        Dataset(x, uniform=[1])  # type: ignore[arg-type]


def test_pairs_that_are_there() -> None:
    x = Interactions.from_arrays([0, 0, 1], [0, 2, 1])
    users, items = np.divmod(np.arange(6), 3)
    assert x.has_pairs(users, items).tolist() == [True, False, True, False, True, False]
    assert x.has_pairs(np.array([1, -1, 0, 2]), np.array([-1, 1, 3, 0])).tolist() == [False] * 4
