"""Parameters of dense layers, drawn by a generator of their own."""

from __future__ import annotations

import math

import torch
from torch import nn


def matrix(rows: int, columns: int, generator: torch.Generator) -> nn.Parameter:
    """A matrix (rows, columns), uniform in ±sqrt(6 / (rows + columns)).

    Source: Glorot and Bengio, AISTATS 2010, equation 16.
    """
    return uniform((rows, columns), math.sqrt(6 / (rows + columns)), generator)


def uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> nn.Parameter:
    """An array of that shape, uniform in ±bound."""
    values = torch.empty(shape, dtype=torch.float32, device="cpu")
    return nn.Parameter(values.uniform_(-bound, bound, generator=generator))


def normal(shape: tuple[int, ...], deviation: float, generator: torch.Generator) -> nn.Parameter:
    """An array of that shape, normal with mean 0."""
    values = torch.empty(shape, dtype=torch.float32, device="cpu")
    return nn.Parameter(values.normal_(0.0, deviation, generator=generator))


def zeros(*shape: int) -> nn.Parameter:
    """An array of zeros."""
    return nn.Parameter(torch.zeros(*shape, dtype=torch.float32, device="cpu"))
