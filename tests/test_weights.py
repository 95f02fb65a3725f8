"""Counts as weights: read from files and tables, added over repeats, made even, and used by the models."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from command_line import refuse, run
from scipy.sparse import csr_array

from pyrec import EASE, MF, SVD, Fusion, GraphFilter, ItemKNN, LightGCN, Popularity, evaluate
from pyrec.cli.sources import Source
from pyrec.data import (
    Interactions,
    as_interactions,
    load_data,
    load_training,
    read_events,
    read_interactions,
    split_random,
    synthetic,
    transform_weights,
)
from pyrec.errors import ConfigError, DataError, DataWarning
from pyrec.graph import Graph
from pyrec.train.loss import Pointwise

PLAYS = "user,artist,plays\n1,10,4\n1,11,1\n2,10,9\n3,12,2\n"
ROWS = [(1, 10, 4.0), (1, 11, 1.0), (2, 10, 9.0), (3, 12, 2.0)]


def rows(x: Interactions) -> list[tuple[int, int, float]]:
    ids = x.user_ids[x.users].tolist(), x.item_ids[x.items].tolist()
    return list(zip(*ids, x.weights.tolist(), strict=True))


@pytest.fixture
def write(tmp_path):
    def written(content: str, name: str = "plays.csv"):
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return written


# Read


@pytest.mark.parametrize(
    "name",
    [
        "weight",
        "Weights",
        "count",
        "plays",
        "play_count",
        "playCount",
        "listen-count",
        "quantity",
        "qty",
        "weight:float",
    ],
)
def test_a_column_is_the_weight_by_its_name(write, name):
    x = read_interactions(write(PLAYS.replace("plays", name)))
    assert rows(x) == ROWS
    assert x.ratings is None
    assert x.weights.dtype == np.float32


def test_every_format_has_weights(write, tmp_path):
    frame = pd.DataFrame(ROWS, columns=["user", "artist", "plays"])
    tab = write(
        PLAYS.replace(",", "\t").replace("user", "user_id:token").replace("plays", "weight:float"), "a.inter"
    )
    blanks = write(PLAYS.replace(",", " "), "blanks.txt")
    quoted = write(
        'user,artist,plays\n"1","10","4"\n"1","11","1"\n"2","10","9"\n"3","12","2"\n', "quoted.csv"
    )
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(PLAYS.encode()))
    parquet = tmp_path / "plays.parquet"
    frame.to_parquet(parquet)
    for path in (tab, blanks, quoted, packed, parquet):
        assert rows(read_interactions(path)) == ROWS, path
    for table in (
        frame,
        pa.Table.from_pandas(frame),
        frame.to_dict("list"),
        frame.set_index(["user", "artist"])["plays"],
    ):
        assert rows(as_interactions(table)) == ROWS
    assert rows(Interactions.from_frame(frame, item="artist", weight="plays")) == ROWS
    assert Interactions.from_frame(frame, item="artist").weights is None
    events = read_events(write("user,item,time,plays\n1,10,5,3\n1,10,6,1\n"))
    assert events.weights.tolist() == [3, 1]
    assert rows(events.to_interactions()) == [(1, 10, 4.0)]


def test_ratings_times_and_weights_side_by_side(write):
    x = read_interactions(write("plays,user,rating,item,time\n7,1,3.5,2,99\n0,2,1,2,98\n"))
    assert (x.weights.tolist(), x.ratings.tolist(), x.times.tolist()) == ([7, 0], [3.5, 1], [99, 98])


def test_the_caller_chooses_the_column(write):
    path = write("user,item,stuff,plays\n1,2,5,7\n2,2,6,8\n")
    assert read_interactions(path, columns={"weight": "stuff"}).weights.tolist() == [5, 6]
    assert read_interactions(path, columns={"weight": 3}).weights.tolist() == [5, 6]
    left_out = read_interactions(path, columns={"weight": None})
    assert (left_out.weights, left_out.ratings) == (None, None)
    as_rating = read_interactions(path, columns={"rating": "plays"})
    assert (as_rating.ratings.tolist(), as_rating.weights) == ([7, 8], None)
    assert read_interactions(path, min_rating=8, columns={"rating": "plays"}).item_ids.tolist() == [2]
    bare = write("1,2,5,9\n2,2,6,8\n", "bare.csv")
    assert read_interactions(bare, columns={"user": 1, "item": 2, "weight": 3}).weights.tolist() == [5, 6]
    assert read_interactions(bare).weights is None  # by position: user, item, rating, time


def test_a_decimal_comma(write):
    x = read_interactions(write("user;item;weight\n1;2;0,5\n1;3;2,25\n"))
    assert x.weights.tolist() == [0.5, 2.25]
    assert "weights have a decimal comma" in x.notes


def test_weights_of_equal_pairs_are_added(write):
    x = read_interactions(write(PLAYS + "1,10,3\n1,10,0.5\n"))
    assert rows(x) == [(1, 10, 7.5), *ROWS[1:]]
    assert "the last one counts, with the sum of their weights" in x.notes[-1]
    timed = Interactions.from_arrays([1, 1], [2, 2], ratings=[5, 1], times=[9, 3], weights=[2, 3])
    assert (timed.ratings.tolist(), timed.weights.tolist()) == ([5], [5])  # the rating is the latest one


def test_a_sum_beyond_float32_is_refused():
    with pytest.raises(DataError, match=r"the weights of one user and item sum to 6e\+38, beyond float32"):
        Interactions.from_arrays([1, 1], [2, 2], weights=[3e38, 3e38])


def test_values_of_a_matrix():
    counts = csr_array(np.array([[3, 0, 1], [0, 2, 0]]))
    x = Interactions.from_csr(counts, values="weights")
    assert (x.weights.tolist(), x.ratings) == ([3, 1, 2], None)
    assert (x.to_csr(weighted=True) != counts).nnz == 0
    assert x.to_csr().data.tolist() == [1, 1, 1]
    assert Interactions.from_csr(counts).ratings.tolist() == [3, 1, 2]
    with pytest.raises(ConfigError, match="values is 'counts'; it is 'ratings' or 'weights'"):
        Interactions.from_csr(counts, values="counts")
    with pytest.raises(DataError, match=r"user_items.data\[1\] = -1.0 is below 0; a weight is 0 or more"):
        Interactions.from_csr(csr_array(np.array([[3, -1]])), values="weights")


BAD = {
    "-1": "line 3: the weight '-1' is below 0; a weight is 0 or more: correct the line, or leave the column out",
    "-0.5": "the weight '-0.5' is below 0",
    "nan": "line 3: the weight 'nan' is not a finite number; correct the line, or leave the column out",
    "inf": "the weight 'inf' is not a finite number",
    "1e39": "the weight '1e39' is not a finite number",
    "many": "the weight 'many' is not a finite number",
    "": "the weight '' is not a finite number",
    "1;5": "the weight '1;5' is not a finite number",
}


@pytest.mark.parametrize("text", BAD)
def test_a_malformed_weight_is_named_with_its_line(write, text):
    with pytest.raises(DataError, match=r"plays\.csv, ") as refused:
        read_interactions(write(f"user,item,plays\n1,2,3\n1,3,{text}\n1,4,5\n"))
    assert BAD[text] in str(refused.value)
    assert "--columns weight= (in Python columns={'weight': None})" in str(refused.value)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_malformed_weight_of_a_table_is_named(value, tmp_path):
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 1], "plays": [1.0, value]})
    with pytest.raises(DataError, match=r"column 'plays'.*row 1|column 'plays'\[1\] = "):
        as_interactions(frame)
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x.parquet: .*column 'plays'"):
        read_interactions(tmp_path / "x.parquet")


def test_minus_zero_is_zero(write):
    assert read_interactions(write("user,item,plays\n1,2,-0\n1,3,1\n")).weights.tolist() == [0, 1]


# What is not used is told


def test_two_columns_that_may_be_the_weight(write, tmp_path):
    path = write("user,item,plays,count\n1,2,3,4\n2,2,5,6\n")
    told = "the columns 'plays' and 'count' may be the weight, so none is used; --columns weight=3 takes one"
    x = read_interactions(path)
    assert x.weights is None
    assert told in x.notes
    pd.read_csv(path).to_parquet(tmp_path / "x.parquet")
    assert told in read_interactions(tmp_path / "x.parquet").notes
    chosen = read_interactions(path, columns={"weight": "count"})
    assert (chosen.weights.tolist(), chosen.notes) == ([4, 6], ())


@pytest.mark.parametrize("name", ["total_plays", "numListens", "view_count_30d", "Clicks"])
def test_a_column_named_like_counts_is_told(write, name):
    x = read_interactions(write(f"user,item,{name}\n1,2,3\n2,2,5\n"))
    assert x.notes == (f"the column {name!r} is not used; --columns weight=3 takes it as the weight",)
    assert read_interactions(write(f"user,item,{name}\n1,2,a\n2,2,5\n")).notes == ()


def test_ratings_that_look_like_counts_are_told(write):
    told = "the ratings are whole numbers up to 1,200, as counts are; --columns weight=... takes their column as the"
    path = write("user,item,value\n1,2,3\n2,2,1200\n")
    assert read_interactions(path).notes[0].startswith(told)
    assert read_interactions(path, columns={"rating": "value"}).notes == ()
    assert read_interactions(path, columns={"weight": "value"}).weights.tolist() == [3, 1200]
    for value in ("100", "1200.5", "-1200"):
        assert read_interactions(write(f"user,item,value\n1,2,3\n2,2,{value}\n")).notes == ()


def test_train_says_what_does_not_count(write, capsys):
    lines = "".join(
        f"{u},{i},{1 + (u * i) % 5},{1e9 + 86400 * (u + i):.0f}\n" for u in range(12) for i in range(9)
    )
    path = write("user,item,rating,time\n" + lines)
    model = ("--model", "itemknn")
    ratings = "note: ratings, 1 to 5, do not count: each is a like; --min-rating X leaves those below X out"
    times = "note: times do not count; --split time tests on the latest interactions"
    told = run(capsys, "train", path, *model)[1].splitlines()
    assert ratings in told
    assert times in told
    told = run(capsys, "train", path, *model, "--min-rating", "2", "--split", "time")[1].splitlines()
    assert not {ratings, times} & set(told)
    assert "note: the split is by time; the training part ends at 2001-09-23T01:46:40Z" in told
    assert any(" ratings are below 2 and left out" in line for line in told)


@pytest.mark.parametrize("name", ["country", "playlist_id", "discount", "review", "account"])
def test_other_columns_are_none(write, name):
    assert read_interactions(write(f"user,item,{name}\n1,2,3\n2,2,5\n")).notes == ()


# Made even


def plays(weights: Any = (4, 1, 9, 2)) -> Interactions:
    return Interactions.from_arrays([1, 1, 2, 3], [10, 11, 10, 12], weights=list(weights))


def test_the_transforms_by_hand():
    logs = np.array([1.6094379, 0.6931472, 2.3025851, 1.0986123])  # log 5, log 2, log 10, log 3
    np.testing.assert_allclose(transform_weights(plays()).weights, logs / 1.4259456, rtol=1e-6)
    np.testing.assert_allclose(
        transform_weights(plays(), "cap:4").weights, np.array([4, 1, 4, 2]) / 2.75, rtol=1e-6
    )
    assert transform_weights(plays(), "none").weights.tolist() == [4, 1, 9, 2]
    # 3 items; user 1 has two of them, the others one: idf = log(1 + 1.5 / 2.5) and log(1 + 2.5 / 1.5).
    # Lengths 13, 1 and 2, mean 16/3: k1 (1 - b + b L / mean) = 2.49375, .46875 and .6375.
    idf = np.array([0.4700036, 0.4700036, 0.9808293, 0.9808293])
    grown = np.array([4 * 2.2 / 6.49375, 1 * 2.2 / 1.46875, 9 * 2.2 / 11.49375, 2 * 2.2 / 2.6375])
    np.testing.assert_allclose(
        transform_weights(plays(), "bm25").weights, idf * grown / (idf * grown).mean(), rtol=1e-6
    )


@pytest.mark.parametrize("how", ["log1p", "bm25", "cap:2.5"])
def test_the_mean_is_1_and_scale_is_kept_in_order(how):
    x = plays([400, 1, 900, 0])
    made = transform_weights(x, how)
    assert made.weights[:3].mean() == pytest.approx(1)
    assert made.weights.dtype == np.float32
    assert made.weights[3] == 0
    assert made.weights[0] >= made.weights[1]
    assert x.weights.tolist() == [400, 1, 900, 0]
    assert made.notes[-1].startswith(
        f"the weights are 0 to 900; by {how}, divided by the mean, they count 0 to "
    )


@pytest.mark.parametrize("how", ["log1p", "cap:3", "none"])
def test_equal_weights_of_1_are_none(how):
    made = transform_weights(plays([1, 1, 1, 1]), how)
    assert made.weights.tolist() == [1, 1, 1, 1]
    assert made.effective_weights is None


@pytest.mark.parametrize(
    "how", ["log", "cap", "cap:", "cap:0", "cap:-1", "cap:nan", "cap:inf", "cap:x", "bm25:2", 3, None]
)
def test_another_transform_is_refused(how):
    with pytest.raises(
        ConfigError, match=r"weights is .*; it is one of log1p, bm25, cap:N with a number N above 0, or none"
    ):
        transform_weights(plays(), how)


def test_nothing_to_transform_is_refused():
    with pytest.raises(
        DataError, match="weights is 'bm25', but the interactions have no weights; choose their column"
    ):
        transform_weights(synthetic(), "bm25")
    with pytest.raises(DataError, match="the weights of all 4 interactions are 0"):
        transform_weights(plays([0, 0, 0, 0]))


# What the commands train on


def log(write, more: str = ""):
    generator = np.random.default_rng(3)
    lines = [
        f"{u},{i},{generator.integers(1, 300)}" for u in range(20) for i in generator.permutation(12)[:6]
    ]
    return write("user,item,plays\n" + "\n".join(lines) + more + "\n", "log.csv")


def test_the_training_part_alone_is_transformed(write):
    path = log(write)
    whole = read_interactions(path)
    name, train, test = load_data(path, weights="bm25", seed=4)
    assert name == "log"
    raw = load_data(path, weights="none", seed=4)
    np.testing.assert_array_equal(train.weights, transform_weights(raw.train, "bm25").weights)
    assert set(test.weights.tolist()) <= set(whole.weights.tolist())
    np.testing.assert_array_equal(load_training(path, weights="bm25", seed=4)[1].weights, train.weights)
    by_default = load_data(path, seed=4).train
    np.testing.assert_array_equal(by_default.weights, transform_weights(raw.train, "log1p").weights)
    assert load_data(path, columns={"weight": None}).train.weights is None


def test_a_saved_run_knows_how_its_weights_were_made(write, tmp_path):
    train, _ = split_random(read_interactions(log(write)), 0.8, seed=0)
    made = transform_weights(train, "bm25")
    assert made.origin["weights"] == "bm25"
    np.testing.assert_array_equal(Source.from_json(made.origin, "x").load().train.weights, made.weights)
    assert transform_weights(made, "cap:1").origin is None


def test_a_transform_of_no_weights_is_refused(write, tmp_path):
    with pytest.raises(DataError, match="weights is 'log1p', but the interactions have no weights"):
        load_data(weights="log1p")
    with pytest.raises(ConfigError, match="weights is 'cap:0'"):
        load_data(tmp_path / "absent", weights="cap:0")


def test_train_and_evaluate_by_weights(write, tmp_path, capsys):
    path, out = log(write), tmp_path / "run"
    _, told = run(capsys, "train", path, "--model", "ease", "--weights", "cap:50", "--out", out)
    assert "note: the weights are 1 to 296; by cap:50, divided by the mean, they count " in told
    kept = json.loads((out / "config.json").read_text())["run"]["data"]
    assert kept["weights"] == "cap:50"
    assert json.loads(run(capsys, "evaluate", out, "--json")[0])
    older = {name: value for name, value in kept.items() if name != "weights"}
    assert Source.from_json(older, "x").weights is None
    assert Source.from_json(kept, "x").arguments()[-2:] == ["--weights", "cap:50"]
    refused = refuse(capsys, "train", path, "--model", "ease", "--weights", "cap:no")
    assert "weights is 'cap:no'; it is one of log1p" in refused


# The models


def weighted(seed: int = 0) -> Interactions:
    x = synthetic(40, 25, interactions_per_user=7, num_groups=3)
    weights = np.random.default_rng(seed).gamma(1.0, 2.0, len(x)).astype(np.float32)
    return Interactions.from_codes(x.users, x.items, x.user_ids, x.item_ids, weights=weights)


def without(x: Interactions, weight: float | None = None) -> Interactions:
    weights = None if weight is None else np.full(len(x), weight, np.float32)
    return Interactions.from_codes(x.users, x.items, x.user_ids, x.item_ids, weights=weights)


MODELS = [
    lambda: GraphFilter(vectors=4),
    lambda: EASE(3.0),
    lambda: SVD(8),
    lambda: ItemKNN(5, 1.0),
    lambda: Fusion(SVD(8), EASE(3.0), weight=0.4),
    lambda: EASE(3.0, neighbors=5),
]


def test_ease_is_least_squares_of_the_weights():
    """Each column of B is a ridge regression of the item's weights on those of the other items."""
    x = weighted()
    model = EASE(reg=3.0).fit(x)
    dense = x.to_csr(weighted=True).toarray().astype(np.float64)
    for item in range(x.num_items):
        others = np.delete(np.arange(x.num_items), item)
        rest = dense[:, others]
        expected = np.linalg.solve(rest.T @ rest + 3.0 * np.eye(len(others)), rest.T @ dense[:, item])
        np.testing.assert_allclose(model.weights_[others, item], expected, rtol=1e-4, atol=1e-5)


