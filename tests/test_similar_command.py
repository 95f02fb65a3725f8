"""``pyrec similar``: the items most like others, in the forms of ``pyrec recommend``."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import refuse, run

from pyrec.cli import lists
from pyrec.data.synthetic import synthetic
from pyrec.models import EASE, SVD, Popularity, Recommender
from pyrec.store import item_names


@pytest.fixture(params=[EASE(reg=5), SVD(embedding_size=4)], ids=["weights", "vectors"])
def run_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A saved model of 40 users and 30 items with integer ids."""
    data = synthetic(40, 30, interactions_per_user=8, num_groups=4)
    request.param.clone().fit(data).save(tmp_path / "run")
    return tmp_path / "run"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_items_most_like_others(capsys, run_dir: Path, monkeypatch) -> None:
    items, scores = Recommender.load(run_dir).similar_items([7, 3], 4)
    words = ("similar", run_dir, "--items", "7,3", "--n", "4")
    for block in (lists.BLOCK_ROWS, 4):
        monkeypatch.setattr(lists, "BLOCK_ROWS", block)
        rows = rows_of(run(capsys, *words, "--format", "csv")[0])
        assert list(rows[0]) == ["similar_to", "rank", "item", "score"]
        assert [row["similar_to"] for row in rows] == ["7"] * 4 + ["3"] * 4
        assert [int(row["item"]) for row in rows] == items.ravel().tolist()
        assert [float(row["score"]) for row in rows] == pytest.approx(scores.ravel().tolist(), rel=1e-5)
    table = [line.split() for line in run(capsys, *words)[0].splitlines()]
    assert table[0] == ["similar_to", "rank", "item", "score"]
    assert [row[:3] for row in table[1:]] == [[row["similar_to"], row["rank"], row["item"]] for row in rows]


def test_all_items_and_those_of_a_file(capsys, run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("item_id,x\n7,1\n3,1\n7,2\n")
    words = ("similar", run_dir, "--format", "jsonl", "--n", "2")
    found = [
        json.loads(line) for line in run(capsys, *words, "--items-from", tmp_path / "ids")[0].splitlines()
    ]
    assert [one["similar_to"] for one in found] == [7, 3]
    every = [json.loads(line) for line in run(capsys, *words, "--all")[0].splitlines()]
    assert [one["similar_to"] for one in every] == list(range(30))
    assert [every[7], every[3]] == found


def test_both_items_have_their_names(capsys, run_dir: Path, tmp_path: Path) -> None:
    item_names.write(run_dir, {item: f"Film {item}" for item in range(1, 30)})
    words = ("similar", run_dir, "--items", "7", "--n", "29")
    rows = rows_of(run(capsys, *words, "--format", "csv")[0])
    assert list(rows[0]) == ["similar_to", "similar_to_name", "rank", "item", "score", "name"]
    assert {row["similar_to_name"] for row in rows} == {"Film 7"}
    assert all(row["name"] == ("" if row["item"] == "0" else f"Film {row['item']}") for row in rows)
    one = json.loads(run(capsys, *words, "--format", "json")[0])[0]
    assert one["similar_to_name"] == "Film 7"
    assert one["names"] == [row["name"] or None for row in rows]
    parquet = pytest.importorskip("pyarrow.parquet")
    run(capsys, *words, "--out", tmp_path / "similar.parquet")
    table = parquet.read_table(tmp_path / "similar.parquet").to_pydict()
    assert list(table) == list(rows[0])
    assert table["name"] == one["names"]
    assert np.asarray(table["score"], np.float32).tolist() == table["score"]


def test_what_cannot_be_compared_is_refused(capsys, run_dir: Path, tmp_path: Path) -> None:
    Popularity().fit(synthetic(40, 30, interactions_per_user=3)).save(tmp_path / "popular")
    words = ("similar", tmp_path / "popular", "--items", "1", "--out", tmp_path / "lists.csv")
    assert (
        "Popularity knows no likeness of items; use itemknn, ease, graph-filter, svd or lightgcn"
        in refuse(capsys, *words)
    )
    assert not (tmp_path / "lists.csv").exists()
    assert "name the items: --items ID,ID" in refuse(capsys, "similar", run_dir)
    assert "in one way alone" in refuse(capsys, "similar", run_dir, "--items", "1", "--all")
    assert "unknown: 99; choose among the 30 integer ids" in refuse(
        capsys, "similar", run_dir, "--items", "99"
    )
    assert "n = 99 must be at most 30" in refuse(capsys, "similar", run_dir, "--items", "1", "--n", "99")


def test_one_item_and_a_length_have_several_names(capsys, run_dir: Path) -> None:
    expected, _ = run(capsys, "similar", run_dir, "--items", "7", "--n", "3")
    for item in ("--item", "--items"):
        for length in ("-n", "--k", "-k"):
            assert run(capsys, "similar", run_dir, item, "7", length, "3")[0] == expected
    found, _ = run(capsys, "recommend", run_dir, "--user", "7", "-n", "2")
    assert found == run(capsys, "recommend", run_dir, "--users", "7", "--n", "2")[0]
    assert "'--topk'. Did you mean '--n'?" in refuse(
        capsys, "recommend", run_dir, "--users", "7", "--topk", "2"
    )
