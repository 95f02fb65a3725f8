"""Checks a wheel that pip built: what is in it, and that it works where it alone is installed.

``python check_wheel.py WHEEL``, in an environment that has the package's requirements.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

NEEDED = (
    "pyrec/__init__.py",
    "pyrec/py.typed",
    "pyrec/_core.pyi",
    "pyrec/cli/train.py",
    "pyrec/look/report/page.html",
    "pyrec/serve/page/index.html",
    "pyrec/serve/page/page.css",
    "pyrec/serve/page/page.js",
    "entry_points.txt",
    "LICENSE",
)
TOP_LEVEL = ("pyrec/", "pyrec_graph-")


def check_contents(wheel: Path) -> None:
    """Everything that is needed, one compiled module, and nothing beside the package."""
    names = zipfile.ZipFile(wheel).namelist()
    missing = [name for name in NEEDED if not any(found.endswith(name) for found in names)]
    modules = [name for name in names if name.endswith((".so", ".pyd"))]
    strange = [name for name in names if not name.startswith(TOP_LEVEL) or "__pycache__" in name]
    assert not missing, f"{wheel.name} lacks {missing}"
    assert len(modules) == 1, f"{wheel.name} has the compiled modules {modules}, not one"
    assert not strange, f"{wheel.name} holds {strange[:5]} too"


def check_installed(wheel: Path) -> None:
    """Install it by itself, away from the sources, and let it compare its kernels with their references."""
    with tempfile.TemporaryDirectory() as folder:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        subprocess.run([*install, "--target", folder, str(wheel)], check=True)
        environment = {**os.environ, "PYTHONPATH": folder}
        where = "import pathlib, pyrec, sys; sys.exit(sys.argv[1] not in str(pathlib.Path(pyrec.__file__)))"
        for arguments in (["-c", where, folder], ["-m", "pyrec.cli", "doctor"]):
            subprocess.run([sys.executable, *arguments], check=True, cwd=folder, env=environment)


wheel = Path(sys.argv[1])
check_contents(wheel)
check_installed(wheel)
print(f"{wheel.name} is whole and works")
