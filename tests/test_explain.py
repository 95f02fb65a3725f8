"""Why an item has its score: sums to the score, brute force where an item is left out, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import refuse, run
from networks import COMBINES, make_network
from small_models import SMALL, fit_data, make, texts
from strategies import random_graph
from torch.nn import functional

import pyrec
from pyrec.data import Interactions, Ragged
from pyrec.data.synthetic import synthetic
from pyrec.errors import DataError, NotFittedError, UnknownIdError
from pyrec.graph import Graph
from pyrec.models import MODELS, LightGCN, Recommender, graph_recommender
from pyrec.models.explain import BF16_TOLERANCE, TOLERANCE
from pyrec.models.vectors import VectorRecommender
from pyrec.nn.encoder import Table
from pyrec.nn.without_edges import scores_without
from pyrec.store import item_names

EXACT: dict[str, Recommender] = {
    "ease": MODELS["ease"](reg=5.0),
    "ease, some weights": MODELS["ease"](reg=5.0, neighbors=8),
    "itemknn": MODELS["itemknn"](neighbors=8),
    "graph-filter": MODELS["graph-filter"](vectors=4, order=2),
    "svd": make("svd"),
    "fusion": MODELS["fusion"]("graph-filter", MODELS["svd"](6), weight=0.3),
    **{
        f"users from items, {combine}, {loss}": LightGCN(
            **SMALL, n_layers=3, encoder="items", combine=combine, loss=loss
        )
        for combine in ("mean", "attention", "self-attention")
        for loss in ("softmax", "pointwise")
    },
}
"""Models that explain known users exactly."""
FOR_ITEMS: dict[str, Recommender] = {
    **EXACT,
    "fusion of lightgcn": MODELS["fusion"]("ease", make("lightgcn"), weight=0.6),
    "mf": make("mf"),
    "mf, bpr": MODELS["mf"](**SMALL, loss="bpr"),
    "mf, ranked by inner products": MODELS["mf"](**SMALL, loss=pyrec.Softmax(rank_by="inner")),
    "lightgcn": make("lightgcn"),
    "lightgcn, bpr": LightGCN(**SMALL, n_layers=3, combine="self-attention", loss="bpr"),
}
"""Models that explain new users exactly."""
HISTORY = ["i4", "i17", "i9", "i4"]


def cold_user() -> Interactions:
    """The data with one more user, who has nothing, and one more item, which nobody had."""
    x = texts()
    return Interactions.from_arrays(
        x.user_ids[x.users],
        x.item_ids[x.items],
        user_ids=[*x.user_ids, "cold"],
        item_ids=[*x.item_ids, "new"],
    )


def is_the_sum(why: pyrec.Explanation) -> bool:
    """Whether the parts make the score, as the tolerance says."""
    values = [part.value for part in why.parts] + [why.remainder or 0.0]
    return abs(sum(values) - why.score) <= TOLERANCE * sum(map(abs, values))


# Exact parts


@pytest.mark.parametrize("name", EXACT)
def test_the_parts_of_a_known_user_sum_to_the_score(name: str) -> None:
    model = EXACT[name].clone().fit(texts())
    ids, scores = model.recommend(["u3"], 5)
    for at, item in enumerate(ids[0]):
        why = model.explain("u3", item)
        assert (why.kind, why.rank, why.seen) == ("exact", at + 1, False)
        assert why.score == pytest.approx(scores[0, at], rel=1e-5)
        assert is_the_sum(why)
        assert sorted(part.item for part in why.parts) == sorted(why.history)
        magnitudes = [abs(part.value) for part in why.parts]
        assert magnitudes == sorted(magnitudes, reverse=True)


@pytest.mark.parametrize("name", FOR_ITEMS)
def test_the_parts_of_a_new_user_sum_to_the_score(name: str) -> None:
    model = FOR_ITEMS[name].clone().fit(texts())
    ids, scores = model.recommend_for_items([HISTORY], 5)
    for at, item in enumerate(ids[0]):
        why = model.explain_for_items(HISTORY, item)
        assert (why.kind, why.rank, why.user, why.history) == ("exact", at + 1, None, tuple(HISTORY))
        assert why.score == pytest.approx(scores[0, at], rel=1e-5)
        assert is_the_sum(why)
        assert {part.item for part in why.parts} == set(HISTORY)


@pytest.mark.parametrize("name", ["mf", "lightgcn, bpr"])
def test_of_a_new_user_the_mean_user_is_told_apart(name: str) -> None:
    train = texts()
    model = FOR_ITEMS[name].clone().fit(train)
    why = model.explain_for_items(HISTORY)
    mean = (
        model.user_vectors_.double().mean(0) @ model.item_vectors_[train.encode_items([why.item])[0]].double()
    )
    own = Ragged.from_lists([train.encode_items(HISTORY)], train.num_items)
    length = model._folded_in(own.csr()).norm() if model._by_cosine else 1.0
    assert why.remainder == pytest.approx(float(mean / length), rel=1e-5)
    assert "the mean user" in why.summary()


def test_the_tolerance_is_of_the_size_of_rounding() -> None:
    """The sum without its smallest part, or of parts that are a thousandth larger, is refused."""
    why = EXACT["svd"].clone().fit(texts()).explain("u3")
    assert is_the_sum(why)
    fewer = pyrec.Explanation(**{**vars(why), "parts": why.parts[:-1]})
    larger = [part._replace(value=part.value * 1.001) for part in why.parts]
    assert not is_the_sum(fewer)
    assert not is_the_sum(pyrec.Explanation(**{**vars(why), "parts": tuple(larger)}))


@pytest.mark.parametrize("combine", ["mean", "attention"])
def test_layers_of_sixteen_bits_are_exact_to_their_rounding(combine: str) -> None:
    options = SMALL | {"n_layers": 3, "encoder": "items", "precision": "bf16", "combine": combine}
    why = LightGCN(**options).fit(texts()).explain("u3")
    values = [part.value for part in why.parts]
    assert why.kind == "exact"
    assert not is_the_sum(why)
    assert abs(sum(values) - why.score) <= BF16_TOLERANCE * sum(map(abs, values))


def test_parts_are_the_weights_of_item_to_item_models() -> None:
    train = texts()
    for name in ("ease", "ease, some weights", "itemknn"):
        model = EXACT[name].clone().fit(train)
        dense = model.weights_ if name == "ease" else model.weights_.toarray()
        why = model.explain("u3", "i2")
        for part in why.parts:
            assert part.value == dense[train.encode_items([part.item])[0], train.encode_items(["i2"])[0]]


def test_parts_of_singular_vectors_are_inner_products() -> None:
    train = texts()
    model = EXACT["svd"].clone().fit(train)
    for part in model.explain("u3", "i2").parts:
        mine, other = model.item_factors_[train.encode_items([part.item, "i2"])]
        assert part.value == pytest.approx(float(mine.astype(float) @ other.astype(float)), rel=1e-6)


# LightGCN: layers, and items that are left out


@pytest.mark.parametrize("loss", ["softmax", "pointwise"])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("combine", COMBINES)
def test_a_left_out_item_changes_the_score_as_a_graph_without_the_edge(
    combine: str, n_layers: int, loss: str
) -> None:
    """By cosine and by inner product; the graph without each edge is built, and all nodes are propagated."""
    train = texts()
    options = SMALL | {"learning_rate": 0.05, "n_layers": n_layers, "combine": combine, "loss": loss}
    model = LightGCN(**options).fit(train)
    user = train.encode_users(["u3"])[0]
    for item in ("i2", train.item_ids[train.items[train.users == user][0]]):
        why = model.explain("u3", item)
        assert (why.kind, why.seen, why.skipped, why.remainder) == ("left out", item != "i2", 0, None)
        assert {part.item for part in why.parts} == set(why.history)
        assert sum(why.layers) == pytest.approx(why.score, abs=TOLERANCE * sum(map(abs, why.layers)))
        assert sum(why.layer_weights) == pytest.approx(1, abs=1e-6)
        for part in why.parts:
            expected = why.score - score_without(model, "u3", part.item, item)
            assert part.value == pytest.approx(expected, abs=1e-6)
        assert max(abs(part.value) for part in why.parts) > 1e-3


def score_without(model: LightGCN, user: str, left_out: str, item: str) -> float:
    train = model.train_
    u, (j, i) = train.encode_users([user])[0], train.encode_items([left_out, item])
    graph = Graph.from_interactions(train.select(~((train.users == u) & (train.items == j))))
    vectors = model.network_.all_nodes(graph).double()
    if model._by_cosine:
        vectors = functional.normalize(vectors, dim=1)
    return float(vectors[u] @ vectors[train.num_users + i])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", COMBINES)
def test_scores_without_edges_are_those_of_smaller_graphs(device, kind: str, weighted: bool) -> None:
    """On each device, of a node with one edge, too, and of graphs whose edges have weights."""
    graph = random_graph(30, 20, 0.15)
    num_pairs = graph.num_edges // 2
    users = torch.repeat_interleave(graph.degree)[:num_pairs].int()
    items = graph.indices[:num_pairs] - graph.num_users
    weights = torch.rand(num_pairs, generator=torch.Generator().manual_seed(1)) + 0.1 if weighted else None
    graph = Graph.from_edges(users, items, graph.num_users, graph.num_items, weights)
    network = make_network(graph, kind).to(device.torch)
    single = int((graph.degree[: graph.num_users] == 1).nonzero()[0])
    for user in (single, int(graph.degree[: graph.num_users].argmax())):
        own = items[users == user].long()
        target = graph.num_users + 3
        found = scores_without(
            network, device.put(graph), user, (own + graph.num_users).to(device.torch), target, False
        )
        expected = []
        for left_out in (-1, *own.tolist()):
            keep = (users != user) | (items != left_out)
            left = None if weights is None else weights[keep]
            smaller = Graph.from_edges(users[keep], items[keep], graph.num_users, graph.num_items, left)
            vectors = network.all_nodes(device.put(smaller)).double().cpu()
            expected.append(float(vectors[user] @ vectors[target]))
        np.testing.assert_allclose(found.cpu(), expected, rtol=1e-4, atol=1e-4)


# Other kinds


def test_a_learned_vector_is_explained_by_likeness() -> None:
    train = texts()
    model = make("mf").fit(train)
    why = model.explain("u3")
    assert (why.kind, why.rank, why.layers) == ("similar", 1, None)
    vectors = model.item_vectors_.double()
    for part in why.parts:
        mine, other = train.encode_items([part.item, why.item])
        assert part.value == pytest.approx(float(vectors[mine] @ vectors[other]), rel=1e-6)


def test_popularity_is_its_own_reason() -> None:
    train = texts()
    model = make("popularity").fit(train)
    for why in (model.explain("u3"), model.explain_for_items(HISTORY), model.explain_for_items([])):
        assert (why.kind, why.parts, why.rank) == ("popularity", (), 1)
        assert why.score == (train.items == train.encode_items([why.item])[0]).sum()


@pytest.mark.parametrize("name", MODELS)
def test_who_has_no_history_is_told_of_popularity(name: str) -> None:
    train = cold_user()
    model = make(name).fit(fit_data(name, train))
    best, scores = model.recommend(["cold"], 1)
    of_history = [model.explain_for_items(history) for history in ([], ["new"])]
    for why in (model.explain("cold"), *of_history):
        assert (why.kind, why.parts, why.layers, why.rank) == ("popularity", (), None, 1)
        assert (why.item, why.score) == (best[0, 0], scores[0, 0])
        assert why.is_fallback == model.personal
    if model.personal:
        assert "there is no history" in of_history[0].summary()
        assert "nobody had the items of the history" in of_history[1].summary()
    assert model.explain("cold", "i2").score == (train.items == train.encode_items(["i2"])[0]).sum()


@pytest.mark.parametrize("name", FOR_ITEMS)
def test_items_that_nobody_had_add_nothing(name: str) -> None:
    why = FOR_ITEMS[name].clone().fit(cold_user()).explain_for_items(["i4", "new", "i9"])
    assert is_the_sum(why)
    assert dict(why.parts).get("new", 0) == pytest.approx(0, abs=1e-12)


def test_items_that_nothing_speaks_for_are_said_to_be_so() -> None:
    model = make("itemknn").fit(cold_user())
    why = model.explain("u3", "new")
    assert (why.kind, why.score) == ("exact", 0)
    assert "nothing in the history speaks for this item" in why.summary()


class Means(VectorRecommender):
    """A model of somebody's own without a hook; of users who have no vectors, too."""

    model_name = "means-of-items"

    def __init__(self, users: bool = True) -> None:
        self.users = users

    def fit(self, interactions: Any) -> "Means":
        self.train_ = self._training_set(interactions)
        generator = torch.Generator().manual_seed(0)
        if self.users:
            self.user_vectors_ = torch.randn(self.train_.num_users, 4, generator=generator)
        self.item_vectors_ = torch.randn(self.train_.num_items, 4, generator=generator)
        return self


