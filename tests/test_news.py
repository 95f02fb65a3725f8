"""News models: training on clicks, what a fitted model is asked, files, and what happens after training."""

from __future__ import annotations

import datetime
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_news import SMALL, small_news

import pyrec
from pyrec.data import Impressions, News
from pyrec.errors import ConfigError, DataError, NotFittedError, StoppedError, UnknownIdError
from pyrec.models.estimator import Estimator
from pyrec.models.news import NRMS
from pyrec.nn.popularity import PopularityNetwork
from pyrec.nn.reader import ClickAttention
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.train.loss import BPR, Pointwise, Softmax
from pyrec.train.negatives import Shown
from pyrec.train.news.samples import ClickSamples
from pyrec.train.reweight import LinearWeights


@pytest.fixture(scope="module")
def model() -> NRMS:
    return NRMS(**SMALL).fit(small_news().train)


def parameters(model: NRMS) -> list[torch.Tensor]:
    return [value.detach() for value in model.network_.state_dict().values()]


def same(one: NRMS, other: NRMS) -> bool:
    return all(torch.equal(a, b) for a, b in zip(parameters(one), parameters(other), strict=True))


def without_last(news: News, share: float) -> News:
    order = np.argsort(news.impressions.times, kind="stable")
    mask = np.zeros(len(news), bool)
    mask[order[: round(len(news) * share)]] = True
    return news.select(mask)


# Training.


def test_the_loss_falls_and_content_with_popularity_ranks_better_than_chance(model):
    losses = [record["loss"] for record in model.history_]
    assert losses[-1] < losses[0]
    found = pyrec.evaluate_impressions(model, small_news().test)
    assert found.metrics["auc"] > 0.5


def test_same_bits_at_any_number_of_threads(model, threads):
    for count in (2, 3):
        threads(count)
        assert same(NRMS(**SMALL).fit(small_news().train), model)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(model, tmp_path):
    kept = Checkpoints(tmp_path)

    def stop(_: NRMS, record: dict) -> None:
        if record["epoch"] == 1:
            kept.stop.make()

    with pytest.raises(StoppedError):
        NRMS(**SMALL).fit(small_news().train, callback=stop, checkpoints=kept)
    resumed = NRMS(**SMALL).fit(small_news().train, checkpoints=Checkpoints(tmp_path), resume=True)
    assert same(resumed, model)
    assert [record["loss"] for record in resumed.history_] == [record["loss"] for record in model.history_]


def test_a_checkpoint_of_other_news_is_refused(tmp_path):
    kept = Checkpoints(tmp_path)
    NRMS(**SMALL).fit(small_news().train, checkpoints=kept)
    fewer = without_last(small_news().train, 0.9)
    with pytest.raises(DataError, match="impressions"):
        NRMS(**SMALL).fit(fewer, checkpoints=Checkpoints(tmp_path), resume=True)


@pytest.mark.parametrize(
    "loss",
    [Softmax(0.5, "inner", Shown(2)), BPR(negatives=Shown()), Pointwise(negatives=Shown(3))],
    ids=lambda loss: loss.name,
)
def test_losses_and_negatives_of_the_library(loss):
    model = NRMS(**SMALL | {"epochs": 3}, loss=loss).fit(small_news().train)
    assert model.history_[-1]["loss"] < model.history_[0]["loss"]


def test_losses_of_scores_are_those_of_the_formulas():
    draw = torch.Generator("cpu").manual_seed(0)
    scores = torch.randn(3, 4, generator=draw, dtype=torch.float64)
    present = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 1]], dtype=torch.bool)
    for row, there in zip(range(3), present, strict=True):
        own = scores[row][there]
        found = [
            loss.each_of_scores(scores, present)[row]
            for loss in (Softmax(0.5, "inner"), BPR(), Pointwise(), Pointwise("squared"))
        ]
        wanted = [
            -(own / 0.5).log_softmax(0)[0],
            (own[1:] - own[0]).exp().log1p().mean(),
            (own.exp().log1p().sum() - own[0]) / len(own),
            ((own[0] - 1).square() + own[1:].square().sum()) / 2 / len(own),
        ]
        torch.testing.assert_close(found, wanted)


