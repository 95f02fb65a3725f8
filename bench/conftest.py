"""Options of the benchmarks, a test for each contender of each race, what machine it was, and a summary."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import torch
from race import CLOCK, Race

from pyrec import _core

VERSIONS = [
    *("torch", "numpy", "scipy", "dgl", "faiss-cpu", "implicit", "usearch", "torchmetrics"),
    "pytrec-eval-terrier",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench")
    group.addoption("--quick", action="store_true", help="a selection of the races, under 4 minutes")
    group.addoption(
        "--scale-max", type=float, default=1e7, help="edges of the largest generated graph (1e8 takes 16 GB)"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrises ``race`` and ``contender`` by the module's ``races(scale_max)``."""
    if "race" not in metafunc.fixturenames:
        return
    quick = metafunc.config.getoption("--quick")
    races = metafunc.module.races(metafunc.config.getoption("--scale-max"))
    rows = [_row(race, name) for race in races if race.quick or not quick for name in race.contenders]
    metafunc.parametrize(("race", "contender"), rows)


def _row(race: Race, contender: str) -> Any:
    """A test's parameters; one that fails leaves its fixture unused, which is no second failure."""
    marks = [
        pytest.mark.benchmark(group=race.group, timer=CLOCK),
        pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"),
    ]
    return pytest.param(race, contender, id=f"{race.group}: {contender}", marks=marks)


def pytest_benchmark_update_machine_info(machine_info: dict) -> None:
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    machine_info["versions"] = {"pyrec": _pyrec_version(), "python": platform.python_version(), **versions}
    machine_info["isa"] = _core.isa()
    machine_info["threads"] = torch.get_num_threads()
    machine_info["last_level_cache"] = _last_level_cache()
    if torch.cuda.is_available():
        machine_info["gpu"] = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"


def _pyrec_version() -> str:
    try:
        return version("pyrec-graph")
    except PackageNotFoundError:
        return "source tree"


def _last_level_cache() -> str | None:
    sizes = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
    return sizes[-1].read_text().strip() if sizes else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """For each race, how many times faster ours is than each other."""
    session = getattr(config, "_benchmarksession", None)
    medians: dict[str, dict[str, float]] = {}
    for bench in session.benchmarks if session else []:
        if "race" in bench.extra_info and not bench.has_error:
            names = medians.setdefault(bench.extra_info["race"], {})
            names[bench.extra_info["contender"]] = bench.stats.median
    for race, entries in medians.items():
        (ours, median), *others = entries.items()
        terminalreporter.write_line(f"{race}: {ours} {1e3 * median:.2f} ms")
        for name, other in others:
            terminalreporter.write_line(
                f"    {other / median:7.2f}x faster than {name} ({1e3 * other:.2f} ms)"
            )
