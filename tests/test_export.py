"""Vectors written for use elsewhere, read back by what they are written for, against `recommend`."""

import errno
import json
import os
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from small_models import sparse_ids

import pyrec
from pyrec.cli import main
from pyrec.export import FORMATS, MANIFEST
from pyrec.models import EASE, MF, SVD, ItemKNN, LightGCN, Popularity

N = 7


@pytest.fixture(scope="module", params=["integers", "text"])
def model(request):
    return LightGCN(epochs=2, embedding_size=9, n_layers=2).fit(sparse_ids(request.param == "text"))


def read_side(folder: Path, side: str, layout: str):
    if layout == "parquet":
        from pyarrow.parquet import read_table

        table = read_table(folder / f"{side}.parquet")
        return np.array(table["id"].to_pylist()), np.array(table["vector"].to_pylist(), dtype=np.float32)
    with np.load(folder / f"{side}.npz", allow_pickle=False) as file:
        return file["ids"], file["vectors"]


def search(folder: Path, layout: str, queries, count: int):
    """Rows and scores of the best items by what the format is for."""
    _, vectors = read_side(folder, "items", layout)
    if layout == "faiss":
        import faiss

        scores, rows = faiss.read_index(str(folder / "items.faiss")).search(queries, count)
        return rows, scores
    if layout == "usearch":
        from usearch.index import Index

        found = Index.restore(str(folder / "items.usearch")).search(queries, count, exact=True)
        return found.keys.astype(np.int64), 1 - found.distances
    scores = queries @ vectors.T
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return rows, np.take_along_axis(scores, rows, axis=1)


def same_lists(ids, scores, expected_ids, expected_scores):
    """Equal scores within rounding, and the same items but where two scores are that close."""
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-6)
    gaps = np.abs(np.diff(expected_scores, axis=1)) > 1e-5
    firm = np.pad(gaps, ((0, 0), (1, 0)), constant_values=True) & np.pad(gaps, ((0, 0), (0, 1)))
    assert firm.mean() > 0.5
    assert (ids[firm] == expected_ids[firm]).all()


@pytest.mark.parametrize("layout", FORMATS)
def test_a_search_by_a_users_vector_is_recommend(model, tmp_path, layout):
    folder = pyrec.export(model, tmp_path / "out", layout)
    user_ids, queries = read_side(folder, "users", layout)
    item_ids, _ = read_side(folder, "items", layout)
    assert (user_ids == model.train_.user_ids).all()
    rows, scores = search(folder, layout, queries, N)
    same_lists(item_ids[rows], scores, *model.recommend(user_ids, N, filter_seen=False))


def test_users_whose_vectors_say_nothing_are_told(tmp_path):
    train = pyrec.data.Interactions.from_arrays([0, 0, 1, 1, 2], [0, 1, 1, 2, 0], user_ids=[0, 1, 2, 3, 4])
    for model, cold in ((SVD(embedding_size=1), 2), (Popularity(), 0)):
        folder = pyrec.export(model.fit(train), tmp_path / model.model_name)
        assert json.loads((folder / MANIFEST).read_text())["num_cold_users"] == cold
        card = (folder / "README.md").read_text()
        assert ("2 of the users have no training interaction: their vectors say nothing" in card) == (
            cold > 0
        )


def test_what_is_seen_is_dropped_from_a_longer_list(model, tmp_path):
    folder = pyrec.export(model, tmp_path / "out", "faiss")
    user_ids, queries = read_side(folder, "users", "faiss")
    degrees = np.bincount(model.train_.users)
    rows, _ = search(folder, "faiss", queries, N + int(degrees.max()))
    seen = {(int(u), int(i)) for u, i in zip(model.train_.users, model.train_.items, strict=True)}
    unseen = [[int(r) for r in found if (u, int(r)) not in seen][:N] for u, found in enumerate(rows)]
    items, _ = model.recommend(user_ids, N)
    assert (model.train_.item_ids[unseen] == items).mean() > 0.99


@pytest.mark.parametrize("model_class", [MF, SVD, Popularity])
def test_every_model_with_vectors(tmp_path, model_class):
    small = {} if model_class is Popularity else {"embedding_size": 5}
    fitted = model_class(**small, **({"epochs": 1} if model_class is MF else {})).fit(sparse_ids(False))
    folder = pyrec.export(fitted, tmp_path / "out")
    user_ids, queries = read_side(folder, "users", "numpy")
    item_ids, items = read_side(folder, "items", "numpy")
    assert queries.dtype == items.dtype == np.float32
    rows, scores = search(folder, "numpy", queries, N)
    expected_ids, expected = fitted.recommend(user_ids, N, filter_seen=False)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
    assert (item_ids[rows] == expected_ids).mean() > 0.9


