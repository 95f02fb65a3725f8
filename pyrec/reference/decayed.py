"""Sums of events that decay, in NumPy: each pair of an event and an earlier one by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def decayed_counts(keys: Tensor, times: Tensor, amounts: Tensor, half_lives: Sequence[float]) -> Tensor:
    """What the earlier events of the same key come to at each event; its input is trusted.

    ``out[e, m, f] = Σ amounts[j, m] 2^-((times[e] - times[j]) / half_lives[f])`` over the j with
    ``keys[j] == keys[e]`` and ``times[j] < times[e]``.

    Args:
        keys: (n,) int32.
        times: (n,) float64, in any order.
        amounts: (n, M) float32.
        half_lives: F numbers above 0, in the unit of the times; infinity for sums that do not decay.

    Returns:
        (n, M, F) float64.
    """
    rates = 1 / np.array(half_lives, dtype=np.float64)
    out = np.zeros((len(keys), amounts.shape[1], len(rates)))
    all_keys, all_times, all_amounts = keys.numpy(), times.numpy(), amounts.numpy().astype(np.float64)
    for at, (key, time) in enumerate(zip(all_keys, all_times, strict=True)):
        earlier = (all_keys == key) & (all_times < time)
        weight = np.exp2(-(time - all_times[earlier])[:, None] * rates)
        out[at] = all_amounts[earlier].T @ weight
    return torch.from_numpy(out)
