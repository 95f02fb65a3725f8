"""One temperature that follows the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pyrec.options import Count, Options
from pyrec.train.adapt.base import Adapt

if TYPE_CHECKING:
    from pyrec.train.scores import Scores

LEFT_OUT: Final = 0.2
"""Share of the users, those with the fewest interactions, of whom the temperature does not take notice."""
LEAST: Final = 1e-2
"""The smallest temperature: scores that tell nothing apart yet would have one of 0."""

WARM_UP: Final = Count(
    low=1, help="Epochs before the temperature follows the scores.", flag="--temperature-warm-up"
)


@dataclass(frozen=True, repr=False)
class OneTemperature(Adapt):
    """Adap-τ₀: the temperature at which positives, all at their mean score, have half of the softmax's mass.

    With U the users, I the items, D the interactions, and means of cosines over D and over all pairs,

        τ₀ = (mean⁺ - mean) / log(|U| |I| / (2 |D|)).

    Source: Chen et al., "Adap-τ: adaptively modulating embedding magnitude for recommendation", WWW 2023. As in its
    code, the fifth of the users with the fewest interactions does not count.

    Args:
        warm_up: Epochs with the loss's own temperature, 1 or more.
    """

    name: ClassVar[str] = "one-temperature"
    numbers: ClassVar[int] = 2
    options: ClassVar[Options] = {"warm_up": WARM_UP}

    warm_up: int = 5

    def first(self, num_users: int, temperature: float) -> NDArray[np.float32]:
        """See `Adapt.first`: the temperature and 1."""
        return both(np.full(num_users, temperature), temperature)

    def estimate(self, epoch: int, scores: Scores, temperature: float) -> NDArray[np.float32]:
        """See `Adapt.estimate`."""
        found = temperature if epoch < self.warm_up else adapted(scores)
        return self.first(scores.interactions.num_users, found)

    def temperatures(self, estimates: Tensor) -> tuple[Tensor, Tensor]:
        """See `Adapt.temperatures`."""
        return estimates[0], estimates[1]

    def temperature(self, epochs: int, scores: Scores, temperature: float) -> float:
        """See `Adapt.temperature`."""
        return temperature if epochs <= self.warm_up else adapted(scores)


def both(temperatures: NDArray[np.float64], of_positives: float) -> NDArray[np.float32]:
    """(2, num_users): temperatures of users' sums, and these over that of positives."""
    return np.stack([temperatures, temperatures / of_positives]).astype(np.float32)


def adapted(scores: Scores) -> float:
    """τ₀, `LEAST` or more."""
    interactions = scores.interactions
    activity = interactions.activity
    chosen = activity > np.quantile(activity, LEFT_OUT)
    if not chosen.any():  # all have equally many
        chosen = activity > 0
    own = chosen[interactions.users]
    half = np.log(chosen.sum() * float(interactions.num_items) / (2 * own.sum()))
    return max(LEAST, float((scores.of_positives[own].mean() - scores.mean(chosen)) / max(half, LEAST)))
