"""Word vectors from files, for the words of a vocabulary."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pyrec._checks import check_count
from pyrec.data.foreign import reading
from pyrec.data.ids import IdArray
from pyrec.data.read.files import decode, opened
from pyrec.data.text import check_vocabulary
from pyrec.errors import ConfigError, DataError

Vectors = npt.NDArray[np.float32]

_BLOCK_BYTES: Final = 1 << 22
_COUNTS: Final = re.compile(r"[0-9]+ [0-9]+\s*", re.ASCII)
"""word2vec's first line: how many words and dimensions there are."""
_BESIDE: Final = ("words.txt", "vocab.txt", "tokenizer.json")


@dataclass(frozen=True, eq=False, repr=False)
class WordVectors:
    """A vector for each word of a vocabulary that a file knows.

    Attributes:
        words: (n,) the vocabulary.
        vectors: float32 (n, dim), zeros for a word that the file lacks.
        is_known: bool (n,): whether the file has the word.
    """

    words: IdArray
    vectors: Vectors
    is_known: npt.NDArray[np.bool_]

    def __repr__(self) -> str:
        n, dim = self.vectors.shape
        return f"WordVectors({self.num_known:,} of {n:,} words, {dim} dimensions)"

    @property
    def num_known(self) -> int:
        """How many of the words the file has."""
        return int(np.count_nonzero(self.is_known))

    def filled(self, seed: int = 0) -> Vectors:
        """Returns the vectors float32 (n, dim), and random ones of the same mean and spread for unknown words.

        Args:
            seed: 0 to 2**31 - 1.

        Raises:
            ConfigError: the seed is out of range.
        """
        rng = np.random.default_rng(check_count("seed", seed, 0, 2**31 - 1, ConfigError))
        known = self.vectors[self.is_known].astype(np.float64)
        mean, spread = (known.mean(axis=0), known.std(axis=0)) if len(known) else (0.0, 0.1)
        drawn = mean + spread * rng.standard_normal(self.vectors.shape)
        return np.where(self.is_known[:, None], self.vectors, drawn).astype(np.float32)


def read_word_vectors(
    path: str | Path, vocabulary: Sequence[str] | IdArray, words: str | Path | None = None
) -> WordVectors:
    """Reads the vectors of a vocabulary's words.

    A word is looked for as it is written, and else in any case: the first of the file counts.

    Args:
        path: one of

            * text, plain or packed: a word and its numbers a line, apart by blanks, as GloVe's and word2vec's;
            * ``.npz`` with ``words`` and ``vectors`` (m, dim);
            * ``.npy`` or ``.safetensors`` with the vectors (m, dim), the words being in a file of their own.

        vocabulary: (n,) words, such as ``articles.words``.
        words: where the words of ``.npy`` and ``.safetensors`` are: a text file with a word a line, or a
            ``tokenizer.json``; None for ``words.txt``, ``vocab.txt`` or ``tokenizer.json`` beside the vectors.

    Raises:
        DataError: a file is absent or malformed, a number is not finite, or words and vectors are not as many.
    """
    file, wanted = Path(path), check_vocabulary(vocabulary)
    table = _Table(wanted)
    kind = file.suffix.lower()
    if words is not None and kind not in (".npy", ".safetensors"):
        raise ConfigError(f"words is {str(words)!r}, but {file.name} names its words itself; leave it out")
    if kind in (".npz", ".npy", ".safetensors"):
        found, vectors = _arrays(file, kind, None if words is None else Path(words))
        table.take(found, vectors, file)
    else:
        for line, word, numbers in _lines(file, table):
            table.put(word, numbers, f"{file}, line {line}")
    return table.finish(file)


def word_vectors(path: str | Path, vocabulary: Sequence[str] | IdArray, dim: int, seed: int = 0) -> Vectors:
    """Returns first vectors of a vocabulary, float32 (n, dim): a file's, and random ones like them for other words.

    Args:
        path: see `read_word_vectors`.
        vocabulary: (n,) words.
        dim: how many numbers a vector has in the file.
        seed: of the random ones.

    Raises:
        DataError: the file has vectors of another size; or see `read_word_vectors`.
    """
    found = read_word_vectors(path, vocabulary)
    if found.vectors.shape[1] != dim:
        raise DataError(
            f"{path} has vectors of {found.vectors.shape[1]} numbers, but {dim} are asked for; set that size to "
            f"{found.vectors.shape[1]}"
        )
    return found.filled(seed)


