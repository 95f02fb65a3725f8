"""What a model would show in a round of a log: its list as it stands, with exploration, or drawn by score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._checks import check_count, check_real
from pyrec.data import Interactions, Ragged
from pyrec.errors import ConfigError
from pyrec.ops.topk import MAX_K


@runtime_checkable
class LimitedRanker(Protocol):
    """What a policy asks of a model; every fitted `pyrec.Recommender` has it."""

    def training_set(self) -> Interactions:
        """Return what the model was fitted on, whose ids it speaks."""

    def topk(
        self,
        user_indices: NDArray[np.integer],
        k: int,
        filter_seen: bool = True,
        allowed: torch.Tensor | None = None,
        excluded: Any = None,
        candidates: Ragged | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rank the allowed items or the candidates for users (B,): ids int32 (B, k), -1 at the end, and scores."""


@dataclass(frozen=True)
class TopKPolicy:
    """Shows the item at place p of the model's list at position p.

    Without positions in the log, one of the list's k items is shown, each with probability 1 / k.

    Attributes:
        model: A fitted model.
        filter_seen: Whether lists leave out what the user had in training.
    """

    model: LimitedRanker
    filter_seen: bool = False
    is_by_position: ClassVar[bool] = True
    """Whether place p of the list is what position p shows."""

    @property
    def explored(self) -> float:
        """The probability that any candidate is shown, each as probably as another."""
        return 0.0

    def list_length(self, k: int) -> int:
        """Return how many items of the model's list the policy may show, of k positions."""
        return k

    def chances(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how probable each place's item is at any position, float64 (B, N), from scores (B, N)."""
        listed = np.isfinite(scores).astype(np.float64)
        return np.asarray(listed / scores.shape[1])


@dataclass(frozen=True)
class EpsilonGreedyPolicy(TopKPolicy):
    """Shows as `TopKPolicy` does, but with probability epsilon any candidate, each as probably as another.

    Attributes:
        epsilon: From 0 to 1.
    """

    epsilon: float = 0.1

    def __post_init__(self) -> None:
        epsilon = check_real("epsilon", self.epsilon, ConfigError, positive=False)
        if epsilon > 1:
            raise ConfigError(f"epsilon = {epsilon} is a probability; it must be at most 1")

    @property
    def explored(self) -> float:
        """The probability that any candidate is shown, each as probably as another."""
        return float(self.epsilon)


@dataclass(frozen=True)
class SoftmaxPolicy(TopKPolicy):
    """Draws an item by ``exp(score / temperature)``, at each position anew, among the best ``size`` of the candidates.

    Attributes:
        temperature: Above 0.
        size: From 1 to 1,024; items beyond are never shown.
    """

    temperature: float = 1.0
    size: int = 100
    is_by_position: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_real("temperature", self.temperature, ConfigError, positive=True)
        check_count("size", self.size, 1, MAX_K, ConfigError)

    def list_length(self, k: int) -> int:  # noqa: ARG002, D102
        return self.size

    def chances(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:  # noqa: D102
        logits = scores.astype(np.float64) / self.temperature
        best = logits.max(axis=1, keepdims=True)
        powers = np.exp(logits - np.where(np.isfinite(best), best, 0))
        return np.asarray(powers / np.maximum(powers.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny))
