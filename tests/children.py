"""Child processes of tests: interpreters that find the modules this one does, away from the source tree.

Where the package is installed, its sources must not hide it.
"""

import os
import subprocess
import sys
from tempfile import gettempdir
from typing import Any


def environment(**variables: str) -> dict[str, str]:
    """This process's environment with the folders of its modules, and the variables beside it."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | variables


def run(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """An interpreter with these arguments to its end: its status and what it wrote, as text."""
    options = {"env": environment(), "capture_output": True, "text": True, "timeout": 120} | options
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=gettempdir(), check=False, **options)


def start(*arguments: object, **options: Any) -> "subprocess.Popen[Any]":
    """The same, not waited for; what it writes is lost unless the options say otherwise."""
    options = {"env": environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
    return subprocess.Popen([sys.executable, *map(str, arguments)], cwd=gettempdir(), **options)
