import importlib
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # OpenMP, which torch loads, reads it then
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from hypothesis import HealthCheck, settings

from pyrec import _core
from pyrec.graph import Graph

# A busy machine is no failure, and neither is a fixture that stays as it is from one example to the next.
settings.register_profile("pyrec", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("pyrec")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real data sets; tests that need it are skipped without it."""
    folder = os.environ.get("PYREC_DATA")
    if not folder:
        pytest.skip("PYREC_DATA is not set to the folder with the real data sets")
    return Path(folder)


@pytest.fixture(params=_core.isa_levels())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once on each instruction set that this machine has."""
    before = _core.isa()
    _core.use_isa(request.param)
    yield request.param
    _core.use_isa(before)


class Device:
    """Where a test's kernels run.

    Attributes:
        name: ``cpu``, ``cuda`` or ``cuda-emulated``: the CUDA kernels, run on the CPU and on its tensors.
        torch: The device of the tensors.
        core: The compiled module whose kernels the operators call.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.torch = torch.device("cuda" if name == "cuda" else "cpu")
        self.core = _emulated_core() if name == "cuda-emulated" else _core

    def put(self, graph: Graph) -> Graph:
        """The graph where the kernels want it."""
        return graph._twin(self.torch) if self.name == "cuda-emulated" else graph.to(self.torch)


def _emulated_core():
    try:
        return importlib.import_module("_core_emulated")
    except ModuleNotFoundError:
        pytest.skip("the CUDA kernels are not built for the CPU; build with -DPYREC_EMULATE=ON")


_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@contextmanager
def _on(name: str, request: pytest.FixtureRequest) -> Iterator[Device]:
    """The operators call the device's kernels; of a test that passes, some are launched.

    `monkeypatch` is not asked for: it would undo what the test has patched before the launches are counted.
    """
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    where = Device(name)
    with pytest.MonkeyPatch.context() as patch:
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith("pyrec.") and getattr(module, "_core", None) is _core:
                patch.setattr(module, "_core", where.core)
        before = where.core.num_launches() if name == "cuda-emulated" else 0
        yield where
    needed = request.node.get_closest_marker("launches_nothing") is None
    if name == "cuda-emulated" and needed and request.node.stash.get(_PASSED, False):
        assert where.core.num_launches() > before, (
            "no CUDA kernel was launched: the operators called the CPU's, or the test needs the mark launches_nothing"
        )


@pytest.fixture(params=["cpu", "cuda-emulated", "cuda"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    """Runs the test once on each device."""
    with _on(request.param, request) as where:
        yield where


@pytest.fixture(params=[*_core.isa_levels(), "cuda-emulated", "cuda"])
def kernels(request: pytest.FixtureRequest) -> Iterator[Device]:
    """Runs the test once with each set of kernels: the CPU's instruction sets and the devices."""
    if request.param.startswith("cuda"):
        with _on(request.param, request) as where:
            yield where
        return
    before = _core.isa()
    _core.use_isa(request.param)
    yield Device("cpu")
    _core.use_isa(before)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads, of torch and of the kernels; restored after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
