"""The HTTP service, against the model it serves."""

import asyncio
import gc
import re
import socket
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import children
import httpx
import numpy as np
import pytest
import torch
from serving import refused, same, serving
from small_models import sparse_ids

import pyrec
from pyrec.cli import main
from pyrec.data import Interactions, Ragged
from pyrec.models import EASE, SVD, LightGCN, Popularity, Recommender
from pyrec.serve import create_app, listen
from pyrec.serve.batcher import Batcher
from pyrec.serve.errors import MOST_BODY_BYTES


@pytest.fixture(scope="module", params=["integers", "text"])
def model(request):
    return LightGCN(epochs=2, embedding_size=9, n_layers=2).fit(sparse_ids(request.param == "text"))


@pytest.fixture(scope="module")
def client(model):
    with serving(model) as client:
        yield client


@pytest.fixture(scope="module")
def integers():
    model = SVD(embedding_size=4).fit(sparse_ids(False))
    with serving(model) as client:
        yield client


class LastItem(SVD):
    """A model that goes by order: a new user is the last of their items."""

    def _query_from_items(self, histories: Ragged) -> torch.Tensor:
        return super()._query_from_items(
            Ragged.from_lists([row[-1:] for row in histories.to_lists()], histories.num_columns)
        )


def test_a_history_keeps_its_order():
    model = LastItem(embedding_size=4).fit(sparse_ids(False))
    items = model.train_.item_ids[:3].tolist()
    ask = {"n": 5, "filter_seen": False}
    with serving(model) as client:
        for history in (items, items[::-1], [items[2], items[0], items[2]]):
            answer = client.post("/recommend", json={"histories": [history], **ask}).json()
            alone = client.post("/recommend", json={"histories": [history[-1:]], **ask}).json()
            assert answer == alone
            assert answer["items"] == model.recommend_for_items([history], 5, filter_seen=False)[0].tolist()
        first, last = (
            client.post("/recommend", json={"histories": [h], **ask}).json() for h in (items, items[::-1])
        )
        assert first != last


def test_known_users(model, client):
    users = model.train_.user_ids[[3, 0, 3]].tolist()
    same(client.post("/recommend", json={"users": users, "n": 5}), model.recommend(users, 5))
    same(client.post("/recommend", json={"users": users}), model.recommend(users))
    request = {"users": users, "n": 7, "filter_seen": False}
    same(client.post("/recommend", json=request), model.recommend(users, 7, filter_seen=False))


def test_only_some_items(model, client):
    users, items = model.train_.user_ids[:4].tolist(), model.train_.item_ids.tolist()
    some, few = items[5:25], items[8:12]
    request = {"users": users, "n": 12, "items": some}
    same(client.post("/recommend", json=request), model.recommend(users, 12, items=some))
    left = [item for item in some if item not in few]
    same(client.post("/recommend", json=request | {"exclude": few}), model.recommend(users, 12, items=left))
    rest = [item for item in items if item not in few]
    request = {"users": users, "n": 12, "exclude": few}
    same(client.post("/recommend", json=request), model.recommend(users, 12, items=rest))
    refused(client.post("/recommend", json=request | {"exclude": items}), 422, "exclude", "leaves nothing")


def test_lists_that_end_early_have_no_padding(model, client):
    users, few = model.train_.user_ids[:2].tolist(), model.train_.item_ids[:3].tolist()
    answer = client.post("/recommend", json={"users": users, "items": few, "n": 10}).json()
    assert all(len(row) <= 3 for row in answer["items"])
    assert [len(row) for row in answer["items"]] == [len(row) for row in answer["scores"]]


def test_new_users(model, client):
    items = model.train_.item_ids.tolist()
    histories = [items[2:4], [items[9], items[9]]]
    expected = model.recommend_for_items(histories, 6)
    same(client.post("/recommend", json={"histories": histories, "n": 6}), expected)
    emptied = {"histories": [items[:1], []], "fallback": "none"}
    refused(client.post("/recommend", json=emptied), 422, "histories[1]", "empty")
    wrong = [items[:1], [items[0], items[0] * 9]]
    refused(client.post("/recommend", json={"histories": wrong}), 404, "histories[1][1]", "not known")


