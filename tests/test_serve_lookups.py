"""What the service tells beside lists: names, histories, explanations, ids as they are typed, and what it skipped."""

import unicodedata

import numpy as np
import pytest
from serving import refused, serving
from small_models import sparse_ids

from pyrec.data import Interactions
from pyrec.models import EASE, SVD, LightGCN, Popularity
from pyrec.serve.lookup import BLOCK, Lookup, folded

NAMES = {7: "Star Wars (1977)", 8: "Léon", 9: "The STAR of Bethlehem", 10: "Wars", 12: "100"}


def told() -> Interactions:
    """Items 7 to 12 with 1, 1, 3, 3, 4 and 6 users; user 5 had 9, then 7, then 12."""
    pairs = [(user, item) for item in range(7, 13) for user in range(20, 20 + item - 7)]
    users, items = np.array([*pairs, (5, 9), (5, 7), (5, 12)]).T
    return Interactions.from_arrays(users, items, times=np.arange(len(users)))


@pytest.fixture(scope="module")
def client():
    with serving(EASE(reg=1).fit(told()), item_names=NAMES) as client:
        yield client


@pytest.fixture(scope="module")
def text():
    model = LightGCN(epochs=2, embedding_size=8, n_layers=2).fit(sparse_ids(True))
    with serving(model) as client:
        yield client, model


def test_names_are_told_where_asked(client):
    plain = client.post("/recommend", json={"users": [5], "n": 2}).json()
    assert "names" not in plain
    answer = client.post("/recommend", json={"users": [5], "n": 2, "names": True}).json()
    assert answer["names"] == [[NAMES.get(item) for item in answer["items"][0]]]
    answer.pop("names")
    assert answer == plain
    answer = client.post("/similar", json={"items": [9, 12], "n": 5, "names": True}).json()
    assert answer["names"] == [[NAMES.get(item) for item in row] for row in answer["items"]]
    assert None in answer["names"][0]


def test_a_history_is_latest_first_or_by_id(client, text):
    answer = client.post("/history", json={"users": [5, 20], "names": True}).json()
    assert answer["items"] == [[12, 7, 9], [12, 11, 10, 9, 8]]
    assert answer["names"][0] == ["100", "Star Wars (1977)", "The STAR of Bethlehem"]
    assert answer["order"] == "time"
    assert client.post("/history", json={"users": [5], "n": 2}).json()["items"] == [[12, 7]]
    other, model = text
    train = model.train_
    user = train.user_ids[3:4].tolist()
    answer = other.post("/history", json={"users": user}).json()
    assert answer == {"items": [train.item_ids[train.items[train.users == 3]].tolist()], "order": "id"}
    refused(other.post("/history", json={"users": ["nobody"]}), 404, "users[0]", "not known")
    refused(client.post("/history", json={"users": [5] * 101}), 422, "users", "at most 100")
    refused(
        client.post("/history", json={"users": [5], "n": 10_001}), 422, "n", "less than or equal to 10000"
    )


def test_equal_times_are_by_ascending_id():
    least, most = -(2**63), 2**63 - 1
    train = Interactions.from_arrays([1] * 5, [3, 1, 2, 5, 4], times=[least, 7, 7, most, 7])
    with serving(Popularity().fit(train)) as client:
        assert client.post("/history", json={"users": [1]}).json()["items"] == [[5, 1, 2, 4, 3]]


def test_fallbacks_are_marked():
    train = Interactions.from_arrays([1, 1, 2, 3, 3], [1, 2, 2, 3, 4], user_ids=[1, 2, 3, 9])
    with serving(EASE(reg=1).fit(train)) as client:
        both = client.post("/recommend", json={"users": [9, 2], "n": 3}).json()
        assert both["items"][0] == [2, 1, 3]
        assert both["is_fallback"][0] == [True] * 3
        assert both["items"][1] == [1, 3, 4]
        assert both["is_fallback"][1] == [False, True, True]
        new = client.post("/recommend", json={"histories": [[2], []], "n": 3}).json()
        assert new["is_fallback"] == [[False, True, True], [True] * 3]
        chosen = client.post("/recommend", json={"users": [9], "n": 3, "items": [3, 4]}).json()
        assert (chosen["items"], chosen["is_fallback"]) == ([[3, 4]], [[True, True]])
        none = client.post("/recommend", json={"users": [9], "n": 3, "fallback": "none"}).json()
        assert none["is_fallback"] == [[False] * 3]
        refused(
            client.post("/recommend", json={"histories": [[]], "fallback": "none"}),
            422,
            "histories[0]",
            "empty",
        )


