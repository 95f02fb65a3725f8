"""Saved models from strangers: nothing is executed, 50 hostile folders are typed errors, and memory stays bounded."""

from __future__ import annotations

import ast
import json
import os
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import pyrec
from pyrec.cli.run_folder import HISTORY, METRICS, read_history, read_metrics
from pyrec.data import Interactions
from pyrec.errors import DataError
from pyrec.models import EASE, LightGCN, Recommender
from pyrec.store import saved_model

PACKAGE = Path(pyrec.__file__).parent
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
MEMORY = 32 * 2**20  # a hostile folder may cost no more


def test_nothing_in_the_package_unpickles() -> None:
    offences = [
        f"{path.name}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _imports_unsafe(node) or _calls_unsafe(node)
    ]
    assert offences == []


def _imports_unsafe(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in UNSAFE for alias in node.names)
    return isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNSAFE


def _calls_unsafe(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    allows = any(
        keyword.arg == "allow_pickle"
        and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value)
        for keyword in node.keywords
    )
    return name in {"torch.load", "eval", "exec", "yaml.load", "yaml.unsafe_load"} or allows


# Hostile folders -------------------------------------------------------------------------------------------

Damage = Callable[[Path], None]


def sign(folder: Path) -> None:
    """Makes the hash fit again: whoever writes a hostile folder would, too."""
    path = folder / saved_model.CONFIG
    config = json.loads(path.read_text())
    config["sha256"] = saved_model._sha256(folder / saved_model.ARRAYS)
    path.write_text(json.dumps(config))


def raw_arrays(folder: Path, header: bytes, body: bytes = b"", size: int | None = None) -> None:
    """Writes a safetensors file of that header, with a length that may be a lie."""
    content = struct.pack("<Q", len(header) if size is None else size) + header + body
    (folder / saved_model.ARRAYS).write_bytes(content)
    sign(folder)


def header_of(**tensors: Any) -> bytes:
    return json.dumps(tensors).encode()


