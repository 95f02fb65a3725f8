"""Fuzzes a target with atheris: ``python tests/fuzz/fuzz.py TARGET [CORPUS ...] [-runs=N] [libFuzzer's options]``.

What it finds interesting is added to the first corpus folder; ``-artifact_prefix=`` says where crashes are kept.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import atheris
import torch  # noqa: F401  as it is: only pyrec's own code is instrumented

sys.path.insert(0, str(Path(__file__).parent))
warnings.simplefilter("ignore")

with atheris.instrument_imports(include=["pyrec"]):
    from targets import TARGETS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
