"""Matrices as text: coat's ratings of users x items, and propensities of all pairs."""

from pathlib import Path

import numpy as np
import pytest

from pyrec.data import load_data, read_interactions, read_matrix, read_with_uniform
from pyrec.data.read import matrix as reader
from pyrec.errors import ConfigError, DataError

RATED = np.array([[0, 0, 4, 0, 0, 1], [5, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 3, 0, 2, 0]])


def written(folder: Path, text: str | bytes, name: str = "train.ascii") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def as_text(matrix: np.ndarray, sep: str = " ") -> str:
    return "".join(sep.join(f"{value:g}" for value in row) + "\n" for row in matrix)


def test_a_matrix_is_told_by_its_zeros(tmp_path: Path) -> None:
    x = read_interactions(written(tmp_path, as_text(RATED)))
    assert (x.user_ids.tolist(), x.item_ids.tolist()) == (
        [0, 1, 2, 3],
        [0, 1, 2, 3, 4, 5],
    )  # with those without ratings
    found = np.zeros(RATED.shape)
    found[x.users, x.items] = x.ratings
    np.testing.assert_array_equal(found, RATED)
    assert (
        "each line has 6 numbers, most of them 0, and is a user's ratings of all items, 0 for none"
        in x.notes[0]
    )


def test_lines_of_few_zeros_are_lists_unless_it_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, "1 2 3 4 5 6\n2 3 4 5 6 7\n")
    assert len(read_interactions(path)) == 10
    x = read_interactions(path, format="matrix")
    assert (x.ratings.tolist(), x.num_users, x.num_items) == ([1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 7], 2, 6)
    zeros = written(tmp_path, as_text(RATED))
    assert read_interactions(zeros, format="lists").ratings is None
    told = {"columns": {"user": 1, "item": 2}, "sep": " "}
    assert len(read_interactions(written(tmp_path, "1 2 0 0 0 0\n3 4 0 0 0 0\n"), **told)) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sep", "told"), [(" ", None), ("\t", None), (",", None), (";", None), ("\t", "\t"), ("|", "|")]
)
def test_numbers_of_any_kind_between_any_separator(tmp_path: Path, sep: str, told: str | None) -> None:
    values = np.random.default_rng(0).random((7, 3)) * 10.0 ** np.arange(-9, 9, 9)[None, [0, 1, 1]]
    text = "".join(sep.join(f"{value:.18e}" for value in row) + "\r\n" for row in values)
    found = read_matrix(written(tmp_path, "# propensities\n# by user\n" + text), told)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.astype(np.float32))


def test_what_numpy_writes_is_read(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(40, 30))
    np.savetxt(tmp_path / "p.ascii", values, header="a comment")
    np.testing.assert_array_equal(read_matrix(tmp_path / "p.ascii"), values.astype(np.float32))


def test_blocks_make_the_same_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "\n" + as_text(RATED) + "\n" + as_text(RATED).rstrip())
    whole, x = read_matrix(path), read_interactions(path)
    assert whole.shape == (8, 6)
    monkeypatch.setattr(reader, "_BLOCK_BYTES", 5)
    np.testing.assert_array_equal(read_matrix(path), whole)
    again = read_interactions(path)
    np.testing.assert_array_equal(again.to_csr().toarray(), x.to_csr().toarray())
    np.testing.assert_array_equal(again.ratings, x.ratings)


@pytest.mark.parametrize("block", [5, 1 << 22])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 1\n0 1\n", "line 2: 2 numbers, but the first line of the matrix has 3"),
        ("0 0 1\n\n0 1 0 5\n", "line 3: 4 numbers, but the first line of the matrix has 3"),
        ("0 0 1\n0 x 1\n", "line 2: 'x' is not a finite number"),
        ("0 0 1\n0 nan 1\n", "line 2: 'nan' is not a finite number"),
        ("0 0 1\n0 1e39 1\n", "line 2: '1e39' is not a finite number"),
        ("0 0 1\n0 1-2 1\n", "line 2: '1-2' is not a finite number"),
        ("0 0 1\n1 1e 1\n", "line 2: '1e' is not a finite number"),
        ("0 0 1\n1 - 1\n", "line 2: '-' is not a finite number"),
        ("0,0,1\n1,,1\n", "line 2: '' is not a finite number"),
        ("0,0,1\n1,2 3,1\n", "line 2: '2 3' is not a finite number"),
        ("a b c\n0 1 2\n", "line 1: 'a' is not a finite number"),
        ("# nothing\n\n", "holds no number"),
        (b"0 0 \xff\n", "line 1: .* is not a finite number"),
    ],
)
def test_malformed_matrices(
    tmp_path: Path, text: str | bytes, message: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_BLOCK_BYTES", block)
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message):
        read_matrix(path)
    with pytest.raises(DataError, match=message):
        read_interactions(path, format="matrix")


@pytest.mark.parametrize(
    "option", [{"columns": {"user": 1, "item": 2}}, {"header": True}, {"id_type": "str"}]
)
def test_options_of_columns_mean_nothing_to_a_matrix(tmp_path: Path, option: dict[str, object]) -> None:
    path = written(tmp_path, as_text(RATED))
    with pytest.raises(ConfigError, match=r"but format is 'matrix', a matrix of users x items; leave it out"):
        read_interactions(path, format="matrix", **option)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="sep is"):
        read_matrix(path, sep="\n")


def test_a_matrix_without_ratings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no interaction"):
        read_interactions(written(tmp_path, "0 0 0 0 0\n0 0 0 0 0\n"))


def test_ratings_of_a_matrix_become_labels_and_are_split(tmp_path: Path) -> None:
    path = written(tmp_path, as_text(RATED))
    _, train, test = load_data(path, split=0.6, positive="rating>=4")
    assert len(train) + len(test) == 5
    assert sorted([*train.labels, *test.labels]) == [0, 0, 0, 1, 1]


def test_a_folder_of_two_matrices_is_a_biased_and_a_uniform_set(tmp_path: Path) -> None:
    written(tmp_path, as_text(RATED))
    written(tmp_path, as_text(RATED[::-1]), "test.ascii")
    biased, uniform = read_with_uniform(tmp_path)
    assert biased.labels.tolist() == [1, 0, 1, 0, 0]
    assert uniform.labels.tolist() == [0, 0, 1, 1, 0]
    with pytest.raises(
        DataError, match=r"has no train.txt, but train.ascii and test.ascii, a biased and a uniform set"
    ):
        load_data(tmp_path)