def test_similar_items_are_those_of_largest_cosine(model, client):
    asked = model.train_.item_ids[[4, 1]].tolist()
    response = client.post("/similar", json={"items": asked, "n": 5})
    vectors = model.item_vectors_.double().numpy()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = vectors[[4, 1]] @ vectors.T
    cosine[[0, 1], [4, 1]] = -2
    best = np.argsort(-cosine, axis=1)[:, :5]
    assert response.json()["items"] == model.train_.item_ids[best].tolist()
    np.testing.assert_allclose(response.json()["scores"], np.take_along_axis(cosine, best, 1), rtol=1e-4)


def test_similar_items_follow_a_second_fit():
    model = SVD(embedding_size=4).fit(sparse_ids(False))
    model.similar_items([8])
    other = Interactions.from_arrays(*(np.random.default_rng(0).integers(0, 30, (2, 200))))
    fresh = SVD(embedding_size=4).fit(other).similar_items(other.item_ids[:3])
    np.testing.assert_array_equal(model.fit(other).similar_items(other.item_ids[:3])[0], fresh[0])


def test_health(model, client):
    answer = client.get("/health").json()
    assert answer["status"] == "ok"
    assert answer["model"] == "lightgcn"
    assert (answer["num_users"], answer["num_items"]) == (60, model.train_.num_items)


def test_unknown_ids_are_named_and_no_others(model, client):
    known = model.train_.user_ids[:1].tolist()[0]
    unknown = "niemand ☃" if isinstance(known, str) else 999_999
    response = client.post("/recommend", json={"users": [known, unknown, known, unknown]})
    refused(response, 404, "users[1]", f"{unknown!r} is not known to this model")
    assert str(model.train_.user_ids[1]) not in response.text
    item = "x" if isinstance(known, str) else -1
    for body in ({"users": [known], "items": [item]}, {"users": [known], "exclude": [item]}):
        refused(client.post("/recommend", json=body), 404, f"{list(body)[1]}[0]", "not known")
    refused(client.post("/similar", json={"items": [item]}), 404, "items[0]", "not known")


@pytest.mark.parametrize(
    ("body", "argument", "message"),
    [
        ({}, None, "give users or histories"),
        ({"users": [100], "histories": [[7]]}, None, "one of the two"),
        ({"users": []}, "users", "at least 1 item"),
        ({"users": 100}, "users", "valid list"),
        ({"users": "100"}, "users", "valid list"),
        ({"users": ["100"]}, "users[0]", "ids of this model are whole numbers"),
        ({"users": [100, True]}, "users[1]", "an id is a whole number"),
        ({"users": [100.0]}, "users[0]", "an id is a whole number"),
        ({"users": [None]}, "users[0]", "an id is a whole number"),
        ({"users": [[100]]}, "users[0]", "an id is a whole number"),
        ({"users": [2**63]}, "users[0]", "64 bits"),
        ({"users": ["a\0b"]}, "users[0]", "other than NUL"),
        ({"users": [""]}, "users[0]", "1 to 1024 characters"),
        ({"users": ["x" * 1025]}, "users[0]", "1024"),
        ({"users": [100] * 1001}, "users", "at most 1000 items"),
        ({"histories": [[7] * 10_001]}, "histories[0]", "at most 10000 items"),
        ({"users": [100], "n": 0}, "n", "greater than or equal to 1"),
        ({"users": [100], "n": 1001}, "n", "less than or equal to 1000"),
        ({"users": [100], "n": 46}, "n", "items; ask for fewer"),
        ({"users": [100], "n": "5"}, "n", "valid integer"),
        ({"users": [100], "n": True}, "n", "valid integer"),
        ({"users": [100], "filter_seen": "no"}, "filter_seen", "valid boolean"),
        ({"users": [100], "items": []}, "items", "at least 1 item"),
        ({"users": [100], "exclude": 7}, "exclude", "valid list"),
        ({"users": [100], "k": 5}, "k", "unknown field 'k'; known are users, histories, n, filter_seen"),
        ({"user": [100]}, "user", r"unknown field 'user'.*; did you mean users\?"),
        ({"users": [100], "filterseen": True}, "filterseen", r"did you mean filter_seen\?"),
        ({"users": [100], "fallback": "random"}, "fallback", "'popularity' or 'none'"),
        ({"users": [100], "names": 1}, "names", "valid boolean"),
        ([], None, "dictionary"),
    ],
    ids=str,
)
def test_bad_requests_name_the_argument(integers, body, argument, message):
    refused(integers.post("/recommend", json=body), 422, argument, message)


