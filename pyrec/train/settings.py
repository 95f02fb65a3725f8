"""Hyperparameters of training, as the trainer takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CONTRASTS: Final = ("edges", "noise")
"""How `pyrec.train.contrast` makes views of the batch's nodes."""


@dataclass(frozen=True)
class ContrastSettings:
    """Hyperparameters of the contrastive loss.

    Attributes:
        kind: One of `CONTRASTS`.
        weight: Of the loss beside the ranking loss.
        temperature: tau, above 0.
        rate: The share of edges left out, or the noise's length eps.
        seed: Of dropout and noise.
    """

    kind: str
    weight: float
    temperature: float
    rate: float
    seed: int


SCHEDULES: Final = ("constant", "linear")
"""The learning rate over the epochs: the same, or falling in equal parts to one part in the last."""


NEGATIVES: Final = ("uniform", "batch", "hard")
"""Where negatives come from: all items alike; the batch's positives, that is, items by their popularity; or of some
uniform ones the one that the user's vector is most like."""

HARD_CANDIDATES: Final = 16
"""Uniform negatives that a hard one is chosen from, unless it is said how many."""

SCORES: Final = ("inner", "cosine")
"""How a user's and an item's vectors are compared: by their inner product or by their cosine."""


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of training; `pyrec.LightGCN` explains each."""

    loss: str
    batch_size: int
    learning_rate: float
    reg: float
    temperature: float
    num_negatives: int | None
    seed: int
    negatives: str = "uniform"
    corrected: bool = False
    epochs: int = 1
    schedule: str = "constant"
    contrast: ContrastSettings | None = None
    score: str = "inner"
    edge_dropout: float = 0.0

    @property
    def drawn(self) -> int:
        """Negatives that are sampled for each interaction."""
        return self.num_negatives or (HARD_CANDIDATES if self.negatives == "hard" else 1)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 - epoch / self.epochs)
