import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from pyrec import _core

# A busy machine is no failure.
settings.register_profile("pyrec", deadline=None)
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


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads, of torch and of the kernels; restored after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