def test_a_model_of_vectors_alone_explains_means_exactly() -> None:
    means = Means(users=False).fit(texts())
    vectors = Means().fit(texts())
    assert vectors.explain("u3").kind == "similar"
    for why in (means.explain("u3"), means.explain_for_items(HISTORY), vectors.explain_for_items(HISTORY)):
        assert why.kind == "exact"
        assert is_the_sum(why)
        assert len(why.parts) == len(set(why.history))


class Squares(VectorRecommender):
    """A model of somebody's own that is not linear in the history."""

    model_name = "squares-of-counts"

    def fit(self, interactions: Any) -> "Squares":
        self.train_ = self._training_set(interactions)
        return self

    def _item_vectors(self) -> torch.Tensor:
        return torch.from_numpy(
            (self.train_.to_csr().T @ self.train_.to_csr()).toarray(order="C").astype(np.float32)
        )

    def _query_from_items(self, histories: Ragged) -> torch.Tensor:
        return (torch.from_numpy(histories.csr().toarray()) @ self._item_vectors()) ** 2 / 100

    def _state(self) -> dict[str, Any]:
        return {}

    def _restore(self, state: Any) -> None:
        pass


def test_a_model_of_ones_own_leaves_items_out_of_the_history(monkeypatch) -> None:
    monkeypatch.setattr("pyrec.models.base.QUERY_BYTES", 2 * 4 * 30)  # two histories at a time
    train = texts()
    model = Squares().fit(train)
    item = train.encode_items(["i2"])[0]

    def score(history: list[str]) -> float:
        rows = Ragged.from_lists([train.encode_items(history)], train.num_items)
        return float(model._query_from_items(rows)[0].double() @ model._item_vectors()[item].double())

    for why in (model.explain("u3", "i2"), model.explain_for_items(HISTORY, "i2")):
        history = list(why.history)
        assert why.kind == "left out"
        assert {part.item for part in why.parts} == set(history)
        for part in why.parts:
            rest = [one for one in history if one != part.item]
            assert part.value == pytest.approx(score(history) - score(rest), rel=1e-4)


