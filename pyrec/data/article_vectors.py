"""Vectors of articles that something else made: a language model, or a model of who clicked what."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pyrec.data.foreign import reading
from pyrec.data.ids import IdArray, IdMap, is_text
from pyrec.data.rows import Values, unique_ids
from pyrec.errors import DataError

KINDS: Final = (".npz", ".npy", ".safetensors")


@dataclass(frozen=True, eq=False, repr=False)
class ArticleVectors:
    """A vector for each of some articles.

    Attributes:
        ids: (m,) raw ids, each once.
        vectors: float32 (m, width).

    Raises:
        DataError: they are not as many, or no finite numbers (m, width).
    """

    ids: IdArray
    vectors: npt.NDArray[np.float32]

    def __init__(self, ids: Values, vectors: npt.ArrayLike) -> None:
        found = np.asarray(vectors)
        if found.ndim != 2 or found.dtype.kind not in "fiu" or not found.shape[1]:
            raise DataError(f"vectors are {found.dtype} {found.shape}, but numbers (m, width) are needed")
        known = unique_ids(ids, "ids")
        if len(known) != len(found):
            raise DataError(f"{len(known):,} ids for {len(found):,} vectors; give one for each")
        unsound = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if unsound.size:
            raise DataError(f"vectors[{unsound[0]}] has a number that is not finite")
        object.__setattr__(self, "ids", known)
        object.__setattr__(self, "vectors", np.ascontiguousarray(found, dtype=np.float32))

    def __repr__(self) -> str:
        return f"ArticleVectors({len(self.ids):,} articles, {self.vectors.shape[1]} dimensions)"

    def __deepcopy__(self, memo: Any) -> ArticleVectors:
        return self

    def as_param(self) -> str:
        """Returns what files hold in the place of the vectors: their shape, and a hash that tells them from others."""
        hashed = hashlib.sha256(self.vectors.tobytes())
        hashed.update("\n".join(map(str, self.ids.tolist())).encode())
        return f"<vectors {len(self.ids)} x {self.vectors.shape[1]}, sha256 {hashed.hexdigest()}>"

    def rows(self, ids: IdArray) -> npt.NDArray[np.int64]:
        """Returns the row of each of some articles, -1 for one that has no vector.

        Raises:
            DataError: ids are text here and integers there.
        """
        if is_text(self.ids) != is_text(ids):
            ours, theirs = ("text" if is_text(each) else "integers" for each in (self.ids, ids))
            raise DataError(f"ids of the vectors are {ours}, those of the articles {theirs}; convert them")
        return IdMap(self.ids, "article").encode(ids, "articles", "skip").astype(np.int64)


def read_article_vectors(path: str | Path) -> ArticleVectors:
    """Reads vectors of articles.

    Args:
        path: one of

            * ``.npz`` with ``ids`` and ``vectors`` (m, width), such as the ``items.npz`` that `pyrec.export` writes;
            * ``.safetensors`` with ``vectors``, and integer ``ids`` or the ids in a file beside it;
            * ``.npy`` with the vectors, and the ids beside it.

            The file beside ``NAME.npy`` is ``NAME.ids.npy``, or ``NAME.ids.txt`` with an id a line.

    Raises:
        DataError: a file is absent or malformed; see `ArticleVectors`.
    """
    file = Path(path)
    kind = file.suffix.lower()
    if kind not in KINDS:
        raise DataError(f"{file} is no file of vectors; its name ends in {', '.join(KINDS)}")
    if not file.is_file():
        raise DataError(f"{file} does not exist; check the path")
    with reading(str(file)):
        arrays = _arrays(file, kind)
    if "vectors" not in arrays:
        raise DataError(f"{file} has {', '.join(sorted(arrays))}, but not vectors")
    ids = arrays["ids"] if "ids" in arrays else _ids_beside(file)
    try:
        return ArticleVectors(ids, arrays["vectors"])
    except DataError as error:
        raise DataError(f"{file}: {error}") from None


def _arrays(file: Path, kind: str) -> Mapping[str, npt.NDArray[Any]]:
    if kind == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    if kind == ".npy":
        return {"vectors": np.load(file, allow_pickle=False)}
    from safetensors import safe_open

    with safe_open(file, framework="pt") as tensors:
        found = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    return {name: (one.float() if one.is_floating_point() else one).numpy() for name, one in found.items()}


def _ids_beside(file: Path) -> Values:
    arrays, text = file.with_suffix(".ids.npy"), file.with_suffix(".ids.txt")
    if arrays.is_file():
        with reading(str(arrays)):
            return np.asarray(np.load(arrays, allow_pickle=False))
    if not text.is_file():
        raise DataError(
            f"{file} names no articles; put their ids into {arrays.name} or {text.name} beside it"
        )
    with reading(str(text)):
        lines = text.read_text(encoding="utf-8").splitlines()
    whole = all(line.isascii() and line.isdigit() and len(line) < 19 for line in lines)
    return np.array([int(line) for line in lines]) if whole else lines