def tensor(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def with_arrays(**changes: Any) -> Damage:
    """Replaces arrays of the saved model; None removes one."""

    def damage(folder: Path) -> None:
        arrays = {name: array.copy() for name, array in load_file(folder / saved_model.ARRAYS).items()}
        for key, value in changes.items():
            name = key.replace("__", ".")
            if value is None:
                del arrays[name]
            else:
                arrays[name] = value
        save_file(arrays, folder / saved_model.ARRAYS)
        sign(folder)

    return damage


def with_config(**changes: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / saved_model.CONFIG
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def with_text(text: bytes) -> Damage:
    return lambda folder: (folder / saved_model.CONFIG).write_bytes(text) and None


def headers() -> Iterator[tuple[str, Damage]]:
    one = tensor("F32", [2, 2], 0, 16)
    yield "header of 2^63 bytes", lambda folder: raw_arrays(folder, b"{}", size=2**63)
    yield "header of 90 MB that is not there", lambda folder: raw_arrays(folder, b"{}", size=90 * 2**20)
    yield "header longer than the file", lambda folder: raw_arrays(folder, b"{}", size=100)
    yield "header of no bytes", lambda folder: raw_arrays(folder, b"", size=0)
    yield "header that is no JSON", lambda folder: raw_arrays(folder, b"{oops")
    yield "header that is a list", lambda folder: raw_arrays(folder, b"[1, 2]")
    yield "header that is deep", lambda folder: raw_arrays(folder, b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    yield "header that is no UTF-8", lambda folder: raw_arrays(folder, b'{"\xff\xfe": 1}')
    yield (
        "header of a million names",
        lambda folder: raw_arrays(
            folder, header_of(**{f"t{at}": tensor("F32", [0], 0, 0) for at in range(20_000)})
        ),
    )
    yield (
        "declared size of 2^60",
        lambda folder: raw_arrays(folder, header_of(a=tensor("F32", [2**58], 0, 2**60)), bytes(16)),
    )
    yield (
        "shape that overflows",
        lambda folder: raw_arrays(folder, header_of(a=tensor("F32", [2**32, 2**32], 0, 16)), bytes(16)),
    )
    yield (
        "shape that is negative",
        lambda folder: raw_arrays(folder, header_of(a=tensor("F32", [-2, -2], 0, 16)), bytes(16)),
    )
    yield (
        "shape larger than its bytes",
        lambda folder: raw_arrays(folder, header_of(a=tensor("F32", [99], 0, 16)), bytes(16)),
    )
    yield (
        "offset that is negative",
        lambda folder: raw_arrays(folder, header_of(a=tensor("F32", [2, 2], -16, 0)), bytes(16)),
    )
    yield (
        "offsets that fall",
        lambda folder: raw_arrays(folder, header_of(a=tensor("F32", [2, 2], 16, 0)), bytes(16)),
    )
    yield "offsets that overlap", lambda folder: raw_arrays(folder, header_of(a=one, b=one), bytes(16))
    yield (
        "offsets past the end",
        lambda folder: raw_arrays(folder, header_of(a=tensor("F32", [2, 2], 2**40, 2**40 + 16)), bytes(16)),
    )
    yield "bytes behind the arrays", lambda folder: raw_arrays(folder, header_of(a=one), bytes(99))
    yield (
        "unknown dtype",
        lambda folder: raw_arrays(folder, header_of(a=tensor("Q77", [2, 2], 0, 16)), bytes(16)),
    )
    yield (
        "a name twice",
        lambda folder: raw_arrays(
            folder, f'{{"a": {json.dumps(one)}, "a": {json.dumps(one)}}}'.encode(), bytes(16)
        ),
    )
    yield (
        "arrays named as paths",
        lambda folder: raw_arrays(folder, header_of(**{"../../etc/passwd": one}), bytes(16)),
    )
    yield "no arrays", lambda folder: raw_arrays(folder, b"{}")


def contents() -> Iterator[tuple[str, Damage]]:
    yield "NaN in the weights", with_arrays(model__weights=np.full((4, 4), np.nan, np.float32))
    yield "infinity in the weights", with_arrays(model__weights=np.full((4, 4), np.inf, np.float32))
    yield "weights of another shape", with_arrays(model__weights=np.zeros((9, 4), np.float32))
    yield "weights of another rank", with_arrays(model__weights=np.zeros(16, np.float32))
    yield "weights of integers", with_arrays(model__weights=np.zeros((4, 4), np.int32))
    yield "no weights", with_arrays(model__weights=None)
    yield "users out of range", with_arrays(train__users=np.full(7, 99, np.int32))
    yield "users below 0", with_arrays(train__users=np.full(7, -1, np.int32))
    yield "users of 64 bits", with_arrays(train__users=np.zeros(7, np.int64))
    yield "items out of range", with_arrays(train__items=np.full(7, 2**31 - 1, np.int32))
    yield "fewer items than users", with_arrays(train__items=np.zeros(3, np.int32))
    yield "ratings that are NaN", with_arrays(train__ratings=np.full(7, np.nan, np.float32))
    yield "times of bytes", with_arrays(train__times=np.zeros(7, np.uint8))
    yield "an id twice", with_arrays(user_ids=np.zeros(4, np.int64))
    yield "ids of rank 2", with_arrays(user_ids=np.zeros((2, 2), np.int64))
    yield "no ids", with_arrays(item_ids=None)
    yield "many users without vectors", without_vectors
    starts = np.array([0, 2**62, -5, 1, 1])
    text = {"user_ids__text": np.zeros(1, np.uint8), "user_ids__starts": starts}
    yield "text ids with starts that lie", with_arrays(user_ids=None, **text)
    long = {"user_ids__text": np.full(2**20, 97, np.uint8), "user_ids__starts": np.array([0, 1, 3, 6, 2**20])}
    yield "a text id of a megabyte", with_arrays(user_ids=None, **long)


def without_vectors(folder: Path) -> None:
    """A model that would be large, if it were there: ids of half a megabyte, vectors of 134."""
    train = Interactions.from_arrays([0, 1], [0, 1])
    LightGCN(epochs=1, embedding_size=512).fit(train).save(folder)
    with_arrays(user_ids=np.arange(65_536), model__first__embedding=np.zeros((4, 512), np.float32))(folder)


def configs() -> Iterator[tuple[str, Damage]]:
    yield "config of no bytes", with_text(b"")
    yield "config that is deep", with_text(b"[" * 200_000)
    yield "config with NaN for a format", with_text(b'{"format": NaN}')
    yield "config that is a number", with_text(b"1e999")
    yield "config that is no UTF-8", with_text(b"\xff" * 100)
    yield "config with a number of 5,000 digits", with_text(b'{"format": ' + b"9" * 5000 + b"}")
    yield "model named as a module", with_config(model="os.system")
    yield "model named as a path", with_config(model="../../../bin/sh")
    yield "parameter that the model has not", with_config(params={"__class__": "object"})
    yield "parameters named as attributes", with_config(params={"self": 1})
    yield "hash that is none", with_config(sha256="../../model.safetensors")


def folders() -> Iterator[tuple[str, Damage]]:
    def replace(name: str, make: Callable[[Path], Any]) -> Damage:
        def damage(folder: Path) -> None:
            (folder / name).unlink()
            make(folder / name)

        return damage

    for name in (saved_model.CONFIG, saved_model.ARRAYS):
        yield f"{name} is a folder", replace(name, Path.mkdir)
        yield f"{name} is a pipe", replace(name, os.mkfifo)
        yield f"{name} links to nothing", replace(name, lambda path: path.symlink_to("nowhere"))
        yield f"{name} links to itself", replace(name, lambda path: path.symlink_to(path.name))
        yield f"{name} links to an endless device", replace(name, lambda path: path.symlink_to("/dev/zero"))
        yield f"{name} is a sparse terabyte", replace(name, lambda path: os.truncate(_touched(path), 2**40))


def _touched(path: Path) -> Path:
    path.touch()
    return path


HOSTILE = dict([*headers(), *contents(), *configs(), *folders()])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    users, items = np.array([0, 0, 1, 2, 2, 3, 3]), np.array([0, 1, 0, 2, 3, 1, 2])
    train = Interactions.from_arrays(users, items, ratings=np.arange(7) / 2, times=np.arange(7))
    EASE(reg=2.0).fit(train).save(tmp_path / "model")
    return tmp_path / "model"


def test_there_are_at_least_50_hostile_folders() -> None:
    assert len(HOSTILE) >= 50


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_is_a_typed_error(saved: Path, name: str) -> None:
    HOSTILE[name](saved)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            Recommender.load(saved)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


# What stands beside a model ---------------------------------------------------------------------------------

RECORDS: dict[str, Callable[[Path], Any]] = {
    "no JSON": lambda path: path.write_text("{oops"),
    "deep": lambda path: path.write_bytes(b"[" * 200_000),
    "a number of 5,000 digits": lambda path: path.write_bytes(b'{"a": ' + b"9" * 5000 + b"}"),
    "no UTF-8": lambda path: path.write_bytes(b"\xff" * 100),
    "a list": lambda path: path.write_text("[]"),
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a sparse terabyte": lambda path: os.truncate(_touched(path), 2**40),
}


@pytest.mark.parametrize("make", RECORDS.values(), ids=RECORDS)
@pytest.mark.parametrize(("read", "name"), [(read_metrics, METRICS), (read_history, HISTORY)])
def test_hostile_metrics_and_history_are_typed_errors(tmp_path: Path, read, name: str, make) -> None:
    make(tmp_path / name)
    with pytest.raises(DataError, match=name):
        read(tmp_path)