@pytest.mark.parametrize("kind", ["integers", "text"])
def test_unknown_ids_are_skipped_where_asked(kind):
    model = SVD(embedding_size=4).fit(sparse_ids(kind == "text"))
    users, items = model.train_.user_ids[:2].tolist(), model.train_.item_ids[:4].tolist()
    no, none = ("x", "y") if kind == "text" else (-1, -2)
    with serving(model) as client:
        skip = {"n": 3, "ignore_unknown": True}
        answer = client.post("/recommend", json={"users": [no, users[0], none, users[1], no], **skip}).json()
        expected = model.recommend(users, 3)[0].tolist()
        assert answer["items"] == [[], expected[0], [], expected[1], []]
        assert [len(row) for row in answer["scores"]] == [len(row) for row in answer["items"]]
        assert answer["unknown"] == {"users": [no, none]}
        answer = client.post("/recommend", json={"users": [no], **skip}).json()
        assert (answer["items"], answer["unknown"]) == ([[]], {"users": [no]})
        body = {"users": users, "items": [*items, no], "exclude": [items[0], none], **skip}
        answer = client.post("/recommend", json=body).json()
        assert answer["items"] == [
            row[:n]
            for row, n in zip(
                model.recommend(users, 3, items=items[1:])[0].tolist(), map(len, answer["items"]), strict=True
            )
        ]
        assert answer["unknown"] == {"items": [no], "exclude": [none]}
        answer = client.post("/recommend", json={"histories": [[no, items[0]], [none, no]], **skip}).json()
        assert answer["items"][0] == model.recommend_for_items([items[:1]], 3)[0][0].tolist()
        assert answer["is_fallback"] == [[False] * 3, [True] * 3]
        assert answer["unknown"] == {"histories": [no, none]}
        answer = client.post("/similar", json={"items": [items[0], no], **skip}).json()
        assert answer["items"] == [model.similar_items(items[:1], 3)[0][0].tolist(), []]
        assert answer["unknown"] == {"items": [no]}
        answer = client.post("/history", json={"users": [no, users[0]], "ignore_unknown": True}).json()
        assert (answer["items"][0], answer["unknown"]) == ([], {"users": [no]})
        assert client.post("/recommend", json={"users": users, **skip}).json()["unknown"] == {}
        refused(
            client.post("/recommend", json={"users": users, "items": [no], **skip}), 422, "items", "knows"
        )
        wrong = 5 if kind == "text" else "5"
        refused(
            client.post("/recommend", json={"users": [wrong], **skip}), 422, "users[0]", "ids of this model"
        )


def test_scores_are_explained(client, text):
    model = EASE(reg=1).fit(told())
    answer = client.post("/explain", json={"user": 5, "item": 10, "names": True}).json()
    why = model.explain(5, 10).as_dict()
    assert answer["kind"] == "exact"
    assert sum(part["value"] for part in answer["parts"]) == pytest.approx(answer["score"], rel=1e-5)
    assert (answer["item"], answer["item_name"]) == (10, "Wars")
    assert [part["name"] for part in answer["parts"]] == [NAMES[part["item"]] for part in answer["parts"]]
    assert answer["parts"][0]["value"] == pytest.approx(why["parts"][0]["value"])
    answer = client.post("/explain", json={"history": [9, 7]}).json()
    best = model.recommend_for_items([[9, 7]], 1)
    assert (answer["item"], answer["rank"], answer["user"]) == (best[0][0][0], 1, None)
    assert answer["score"] == pytest.approx(best[1][0][0], rel=1e-5)
    assert "name" not in answer["parts"][0]
    answer = client.post("/explain", json={"history": [], "item": 11}).json()
    assert (answer["is_fallback"], answer["kind"], answer["score"]) == (True, "popularity", 4)
    other, graph = text
    user, item = graph.train_.user_ids[0], graph.train_.item_ids[5]
    answer = other.post("/explain", json={"user": user, "item": item}).json()
    assert answer["kind"] == "left out"
    assert len(answer["layers"]) == len(answer["layer_weights"]) == 3
    assert sum(answer["layers"]) == pytest.approx(answer["score"], rel=1e-4)


@pytest.mark.parametrize(
    ("body", "status", "argument", "message"),
    [
        ({}, 422, None, "give user or history"),
        ({"user": 5, "history": [9]}, 422, None, "one of the two"),
        ({"user": 4}, 404, "user", "4 is not known"),
        ({"user": "5"}, 422, "user", "whole numbers"),
        ({"user": 5, "item": 99}, 404, "item", "99 is not known"),
        ({"history": [9, 99]}, 404, "history[1]", "99 is not known"),
        ({"users": [5]}, 422, "users", "did you mean user"),
    ],
    ids=str,
)
def test_what_cannot_be_explained(client, body, status, argument, message):
    refused(client.post("/explain", json=body), status, argument, message)


def ids(response):
    assert response.status_code == 200, response.text
    return response.json()["ids"]


