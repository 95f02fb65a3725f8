"""The race to accuracy: files that everybody reads, one judge, a search of equal trials, and rows."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from accuracy.debias.runs import Kept
from accuracy.minutes import contenders, files, judged, search, tables
from accuracy.minutes.__main__ import named

from pyrec.data import synthetic
from pyrec.errors import ConfigError

PLAN = Path(__file__).parent.parent / "bench/accuracy/minutes.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Lists of generated data, the last fifth of each for the test part, and a held-out part of the training lists."""
    path = tmp_path_factory.mktemp("lists")
    data = synthetic(60, 50, interactions_per_user=10)
    train, test = [], []
    for user in range(data.num_users):
        items = data.items[data.indptr[user] : data.indptr[user + 1]].tolist()
        train.append([user, *items[:-2]])
        test.append([user, *items[-2:]])
    kept, held_out = files.last_tenths(train)
    (path / "chosen").mkdir()
    for place, part in zip(("", "", "chosen", "chosen"), (train, test, kept, held_out), strict=True):
        name = "train.txt" if part is train or part is kept else "test.txt"
        files._write_lines(path / place / name, part)
    return path


def test_last_tenths():
    lines = [[7, *range(20)], [8, 3, 1, 2], [9, 5, 4, 3, 2, 1]]
    train, held_out = files.last_tenths(lines)
    assert train == [[7, *range(18)], [8, 3, 1, 2], [9, 5, 4, 3, 2]]
    assert held_out == [[7, 18, 19], [9, 1]]


def test_the_judge_counts_hits(tmp_path):
    (tmp_path / "test.txt").write_text("4 0 1\n6 5 5 9 7\n")
    lists = np.full((2, 20), -1, dtype=np.int32)
    lists[0, :3], lists[1, :2] = [1, 8, 0], [2, 5]
    found = judged.judge(lists, tmp_path / "test.txt")
    assert found["recall@20"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-5)
    ideal = [1 + 1 / np.log2(3), 1 + 1 / np.log2(3) + 1 / 2]
    assert found["ndcg@20"] == pytest.approx((1.5 / ideal[0] + (1 / np.log2(3)) / ideal[1]) / 2, abs=1e-5)


def test_the_plan_is_read_and_wrong_ones_are_refused(tmp_path):
    plan = contenders.read(PLAN)
    for data in plan.splits:
        assert {one.script for one in plan.contenders(data)} >= {
            "pyrec_lists",
            "irspack_lists",
            "numpy_filter",
        }
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("{threads: 1, trials: 1, data: {}, contenders: {one: {script: none_there}}}")
    with pytest.raises(ConfigError, match="contender 'one'"):
        contenders.read(wrong)


def test_draws_are_the_same_each_time_and_in_range():
    space = {"reg": {"low": 0.1, "high": 10.0}, "size": {"low": 8, "high": 64}, "kind": ["a", "b"]}
    points = [search.draw(space, np.random.default_rng(1)) for _ in range(2)]
    assert points[0] == points[1]
    many = [search.draw(space, generator) for generator in [np.random.default_rng(2)] for _ in range(50)]
    assert all(0.1 <= one["reg"] <= 10 and one["size"] in range(8, 65) for one in many)
    assert {one["kind"] for one in many} == {"a", "b"}


def test_ours_and_a_filter_in_numpy_have_the_same_lists_row_and_picture(folder, tmp_path):
    ours = contenders.Contender("ours", "pyrec_lists", {"model": "graph-filter"}, {"beta": [0.0, 0.4]})
    numpy = contenders.Contender("numpy", "numpy_filter", {}, {})
    rows = [
        contenders.run(one, one.params, folder, contenders.python_of(one.script, {}), 1)
        for one in (ours, numpy)
    ]
    assert rows[0]["recall@20"] == pytest.approx(rows[1]["recall@20"], abs=0.02)  # but for equal scores
    assert all(row["seconds"] > 0 and row["peak_mb"] > 20 for row in rows)
    kept = Kept(tmp_path / "rows.jsonl")
    for one, row in zip((ours, numpy), rows, strict=True):
        kept.append({**named("search", "gowalla", one), "trials": 0, "search_seconds": 0})
        kept.append({**named("race", "gowalla", one), **row})
    found = {row["run"]: row for row in Kept(tmp_path / "rows.jsonl").rows()}
    assert found["race, gowalla, ours"] == {**named("race", "gowalla", ours), **rows[0]}
    tables.write(contenders.read(PLAN), kept.rows(), tmp_path / "minutes.md")
    text = (tmp_path / "minutes.md").read_text()
    assert f"| ours | {rows[0]['seconds']:,.1f} |" in text
    assert (tmp_path / "minutes/gowalla.png").stat().st_size > 1000


def test_a_search_takes_the_best_on_the_held_out_part(folder, monkeypatch):
    seen = []

    def run(contender, params, place, python, threads):
        seen.append((dict(params), place.name))
        return {"params": dict(params), "seconds": 1.0, "recall@20": params["beta"]}

    monkeypatch.setattr(search, "run", run)
    ours = contenders.Contender(
        "ours", "pyrec_lists", {"model": "graph-filter", "beta": 0.1}, {"beta": [0.2, 0.3]}
    )
    found = search.search(ours, folder, {}, 1, 8)
    assert found["params"] == {"model": "graph-filter", "beta": 0.3}
    assert (found["trials"], found["search_seconds"]) == (8, 8.0)
    assert seen[0][0]["beta"] == 0.1
    assert {place for _, place in seen} == {"chosen"}


def test_what_fails_is_a_row_with_an_error(folder):
    bad = contenders.Contender("bad", "numpy_filter", {"unknown": 1}, {})
    row = contenders.run(bad, bad.params, folder, contenders.python_of(bad.script, {}), 1)
    assert "unexpected keyword argument" in row["error"]
    assert json.dumps(row)
