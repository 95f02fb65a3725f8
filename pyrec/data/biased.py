"""Generated logs with known truth and known propensities: selection, position, popularity and conformity bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pyrec._checks import check_count, check_real
from pyrec.data.interactions import Interactions
from pyrec.data.rows import FloatArray
from pyrec.data.truth import POSITIVE, Codes, LatentTruth, Truth
from pyrec.errors import ConfigError

_SELECTION: Final = 0.75
_ORDER_NOISE: Final = 1.0
_BLOCK: Final = 2**20
_MAX_ARRIVALS: Final = 50
"""For each pair wanted, beside 100,000; beyond, what is left has almost no chance to be observed."""
_MOST: Final = 2**31 - 1


@dataclass(frozen=True, eq=False, repr=False)
class KnownPropensities:
    """The probability that a pair is in a generated log, exact.

    A sum over the log of ``f(pair) / propensity`` is an unbiased estimate of the sum of f over all pairs.

    Attributes:
        values: of the pairs of the log, float32 (n,), in their order.
        examination: the probability that a list's place is looked at, float32 (list_length,); None without position
            bias. A pair of label 1 shows it only if its place is looked at.
    """

    values: FloatArray
    examination: FloatArray | None
    _by_pair: Callable[[Codes, Codes], npt.NDArray[np.float64]]

    def of(
        self,
        users: Codes,
        items: Codes,
        labels: Any | None = None,  # noqa: ARG002
    ) -> FloatArray:
        """Returns the probability that pairs are in the log, float32 (n,).

        Args:
            users: (n,) internal ids.
            items: (n,) internal ids.
            labels: not needed, for the rating of each pair is known; taken as by `pyrec.propensities`.
        """
        return self._by_pair(users, items).astype(np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class Biased:
    """A biased log and pairs that were shown at random, with all that is unknown of a real one.

    Attributes:
        interactions: the log: labels 1 and 0, ratings, and positions where there is position bias.
        uniform: pairs drawn uniformly from all pairs, with their true labels and ratings; the same id maps. Some may be
            in the log too, or the sample would be biased.
        truth: the rating of every pair.
        propensities: the probability that a pair is in the log.
    """

    interactions: Interactions
    uniform: Interactions
    truth: Truth
    propensities: KnownPropensities

    def __repr__(self) -> str:
        return f"Biased({self.interactions!r}, uniform: {len(self.uniform)} pairs)"


def generate_biased(
    num_users: int = 1000,
    num_items: int = 500,
    num_interactions: int = 30_000,
    num_uniform: int = 5_000,
    selection: float = 0.0,
    position: float = 0.0,
    popularity: float = 0.0,
    conformity: float = 0.0,
    dim: int = 8,
    list_length: int = 25,
    seed: int = 0,
    draw: int = 0,
) -> Biased:
    """Generates a log with as much of each bias as is asked for, and pairs shown at random.

    Every pair has a rating of 1 to 5 from latent tastes (`pyrec.data.truth.LatentTruth`); a fifth of them, about, is 4
    or 5 and has label 1. Which pairs are observed, and how, is up to four dials. With all of them at 0 the log is a
    simple random sample of all pairs, with their true labels.

    - selection: a pair of rating r is observed at a rate of ``a^max(0, 4 - r)`` with ``a = 1 - .75 selection``.
    - popularity: items are observed at a rate of ``rank^-popularity``. Their ranks are by their bias and chance.
    - position: a user's pairs are shown in lists of ``list_length``, put in order by their score and chance. Place p
      of a list, from 1, is looked at with probability ``p^-position``; label 1 becomes 0 where it is not.
      Such a log is of clicks, so it has positions and no ratings.
    - conformity: the observed rating is ``(1 - conformity) r + conformity m_i`` to the next whole number, where m_i is
      the item's mean rating over all users.

    Each pair arrives at times of a Poisson process with the product of the first two rates. The log is the first
    ``num_interactions`` pairs to arrive. With t the arrival of the next pair, a pair's propensity is
    ``1 - exp(-rate t)``; sums weighted by its inverse are unbiased (Cohen and Kaplan, Summarizing data using
    bottom-k sketches, PODC 2007).

    Args:
        num_users: 1 or more.
        num_items: 1 or more.
        num_interactions: the exact number of pairs in the log, below the number of all pairs.
        num_uniform: the exact number of pairs shown at random, up to the number of all pairs.
        selection: 0 to 1.
        position: 0 to 1.
        popularity: 0 to 1.
        conformity: 0 to 1.
        dim: of the latent tastes, 1 or more.
        list_length: 2 or more; means something beside a position bias alone.
        seed: of the truth and, with ``draw``, of everything else; 0 to 2**31 - 1.
        draw: another number gives another log and other random pairs of the same truth; 0 to 2**31 - 1.

    Raises:
        ConfigError: an argument is out of range, or so many pairs have no chance to be observed with these dials.
    """
    num_users = check_count("num_users", num_users, 1, _MOST, ConfigError)
    num_items = check_count("num_items", num_items, 1, _MOST, ConfigError)
    pairs = num_users * num_items
    bound = "below the number of all pairs"
    num_interactions = check_count(
        "num_interactions", num_interactions, 1, min(pairs - 1, _MOST), ConfigError, bound
    )
    num_uniform = check_count(
        "num_uniform", num_uniform, 0, min(pairs, _MOST), ConfigError, "the number of all pairs"
    )
    selection, position, popularity, conformity = (
        check_dial(name, value)
        for name, value in (
            ("selection", selection),
            ("position", position),
            ("popularity", popularity),
            ("conformity", conformity),
        )
    )
    dim = check_count("dim", dim, 1, 1024, ConfigError)
    list_length = check_count("list_length", list_length, 2, _MOST, ConfigError)
    seed, draw = (
        check_count(name, value, 0, _MOST, ConfigError) for name, value in (("seed", seed), ("draw", draw))
    )
    truth = LatentTruth.draw(num_users, num_items, dim, seed)
    rng = np.random.default_rng([seed, 1, draw])
    rates, keys = _observe(rng, truth, _exposures(truth, popularity, seed), selection, num_interactions)
    users, items = split_pairs(keys, num_items)
    ratings = truth.ratings(users, items)
    values = rates.propensities(users, items, ratings).astype(np.float32)
    if conformity:
        means = truth.mean_ratings()[items]
        ratings = np.rint((1 - conformity) * ratings + conformity * means).astype(np.float32)
    columns: dict[str, Any] = {"ratings": ratings, "labels": (ratings >= POSITIVE).astype(np.float32)}
    examination = None
    if position:
        examination = (np.arange(1, list_length + 1.0) ** -position).astype(np.float32)
        places = _positions(rng, users, truth.scores(users, items), list_length)
        looked_at = rng.random(num_interactions) < examination[places]
        columns = {"labels": columns["labels"] * looked_at, "positions": places}
    ids = np.arange(num_users), np.arange(num_items)
    return Biased(
        Interactions.from_codes(users, items, *ids, **columns),
        uniform_pairs(truth, num_uniform, ids, [seed, 2, draw]),
        truth,
        KnownPropensities(values, examination, rates.propensities),
    )


def uniform_pairs(
    truth: Truth,
    count: int,
    ids: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    seed: list[int],
) -> Interactions:
    """Draws distinct pairs uniformly, with their true ratings and labels.

    Args:
        truth: of all pairs.
        count: up to the number of pairs.
        ids: the raw ids of users and items.
        seed: of the draw.
    """
    chosen = np.random.default_rng(seed).choice(truth.num_users * truth.num_items, count, replace=False)
    users, items = split_pairs(np.sort(chosen), truth.num_items)
    return Interactions.from_codes(
        users, items, *ids, ratings=truth.ratings(users, items), labels=truth.labels(users, items)
    )


class _Rates(NamedTuple):
    """The rate at which pairs arrive, and until when the log took them.

    Attributes:
        truth: of all pairs.
        exposures: of the items, float64 (num_items,).
        by_rating: float64 (5,): the factor of each rating.
        until: the time at which the first pair arrived that is not in the log.
    """

    truth: Truth
    exposures: npt.NDArray[np.float64]
    by_rating: npt.NDArray[np.float64]
    until: float

    def propensities(
        self, users: Codes, items: Codes, ratings: FloatArray | None = None
    ) -> npt.NDArray[np.float64]:
        """Returns the probability that pairs arrive in time, float64 (n,)."""
        rates = self.exposures[items]
        if (self.by_rating != 1).any():
            known = self.truth.ratings(users, items) if ratings is None else ratings
            rates = rates * self.by_rating[known.astype(np.intp) - 1]
        return np.asarray(-np.expm1(-self.until * rates))


def check_dial(name: str, value: object) -> float:
    """Returns a dial as a float from 0 to 1.

    Raises:
        ConfigError: it is outside.
    """
    dial = check_real(name, value, ConfigError, positive=False)
    if dial > 1:
        raise ConfigError(f"{name} = {dial} is a dial from 0, for none of this bias, to 1")
    return dial


def _exposures(truth: LatentTruth, popularity: float, seed: int) -> npt.NDArray[np.float64]:
    """Returns the rate at which each item is shown, float64 (num_items,), 1 for the first in rank."""
    biases = truth.item_vectors[:, -1].astype(np.float64)
    noise = np.random.default_rng([seed, 3]).standard_normal(truth.num_items)
    ranks = np.empty(truth.num_items)
    ranks[np.argsort(-biases - 0.5 * noise, kind="stable")] = np.arange(1, truth.num_items + 1)
    return np.asarray(ranks**-popularity)


def _observe(
    rng: np.random.Generator,
    truth: LatentTruth,
    exposures: npt.NDArray[np.float64],
    selection: float,
    count: int,
) -> tuple[_Rates, npt.NDArray[np.int64]]:
    """Returns the rates of all pairs and the first ones to arrive, int64 (count,), ascending: u * num_items + i.

    All users are alike, so arrivals draw a user uniformly and an item by exposure. They are accepted by the factor of
    their rating, which is at most 1.
    """
    by_rating = (1 - _SELECTION * selection) ** np.maximum(0.0, POSITIVE - np.arange(1.0, 6.0))
    line = np.cumsum(exposures)
    keys, numbers = np.empty(0, np.int64), np.empty(0, np.int64)  # accepted, and which arrivals these are
    drawn = 0
    while (wanted := count + 1 - keys.size) > 0:
        if drawn > _MAX_ARRIVALS * count + 100_000:
            raise ConfigError(
                f"num_interactions = {count}: with these dials so many pairs have no chance to be observed; ask for "
                "fewer, or turn selection or popularity down"
            )
        blocks = [(keys, numbers)]
        while wanted > 0:
            size = min(_BLOCK, 1024 + wanted)
            arrived, is_accepted = _arrivals(rng, truth, line, by_rating, size)
            blocks.append((arrived[is_accepted], drawn + np.flatnonzero(is_accepted)))
            drawn += size
            wanted -= blocks[-1][0].size
        keys, numbers = _first_arrivals(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))
    until = float(rng.gamma(numbers[count] + 1.0) / (truth.num_users * line[-1]))
    return _Rates(truth, exposures, by_rating, until), np.sort(keys[:count])


def _arrivals(
    rng: np.random.Generator,
    truth: LatentTruth,
    line: npt.NDArray[np.float64],
    by_rating: npt.NDArray[np.float64],
    size: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Returns pairs that arrive, int64 (size,), and which of them are accepted, bool (size,)."""
    users = rng.integers(truth.num_users, size=size)
    if line[0] == 1 and line[-1] == line.size:  # all are shown alike
        items = rng.integers(line.size, size=size)
    else:
        items = np.minimum(np.searchsorted(line, rng.random(size) * line[-1], side="right"), line.size - 1)
    keys = users * truth.num_items + items
    if (by_rating == 1).all():
        return keys, np.ones(size, dtype=bool)
    factors = by_rating[truth.ratings(users, items).astype(np.intp) - 1]
    return keys, rng.random(size) < factors