def test_large_graphs_leave_out_the_likeliest_items(monkeypatch) -> None:
    model = make("lightgcn").fit(texts())
    everything = model.explain("u7")
    monkeypatch.setattr(graph_recommender, "EDGES_LEFT_OUT", 0)
    assert model.explain("u7") == everything
    monkeypatch.setattr(graph_recommender, "LEFT_OUT", 2)
    some = model.explain("u7")
    assert (len(some.parts), some.skipped) == (2, len(everything.parts) - 2)
    values = dict(everything.parts)
    for part in some.parts:
        assert part.value == pytest.approx(values[part.item], abs=1e-6)
    assert f"{some.skipped} items of the history, the least by a first estimate" in some.summary()


# The object


@pytest.mark.parametrize("name", MODELS)
def test_an_explanation_is_json_and_text(name: str) -> None:
    for ids in (texts(), texts().to_csr()):
        model = make(name).fit(fit_data(name, ids))
        user = model.train_.user_ids.tolist()[3]
        why = model.explain(user)
        told = json.loads(json.dumps(why.as_dict(), allow_nan=False))
        assert (told["user"], told["item"], told["kind"]) == (user, why.item, why.kind)
        assert [(part["item"], part["value"]) for part in told["parts"]] == list(why.parts)
        lines = why.summary({why.item: "A good one"}, n=1).splitlines()
        assert lines[0].startswith(f"{why.item} A good one for user {user} by {model.label}: score ")
        assert len(repr(why)) < 150


