"""Evaluation of impressions against plain loops, and its slices, comparisons and submission files."""

import json
import zipfile

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import pyrec
from pyrec.data import Impressions, Ragged
from pyrec.data.articles import Articles
from pyrec.data.news import News
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate import (
    candidate_ranks,
    compare_impressions,
    evaluate_impressions,
    impression_evaluation,
    write_submission,
)
from pyrec.evaluate.significance import clustered_t, paired_t
from pyrec.ops.impressions import impression_metrics

DAY, HOUR = 86_400.0, 3_600.0
START = 1_700_006_400.0  # midnight
NAMES = ("auc", "mrr", "mrr_first", "ndcg@5", "ndcg@10", "hit@5", "hit@10")


def small(clicks=((1, 0, 0), (0, 1), (0, 0), (1, 1), ()), users=("a", "b", "a", None, "b"), **more):
    """Impressions of items 10 to 15, the third to the fifth of one class or empty."""
    shown = [[10, 11, 12], [13, 14], [10, 13], [11, 12], []][: len(users)]
    given = None if clicks is None else list(clicks)[: len(users)]
    return Impressions.from_lists(list(users), shown, given, item_ids=[10, 11, 12, 13, 14, 15], **more)


def articles_of(impressions, published=None):
    n = impressions.num_items
    rows = Ragged.from_lists([[0]] * n, 1)
    texts = ("word",) * n
    return Articles(impressions.item_ids, rows, rows, np.array(["word"]), texts, texts, published=published)


def news_of(impressions, published=None):
    return News(articles_of(impressions, published), impressions)


