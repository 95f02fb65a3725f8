"""Graph recommenders on C++ kernels of their own."""

import torch  # noqa: F401  first: the extension then shares torch's OpenMP library

try:
    from pyrec import _core
except ImportError as error:
    raise ImportError(
        f"pyrec's compiled kernels (pyrec._core) cannot be imported: {error}. Build them with "
        "`pip install .` in the source folder; if they are installed, start Python outside that folder, "
        "which hides them."
    ) from error

_core.isa()  # an instruction set that PYREC_ISA names and this machine lacks is an error now, not later