def test_negatives_are_drawn_anew_in_each_epoch_from_the_same_impression():
    impressions = small_news().train.impressions
    samples = ClickSamples.of(impressions)
    chosen = np.arange(20)
    first, second = (
        samples.lists(chosen, Shown(2), np.random.Generator(np.random.Philox(seed))) for seed in (0, 1)
    )
    assert not np.array_equal(first[0], second[0])
    for lists, present in (first, second):
        for row, of in zip(range(20), samples.impressions[chosen], strict=True):
            slots = lists[row][present[row]]
            assert len(set(slots.tolist())) == len(slots)
            assert (impressions.candidates.rows[slots] == of).all()
            assert impressions.clicks[slots].tolist() == [True] + [False] * (len(slots) - 1)


def test_impressions_of_one_class_teach_nothing():
    one_class = Impressions.from_lists(["a", "a"], [[1, 2], [1, 2]], [[1, 1], [0, 0]])
    with pytest.raises(DataError, match="nothing to tell apart"):
        ClickSamples.of(one_class)


def test_early_stopping_holds_out_the_latest_impressions():
    model = NRMS(**SMALL, stopping="early").fit(small_news().train)
    scores = [record["validation_auc"] for record in model.history_]
    assert model.best_epoch_ == int(np.argmax(scores)) + 1
    assert model.known_.counters.latest == small_news().train.impressions.times.max()


def test_a_validation_set_chooses_the_epoch():
    news = small_news()
    model = NRMS(**SMALL).fit(news.train, validation=news.test)
    assert "validation_ndcg@10" in model.history_[0]


def test_a_callback_can_ask_the_model_under_training():
    lists = []
    readers = small_news().train.impressions.user_ids[:1]
    NRMS(**SMALL).fit(
        small_news().train, callback=lambda model, _: lists.append(model.recommend(readers, n=2))
    )
    assert len(lists) == SMALL["epochs"]


def test_the_popularity_network_has_a_rate_of_its_own():
    asked = SMALL | {"popularity": PopularityNetwork(rate=3.0), "learning_rate": 0.01, "schedule": "constant"}
    model = NRMS(**asked)
    trainer = model._begin(model._prepare(small_news().train, torch.device("cpu")), None, None)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    for group in trainer.optimizer.param_groups:
        group["lr"] = trainer.optimisation.rate(0) * group["times"]
    trainer.step(trainer.batches.at(0, 0))
    moved = {name: (value - before[name]).abs().max() for name, value in trainer.network.state_dict().items()}
    assert 0.029 < moved["popularity.weight"] < 0.031
    assert 0.009 < moved["reader.projection"] < 0.011


def test_weights_of_samples_count(model):
    news = small_news().train
    ones = NRMS(**SMALL).fit(news, sample_weight=np.ones(len(news)))
    for a, b in zip(parameters(ones), parameters(model), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    of_candidates = np.ones(news.impressions.candidates.indices.size)
    assert same(NRMS(**SMALL).fit(news, sample_weight=of_candidates), ones)
    skewed = NRMS(**SMALL).fit(news, sample_weight=np.arange(1, len(news) + 1))
    assert not same(skewed, ones)


@pytest.mark.parametrize(
    ("weight", "told"),
    [
        (np.ones(3), r"float64 \(3,\)"),
        (-np.ones(192), r"sample_weight\[0\] = -1"),
        (np.zeros(192), "weights of all clicks are 0"),
    ],
)
def test_unsound_weights_are_refused(weight, told):
    with pytest.raises(DataError, match=told):
        NRMS(**SMALL).fit(small_news().train, sample_weight=weight)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"views": "title,image"}, r"views\[1\] = 'image'"),
        ({"views": "title,title"}, "twice"),
        ({"dropout": 1.0}, "dropout = 1.0 must be below 1"),
        ({"loss": Softmax()}, "loss__score = 'cosine'"),
        ({"loss": Softmax(1.0, "inner", "shown", rank_by="cosine")}, "loss__rank_by = 'cosine'"),
        ({"loss": Softmax(1.0, "inner", "uniform")}, "news models take 'shown'"),
        ({"loss": "ccl"}, "news models take 'shown'"),
        ({"reweight": "label"}, "which have clicks alone"),
        ({"reweight": "linear"}, "give fit uniform="),
        ({"latest": 65}, "latest = 65"),
    ],
)
def test_what_does_not_go_together_is_refused(changed, told):
    with pytest.raises(ConfigError, match=told):
        NRMS(**SMALL | changed).fit(small_news().train)


