"""The HTTP service of a model of news, against the model: lists, ranks, and articles and clicks that are posted."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from command_line import refuse
from serving import refused, same, serving
from small_news import SMALL, small_news

from pyrec.errors import ConfigError
from pyrec.models import NRMS
from pyrec.serve import create_app
from pyrec.serve.news.schemas import Article
from pyrec.serve.served import Served


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    NRMS(**SMALL).fit(small_news().train).save(folder)
    return folder


@pytest.fixture
def model(saved: Path) -> NRMS:
    return NRMS.load(saved)


@pytest.fixture
def client(model: NRMS) -> Iterator[httpx.Client]:
    with serving(model) as client:
        yield client


def test_lists_for_known_and_new_readers(model: NRMS, client: httpx.Client) -> None:
    readers, articles = model.known_.reader_ids[:2].tolist(), model.known_.articles.ids[:6].tolist()
    same(client.post("/recommend", json={"users": readers, "n": 3}), model.recommend(readers, 3))
    asked = {"histories": [articles[:2], []], "items": articles, "n": 4, "filter_seen": False}
    answer = client.post("/recommend", json=asked | {"names": True})
    found = model.recommend_for_clicks([articles[:2], []], 4, candidates=articles, filter_seen=False)
    same(answer, found)
    assert answer.json()["names"][0][0] == found.item_names[found.ids[0, 0]]
    same(
        client.post("/similar", json={"items": articles[:1], "n": 2}), model.similar_articles(articles[:1], 2)
    )


def test_ranks_are_in_the_order_asked(model: NRMS, client: httpx.Client) -> None:
    reader, articles = model.known_.reader_ids[:1].tolist(), model.known_.articles.ids[:5].tolist()
    (ranks,) = client.post("/rank", json={"users": reader, "items": articles}).json()["ranks"]
    best = model.recommend(reader, 5, candidates=articles, filter_seen=False).ids[0].tolist()
    assert [best[rank - 1] for rank in ranks] == articles
    refused(client.post("/rank", json={"users": reader, "items": articles[:1] * 2}), 422, "items", "twice")


def test_an_article_of_today_is_recommended_at_once(model: NRMS, client: httpx.Client) -> None:
    known = model.known_.articles
    new, latest = int(known.ids.max()) + 1, client.get("/health").json()["latest"]
    article = {"id": new, "title": known.titles[0], "category": "no such", "published": latest}
    refused(client.post("/recommend", json={"histories": [[]], "items": [new]}), 422, None, str(new))
    assert client.post("/articles", json={"articles": [article]}).json() == {
        "added": 1,
        "known": len(known) + 1,
    }
    assert client.post("/articles", json={"articles": [article]}).json()["added"] == 0
    answer = client.post("/recommend", json={"histories": [known.ids[:2].tolist()], "n": 1, "items": [new]})
    assert answer.json()["items"] == [[new]]
    assert client.get("/health").json()["num_posted"] == 1
    everything = client.post("/recommend", json={"histories": [[]], "at": latest}).json()
    assert len(everything["items"][0]) == 10


def test_clicks_count_for_what_is_asked_later(model: NRMS, client: httpx.Client) -> None:
    articles, latest = model.known_.articles.ids[:3].tolist(), client.get("/health").json()["latest"]
    reader = int(model.known_.reader_ids.max()) + 1
    impression = {"user": reader, "time": latest + 60, "shown": articles, "clicked": articles[:1]}
    before = client.post("/recommend", json={"histories": [[]], "items": articles}).json()["scores"]
    answer = client.post("/clicks", json={"impressions": [impression, impression | {"user": None}]})
    assert answer.json() == {"observed": 2, "latest": latest + 60}
    ask = {"items": articles, "at": latest + 120}
    assert client.post("/recommend", json={"histories": [[]], **ask}).json()["scores"] != before
    (list_of_new_reader,) = client.post("/recommend", json={"users": [reader], **ask}).json()["items"]
    assert set(list_of_new_reader) == set(articles[1:])  # what was clicked is left out
    earlier = impression | {"time": latest - 60}
    refused(client.post("/clicks", json={"impressions": [earlier]}), 422, None, "have to be later")


def test_what_a_request_may_not_hold(model: NRMS, client: httpx.Client) -> None:
    articles = model.known_.articles.ids[:2].tolist()
    refused(client.post("/recommend", json={}), 422, None, "give users or histories")
    refused(client.post("/recommend", json={"users": [1], "k": 3}), 422, "k", "unknown field 'k'")
    refused(client.post("/recommend", json={"users": ["Anna"]}), 422, None, "Anna")
    shown = {"user": 1, "time": 0, "shown": articles[:1], "clicked": articles[1:]}
    refused(client.post("/clicks", json={"impressions": [shown]}), 422, r"impressions[0]", "was not shown")
    text = {"user": "Anna", "time": 9e9, "shown": articles}
    refused(client.post("/clicks", json={"impressions": [text]}), 422, "impressions[0].user", "whole numbers")
    long = {"id": 10**6, "title": "a" * 20_001}
    refused(client.post("/articles", json={"articles": [long]}), 422, "articles[0].title", "20000")
    refused(client.get("/users"), 404, None, "there is no /users; known are .*/rank")


def test_a_service_that_takes_nothing(model: NRMS) -> None:
    with serving(model, changes=False) as client:
        refused(client.post("/articles", json={"articles": []}), 404, None, "there is no /articles")


def test_a_newer_model_keeps_what_was_posted(saved: Path) -> None:
    app = create_app(saved)
    service = app.state.service
    ids = service.served.model.known_.articles.ids
    new = int(ids.max()) + 1
    service._add([Article(id=new, title="news of today")])
    service.replace(Served(NRMS.load(saved)))
    assert service.served.model.known_.articles.ids.tolist() == [*ids.tolist(), new]
    service.close()


def test_options_of_other_models(capsys, saved: Path) -> None:
    assert "--page is for interactions" in refuse(capsys, "serve", saved, "--no-page")
    with pytest.raises(ConfigError, match="articles of news are called by their titles"):
        create_app(saved, {1: "one"})


def test_where_to_go_on(client: httpx.Client) -> None:
    told = client.get("/").json()
    assert told["paths"] == ["/", "/articles", "/clicks", "/health", "/rank", "/recommend", "/similar"]
    health = client.get("/health").json()
    assert (health["model"], health["num_items"], health["reload"]) == ("nrms", 120, "off")
    time = datetime.datetime.fromtimestamp(health["latest"], datetime.timezone.utc)
    assert time.year == 2023
    assert np.isfinite(health["latest"])
