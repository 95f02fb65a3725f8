"""Why a model gives an item its score: what each item of the history has to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from pyrec.evaluate.tables import printable

Kind = Literal["exact", "left out", "similar", "popularity"]

MEANING: Final[Mapping[Kind, str]] = {
    "exact": "what each item of the history adds to the score",
    "left out": "how much the score falls if the item is left out of the history",
    "similar": "how like the item of the history is to this one; no parts of the score",
    "popularity": "the score is the number of training users who had the item",
}
"""What the value of a part is, by the kind of explanation."""

TOLERANCE: Final = 2e-6
"""Of the kind ``exact``: the sum differs from the score by less than this share of the sum of magnitudes.

Where layers are stored as bfloat16 it is `BF16_TOLERANCE`.
"""
BF16_TOLERANCE: Final = 2.0**-8
"""The rounding of a bfloat16: 8 bits of fraction."""


class Part(NamedTuple):
    """An item of the history and what it has to do with the score.

    Attributes:
        item: Its raw id.
        value: What `Explanation.kind` says.
    """

    item: Any
    value: float


class Row(NamedTuple):
    """A line of a table, or a bar, of an explanation.

    Attributes:
        label: What it is called.
        value: As of a `Part`.
        is_part: Whether it is one item's; else a sum.
    """

    label: str
    value: float
    is_part: bool


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
        is_fallback: Whether the model has nothing of the user to go by, so that items go by popularity.
        kind: What the parts are. ``exact``: they and the remainder sum to the score, up to `TOLERANCE`. ``left out``:
            the score less what it is when the item of the history is left out. ``similar``: inner products of the
            item vectors, which are likeness and no parts of the score. ``popularity``: there are none.
        history: Raw ids of the items that the user had; of a new user as they were given.
        parts: Of the items of the history, each once, the largest magnitude first.
        skipped: Items of the history that have no part: the least likely ones, where a large graph allows a few.
        remainder: Of the kind ``exact``: what of the score is not of the history, such as an embedding that was learned
            for the user, or, of a new one, what the mean of the known users adds. None where there is no such thing.
        remainder_of: What that is, in words; None where there is none.
        layers: What each layer of the user adds to the score, K + 1 numbers that sum to it; None without layers.
        layer_weights: The weights of the user's layers, K + 1 numbers; None without layers.
        item_names: What the item and those of the parts are called, by raw id, where the model knows.
    """

    model: str
    user: Any | None
    item: Any
    score: float
    rank: int | None
    seen: bool
    is_fallback: bool
    kind: Kind
    history: tuple[Any, ...]
    parts: tuple[Part, ...]
    skipped: int = 0
    remainder: float | None = None
    remainder_of: str | None = None
    layers: tuple[float, ...] | None = None
    layer_weights: tuple[float, ...] | None = None
    item_names: Mapping[Any, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        who = f"a history of {len(self.history)}" if self.user is None else repr(self.user)
        place = "seen" if self.seen else f"rank={self.rank}"
        return (
            f"Explanation(user={who}, item={self.item!r}, score={self.score:.4g}, {place}, kind={self.kind!r}, "
            f"{len(self.parts)} parts)"
        )

    def as_dict(self, item_names: Mapping[Any, str] | None = None) -> dict[str, Any]:
        """Return everything as JSON can hold it, by the names of the attributes.

        A part has ``item`` and ``value``. ``meaning`` says what the value is.

        Args:
            item_names: What items are called, by raw id; None for no names. With names there are ``item_name``, and
                ``name`` in each part, null for an item without one.
        """
        told = {
            **vars(self),
            "meaning": MEANING[self.kind],
            "notes": self.notes(),
            "history": list(self.history),
            "parts": [part._asdict() for part in self.parts],
            "layers": None if self.layers is None else list(self.layers),
            "layer_weights": None if self.layer_weights is None else list(self.layer_weights),
        }
        del told["item_names"]
        if item_names is not None:
            told["item_name"] = item_names.get(self.item)
            for part in told["parts"]:
                part["name"] = item_names.get(part["item"])
        return told

    def summary(self, item_names: Mapping[Any, str] | None = None, n: int = 10) -> str:
        """Return the explanation as text: a line on the score, then a line for each part.

        Args:
            item_names: What items are called, by raw id; None for what the model knows.
            n: Parts to show; what the others come to is one line.
        """
        lines = [self.headline(item_names), f"{self.kind}: {MEANING[self.kind]}", *self.notes()]
        lines += [f"  {row.value:+.4f}  {row.label}" for row in self.rows(item_names, n)]
        if hidden := self.hidden(n):
            lines.append(f"  {hidden:,} other items of the history have smaller values")
        if self.layers is not None and self.layer_weights is not None:
            lines.append("layers of the user: what each adds to the score, and its weight")
            pairs = enumerate(zip(self.layers, self.layer_weights, strict=True))
            lines += [f"  {value:+.4f}  layer {k}, weight {weight:.3f}" for k, (value, weight) in pairs]
        return "\n".join(lines)

    def headline(self, item_names: Mapping[Any, str] | None = None) -> str:
        """Return which item has which score for whom, a line."""
        return f"{self.called(self.item, item_names)} {self.standing()}"

    def called(self, item: Any, item_names: Mapping[Any, str] | None = None) -> str:
        """Return an item's raw id and, if it has one, its name; what steers a terminal becomes a blank."""
        names = self.item_names if item_names is None else item_names
        return printable(f"{item} {names[item]}" if item in names else str(item))

    def standing(self) -> str:
        """Return what follows the item in `headline`: for whom, by which model, with which score and place."""
        who = "a new user" if self.user is None else printable(f"user {self.user}")
        place = "" if self.rank is None else f", place {self.rank:,} of the list"
        score = f"{self.score:,.0f}" if self.kind == "popularity" else f"{self.score:.4f}"
        return f"for {who} by {self.model}: score {score}{place}"

    def notes(self) -> list[str]:
        """Return what else has to be known of this score, a sentence each."""
        notes = []
        if not self.history and self.kind != "popularity":
            notes.append("there is no history: the score is of what else is known of the user")
        if self.is_fallback:
            why = "nobody had the items of the history" if self.history else "there is no history to go by"
            notes.append(f"{why}, so the most popular items are recommended")
        if self.kind == "exact" and self.parts and not any(part.value for part in self.parts):
            notes.append("nothing in the history speaks for this item or against it")
        if self.seen:
            notes.append("the user had this item, so lists leave it out")
        if self.skipped:
            notes.append(
                f"the graph is large: {self.skipped:,} items of the history, the least by a first estimate, were not "
                "left out"
            )
        return notes

    def rows(self, item_names: Mapping[Any, str] | None = None, n: int = 10) -> list[Row]:
        """Return what to show of the parts.

        Of the kind ``exact`` the values sum to the score: behind ``n`` parts come the sum of the others, and the
        remainder if there is one.

        Args:
            item_names: What items are called, by raw id; None for what the model knows. A label is an id, and a name if
                there is one.
            n: Parts to show.
        """
        shown = [Row(self.called(part.item, item_names), part.value, True) for part in self.parts[:n]]
        if (others := self.parts[n:]) and self.kind == "exact":
            total = sum(part.value for part in others)
            shown.append(Row(f"{len(others):,} other items", total, False))
        if self.remainder is not None:
            shown.append(Row(self.remainder_of or "the rest", self.remainder, False))
        return shown

    def hidden(self, n: int = 10) -> int:
        """Return how many parts `rows` neither shows nor sums up."""
        return 0 if self.kind == "exact" else max(0, len(self.parts) - n)