def test_a_seen_item_is_explained_and_marked() -> None:
    model = make("ease").fit(texts())
    seen = model.explain("u3").history[0]
    why = model.explain("u3", seen)
    assert (why.seen, why.rank) == (True, None)
    assert "had this item" in why.summary()
    assert model.explain_for_items([seen], seen).seen


@pytest.mark.parametrize("name", ["ease", "lightgcn"])
def test_any_number_of_threads_gives_the_same_bits(name: str) -> None:
    model = make(name).fit(synthetic(300, 200, interactions_per_user=30, num_groups=4))
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append([model.explain(user) for user in model.train_.user_ids[:6].tolist()])
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_a_saved_model_explains_the_same(tmp_path) -> None:
    for name in MODELS:
        model = make(name).fit(fit_data(name, texts()))
        model.save(tmp_path / name)
        loaded = Recommender.load(tmp_path / name)
        assert loaded.explain("u3") == model.explain("u3")
        assert loaded.explain_for_items(HISTORY) == model.explain_for_items(HISTORY)


# What is refused


@pytest.mark.parametrize("name", MODELS)
def test_bad_input_is_refused(name: str) -> None:
    model = make(name)
    with pytest.raises(NotFittedError, match="fit"):
        model.explain("u1")
    with pytest.raises(NotFittedError, match="fit"):
        model.explain_for_items(["i1"])
    model.fit(fit_data(name, texts()))
    with pytest.raises(UnknownIdError, match="nobody"):
        model.explain("nobody")
    with pytest.raises(UnknownIdError, match="nothing"):
        model.explain("u1", "nothing")
    with pytest.raises(UnknownIdError, match="nothing"):
        model.explain_for_items(["i1", "nothing"])
    with pytest.raises(UnknownIdError, match="nothing"):
        model.explain_for_items(["i1"], "nothing")
    with pytest.raises(DataError, match="history"):
        model.explain_for_items("i1")


