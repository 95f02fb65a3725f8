"""A generated log of a policy, of which the value of any other policy is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrec._checks import check_count, check_real
from pyrec.data.bandit import BanditLog
from pyrec.data.truth import Codes, LatentTruth
from pyrec.errors import ConfigError, DataError

_MOST = 2**31 - 1
_GROUPS = 8


@dataclass(frozen=True, eq=False, repr=False)
class GeneratedBandit:
    """A log with all that is unknown of a real one.

    Attributes:
        log: the rounds.
        truth: how probable it is that a user likes an item.
        examination: the probability that a position is looked at, float64 (num_positions,).
    """

    log: BanditLog
    truth: LatentTruth
    examination: npt.NDArray[np.float64]

    def __repr__(self) -> str:
        return f"GeneratedBandit({self.log!r})"

    def expected_rewards(self, users: Codes, items: Codes, positions: Codes) -> npt.NDArray[np.float64]:
        """Returns the expected rewards of rounds, float64 (n,).

        Args:
            users: (n,) internal ids.
            items: (n,) internal ids.
            positions: (n,), below the number of positions.
        """
        return np.asarray(self.truth.probabilities(users, items) * self.examination[positions])

    def value(self, lists: npt.ArrayLike) -> float:
        """Returns the mean reward of a round if each user is shown a list: place p at position p.

        Args:
            lists: internal ids (num_users, k), -1 for an empty place, which earns nothing; k positions at most.

        Raises:
            DataError: the lists have another shape.
        """
        shown = np.asarray(lists)
        if shown.ndim != 2 or len(shown) != self.truth.num_users or shown.shape[1] > len(self.examination):
            raise DataError(
                f"lists have shape {shown.shape}, but a row is needed for each of {self.truth.num_users} users, of at "
                f"most {len(self.examination)} places"
            )
        users, positions = np.nonzero(shown >= 0)
        rewards = self.expected_rewards(users, shown[users, positions], positions)
        return float(rewards.sum() / shown.size)


def generate_bandit(
    num_rounds: int = 100_000,
    num_users: int = 1000,
    num_items: int = 50,
    num_positions: int = 3,
    temperature: float = 0.5,
    exploration: float = 0.2,
    dim: int = 8,
    seed: int = 0,
    draw: int = 0,
) -> GeneratedBandit:
    """Generates rounds of a policy that knows its users' main taste, with exact propensities.

    A round is of a user and a position, each drawn uniformly. Users fall into 8 groups by the largest of their first
    8 tastes. With probability ``exploration`` the item is drawn uniformly, else by ``exp(s / temperature)``, with s the
    score of the group's taste. A user who likes the item rewards it with 1 if the position is looked at, which position
    p does with probability ``(1 + p)^-1/2``. Memory goes by rounds, users and items, never by their product.

    Args:
        num_rounds: 1 or more.
        num_users: 1 or more.
        num_items: 1 or more.
        num_positions: 1 or more.
        temperature: of the logging policy, above 0; the smaller, the less its choices overlap with another policy's.
        exploration: from 0 to 1.
        dim: of the latent tastes, 1 or more.
        seed: of the truth and, with ``draw``, of the rounds; 0 to 2**31 - 1.
        draw: another number gives other rounds of the same truth and policy; 0 to 2**31 - 1.

    Raises:
        ConfigError: an argument is out of range.
    """
    counts: dict[str, Any] = {
        "num_rounds": num_rounds,
        "num_users": num_users,
        "num_items": num_items,
        "num_positions": num_positions,
        "dim": dim,
    }
    for name, value in counts.items():
        check_count(name, value, 1, _MOST, ConfigError)
    seed, draw = (
        check_count(name, value, 0, _MOST, ConfigError) for name, value in (("seed", seed), ("draw", draw))
    )
    temperature = check_real("temperature", temperature, ConfigError, positive=True)
    exploration = check_real("exploration", exploration, ConfigError, positive=False)
    if exploration > 1:
        raise ConfigError(f"exploration = {exploration} is a probability; it must be at most 1")
    truth = LatentTruth.draw(num_users, num_items, dim, seed)
    rng = np.random.default_rng([seed, 1, draw])
    users = rng.integers(num_users, size=num_rounds).astype(np.int32)
    positions = rng.integers(num_positions, size=num_rounds).astype(np.int32)
    chances = _chances(truth, temperature, exploration)
    groups = _groups(truth)[users]
    items = _drawn(rng, chances, groups)
    examination: npt.NDArray[np.float64] = np.arange(1, num_positions + 1.0) ** -0.5
    liked = truth.probabilities(users, items) * examination[positions]
    rewards = (rng.random(num_rounds) < liked).astype(np.float32)
    ids = np.arange(num_users), np.arange(num_items)
    log = BanditLog(users, items, rewards, chances[groups, items], *ids, positions)
    return GeneratedBandit(log, truth, examination)


def _groups(truth: LatentTruth) -> npt.NDArray[np.intp]:
    """Returns the group of each user, (num_users,): the largest of the first tastes."""
    dim = truth.user_vectors.shape[1] - 2
    return np.asarray(truth.user_vectors[:, : min(dim, _GROUPS)].argmax(axis=1))


def _chances(truth: LatentTruth, temperature: float, exploration: float) -> npt.NDArray[np.float64]:
    """Returns how probable each item is to be shown to each group, float64 (num_groups, num_items)."""
    dim = truth.user_vectors.shape[1] - 2
    groups = np.eye(min(dim, _GROUPS), dim) * 1.5 * dim**-0.25
    items = truth.item_vectors.astype(np.float64)
    logits = (groups @ items[:, :dim].T + items[:, -1]) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    return np.asarray((1 - exploration) * shares + exploration / len(items))


def _drawn(
    rng: np.random.Generator, chances: npt.NDArray[np.float64], groups: npt.NDArray[np.intp]
) -> npt.NDArray[np.int32]:
    """Returns an item for each round, int32 (n,), by its group's chances; all groups' lie end to end on one line."""
    num_items = chances.shape[1]
    ends = np.cumsum(chances, axis=1)
    line = (ends / ends[:, -1:] + np.arange(len(chances))[:, None]).ravel()
    at = np.searchsorted(line, groups + rng.random(len(groups)), side="right")
    return np.asarray(np.clip(at - groups * num_items, 0, num_items - 1), dtype=np.int32)
