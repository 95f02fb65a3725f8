"""How long an epoch will take, from the first steps of one."""

from __future__ import annotations

import math
import time
from typing import Final

import torch

from pyrec.errors import StoppedError
from pyrec.train.recorded import WARM_UP
from pyrec.train.stepwise import Stepwise

LEFT_OUT: Final = {"cpu": 1, "cuda": WARM_UP + 1}
"""Steps that are slower than those after them: they make buffers and, on a CUDA device, the recording."""


def epoch_seconds(trainer: Stepwise, limit: float) -> float:
    """Return the seconds of an epoch, from as many of its steps as fit in a time.

    Args:
        trainer: It takes these steps, so it is of no use for training afterwards.
        limit: Seconds after which no further step begins; at least one is taken.
    """
    device = trainer.batches.device
    starts: list[float] = []

    def is_over() -> bool:
        starts.append(_now(device))
        return len(starts) > 1 and starts[-1] - starts[0] >= limit

    try:
        trainer.epoch(0, is_over)
    except StoppedError:
        starts.pop()
    ends = [*starts[1:], _now(device)]
    left_out = min(LEFT_OUT[device.type], len(starts) - 1)
    a_step = (ends[-1] - starts[left_out]) / (len(starts) - left_out)
    return a_step * math.ceil(trainer.batches.num_samples / trainer.batches.batch_size)


def _now(device: torch.device) -> float:
    """The time when the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
