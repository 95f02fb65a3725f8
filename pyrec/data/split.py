"""Splits interactions into a training and a test part that share the id maps, and puts two parts together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrec._checks import check_count, check_share
from pyrec.data.ids import first_difference
from pyrec.data.interactions import OPTIONAL, Interactions, require_interactions
from pyrec.data.origin import DEFAULT_SPLIT, split_origin
from pyrec.errors import ConfigError, DataError


def split_random(
    interactions: Interactions, train_fraction: float = 0.8, seed: int = 0
) -> tuple[Interactions, Interactions]:
    """Draws the training part uniformly over interactions.

    Each interaction gets a random key; the round(train_fraction * n) smallest keys are training. A user of
    whom none would be keeps the one of the smallest key there, so that every user with interactions can be
    trained; the training part grows by those.

    Args:
        interactions: n of them.
        train_fraction: between 0 and 1, both excluded.
        seed: 0 or more; the same seed gives the same split.

    Returns:
        (train, test).

    Raises:
        ConfigError: the fraction or the seed is out of range.
        DataError: one of the two parts would be empty.
    """
    require_interactions(interactions, "interactions")
    train_fraction = _check_fraction(train_fraction)
    seed = check_count("seed", seed, 0, None, ConfigError)
    n = len(interactions)
    keys = np.random.default_rng(seed).random(n)
    is_train = np.zeros(n, dtype=bool)
    num_train = round(train_fraction * n)
    if num_train:
        is_train = keys <= np.partition(keys, num_train - 1)[num_train - 1]
    starts = interactions.indptr[:-1][np.diff(interactions.indptr) > 0]
    if n:
        smallest = np.repeat(np.minimum.reduceat(keys, starts), np.diff(np.append(starts, n)))
        is_train |= keys == smallest
    train, test = _parts(interactions, is_train, train_fraction)
    return replace(train, origin=split_origin(interactions.origin, train_fraction, seed)), test


def hold_out(
    interactions: Interactions, share: float, seed: int, asked: str, advice: str
) -> tuple[Interactions, Interactions]:
    """`split_random` for somebody who asked for something else, in whose terms an error is.

    Args:
        interactions: n of them.
        share: Of the interactions, for the second part.
        seed: As for `split_random`.
        asked: The argument that needs the split, with its value.
        advice: What to do where nothing can be held out.

    Raises:
        DataError: nothing can be held out.
    """
    try:
        return split_random(interactions, 1 - share, seed)
    except DataError:
        raise DataError(
            f"{asked} holds {share:.3g} of the interactions out, but none of {len(interactions):,} can be: each of "
            f"{np.count_nonzero(np.diff(interactions.indptr)):,} users keeps one to learn from; {advice}"
        ) from None


def hold_out_of_lists(
    interactions: Interactions, share: float, seed: int
) -> tuple[Interactions, Interactions]:
    """Holds out a share of each user's interactions: the latest where times are known, else drawn at random.

    Of n interactions ``floor(share n + x)`` are held out, with x uniform between 0 and 1, so short lists give their
    share too; at least one stays.

    Args:
        interactions: Any number of them, 0 included.
        share: Above 0 and below 1.
        seed: 0 or more; of x, of the draw, and of the order at equal times.

    Returns:
        (what is left, what is held out); the second may be empty.
    """
    generator = np.random.default_rng(seed)
    lengths = np.diff(interactions.indptr)
    counts = np.floor(share * lengths + generator.random(len(lengths))).astype(np.int64)
    counts = np.minimum(counts, np.maximum(lengths - 1, 0))
    keys = generator.random(len(interactions))
    times = keys if interactions.times is None else interactions.times
    ranked = np.lexsort(
        (keys, times, interactions.users)
    )  # users ascend, so place p is of interaction p's user
    from_the_end = np.repeat(interactions.indptr[1:], lengths) - np.arange(len(interactions))
    is_held_out = np.zeros(len(interactions), dtype=bool)
    is_held_out[ranked[from_the_end <= np.repeat(counts, lengths)]] = True
    return interactions.select(~is_held_out), interactions.select(is_held_out)


def some_users(interactions: Interactions, most: int) -> Interactions:
    """Returns the interactions of at most so many of the users that have any, always the same ones, drawn at random."""
    users = np.flatnonzero(np.diff(interactions.indptr))
    if len(users) <= most:
        return interactions
    chosen = np.zeros(interactions.num_users, dtype=bool)
    chosen[np.random.default_rng(0).choice(users, most, replace=False)] = True
    return interactions.select(chosen[interactions.users])


def split_time(interactions: Interactions, train_fraction: float = 0.8) -> tuple[Interactions, Interactions]:
    """Takes the earliest interactions of all for training and the rest for the test.

    The order is one for all users; at equal times the smaller internal user id, then the smaller item id, is
    earlier. A user who only appears late has no training interaction.

    Args:
        interactions: n of them, with times.
        train_fraction: between 0 and 1, both excluded; the first round(train_fraction * n) are training.

    Returns:
        (train, test).

    Raises:
        ConfigError: the fraction is out of range.
        DataError: there are no times, or one of the two parts would be empty.
    """
    require_interactions(interactions, "interactions")
    train_fraction = _check_fraction(train_fraction)
    if interactions.times is None:
        raise DataError("interactions have no times to split by; read a time column, or split at random")
    is_train = np.zeros(len(interactions), dtype=bool)
    order = np.argsort(interactions.times, kind="stable")
    is_train[order[: round(train_fraction * len(interactions))]] = True
    train, test = _parts(interactions, is_train, train_fraction)
    origin = split_origin(interactions.origin, "time") if train_fraction == DEFAULT_SPLIT else None
    return replace(train, origin=origin), test


def union(first: Interactions, second: Interactions) -> Interactions:
    """Puts two parts together, such as a training and a test part: what a model learns from once it is chosen.

    Of a pair in both parts the later one counts, without times that of the second; weights are added. Ratings, times,
    labels, weights and positions are kept if both parts have them.

    Args:
        first: n interactions.
        second: m interactions with the same id maps.

    Returns:
        Up to n + m interactions.

    Raises:
        DataError: the id maps differ.
    """
    for kind in ("user", "item"):
        ids = [getattr(require_interactions(part, "a part"), f"{kind}_ids") for part in (first, second)]
        if (at := first_difference(*ids)) is not None:
            raise DataError(
                f"the {kind} ids of the two parts differ from position {at} on; read both files together "
                "(read_pair), or give both the same ids (with_ids)"
            )
    columns: dict[str, Any] = {}
    for name in ("users", "items", *OPTIONAL):
        both = [getattr(part, name) for part in (first, second)]
        columns[name] = None if any(one is None for one in both) else np.concatenate(both)
    notes = tuple(dict.fromkeys((*first.notes, *second.notes)))
    return Interactions.from_codes(**columns, user_ids=first.user_ids, item_ids=first.item_ids, notes=notes)


def _check_fraction(fraction: object) -> float:
    return check_share("train_fraction", fraction, "the interactions", ConfigError, positive=True)


def _parts(
    interactions: Interactions, is_train: npt.NDArray[np.bool_], fraction: float
) -> tuple[Interactions, Interactions]:
    num_train = int(np.count_nonzero(is_train))
    for part, size in (("training", num_train), ("test", len(interactions) - num_train)):
        if size == 0:
            raise DataError(
                f"the {part} part of {len(interactions)} interactions is empty at train_fraction = "
                f"{fraction:g}; give more interactions or another fraction"
            )
    return interactions.select(is_train), interactions.select(~is_train)