def test_somebody_who_had_everything_has_no_best_item() -> None:
    model = make("ease").fit(np.ones((3, 5)))
    with pytest.raises(DataError, match="had all 5 items"):
        model.explain(1)
    assert model.explain(1, 2).seen


# The command


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved models of each kind, and a file of names."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("ease", "lightgcn", "mf", "popularity"):
        make(name).fit(cold_user()).save(folder / name)
    (folder / "names.csv").write_text("item,name\n" + "".join(f"i{at},Name {at}\n" for at in range(30)))
    return folder


@pytest.mark.parametrize("name", ["ease", "lightgcn", "mf", "popularity"])
def test_the_command_prints_what_the_model_says(capsys, runs: Path, name: str) -> None:
    model = Recommender.load(runs / name)
    names = {f"i{at}": f"Name {at}" for at in range(30)}
    for user in ("u3", "cold"):
        out, _ = run(capsys, "explain", runs / name, "--user", user, "--item", "i2", "--n", 2)
        assert out == model.explain(user, "i2").summary(n=2) + "\n"
    named = ("--item-names", runs / "names.csv")
    out, _ = run(capsys, "explain", runs / name, "--history", "i4,i17", "--history", "i9", *named)
    assert out == model.explain_for_items(["i4", "i17", "i9"]).summary(names) + "\n"
    out, _ = run(capsys, "explain", runs / name, "--user", "u3", "--json", *named)
    why = model.explain("u3")
    assert json.loads(out) == json.loads(json.dumps(why.as_dict(names)))
    assert json.loads(out)["item_name"] == names.get(why.item)
    assert [part["name"] for part in json.loads(out)["parts"]] == [names[part.item] for part in why.parts]


