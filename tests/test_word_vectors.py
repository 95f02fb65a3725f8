import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pyrec.data import read_word_vectors
from pyrec.data.word_vectors import word_vectors
from pyrec.errors import ConfigError, DataError

GLOVE = "the 1 2 3\nThe 9 9 9\ncup -1 .5 2e-1\n. . . 4 5 6\nRain 7 8 9\n"


def glove(tmp_path: Path, text: str = GLOVE, name: str = "glove.txt") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_text_gives_the_words_that_are_wanted(tmp_path: Path) -> None:
    found = read_word_vectors(glove(tmp_path), ["cup", "rain", "golf", "the", ". . ."])
    assert repr(found) == "WordVectors(4 of 5 words, 3 dimensions)"
    assert found.words.tolist() == ["cup", "rain", "golf", "the", ". . ."]
    assert found.is_known.tolist() == [True, True, False, True, True]
    expected = [[-1, 0.5, 0.2], [7, 8, 9], [0, 0, 0], [1, 2, 3], [4, 5, 6]]
    np.testing.assert_array_equal(found.vectors, np.array(expected, np.float32))


def test_a_word_as_it_is_written_comes_before_another_case(tmp_path: Path) -> None:
    found = read_word_vectors(glove(tmp_path, "The 1\nTHE 2\nthe 3\n"), ["the"])
    assert found.vectors.tolist() == [[3]]
    assert read_word_vectors(glove(tmp_path, "The 1\nTHE 2\n"), ["the"]).vectors.tolist() == [[1]]


def test_word2vecs_first_line_and_packed_text(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt.gz"
    path.write_bytes(gzip.compress(("5 3\n" + GLOVE.replace("\n", " \n")).encode()))
    assert read_word_vectors(path, ["cup", "the"]).vectors[1].tolist() == [1, 2, 3]


def test_arrays_with_their_words(tmp_path: Path) -> None:
    vectors = np.arange(6, dtype=np.float16).reshape(3, 2)
    np.savez(tmp_path / "v.npz", words=np.array(["a", "b", "c"]), vectors=vectors)
    np.save(tmp_path / "v.npy", vectors)
    save_file({"vectors": torch.from_numpy(vectors)}, tmp_path / "v.safetensors")
    (tmp_path / "words.txt").write_text("a\nb\nc\n")
    tokenizer = tmp_path / "other.json"
    tokenizer.write_text(json.dumps({"model": {"vocab": {"c": 2, "a": 0, "b": 1}}}))
    for name, words in (
        ("v.npz", None),
        ("v.npy", None),
        ("v.safetensors", None),
        ("v.npy", tokenizer),
        ("v.safetensors", tmp_path / "words.txt"),
    ):
        found = read_word_vectors(tmp_path / name, ["c", "x", "a"], words)
        assert found.vectors.tolist() == [[4, 5], [0, 0], [0, 1]]
        assert found.vectors.dtype == np.float32
        assert found.num_known == 2


def test_unknown_words_get_vectors_like_the_others(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(3, 0.5, (500, 4)).astype(np.float32)
    np.savez(tmp_path / "v.npz", words=np.array([f"w{k}" for k in range(500)]), vectors=vectors)
    found = read_word_vectors(tmp_path / "v.npz", [f"w{k}" for k in range(1000)])
    filled = found.filled(seed=1)
    np.testing.assert_array_equal(filled[:500], vectors)
    assert abs(filled[500:].mean() - 3) < 0.1
    assert abs(filled[500:].std() - 0.5) < 0.1
    np.testing.assert_array_equal(filled, found.filled(seed=1))
    first = word_vectors(tmp_path / "v.npz", found.words, dim=4, seed=1)
    np.testing.assert_array_equal(first, filled)
    with pytest.raises(DataError, match="vectors of 4 numbers, but 300 are asked for"):
        word_vectors(tmp_path / "v.npz", found.words, dim=300)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("the\n", "line 1: a word and its numbers"),
        ("the 1 2\ncup 1\n", "line 2: 1 numbers, but 2 before"),
        ("the 1 x\n", "line 1: a field of 'the' is no number"),
        ("the 1 nan\n", "line 1: the vector of 'the' has a number that is not finite"),
        ("golf 1 2\n", "none of the 1 words"),
        ("the 1 2\0\n", "NUL"),
    ],
)
def test_malformed_text_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_word_vectors(glove(tmp_path, text), ["the"])


def test_malformed_arrays_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_word_vectors(tmp_path / "v.npy", ["a"])
    np.save(tmp_path / "v.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match="names no words"):
        read_word_vectors(tmp_path / "v.npy", ["a"])
    (tmp_path / "words.txt").write_text("a\nb\nc\n")
    with pytest.raises(DataError, match="3 words for 2 vectors"):
        read_word_vectors(tmp_path / "v.npy", ["a"])
    np.save(tmp_path / "v.npy", np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"v\.npy cannot be read"):
        read_word_vectors(tmp_path / "v.npy", ["a"])
    np.save(tmp_path / "v.npy", np.zeros(3, np.float32))
    with pytest.raises(DataError, match=r"float32 \(3,\)"):
        read_word_vectors(tmp_path / "v.npy", ["a"])
    np.savez(tmp_path / "v.npz", word=np.array(["a"]))
    with pytest.raises(DataError, match="not vectors and words"):
        read_word_vectors(tmp_path / "v.npz", ["a"])
    (tmp_path / "v.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(DataError, match=r"v\.safetensors cannot be read"):
        read_word_vectors(tmp_path / "v.safetensors", ["a"])
    (tmp_path / "t.json").write_text("{}")
    np.save(tmp_path / "v.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match=r"t.json cannot be read: KeyError"):
        read_word_vectors(tmp_path / "v.npy", ["a"], tmp_path / "t.json")
    with pytest.raises(ConfigError, match="names its words itself"):
        read_word_vectors(glove(tmp_path), ["a"], "words.txt")


def test_glove_knows_the_words_of_real_titles(data_dir: Path) -> None:
    path = data_dir / "news" / "glove-50d-news" / "glove-6B-50d-subset.npz"
    if not path.is_file():
        pytest.skip("no word vectors there")
    found = read_word_vectors(path, ["the", "cup", "trump", "xqzzy"])
    assert found.is_known.tolist() == [True, True, True, False]
    assert found.vectors.shape == (4, 50)
