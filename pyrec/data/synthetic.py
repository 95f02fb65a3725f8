"""A generated data set with latent groups, power-law popularity and power-law activity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pyrec._checks import check_count, check_finite
from pyrec.data.interactions import Interactions
from pyrec.errors import ConfigError

_POPULARITY_EXPONENT = 0.8
_ACTIVITY_EXPONENT = 2.0
_MAX_ACTIVITY = 10.0
_TASTE = 0.15
_MOST = 2**31 - 1


def synthetic(
    num_users: int = 1500,
    num_items: int = 1000,
    interactions_per_user: float = 36.0,
    num_groups: int = 20,
    seed: int = 0,
) -> Interactions:
    """Generates interactions that have both structure and popularity to learn.

    Each item belongs to one of the groups and is drawn within it with weight rank^-0.8, a rank being its
    place in a random order of all items. Each user has a taste over the groups, Dirichlet(0.15), so that a
    few of them dominate, and an activity from a Pareto law with exponent 2 cut at 10 times its minimum. A
    user's items are drawn independently: a group by taste, an item by weight in the group; repeats are
    merged, so that very active users have fewer than drawn. Users and items are numbered at random.

    Args:
        num_users: 1 or more.
        num_items: num_groups or more.
        interactions_per_user: mean number of draws a user, 1 or more.
        num_groups: latent groups, 1 or more.
        seed: 0 to 2**31 - 1; the same seed gives the same data.

    Returns:
        Interactions whose raw ids are 0 .. num_users - 1 and 0 .. num_items - 1, all of them listed; no
        ratings, no times.

    Raises:
        ConfigError: an argument is out of range.
    """
    num_users = check_count("num_users", num_users, 1, _MOST, ConfigError)
    num_groups = check_count("num_groups", num_groups, 1, _MOST, ConfigError)
    num_items = check_count("num_items", num_items, num_groups, _MOST, ConfigError)
    seed = check_count("seed", seed, 0, _MOST, ConfigError)
    interactions_per_user = check_finite("interactions_per_user", interactions_per_user, ConfigError)
    if interactions_per_user < 1:
        raise ConfigError(f"interactions_per_user = {interactions_per_user} must be at least 1")
    if max(num_users, num_items) * max(interactions_per_user, num_groups) > _MOST:
        raise ConfigError(
            f"{num_users} users or {num_items} items times interactions_per_user = {interactions_per_user:g} or "
            f"num_groups = {num_groups} are more than {_MOST} draws or shares of groups; ask for fewer"
        )
    rng = np.random.default_rng(seed)
    draws = _activity(rng, num_users, interactions_per_user)
    users = np.repeat(np.arange(num_users), draws)
    groups = _draw_groups(rng, users, num_users, num_groups)
    items = _draw_items(rng, groups, num_items, num_groups)
    drawn = Interactions.from_codes(
        users.astype(np.int32), items.astype(np.int32), np.arange(num_users), np.arange(num_items)
    )
    return replace(drawn, notes=())  # a pair that is drawn again is no fault of anybody's data


def _activity(rng: np.random.Generator, num_users: int, mean: float) -> npt.NDArray[np.int64]:
    """Returns each user's number of draws, at least 1, from a Pareto law cut at `_MAX_ACTIVITY` minima."""
    raw = np.minimum((1.0 - rng.random(num_users)) ** (-1.0 / _ACTIVITY_EXPONENT), _MAX_ACTIVITY)
    return np.asarray(np.maximum(np.rint(raw * (mean / raw.mean())), 1), dtype=np.int64)


def _draw_groups(
    rng: np.random.Generator, users: npt.NDArray[np.int64], num_users: int, num_groups: int
) -> npt.NDArray[np.int64]:
    """Returns a group for each draw, by the taste of its user.

    All users' cumulative tastes lie end to end on one line, user u's from u to u + 1, so that one binary
    search serves all draws.
    """
    tastes = rng.dirichlet(np.full(num_groups, _TASTE), num_users)
    ends = np.cumsum(tastes, axis=1)
    line = (ends / ends[:, -1:] + np.arange(num_users)[:, None]).ravel()
    at = np.searchsorted(line, users + rng.random(users.size), side="right")
    return np.asarray(np.clip(at - users * num_groups, 0, num_groups - 1))


def _draw_items(
    rng: np.random.Generator, groups: npt.NDArray[np.int64], num_items: int, num_groups: int
) -> npt.NDArray[np.int64]:
    """Returns an item of each draw's group, by weight; items lie group by group on one line of weights."""
    items = rng.permutation(num_items)
    group_of = rng.permutation(np.arange(num_items) % num_groups)
    weights = (1.0 + np.arange(num_items)) ** -_POPULARITY_EXPONENT
    by_group = np.argsort(group_of, kind="stable")
    ends = np.cumsum(weights[by_group])
    last = np.cumsum(np.bincount(group_of, minlength=num_groups)) - 1
    high = ends[last]
    low = np.concatenate(([0.0], high[:-1]))
    first = np.concatenate(([0], last[:-1] + 1))
    at = np.searchsorted(ends, low[groups] + rng.random(groups.size) * (high - low)[groups], side="right")
    return np.asarray(items[by_group[np.clip(at, first[groups], last[groups])]])