@pytest.mark.parametrize("layout", FORMATS)
def test_the_cards_snippet_runs(model, tmp_path, monkeypatch, layout):
    folder = pyrec.export(model, tmp_path / "out", layout, {"recall@20": 0.12345})
    card = (folder / "README.md").read_text()
    assert "# Vectors of a lightgcn model" in card
    assert "- recall@20: 0.1235" in card or "- recall@20: 0.1234" in card
    assert "`embedding_size`: `9`" in card
    snippet = card.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(folder)
    names = {"user_id": model.train_.user_ids[0]}
    exec(textwrap.dedent(snippet), names)
    best = np.asarray(names["best"]).ravel()[:N]
    assert (best == model.recommend(model.train_.user_ids[:1], N, filter_seen=False)[0][0]).mean() > 0.7


class Tagged(Popularity):
    """With a hyperparameter that may be anything."""

    def __init__(self, tags):
        self.tags = tags


def test_hyperparameters_of_numpy(tmp_path):
    fitted = MF(embedding_size=np.int64(8), epochs=1).fit(sparse_ids(False))
    folder = pyrec.export(fitted, tmp_path / "out")
    assert json.loads((folder / MANIFEST).read_text())["params"]["embedding_size"] == 8
    with pytest.raises(pyrec.ConfigError, match=r"\{8\} cannot be written as JSON"):
        pyrec.export(Tagged({8}).fit(sparse_ids(False)), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_an_earlier_export_is_replaced_and_nothing_else(model, tmp_path):
    folder = pyrec.export(model, tmp_path / "out", "faiss")
    pyrec.export(model, folder, "parquet")
    names = {path.name for path in folder.iterdir()}
    assert names == {"users.parquet", "items.parquet", "README.md", MANIFEST}
    facts = json.loads((folder / MANIFEST).read_text())
    assert facts["format"] == "parquet"
    assert (facts["num_users"], facts["num_items"], facts["dim"]) == (60, model.train_.num_items, 9)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    with pytest.raises(pyrec.ConfigError, match="holds files but no export; name an empty or a new folder"):
        pyrec.export(model, tmp_path / "mine")
    with pytest.raises(pyrec.ConfigError, match="is a file; name a folder"):
        pyrec.export(model, folder / "README.md")
    assert (tmp_path / "mine" / "README.md").read_text() == "mine"


def test_a_folder_that_cannot_be_read_or_written(model, tmp_path, monkeypatch):
    folder = pyrec.export(model, tmp_path / "out")
    (folder / "users.npz").unlink()
    (folder / "users.npz").mkdir()
    with pytest.raises(pyrec.DataError, match=r"cannot write .*out: Is a directory"):
        pyrec.export(model, folder, "parquet")

    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(pyrec.DataError, match=r"cannot write .*out: Permission denied"):
        pyrec.export(model, folder)


def test_what_cannot_be_exported(model, tmp_path, monkeypatch):
    with pytest.raises(pyrec.ConfigError, match="'hdf5' is not one of numpy, parquet, faiss, usearch"):
        pyrec.export(model, tmp_path / "out", "hdf5")
    with pytest.raises(pyrec.NotFittedError):
        pyrec.export(SVD(), tmp_path / "out")
    for other in (EASE(reg=5), ItemKNN()):
        with pytest.raises(pyrec.ConfigError, match="item-to-item weights and has no vectors"):
            pyrec.export(other.fit(sparse_ids(False)), tmp_path / "out")
    for layout, module, extra in (
        ("parquet", "pyarrow", "io"),
        ("faiss", "faiss", "ann"),
        ("usearch", "usearch.index", "ann"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(pyrec.ConfigError, match=rf"needs .*: pip install '\.\[{extra}\]'"):
            pyrec.export(model, tmp_path / "out", layout)
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", "--model", "svd", "--dim", "8", "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["export", str(run), "--to", str(tmp_path / "out"), "--format", "faiss"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'out' / MANIFEST}\n"
    assert "items.faiss" in err
    recall = json.loads((run / "metrics.json").read_text())["recall@20"]
    assert f"- recall@20: {recall:.4f}" in (tmp_path / "out" / "README.md").read_text()
    assert main(["export", str(tmp_path), "--to", str(tmp_path / "out")]) == 2
    assert "is " in capsys.readouterr().err
