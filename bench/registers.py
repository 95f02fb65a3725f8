"""What ptxas makes of every CUDA kernel: registers, shared memory, spills, and how wide it reads and writes.

    python bench/registers.py [--architecture 90] [--out FILE] [--jobs N]

Needs nvcc and c++filt, no GPU. Loads and stores are those of global memory, of 16 bytes and others, counted in the
machine code where cuobjdump is found and else in PTX. Ends with an error if a kernel spills.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ("-std=c++20", "-O3", "-DNDEBUG", "-Icsrc", "-cubin", "-Xptxas", "-v", "--keep")
PTX = (r"\.entry (\w+)\(.*?\n\{(.*?)\n\}", r"\b%s\.global[.\w]*", r"\.v4\.[bfsu]32|\.v2\.[bfsu]64")
SASS = (r"Function : (\w+)(.*?)\n\t*\.{6,}", r"\b%s\.E[.\w]*", r"\.128\b")
"""Patterns of a kernel's name and body, of an instruction, and of what makes one of 16 bytes."""


@dataclass
class Kernel:
    """A kernel's row; loads and stores are of 16 bytes, and all others."""

    name: str
    registers: int
    shared: int
    stack: int
    spilled: int
    loads: tuple[int, int] = (0, 0)
    stores: tuple[int, int] = (0, 0)


def compiled(source: Path, architecture: str) -> list[Kernel]:
    """The kernels of a file, from ptxas' report and the PTX."""
    with tempfile.TemporaryDirectory() as folder:
        out = ("-o", f"{folder}/kernels.cubin", "--keep-dir", folder)
        command = ("nvcc", *FLAGS, f"-arch=sm_{architecture}", *out, str(source.relative_to(ROOT)))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        language, names, code = PTX, ("ld", "st"), Path(folder, f"{source.stem}.ptx").read_text()
        if shutil.which("cuobjdump"):
            dump = ("cuobjdump", "-sass", f"{folder}/kernels.cubin")
            language, names = SASS, ("LDG", "STG")
            code = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    bodies = dict(re.findall(language[0], code, re.S))
    report = re.findall(
        r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes "
        r"spill loads.*?Used (\d+) registers([^\n]*)",
        done.stderr,
        re.S,
    )
    kernels = []
    for symbol, stack, stored, loaded, registers, rest in report:
        shared = re.search(r"(\d+) bytes smem", rest)
        kernel = Kernel(symbol, int(registers), int(shared[1]) if shared else 0, int(stack), 0)
        kernel.spilled = int(stored) + int(loaded)
        kernel.loads, kernel.stores = (accesses(bodies[symbol], *language[1:], name) for name in names)
        kernels.append(kernel)
    for kernel, name in zip(kernels, demangled([kernel.name for kernel in kernels]), strict=True):
        kernel.name = name
    return sorted(kernels, key=lambda kernel: kernel.name)


def accesses(body: str, instruction: str, wide_mark: str, name: str) -> tuple[int, int]:
    """Instructions of 16 bytes on global memory, and all others on it."""
    found = re.findall(instruction % name, body)
    wide = sum(bool(re.search(wide_mark, one)) for one in found)
    return wide, len(found) - wide


def demangled(symbols: list[str]) -> list[str]:
    text = subprocess.run(
        ["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True
    ).stdout
    return [shortened(line) for line in text.splitlines()]


def shortened(name: str) -> str:
    """Without return type, arguments and what all kernels have in common."""
    name = re.sub(r"pyrec::|cuda::|\(anonymous namespace\)::|_GLOBAL__N_\w+::|\((?:int|bool)\)", "", name)
    name = re.sub(r"^void ", "", name)
    depth = 0
    for at, letter in enumerate(name):
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "(" and depth == 0:
            return name[:at]
    return name


def table(files: dict[str, list[Kernel]]) -> str:
    heads = ("kernel", "registers", "shared", "stack", "spilled", "loads 16 B / other", "stores 16 B / other")
    width = max(len(kernel.name) for kernels in files.values() for kernel in kernels) + 2
    lines = [f"{heads[0]:<{width}}" + "  ".join(heads[1:])]
    for file, kernels in files.items():
        lines += ["", file]
        for k in kernels:
            row = f"{k.registers:>9}  {k.shared:>6}  {k.stack:>5}  {k.spilled:>7}"
            row += f"  {k.loads[0]:>10} / {k.loads[1]:<5}  {k.stores[0]:>11} / {k.stores[1]:<5}"
            lines.append(f"{k.name:<{width}}{row}".rstrip())
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--architecture", default="90")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    sources = sorted(ROOT.glob("csrc/*/*_cuda.cu"))
    with ThreadPoolExecutor(options.jobs) as pool:
        found = list(pool.map(lambda source: compiled(source, options.architecture), sources))
    files = {str(source.relative_to(ROOT)): kernels for source, kernels in zip(sources, found, strict=True)}
    release = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    counted = "machine code" if shutil.which("cuobjdump") else "PTX"
    text = f"sm_{options.architecture}, {release.splitlines()[-2]}; loads and stores in {counted}\n\n{table(files)}\n"
    everything = [kernel for kernels in found for kernel in kernels]
    spilling = [kernel.name for kernel in everything if kernel.spilled]
    most = max(everything, key=lambda kernel: kernel.registers)
    text += f"\n{len(everything)} kernels, at most {most.registers} registers, {len(spilling)} with spills\n"
    if options.out is not None:
        options.out.write_text(text)
    print(text, end="")
    if spilling:
        sys.exit(f"spills in {', '.join(spilling)}")


if __name__ == "__main__":
    main()