def test_negatives_of_impressions_are_refused_by_graph_models():
    train, _ = pyrec.data.split_random(pyrec.data.synthetic(30, 20))
    with pytest.raises(ConfigError, match="of impressions"):
        pyrec.LightGCN(loss=BPR(negatives=Shown())).fit(train)


# Learned weights.


def test_random_impressions_teach_weights_of_positions():
    news = small_news()
    model = NRMS(**SMALL | {"epochs": 4}, reweight=LinearWeights(rate=0.05))
    model.fit(news.train, uniform=news.random)
    weights = model.position_weights_
    assert weights.shape == (8,)
    assert weights[0] == 1
    again = NRMS(**SMALL | {"epochs": 4}, reweight=LinearWeights(rate=0.05))
    assert same(again.fit(news.train, uniform=news.random), model)


def test_a_random_set_of_other_articles_is_refused():
    news = small_news()
    other = pyrec.data.generate_news(60, 130, 240, 8, num_topics=4, seed=4)
    with pytest.raises(DataError, match="item_ids"):
        NRMS(**SMALL, reweight="linear").fit(news.train, uniform=other.random)


# Questions.


def test_scores_do_not_depend_on_who_else_is_asked(model):
    news = small_news().test
    whole = model.set_params().score_impressions(replace(news))
    content = NRMS(**SMALL, popularity=None).fit(small_news().train)
    scores = content.score_impressions(news)
    mask = np.arange(len(news)) % 3 == 0
    part = content.score_impressions(news.select(mask))
    np.testing.assert_array_equal(part, scores[mask[news.impressions.candidates.rows]])
    assert np.isfinite(whole).all()


def test_later_impressions_do_not_change_earlier_scores(model):
    news = small_news().test
    early = without_last(news, 0.5)
    rows = np.isin(news.impressions.times, early.impressions.times)[news.impressions.candidates.rows]
    np.testing.assert_allclose(model.score_impressions(news)[rows], model.score_impressions(early), rtol=1e-5)


def test_ranks_are_those_of_the_scores(model):
    news = small_news().test
    scores, ranks = model.score_impressions(news), model.rank(news)
    for first, last in zip(
        *(news.impressions.candidates.indptr[part] for part in (slice(-1), slice(1, None))), strict=True
    ):
        assert sorted(ranks[first:last]) == list(range(1, last - first + 1))
        np.testing.assert_array_equal(
            np.argsort(ranks[first:last]), np.argsort(-scores[first:last], kind="stable")
        )


def test_recommended_articles_are_alive_and_not_clicked(model):
    known = model.known_
    ids, scores = model.recommend(known.reader_ids[:5], n=4)
    assert ids.shape == (5, 4)
    assert (np.diff(scores) <= 0).all()
    from_time = known.counters.latest - 3 * 86400
    for reader, row in enumerate(ids):
        rows = known.articles.encode(row)
        shown, published = known.counters.last_shown[rows], known.counters.published[rows]
        assert ((shown >= from_time) | (published >= from_time)).all()
        assert not set(rows.tolist()) & set(known.clicks.row(reader).tolist())


def test_candidates_and_the_time_of_asking_are_the_callers(model):
    known = model.known_
    chosen = known.articles.ids[:6]
    now = known.counters.latest + 3600
    one = model.recommend(known.reader_ids[:2], n=3, candidates=chosen, at=now, filter_seen=False)
    when = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    other = model.recommend(known.reader_ids[:2], n=3, candidates=chosen, at=when, filter_seen=False)
    np.testing.assert_array_equal(one.ids, other.ids)
    assert set(one.ids.ravel().tolist()) <= set(chosen.tolist())
    with pytest.raises(DataError, match="have to be later"):
        model.recommend(known.reader_ids[:1], at=now - 10 * 86400)


def test_new_readers_are_known_by_clicks(model):
    ids = model.known_.articles.ids
    found = model.recommend_for_clicks([ids[:3], []], n=2)
    assert found.ids.shape == (2, 2)
    with pytest.raises(UnknownIdError):
        model.recommend_for_clicks([[-5]])
    with pytest.raises(UnknownIdError):
        model.recommend([-5])


def test_similar_articles_are_never_the_article_itself(model):
    ids = model.known_.articles.ids[:4]
    found = model.similar_articles(ids, n=3)
    assert not (found.ids == ids[:, None]).any()


