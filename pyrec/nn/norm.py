"""Layer normalisation whose gradient is the same at any number of threads."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Norm(nn.Module):
    """(x - mean) / sqrt(variance + epsilon) * weight + bias, over the last axis.

    Torch's own adds the gradients of weight and bias by thread.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    Attributes:
        weight: (dim,), 1 at first.
        bias: (dim,), 0 at first.
    """

    def __init__(self, dim: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(dim, dtype=torch.float32, device="cpu"))
        self.bias = nn.Parameter(torch.zeros(dim, dtype=torch.float32, device="cpu"))

    def forward(self, x: Tensor) -> Tensor:
        """The rows normalised, of the shape of ``x``."""
        centred = x - x.mean(-1, keepdim=True)
        scale = torch.rsqrt(centred.square().mean(-1, keepdim=True) + self.epsilon)
        return centred * scale * self.weight + self.bias

    @classmethod
    def like(cls, other: nn.LayerNorm) -> Norm:
        """One with the parameters of torch's own, over its last axis."""
        norm = cls(other.normalized_shape[-1], other.eps)
        norm.weight, norm.bias = other.weight, other.bias
        return norm
