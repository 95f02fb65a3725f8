"""A model's vectors for use elsewhere: NumPy or Parquet files, or an index of FAISS or usearch over the items.

The files, in a folder of their own:

- ``users.npz``, ``items.npz`` (or ``.parquet``): ``ids``, the raw ids, int64 or text (count,), and ``vectors``,
  float32 (count, dim);
- ``items.faiss`` or ``items.usearch``: an index by inner product over the item vectors, whose keys are the rows of
  ``items.npz``;
- ``export.json``: format, sizes, the model's name and hyperparameters;
- ``README.md``: a model card.

A user's score for an item is the inner product of their vectors. What a user has seen is not left out: `recommend`
does that, a search in the vectors does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._atomic import replacing, write_text, writing
from pyrec._exchange import of_one_state
from pyrec._optional import need
from pyrec.data.ids import is_text
from pyrec.device import gibibytes
from pyrec.errors import ConfigError
from pyrec.export.card import VECTOR_FILES, export_card
from pyrec.models import Fusion, Recommender
from pyrec.models.vectors import VectorRecommender
from pyrec.params import params_to_json
from pyrec.store.saved_model import plain
from pyrec.version import version

MANIFEST = "export.json"
CARD = "README.md"
USERS_A_BATCH = 1 << 16
MOST_PADDED = 2**28
"""Bytes of ids in a NumPy file; beyond them most would be padding."""


@dataclass(frozen=True)
class Vectors:
    """Raw ids, int64 or text (count,), and the vectors that belong to them, float32 (count, dim)."""

    ids: NDArray[Any]
    vectors: NDArray[np.float32]


@of_one_state
def export(
    model: Recommender,
    folder: str | PathLike[str],
    format: str = "numpy",  # noqa: A002 (what the command line calls it)
    metrics: Mapping[str, float] | None = None,
) -> Path:
    """Write a fitted model's vectors; see the module's text for the files.

    Args:
        model: A model that scores by the inner product of vectors: lightgcn, mf, svd or popularity.
        folder: Where to write: a new or empty folder, or one with an earlier export, which is replaced.
        format: "numpy", "parquet" (extra ``io``), "faiss" or "usearch" (extra ``ann``).
        metrics: What the model reaches, for the card; None to leave that out.

    Returns:
        The folder.

    Raises:
        NotFittedError: Before `fit`.
        ConfigError: If the format is unknown or its library is not installed; the model has no vectors, or a
            hyperparameter that JSON cannot hold; or the folder holds something else. Also if one text id is so long
            that NumPy's files would be mostly padding: all ids are as wide as the longest.
        DataError: If the folder cannot be written.
    """
    if format not in FORMATS:
        raise ConfigError(f"format = {format!r} is not one of {', '.join(FORMATS)}")
    users, items = vectors_of(model)
    path = Path(folder)
    earlier = _earlier_files(path)
    facts: dict[str, Any] = {
        "pyrec": version(),
        "model": model.model_name,
        "params": params_to_json(model),
        "format": format,
        "dim": items.vectors.shape[1],
        "num_users": len(users.ids),
        "num_items": len(items.ids),
        "num_cold_users": _num_cold(model),
        "score": "inner product",
    }
    manifest = json.dumps(facts, indent=2, default=plain) + "\n"  # what fails here leaves no file
    names = FORMATS[format](path, users, items)
    write_text(path / CARD, export_card(facts | {"params": model.flat_params()}, names, dict(metrics or {})))
    write_text(path / MANIFEST, manifest)
    with writing(path):
        for name in earlier - {*names, CARD, MANIFEST}:
            (path / name).unlink()
    return path


def _num_cold(model: Recommender) -> int:
    """Count the users of whom the model knows nothing."""
    users = np.arange(model.train_.num_users, dtype=np.int32)
    return int(model._cold_users(users).sum()) if model.personal else 0


@of_one_state
def vectors_of(model: Recommender) -> tuple[Vectors, Vectors]:
    """Return the users' and the items' vectors; a score is their inner product.

    Raises:
        NotFittedError: Before `fit`.
        ConfigError: If the model has no vectors.
    """
    if isinstance(model, Fusion):
        raise ConfigError(
            "Fusion mixes the scores of two models and has no vectors to export; those of one of them may have: "
            "export(model.second_, ...)"
        )
    if not isinstance(model, VectorRecommender):
        raise ConfigError(
            f"{type(model).__name__} scores by item-to-item weights and has no vectors to export; use lightgcn, mf "
            "or svd"
        )
    model._check_fitted()
    train = model.train_
    rows = np.arange(train.num_users, dtype=np.int32)
    batches = [rows[start : start + USERS_A_BATCH] for start in range(0, len(rows), USERS_A_BATCH)]
    with torch.no_grad():
        users = np.concatenate([model._query_vectors(batch).cpu().numpy() for batch in batches])
        items = model._item_vectors().cpu().numpy()
    return Vectors(train.user_ids, users), Vectors(train.item_ids, items)


def _earlier_files(folder: Path) -> set[str]:
    """Return the names of an earlier export's files in the folder; any other content is an error."""
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file; name a folder")
        present = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if present and MANIFEST not in present:
        raise ConfigError(f"{folder} holds files but no export; name an empty or a new folder")
    return present & FILES