class _Table:
    """Vectors of the words wanted, filled as they are found."""

    def __init__(self, words: IdArray) -> None:
        self._words = words
        self._place = {word: at for at, word in enumerate(words.tolist())}
        self._exact = np.zeros(words.size, dtype=bool)
        self._found = np.zeros(words.size, dtype=bool)
        self._vectors: Vectors | None = None

    def place(self, word: str) -> int:
        """Returns the place of a word that is wanted and not yet there; -1 for any other."""
        at = self._place.get(word, -1)
        if at >= 0:
            return -1 if self._exact[at] else at
        at = self._place.get(word.lower(), -1)
        return -1 if at < 0 or self._found[at] else at

    def put(self, word: str, numbers: npt.NDArray[np.floating[Any]], where: str) -> None:
        """Takes a word's vector (dim,)."""
        at = self.place(word)
        if at < 0:
            return
        if not np.isfinite(numbers).all():
            raise DataError(f"{where}: the vector of {word[:40]!r} has a number that is not finite")
        if self._vectors is None:
            self._vectors = np.zeros((self._words.size, numbers.size), np.float32)
        self._vectors[at] = numbers
        self._found[at] = True
        self._exact[at] = self._place.get(word) == at

    def take(self, words: Iterable[str], vectors: npt.NDArray[Any], path: Path) -> None:
        """Takes the vectors (m, dim) of words (m,)."""
        self._vectors = np.zeros((self._words.size, vectors.shape[1]), np.float32)
        for row, word in enumerate(words):
            if self.place(word) >= 0:
                self.put(word, vectors[row].astype(np.float32), f"{path}, row {row}")

    def finish(self, path: Path) -> WordVectors:
        if self._vectors is None or not self._found.any():
            raise DataError(
                f"{path} has none of the {self._words.size:,} words, such as {self._words[0]!r}; is it of the same "
                "language?"
            )
        return WordVectors(self._words, self._vectors, self._found)


# Text


def _lines(path: Path, table: _Table) -> Iterator[tuple[int, str, Vectors]]:
    """Yields line, word and numbers of the words wanted."""
    dim = 0
    with opened(path) as content:
        for number, block in content.blocks(_BLOCK_BYTES):
            for line, text in enumerate(decode(block, number, path).split("\n")[:-1], start=number):
                fields = text.split(" ") if not dim else []
                if not dim and not (line == 1 and _COUNTS.fullmatch(text)):
                    dim = len(fields) - 1 - (text[-1:] == " ")
                    if dim < 1:
                        raise DataError(
                            f"{path}, line {line}: a word and its numbers are needed, apart by blanks"
                        )
                if not dim:
                    continue
                word, *numbers = text.rstrip(" ").rsplit(" ", dim)
                if len(numbers) != dim:
                    raise DataError(
                        f"{path}, line {line}: {len(numbers)} numbers, but {dim} before; is it torn?"
                    )
                if table.place(word) < 0:
                    continue
                try:
                    yield line, word, np.array(numbers, dtype=np.float64).astype(np.float32)
                except ValueError:
                    raise DataError(f"{path}, line {line}: a field of {word[:40]!r} is no number") from None


# Arrays


def _arrays(path: Path, kind: str, words: Path | None) -> tuple[list[str], npt.NDArray[Any]]:
    """Returns words (m,) and vectors (m, dim)."""
    if not path.is_file():
        raise DataError(f"{path} does not exist; check the path")
    if kind == ".npz":
        with reading(str(path)), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            lacking = {"words", "vectors"} - set(arrays)
            if lacking:
                raise DataError(f"{path} has {', '.join(arrays)}, but not {' and '.join(sorted(lacking))}")
            found, vectors = arrays["words"].tolist(), arrays["vectors"]
    else:
        vectors = _npy(path) if kind == ".npy" else _safetensors(path)
        found = _read_words(words or _beside(path))
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.shape[1]:
        raise DataError(
            f"{path}: the vectors are {vectors.dtype} {vectors.shape}, but fractions (m, dim) are needed"
        )
    if len(found) != len(vectors) or not all(isinstance(word, str) for word in found):
        raise DataError(f"{path}: {len(found):,} words for {len(vectors):,} vectors; give text, one for each")
    return found, vectors


def _npy(path: Path) -> npt.NDArray[Any]:
    with reading(str(path)):
        return np.asarray(np.load(path, allow_pickle=False))


def _safetensors(path: Path) -> npt.NDArray[Any]:
    from safetensors import safe_open

    with reading(str(path)), safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if len(file.get_slice(name).get_shape()) == 2]  # noqa: SIM118
        words = [name for name in names if "word_embeddings" in name or name in ("vectors", "weight")]
        chosen = words or names
        if len(chosen) != 1:
            raise DataError(
                f"{path} has {len(chosen)} tables ({', '.join(chosen[:5])}); keep one, or call it 'vectors'"
            )
        return np.asarray(file.get_tensor(chosen[0]).float().numpy())


def _beside(path: Path) -> Path:
    found = next((path.parent / name for name in _BESIDE if (path.parent / name).is_file()), None)
    if found is None:
        raise DataError(
            f"{path} names no words, and beside it there is no {' or '.join(_BESIDE)}; give words"
        )
    return found


def _read_words(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
        vocabulary = json.loads(text)["model"]["vocab"]
        pairs = vocabulary.items() if isinstance(vocabulary, dict) else enumerate(vocabulary)
        if isinstance(vocabulary, dict):
            return [word for word, _ in sorted(pairs, key=lambda pair: pair[1])]
        return [str(word[0]) for _, word in pairs]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{path} cannot be read: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from None