def test_ids_that_training_takes_are_served():
    items = ["b\u00a0x", "tab\tnewline\n", "\u200b", "\U0001f600", "x" * 1024]
    train = Interactions.from_arrays(["u\u00a0v"] * 2 + ["w"] * 5, [*items[:2], *items])
    with serving(Popularity().fit(train)) as client:
        answer = client.post("/recommend", json={"users": ["u\u00a0v"], "n": 1, "filter_seen": False}).json()
        (first,) = answer["items"][0]
        again = client.post(
            "/recommend", json={"users": ["w"], "n": 4, "filter_seen": False, "exclude": [first]}
        )
        assert set(again.json()["items"][0]) == set(items) - {first}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"users": [' + b"9" * 5000 + b"]}",
        b"[" * 100_000,
        b'{"users": [NaN]}',
        b'{"users": ["\\ud800"]}',
    ],
    ids=["empty", "cut", "bytes", "digits", "deep", "nan", "surrogate"],
)
def test_bodies_that_are_no_request(integers, content):
    response = integers.post("/recommend", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.json()["error"]["message"]


def test_long_bodies_are_refused(integers):
    long = b'{"users": [100' + b" " * MOST_BODY_BYTES + b"]}"
    headers = {"Content-Type": "application/json"}
    refused(integers.post("/recommend", content=long, headers=headers), 413, None, "longer than 1048576")
    pieces = (long[start : start + 1000] for start in range(0, len(long), 1000))  # sent without a length
    refused(integers.post("/recommend", content=pieces, headers=headers), 413, None, "longer than 1048576")
    fits = b'{"users": [100' + b" " * (MOST_BODY_BYTES - 20) + b"]}"
    assert integers.post("/recommend", content=fits, headers=headers).status_code == 200


def test_paths_and_methods_that_are_not_there(integers):
    known = "/, /explain, /health, /history, /items, /recommend, /similar, /users"
    refused(
        integers.get("/nothing"), 404, None, f"there is no /nothing; known are {known}, and /openapi.json"
    )
    response = integers.get("/recommend")
    refused(response, 405, None, "GET is not answered at /recommend; use POST")
    assert response.headers["allow"] == "POST"
    assert "/recommend" in integers.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"content-type": "text/plain"}, "content type 'text/plain'"),
        ({"content-type": "application/x-www-form-urlencoded"}, "form-urlencoded'"),
        ({}, "no content type"),
    ],
    ids=str,
)
def test_a_body_of_another_type_is_told_so(integers, sent, told):
    response = integers.post("/recommend", content=b'{"users": [100]}', headers=sent)
    refused(response, 422, None, f"{told}, but JSON is read; send the header content-type: application/json")


def test_json_by_other_types_is_read(integers):
    for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"):
        response = integers.post("/recommend", content=b'{"users": [100]}', headers={"content-type": kind})
        assert response.status_code == 200, kind
    response = integers.post("/recommend", content=b"{", headers={"content-type": "application/json"})
    refused(response, 400, None, "the body is no JSON: ")


