"""Why a model gives an item its score: what each item of the history has to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["exact", "left out", "similar", "popularity"]

MEANING: Final[Mapping[Kind, str]] = {
    "exact": "what each item of the history adds to the score",
    "left out": "how much the score falls if the item is left out of the history",
    "similar": "how like the item of the history is to this one; no parts of the score",
    "popularity": "the score is the number of training users who had the item",
}
"""What the value of a part is, by the kind of explanation."""

TOLERANCE: Final = 1e-5
"""Of the kind ``exact``: the sum differs from the score by less than this share of the sum of magnitudes."""


class Part(NamedTuple):
    """An item of the history and what it has to do with the score.

    Attributes:
        item: Its raw id.
        value: What `Explanation.kind` says.
    """

    item: Any
    value: float


@dataclass(frozen=True, repr=False)
class Explanation:
    """Why an item has its score for a user.

    Attributes:
        model: The model's name.
        user: The raw id of the user; None for a new one.
        item: The raw id of the item.
        score: Its score, as `recommend` gives it.
        rank: Its place, from 1, in the user's list without what the user had. None if it is seen, or if its place is
            beyond the longest list, 1,024.
        seen: Whether it is in the history.
        kind: What the parts are. ``exact``: they and the remainder sum to the score, up to `TOLERANCE`. ``left out``:
            the score less what it is when the item of the history is left out. ``similar``: inner products of the
            item vectors, which are likeness and no parts of the score. ``popularity``: there are none.
        history: Raw ids of the items that the user had; of a new user as they were given.
        parts: Of the items of the history, each once, the largest magnitude first.
        skipped: Items of the history that have no part: the least likely ones, where a large graph allows a few.
        remainder: Of the kind ``exact``: what of the score is not of the history, such as an embedding that was learned
            for the user. None where there is no such thing.
        layers: What each layer of the user adds to the score, K + 1 numbers that sum to it; None without layers.
        layer_weights: The weights of the user's layers, K + 1 numbers; None without layers.
    """

    model: str
    user: Any | None
    item: Any
    score: float
    rank: int | None
    seen: bool
    kind: Kind
    history: tuple[Any, ...]
    parts: tuple[Part, ...]
    skipped: int = 0
    remainder: float | None = None
    layers: tuple[float, ...] | None = None
    layer_weights: tuple[float, ...] | None = field(default=None)

    def __repr__(self) -> str:
        who = f"a history of {len(self.history)}" if self.user is None else repr(self.user)
        place = "seen" if self.seen else f"rank={self.rank}"
        return (
            f"Explanation(user={who}, item={self.item!r}, score={self.score:.4g}, {place}, kind={self.kind!r}, "
            f"{len(self.parts)} parts)"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, by the names of the attributes; a part is ``item`` and ``value``."""
        return {
            **vars(self),
            "meaning": MEANING[self.kind],
            "history": list(self.history),
            "parts": [part._asdict() for part in self.parts],
            "layers": None if self.layers is None else list(self.layers),
            "layer_weights": None if self.layer_weights is None else list(self.layer_weights),
        }

    def summary(self, item_names: Mapping[Any, str] | None = None, n: int = 10) -> str:
        """Return the explanation as text: a line on the score, then a line for each part.

        Args:
            item_names: What items are called, by raw id.
            n: Parts to show; what the others come to is one line.
        """
        names = item_names or {}
        return "\n".join(
            [
                self._headline(names),
                *self.notes(),
                *(f"  {part.value:+.4f}  {_called(part.item, names)}" for part in self.parts[:n]),
                *self._rest(n),
                *self._of_layers(),
            ]
        )

    def notes(self) -> list[str]:
        """Return what has to be known to read the parts, a sentence each."""
        notes = [f"{self.kind}: {MEANING[self.kind]}"]
        if self.kind == "popularity" and not self.history:
            notes.append("the user has no history, so the most popular items are recommended")
        if self.seen:
            notes.append("the user had this item, so lists leave it out")
        if self.skipped:
            notes.append(
                f"{self.skipped:,} items of the history were not left out, as the graph is large; by a first estimate "
                "they matter less"
            )
        return notes

    def _headline(self, names: Mapping[Any, str]) -> str:
        who = "a new user" if self.user is None else f"user {self.user}"
        place = "" if self.rank is None else f", place {self.rank:,} of the list"
        return f"{_called(self.item, names)} for {who} by {self.model}: score {self.score:.4f}{place}"

    def _rest(self, n: int) -> list[str]:
        lines = []
        if (more := self.parts[n:]) and self.kind == "exact":
            lines.append(
                f"  {sum(part.value for part in more):+.4f}  {len(more):,} other items of the history"
            )
        elif more:
            lines.append(f"  {len(more):,} other items of the history have smaller values")
        if self.remainder is not None:
            lines.append(f"  {self.remainder:+.4f}  what was learned for the user")
        return lines

    def _of_layers(self) -> list[str]:
        if self.layers is None or self.layer_weights is None:
            return []
        lines = ["layers of the user: what each adds to the score, and its weight"]
        pairs = zip(self.layers, self.layer_weights, strict=True)
        return lines + [
            f"  {value:+.4f}  layer {k}, weight {weight:.3f}" for k, (value, weight) in enumerate(pairs)
        ]


def _called(item: Any, names: Mapping[Any, str]) -> str:
    return f"{item} {names[item]}" if item in names else str(item)