def many(n=400, seed=0, num_users=40):
    """(impressions, scores of a fair model, scores of a better one)."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 12, n)
    lists = [generator.integers(0, 50, length).tolist() for length in lengths]
    clicks = [(generator.random(length) < 0.3).tolist() for length in lengths]
    users = generator.integers(0, num_users, n).tolist()
    impressions = Impressions.from_lists(users, lists, clicks, item_ids=list(range(50)))
    noise = generator.standard_normal(len(impressions.clicks))
    return impressions, 0.5 * impressions.clicks + noise, 1.5 * impressions.clicks + noise


class Constant:
    def score_impressions(self, news):
        return np.zeros(news.impressions.candidates.indices.size, dtype=np.float32)


# Means ----------------------------------------------------------------------------------------------------


def test_means_are_over_impressions_of_both_classes():
    found = impression_evaluation([3, 2, 1, 2, 1, 1, 2, 3, 4], small())
    assert found.per_impression["auc"].tolist()[:2] == [1, 0]
    assert np.isnan(found.per_impression["auc"][2:]).all()
    assert found["auc"] == 0.5
    assert found["mrr"] == 0.75
    assert tuple(found.metrics) == NAMES
    counts = found.counts
    assert (found.num_impressions, found.num_left_out, counts.num_impressions) == (2, 3, 5)
    assert (counts.num_none_clicked, counts.num_all_clicked, counts.num_empty) == (1, 1, 1)
    assert (counts.num_candidates, counts.num_clicks, counts.num_readers) == (9, 4, 2)
    assert found.readers[:3].tolist() == ["a", "b", "a"]
    assert found.is_known.tolist() == [True, True, True, False, True]
    told = (
        "3 of 5 impressions are left out: 1 without a click, 1 with nothing but clicks, 1 without candidates"
    )
    assert told in found.notes
    assert f"note: {told}" in str(found)
    assert "2 impressions" in found.summary()
    assert "3 left out: auc 0.5000" in repr(found)
    json.dumps(found.metrics)


def test_every_impression_counts_once_and_one_class_is_no_half():
    """The denominators are what is measured, and one-class impressions are no .5 that would move the mean."""
    impressions, scores, _ = many()
    found = impression_evaluation(scores, impressions)
    each = []
    for first, last in zip(
        impressions.candidates.indptr[:-1], impressions.candidates.indptr[1:], strict=True
    ):
        truth = impressions.clicks[first:last]
        if 0 < truth.sum() < len(truth):
            each.append(roc_auc_score(truth, scores[first:last]))
    assert found.num_impressions == len(each) < len(impressions)
    assert found["auc"] == pytest.approx(np.mean(each), abs=1e-12)


def test_pooled_auc_is_another_number():
    """What some report as AUC is over all pairs of whatever impressions: it moves with an offset of impressions."""
    impressions, scores, _ = many()
    offset = np.random.default_rng(1).standard_normal(len(impressions))[impressions.candidates.rows] * 9
    clicks, whole = torch.from_numpy(impressions.clicks), torch.tensor([0, len(scores)])
    pooled = [
        float(impression_metrics(torch.from_numpy(of), clicks, whole)[0, 0])
        for of in (scores, scores + offset)
    ]
    assert pooled[0] == pytest.approx(roc_auc_score(impressions.clicks, scores), abs=1e-12)
    assert abs(pooled[1] - pooled[0]) > 0.05
    ours = [impression_evaluation(of, impressions)["auc"] for of in (scores, scores + offset)]
    assert ours[0] == pytest.approx(ours[1], abs=1e-3)  # float32 rounds the larger scores


def test_impressions_without_a_history_are_measured():
    found = impression_evaluation([3, 2, 1, 2, 1], small(users=("a", "b"), histories=[[], [10]]))
    assert found.num_impressions == 2
    assert "1 of 2 measured impressions have no history; they are measured, too" in found.notes


def test_a_constant_model():
    found = evaluate_impressions(Constant(), news_of(small()), cutoffs=[1])
    assert found["auc"] == 0.5
    assert found["hit@1"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert pyrec.evaluate_impressions is evaluate_impressions


def test_scores_may_be_tensors_that_require_a_gradient():
    scores = torch.tensor([3.0, 2, 1, 2, 1, 1, 2, 3, 4], requires_grad=True)
    assert impression_evaluation(scores, small())["auc"] == 0.5


# Slices ---------------------------------------------------------------------------------------------------


def labels(found, by):
    return {part.label: part.num_impressions for part in found.slices[by]}


def test_slices_by_history_also_where_histories_are_stored_once():
    histories = [[], [10] * 3, [10] * 60]
    shown = small(users=("a", "b"), histories=[histories[1], histories[2]])
    found = impression_evaluation([3, 2, 1, 2, 1], shown)
    assert labels(found, "history") == {"1 to 5 clicks": 1, "more than 50 clicks": 1}
    assert [part.metrics["auc"] for part in found.slices["history"]] == [1, 0]
    once = Impressions(
        shown.users, shown.candidates, shown.user_ids, shown.item_ids, shown.clicks,
        histories=Ragged.from_lists([[], [0] * 7], 6), history_rows=np.array([1, 0], dtype=np.int32),
    )  # fmt: skip
    assert labels(impression_evaluation([3, 2, 1, 2, 1], once), "history") == {
        "no clicks": 1,
        "6 to 20 clicks": 1,
    }


def test_slices_by_age_and_time():
    times = np.array([START, START + 26 * HOUR])
    published = np.array([START - HOUR / 2, np.nan, np.nan, np.nan, START - 2 * DAY, np.nan])
    shown = small(users=("a", "b"), times=times)
    found = impression_evaluation([3, 2, 1, 2, 1], news_of(shown, published))
    assert labels(found, "age") == {"less than 1 hour": 1, "3 days or more": 1}
    assert labels(found, "hour") == {"00 to 04 h": 2}
    assert labels(found, "day") == {"2023-11-15": 1, "2023-11-16": 1}
    unknown = impression_evaluation([3, 2, 1, 2, 1], news_of(shown, np.full(6, np.nan)))
    assert labels(unknown, "age") == {"unknown": 2}
    nanoseconds = small(users=("a", "b"), times=(times * 1e9).astype(np.int64))
    assert labels(impression_evaluation([3, 2, 1, 2, 1], nanoseconds), "hour") == {"00 to 04 h": 2}
    assert not impression_evaluation([3, 2, 1, 2, 1], small(users=("a", "b"), times=[1.0, 2.0])).slices


def test_slices_by_what_training_showed():
    train = Impressions.from_lists(["b", "z"], [[10], [99, 13]], [[1], [0, 1]])
    found = impression_evaluation([3, 2, 1, 2, 1], small(users=("a", "b")), train=train)
    assert labels(found, "article") == {"shown in training": 1, "new": 1}
    assert labels(found, "reader") == {"known from training": 1, "new or unknown": 1}
    assert found.slices["article"][1].metrics["auc"] == 0
    shown = found.slice_table("article").splitlines()
    assert shown[0].split() == ["article", "impressions", *NAMES]
    assert len(shown) == 3
    with pytest.raises(DataError, match=r"there are no slices by 'age'; known are article, reader"):
        found.slice_table("age")


# Comparisons ----------------------------------------------------------------------------------------------


def test_two_models_are_compared_over_impressions_and_over_readers():
    impressions, fair, better = many()
    first, second = (impression_evaluation(scores, impressions) for scores in (fair, better))
    over = {kind: compare_impressions(first, second, over=kind) for kind in ("impressions", "readers")}
    for rows in over.values():
        assert [row.metric for row in rows] == list(NAMES)
        assert rows[0].difference == pytest.approx(second["auc"] - first["auc"])
        assert rows[0].p_t < 0.01
        assert rows[0].p_wilcoxon < 0.01
        assert rows[0].num_impressions == first.num_impressions
    assert over["impressions"][0].num_clusters == first.num_impressions
    assert over["readers"][0].num_clusters == first.counts.num_readers
    same = compare_impressions(first, first)[0]
    assert (same.difference, same.half, same.p_t, same.p_wilcoxon) == (0, 0, 1, 1)


def test_copies_of_a_reader_are_no_new_evidence():
    generator = np.random.default_rng(3)
    of_readers = generator.standard_normal(12) + 0.4
    clusters = np.repeat(np.arange(12), 10)
    found = clustered_t(np.repeat(of_readers, 10), clusters)
    assert found.p == pytest.approx(paired_t(of_readers, np.zeros(12)), rel=1e-6)
    assert found.difference == pytest.approx(of_readers.mean())
    alone = clustered_t(of_readers, np.arange(12))
    assert alone.half == pytest.approx(found.half)
    assert np.isnan(clustered_t(np.ones(3), np.zeros(3, dtype=int)).p)
    assert clustered_t(np.ones(3), np.arange(3)).p == 0


def test_unknown_readers_are_not_one_reader():
    shown = small(clicks=((1, 0, 0), (0, 1), (0, 1)), users=(None, None, "a"))
    first, second = (
        impression_evaluation(scores, shown) for scores in ([3, 2, 1, 2, 1, 0, 1], [1, 2, 3, 1, 2, 0, 1])
    )
    assert compare_impressions(first, second)[0].num_clusters == 3


def test_comparisons_that_make_no_sense():
    first = impression_evaluation([3, 2, 1, 2, 1, 1, 2, 3, 4], small())
    other = impression_evaluation([3, 2, 1, 2, 1], small(users=("a", "b")))
    with pytest.raises(DataError, match="are of 5 and 2 impressions, which are not the same ones"):
        compare_impressions(first, other)
    with pytest.raises(ConfigError, match="over = 'users' is neither 'readers' nor 'impressions'"):
        compare_impressions(first, first, over="users")


# Submission files -----------------------------------------------------------------------------------------


def test_a_submission_is_as_mind_wants_it(tmp_path):
    unlabelled = small(clicks=None, users=("a", "b"))
    path = write_submission([0.1, 0.3, 0.2, 5, 4], unlabelled, tmp_path / "prediction.txt")
    assert path.read_text() == "1 [3,1,2]\n2 [1,2]\n"
    zipped = write_submission([0.1, 0.3, 0.2, 5, 4], news_of(unlabelled), tmp_path / "p.zip", ids=["x7", 12])
    with zipfile.ZipFile(zipped) as archive:
        assert archive.namelist() == ["prediction.txt"]
        assert archive.read("prediction.txt") == b"x7 [3,1,2]\n12 [1,2]\n"
    empty = write_submission([1, 2, 3, 4, 5, 6, 7, 8, 9], small(), tmp_path / "with_empty.txt")
    assert empty.read_text().splitlines()[-1] == "5 []"


def test_ranks_of_equal_scores_say_nothing_of_the_order_shown():
    impressions, *_ = many(2000)
    ranks = candidate_ranks(np.zeros(len(impressions.clicks)), impressions)
    indptr = impressions.candidates.indptr
    assert all(
        sorted(ranks[first:last].tolist()) == list(range(1, last - first + 1))
        for first, last in zip(indptr[:-1].tolist(), indptr[1:].tolist(), strict=True)
    )
    longer = impressions.candidates.lengths > 1
    assert (ranks[indptr[:-1]][longer] == 1).mean() < 0.4
    assert np.array_equal(ranks, candidate_ranks(np.zeros(len(ranks)), impressions))
    assert not np.array_equal(ranks, candidate_ranks(np.zeros(len(ranks)), impressions, seed=1))


def test_ranks_are_those_that_are_measured():
    impressions, scores, _ = many()
    ours = impression_evaluation(scores, impressions).metrics
    assert impression_evaluation(-candidate_ranks(scores, impressions), impressions).metrics == pytest.approx(
        ours
    )


@pytest.mark.parametrize(
    ("ids", "message"),
    [(["x"], "ids has 1 entries, but there are 2 impressions"), (["x", "y z"], r"ids\[1\] = 'y z'")],
)
def test_wrong_ids(tmp_path, ids, message):
    with pytest.raises(DataError, match=message):
        write_submission([1, 2, 3, 4, 5], small(users=("a", "b")), tmp_path / "out.txt", ids=ids)
    assert not list(tmp_path.iterdir())


# Bad input ------------------------------------------------------------------------------------------------


def test_without_clicks_it_says_how_to_send_them_in():
    with pytest.raises(
        DataError, match=r"no clicks, .* pyrec.evaluate.write_submission\(model.score_impressions"
    ):
        evaluate_impressions(Constant(), news_of(small(clicks=None)))


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1.0, 2.0], r"there are 2 scores, but 5 candidates"),
        ([1, 2, np.nan, 4, 5], r"scores\[2\] = nan, but a finite number is needed"),
        (np.ones((5, 1)), r"one-dimensional numbers are needed"),
    ],
)
def test_wrong_scores(scores, message):
    with pytest.raises(DataError, match=message):
        impression_evaluation(scores, small(users=("a", "b")))


def test_nothing_to_measure():
    with pytest.raises(
        DataError, match="none of 1 impressions has both a clicked and an unclicked candidate"
    ):
        impression_evaluation([1, 2, 3], small(clicks=((0, 0, 0),), users=("a",)))


def test_wrong_arguments():
    shown = small()
    with pytest.raises(DataError, match="news is a Impressions, but News is needed"):
        evaluate_impressions(Constant(), shown)
    with pytest.raises(DataError, match=r"model is .* such as NRMS\(\).fit\(train\)"):
        evaluate_impressions("model", news_of(shown))
    with pytest.raises(DataError, match="impressions is a list, but News or Impressions are needed"):
        impression_evaluation([1], [1])
    with pytest.raises(DataError, match="train is a int, but News or Impressions are needed"):
        impression_evaluation([3, 2, 1, 2, 1, 1, 2, 3, 4], shown, train=3)
    with pytest.raises(ConfigError, match="cutoffs is empty"):
        impression_evaluation([3, 2, 1, 2, 1, 1, 2, 3, 4], shown, cutoffs=[])


def test_the_process_s_settings_are_not_looked_at():
    impressions, scores, better = many(60)
    expected = impression_evaluation(scores, impressions)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), np.errstate(all="raise"):
            found = impression_evaluation(scores, impressions)
            compare_impressions(found, impression_evaluation(better, impressions))
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.metrics == expected.metrics
