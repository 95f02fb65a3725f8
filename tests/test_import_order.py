"""The rooms of the package: each imports from those above it alone, and no file imports itself by way of others."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import children
import pytest

ROOT = Path(__file__).parents[1]
BELOW_ALL = (
    "errors version device interrupt _atomic _ambient _arrays _checks _exchange _optional "
    "_spellings options params"
)
ABOVE_THE_KERNELS = "store nn train evaluate models look"
ROOMS = (
    BELOW_ALL.split(),
    ["data"],
    ["debias"],
    ["graph"],
    ["ops", "reference"],
    *([room] for room in ABOVE_THE_KERNELS.split()),
    ["presets", "tune", "export", "serve", "track"],
    ["cli"],
)
"""Rooms side by side may import one another; `test_no_file_imports_itself_by_way_of_others` keeps them from circles."""


def imports(package: Path) -> dict[str, set[str]]:
    """The files of a package that each of its files imports, those for type checking included; but not its root."""
    files = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in package.rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        named = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                within = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= within & files.keys() or {node.module}
        found[name] = (named & files.keys()) - {name, package.name}
    return found


@pytest.mark.parametrize("package", ["pyrec", "bench"])
def test_no_file_imports_itself_by_way_of_others(package: str) -> None:
    TopologicalSorter(imports(ROOT / package)).prepare()  # raises CycleError, which shows the circle


def test_rooms_import_from_those_above_them() -> None:
    level = {room: at for at, rooms in enumerate(ROOMS) for room in rooms}
    upwards = [
        f"{name} imports {other}"
        for name, others in imports(ROOT / "pyrec").items()
        for other in others
        if name != "pyrec" and level[name.split(".")[1]] < level[other.split(".")[1]]
    ]
    assert not upwards, "\n".join(upwards)


def test_rooms_are_in_the_table() -> None:
    there = {path.stem for path in (ROOT / "pyrec").glob("*.py")}
    there |= {path.parent.name for path in (ROOT / "pyrec").glob("*/__init__.py")}
    assert there - {"__init__"} == {room for rooms in ROOMS for room in rooms}


def test_the_compiled_module_is_taken_whole() -> None:
    """A kernel that a module names would stay the CPU's where the tests put other kernels in the place of `_core`."""
    named = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "pyrec").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "pyrec._core"
    ]
    assert not named, "\n".join(named)


def test_no_test_module_imports_another() -> None:
    """What tests share is in modules beside them, so that a test module can be read, moved and run alone."""
    tests = {path.stem: path for path in Path(__file__).parent.glob("test_*.py")}
    found = [
        f"{name} imports {other}"
        for name, path in tests.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for other in (getattr(node, "module", None) or "", *(alias.name for alias in node.names))
        if set(other.split(".")) & tests.keys()
    ]
    assert not found, "\n".join(found)


SLOW = ("scipy.stats", "scipy.linalg", "matplotlib", "optuna", "fastapi", "pandas", "sklearn")
"""What takes a good part of a second to import, and only some do need."""


def test_commands_start_without_what_they_may_not_need():
    code = f"""import sys
from pyrec.cli import main
for command in ("train", "evaluate", "recommend", "similar", "explain", "compare", "tune", "serve", "export"):
    try:
        main([command, "--help"])
    except SystemExit:
        pass
    found = [name for name in {SLOW!r} if name in sys.modules]
    assert not found, (command, found)
"""
    done = children.run("-c", code)
    assert done.returncode == 0, done.stderr