def test_items_are_found_by_words_of_their_name_or_by_id(client):
    def find(search):
        return ids(client.get("/items", params={"search": search}))

    assert find("star") == [9, 7]  # the more popular first
    assert find("  WARS star ") == [7]
    assert find("leon") == [8]
    assert find("LÉON") == [8]
    assert find("12") == [12]
    assert find("10") == [10, 12]  # the id itself before a name that has it
    assert find("nothing") == []
    assert find("") == [12, 11, 9, 10, 7, 8]
    assert ids(client.get("/items", params={"limit": 2})) == [12, 11]
    answer = client.get("/items", params={"search": "wars"}).json()
    assert answer == {"ids": [10, 7], "names": ["Wars", "Star Wars (1977)"]}
    answer = client.get("/items", params={"id": ["11", "8", "nine", "99"]}).json()
    assert answer == {"ids": [11, 8], "names": [None, "Léon"]}


def test_bounds_of_a_search(client):
    refused(client.get("/items", params={"limit": 0}), 422, "limit", "greater than or equal to 1")
    refused(client.get("/items", params={"limit": 101}), 422, "limit", "less than or equal to 100")
    refused(client.get("/users", params={"prefix": "1" * 201}), 422, "prefix", "at most 200")
    assert ids(client.get("/users", params={"prefix": "2", "limit": 3})) == [20, 21, 22]


NUMBERS = [-(2**63), -120, -12, -1, 0, 1, 2, 10, 12, 17, 100, 120, 170, 1000, 1799, 2**62, 2**63 - 1]
TEXTS = ["a", "ab", "abc", "b", "ba", "zz", "ä", "äb", "☃"]


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("known", [NUMBERS, TEXTS], ids=["numbers", "texts"])
def test_users_are_found_by_the_beginning_of_their_id(known, ascending):
    order = known if ascending else known[::-1]
    train = Interactions.from_arrays(known, [1] * len(known), user_ids=order)
    lookup = Lookup(train, {})
    for prefix in {str(raw)[:length] for raw in known for length in range(1, 25)}:
        found = lookup.users(prefix, 100)
        assert set(found) == {raw for raw in known if str(raw).startswith(prefix)}, prefix
        lengths = [len(str(raw)) for raw in found]
        assert found == sorted(found) if known is TEXTS else lengths == sorted(lengths) or prefix == "-"
        assert lookup.users(prefix, 2) == found[:2]
    assert lookup.users("", 100) == known
    assert lookup.users("", 3) == known[:3]
    for prefix in ("x", "-x", "00", "-0", "1.", "9" * 30, "\u0661", "\U0010ffff"):
        assert lookup.users(prefix, 5) == []


def test_a_search_goes_through_blocks_of_items():
    count = BLOCK + 10
    train = Interactions.from_arrays([1] * count, range(count))
    lookup = Lookup(train, {BLOCK + 5: "needle", 3: "need\nle"})
    assert lookup.items("needle", 5) == [BLOCK + 5]
    assert lookup.items("need le", 5) == [3, BLOCK + 5]
    assert lookup.items("", count) == list(range(count))
    assert lookup.items(str(BLOCK + 9), 5) == [BLOCK + 9]


def test_texts_are_compared_without_case_and_accents():
    assert (
        folded("  Amélie\n POULAIN ")
        == folded(unicodedata.normalize("NFD", "amélie poulain"))
        == "amelie poulain"
    )
    assert folded("Straße") == folded("STRASSE")


def test_lookups_follow_the_model_that_is_served():
    model = Popularity().fit(told())
    with serving(model) as client:
        assert ids(client.get("/users", params={"prefix": "5"})) == [5]
        assert ids(client.get("/items", params={"search": "7"})) == [7]
        model.fit(Interactions.from_arrays([51, 52], [70, 71]))
        assert ids(client.get("/users", params={"prefix": "5"})) == [51, 52]
        assert ids(client.get("/items", params={"search": "7"})) == [70, 71]


def test_without_the_page_no_ids_are_told():
    with serving(Popularity().fit(told()), page=False) as client:
        for path in ("/users", "/items", "/page/page.js"):
            refused(client.get(path), 404, None, f"there is no {path}")
        refused(client.post("/history", json={"users": [5]}), 404, None, "there is no /history")
        answer = client.get("/", headers={"accept": "text/html"}).json()
        assert answer["paths"] == ["/", "/explain", "/health", "/recommend", "/similar"]


def test_openapi_describes_what_is_answered(client):
    described = client.get("/openapi.json").json()
    assert {"/recommend", "/similar", "/explain", "/history", "/users", "/items", "/health"} <= set(
        described["paths"]
    )
    answer = described["components"]["schemas"]
    assert {"items", "scores", "is_fallback", "names", "unknown"} == set(answer["Recommended"]["properties"])
    body = client.post("/explain", json={"user": 5, "names": True}).json()
    assert set(body) == set(answer["Explained"]["properties"])
    assert {"search", "limit", "id"} == {
        one["name"] for one in described["paths"]["/items"]["get"]["parameters"]
    }