def _write_numpy(folder: Path, users: Vectors, items: Vectors) -> list[str]:
    sides = [
        (f"{name}.npz", _of_one_width(side.ids, name), side.vectors)
        for name, side in (("users", users), ("items", items))
    ]
    for name, ids, vectors in sides:
        with replacing(folder / name) as temporary, temporary.open("wb") as file:
            np.savez(file, ids=ids, vectors=vectors)
    return ["users.npz", "items.npz"]


def _of_one_width(ids: NDArray[Any], name: str) -> NDArray[Any]:
    """Return ids as ``np.load`` reads them without pickle: text as wide as the longest.

    Raises:
        ConfigError: If that takes over `MOST_PADDED` bytes, and eight times what the ids themselves would take.
    """
    if not is_text(ids):
        return ids
    lengths = np.strings.str_len(ids)
    longest = int(lengths.argmax())
    width = int(lengths[longest])
    if 4 * width * len(ids) > max(MOST_PADDED, 32 * int(lengths.sum())):
        raise ConfigError(
            f"the ids of {name} would take {gibibytes(4 * width * len(ids))} in NumPy's files, where each is as wide "
            f"as the longest, of {width} characters: {ids[longest][:40]!r}...; use format='parquet', or shorten it"
        )
    return ids.astype(f"U{width}")


def _write_parquet(folder: Path, users: Vectors, items: Vectors) -> list[str]:
    arrow = need("pyarrow", "a Parquet export", "io")
    parquet = need("pyarrow.parquet", "a Parquet export", "io")
    for name, side in (("users.parquet", users), ("items.parquet", items)):
        flat, dim = arrow.array(side.vectors.reshape(-1)), side.vectors.shape[1]
        ids = side.ids.astype(object) if is_text(side.ids) else side.ids
        columns = {"id": arrow.array(ids), "vector": arrow.FixedSizeListArray.from_arrays(flat, dim)}
        with replacing(folder / name) as temporary:
            parquet.write_table(arrow.table(columns), temporary)
    return ["users.parquet", "items.parquet"]


def _write_faiss(folder: Path, users: Vectors, items: Vectors) -> list[str]:
    faiss = need("faiss", "a FAISS index", "ann")
    index = faiss.IndexFlatIP(items.vectors.shape[1])
    index.add(np.ascontiguousarray(items.vectors))
    names = _write_numpy(folder, users, items)
    with replacing(folder / "items.faiss") as temporary:
        faiss.write_index(index, str(temporary))
    return [*names, "items.faiss"]


def _write_usearch(folder: Path, users: Vectors, items: Vectors) -> list[str]:
    usearch = need("usearch.index", "a usearch index", "ann")
    index = usearch.Index(ndim=items.vectors.shape[1], metric="ip", dtype="f32")
    index.add(np.arange(len(items.ids)), items.vectors, threads=torch.get_num_threads())
    names = _write_numpy(folder, users, items)
    with replacing(folder / "items.usearch") as temporary:
        index.save(str(temporary))
    return [*names, "items.usearch"]


FORMATS: dict[str, Callable[[Path, Vectors, Vectors], list[str]]] = {
    "numpy": _write_numpy,
    "parquet": _write_parquet,
    "faiss": _write_faiss,
    "usearch": _write_usearch,
}
"""What writes each format: it takes the folder and both sides, and returns the names of the files."""

FILES = {*VECTOR_FILES, CARD, MANIFEST}
"""Every name that an export may write."""
