"""What a request names, checked against what the model knows and in internal ids."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyrec.data import Interactions
from pyrec.data.ids import IdArray, Int32Array, Unknown, is_text
from pyrec.errors import DataError
from pyrec.models import Recommender
from pyrec.models.requests import candidates, default_length
from pyrec.serve.errors import RequestError


class Asked:
    """The raw ids of a request, checked and made internal ones.

    Args:
        train: Whose ids they are.
        ignore_unknown: Skip unknown ids, which `told` then names; otherwise they are refused.
    """

    def __init__(self, train: Interactions, ignore_unknown: bool = False) -> None:
        self.train = train
        self.unknown: Unknown = "skip" if ignore_unknown else "error"
        self._skipped: dict[str, dict[Any, None]] = {}

    def users(self, ids: Sequence[Any], argument: str = "users") -> Int32Array:
        """Return internal ids, -1 for those that are skipped."""
        return self._encoded(self.train.encode_users, ids, argument, self.train.user_ids)

    def items(self, ids: Sequence[Any], argument: str) -> Int32Array:
        """Return internal ids, -1 for those that are skipped."""
        return self._encoded(self.train.encode_items, ids, argument, self.train.item_ids)

    def told(self) -> dict[str, Any]:
        """Return what an answer says of skipped ids: nothing, unless they are to be skipped."""
        if self.unknown == "error":
            return {}
        return {"unknown": {argument: list(ids) for argument, ids in self._skipped.items()}}

    def _encoded(
        self, encode: Callable[..., Int32Array], ids: Sequence[Any], argument: str, known: IdArray
    ) -> Int32Array:
        """Return internal ids; the answer to an unknown one names it and tells of no others."""
        kind, wanted = (str, "text") if is_text(known) else (int, "whole numbers")
        one = argument in ("user", "item")
        for at, raw in enumerate(ids):
            if type(raw) is not kind:
                raise RequestError(
                    argument if one else f"{argument}[{at}]", f"the ids of this model are {wanted}"
                )
        try:
            codes = encode(ids, unknown=self.unknown)
        except DataError:
            at = bisect_left(range(len(ids)), True, key=lambda last: _fails(encode, ids[: last + 1]))
            where = argument if one else f"{argument}[{at}]"
            raise RequestError(where, f"{ids[at]!r} is not known to this model", 404) from None
        skipped = [ids[at] for at in np.flatnonzero(codes < 0).tolist()]
        if skipped:
            self._skipped.setdefault(argument.partition("[")[0], {}).update(dict.fromkeys(skipped))
        return codes


def _fails(encode: Callable[[Sequence[Any]], Int32Array], ids: Sequence[Any]) -> bool:
    try:
        encode(ids)
    except DataError:
        return True
    return False


def length_of(model: Recommender, n: int | None) -> int:
    """Return how many items a list is to have."""
    most = model.train_.num_items
    if n is None:
        return default_length(most)
    if n > most:
        raise RequestError("n", f"there are {most} items; ask for fewer")
    return n


def choice_of(asked: Asked, items: Sequence[Any] | None, exclude: Sequence[Any] | None) -> IdArray | None:
    """Return the raw ids of the only items to choose from; None for all."""
    chosen_from = asked.items(items or (), "items")
    asked.items(exclude or (), "exclude")
    if items and not (chosen_from >= 0).any():
        raise RequestError("items", "holds no item that this model knows")
    try:
        chosen = candidates(asked.train, items, exclude or None, asked.unknown)
    except DataError:
        raise RequestError("exclude", "leaves nothing to choose from; exclude fewer") from None
    return None if chosen is None else asked.train.item_ids[chosen]
