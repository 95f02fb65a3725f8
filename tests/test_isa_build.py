"""The build refuses an object of a wider instruction set that could run on a processor without it."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[1] / "csrc" / "isa" / "check_symbols.cmake"
COMPILER = shutil.which("c++") or shutil.which("g++")
TOOLS = {
    "a C++ compiler": COMPILER,
    "cmake": shutil.which("cmake"),
    "nm": shutil.which("nm"),
    "objdump": shutil.which("objdump"),
}
MISSING = [name for name, path in TOOLS.items() if path is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
    pytest.mark.skipif(
        platform.machine() != "x86_64", reason="other processors have one instruction set alone"
    ),
    pytest.mark.skipif(not CHECK.exists(), reason="the sources of the extension are not beside the tests"),
]

AT_LOAD = "would run on every processor when the module is loaded"
SHARED = "would be shared with other instruction sets"

SOUND = """
#include <cstdlib>
namespace pyrec::avx2 {
inline int twice(int value) { return 2 * value; }
template <class T> T half(T value) { return value / T(2); }
struct table { float (*scale)(float); const char* name; };
float scale(float value) { return half(value) + float(twice(3)); }
extern const table kernels;
constinit const table kernels{.scale = scale, .name = "avx2"};
int once() { static const int level = std::atoi("17"); return level; }
}
namespace { [[maybe_unused]] constexpr int lanes[] = {1, 2, 4}; }
"""
PLANTED = {
    "a constant that is computed": (
        "namespace pyrec::avx2 { static const int level = [] { return std::atoi(__VERSION__); }(); }",
        AT_LOAD,
    ),
    "a copy of another object's table": (
        "namespace other { extern const float rate; }\n"
        "namespace pyrec::avx2 { extern const float own; const float own = other::rate * 2; }",
        AT_LOAD,
    ),
    "an object with a constructor": (
        "namespace pyrec::avx2 { struct log { log() { std::puts(__FILE__); } } opened; }",
        AT_LOAD,
    ),
    "an object with a destructor": (
        "namespace pyrec::avx2 { struct log { constexpr log() {} ~log() { std::puts(__FILE__); } } left; }",
        AT_LOAD,
    ),
    "a function marked as a constructor": (
        "namespace { __attribute__((constructor)) void enter() { std::puts(__FILE__); } }",
        AT_LOAD,
    ),
    "a constructor with a priority": (
        "namespace { __attribute__((constructor(200))) void enter() { std::puts(__FILE__); } }",
        AT_LOAD,
    ),
    "a function marked as a destructor": (
        "namespace { __attribute__((destructor)) void leave() { std::puts(__FILE__); } }",
        AT_LOAD,
    ),
    "an entry of the table of initialisers": (
        "namespace { void enter() { std::puts(__FILE__); }\n"
        '__attribute__((section(".init_array"), used)) void (*entry)() = enter; }',
        AT_LOAD,
    ),
    "a function that is chosen at load": (
        'extern "C" { static int narrow() { return 1; }\n'
        "static void* choose() { return reinterpret_cast<void*>(narrow); } }\n"
        'namespace pyrec::avx2 { int chosen() __attribute__((ifunc("choose"))); }',
        AT_LOAD,
    ),
    "an inline variable that is shared": (
        "namespace pyrec { inline int calls = 3; namespace avx2 { int count() { return ++calls; } } }",
        SHARED,
    ),
    "an inline function that is shared": (
        "namespace pyrec { __attribute__((noinline)) inline int count(int n) { return n * 3; }\n"
        "namespace avx2 { int calls(int n) { return count(n); } } }",
        SHARED,
    ),
    "a template that is shared": (
        "#include <vector>\n"
        "namespace pyrec::avx2 { void grow(std::vector<float>& list) { list.resize(list.size() * 2); } }",
        SHARED,
    ),
    "a template of another instruction set": (
        "namespace pyrec::avx512 { template <class T> __attribute__((noinline)) T half(T x) { return x / 2; } }\n"
        "namespace pyrec::avx2 { int halved(int n) { return avx512::half(n); } }",
        SHARED,
    ),
    "a function that others may call": (
        "namespace pyrec { int count(int n) { return n * 3; } }",
        SHARED,
    ),
}


def refused(source: str, folder: Path, *options: str) -> str:
    """What the check says of an object of this source; nothing where it has nothing against it."""
    (folder / "planted.cpp").write_text("#include <cstdio>\n#include <cstdlib>\n" + source)
    flags = ["-std=c++20", "-O2", "-fPIC", "-mavx2", *options]
    subprocess.run([str(COMPILER), *flags, "-c", "planted.cpp"], cwd=folder, check=True)
    settings = {"NM": TOOLS["nm"], "OBJDUMP": TOOLS["objdump"], "LEVEL": "avx2", "OBJECTS": "planted.o"}
    command = [str(TOOLS["cmake"]), *(f"-D{name}={value}" for name, value in settings.items())]
    done = subprocess.run([*command, "-P", str(CHECK)], cwd=folder, capture_output=True, text=True)
    assert (done.returncode == 0) == (done.stderr == "")
    return " ".join(done.stderr.split())


def test_a_sound_object_passes(tmp_path):
    assert refused(SOUND, tmp_path) == ""


@pytest.mark.parametrize("name", PLANTED)
def test_what_could_run_elsewhere_is_refused(name, tmp_path):
    planted, why = PLANTED[name]
    said = refused(SOUND + planted, tmp_path)
    assert "avx2 code" in said
    assert why in said


def test_an_object_that_cannot_be_looked_into_is_refused(tmp_path):
    assert "where nothing can check it" in refused(SOUND, tmp_path, "-flto", "-fno-fat-lto-objects")


def test_an_object_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "planted.cpp").write_text("")
    settings = {"NM": TOOLS["nm"], "OBJDUMP": TOOLS["objdump"], "LEVEL": "avx2", "OBJECTS": "missing.o"}
    command = [str(TOOLS["cmake"]), *(f"-D{name}={value}" for name, value in settings.items())]
    assert subprocess.run([*command, "-P", str(CHECK)], cwd=tmp_path, capture_output=True).returncode != 0
