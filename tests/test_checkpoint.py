"""Saved models: the layout on disk, and files that are missing, torn, altered or hostile."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pyrec import _atomic
from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError
from pyrec.models import EASE, SVD, ItemKNN, Popularity, Recommender
from pyrec.store import saved_model


def interactions(text_ids: bool = False) -> Interactions:
    users, items = [0, 0, 1, 2, 2, 3, 3], [5, 7, 5, 6, 9, 7, 9]
    if text_ids:
        return Interactions.from_arrays([f"ü{user}" for user in users], [f"{item} €" for item in items])
    return Interactions.from_arrays(users, items, ratings=np.arange(7) / 2, times=np.arange(7))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    EASE(reg=2.0).fit(interactions()).save(tmp_path, run={"note": "kept"})
    return tmp_path


def rewrite(folder: Path, **changes: object) -> None:
    """Change arrays of a saved model (None removes one) and make the hash fit again."""
    path = folder / saved_model.ARRAYS
    arrays = {name: array.copy() for name, array in load_file(path).items()}
    for key, value in changes.items():
        name = key.replace("__", ".")
        if value is None:
            del arrays[name]
        else:
            arrays[name] = np.asarray(value)
    save_file(arrays, path)
    config = json.loads((folder / saved_model.CONFIG).read_text())
    config["sha256"] = saved_model._sha256(path)
    (folder / saved_model.CONFIG).write_text(json.dumps(config))


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / saved_model.CONFIG).read_text())
    (folder / saved_model.CONFIG).write_text(json.dumps(config | changes))


def test_the_layout(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]
    arrays = load_file(saved / "model.safetensors")
    shapes = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
    assert shapes == {
        "model.weights": ("float32", (4, 4)),
        "train.users": ("int32", (7,)),
        "train.items": ("int32", (7,)),
        "train.ratings": ("float32", (7,)),
        "train.times": ("int64", (7,)),
        "user_ids": ("int64", (4,)),
        "item_ids": ("int64", (4,)),
    }
    config = json.loads((saved / "config.json").read_text())
    assert config["format"] == 2
    assert config["model"] == "ease"
    assert config["params"] == {"reg": 2.0, "neighbors": None}
    assert config["run"] == {"note": "kept"}
    modes = {(saved / name).stat().st_mode for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1


@pytest.mark.parametrize("text_ids", [False, True])
def test_the_training_set_comes_back_whole(text_ids: bool, tmp_path: Path) -> None:
    before = interactions(text_ids)
    Popularity().fit(before).save(tmp_path)
    after = Recommender.load(tmp_path).train_
    for name in ("users", "items", "user_ids", "item_ids", "ratings", "times"):
        expected = getattr(before, name)
        if expected is None:
            assert getattr(after, name) is None
        else:
            np.testing.assert_array_equal(getattr(after, name), expected)
            assert getattr(after, name).dtype == expected.dtype


def test_the_same_model_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    EASE(reg=2.0).fit(interactions()).save(tmp_path / "again", run={"note": "kept"})
    for name in ("config.json", "model.safetensors"):
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_numpy_scalars_are_saved_as_numbers(tmp_path: Path) -> None:
    SVD(embedding_size=np.int64(2)).fit(interactions()).save(tmp_path)
    assert Recommender.load(tmp_path).get_params() == {"embedding_size": 2}


circular: dict[str, object] = {}
circular["again"] = circular


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"x": object()}, "<object .*> cannot be written as JSON"),
        ([1], "run is a list, but a mapping is kept"),
        ([], "run is a list, but a mapping is kept"),
        ("note", "run is a str, but a mapping is kept"),
        ({(1, 2): 3}, "run cannot be written as JSON: keys must be"),
        (circular, "run cannot be written as JSON: Circular"),
    ],
)
def test_what_json_cannot_hold_touches_no_file(saved: Path, run: object, message: str) -> None:
    before = (saved / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=message):
        EASE(reg=3.0).fit(interactions()).save(saved, run=run)
    assert (saved / "model.safetensors").read_bytes() == before
    Recommender.load(saved)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(DataError, match=f"cannot read .*{name}: No such file"):
        Recommender.load(saved)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is .*nothing a saved model"):
        Recommender.load(tmp_path / "nothing")


def test_a_torn_array_file(saved: Path) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"is not the file that config\.json was written for"):
        Recommender.load(saved)


def test_files_of_two_saves(saved: Path, tmp_path: Path) -> None:
    EASE(reg=9.0).fit(interactions()).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", saved)
    with pytest.raises(DataError, match="save the model again"):
        Recommender.load(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_config_that_is_none(saved: Path, content: bytes) -> None:
    (saved / "config.json").write_bytes(content)
    with pytest.raises(DataError, match=r"config\.json"):
        Recommender.load(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "is not in a format that this version reads, 1 to 2"),
        ({"model": 3}, "'model' is missing or not a str"),
        ({"model": "nosuch"}, "model 'nosuch'; known are"),
        ({"params": []}, "'params' is missing or not a dict"),
        ({"params": {"layers": 3}}, "params do not fit EASE"),
        ({"sha256": "0"}, "is not the file"),
        ({"run": None}, "'run' is missing"),
    ],
)
def test_a_config_with_wrong_entries(saved: Path, changes: dict[str, object], message: str) -> None:
    edit_config(saved, **changes)
    with pytest.raises(DataError, match=message):
        Recommender.load(saved)


def test_arrays_that_are_no_safetensors(saved: Path) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(b"\xff" * 64)
    edit_config(saved, sha256=saved_model._sha256(path))
    with pytest.raises(DataError, match="no safetensors file"):
        Recommender.load(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__weights": None}, "array 'weights' is missing"),
        (
            {"model__weights": np.zeros((4, 3), np.float32)},
            r"weights is float32 \(4, 3\), expected float32 \(4, 4\)",
        ),
        ({"model__weights": np.zeros((4, 4))}, "weights is float64"),
        ({"model__weights": np.full((4, 4), np.nan, np.float32)}, r"weights\[0, 0\] is not finite"),
        (
            {"train__users": np.array([0, 0, 1, 2, 2, 3, 4], np.int32)},
            r"train\.users\[6\] = 4 is outside 0\.\.3",
        ),
        ({"train__items": np.array([0, 1, 0, 2, 3, 1, -1], np.int32)}, r"train\.items\[6\] = -1"),
        ({"train__users": np.zeros(6, np.int32)}, "6 entries, train.items 7"),
        ({"train__ratings": np.zeros(6, np.float32)}, r"train\.ratings is float32 \(6,\)"),
        ({"train__times": np.zeros(7, np.uint8)}, r"train\.times is uint8"),
        ({"user_ids": np.array([0, 1, 2, 2])}, "user_ids holds an id twice"),
        ({"user_ids": np.zeros((2, 2), np.int64)}, r"user_ids is int64 \(2, 2\)"),
        ({"user_ids": None}, r"array 'user_ids\.text' is missing"),
    ],
)
def test_arrays_that_do_not_fit(saved: Path, changes: dict[str, object], message: str) -> None:
    rewrite(saved, **changes)
    with pytest.raises(DataError, match=message):
        Recommender.load(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_ids__starts": np.array([0, 3, 2, 9, 12])}, r"user_ids\.starts does not rise"),
        ({"user_ids__starts": np.array([0, 1, 6, 9, 12])}, r"user_ids\.text is not UTF-8"),
        ({"user_ids__starts": np.array([], np.int64)}, r"does not rise from 0 to 12"),
        ({"user_ids__text": np.zeros(3, np.int32)}, r"user_ids\.text is int32"),
    ],
)
def test_text_ids_that_do_not_fit(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    Popularity().fit(interactions(text_ids=True)).save(tmp_path)
    rewrite(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        Recommender.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__indices": lambda a: a + 3}, r"indices\[\d+\] = \d is outside"),
        ({"model__indptr": lambda a: a[::-1].copy()}, "indptr does not rise"),
        ({"model__indptr": lambda a: np.delete(a, 1)}, "no 4 x 4 matrix"),
    ],
)
def test_sparse_arrays_that_do_not_fit(changes, message: str, tmp_path: Path) -> None:
    ItemKNN().fit(interactions()).save(tmp_path)
    arrays = load_file(tmp_path / saved_model.ARRAYS)
    rewrite(tmp_path, **{name: change(arrays[name.replace("__", ".")]) for name, change in changes.items()})
    with pytest.raises(DataError, match=message):
        Recommender.load(tmp_path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    _atomic.write_text(path, "old")

    def fail() -> None:
        with _atomic.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        Popularity().fit(interactions()).save(tmp_path / "file" / "run")