@pytest.mark.parametrize("path", ["/", "/health", "/openapi.json", "/users", "/nothing", "/page/page.js"])
def test_head_is_get_without_its_body(integers, path):
    head, got = integers.head(path), integers.get(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    assert got.content != b""
    assert head.headers["content-length"] == str(len(got.content))


def test_programs_are_told_where_to_go_on(integers):
    for accept in ("application/json", "*/*"):
        answer = integers.get("/", headers={"accept": accept})
        assert answer.json()["openapi"] == "/openapi.json"
        assert "/recommend" in answer.json()["paths"]
        assert answer.headers["vary"] == "accept"


@pytest.mark.parametrize("model", [Popularity(), EASE(reg=5)], ids=["popularity", "ease"])
def test_models_without_vectors_or_taste(model):
    model.fit(sparse_ids(False))
    with serving(model) as client:
        same(client.post("/recommend", json={"users": [100, 103]}), model.recommend([100, 103]))
        response = client.post("/similar", json={"items": [8]})
        if model.personal:
            same(response, model.similar_items([8]))
        else:
            refused(response, 422, None, "knows no likeness")


def test_concurrent_requests_get_their_own_answers(model, client):
    rng = np.random.default_rng(0)
    asked = [
        (
            rng.choice(model.train_.user_ids, rng.integers(1, 4)).tolist(),
            int(rng.integers(1, 20)),
            bool(k % 3),
        )
        for k in range(120)
    ]

    def ask(request):
        users, n, filter_seen = request
        return client.post("/recommend", json={"users": users, "n": n, "filter_seen": filter_seen})

    with ThreadPoolExecutor(8) as pool:
        for response, (users, n, filter_seen) in zip(pool.map(ask, asked), asked, strict=True):
            same(response, model.recommend(users, n, filter_seen))


async def ask(app, users):
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post("/recommend", json={"users": users})


async def start_and_ask(app, users):
    async with app.router.lifespan_context(app):
        return await ask(app, users)


def test_an_application_starts_more_than_once():
    model = SVD(embedding_size=4).fit(sparse_ids(False))
    app = create_app(model)
    for _ in range(2):
        same(asyncio.run(start_and_ask(app, [100])), model.recommend([100]))


def test_an_application_answers_without_a_start():
    model = SVD(embedding_size=4).fit(sparse_ids(False))
    same(asyncio.run(ask(create_app(model), [100])), model.recommend([100]))


def test_a_start_that_fails_leaves_no_thread(monkeypatch):
    model = SVD(embedding_size=4).fit(sparse_ids(False))
    app, before = create_app(model), set(threading.enumerate())
    with monkeypatch.context() as broken:
        broken.setattr(model, "recommend", None)
        with pytest.raises(TypeError, match="'NoneType' object is not callable"):
            asyncio.run(start_and_ask(app, [100]))
    assert set(threading.enumerate()) <= before
    same(asyncio.run(start_and_ask(app, [100])), model.recommend([100]))


# The batcher, with a search that waits until it is let go.


class SlowSearch:
    def __init__(self):
        self.go = threading.Event()
        self.calls = []

    def __call__(self, _, users, k, filter_seen, __):
        self.go.wait(10)
        self.calls.append((users.tolist(), k, filter_seen))
        if 13 in users:
            raise ValueError("13")
        ids = users[:, None] * 100 + np.arange(k, dtype=np.int32)
        return ids, ids.astype(np.float32), ids % 2 == 1


def batched(asked, most_users=1024):
    """Asks one model for (users, k, filter_seen) while a first search runs; the answers and the searches made."""
    search, model = SlowSearch(), SVD(embedding_size=4).fit(sparse_ids(False))

    async def run():
        batcher = Batcher(search, pool, most_users)
        first = asyncio.create_task(batcher.ask(model, np.array([0]), 1, True))
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(batcher.ask(model, np.array(users), k, seen)) for users, k, seen in asked]
        await asyncio.sleep(0.01)
        search.go.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    with ThreadPoolExecutor(1) as pool:
        answers = asyncio.run(run())
    return answers[1:], search.calls[1:]


def test_requests_that_wait_are_searched_together():
    asked = [([1], 4, True), ([2, 3], 6, True), ([4], 5, False), ([5], 40, True), ([6], 7, True)]
    answers, calls = batched(asked)
    assert calls == [([1, 2, 3, 6], 7, True), ([4], 5, False), ([5], 40, True)]
    for (users, k, _), (ids, scores, is_fallback) in zip(asked, answers, strict=True):
        assert ids.tolist() == [[100 * user + j for j in range(k)] for user in users]
        assert (ids == scores).all()
        assert (ids % 2 == is_fallback).all()


