"""Sums of events that decay with time: clicks and shows of an article, or of a reader, before each impression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, require_contiguous, require_whole
from pyrec._checks import check_real
from pyrec.errors import ConfigError, DataError

MOST_HALF_LIVES = 64


class DecayedState(NamedTuple):
    """What the sums of each key have come to, so that they can go on.

    Attributes:
        values: (num_keys, M, F) float64: the sums right before ``times``.
        pending: (num_keys, M) float64: the amounts at ``times``, which count later alone.
        times: (num_keys,) float64: of each key's last event; -inf for none.
        half_lives: (F,) float64.
    """

    values: Tensor
    pending: Tensor
    times: Tensor
    half_lives: Tensor

    def at(self, keys: Tensor, times: Tensor) -> Tensor:
        """The sums of some keys at some times, none of which changes the state.

        Args:
            keys: (q,) integers within [0, num_keys).
            times: (q,) float64, none before the key's last event.

        Returns:
            (q, M, F) float32. What happened at the very time asked for does not count.

        Raises:
            DataError: A key is out of range, or a time is before its last event.
        """
        chosen, asked = _asked(self, keys, times)
        gone = asked - self.times[chosen]
        decay = torch.where(self.half_lives.isinf(), 1.0, torch.exp2(-gone[:, None] / self.half_lives))
        later = (self.values[chosen] + self.pending[chosen][:, :, None]) * decay[:, None]
        return torch.where(gone[:, None, None] > 0, later, self.values[chosen]).float()


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
    ``keys[j] == keys[e]`` and ``times[j] < times[e]``: events at the same time do not count for each other. The same
    bits at any number of threads, and in one call or in several.

    Args:
        keys: (n,) int32, within [0, num_keys), on the CPU as all of these.
        times: (n,) float64, never falling, such as seconds.
        amounts: (n, M) float32, such as a 1 for a click in one column and a 1 for a show in the next.
        half_lives: F numbers above 0, in the unit of the times, at most 64; infinity for sums that do not decay.
        num_keys: Number of keys.
        state: What an earlier call returned, of events none of which is later than these; None for a start.

    Returns:
        (n, M, F) float32, and the state after the last event. ``state`` itself is not changed.

    Raises:
        DataError: Wrong shape, dtype, device or strides; a key out of range; times that fall, or lie before the
            state's; a time or an amount that is not finite; a state of other keys, amounts or half-lives.
        ConfigError: ``half_lives`` is empty, longer than 64, or has a number that is not above 0; ``num_keys`` is no
            whole number, or outside 0 to 2^31 - 1.
    """
    require_contiguous(keys=keys, times=times, amounts=amounts)
    require_whole(num_keys=num_keys)
    if not 0 <= num_keys < 2**31:
        raise ConfigError(f"num_keys = {num_keys}, but it is 0 to 2**31 - 1")
    if amounts.ndim != 2:
        raise DataError(f"amounts has shape {tuple(amounts.shape)}, but (n, M) is needed")
    lives = _half_lives(half_lives)
    shape = (num_keys, amounts.shape[1], len(lives))
    begun = _start(shape, lives) if state is None else _copy(state, shape, lives)
    out = torch.empty(keys.shape[:1].numel(), *shape[1:], dtype=torch.float32, device="cpu")
    _core.decayed_counts(
        capsule(keys),
        capsule(times),
        capsule(amounts),
        capsule(1 / lives),
        values=capsule(begun.values),
        pending=capsule(begun.pending),
        last=capsule(begun.times),
        out=capsule(out),
    )
    return out, begun


def _half_lives(given: Sequence[float]) -> Tensor:
    if isinstance(given, str | bytes) or not isinstance(given, Sequence) or not given:
        raise ConfigError(f"half_lives = {given!r}, but a list of numbers above 0 is needed")
    if len(given) > MOST_HALF_LIVES:
        raise ConfigError(f"half_lives has {len(given)} numbers, but at most {MOST_HALF_LIVES} are taken")
    lives = [
        one if one == torch.inf else check_real(f"half_lives[{at}]", one, ConfigError, positive=True)
        for at, one in enumerate(given)
    ]
    return torch.tensor(lives, dtype=torch.float64, device="cpu")


def _start(shape: tuple[int, int, int], half_lives: Tensor) -> DecayedState:
    values = torch.zeros(shape, dtype=torch.float64, device="cpu")
    pending = torch.zeros(shape[:2], dtype=torch.float64, device="cpu")
    never = torch.full(shape[:1], -torch.inf, dtype=torch.float64, device="cpu")
    return DecayedState(values, pending, never, half_lives)


def _copy(state: DecayedState, shape: tuple[int, int, int], half_lives: Tensor) -> DecayedState:
    if not isinstance(state, DecayedState):
        raise DataError(f"state is a {type(state).__name__}, but a DecayedState is needed")
    require_contiguous(**{f"state.{name}": array for name, array in state._asdict().items()})
    if tuple(state.values.shape) != shape or not torch.equal(state.half_lives, half_lives):
        raise DataError(
            f"state has sums of shape {tuple(state.values.shape)} with half-lives {state.half_lives.tolist()}, but "
            f"{shape} with {half_lives.tolist()} are asked for"
        )
    return DecayedState(*(array.clone() for array in state))


def _asked(state: DecayedState, keys: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    require_contiguous(keys=keys, times=times)
    if (
        keys.ndim != 1
        or times.shape != keys.shape
        or keys.is_floating_point()
        or times.dtype != torch.float64
    ):
        raise DataError(
            f"keys is {keys.dtype} {tuple(keys.shape)} and times {times.dtype} {tuple(times.shape)}; integers and "
            "float64 of one length are needed"
        )
    outside = (keys < 0) | (keys >= len(state.times))
    if outside.any():
        at = int(outside.int().argmax())
        raise DataError(f"keys[{at}] = {int(keys[at])}, but there are {len(state.times)} keys")
    chosen = keys.long()
    early = ~(times >= state.times[chosen])
    if early.any():
        at = int(early.int().argmax())
        last = float(state.times[chosen[at]])
        raise DataError(f"times[{at}] = {float(times[at])} is not at or behind {last}, the key's last event")
    return chosen, times