def test_the_names_that_a_run_remembers_are_shown(capsys, runs: Path) -> None:
    item_names.write(runs / "ease", {"i2": "Two", "i9": "Nine"})
    why = Recommender.load(runs / "ease").explain("u3", "i2")
    assert why.summary().startswith("i2 Two for user u3")
    assert "  i9 Nine" in why.summary()
    assert why.summary({}).startswith("i2 for user u3")
    assert "item_name" not in why.as_dict()
    assert why.as_dict(why.item_names)["item_name"] == "Two"
    out, _ = run(capsys, "explain", runs / "ease", "--user", "u3", "--item", "i2")
    assert out.startswith("i2 Two for user u3")
    item_names.write(runs / "ease", {})


def test_the_command_draws(capsys, runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("ease", "lightgcn", "mf", "popularity"):
        picture = tmp_path / f"{name}.png"
        _, err = run(capsys, "explain", runs / name, "--user", "u3", "--picture", picture)
        assert err == f"drawn in {picture}\n"
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_names_in_any_script_are_drawn(capsys, runs: Path, tmp_path: Path) -> None:
    """Two dollars are no formula, and what the font lacks is told once."""
    pytest.importorskip("matplotlib")
    names = tmp_path / "names.csv"
    names.write_text(
        "item,name\n" + "".join(f"i{at},$x_{at} \\frac$ 東京 {at}\n" for at in range(30)), encoding="utf-8"
    )
    words = ("--user", "u3", "--item-names", names, "--picture", tmp_path / "why.png")
    _, err = run(capsys, "explain", runs / "ease", *words)
    assert err.splitlines()[-2].startswith("note: the picture's font lacks 2 characters, such as 東")


def test_users_who_are_known_by_more_than_items_have_no_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Table, "knows_users", True)
    for name, kind in (("lightgcn", "left out"), ("mf", "similar")):
        why = make(name).fit(cold_user()).explain("cold")
        assert (why.kind, why.parts, why.is_fallback) == (kind, (), False)
        assert "there is no history" in why.summary()


def test_the_command_refuses(capsys, runs: Path) -> None:
    ease = runs / "ease"
    assert "name a user (--user ID), or" in refuse(capsys, "explain", ease)
    assert "name a user (--user ID), or" in refuse(capsys, "explain", ease, "--user", "u3", "--history", "i1")
    assert "--user names 2 users" in refuse(capsys, "explain", ease, "--user", "u3,u4")
    assert "nobody" in refuse(capsys, "explain", ease, "--user", "nobody")
    assert "'i99'" in refuse(capsys, "explain", ease, "--user", "u3", "--item", "i99")
    assert "'i99'" in refuse(capsys, "explain", ease, "--history", "i1,i99")
    assert "--n" in refuse(capsys, "explain", ease, "--user", "u3", "--n", "0")
    inside = runs / "names.csv" / "why.png"
    assert str(inside.parent) in refuse(capsys, "explain", ease, "--user", "u3", "--picture", inside)
    told = refuse(capsys, "explain", ease, "--user", "u3", "--picture", runs / "why.pdf")
    assert told.endswith("why.pdf: pictures are PNG files; name one .png")
    assert not (runs / "why.pdf").exists()


def test_names_cannot_steer_a_terminal(runs: Path) -> None:
    names = {item: f"\x1b[31mred\n{item}" for item in (f"i{at}" for at in range(30))}
    text = Recommender.load(runs / "ease").explain("u3").summary(names)
    assert "\x1b" not in text
    assert all(line.isprintable() for line in text.splitlines())
    assert " [31mred " in text
