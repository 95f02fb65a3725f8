"""Each named news model: its equation, and what is true of any of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import padded_news
import pytest
import torch
from padded_news import inner
from small_news import SMALL, small_news
from torch import Tensor

from pyrec.data import Impressions, News
from pyrec.errors import StoppedError
from pyrec.models.estimator import Estimator
from pyrec.models.news import NEWS_MODELS, NewsRecommender, scoring
from pyrec.nn.articles import TEXTS, ArticleBatch
from pyrec.nn.news import NewsBatch, NewsNetwork
from pyrec.nn.reader import (
    CandidateAttention,
    CandidateSelfAttention,
    ClickAttention,
    ClickPooling,
    Interests,
    LongShort,
)
from pyrec.nn.reader.base import SizesAsked
from pyrec.nn.text import CNN, WordAttention
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.train.news.batches import Histories

PARTS: dict[str, dict[str, Any]] = {
    "nrms": {"text": WordAttention(2, 8, 16), "reader": ClickAttention(2, 16)},
    "naml": {"text": CNN(16, 3, 16), "reader": ClickPooling(16)},
    "lstur": {"text": CNN(32, 3, 16), "reader": LongShort(recent=4)},
    "dkn": {"text": CNN(16, 3, 16), "reader": CandidateAttention(16)},
    "miner": {"text": WordAttention(2, 8, 16), "reader": Interests(4, 16)},
    "caum": {"text": WordAttention(2, 8, 16), "reader": CandidateSelfAttention(2, 3, 16)},
}
OPTIONS = {name: SMALL | {"word_size": 16, "tag_size": 16} | parts for name, parts in PARTS.items()}
"""Of widths whose products torch's BLAS makes the same at any number of threads."""
EQUATIONS = {
    "nrms": (
        partial(padded_news.text_attention, heads=2),
        partial(padded_news.reader_attention, heads=2),
    ),
    "naml": (padded_news.text_cnn, padded_news.reader_pooling),
    "lstur": (
        padded_news.text_cnn,
        partial(padded_news.reader_long_short, join="con", recent=4),
    ),
    "dkn": (padded_news.text_cnn, padded_news.reader_candidate),
    "miner": (
        partial(padded_news.text_attention, heads=2),
        partial(padded_news.reader_interests, score="weighted"),
    ),
    "caum": (
        partial(padded_news.text_attention, heads=2),
        partial(padded_news.reader_candidate_self_attention, heads=2),
    ),
}


@pytest.fixture(scope="module", params=NEWS_MODELS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name) -> NewsRecommender:
    return made(name).fit(small_news().train)


def made(name: str, **options: Any) -> NewsRecommender:
    return NEWS_MODELS[name](**OPTIONS[name] | {"learning_rate": 0.02, "popularity": None} | options)


def parameters(model: NewsRecommender) -> list[Tensor]:
    return [value.detach() for value in model.network_.state_dict().values()]


def same(one: NewsRecommender, other: NewsRecommender) -> bool:
    return all(torch.equal(a, b) for a, b in zip(parameters(one), parameters(other), strict=True))


# The equation.


