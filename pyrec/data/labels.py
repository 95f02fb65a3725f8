"""Ratings become labels by a rule that is said: which of them are positive, and what the others are."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pyrec.data.interactions import Interactions, require_interactions
from pyrec.data.rows import FloatArray
from pyrec.errors import ConfigError, DataError

Dislikes: TypeAlias = Literal["drop", "seen", "negatives"]
"""What ratings that are not positive become: left out, seen and no more, or labels of 0."""

DISLIKES: Final[tuple[Dislikes, ...]] = ("drop", "seen", "negatives")
DEFAULT_RULE: Final = "rating>=4"
"""Of ratings from 1 to 5."""

_RULE: Final = re.compile(
    r"\s*(?:rating\s*(>=?)\s*)?([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*"
)


class Rule(NamedTuple):
    """Which ratings are positive.

    Attributes:
        least: the bound.
        above: whether a rating has to be above the bound; else one that equals it is positive, too.
    """

    least: float
    above: bool = False

    @classmethod
    def of(cls, text: object, name: str = "positive") -> Rule:
        """Returns the rule that is written as ``rating>=4``, ``rating>4`` or a number alone, which means ``>=``.

        Args:
            text: the rule, or a number.
            name: what the message calls it.

        Raises:
            ConfigError: it is no such rule.
        """
        found = _RULE.fullmatch(text) if isinstance(text, str) else None
        is_number = isinstance(text, int | float | np.integer | np.floating) and not isinstance(text, bool)
        least = float(found[2]) if found else float(text) if is_number else math.nan  # type: ignore[arg-type]
        if not abs(least) <= float(np.finfo(np.float32).max):
            raise ConfigError(
                f"{name} is {text!r}; it is a rule such as 'rating>=4' or 'rating>4', or a number"
            )
        return cls(least, bool(found) and found[1] == ">")  # type: ignore[index]

    def __str__(self) -> str:
        return f"rating{'>' if self.above else '>='}{self.least:.9g}"

    @property
    def others(self) -> str:
        """How the other ratings are, in words."""
        return f"{'not above' if self.above else 'below'} {self.least:g}"

    def holds(self, ratings: FloatArray) -> npt.NDArray[np.bool_]:
        """Returns which ratings float32 (n,) are positive, bool (n,)."""
        bound = np.float32(self.least)
        return np.asarray(ratings > bound if self.above else ratings >= bound)


@dataclass(frozen=True)
class Likes:
    """Which ratings are likes, as far as the caller says, and what the others are.

    ``positive`` alone means the same as ``min_rating`` with ``dislikes = "negatives"``.

    Attributes:
        min_rating: the least rating of a like, or None.
        dislikes: what the other ratings become; None for "drop".
        positive: instead of both, a rule as `Rule.of` takes it: the other ratings are negatives.
    """

    min_rating: float | None = None
    dislikes: Dislikes | None = None
    positive: str | float | None = None

    def check(self) -> None:
        """Refuses what is no rule, and options that exclude each other.

        Raises:
            ConfigError: names the option and its value.
        """
        if self.dislikes not in (None, *DISLIKES):
            raise ConfigError(f"dislikes is {self.dislikes!r}; it is one of {', '.join(map(repr, DISLIKES))}")
        if self.positive is not None:
            Rule.of(self.positive)
            for name in ("min_rating", "dislikes"):
                if (value := getattr(self, name)) is not None:
                    raise ConfigError(
                        f"positive is {self.positive!r} and {name} is {value!r}, but both say what the ratings mean; "
                        "give one of the two"
                    )
        if self.min_rating is None and self.dislikes is not None:
            raise ConfigError(
                f"dislikes is {self.dislikes!r}, but there is no min_rating that tells them; give one, such as 4"
            )
        if self.min_rating is not None and not math.isfinite(self.min_rating):
            raise ConfigError(f"min_rating is {self.min_rating}; a finite number is needed")

    @property
    def asked(self) -> str | None:
        """What the caller said, in words; None where nothing was said."""
        if self.positive is not None:
            return f"positive = {self.positive!r}"
        return None if self.min_rating is None else f"min_rating = {self.min_rating:g}"

    def of(self, interactions: Interactions, where: str) -> Interactions:
        """Returns interactions with what their ratings say; as they are where the caller said nothing.

        Args:
            interactions: with ratings.
            where: what messages call them.

        Raises:
            DataError: there are no ratings, or none is a like.
        """
        if self.asked is None:
            return interactions
        rule = Rule(self.min_rating) if self.min_rating is not None else Rule.of(self.positive)
        keep = self._positive(interactions, rule, where)
        below = int(np.count_nonzero(~keep))
        told = f"{below:,} of {keep.size:,} ratings are {rule.others} and"
        if self.positive is not None or self.dislikes == "negatives":
            note = (
                f"{told} negatives: not recommended, and labels of 0 for a pointwise loss; {keep.size - below:,} are "
                "positives"
            )
            return replace(interactions, labels=keep.astype(np.float32), notes=(*interactions.notes, note))
        if self.dislikes == "seen":
            weights = np.ones(keep.size, np.float32) if interactions.weights is None else interactions.weights
            notes = (*interactions.notes, f"{told} seen: not recommended, and nothing is learned from them")
            return replace(interactions, weights=np.where(keep, weights, np.float32(0)), notes=notes)
        notes = (*interactions.notes, f"{told} left out")
        return replace(interactions.select(keep).compact(), notes=notes)

    def _positive(self, interactions: Interactions, rule: Rule, where: str) -> npt.NDArray[np.bool_]:
        ratings = interactions.ratings
        if ratings is None:
            advice = (
                ""
                if interactions.weights is None
                else ", or say that the weights are ratings: --columns rating=..."
            )
            raise DataError(f"{where} has no ratings to compare with {self.asked}; leave it out{advice}")
        keep = rule.holds(ratings)
        if not keep.any():
            largest = f"; the largest is {ratings.max():g}" if ratings.size else ", for there is none"
            raise DataError(f"{where}: no rating reaches {self.asked}{largest}")
        return keep


def label(interactions: Interactions, positive: str | float = DEFAULT_RULE) -> Interactions:
    """Returns the same interactions with labels that their ratings give: 1 where the rule holds, and 0 elsewhere.

    All are kept, and a note says how many of each there are. Ratings that already are labels, such as 1 and -1, 1 and
    0, or 5 and 0, become labels by ``"rating>0"``.

    Args:
        interactions: with ratings.
        positive: the rule: ``"rating>=4"``, ``"rating>4"``, or a number alone, which means ``>=``.

    Raises:
        ConfigError: ``positive`` is no such rule.
        DataError: there are no ratings, or none is positive.
    """
    likes = Likes(positive=positive)
    likes.check()
    origin = require_interactions(interactions, "interactions").origin
    if origin is not None:
        is_raw = all(origin.get(name) is None for name in ("min_rating", "dislikes", "positive"))
        origin = {**origin, "positive": positive} if is_raw else None
    return replace(likes.of(interactions, "the interactions"), origin=origin)
