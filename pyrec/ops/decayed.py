"""Sums of events that decay with time: clicks and shows of an article, or of a reader, before each impression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyrec._arrays import require_contiguous, require_whole


class DecayedState(NamedTuple):
    """What the sums of each key have come to, so that they can go on.

    Attributes:
        values: (num_keys, M, F) float64: the sums right before ``times``.
        pending: (num_keys, M) float64: the amounts at ``times``, which count later alone.
        times: (num_keys,) float64: of each key's last event; -inf for none.
    """

    values: Tensor
    pending: Tensor
    times: Tensor


def decayed_counts(
    keys: Tensor,
    times: Tensor,
    amounts: Tensor,
    half_lives: Sequence[float],
    num_keys: int,
    state: DecayedState | None = None,
) -> tuple[Tensor, DecayedState]:
    """What the earlier events of the same key come to at each event.

    ``out[e, m, f] = Σ amounts[j, m] 2^-((times[e] - times[j]) / half_lives[f])`` over the events j with
    ``keys[j] == keys[e]`` and ``times[j] < times[e]``: events at the same time do not count for each other.

    Args:
        keys: (n,) int32, within [0, num_keys).
        times: (n,) float64, never falling, such as seconds.
        amounts: (n, M) float32, such as a 1 for a click in one column and a 1 for a show in the next.
        half_lives: F numbers above 0, in the unit of the times; infinity for sums that do not decay.
        num_keys: Number of keys.
        state: What an earlier call returned, of events none of which is later than these; None for a start.

    Returns:
        (n, M, F) float32, and the state after the last event. ``state`` itself is not changed.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a key out of range; times that fall, or lie before the
            state's; a time or an amount that is not finite.
        ConfigError: ``half_lives`` is empty or has a number that is not above 0; ``num_keys`` is no whole number.
    """
    require_contiguous(keys=keys, times=times, amounts=amounts)
    require_whole(num_keys=num_keys)
    rates = 1 / torch.tensor(half_lives, dtype=torch.float64, device="cpu")
    if state is None:
        values = torch.zeros(num_keys, amounts.shape[1], len(rates), dtype=torch.float64, device="cpu")
        state = DecayedState(values, values[:, :, 0].clone(), torch.full_like(values[:, 0, 0], -torch.inf))
    values, pending, last = (array.clone() for array in state)
    out = torch.empty(len(keys), *values.shape[1:], dtype=torch.float32, device="cpu")
    for at, (key, time) in enumerate(zip(keys.tolist(), times.tolist(), strict=True)):
        if time > last[key]:
            gone = time - last[key]
            decay = torch.exp2(-gone * rates) if torch.isfinite(gone) else torch.zeros_like(rates)
            values[key] = (values[key] + pending[key, :, None]) * decay
            pending[key], last[key] = 0, time
        out[at] = values[key]
        pending[key] += amounts[at]
    return out, DecayedState(values, pending, last)