def test_scores_and_gradients_are_those_of_the_equation(name, model):
    network, store = model.network_, model._store
    batch = first_impressions(12)
    own = dict(network.named_parameters())
    before = {key: one.detach().clone() for key, one in own.items()}
    with torch.no_grad():
        for key, one in own.items():
            one.normal_(0, 0.2, generator=torch.Generator("cpu").manual_seed(len(key)))
    found = network(batch, store)
    wanted = by_equation(name, own, store.at(batch.articles, network.articles.views), batch)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    probe = torch.randn(found.shape, generator=torch.Generator("cpu").manual_seed(3))
    for a, b in zip(
        *(torch.autograd.grad((out * probe).sum(), list(own.values())) for out in (found, wanted)),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    network.load_state_dict(before, strict=False)


def first_impressions(count: int) -> NewsBatch:
    impressions = small_news().test.impressions
    lengths = impressions.candidates.lengths[:count]
    owners = np.repeat(np.arange(count), lengths)
    candidates = impressions.candidates.indices[: lengths.sum()].astype(np.int64)
    return Histories(impressions, 50).batch(np.arange(count), candidates, owners, impressions.num_items)


def by_equation(name: str, own: dict[str, Tensor], articles: ArticleBatch, batch: NewsBatch) -> Tensor:
    of_text, of_reader = EQUATIONS[name]
    p = inner(own, "articles")
    views = []
    for view in articles.texts | articles.tags:
        if view in TEXTS:
            text = articles.texts[view]
            words = padded_news.padded(p["words"][articles.words], text.indptr, text.index)
            views.append(of_text(inner(p, f"texts.{view}"), *words))
        else:
            views.append(tag(inner(p, f"tags.{view}"), articles.tags[view]))
    x = torch.stack(views, 1)
    vectors = padded_news.additive(x, torch.ones(x.shape[:2], dtype=torch.bool), p)
    clicks, mask = padded_news.padded(vectors[: batch.num_clicked], batch.clicks.indptr, batch.clicks.index)
    more = {"ids": batch.readers} if name == "lstur" else {}
    return of_reader(inner(own, "reader"), clicks, mask, vectors[batch.candidates], batch.asked, **more)


def tag(p: dict[str, Tensor], tags: Any) -> Tensor:
    """W mean + b, the last row of the table where there is none."""
    rows, mask = padded_news.padded(p["table"], tags.indptr, tags.index)
    mean = rows.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
    return torch.where(mask.any(1, keepdim=True), mean, p["table"][-1]) @ p["weight"] + p["bias"]


def test_views_are_those_of_the_model():
    views = {name: kind().get_params()["views"] for name, kind in NEWS_MODELS.items()}
    assert views["naml"] == "title,abstract,category,subcategory"
    assert "entities" in views["dkn"]


# Training.


def test_the_loss_falls(model):
    losses = [record["loss"] for record in model.history_]
    assert losses[-1] < losses[0]


def test_same_bits_at_any_number_of_threads(name, model, threads):
    for count in (2, 3):
        threads(count)
        assert same(made(name).fit(small_news().train), model)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(name, model, tmp_path):
    kept = Checkpoints(tmp_path)

    def stop(_: NewsRecommender, record: dict) -> None:
        if record["epoch"] == 1:
            kept.stop.make()

    with pytest.raises(StoppedError):
        made(name).fit(small_news().train, callback=stop, checkpoints=kept)
    resumed = made(name).fit(small_news().train, checkpoints=Checkpoints(tmp_path), resume=True)
    assert same(resumed, model)


def test_a_saved_model_answers_alike(name, model, tmp_path):
    model.save(tmp_path)
    loaded = Estimator.load(tmp_path)
    assert type(loaded) is NEWS_MODELS[name]
    news = small_news().test
    np.testing.assert_array_equal(loaded.score_impressions(news), model.score_impressions(news))


def test_popularity_stands_beside_any_content(name):
    fitted = made(name, popularity="counters", epochs=1).fit(small_news().train)
    assert np.isfinite(fitted.score_impressions(small_news().test)).all()


# Questions.


def test_scores_do_not_depend_on_who_else_is_asked(model):
    news = small_news().test
    whole = model.score_impressions(news)
    mask = np.arange(len(news)) % 5 == 0
    rows = mask[news.impressions.candidates.rows]
    np.testing.assert_allclose(model.score_impressions(news.select(mask)), whole[rows], rtol=0, atol=1e-5)


def with_histories(histories: list[list[int]], readers: list[int]) -> News:
    """Impressions of the same four candidates after these clicks, articles by internal id."""
    news = small_news().train
    ids = news.articles.ids
    impressions = Impressions.from_lists(
        news.impressions.user_ids[readers].tolist(),
        [ids[:4]] * len(readers),
        None,
        None,
        [ids[np.array(row, dtype=np.int64)] for row in histories],
        item_ids=ids,
    )
    return replace(news, impressions=impressions)


def test_the_latest_clicks_count(model):
    latest = [row % 60 + 10 for row in range(50)]
    asked = with_histories([latest, [5, 6, 7, *latest], [*latest, 5, 6, 7]], [0, 0, 0])
    short, long, other = model.score_impressions(asked).reshape(3, 4)
    np.testing.assert_array_equal(short, long)
    assert np.abs(short - other).max() > 1e-6


def test_empty_histories_and_new_readers_have_scores(name, model):
    asked = with_histories([[], [], [1]], [0, 1, 1])
    first, second, _ = model.score_impressions(asked).reshape(3, 4)
    assert np.isfinite(first).all()
    assert np.array_equal(first, second) == (name != "lstur")  # whose readers each have a vector of their own
    found = model.recommend_for_clicks([[], small_news().train.articles.ids[:2]], n=3)
    assert np.isfinite(found.scores).all()


def test_articles_that_come_later_are_encoded_at_once(name, tmp_path):
    """As they are where they were there from the start."""
    model = made(name, epochs=1).fit(small_news().train)
    articles = model.known_.articles
    twin = replace(articles, ids=articles.ids.max() + 1 + np.arange(len(articles)))
    model.add_articles(twin)
    n = len(articles)
    torch.testing.assert_close(model._scorer.vectors[:n], model._scorer.vectors[n:], rtol=0, atol=1e-5)


def test_tables_have_a_row_for_each_of_what_they_are_of(model):
    state, news = model.network_.state_dict(), small_news().train
    assert len(state["articles.words"]) == len(news.articles.words)
    for view, feature in (("category", "category"), ("subcategory", "subcategories")):
        words = getattr(news.articles, feature).vocabulary
        assert len(state[f"articles.tags.{view}.table"]) == len(words) + 1  # and one for none
    if "reader.ids" in state:
        assert len(state["reader.ids"]) == news.impressions.num_users


@pytest.mark.parametrize("at_a_time", [1, 100])
def test_scores_do_not_depend_on_how_many_are_asked_at_a_time(model, monkeypatch, at_a_time):
    """Not even where the candidates of one impression are asked in several parts."""
    expected = model.score_impressions(small_news().test)
    asked: list[int] = []
    scores = NewsNetwork.scores

    def counted(network, batch, *args):
        asked.append(len(batch.candidates))
        return scores(network, batch, *args)

    monkeypatch.setattr(NewsNetwork, "scores", counted)
    monkeypatch.setattr(scoring, "CANDIDATES_AT_A_TIME", at_a_time)
    some = np.arange(len(small_news().test)) < (5 if at_a_time == 1 else 10**6)
    found = model.score_impressions(small_news().test.select(some))
    assert max(asked) == at_a_time
    assert np.array_equal(found, expected[: len(found)])


def test_fewer_candidates_are_asked_of_an_encoder_that_holds_more(model, monkeypatch):
    expected = model.score_impressions(small_news().test)
    asked: list[int] = []
    monkeypatch.setattr(scoring, "FLOATS_AT_A_TIME", 50_000)
    scores = NewsNetwork.scores

    def counted(network, batch, *args):
        clicks, histories = len(batch.clicks.index), len(batch.readers)
        asked.append(network.reader.step_floats(SizesAsked(0, clicks, histories, len(batch.candidates))))
        return scores(network, batch, *args)

    monkeypatch.setattr(NewsNetwork, "scores", counted)
    assert np.array_equal(model.score_impressions(small_news().test), expected)
    assert np.mean(asked) < 100_000
