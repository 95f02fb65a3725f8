"""Vectors of articles from files and arrays, and the text encoder that takes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from small_news import SMALL, small_news

from pyrec.data import ArticleVectors, read_article_vectors
from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.models.estimator import Estimator
from pyrec.models.news import NRMS
from pyrec.nn.dropout import NO_DROPOUT
from pyrec.nn.text import Frozen, TextBatch
from pyrec.store.training_checkpoint import Checkpoints


def given() -> ArticleVectors:
    """What the articles are about, and noise; of all but the first three."""
    articles = small_news().train.articles
    noise = np.random.default_rng(0).normal(1, 0.2, (len(articles), 16))
    return ArticleVectors(articles.ids[3:], (noise + np.eye(16)[articles.subcategories.rows.indices])[3:])


def fitted(vectors: str | ArticleVectors, **options) -> NRMS:
    return made(vectors, **options).fit(small_news().train)


def made(vectors: str | ArticleVectors, **options) -> NRMS:
    parts = {"text": Frozen(vectors, 8), "popularity": None, "learning_rate": 0.02}
    return NRMS(**SMALL | parts | options)


@pytest.fixture(scope="module")
def model() -> NRMS:
    return fitted(given())


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "b.npy", "a.safetensors", "b.safetensors"])
def test_files_are_read(tmp_path: Path, name: str):
    ids, vectors = np.array([5, 3, 9]), np.arange(6, dtype=np.float32).reshape(3, 2)
    path = tmp_path / name
    if name == "a.npz":
        np.savez(path, ids=ids, vectors=vectors)
    elif name.endswith(".npy"):
        np.save(path, vectors)
    else:
        save_file({"vectors": vectors} | ({"ids": ids} if name[0] == "a" else {}), path)
    if name == "a.npy":
        np.save(tmp_path / "a.ids.npy", ids)
    elif name[0] == "b":
        path.with_suffix(".ids.txt").write_text("5\n3\n9\n")
    found = read_article_vectors(path)
    np.testing.assert_array_equal(found.vectors, vectors)
    assert found.rows(np.array([9, 4, 5])).tolist() == [2, -1, 0]
    assert repr(found) == "ArticleVectors(3 articles, 2 dimensions)"


def test_text_ids_are_read(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    (tmp_path / "a.ids.txt").write_text("N1\nN2\n")
    found = read_article_vectors(tmp_path / "a.npy")
    assert found.rows(found.ids[::-1]).tolist() == [1, 0]
    with pytest.raises(DataError, match="ids of the vectors are text"):
        found.rows(np.array([1]))


def test_unsound_files_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no file of vectors"):
        read_article_vectors(tmp_path / "a.txt")
    with pytest.raises(DataError, match="does not exist"):
        read_article_vectors(tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    with pytest.raises(DataError, match=r"a\.ids\.npy or a\.ids\.txt beside it"):
        read_article_vectors(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", ids=np.arange(2))
    with pytest.raises(DataError, match="not vectors"):
        read_article_vectors(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"b\.npz cannot be read"):
        read_article_vectors(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("ids", "vectors", "told"),
    [
        ([1, 2], np.ones(2), r"float64 \(2,\)"),
        ([1, 2], np.ones((3, 2)), "2 ids for 3 vectors"),
        ([1, 1], np.ones((2, 2)), "more than once"),
        ([1, 2], np.array([[1, 2], [np.nan, 1]]), r"vectors\[1\]"),
    ],
)
def test_unsound_vectors_are_refused(ids, vectors, told):
    with pytest.raises(DataError, match=told):
        ArticleVectors(ids, vectors)


def test_the_vector_is_a_dense_layer_over_what_is_given(model):
    module = model.network_.articles.texts["title"]
    found = given().vectors.astype(np.float64)
    centred = found - found.mean(0)
    x = torch.tensor(centred / np.sqrt((centred**2).mean()), dtype=torch.float32)
    x = torch.cat([module.missing.detach().expand(3, -1), x])
    wanted = torch.relu(x @ module.weight + module.bias)
    rows = torch.arange(len(x))
    batch = model._store.at(rows, ("title",))
    vectors = module(TextBatch(torch.empty(0, 0), batch.texts["title"], rows), NO_DROPOUT)
    torch.testing.assert_close(vectors, wanted, rtol=1e-5, atol=1e-5)
    assert "articles.words" not in model.network_.state_dict()


def test_training_learns_the_layer_and_what_is_missing(model):
    losses = [record["loss"] for record in model.history_]
    assert losses[-1] < losses[0]
    assert model.network_.articles.texts["title"].missing.abs().sum() > 0
    assert model.word_attention(model.known_.articles.ids[:1]) is None


def test_vectors_are_kept_in_the_model(model, tmp_path: Path):
    np.savez(tmp_path / "v.npz", ids=given().ids, vectors=given().vectors)
    by_file = fitted(str(tmp_path / "v.npz"))
    news = small_news().test
    np.testing.assert_array_equal(by_file.score_impressions(news), model.score_impressions(news))
    (tmp_path / "v.npz").unlink()
    for one in (model, by_file):
        one.save(tmp_path / "model")
        loaded = Estimator.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.score_impressions(news), one.score_impressions(news))
        with pytest.raises((ConfigError, DataError), match=r"needs vectors of articles|does not exist"):
            loaded.clone().fit(small_news().train)


def test_articles_that_come_later_have_theirs(tmp_path: Path):
    articles = small_news().train.articles
    first = articles.ids.max() + 1
    twin = replace(articles, ids=first + np.arange(len(articles)))
    vectors = given()
    both = ArticleVectors(np.concatenate([vectors.ids, twin.ids[3:]]), np.concatenate([vectors.vectors] * 2))
    model = fitted(both)
    model.add_articles(twin)
    n = len(articles)
    torch.testing.assert_close(model._scorer.vectors[:n], model._scorer.vectors[n:], rtol=0, atol=1e-6)
    model.save(tmp_path)
    loaded = NRMS.load(tmp_path)
    torch.testing.assert_close(loaded._scorer.vectors, model._scorer.vectors, rtol=0, atol=1e-6)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(model, tmp_path: Path):
    kept = Checkpoints(tmp_path)

    def stop(_: NRMS, record: dict) -> None:
        kept.stop.make()

    with pytest.raises(StoppedError):
        made(given()).fit(small_news().train, callback=stop, checkpoints=kept)
    again = made(given()).fit(small_news().train, checkpoints=Checkpoints(tmp_path), resume=True)
    for a, b in zip(model.network_.state_dict().values(), again.network_.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("vectors", "told"), [(None, "needs vectors of articles"), (3, "must be the path of a file")]
)
def test_vectors_have_to_be_given(vectors, told):
    with pytest.raises(ConfigError, match=told):
        fitted(vectors)