def test_attention_is_a_distribution_over_words_and_clicks(model):
    known = model.known_
    words = model.word_attention(known.articles.ids[:2])
    assert [len(row) for row in words] == known.articles.title.lengths[:2].tolist()
    assert [sum(weight for _, weight in row) for row in words] == pytest.approx([1, 1], abs=1e-5)
    clicks = model.click_attention(known.reader_ids[:3])
    assert [len(row) for row in clicks] == np.minimum(known.clicks.lengths[:3], 50).tolist()
    with pytest.raises(DataError, match="no text that the model reads"):
        model.word_attention(known.articles.ids[:1], "abstract")


def test_an_unfitted_model_says_so():
    with pytest.raises(NotFittedError, match=r"fit\(news\)"):
        NRMS().recommend([1])


# After training.


def test_articles_that_come_later_are_recommended_at_once():
    news = small_news()
    articles = news.train.articles
    half = np.arange(len(articles)) < len(articles) // 2
    kept = half[news.train.impressions.candidates.indices]
    rows = np.bincount(news.train.impressions.candidates.rows, ~kept, len(news.train)) == 0
    given = news.train.impressions.select(rows)
    lists = [articles.ids[row] for row in given.candidates.to_lists()]
    clicks = np.split(given.clicks, given.candidates.indptr[1:-1])
    early = articles.take(np.flatnonzero(half))
    impressions = Impressions.from_lists(
        given.user_ids[given.users].tolist(), lists, clicks, given.times, item_ids=early.ids
    )
    model = NRMS(**SMALL).fit(News(early, impressions))
    fresh = articles.take(np.flatnonzero(~half))
    with pytest.raises(UnknownIdError):
        model.similar_articles(fresh.ids[:1])
    before = model.similar_articles(early.ids[:1], n=5, candidates=early.ids)
    model.add_articles(fresh)
    after = model.similar_articles(early.ids[:1], n=5, candidates=early.ids)
    np.testing.assert_array_equal(before.ids, after.ids)
    found = model.recommend_for_clicks([early.ids[:2]], n=1, candidates=fresh.ids[:3])
    assert found.ids[0, 0] in fresh.ids[:3]


def test_what_is_observed_counts_and_the_parameters_stay():
    news = small_news()
    model = NRMS(**SMALL).fit(news.train)
    before = [value.clone() for value in parameters(model)]
    first = without_last(news.test, 0.5)
    rest = np.isin(news.test.impressions.times, first.impressions.times, invert=True)
    whole = model.score_impressions(news.test)[rest[news.test.impressions.candidates.rows]]
    model.observe(first)
    np.testing.assert_allclose(model.score_impressions(news.test.select(rest)), whole, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(before, parameters(model), strict=True))
    assert model.known_.counters.latest == first.impressions.times.max()
    with pytest.raises(DataError, match="no clicks"):
        model.observe(replace(news.test, impressions=replace(news.test.impressions, clicks=None)))


# Files.


def test_a_saved_model_answers_alike(model, tmp_path):
    model.save(tmp_path)
    loaded = Estimator.load(tmp_path)
    assert isinstance(loaded, NRMS)
    news = small_news().test
    np.testing.assert_array_equal(loaded.score_impressions(news), model.score_impressions(news))
    readers = model.known_.reader_ids[:3]
    np.testing.assert_array_equal(loaded.recommend(readers).ids, model.recommend(readers).ids)
    loaded.observe(news)
    with pytest.raises(DataError, match="NRMS"):
        pyrec.LightGCN.load(tmp_path)


def test_a_model_that_went_on_is_saved_as_it_is(tmp_path):
    news = small_news()
    model = NRMS(**SMALL | {"epochs": 1}).fit(news.train).observe(news.test)
    model.save(tmp_path)
    loaded = NRMS.load(tmp_path)
    assert loaded.known_.counters.latest == model.known_.counters.latest
    readers = model.known_.reader_ids[:3]
    np.testing.assert_array_equal(loaded.recommend(readers).ids, model.recommend(readers).ids)


def test_parameters_are_named_and_changed_as_those_of_other_models():
    model = NRMS().set_params(text__heads=4, reader__hidden=9)
    assert model.get_params()["text__heads"] == 4
    assert model.clone().get_params() == model.get_params()
    with pytest.raises(pyrec.ConfigError, match="does not divide"):
        NRMS(**SMALL | {"reader": ClickAttention(3, 8)}).fit(small_news().train)