def _first_arrivals(
    keys: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns the keys (n,) at their first arrival alone, in the order of arrival, and the numbers of these."""
    _, first = np.unique(keys, return_index=True)
    first.sort()
    return keys[first], numbers[first]


def split_pairs(
    keys: npt.NDArray[np.int64], num_items: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Returns users and items, int32 (n,), of pairs u * num_items + i."""
    users, items = np.divmod(keys, num_items)
    return users.astype(np.int32), items.astype(np.int32)


def _positions(
    rng: np.random.Generator, users: npt.NDArray[np.int32], scores: FloatArray, list_length: int
) -> npt.NDArray[np.int32]:
    """Returns each pair's place in its list, from 0: a user's pairs fall into lists by chance, best score first.

    Args:
        rng: of the chances.
        users: (n,), ascending.
        scores: (n,).
        list_length: places of a list; a user's last list may be shorter.
    """
    places = np.empty(users.size, dtype=np.int32)
    shuffled = np.argsort(users + rng.random(users.size), kind="stable")
    places[shuffled] = _within(users)  # users stay in their rows
    lists = users.astype(np.int64) * (users.size // list_length + 1) + places // list_length
    noisy = scores + _ORDER_NOISE * rng.standard_normal(users.size)
    order = np.lexsort((-noisy, lists))
    places[order] = _within(lists[order])
    return places


def _within(groups: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Returns the place of each row in its group, from 0, int32 (n,); groups (n,) lie together."""
    starts = np.flatnonzero(np.concatenate(([True], groups[1:] != groups[:-1])))
    lengths = np.diff(np.append(starts, groups.size))
    return (np.arange(groups.size) - np.repeat(starts, lengths)).astype(np.int32)