def test_another_fallback_is_another_search():
    search, model = SlowSearch(), SVD(embedding_size=4).fit(sparse_ids(False))
    search.go.set()

    async def run():
        batcher = Batcher(search, pool)
        await asyncio.gather(
            *(batcher.ask(model, np.array([1]), 2, True, how) for how in ("none", "popularity", "none"))
        )

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(run())
    assert [users for users, _, _ in search.calls] == [[1, 1], [1]]


def test_batches_are_bounded():
    _, calls = batched([([1, 2], 3, True), ([3, 4], 3, True), ([5], 3, True), ([6, 7, 8, 9], 3, True)], 3)
    assert [users for users, _, _ in calls] == [[1, 2, 5], [3, 4], [6, 7, 8, 9]]


def test_a_failed_search_fails_its_requests_alone():
    answers, _ = batched([([13], 2, True), ([1], 2, False)])
    assert isinstance(answers[0], ValueError)
    assert answers[1][0].tolist() == [[100, 101]]


def test_a_model_that_is_served_no_more_is_let_go():
    model = SVD(embedding_size=4).fit(sparse_ids(False))
    with serving(model) as client:
        assert client.get("/health").status_code == 200
    known = weakref.ref(model)
    del model
    gc.collect()
    assert known() is None


# The command.


@pytest.fixture
def run_dir(tmp_path):
    LightGCN(epochs=1, embedding_size=4, n_layers=1).fit(sparse_ids(True)).save(tmp_path / "run")
    return tmp_path / "run"


def test_the_command_serves_on_the_loopback(run_dir):
    words = ("serve", run_dir, "--port", 0, "--threads", 1)
    process = children.start("-m", "pyrec.cli", *words, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        url = re.search(r"on (http://127\.0\.0\.1:\d+);", line).group(1)
        model = Recommender.load(run_dir)
        user = model.train_.user_ids[:1].tolist()[0]
        same(httpx.post(f"{url}/recommend", json={"users": [user]}, timeout=30), model.recommend([user]))
        refused(httpx.get(f"{url}/users", headers={"host": "evil.example"}), 421, "host", "evil")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_what_cannot_be_served(run_dir, tmp_path, capsys, monkeypatch):
    assert main(["serve", str(tmp_path)]) == 2
    assert main(["serve", str(run_dir), "--host", "192.0.2.1"]) == 2
    assert "host 192.0.2.1, port 8000" in capsys.readouterr().err
    with pytest.raises(pyrec.NotFittedError):
        create_app(SVD())
    for module in ("fastapi", "uvicorn"):
        monkeypatch.setitem(sys.modules, module, None)
        assert main(["serve", str(run_dir)]) == 2
        assert f"serving needs {module}: pip install '.[serve]'" in capsys.readouterr().err
        monkeypatch.undo()


def test_on_the_loopback_other_names_are_refused():
    model = Popularity().fit(sparse_ids(False))
    with serving(model, hosts=["Shop.Example"]) as client:
        for host in (
            "localhost",
            "localhost:80",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:8000",
            "LOCALHOST.",
        ):
            assert client.get("/health", headers={"host": host}).status_code == 200, host
        for host in ("shop.example", "SHOP.example:443", "shop.example."):
            assert client.get("/health", headers={"host": host}).status_code == 200, host
        for host in (
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[",
            "192.0.2.1",
        ):
            response = client.get("/health", headers={"host": host})
            name = host.removesuffix(":8000")
            refused(
                response, 421, "host", re.escape(f"--allow-host {name}") if name != "[" else "does not answer"
            )
        assert (
            client.post("/recommend", json={"users": [100]}, headers={"host": "evil.example"}).status_code
            == 421
        )
    with serving(model) as client:
        assert client.get("/health", headers={"host": "evil.example"}).status_code == 200


def test_connections_send_at_once():
    with listen() as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_openapi_describes_the_errors(integers):
    described = integers.get("/openapi.json").json()
    answer = described["paths"]["/recommend"]["post"]["responses"]["404"]["content"]["application/json"][
        "schema"
    ]
    assert answer["$ref"].endswith("/Refusal")
    assert "error" in described["components"]["schemas"]["Refusal"]["properties"]
