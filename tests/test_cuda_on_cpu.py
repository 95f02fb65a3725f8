"""The emulation of CUDA on a CPU: right results of sound kernels, and a finding for each planted fault."""

import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SELFTEST = ROOT / "tests" / "cuda_on_cpu" / "selftest"
KERNELS = sorted(SELFTEST.glob("*.cu"))
COMPILER = os.environ.get("CXX", "g++")

INCLUDES = [f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'tests' / 'cuda_on_cpu'}"]
FLAGS = [
    "-std=c++20",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-DPYREC_CUDA_ON_CPU",
    *INCLUDES,
]
FLAVOURS = {
    "plain": ["-O2", "-fopenmp"],
    "memory": ["-O1", "-fopenmp", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "races": ["-O1", "-fsanitize=thread"],
}
SOUND = [
    "aligned_store",
    "atomics",
    "barriers_with_predicates",
    "bits",
    "cached_loads",
    "copies_beside_threads",
    "extremes",
    "functions",
    "garbage_in_shared_memory",
    "groups_of_lanes",
    "heap_inside",
    "histograms",
    "indices",
    "last_block_adds_up",
    "partial_warp",
    "race_none",
    "reductions_of_lanes",
    "refused_launches",
    "returned_lanes",
    "runtime_calls",
    "scan_of_lanes",
    "scans",
    "shared_inside",
    "shuffles",
    "spinning",
    "sums",
    "tensor_products",
    "threads_that_leave",
    "transposes",
    "vector_copies",
    "votes",
    "warps_in_step",
]

Runner = Callable[..., subprocess.CompletedProcess[str]]


def call(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program with its own sanitizer, whatever was loaded for Python before this process began."""
    inherited = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    env = {**inherited, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)


def compile_in_parts(folder: Path, flavour: str) -> Path:
    """Compiles file by file, two at a time, and links them."""

    def compile_one(source: Path) -> str:
        target = str(folder / f"{source.stem}.o")
        done = call([COMPILER, *FLAGS, *FLAVOURS[flavour], "-x", "c++", "-c", str(source), "-o", target])
        assert done.returncode == 0, done.stderr
        return target

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_one, [*KERNELS, SELFTEST / "main.cpp"]))
    program = folder / "selftest"
    done = call([COMPILER, *FLAVOURS[flavour], *objects, "-o", str(program)])
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Runs one case of a flavour of the program, with a seed; compiles what it needs on first use."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"no compiler {COMPILER}")
    programs: dict[str, Path] = {}

    def run_case(flavour: str, case: str, seed: int = 0) -> subprocess.CompletedProcess[str]:
        if flavour not in programs:
            programs[flavour] = compile_in_parts(tmp_path_factory.mktemp(flavour), flavour)
        return call([str(programs[flavour]), case], PYREC_EMULATION_SEED=str(seed))

    return run_case


@pytest.mark.parametrize("case", SOUND)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_sound_kernels_give_the_right_results_in_any_order(run: Runner, flavour: str, case: str) -> None:
    seeds = range(4) if flavour == "plain" else range(1)
    done = [run(flavour, case, seed) for seed in seeds]
    assert [each.returncode for each in done] == [0] * len(done), done[0].stderr
    assert all(each.stderr == "" for each in done)
    assert len({each.stdout for each in done}) == 1


@pytest.mark.parametrize("case", ["race_missing_syncthreads", "race_two_writes"])
def test_a_race_shows_between_seeds(run: Runner, case: str) -> None:
    outputs = [run("plain", case, seed) for seed in range(6)]
    assert all(each.returncode == 0 for each in outputs)
    assert len({each.stdout for each in outputs}) > 1


def test_a_seed_repeats_its_order(run: Runner) -> None:
    first, second = (run("plain", "race_missing_syncthreads", 3) for _ in range(2))
    assert first.stdout == second.stdout


@pytest.mark.parametrize(
    ("case", "kernel"),
    [
        ("race_missing_syncthreads", "smooth_kernel"),
        ("race_missing_syncwarp", "missing_syncwarp_kernel"),
        ("race_two_writes", "write_write_kernel"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_race_is_reported_whatever_the_order(run: Runner, case: str, kernel: str, seed: int) -> None:
    done = run("races", case, seed)
    assert done.returncode != 0
    assert "data race" in done.stderr
    assert kernel in done.stderr


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("heap_overrun", "heap-buffer-overflow"),
        ("heap_underrun", "heap-buffer-overflow"),
        ("shared_read_overrun", "heap-buffer-overflow"),
        ("shared_write_overrun", "heap-buffer-overflow"),
        ("static_shared_overrun", "index 32 out of bounds for type 'float [32]'"),
        ("misaligned_plain_load", "misaligned address"),
    ],
)
def test_sanitizers_find_accesses_out_of_bounds(run: Runner, case: str, message: str) -> None:
    done = run("memory", case)
    assert done.returncode != 0
    assert message in done.stderr


BARRIER = "threads diverge before a barrier"


@pytest.mark.parametrize(
    ("case", "kernel", "messages"),
    [
        ("divergent_two_places", "two_places_kernel", [BARRIER, "wait at __syncthreads, "]),
        (
            "divergent_warp_and_block",
            "warp_and_block_kernel",
            [BARRIER, "32-39, 41-63 wait at __syncwarp(0xffffffff), "],
        ),
        ("divergent_two_masks", "two_masks_kernel", [BARRIER, "0-15 wait at __shfl_sync(0xffffffff), "]),
        (
            "divergent_skipped_barrier",
            "skipped_barrier_kernel",
            [BARRIER, "0-99 wait at __syncthreads, ", "100-127 wait at __syncwarp(0xffffffff), "],
        ),
        ("divergent_outside_mask", "outside_mask_kernel", ["__shfl_sync by a lane that is not in its mask"]),
        ("bad_width", "width_kernel", ["__shfl_down_sync of width 12; a power of two up to 32 is needed"]),
        ("shared_write_overrun", "dynamic_kernel", ["wrote past the 200 bytes of dynamic shared memory"]),
        ("misaligned_load", "load_kernel<float4>", ["load_vector of 16 bytes", "not aligned to 16 bytes"]),
        ("misaligned_store", "load_kernel<uint2>", ["store_vector of 8 bytes", "not aligned to 8 bytes"]),
        ("misaligned_ldg", "ldg_kernel", ["__ldg of 8 bytes", "not aligned to 8 bytes"]),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_fault_ends_the_program_with_a_message(
    run: Runner, case: str, kernel: str, messages: list[str], seed: int
) -> None:
    done = run("plain", case, seed)
    assert done.returncode < 0  # by a signal
    assert f"kernel {kernel}, block (" in done.stderr
    for message in messages:
        assert message in done.stderr


def test_a_shuffle_from_an_absent_lane_gives_a_nan(run: Runner) -> None:
    assert run("plain", "absent_lane").stdout == "nan\n"


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
@pytest.mark.parametrize("source", KERNELS, ids=lambda path: path.stem)
def test_nvcc_compiles_the_same_sources(tmp_path: Path, source: Path) -> None:
    flags = ["-std=c++20", "-arch=sm_90", "-Werror", "all-warnings", f"-I{ROOT / 'csrc'}"]
    done = call(["nvcc", *flags, "-c", str(source), "-o", str(tmp_path / "kernels.o")])
    assert done.returncode == 0, done.stdout + done.stderr
