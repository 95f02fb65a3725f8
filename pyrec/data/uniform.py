"""A uniform set: pairs of users and items that were shown at random; its parts, and what it shares with others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pyrec._checks import check_count, check_real
from pyrec.data.ids import first_difference
from pyrec.data.interactions import Interactions, require_interactions
from pyrec.errors import ConfigError, DataError

Shared: TypeAlias = Literal["keep", "drop", "error"]
"""What happens to pairs of a uniform set that the biased one has, too."""

SHARED: Final[tuple[Shared, ...]] = ("keep", "drop", "error")
SHARES: Final = (0.05, 0.05, 0.9)
"""Of a uniform set, for training, validation and test: those of AutoDebias."""


class UniformParts(NamedTuple):
    """Three parts of a uniform set with the same id maps.

    Attributes:
        train: what a model may learn from.
        validation: what chooses settings and epochs.
        test: what is measured on.
    """

    train: Interactions
    validation: Interactions
    test: Interactions


def split_uniform(uniform: Interactions, shares: Sequence[float] = SHARES, seed: int = 0) -> UniformParts:
    """Draws three parts of a uniform set, uniformly over its pairs.

    Each pair gets a random place in an order of all n. With shares a, b and c the first round(a n) train, those up to
    round((a + b) n) validate, and the rest is the test.

    Args:
        uniform: n pairs.
        shares: of training, validation and test; each at least 0, together 1.
        seed: 0 or more; the same seed gives the same parts.

    Raises:
        ConfigError: the shares are no three such numbers, or the seed is out of range.
        DataError: a part whose share is above 0 would be empty.
    """
    require_interactions(uniform, "uniform")
    first, second, third = check_shares(shares)
    seed = check_count("seed", seed, 0, None, ConfigError)
    n = len(uniform)
    ends = round(first * n), round((first + second) * n) if third else n
    place = np.random.default_rng(seed).permutation(n)
    part_of = np.searchsorted(ends, place, side="right")
    parts = UniformParts(*(uniform.select(part_of == at) for at in range(3)))
    for name, share, part in zip(parts._fields, (first, second, third), parts, strict=True):
        if share and not len(part):
            raise DataError(
                f"the {name} part, {share:.3g} of {n:,} uniform pairs, is empty; give more pairs, or other shares"
            )
    return parts


def check_shares(shares: object) -> tuple[float, float, float]:
    """Returns three shares that sum to 1.

    Raises:
        ConfigError: they are no such numbers.
    """
    if isinstance(shares, str) or not isinstance(shares, Sequence) or len(shares) != 3:
        raise ConfigError(
            f"shares is {shares!r}; it is three numbers, such as {SHARES}: training, validation, test"
        )
    first, second, third = (
        check_real(f"shares[{at}]", share, ConfigError, positive=False) for at, share in enumerate(shares)
    )
    if not math.isclose(total := first + second + third, 1, rel_tol=0, abs_tol=1e-9):
        raise ConfigError(
            f"shares is {tuple(shares)}, which sums to {total:.9g}; the shares of all pairs sum to 1"
        )
    return first, second, third


def shared_pairs(first: Interactions, second: Interactions) -> npt.NDArray[np.bool_]:
    """Returns which pairs of the first are pairs of the second, too, bool (n,).

    Args:
        first: n pairs.
        second: others, of any id maps.

    Raises:
        DataError: one is no `Interactions`, or the ids of one are text and those of the other integers.
    """
    require_interactions(first, "first")
    require_interactions(second, "second")
    users, items = first.users, first.items
    if first_difference(first.user_ids, second.user_ids) is not None:
        users = second.encode_users(first.user_ids, "first.user_ids", unknown="skip")[users]
    if first_difference(first.item_ids, second.item_ids) is not None:
        items = second.encode_items(first.item_ids, "first.item_ids", unknown="skip")[items]
    return second.has_pairs(users, items)


def check_shared(shared: object) -> None:
    """Raises ConfigError for what is none of `SHARED`."""
    if shared not in SHARED:
        raise ConfigError(f"shared is {shared!r}; it is one of {', '.join(map(repr, SHARED))}")


def apart(uniform: Interactions, biased: Interactions, shared: Shared) -> Interactions:
    """Returns a uniform set after what is to happen to the pairs that a biased one has, too.

    Args:
        uniform: n pairs.
        biased: others.
        shared: "keep", with a note on how many there are; "drop" leaves them out; "error" refuses them.

    Raises:
        ConfigError: ``shared`` is none of the three.
        DataError: there are such pairs, and they are refused; or nothing but them is to be left out.
    """
    check_shared(shared)
    both = shared_pairs(uniform, biased)
    count = int(np.count_nonzero(both))
    if not count:
        return uniform
    told = f"{count:,} of {both.size:,} uniform pairs are among the biased ones, too"
    if shared == "error":
        at = int(both.argmax())
        user = uniform.user_ids[uniform.users[at : at + 1]].tolist()[0]
        item = uniform.item_ids[uniform.items[at : at + 1]].tolist()[0]
        raise DataError(f"{told}, such as user {user!r} and item {item!r}; leave them out: shared = 'drop'")
    if shared == "drop" and count == both.size:
        raise DataError(f"{told}, so none is left; are the two files the same? Or keep them: shared = 'keep'")
    if shared == "drop":
        return replace(
            uniform.select(~both), notes=(*uniform.notes, f"{told}; they are left out of the uniform set")
        )
    kept = f"{told}: a model may have learned what it is tested on; shared = 'drop' (--shared drop) leaves them out"
    return replace(uniform, notes=(*uniform.notes, kept))
