"""A temperature of each user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pyrec.options import Number, Options
from pyrec.train.adapt.base import Adapt
from pyrec.train.adapt.one_temperature import WARM_UP, adapted, both

if TYPE_CHECKING:
    from pyrec.train.scores import Scores

Doubles = NDArray[np.float64]

NEAREST: Final = -np.exp(-1) + 1e-12
"""As near to the end of Lambert's function as SciPy finds a value: -1 + 2e-6."""


@dataclass(frozen=True, repr=False)
class UserTemperatures(Adapt):
    """Adap-τ: a higher temperature in the sum of users whom the model serves worse than others.

    With l_u a user's mean loss at temperature 1, l̄ its mean over users and W Lambert's function,

        τ_u = τ₀ exp(W(max(-1/e, (l_u - l̄) / β))).

    Positives keep τ₀, which is that of `OneTemperature`.

    Source: Chen et al., "Adap-τ: adaptively modulating embedding magnitude for recommendation", WWW 2023, as its code
    has it, but for the loss, which is over all items here.

    Args:
        warm_up: Epochs with the loss's own temperature for τ₀, 1 or more; those of users differ from the second on.
        beta: β, above 0: the larger, the more alike are users' temperatures.
    """

    name: ClassVar[str] = "user-temperatures"
    numbers: ClassVar[int] = 2
    options: ClassVar[Options] = {
        "warm_up": WARM_UP,
        "beta": Number(
            flag="--temperature-beta", help="How alike users' temperatures are.", search=(0.25, 4.0)
        ),
    }

    warm_up: int = 5
    beta: float = 1.0

    def first(self, num_users: int, temperature: float) -> NDArray[np.float32]:
        """See `Adapt.first`: all the same."""
        return both(np.full(num_users, temperature), temperature)

    def estimate(self, epoch: int, scores: Scores, temperature: float) -> NDArray[np.float32]:
        """See `Adapt.estimate`."""
        of_all = temperature if epoch < self.warm_up else adapted(scores)
        losses = scores.losses
        above = np.nan_to_num((losses - np.nanmean(losses)) / self.beta)  # 0 of users without positives
        return both(of_all * np.exp(lambert(above)), of_all)

    def temperatures(self, estimates: Tensor) -> tuple[Tensor, Tensor]:
        """See `Adapt.temperatures`."""
        return estimates[0], estimates[1]

    def temperature(self, epochs: int, scores: Scores, temperature: float) -> float:
        """See `Adapt.temperature`: τ₀."""
        return temperature if epochs <= self.warm_up else adapted(scores)


def lambert(values: Doubles) -> Doubles:
    """Lambert's W, with W exp(W) = x, on its branch of at least -1; that there for x below -1/e."""
    from scipy.special import lambertw

    inside = values > NEAREST
    found = np.full_like(values, -1.0)
    found[inside] = lambertw(values[inside]).real
    return found
