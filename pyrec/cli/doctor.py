"""``pyrec doctor``: what pyrec finds on this machine, and whether its kernels compute what they should."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import click
import numpy as np
import torch

from pyrec import _core
from pyrec.cli.options import set_threads, threads_option
from pyrec.cli.self_test import SELF_TESTS, TOLERANCE
from pyrec.device import find_device
from pyrec.errors import ConfigError, PyrecError
from pyrec.evaluate.tables import table
from pyrec.version import version


class _KernelError(PyrecError):
    """A kernel's answer differs from its reference."""


@click.command("doctor")
@threads_option
def command(threads: int | None) -> None:
    """Report versions, processor and threads, and test the operators, with their gradients, against their references.

    Each has one small case, in float32 on the CPU.
    """
    set_threads(threads)
    for name, value in _report().items():
        click.echo(f"{name:<16} {value}")
    click.echo("\nself-test: largest difference from the reference")
    differences = {name: test() for name, test in SELF_TESTS.items()}
    click.echo(table([[name, f"{value:.1e}"] for name, value in differences.items()]))
    wrong = [name for name, value in differences.items() if not value <= TOLERANCE]
    if wrong:
        raise _KernelError(f"wrong answers from {', '.join(wrong)}; build pyrec again on this machine")
    click.echo("all kernels agree")


def _report() -> dict[str, str]:
    return {
        "pyrec": version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "instruction set": f"{_core.isa()} in use, of {', '.join(_core.isa_levels())}",
        "caches": _caches(),
        "threads": f"{_core.num_threads()} in the kernels, {torch.get_num_threads()} in torch",
        "OpenMP": _openmp(),
        "CUDA": _cuda(),
    }


def _caches() -> str:
    """Return the cache sizes that the kernels reckon with, and what they choose by them."""
    info = _core.cache_info()
    sizes = " / ".join(f"{size / 1024:,.0f}" for size in (info["first"], info["second"], info["last"]))
    ahead, near = _core.fetch_ahead_bytes() / 1024, _core.topk_block_bytes() / 1024
    return f"{sizes} KB ({info['source']}): rows are fetched {ahead:,.0f} KB ahead, {near:,.0f} KB of items kept near"


def _openmp() -> str:
    """Return the OpenMP libraries that this process has loaded: more than one compete for the processors."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return "not counted: this system has no /proc/self/maps"
    fields = [line.split(maxsplit=5) for line in maps.read_text().splitlines()]
    paths = {Path(entry[5]) for entry in fields if len(entry) == 6}
    loaded = sorted(str(path) for path in paths if path.name.startswith(("libgomp", "libomp", "libiomp")))
    if len(loaded) == 1:
        return f"1 library: {loaded[0]}"
    return f"{len(loaded)} libraries{': ' if loaded else ''}{', '.join(loaded)}"


def _cuda() -> str:
    info = _core.cuda_info()
    built, driver, devices = info["architectures"], info["driver"], ", ".join(info["devices"])
    if not built:
        found = "not built, for want of nvcc or by PYREC_CUDA=OFF"
    elif driver == "absent":
        found = f"built for architectures {built}, driver absent"
    else:
        found = f"built for architectures {built}, driver {driver}, {devices or 'no device'}"
    return f"{found}; {_of_torch()}; {_device_works()}"


def _of_torch() -> str:
    if torch.version.cuda is None:
        return "torch built without CUDA"
    seen = torch.cuda.get_device_name() if torch.cuda.is_available() else "no device"
    return f"torch built for CUDA {torch.version.cuda} sees {seen}"


def _device_works() -> str:
    try:
        find_device("cuda")
    except ConfigError:
        return "device='cuda' is not available"
    return "device='cuda' is available"
