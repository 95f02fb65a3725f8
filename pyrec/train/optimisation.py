"""How far a step goes, and the L2 penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from pyrec.train.batch import Batch

SCHEDULES: Final = ("constant", "linear")
"""The learning rate over the epochs: the same, or falling in equal parts to one part in the last."""


@dataclass(frozen=True)
class Optimisation:
    """Adam's learning rate over the epochs, and the weight of the L2 penalty.

    Attributes:
        learning_rate: Of the first epoch.
        epochs: Number of epochs.
        schedule: One of `SCHEDULES`.
        reg: Weight of the penalty on X_0.
    """

    learning_rate: float
    epochs: int = 1
    schedule: str = "constant"
    reg: float = 0.0

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 - epoch / self.epochs)


def held_rate(rate: float, device: torch.device) -> float | Tensor:
    """A learning rate as torch's optimisers hold it: on a CUDA device in its memory, where replayed steps read it."""
    return torch.tensor(rate, dtype=torch.float32, device=device) if device.type == "cuda" else rate


def set_rate(group: dict[str, Any], rate: float) -> None:
    """Gives a group of an optimiser's parameters another learning rate, where the old one is held."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def penalty(batch: Batch, ego: Tensor) -> tuple[Tensor, Tensor]:
    """Half the squared length of the batch's own embeddings (layer 0), each as often as it occurs, a sample.

    This is LightGCN-PyTorch's: ½ (‖u‖² + ‖p‖² + ‖n‖²) summed over the batch and divided by its size.

    Args:
        batch: Of which `Batch.penalised` counts.
        ego: (num_rows, dim), X_0 of its rows.

    Returns:
        The penalty, a scalar, and its gradient with respect to ``ego``, (num_rows, dim).
    """
    penalised = batch.penalised
    ones = torch.ones(len(penalised), dtype=ego.dtype, device=ego.device)
    counts = ones.new_zeros(len(batch.rows)).scatter_add_(0, penalised, ones)
    gradient = ego * (counts / batch.size)[:, None]
    return 0.5 * torch.dot(ego.flatten(), gradient.flatten()), gradient
