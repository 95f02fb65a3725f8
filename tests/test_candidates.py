"""Lists of candidates, one for each user: in `topk`, `recommend` and `evaluate`."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from small_models import NUM_ITEMS, NUM_USERS, fit_data, make, numbers, texts

from pyrec.data import Interactions, Ragged
from pyrec.errors import ConfigError, DataError, UnknownIdError
from pyrec.evaluate import evaluate
from pyrec.models import MODELS, Popularity, Recommender, candidates
from pyrec.models.candidates import best_candidates, inner_products
from pyrec.models.item_item import ItemItemRecommender

K = 6
SEEN = pytest.mark.filterwarnings("ignore:.*are in the training set too:pyrec.DataWarning")


@pytest.fixture(params=list(MODELS), scope="module")
def model(request: pytest.FixtureRequest) -> Recommender:
    return make(request.param).fit(fit_data(request.param, texts()))


def some_lists(seed: int = 0) -> list[list[int]]:
    """For each user some items in any order, with repeats; for some none at all."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, NUM_ITEMS, rng.integers(0, 15)).tolist() for _ in range(NUM_USERS)]


def expected_lists(model: Recommender, lists: list[list[int]], filter_seen: bool) -> list[list[int]]:
    """What the ranking of all items leaves of each list."""
    ids, _ = model.topk(np.arange(NUM_USERS), NUM_ITEMS, filter_seen)
    return [[item for item in row if item in own][:K] for row, own in zip(ids.tolist(), lists, strict=True)]


@pytest.mark.parametrize("filter_seen", [True, False])
def test_candidates_are_ranked_as_among_all_items(model: Recommender, filter_seen: bool) -> None:
    lists = some_lists()
    rows = Ragged.from_lists(lists, NUM_ITEMS)
    ids, scores = model.topk(np.arange(NUM_USERS), K, filter_seen, candidates=rows)
    assert (ids.dtype, scores.dtype, ids.shape) == (torch.int32, torch.float32, (NUM_USERS, K))
    all_ids, all_scores = model.topk(np.arange(NUM_USERS), NUM_ITEMS, filter_seen)
    for user, own in enumerate(expected_lists(model, lists, filter_seen)):
        assert ids[user, len(own) :].tolist() == [-1] * (K - len(own))
        assert torch.isneginf(scores[user, len(own) :]).all()
        assert ids[user, : len(own)].tolist() == own
        of_item = dict(zip(all_ids[user].tolist(), all_scores[user].tolist(), strict=True))
        wanted = [of_item[item] for item in own]
        np.testing.assert_allclose(scores[user, : len(own)], wanted, rtol=1e-5, atol=1e-6)
        if isinstance(model, ItemItemRecommender | Popularity):  # no sum is rounded in another order
            assert scores[user, : len(own)].tolist() == wanted
    as_matrix = model.topk(np.arange(NUM_USERS), K, filter_seen, candidates=rows.csr())
    assert torch.equal(as_matrix[0], ids)
    assert torch.equal(as_matrix[1], scores)


def test_batches_of_users_and_pairs_change_nothing(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Ragged.from_lists(some_lists(1), NUM_ITEMS)
    users = np.arange(NUM_USERS)[::-1].copy()
    ids, scores = model.topk(users, K, candidates=rows)
    monkeypatch.setattr("pyrec.models.base.QUERY_BYTES", 1)
    monkeypatch.setattr(candidates, "PAIR_BYTES", 1)
    again = model.topk(users, K, candidates=rows)
    assert torch.equal(again[0], ids)
    assert torch.equal(again[1], scores)


def test_excluded_and_allowed_items_count_besides(model: Recommender) -> None:
    users = np.array([3, 1])
    rows = Ragged.from_lists([[1, 2, 3, 4], [5, 6, 7]], NUM_ITEMS)
    excluded = Ragged.from_lists([[2], []], NUM_ITEMS).csr()
    allowed = torch.tensor([1, 2, 3, 5, 6], dtype=torch.int32)
    ids, _ = model.topk(users, 4, False, allowed, excluded, rows)
    assert [sorted(row) for row in ids.tolist()] == [[-1, -1, 1, 3], [-1, -1, 5, 6]]


@given(st.data())
@settings(max_examples=40)
def test_equal_scores_go_by_smaller_id(data) -> None:
    lists = data.draw(st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=5))
    rows = Ragged.from_lists(lists, 6).csr()
    scores = data.draw(
        st.lists(st.sampled_from([-0.0, 0.0, 1.0, -2.0]), min_size=rows.nnz, max_size=rows.nnz)
    )
    ids, best = best_candidates(torch.tensor(scores, dtype=torch.float32), rows, 3)
    at = 0
    for row, own in enumerate(lists):
        items = sorted(set(own))
        of_item = dict(zip(items, scores[at : at + len(items)], strict=True))
        at += len(items)
        expected = sorted(items, key=lambda item, of=of_item: (-of[item], item))[:3]
        assert ids[row].tolist() == expected + [-1] * (3 - len(expected))
        assert best[row, : len(expected)].tolist() == [of_item[item] for item in expected]


