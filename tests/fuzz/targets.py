"""What is fuzzed: functions of bytes that end in an answer or in an error of pyrec's, and in nothing else."""

from __future__ import annotations

import atexit
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pyrec.cli.sources import Source
from pyrec.data import (
    Articles,
    Dataset,
    Interactions,
    Tokenizer,
    read_bandit_log,
    read_events,
    read_features,
    read_folder,
    read_interactions,
    read_matrix,
    read_news,
    read_pair,
    read_with_uniform,
    read_word_vectors,
    split_uniform,
)
from pyrec.data.read import files, row_blocks
from pyrec.data.read.news import mind as mind_files
from pyrec.data.read.news.raw import UNKNOWN
from pyrec.data.uniform import SHARED
from pyrec.errors import PyrecError
from pyrec.models import EASE, LightGCN, Recommender
from pyrec.store import saved_model

Target = Callable[[bytes], None]

FOLDER = Path(tempfile.mkdtemp(prefix="pyrec-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def _file(content: bytes, name: str = "file") -> Path:
    path = FOLDER / name
    path.write_bytes(content)
    return path


def text(data: bytes) -> None:
    """CSV, TSV, ``.inter``, MovieLens and lists, whichever the bytes are taken for."""
    with suppress(PyrecError):
        read_interactions(_file(data + b"\n"))


def text_ids(data: bytes) -> None:
    """The same with ids read as text."""
    with suppress(PyrecError):
        read_interactions(_file(data + b"\n"), id_type="str")


def delimited(data: bytes) -> None:
    """Lines behind a header of RecBole's."""
    with suppress(PyrecError):
        read_interactions(
            _file(b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + data + b"\n")
        )


def quoted(data: bytes) -> None:
    """Quoted fields behind a header with commas."""
    with suppress(PyrecError):
        read_interactions(_file(b'"user","item","rating"\n' + data + b"\n"))


def events(data: bytes) -> None:
    """Any text as events, in the order of time or of the file, as the first byte says."""
    with suppress(PyrecError):
        read_events(_file(data[1:] + b"\n"), order="file" if data[:1] > b"\x7f" else "time")


def features(data: bytes) -> None:
    """Any text as features; a byte chooses the kind of the second column, and what is done about missing values."""
    kinds = (None, "dense", "codes", "tokens")
    kind, missing = kinds[data[0] % 4] if data else None, "fill" if data[:1] > b"\x7f" else "error"
    more = {"kinds": {"x": kind}, "separators": {"x": "|"} if kind == "tokens" else None} if kind else {}
    path = _file(data[1:] + b"\n")
    with suppress(PyrecError):
        read_features(path, missing=missing)
    with suppress(PyrecError):
        read_features(path, id_column=1, columns={"x": 2}, missing=missing, **more)


def bandit_log(data: bytes) -> None:
    """Any text as a log with propensities, by well-known names and by numbers of columns."""
    path = _file(data + b"\n")
    numbers = {"user": 1, "item": 2, "reward": 3, "propensity": 4, "position": 5}
    for columns in (None, numbers, {**numbers, "user": [1, 2], "position": None}):
        with suppress(PyrecError):
            read_bandit_log(path, columns)


def lists(data: bytes) -> None:
    """LightGCN's lists of a folder, the bytes cut in two."""
    folder = FOLDER / "folder"
    folder.mkdir(exist_ok=True)
    middle = len(data) // 2
    (folder / "train.txt").write_bytes(b"0 1 2\n" + data[:middle] + b"\n")
    (folder / "test.txt").write_bytes(data[middle:] + b"\n")
    with suppress(PyrecError):
        read_folder(folder)


def pair(data: bytes) -> None:
    """Two files of interactions, the bytes cut in two."""
    middle = len(data) // 2
    with suppress(PyrecError):
        read_pair(_file(data[:middle] + b"\n", "train"), _file(data[middle:] + b"\n", "test"))


def with_uniform(data: bytes) -> None:
    """A biased and a uniform file, the bytes cut in two; two bytes choose the rule and what becomes of shared pairs."""
    rules = (None, "rating>=4", "rating>0", 3, data[2:12].decode("utf-8", "replace"))
    positive, shared = (
        values[byte % len(values)]
        for values, byte in zip((rules, SHARED), data[:2].ljust(2, b"\0"), strict=True)
    )
    middle = len(data) // 2
    paths = _file(data[2:middle] + b"\n", "biased"), _file(data[middle:] + b"\n", "uniform")
    with suppress(PyrecError):
        biased, uniform = read_with_uniform(*paths, positive=positive, shared=shared)
        Dataset(biased, uniform=uniform)
        split_uniform(uniform, (0.2, 0.3, 0.5))


def matrix(data: bytes) -> None:
    """A matrix of numbers; the first byte chooses what is between them."""
    path = _file(data[1:] + b"\n")
    with suppress(PyrecError):
        read_matrix(path, (None, ",", " ", "\t", ";")[data[0] % 5] if data else None)
    with suppress(PyrecError):
        read_interactions(path, format="matrix", positive="rating>0")


CHOICES: dict[str, tuple[Any, ...]] = {
    "sep": (None, ",", "\t", " ", ";", "::", "|", "\x1f", "e"),
    "header": (None, True, False),
    "columns": (
        None,
        {"user": 1, "item": 2},
        {"user": 2, "item": "item"},
        {"time": None},
        {"user": 1, "item": 3, "time": 2},
        {"user": 1, "item": 2, "weight": 3},
        {"user": 1, "item": 2, "position": 3},
    ),
    "id_type": ("auto", "int", "str"),
    "format": (None, "delimited", "lists", "parquet", "matrix"),
    "time_format": (None, "%d/%m/%Y"),
}


def chosen(data: bytes) -> None:
    """Text read as a person says: a byte chooses each option, and whether it is read in small blocks."""
    options = {
        name: values[byte % len(values)] for (name, values), byte in zip(CHOICES.items(), data, strict=False)
    }
    rest = data[len(CHOICES) + 1 :]
    sizes = (files.LOOK_BYTES, row_blocks._BLOCK_BYTES)
    if len(data) > len(CHOICES) and data[len(CHOICES)] % 2:
        files.LOOK_BYTES, row_blocks._BLOCK_BYTES = 16, 16
    try:
        with suppress(PyrecError):
            read_interactions(_file(rest), **options)
    finally:
        files.LOOK_BYTES, row_blocks._BLOCK_BYTES = sizes


def packed(data: bytes) -> None:
    """What begins as a packed file does; a byte chooses how."""
    starts = (b"", b"\x1f\x8b\x08", b"BZh91AY&SY", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
    with suppress(PyrecError):
        read_interactions(_file(starts[data[0] % len(starts)] + data[1:] if data else data))


def _folder(**files: bytes) -> Path:
    folder = FOLDER / "news"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def mind(data: bytes) -> None:
    """MIND's ``news.tsv`` and ``behaviors.tsv``, the bytes cut in two behind sound rows; a byte chooses options."""
    byte, rest = data[0] if data else 0, data[1:]
    middle = rest.find(b"\f") if b"\f" in rest else len(rest) // 2
    news, behaviors = rest[:middle], rest[middle + rest.count(b"\f", middle, middle + 1) :]
    sound = b"N1\ta\tb\tOne, two\tThree\tu\t[]\t[]\n", b"1\tU1\t11/15/2019 8:55:22 AM\tN1\tN1-1\n"
    if byte & 1:
        news, behaviors = sound[0] + news, sound[1] + behaviors
    folder = _folder(news__tsv=news + b"\n", behaviors__tsv=behaviors + b"\n")
    unknown, split = UNKNOWN[byte // 2 % len(UNKNOWN)], 0.5 if byte & 64 else None
    size = mind_files._BLOCK_BYTES
    if byte & 128:
        mind_files._BLOCK_BYTES = 16
    try:
        with suppress(PyrecError):
            read_news(folder, unknown=unknown, split=split, min_count=1, max_history=3)
    finally:
        mind_files._BLOCK_BYTES = size


def news_columns(data: bytes) -> None:
    """Articles and impressions in named columns, the bytes cut in two behind headers; a byte chooses options."""
    byte, rest = data[0] if data else 0, data[1:]
    middle = rest.find(b"\f") if b"\f" in rest else len(rest) // 2
    articles, shown = rest[:middle], rest[middle + rest.count(b"\f", middle, middle + 1) :]
    if byte & 1:
        articles = b"id,title,subtitle,category,tags,published\n" + articles
        shown = b"user,time,history,candidates," + (b"clicks" if byte & 2 else b"clicked") + b"\n" + shown
    ending = ("csv", "tsv")[byte // 4 % 2]
    folder = _folder(**{f"articles__{ending}": articles + b"\n", f"impressions__{ending}": shown + b"\n"})
    with suppress(PyrecError):
        read_news(folder, unknown=UNKNOWN[byte // 8 % len(UNKNOWN)], min_count=1)


def news_parquet(data: bytes) -> None:
    """What begins as a Parquet file does, in the place of one of EB-NeRD's; a byte chooses which."""
    files = dict(EBNERD)
    name = sorted(files)[data[0] % len(files)] if data else "behaviors__parquet"
    files[name] = b"PAR1" + data[1:]
    with suppress(PyrecError):
        read_news(_folder(**files), min_count=1)


def word_vectors(data: bytes) -> None:
    """Word vectors as text, and as each kind of array; a byte chooses which."""
    ending = ("txt", "npy", "npz", "safetensors")[data[0] % 4] if data else "txt"
    start = {"npy": b"\x93NUMPY\x01\x00", "npz": b"PK\x03\x04"}.get(ending, b"")
    path = _file(start + data[1:], f"vectors.{ending}")
    words = _file(b"one\ntwo\n", "words.txt")
    with suppress(PyrecError):
        read_word_vectors(path, ["one", "two"], words if ending in ("npy", "safetensors") else None)


def tokenizer(data: bytes) -> None:
    """Texts by the default tokenizer, and a ``tokenizer.json``."""
    texts = data.decode("utf-8", "surrogateescape").split("\n")
    with suppress(PyrecError):
        Articles.from_texts(range(len(texts)), texts, texts[::-1])
    with suppress(PyrecError):
        Tokenizer.from_file(_file(data, "tokenizer.json")).split(["one two"])


def parquet(data: bytes) -> None:
    """What begins as a Parquet file does."""
    with suppress(PyrecError):
        read_interactions(_file(b"PAR1" + data))


def _ebnerd() -> dict[str, bytes]:
    """The files of a small part, as EB-NeRD's are."""
    when = pa.array([1, 2], pa.timestamp("us"))
    tables = {
        "behaviors__parquet": {
            "impression_time": when,
            "article_ids_inview": [[1, 2], [2]],
            "article_ids_clicked": [[1], [2]],
            "user_id": [7, 8],
        },
        "history__parquet": {
            "user_id": [7],
            "article_id_fixed": [[2, 1]],
            "impression_time_fixed": pa.array([[1, 2]], pa.list_(pa.timestamp("us"))),
        },
        "articles__parquet": {"article_id": [1, 2], "title": ["One", "Two"], "published_time": when},
    }
    made = {}
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), buffer := io.BytesIO())
        made[name] = buffer.getvalue()
    return made


EBNERD = _ebnerd()


def _models() -> dict[str, Path]:
    train = Interactions.from_arrays([0, 0, 1, 2], ["a", "b", "b", "c"])
    folders = {}
    for model in (EASE(), LightGCN(epochs=1, embedding_size=2, n_layers=1)):
        folders[model.model_name] = FOLDER / model.model_name
        model.fit(train).save(folders[model.model_name])
    return folders


MODELS = _models()
CONFIGS = {name: (folder / saved_model.CONFIG).read_bytes() for name, folder in MODELS.items()}
ARRAYS = {name: (folder / saved_model.ARRAYS).read_bytes() for name, folder in MODELS.items()}


def model_arrays(data: bytes) -> None:
    """``model.safetensors``, signed anew: a byte chooses the model, two how much of a sound file goes before."""
    name = sorted(MODELS)[data[0] % len(MODELS)] if data else "ease"
    kept = int.from_bytes(data[1:3], "little")
    arrays = MODELS[name] / saved_model.ARRAYS
    arrays.write_bytes(ARRAYS[name][:kept] + data[3:])
    config = json.loads(CONFIGS[name]) | {"sha256": saved_model._sha256(arrays)}
    (MODELS[name] / saved_model.CONFIG).write_text(json.dumps(config))
    with suppress(PyrecError):
        Recommender.load(MODELS[name])


def model_config(data: bytes) -> None:
    """``config.json``."""
    folder = MODELS["ease"]
    (folder / saved_model.ARRAYS).write_bytes(ARRAYS["ease"])
    (folder / saved_model.CONFIG).write_bytes(data)
    with suppress(PyrecError):
        Recommender.load(folder)


def model_parameters(data: bytes) -> None:
    """The hyperparameters in ``config.json`` of a sound LightGCN, by each format that is read."""
    with suppress(ValueError, RecursionError):
        params = json.loads(data)
        folder = MODELS["lightgcn"]
        (folder / saved_model.ARRAYS).write_bytes(ARRAYS["lightgcn"])
        sound = json.loads(CONFIGS["lightgcn"])
        sound["params"] = sound["params"] | params if isinstance(params, dict) else params
        for number in saved_model.READ:
            (folder / saved_model.CONFIG).write_text(json.dumps(sound | {"format": number}))
            with suppress(PyrecError):
                Recommender.load(folder)


def source(data: bytes) -> None:
    """What ``config.json`` says that a run was trained on."""
    with suppress(ValueError, RecursionError), suppress(PyrecError):
        Source.from_json(json.loads(data), "config.json")


def raw_ids(data: bytes) -> None:
    """Raw ids: integers, floats, bytes and text of the same bytes."""
    whole = data[: len(data) // 8 * 8]
    columns = [np.frombuffer(whole, kind) for kind in (np.int64, np.float64, np.uint64)]
    columns.append(np.array(data.decode("utf-8", "replace").split(" "), dtype=object))
    for column in columns:
        with suppress(PyrecError):
            Interactions.from_arrays(column, column[::-1])


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        text,
        text_ids,
        delimited,
        quoted,
        events,
        features,
        bandit_log,
        lists,
        pair,
        with_uniform,
        matrix,
        chosen,
        packed,
        parquet,
        mind,
        news_columns,
        news_parquet,
        word_vectors,
        tokenizer,
        model_arrays,
        model_config,
        model_parameters,
        source,
        raw_ids,
    )
}