def test_scores_of_known_users_are_of_their_weights_and_new_users_count_1():
    x = weighted()
    dense, ones = x.to_csr(weighted=True).toarray(), x.to_csr().toarray()
    histories = [x.item_ids[row > 0] for row in ones]
    for model in (EASE(reg=3.0).fit(x), SVD(8).fit(x), ItemKNN(9, 2.0).fit(x)):
        if isinstance(model, SVD):
            matrix = model.item_factors_ @ model.item_factors_.T
        else:
            matrix = model.weights_ if isinstance(model, EASE) else model.weights_.toarray()
        for rows_of, (ids, scores) in (
            (dense, model.recommend(x.user_ids, n=25, filter_seen=False)),
            (ones, model.recommend_for_items(histories, n=25, filter_seen=False)),
        ):
            found = np.zeros_like(dense)
            np.put_along_axis(found, x.encode_items(ids.ravel()).reshape(ids.shape), scores, axis=1)
            np.testing.assert_allclose(found, rows_of @ matrix, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [*MODELS, Popularity])
def test_weights_of_1_are_none_to_the_bit(make, tmp_path):
    x = weighted()
    plain, equal = (make().fit(without(x, weight)) for weight in (None, 1.0))
    for name, array in plain._state().items():
        np.testing.assert_array_equal(equal._state()[name], array)
    for one, other in zip(plain.recommend(x.user_ids), equal.recommend(x.user_ids), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", MODELS)
def test_a_saved_model_scores_by_the_weights(make, tmp_path):
    x = weighted()
    model = make().fit(x)
    model.save(tmp_path / "m")
    loaded = type(model).load(tmp_path / "m")
    for one, other in zip(model.recommend(x.user_ids), loaded.recommend(x.user_ids), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", MODELS)
def test_a_pair_of_weight_0_teaches_nothing_and_is_seen(make):
    x = weighted()
    weights = x.weights.copy()
    weights[::5] = 0
    zeros = Interactions.from_codes(x.users, x.items, x.user_ids, x.item_ids, weights=weights)
    fewer = zeros.select(weights > 0)
    one, other = make().fit(zeros), make().fit(fewer)
    for name, array in one._state().items():
        np.testing.assert_allclose(other._state()[name], array, rtol=1e-5, atol=1e-6)
    ids, scores = one.recommend(zeros.user_ids, n=25)
    for user in range(zeros.num_users):
        seen = zeros.item_ids[zeros.items[zeros.users == user]]
        assert not set(seen.tolist()) & set(ids[user][np.isfinite(scores[user])].tolist())


def test_item_knn_is_the_cosine_of_weights():
    x = weighted()
    dense = x.to_csr(weighted=True).toarray().astype(np.float64)
    lengths = np.sqrt((dense**2).sum(axis=0))
    cosines = dense.T @ dense / (np.outer(lengths, lengths) + 2.0)
    np.fill_diagonal(cosines, 0)
    np.testing.assert_allclose(ItemKNN(24, 2.0).fit(x).weights_.toarray(), cosines, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("make", [*MODELS, Popularity, lambda: MF(epochs=1)])
def test_weights_of_0_alone_are_refused(make):
    with pytest.raises(
        DataError, match=r"the weights of all [0-9]+ interactions are 0: there is nothing to learn from"
    ):
        make().fit(without(weighted(), 0.0))


def test_explained_parts_count_by_the_weights_and_sum_to_the_score():
    x = weighted()
    for make in MODELS:
        model = make().fit(x)
        if isinstance(model, Fusion):  # of standard scores, which other rows divide by another deviation
            continue
        known = model.explain(int(x.user_ids[3]))
        assert sum(part.value for part in known.parts) == pytest.approx(known.score, rel=1e-4)
        new = model.explain_for_items(known.history, known.item)
        assert sum(part.value for part in new.parts) == pytest.approx(new.score, rel=1e-4)
        mine = {i: w for u, i, w in rows(x) if u == x.user_ids[3]}
        plain = {part.item: part.value for part in new.parts}
        for part in known.parts:
            assert part.value == pytest.approx(plain[part.item] * mine[part.item], rel=1e-4)


# Dislikes

RATED = "user,item,rating\n1,10,5\n1,11,1\n1,12,4\n2,10,2\n2,12,5\n3,11,4\n3,12,1\n4,10,5\n4,11,4\n"


def test_dislikes_are_left_out_or_seen_or_negatives(write):
    path = write(RATED)
    below = "3 of 9 ratings are below 4 and "
    for how in (None, "drop"):
        dropped = read_interactions(path, min_rating=4, dislikes=how)
        assert (len(dropped), dropped.weights, dropped.labels) == (6, None, None)
        assert dropped.notes == (below + "left out",)
    seen = read_interactions(path, min_rating=4, dislikes="seen")
    assert seen.weights.tolist() == [1, 0, 1, 0, 1, 1, 0, 1, 1]
    assert seen.notes == (below + "seen: not recommended, and nothing is learned from them",)
    negatives = read_interactions(path, min_rating=4, dislikes="negatives")
    assert (negatives.labels.tolist(), negatives.weights) == ([1, 0, 1, 0, 1, 1, 0, 1, 1], None)
    assert negatives.notes == (
        below + "negatives: not recommended, and labels of 0 for a pointwise loss; 6 are positives",
    )
    for x in (seen, negatives):
        assert x.popularity.tolist() == [2, 2, 2]
        assert x.activity.tolist() == [2, 1, 1, 2]
        assert x.preferences.tolist() == [1, 0, 1, 0, 1, 1, 0, 1, 1]
        assert len(x) == 9


def test_a_count_of_a_dislike_does_not_count(write):
    x = read_interactions(write("user,item,rating,plays\n1,2,5,7\n1,3,1,9\n"), min_rating=3, dislikes="seen")
    assert x.weights.tolist() == [7, 0]


@pytest.mark.parametrize("dislikes", ["seen", "negatives"])
def test_models_never_take_dislikes_for_likes_nor_recommend_them(write, dislikes):
    rng = np.random.default_rng(8)
    lines = [f"{u},{i},{rng.integers(1, 6)}" for u in range(30) for i in rng.permutation(15)[:7]]
    path = write("user,item,rating\n" + "\n".join(lines) + "\n")
    likes = read_interactions(path, min_rating=4)
    both = read_interactions(path, min_rating=4, dislikes=dislikes)
    assert (likes.num_users, likes.num_items) == (both.num_users, both.num_items)
    for make in [*MODELS[:3], Popularity]:
        one, other = make().fit(likes), make().fit(both)
        for name, array in one._state().items():
            np.testing.assert_allclose(other._state()[name], array, rtol=1e-5, atol=1e-6)
        ids = other.recommend(both.user_ids, n=15).ids
        assert not any(set(both.items[both.users == u].tolist()) & set(ids[u].tolist()) for u in range(30))
    pointwise = MF(loss="pointwise", epochs=3, embedding_size=8).fit(both)
    ids = pointwise.recommend(both.user_ids, n=15).ids
    assert not any(set(both.items[both.users == u].tolist()) & set(ids[u].tolist()) for u in range(30))


def test_a_graph_has_no_edges_of_dislikes(write):
    path = write(RATED)
    edges = Graph.of_positives(read_interactions(path, min_rating=4))
    for dislikes in ("seen", "negatives"):
        x = read_interactions(path, min_rating=4, dislikes=dislikes)
        graph = Graph.of_positives(x)
        assert torch.equal(graph.indptr, edges.indptr)
        assert torch.equal(graph.indices, edges.indices)
        model = LightGCN(embedding_size=4, epochs=1, loss="pointwise", combine="mean").fit(x)
        assert model._graph.num_edges == edges.num_edges


def test_negatives_push_pairs_down():
    """Everybody likes one half of the items and dislikes another: with labels the scores of the two part further."""
    users, items = np.repeat(np.arange(40), 20), np.tile(np.arange(20), 40)
    keep = np.random.default_rng(0).random(800) < 0.5
    labels = (items % 2 == 0).astype(np.float32)
    x = Interactions.from_arrays(users[keep], items[keep], labels=labels[keep])
    loss = Pointwise(negatives="none")
    model = MF(loss=loss, epochs=20, embedding_size=8, learning_rate=0.05).fit(x)
    scores = model.user_vectors_ @ model.item_vectors_.T
    assert scores[:, ::2].mean() > scores[:, 1::2].mean() + 1
    with pytest.raises(DataError, match="interactions have labels, which the loss 'softmax' does not read"):
        MF().fit(x)


def test_popularity_says_that_weights_do_not_count(write, capsys):
    path = write(PLAYS)
    told = "note: popularity takes no account of the weights: it counts interactions"
    assert told in run(capsys, "train", path, "--all", "--model", "popularity")[1].splitlines()
    assert told not in run(capsys, "train", path, "--all", "--model", "itemknn")[1].splitlines()


def test_dislikes_of_the_test_part_are_not_to_be_found():
    train = Interactions.from_arrays([1, 2, 2], [10, 10, 11], user_ids=[1, 2], item_ids=[10, 11, 12])
    model = Popularity().fit(train)
    for more in ({"weights": [0, 1]}, {"labels": [0, 1]}):
        test = Interactions.from_arrays([1, 2], [12, 12], user_ids=[1, 2], item_ids=[10, 11, 12], **more)
        found = evaluate(model, test, 1)
        assert found.users.tolist() == [2]
        assert model.score(test) == model.score(test.positives())
    nothing = Interactions.from_arrays([1], [11], user_ids=[1, 2], item_ids=[10, 11, 12], weights=[0])
    with pytest.raises(DataError, match="test is empty"):
        evaluate(model, nothing, 1)


def test_dislikes_on_the_command_line(write, tmp_path, capsys):
    path = write(
        "user,item,rating\n" + "".join(f"{u},{i},{1 + (u * i) % 5}\n" for u in range(20) for i in range(9))
    )
    given = ("--min-rating", "3", "--dislikes", "seen", "--model", "itemknn")
    _, told = run(capsys, "train", path, *given, "--k", "3", "--out", tmp_path / "run")
    assert "ratings are below 3 and seen: not recommended, and nothing is learned from them" in told
    assert "by log1p" not in told
    assert json.loads((tmp_path / "run" / "config.json").read_text())["run"]["data"]["dislikes"] == "seen"
    again = json.loads(run(capsys, "evaluate", tmp_path / "run", "--k", "3", "--json")[0])
    kept = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert again["precision@3"] == kept["precision@3"]  # dislikes are not to be found, here and there
    refused = refuse(capsys, "train", path, "--dislikes", "seen", "--model", "itemknn")
    assert refused == "dislikes is 'seen', but there is no min_rating that tells them; give one, such as 4"


def test_who_has_dislikes_alone_is_cold():
    """User 1 has one disliked item in training, user 2 two liked ones; both like one item of the test."""
    ids = {"user_ids": [1, 2, 3], "item_ids": [10, 11, 12, 13]}
    train = Interactions.from_arrays([1, 2, 2, 3], [10, 11, 12, 12], weights=[0, 1, 1, 1], **ids)
    test = Interactions.from_arrays([1, 2, 3], [11, 10, 13], weights=[1, 1, 0], **ids)
    found = evaluate(ItemKNN().fit(train), test, 2)
    assert found.is_warm.tolist() == [False, True]
    assert (found.num_users, found.num_cold_users, found.num_fallback_lists) == (2, 1, 1)
    counts = found.counts
    assert (counts.num_interactions, counts.num_cold_items, counts.num_cold_interactions) == (2, 1, 1)


@pytest.mark.parametrize("model", [ItemKNN(), EASE(3.0), SVD(2), MF(epochs=1), LightGCN(epochs=1)])
def test_dislikes_explain_nothing(model):
    ids = {"user_ids": [1, 2, 3, 4], "item_ids": [10, 11, 12, 13]}
    users, items = [1, 1, 1, 2, 2, 3, 3, 4], [10, 11, 12, 10, 13, 11, 13, 12]
    data = Interactions.from_arrays(users, items, weights=[1, 1, 0, 1, 1, 1, 1, 0], **ids)
    model = model.fit(data)
    why = model.explain(1)
    assert why.history == (10, 11)
    assert sorted(part.item for part in why.parts) == [10, 11]
    assert model.explain(1, 12).seen
    assert "there is no history to go by" in model.explain(4).summary()


@pytest.mark.parametrize("model", [MF(epochs=2), LightGCN(epochs=2)])
def test_new_users_know_nothing_of_who_has_dislikes_alone(model):
    ids = {"user_ids": [1, 2, 3, 4], "item_ids": [10, 11, 12, 13]}
    users, items = [1, 1, 2, 2, 3, 3, 4], [10, 11, 10, 13, 11, 13, 12]
    data = Interactions.from_arrays(users, items, weights=[1, 1, 1, 1, 1, 1, 0], **ids)
    found = [model.fit(some).recommend_for_items([[10]], 3) for some in (data, data.positives())]
    assert np.array_equal(*(lists.ids for lists in found))
    assert np.array_equal(*(lists.scores for lists in found))


def test_a_report_leaves_out_dislikes(write, tmp_path, capsys):
    """Users 0 to 2 like nothing, so they are not measured on."""
    pytest.importorskip("matplotlib")
    lines = "".join(f"{u},{i},{1 if u < 3 else 1 + (u * i) % 5}\n" for u in range(20) for i in range(9))
    given = ("--min-rating", "3", "--dislikes", "seen", "--model", "itemknn", "--k", "3", "--report")
    page = tmp_path / "report.html"
    run(capsys, "train", write("user,item,rating\n" + lines), *given, page, "--users", "0,5")
    assert "User 0" in page.read_text(encoding="utf-8")


def test_bad_dislikes_are_refused(write):
    path = write(RATED)
    with pytest.raises(ConfigError, match="dislikes is 'hate'; it is one of 'drop', 'seen', 'negatives'"):
        read_interactions(path, min_rating=4, dislikes="hate")
    with pytest.raises(ConfigError, match="there is no min_rating that tells them"):
        load_data(dislikes="seen")
    with pytest.raises(
        DataError, match=r"no ratings to compare with min_rating = 3; leave it out, or say that"
    ):
        read_interactions(write(PLAYS), min_rating=3)


def test_uneven_weights_are_warned_of():
    """One of 100 weighs as much as all others: (99 + 1000)² / (99 + 1000²) = 1.2."""
    weights = np.ones(100, np.float32)
    weights[3] = 1000
    raw = Interactions.from_arrays(np.arange(100) // 10, np.arange(100) % 10, weights=weights)
    told = (
        "the weights, up to 1,000, are so uneven that 100 interactions count as 1 equal ones do; pyrec.data"
    )
    with pytest.warns(DataWarning, match=told):
        EASE(3.0).fit(raw)
    assert transform_weights(raw, "none").notes[-1].startswith(told)
    EASE(3.0).fit(transform_weights(raw))  # a warning would be an error here


def test_ease_refuses_weights_beyond_float32() -> None:
    data = Interactions.from_arrays(np.arange(9), np.arange(9), weights=np.full(9, 3e38))
    with pytest.raises(DataError, match="vanishes in float32"):
        EASE().fit(data)
