"""What libraries do with a column that is out of range: each in a process of its own, ours beside the others.

    python tests/nightly/out_of_range.py

prints how each process ended. Needs implicit (extra ``bench``).
"""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib import metadata

MATRIX = """
import numpy as np
from scipy.sparse import csr_matrix, random
matrix = random(500, 400, 0.05, format="csr", dtype=np.float32, random_state=0)
matrix.indices[7] = 2_000_000_000  # of 400 columns
"""

CASES = {
    "pyrec-graph": "import pyrec; pyrec.LightGCN(epochs=1).fit(matrix)",
    "scipy": "matrix @ np.ones((400, 8), np.float32)",
    "implicit": (
        "from implicit.als import AlternatingLeastSquares as Model; "
        "Model(16, iterations=1, use_cg=True).fit(matrix, False)"
    ),
    "torch": (
        "import torch; sparse = torch.sparse_csr_tensor(torch.tensor(matrix.indptr), torch.tensor(matrix.indices), "
        "torch.tensor(matrix.data), matrix.shape); torch.sparse.mm(sparse, torch.ones(400, 8))"
    ),
}


def version(package: str) -> str:
    """The installed one; a source tree has none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "in its source tree"


def ending(code: str) -> str:
    """How a process that runs the code ends: as a shell would number it, with the last line it wrote."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MATRIX + code], capture_output=True, text=True
    )
    if done.returncode < 0:
        return f"exit {128 - done.returncode}, {signal.Signals(-done.returncode).name}"
    last = (done.stderr.strip() or "no error").splitlines()[-1]
    return f"exit {done.returncode}, {last}"


if __name__ == "__main__":
    for package, code in CASES.items():
        print(f"{package} {version(package)}: {ending(code)}", flush=True)