def test_scores_are_inner_products() -> None:
    rng = torch.Generator().manual_seed(0)
    queries, items = (torch.randn(n, 7, generator=rng) for n in (4, 9))
    rows = Ragged.from_lists([[8, 0], [], [3], [1, 2, 4]], 9).csr()
    expected = (queries.double() @ items.double().T)[[0, 0, 2, 3, 3, 3], [0, 8, 3, 1, 2, 4]]
    torch.testing.assert_close(inner_products(queries, items, rows), expected.float())


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="score of candidate 1 is inf"):
        best_candidates(torch.tensor([1.0, torch.inf]), Ragged.from_lists([[0, 1]], 2).csr(), 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1]], "candidates is a list, but Ragged or a SciPy CSR matrix"),
        (Ragged.from_lists([[1]], NUM_ITEMS), r"candidates has shape \(1, 30\), but \(2, 30\) is needed"),
        (csr_array((2, 31)), r"candidates has shape \(2, 31\), but \(2, 30\)"),
        (np.ones((2, NUM_ITEMS)), "candidates is a ndarray"),
    ],
)
def test_malformed_candidates_are_refused(given, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Popularity().fit(texts()).topk([0, 1], 3, candidates=given)


@pytest.mark.parametrize(
    ("allowed", "message"),
    [([30], r"allowed\[0\] = 30, but there are 30"), ([[1]], r"int32 \(A,\) is needed")],
)
def test_malformed_allowed_items_are_refused_here_too(allowed, message: str) -> None:
    rows = Ragged.from_lists([[1]], NUM_ITEMS)
    with pytest.raises(DataError, match=message):
        Popularity().fit(texts()).topk(
            [0], 3, True, torch.tensor(allowed, dtype=torch.int32), candidates=rows
        )


def test_recommend_takes_a_list_for_each_user(model: Recommender) -> None:
    choice = {"u3": ["i9", "i2", "i17", "i9"], "u1": ["i4"], "u7": []}
    ids, scores = model.recommend(["u1", "u3", "u7"], 3, filter_seen=False, items=choice)
    assert ids[0].tolist() == ["i4", "", ""]
    assert set(ids[1]) == {"i9", "i2", "i17"}
    assert ids[2].tolist() == ["", "", ""]
    for user, own in (("u3", choice["u3"]), ("u1", choice["u1"])):
        alone, alone_scores = model.recommend([user], 3, filter_seen=False, items=own)
        at = ["u1", "u3", "u7"].index(user)
        assert ids[at].tolist() == alone[0].tolist()
        np.testing.assert_allclose(scores[at], alone_scores[0], rtol=1e-5)
    without, _ = model.recommend(["u3"], 3, filter_seen=False, items=choice, exclude=["i2"])
    assert "i2" not in without[0]
    own_out, _ = model.recommend(["u3"], 3, filter_seen=False, items=choice, exclude={"u3": ["i9"]})
    assert sorted(own_out[0]) == ["", "i17", "i2"]


def test_unknown_ids_in_a_mapping_are_an_error_or_skipped() -> None:
    model = Popularity().fit(texts())
    choice = {"u1": ["i4", "x"], "nobody": ["i3"]}
    with pytest.raises(UnknownIdError, match=r"items\[1\] = 'nobody'"):
        model.recommend(["u1"], 2, items=choice)
    with pytest.raises(UnknownIdError, match=r"items\['u1'\]\[1\] = 'x'"):
        model.recommend(["u1"], 2, items={"u1": ["i4", "x"]})
    ids, _ = model.recommend(["who", "u1"], 2, False, choice, unknown="skip")
    assert ids.tolist() == [["", ""], ["i4", ""]]
    with pytest.raises(DataError, match=r"users\[1\] = 'u2' has no entry in items; name what"):
        model.recommend(["u1", "u2"], 2, items={"u1": ["i4"]})
    with pytest.raises(DataError, match="items is a mapping, but new users have no ids"):
        model.recommend_for_items([["i1"]], 2, items={"u1": ["i4"]})
    with pytest.raises(ConfigError, match="unknown is 'drop'"):
        model.recommend(["u1"], 2, items=choice, unknown="drop")


@SEEN
def test_evaluate_ranks_the_candidates_alone(model: Recommender) -> None:
    train = model.training_set()
    rng = np.random.default_rng(3)
    pairs = rng.integers(0, NUM_USERS, 60), rng.integers(0, NUM_ITEMS, 60)
    test = Interactions.from_codes(*(part.astype(np.int32) for part in pairs), train.user_ids, train.item_ids)
    lists = some_lists(2)
    rows = Ragged.from_lists(lists, NUM_ITEMS)
    found = evaluate(model, test, k=K, candidates=rows, batch_size=7)
    users = np.flatnonzero(np.diff(test.indptr))
    expected = expected_lists(model, lists, True)
    assert [[item for item in row if item >= 0] for row in found.lists.tolist()] == [
        expected[u] for u in users
    ]
    recalls = [np.isin(test.items[test.users == u], expected[u]).mean() for u in users]
    assert found[f"recall@{K}"] == pytest.approx(np.mean(recalls))
    assert found.num_short_lists == sum(len(expected[u]) < K for u in users)
    whole = evaluate(model, test, k=K, candidates=csr_array(np.ones((NUM_USERS, NUM_ITEMS))))
    assert whole[f"ndcg@{K}"] == pytest.approx(evaluate(model, test, k=K)[f"ndcg@{K}"])
    with pytest.raises(DataError, match=r"candidates has shape \(1, 30\), but \(40, 30\)"):
        evaluate(model, test, k=K, candidates=rows[:1])


@SEEN
def test_a_ranker_of_two_methods_is_asked_with_candidates_only_where_they_are_given() -> None:
    train, test = numbers(), numbers()
    asked = []

    class Fixed:
        def training_set(self) -> Interactions:
            return train

        def topk(self, user_indices, k, **more):
            asked.append(more)
            return torch.zeros(len(user_indices), k, dtype=torch.int32), torch.zeros(len(user_indices), k)

    evaluate(Fixed(), test, k=1)
    rows = Ragged.from_lists([[user % NUM_ITEMS] for user in range(NUM_USERS)], NUM_ITEMS)
    evaluate(Fixed(), test, k=1, candidates=rows)
    assert asked[0] == {}
    assert asked[1]["candidates"].to_lists() == rows.to_lists()
