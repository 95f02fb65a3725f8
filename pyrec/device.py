"""Where to train: the device of that name, and whether training fits there."""

from __future__ import annotations

import re
from pathlib import Path

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


def training_bytes(
    num_nodes: int,
    num_interactions: int,
    dim: int,
    n_layers: int,
    batch_nodes: int,
    *,
    precision: str = "fp32",
    fixed_weights: bool = True,
    cosine: bool = False,
    contrast: str | None = None,
    num_targets: int = 0,
    dropout: bool = False,
    loss_bytes: int = 0,
    validated: bool = False,
    recorded: bool = False,
) -> int:
    """Bytes of a device's memory that training LightGCN takes at its peak.

    With N nodes, n interactions, d columns, K layers, R nodes in a batch and s bytes of a stored number (2 for
    bf16, else 4):

    - the table and two moments, 12 N d;
    - the graph, 8 N + 8 n, its three factors 12 N, the tasks of its rows 16 N, the users of its interactions 4 n;
    - two layer buffers, 2 s N d;
    - in a step a map of rows 4 N, and for a batch's rows the layers, their gradients, the vectors and their gradient,
      4 R d (2 (K + 1) + 2), and what the loss makes of them;
    - with a contrastive loss the last again for each of two views, and with ``edges`` two gradients of the table,
      8 N d, and the factors of two graphs, 24 N;
    - with a second vector of M items these, their gradient and two moments, 16 M d;
    - with dropout of edges the factors of what is left, 12 N;
    - with a validation set the best epoch's parameters, 4 N d + 4 M d, twice while they are exchanged;
    - in an evaluation the vectors, 4 N d, again where they are brought to length 1, and where each node has weights of
      its own the layers, 4 N d K, and what they are combined to.

    Of a step, an evaluation and an exchange the largest counts. A recorded step
    (`pyrec.train.recorded.ReplayedEpochs`) keeps its memory besides; the last, smaller batch of an epoch takes its own.
    What torch's libraries take for themselves (cuBLAS 64 MiB) comes on top.

    Args:
        num_nodes: N, users and items.
        num_interactions: n.
        dim: d.
        n_layers: K.
        batch_nodes: R, at most `pyrec.train.batch.most_nodes` and N.
        precision: ``fp32`` or ``bf16``.
        fixed_weights: Whether all nodes share the weights of the layers.
        cosine: Whether vectors are brought to length 1.
        contrast: ``edges``, ``noise`` or None.
        num_targets: M, the items where users are made of theirs, else 0.
        dropout: Whether edges are left out.
        loss_bytes: What the loss takes besides its gradient: `pyrec.train.batch.loss_bytes`.
        validated: Whether a validation set chooses the epoch.
        recorded: Whether steps are recorded, as on a CUDA device.
    """
    table = 4 * num_nodes * dim
    parameters = table + 4 * num_targets * dim
    buffers = min(n_layers, 2) * table // (2 if precision == "bf16" else 1)
    kept = 3 * table + 36 * num_nodes + 12 * num_interactions + buffers + 16 * num_targets * dim
    batch = 4 * min(batch_nodes, num_nodes) * dim * (2 * (n_layers + 1) + 2)
    own = 4 * num_nodes + batch + loss_bytes
    step = own + (0 if contrast is None else 2 * batch)
    if contrast == "edges":
        step += 2 * table + 24 * num_nodes
    if dropout:
        step += 12 * num_nodes
    evaluation = table * ((2 if cosine else 1) if fixed_weights else n_layers + 2)
    exchange = parameters if validated else 0
    return kept + exchange + (own if recorded else 0) + max(step, evaluation, exchange)


def check_fits(needed: int, device: torch.device) -> None:
    """Refuses a training that the device cannot hold.

    Args:
        needed: From `training_bytes`.
        device: Where to train; on a CPU whose system does not tell (it is not Linux) anything fits.

    Raises:
        ConfigError: With both figures.
    """
    free = available_memory() if device.type == "cpu" else torch.cuda.mem_get_info(device)[0]
    if free is not None and needed > free:
        elsewhere = "free memory" if device.type == "cpu" else "train on the CPU"
        raise ConfigError(
            f"training takes {gibibytes(needed)}, but {gibibytes(free)} are free on {device}; "
            f"lower embedding_size, use precision='bf16', or {elsewhere}"
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
