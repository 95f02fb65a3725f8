"""Ranked lists as models return them: ids and scores, which entries are a fallback, and frames of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._arrays import tensor_of
from pyrec._optional import need
from pyrec.errors import ConfigError, DataError

ROWS_SHOWN = 5
ITEMS_SHOWN = 5
LIBRARIES = ("pandas", "polars")


class Ranking(tuple[torch.Tensor, torch.Tensor]):
    """Lists in internal ids: the pair ``(ids, scores)``, with `is_fallback` beside it.

    Attributes:
        is_fallback: Whether an entry is by popularity for want of a history, bool (B, k).
    """

    is_fallback: torch.Tensor

    def __new__(
        cls, ids: torch.Tensor, scores: torch.Tensor, is_fallback: torch.Tensor | None = None
    ) -> Ranking:
        """Take the arrays as they are; without a third one, nothing is a fallback."""
        self = super().__new__(cls, (ids, scores))
        self.is_fallback = torch.zeros_like(ids, dtype=torch.bool) if is_fallback is None else is_fallback
        return self

    def __getnewargs__(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.ids, self.scores, self.is_fallback

    @classmethod
    def joined(cls, parts: Sequence[Ranking]) -> Ranking:
        """Return the lists of several rankings, one below the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            torch.cat([part.ids for part in parts]),
            torch.cat([part.scores for part in parts]),
            torch.cat([part.is_fallback for part in parts]),
        )

    @property
    def ids(self) -> torch.Tensor:
        """Internal item ids, int32 (B, k); -1 pads a short list."""
        return self[0]

    @property
    def scores(self) -> torch.Tensor:
        """Scores, float32 (B, k), best first; -inf pads a short list."""
        return self[1]

    def spread(self, known: NDArray[np.bool_]) -> Ranking:
        """Return lists with an empty one, ids -1 and scores -inf, wherever ``known`` (Q,) is false.

        Args:
            known: bool (Q,), B of them true.
        """
        if known.all():
            return self
        rows = tensor_of(np.flatnonzero(known)).to(self.ids.device)
        shape = len(known), self.ids.shape[1]
        ids, scores = self.ids.new_full(shape, -1), self.scores.new_full(shape, -torch.inf)
        is_fallback = self.is_fallback.new_zeros(shape)
        ids[rows], scores[rows], is_fallback[rows] = self.ids, self.scores, self.is_fallback
        return Ranking(ids, scores, is_fallback)

    def __repr__(self) -> str:
        return f"Ranking({_size(self.ids)}, internal ids{_popular(int(self.is_fallback.sum()))})"


class Recommendations(tuple[NDArray[Any], NDArray[np.float32]]):
    """Lists in raw ids: the pair ``(ids, scores)``, so ``ids, scores = model.recommend(users)``, with more beside it.

    Attributes:
        is_fallback: Whether an entry is by popularity for want of a history, bool (B, n).
        keys: Whose list each row is, (B,): raw user ids, numbers of histories, or raw item ids.
        key_name: What these are: ``user``, ``history`` or ``similar_to``.
        item_names: What items are called, by raw id; may be empty.
    """

    is_fallback: NDArray[np.bool_]
    keys: NDArray[Any]
    key_name: str
    item_names: Mapping[Any, str]

    def __new__(
        cls,
        ids: NDArray[Any],
        scores: NDArray[np.float32],
        is_fallback: NDArray[np.bool_],
        keys: NDArray[Any],
        key_name: str,
        item_names: Mapping[Any, str] | None = None,
    ) -> Recommendations:
        """Take the arrays as they are.

        Raises:
            DataError: If ``item_names`` is no mapping.
        """
        self = super().__new__(cls, (ids, scores))
        self.is_fallback, self.keys, self.key_name = is_fallback, keys, key_name
        self.item_names = _names(item_names)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.ids, self.scores, self.is_fallback, self.keys, self.key_name, self.item_names

    @property
    def ids(self) -> NDArray[Any]:
        """Raw item ids (B, n); -1 or ``""`` pads a short list."""
        return self[0]

    @property
    def scores(self) -> NDArray[np.float32]:
        """Scores, float32 (B, n), best first; -inf pads a short list."""
        return self[1]

    def to_frame(self, library: bool | str = "pandas", item_names: Mapping[Any, str] | None = None) -> Any:
        """Return a data frame with a row for each recommendation, without padding.

        Args:
            library: ``"pandas"`` (or True) or ``"polars"``.
            item_names: What items are called, by raw id; those that were given before, if None.

        Returns:
            The frame. Its columns: whose list it is (``user``, ``history`` or ``similar_to``), ``item``, ``rank``
            from 1, ``score``, ``fallback`` and, where names are given, ``name``, which is missing for items without.

        Raises:
            ConfigError: If the library is neither, or not installed.
            DataError: If ``item_names`` is no mapping.
        """
        name = "pandas" if library is True else library
        if name not in LIBRARIES:
            raise ConfigError(f"as_frame = {library!r} is none of True, 'pandas' and 'polars'")
        frames: Any = need(str(name), "a data frame of recommendations", None)
        rows, places = np.nonzero(self.scores > -np.inf)
        columns: dict[str, Any] = {
            self.key_name: _column(self.keys[rows]),
            "item": _column(self.ids[rows, places]),
            "rank": places + 1,
            "score": self.scores[rows, places],
            "fallback": self.is_fallback[rows, places],
        }
        names = self.item_names if item_names is None else _names(item_names)
        if names:
            columns["name"] = [names.get(item) for item in columns["item"].tolist()]
        return frames.DataFrame(columns)

    def __repr__(self) -> str:
        head = f"Recommendations({_size(self.ids)}{_popular(int(self.is_fallback.sum()))})"
        lines = [
            f"  {self.key_name} {key}: {self._line(row)}"
            for row, key in enumerate(self.keys[:ROWS_SHOWN].tolist())
        ]
        return "\n".join([head, *lines, *(["  ..."] if len(self.keys) > ROWS_SHOWN else [])])

    def _line(self, row: int) -> str:
        length = int(np.count_nonzero(self.scores[row] > -np.inf))
        shown = [
            str(self.item_names.get(item, item))
            for item in self.ids[row, : min(length, ITEMS_SHOWN)].tolist()
        ]
        return ", ".join([*shown, "..."] if length > ITEMS_SHOWN else shown) or "nothing"


def _column(ids: NDArray[Any]) -> NDArray[Any]:
    """Return ids (n,) whose type Polars knows without a look at the first: text also if there are none."""
    return ids.astype("U1") if ids.dtype.kind == "T" and ids.size == 0 else ids


def _names(item_names: Mapping[Any, str] | None) -> Mapping[Any, str]:
    if item_names is not None and not isinstance(item_names, Mapping):
        raise DataError(
            f"item_names is a {type(item_names).__name__}, but a mapping from raw item ids to names is needed"
        )
    return item_names or {}


def _size(ids: Any) -> str:
    many, length = ids.shape
    return f"{many:,} {'list' if many == 1 else 'lists'} of {length:,} {'item' if length == 1 else 'items'}"


def _popular(count: int) -> str:
    return f", {count:,} by popularity" if count else ""
