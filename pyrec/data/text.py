"""Words of texts: split by a tokenizer, counted, and numbered by a vocabulary."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pyrec._checks import check_count
from pyrec._optional import need
from pyrec.data.foreign import reading
from pyrec.data.ids import MAX_ID_LENGTH, TEXT, IdArray, Int32Array
from pyrec.data.ragged import Ragged
from pyrec.data.rows import unique_ids
from pyrec.errors import ConfigError, DataError

_WORD: Final = re.compile(r"\w+|[^\w\s]+")
_MARKS: Final = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Tokenizer:
    """Splits texts into words.

    By default words are runs of letters, digits and underscores, and runs of other marks, as with ``Whitespace`` of
    Hugging Face's ``tokenizers``; text is brought into Unicode's form NFC and to lower case.

    Attributes:
        json: the contents of a ``tokenizer.json`` to split by instead, which needs ``tokenizers`` (extra ``news``); its
            special tokens are left out. None for the words above.
        lower: whether words are brought to lower case; of the default alone.
    """

    json: str | None = None
    lower: bool = True

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Reads a ``tokenizer.json``, or the one of a folder.

        Raises:
            ConfigError: ``tokenizers`` is not installed.
            DataError: there is none, or it is malformed.
        """
        file = Path(path)
        file = file / "tokenizer.json" if file.is_dir() else file
        try:
            made = cls(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(
                f"{file} cannot be read: {' '.join(str(error).split())}; give a tokenizer.json"
            ) from None
        try:
            made._model  # noqa: B018  which parses it
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
        return made

    def split(self, texts: Sequence[str]) -> Words:
        """Returns the words of texts.

        Args:
            texts: (n,) texts.

        Raises:
            ConfigError: ``tokenizers`` is needed and not installed.
            DataError: a value is no text.
        """
        odd = next((at for at, text in enumerate(texts) if not isinstance(text, str)), None)
        if odd is not None:
            raise DataError(f"texts[{odd}] is {texts[odd]!r:.60}, but text is needed")
        return self._by_model(texts) if self.json is not None else self._by_blanks(texts)

    def _by_blanks(self, texts: Sequence[str]) -> Words:
        """Splits by blanks, and then each distinct piece: they repeat, and no word goes beyond one."""
        pieces: defaultdict[str, int] = defaultdict(count().__next__)
        split = list(map(str.split, texts))
        lengths = np.fromiter(map(len, split), np.int64, len(split))
        codes = np.fromiter(map(pieces.__getitem__, chain.from_iterable(split)), np.int32, int(lengths.sum()))
        words: defaultdict[str, int] = defaultdict(count().__next__)
        parts = list(map(self._words_of, pieces))
        flat = np.fromiter(map(words.__getitem__, chain.from_iterable(parts)), np.int32)
        ends = np.append(0, np.cumsum(list(map(len, parts)), dtype=np.int64))
        inner = Ragged(ends, flat, len(words))[codes]
        indptr = np.append(0, np.cumsum(lengths))
        return Words(Ragged(inner.indptr[indptr], inner.indices, len(words)), tuple(words))

    def _words_of(self, piece: str) -> list[str]:
        text = _MARKS.sub("", piece if piece.isascii() else unicodedata.normalize("NFC", piece))
        found: list[str] = _WORD.findall(text.lower() if self.lower else text)
        return [word[:MAX_ID_LENGTH] for word in found]

    def _by_model(self, texts: Sequence[str]) -> Words:
        model = self._model
        plain = [_MARKS.sub("", text) for text in texts]
        with reading("texts, by the tokenizer.json,"):
            encoded = [part.ids for part in model.encode_batch(plain, add_special_tokens=False)]
        used = np.fromiter(chain.from_iterable(encoded), np.int64, sum(map(len, encoded)))
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        kinds, codes = np.unique(used, return_inverse=True)
        words = [model.id_to_token(kind) for kind in kinds.tolist()]
        rows = Ragged(np.append(0, np.cumsum(lengths)), codes.astype(np.int32), len(words))
        special = {token.content for token in model.get_added_tokens_decoder().values() if token.special}
        keep = np.array([bool(word) and word not in special for word in words], dtype=bool)
        return Words(rows, tuple(words)).only(np.flatnonzero(keep))

    @cached_property
    def _model(self) -> Any:
        tokenizers = need("tokenizers", "a tokenizer.json", "news")
        try:
            model = tokenizers.Tokenizer.from_str(self.json)
            model.no_padding()
            model.no_truncation()
        except Exception as error:
            raise DataError(f"no sound tokenizer.json: {' '.join(str(error).split()):.200}") from None
        return model


@dataclass(frozen=True)
class Words:
    """Words of texts by number.

    Attributes:
        rows: the words of each text, in order: (n, num_words).
        words: what the numbers mean.
    """

    rows: Ragged
    words: tuple[str, ...]

    def only(self, kept: npt.NDArray[np.integer[Any]]) -> Words:
        """Returns the same texts with some of the words, numbered anew in the order given."""
        numbers = np.full(len(self.words), -1, np.int32)
        numbers[kept] = np.arange(kept.size, dtype=np.int32)
        return Words(renumbered(self.rows, numbers, kept.size), tuple(self.words[k] for k in kept.tolist()))


def renumbered(rows: Ragged, numbers: Int32Array, num_columns: int) -> Ragged:
    """Returns rows whose entries are numbered anew; those of number -1 are left out."""
    codes = numbers[rows.indices]
    known = codes >= 0
    if known.all():
        return Ragged(rows.indptr, codes, num_columns)
    return Ragged(rows.entries(known).indptr, codes[known], num_columns)


def frequent_words(words: Words, texts: npt.ArrayLike, min_count: int) -> IdArray:
    """Returns a vocabulary, the most frequent words first, equal ones by their spelling.

    Args:
        words: of all texts.
        texts: numbers of the texts that count, or a mask bool (n,).
        min_count: a word occurs in them so often at least, 1 or more.

    Raises:
        ConfigError: ``min_count`` is below 1.
    """
    check_count("min_count", min_count, 1, None, ConfigError)
    counts = np.bincount(words.rows[np.asarray(texts)].indices, minlength=len(words.words))
    often = np.flatnonzero(counts >= min_count).tolist()
    often.sort(key=lambda at: (-counts[at], words.words[at]))
    return np.array([words.words[at] for at in often], dtype=TEXT)


def encoded(words: Words, vocabulary: IdArray) -> tuple[Ragged, int]:
    """Returns texts by the numbers of a vocabulary, and how many words it lacks, which are left out."""
    place = {word: at for at, word in enumerate(vocabulary.tolist())}
    numbers = np.fromiter((place.get(word, -1) for word in words.words), np.int32, len(words.words))
    rows = renumbered(words.rows, numbers, vocabulary.size)
    return rows, int(words.rows.indices.size - rows.indices.size)


def cut(rows: Ragged, most: int) -> tuple[Ragged, int]:
    """Returns the first ``most`` entries of each row, and how many rows had more."""
    longer = int(np.count_nonzero(rows.lengths > most))
    return (rows.entries(rows.places < most) if longer else rows), longer


def check_vocabulary(words: Any) -> IdArray:
    """Returns a vocabulary that was given, each word once.

    Raises:
        DataError: it is empty or no text, or a word is there twice.
    """
    found = unique_ids(words, "vocabulary")
    if found.dtype.kind != TEXT.kind:
        raise DataError(f"vocabulary[0] is {found[0]!r}, but words are text")
    return found
