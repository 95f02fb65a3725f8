"""Where to train: the device of that name, and whether training fits there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import torch

from pyrec import _core
from pyrec.errors import ConfigError

DEVICES = ("cpu", "cuda")


def find_device(name: str) -> torch.device:
    """The device; a CUDA device that is missing is an error, never the CPU instead.

    Args:
        name: One of `DEVICES`.

    Raises:
        ConfigError: The package was built without CUDA kernels or for later devices, or torch finds no CUDA device.
    """
    if name == "cpu":
        return torch.device("cpu")
    architectures = _core.cuda_info()["architectures"]
    if not architectures:
        raise ConfigError(
            "device = 'cuda', but this package was built without CUDA kernels; "
            "build it where nvcc is, PYREC_CUDA=ON pip install ."
        )
    if not torch.cuda.is_available():
        raise ConfigError(
            "device = 'cuda', but torch finds no CUDA device (a driver, and a torch built for CUDA, are needed); "
            "pyrec doctor says what there is"
        )
    device = torch.device("cuda", torch.cuda.current_device())
    _check_architecture(device, architectures)
    return device


def _check_architecture(device: torch.device, built: str) -> None:
    """Refuses a device older than all that the kernels were built for, such as ``80 86 89 90``."""
    major, minor = torch.cuda.get_device_capability(device)
    numbers = [int(number) for number in re.findall(r"\d+", built)]
    if numbers and 10 * major + minor < min(numbers):
        raise ConfigError(
            f"device = 'cuda', but {device} has compute capability {major}.{minor} and this package was built "
            f"for architectures {built}; build it with -C cmake.define.CMAKE_CUDA_ARCHITECTURES={major}{minor}"
        )


SMALLER: Final = "lower embedding_size, use precision='bf16'"
"""What takes less, of a model with embeddings."""


def check_fits(needed: int, device: torch.device, smaller: str = SMALLER) -> None:
    """Refuses a training that the device cannot hold.

    Args:
        needed: Bytes, such as `pyrec.LightGCN.training_bytes` gives.
        device: Where to train; on a CPU whose system does not tell (it is not Linux) anything fits.
        smaller: What takes less.

    Raises:
        ConfigError: With both figures.
    """
    free = available_memory() if device.type == "cpu" else torch.cuda.mem_get_info(device)[0]
    if free is not None and needed > free:
        elsewhere = "free memory" if device.type == "cpu" else "train on the CPU"
        raise ConfigError(
            f"training takes {gibibytes(needed)}, but {gibibytes(free)} are free on {device}; "
            f"{smaller}, or {elsewhere}"
        )


def available_memory() -> int | None:
    """Bytes that the system could still give this process; None where it is not Linux.

    The least of ``MemAvailable`` and of what the process's control group has left (version 2).
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        return None
    left = _left_in_group(Path("/sys/fs/cgroup"))
    return min(free if left is None else [*free, left], default=None)


def _left_in_group(group: Path) -> int | None:
    """Bytes up to the control group's limit, the files' pages that the kernel drops first counted as free.

    None without a limit, or without a group of version 2.
    """
    try:
        limit, used = ((group / f"memory.{name}").read_text(encoding="ascii") for name in ("max", "current"))
    except OSError:
        return None
    if limit.strip() == "max":
        return None
    return max(int(limit) - max(int(used) - _inactive_file(group), 0), 0)


def _inactive_file(group: Path) -> int:
    try:
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


def gibibytes(num_bytes: int) -> str:
    """For messages."""
    return f"{num_bytes / 2**30:.2f} GiB"
