"""Logs of what a policy showed and what came of it, with the probability that it showed that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrec.data.foreign import reading
from pyrec.data.ids import IdArray, Int32Array, as_ids
from pyrec.data.interactions import Interactions
from pyrec.data.ragged import Ragged, as_ragged
from pyrec.data.rows import (
    FloatArray,
    Numbered,
    Values,
    check_array,
    check_codes,
    check_length,
    check_mask,
    check_numbers,
    number_ids,
    refuse_masked,
)
from pyrec.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class BanditLog(Numbered):
    """Rounds of a logging policy: a user, the item it showed, the reward, and how probable that item was.

    A user stands for the context that the policy knew, such as a customer, or all customers of one kind. Build a log
    with `from_arrays` or `pyrec.data.read_bandit_log`. The arrays are shared, not copied: do not write to them.

    Attributes:
        users: int32 (n,) in [0, num_users).
        items: int32 (n,) in [0, num_items): what was shown.
        rewards: float32 (n,), such as 1 for a click and 0 for none.
        propensities: float64 (n,), above 0 and at most 1: the probability that the logging policy shows this item to
            this user, at this position if there are positions.
        user_ids: (num_users,) raw ids, int64 or text.
        item_ids: (num_items,) likewise: all items that could be shown.
        positions: int32 (n,), 0 at the top, or None if nothing but one item was shown.
        candidates: the items that could be shown in each round, (n, num_items); None for all of ``item_ids``.
        notes: what was decided on the way here, a sentence each.

    Raises:
        DataError: an array has another dtype or length, a number is out of range, or a round's item is none of its
            candidates; the message names the position.
    """

    users: Int32Array
    items: Int32Array
    rewards: FloatArray
    propensities: npt.NDArray[np.float64]
    user_ids: IdArray
    item_ids: IdArray
    positions: Int32Array | None = None
    candidates: Ragged | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("user_ids", "item_ids"):
            check_array(getattr(self, name), name, "iTU")
            object.__setattr__(self, name, as_ids(getattr(self, name)))
        n = len(self)
        for name, kinds in (("users", "i"), ("items", "i"), ("rewards", "f"), ("propensities", "f")):
            check_array(getattr(self, name), name, kinds)
            check_length(getattr(self, name), name, n)
        check_codes(self.users, self.num_users, "user")
        check_codes(self.items, self.num_items, "item")
        check_numbers(self.rewards, n, "rewards")
        bad = ~((self.propensities > 0) & (self.propensities <= 1))
        if bad.any():
            at = int(bad.argmax())
            raise DataError(
                f"propensities[{at}] = {self.propensities[at]}; a probability above 0 and at most 1 is needed, since "
                "the item was shown"
            )
        if self.positions is not None:
            check_array(self.positions, "positions", "i")
            check_length(self.positions, "positions", n)
            if n and (self.positions.dtype != np.int32 or self.positions.min() < 0):
                at = int(self.positions.argmin())
                raise DataError(
                    f"positions[{at}] = {self.positions[at]} ({self.positions.dtype}); int32 numbers from 0, the top, "
                    "are needed"
                )
        if self.candidates is not None:
            _check_candidates(as_ragged("candidates", self.candidates, (n, self.num_items)), self.items)

    @classmethod
    def from_arrays(
        cls,
        users: Values,
        items: Values,
        rewards: npt.ArrayLike,
        propensities: npt.ArrayLike,
        positions: npt.ArrayLike | None = None,
        candidates: Any | None = None,
        user_ids: Values | None = None,
        item_ids: Values | None = None,
    ) -> BanditLog:
        """Builds a log from raw ids.

        Args:
            users: (n,) raw ids of users or contexts: integers or text.
            items: (n,) raw ids of what was shown.
            rewards: (n,) finite numbers.
            propensities: (n,) numbers above 0 and at most 1.
            positions: (n,) whole numbers from 0, the top, or None.
            candidates: the items that could be shown in each round: `Ragged` or CSR (n, num_items), in internal ids;
                None for all.
            user_ids: every user id, in the order of the internal ids; by default those that occur, ascending.
            item_ids: every item that could be shown; by default those that were shown, ascending.

        Raises:
            DataError: lengths differ, a value is missing or malformed, or an id is not in the list given; the message
                names the position.
        """
        codes, known_users = number_ids(users, user_ids, "user", "users")
        shown, known_items = number_ids(items, item_ids, "item", "items")
        n = codes.size
        ragged = None if candidates is None else as_ragged("candidates", candidates, (n, known_items.size))
        return cls(
            codes,
            shown,
            check_numbers(rewards, n, "rewards"),
            _probabilities(propensities),
            known_users,
            known_items,
            None if positions is None else _whole(positions, n),
            ragged,
        )

    def __len__(self) -> int:
        return int(self.users.size)

    def __repr__(self) -> str:
        places = "" if self.positions is None else f", {self.num_positions} positions"
        return f"BanditLog({len(self)} rounds, {self.num_users} users, {self.num_items} items{places})"

    @property
    def num_positions(self) -> int:
        """The number of positions; 1 without any."""
        return 1 if self.positions is None or not len(self) else int(self.positions.max()) + 1

    def select(self, mask: npt.ArrayLike) -> BanditLog:
        """Returns some of the rounds, with the same id maps.

        Args:
            mask: bool (n,), True for what stays.

        Raises:
            DataError: not a boolean array of length n.
        """
        keep = check_mask(mask, len(self))
        return replace(
            self,
            users=self.users[keep],
            items=self.items[keep],
            rewards=self.rewards[keep],
            propensities=self.propensities[keep],
            positions=None if self.positions is None else self.positions[keep],
            candidates=None if self.candidates is None else self.candidates[keep],
        )

    def rewarded(self) -> Interactions:
        """Returns the pairs with a reward above 0 as interactions, with the same id maps; weights are sums of rewards.

        A model that learns from them knows all users and items of the log. It learns the logging policy's bias, too.
        """
        keep = self.rewards > 0
        return Interactions.from_codes(
            self.users[keep], self.items[keep], self.user_ids, self.item_ids, weights=self.rewards[keep]
        )


def _check_candidates(candidates: Ragged, items: Int32Array) -> None:
    """Refuses rounds whose item is none of their candidates."""
    is_shown = candidates.indices == items[candidates.rows]
    found = np.bincount(candidates.rows[is_shown], minlength=items.size) > 0
    if not found.all():
        at = int(found.argmin())
        raise DataError(
            f"items[{at}] is item {items[at]}, none of the {candidates.lengths[at]} candidates of its round; what was "
            "shown could be shown"
        )


def _probabilities(values: Any) -> npt.NDArray[np.float64]:
    refuse_masked(values, "propensities")
    with reading("propensities"):
        try:
            return np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"propensities are not numbers: {error}") from None


def _whole(values: Any, n: int) -> Int32Array:
    """Returns positions int32 (n,); anything but whole numbers is refused."""
    numbers = check_numbers(values, n, "positions")
    odd = (numbers != np.floor(numbers)) | (np.abs(numbers) > 2**24)
    if odd.any():
        at = int(odd.argmax())
        raise DataError(f"positions[{at}] = {numbers[at]} is no whole number from 0 to 2**24")
    return numbers.astype(np.int32)
