"""The script that measures new users beside known ones: who is tested, what is told, and what its rows say."""

import numpy as np
import pytest
import torch
from accuracy import new_users
from small_models import LEARNING

from pyrec.data import synthetic
from pyrec.models import MF, LightGCN


@pytest.fixture
def data(monkeypatch):
    made = synthetic(200, 100, interactions_per_user=40, num_groups=4)
    monkeypatch.setattr(new_users, "read", lambda _: made)
    return made


def test_nothing_hidden_is_told_and_the_halves_are_apart(data):
    tested = {}
    for group in new_users.GROUPS:
        users, told, hidden = new_users.tested_users(data, group, seed=0)
        tested[group] = set(users.tolist())
        assert len(users) == 40
        for user, some, others in zip(users, told, hidden, strict=True):
            own = data.items[data.users == user]
            assert len(others) == max(3, round(0.2 * len(own)))
            assert sorted([*some, *others]) == own.tolist()
            assert len(own) >= 13
    assert not tested["choose"] & tested["report"]


def test_training_has_of_the_tested_users_what_is_told(data):
    users, told, _ = new_users.tested_users(data, "report", seed=1)
    train = new_users.training_set(data, users, [items[:3] for items in told])
    for user, items in zip(users, told, strict=True):
        assert sorted(train.items[train.users == user]) == sorted(items[:3])
    others = ~np.isin(data.users, users)
    assert len(train) == others.sum() + 3 * len(users)


@pytest.mark.parametrize("name", ["lightgcn", "mf"])
def test_rows_and_table(data, monkeypatch, tmp_path, name):
    models = {
        "lightgcn": lambda seed: LightGCN(**LEARNING, n_layers=1, combine="mean", seed=seed),
        "mf": lambda seed: MF(**LEARNING, seed=seed),
    }
    monkeypatch.setattr(new_users, "MODELS", models)
    out = tmp_path / "rows.jsonl"
    arguments = [
        str(out),
        "--data",
        "ml-100k",
        "--models",
        name,
        "--seeds",
        "0",
        "--keep",
        str(tmp_path / "kept"),
    ]
    new_users.main(["run", *arguments])
    rows = new_users.rows_in(out)
    assert [row["told"] for row in rows] == [1, 3, 10, "all"]
    for row in rows:
        known, new = row["ways"]["known"]["recall"], row["ways"]["beside, new"]["recall"]
        assert known["against_known"] == known["standard_error"] == 0
        assert new["against_known"] == pytest.approx(new["mean"] - known["mean"], abs=1e-5)
        assert 0 < new["standard_error"] < 0.2
    new_users.main(["run", *arguments])  # which has nothing left to do
    assert new_users.rows_in(out) == rows
    out.unlink()
    monkeypatch.setattr(type(models[name](0)), "fit", None)  # the trained models are kept
    new_users.main(["run", *arguments])
    assert new_users.rows_in(out) == rows
    lines = list(new_users.table(out))
    assert len(lines) == 2 + 4
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_the_propagated_vector_is_that_of_a_node_without_an_embedding(data):
    model = LightGCN(**LEARNING, n_layers=1, combine="mean").fit(data)
    rows = new_users.rows_of([np.array([5, 2], dtype=np.int32)], data.num_items)
    first = model.network_.first()[data.num_users :]
    vector = sum(first[item] / (2 * data.popularity[item]) ** 0.5 for item in (2, 5)) / 2
    expected = torch.nn.functional.normalize(vector, dim=0)
    torch.testing.assert_close(new_users.propagated(model, rows)[0], expected.detach(), rtol=1e-4, atol=1e-6)
