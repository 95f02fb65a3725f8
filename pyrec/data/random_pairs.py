"""Random pairs of a user and an item that have not met, beside those that have."""

from __future__ import annotations

import numpy as np

from pyrec._checks import check_real
from pyrec.data.ids import Int32Array
from pyrec.data.interactions import Interactions
from pyrec.errors import ConfigError, DataError


def add_random_pairs(interactions: Interactions, rate: float, seed: int) -> Interactions:
    """Adds distinct unseen pairs, drawn uniformly; ratings and times are left behind.

    Args:
        interactions: n of them.
        rate: round(rate * n) pairs are added; at least 0.
        seed: 0 or more; the same one adds the same pairs.

    Raises:
        ConfigError: The rate is out of range.
        DataError: There are not so many unseen pairs.
    """
    wanted = round(check_real("rate", rate, ConfigError, positive=False) * len(interactions))
    num_users, num_items = interactions.num_users, interactions.num_items
    unseen = num_users * num_items - len(interactions)
    if wanted > unseen:
        raise DataError(
            f"rate = {rate} of {len(interactions)} interactions is {wanted} pairs, but only {unseen} are unseen; "
            "lower it"
        )
    users, items = unseen_pairs(interactions, wanted, seed)
    return Interactions.from_codes(
        np.concatenate([interactions.users, users]),
        np.concatenate([interactions.items, items]),
        interactions.user_ids,
        interactions.item_ids,
    )


def unseen_pairs(interactions: Interactions, count: int, seed: int) -> tuple[Int32Array, Int32Array]:
    """Draws distinct unseen pairs, uniformly.

    Of the pairs in the order of user and item, the r-th unseen one has number r + the count of interactions p
    with number[p] - p <= r, where number[p] - p never falls. So distinct ranks give distinct unseen pairs.

    Args:
        interactions: What was seen.
        count: Pairs wanted, no more than there are.
        seed: 0 or more; the same one draws the same pairs.

    Returns:
        The users and the items, int32 (count,) each.
    """
    num_items = interactions.num_items
    seen = interactions.pair_numbers
    unseen = interactions.num_users * num_items - len(interactions)
    ranks = np.random.default_rng(seed).choice(unseen, count, replace=False)
    numbers = ranks + np.searchsorted(seen - np.arange(len(seen)), ranks, side="right")
    users, items = np.divmod(numbers, num_items)
    return users.astype(np.int32), items.astype(np.int32)
