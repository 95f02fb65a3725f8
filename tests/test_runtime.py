"""The extension as a citizen of the process: instruction sets, threads, forks, one OpenMP library."""

import os
import sys
import threading
import time
from pathlib import Path

import children
import pytest
import torch
from strategies import random_graph

import pyrec
from pyrec import _core
from pyrec.data import synthetic
from pyrec.errors import ConfigError
from pyrec.ops.propagate import propagate
from pyrec.ops.topk import topk


def run(code, **environment):
    """A fresh interpreter."""
    return children.run("-c", code, env=children.environment(**environment))


@pytest.mark.parametrize("level", _core.isa_levels())
def test_environment_forces_an_instruction_set(level):
    done = run("import pyrec; print(pyrec._core.isa())", PYREC_ISA=level)
    assert done.stdout.strip() == level, done.stderr


def test_missing_instruction_set_is_an_error_at_import():
    done = run("import pyrec", PYREC_ISA="avx1024")
    assert done.returncode == 1
    assert (
        "ConfigError: PYREC_ISA = 'avx1024' cannot run on this machine; it can be one of: baseline"
        in done.stderr
    )
    with pytest.raises(ConfigError, match="cannot run on this machine"):
        _core.use_isa("avx1024")


def test_environment_says_which_caches_to_reckon_with():
    code = "import pyrec; print(pyrec._core.cache_info(), pyrec._core.fetch_ahead_bytes())"
    done = run(code, PYREC_CACHES="32K,524288,16M")
    sizes = {"first": 2**15, "second": 2**19, "last": 2**24, "source": "PYREC_CACHES"}
    assert done.stdout.strip() == f"{sizes} {2**13}", done.stderr


@pytest.mark.parametrize(
    "text", ["32K", "32K,512K", "32K,512K,16G", "32K,512K,0", "32K,,16M", "32K,512K,16M,1M", "-1,2,3"]
)
def test_caches_without_sizes_are_an_error_at_import(text):
    done = run("import pyrec", PYREC_CACHES=text)
    assert done.returncode == 1
    assert (
        f"ConfigError: PYREC_CACHES = '{text}' must be the sizes of the first, second and last level"
        in done.stderr
    )


@pytest.fixture
def reckon_with():
    """Chooses by other caches until the test's end."""
    known = _core.cache_info()
    yield _core.use_caches
    _core.use_caches(known["first"], known["second"], known["last"])


def test_caches_have_sizes(reckon_with):
    known = _core.cache_info()
    assert 0 < known["first"] <= known["second"] <= known["last"]
    with pytest.raises(ConfigError, match="each level has at least 1"):
        reckon_with(1, 0, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_cache_changes_a_bit_of_a_layer(reckon_with, dtype):
    graph = random_graph(2000, 300, 0.1)
    x = torch.randn(graph.num_nodes, 100, dtype=dtype)
    rows = torch.arange(0, graph.num_nodes, 7)
    found = []
    for sizes in [(1, 1, 1), (2**15, 2**19, 2**24), (2**30, 2**30, 2**30)]:
        reckon_with(*sizes)
        found.append([propagate(x, graph, 3)[3], *propagate(x, graph, 3, rows)])
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("level", _core.isa_levels())
def test_no_cache_changes_a_list(reckon_with, level):
    queries, items = torch.randn(200, 40), torch.randn(9000, 40)
    in_use, found = _core.isa(), []
    try:
        _core.use_isa(level)
        for sizes in [(1, 1, 1), (2**15, 2**17, 2**24), (2**30, 2**30, 2**30)]:
            reckon_with(*sizes)
            found.append(topk(queries, items, 10))
    finally:
        _core.use_isa(in_use)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_torch_sets_the_number_of_threads(threads):
    for count in (1, 2, 5):
        threads(count)
        assert _core.num_threads() == count


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/maps is Linux's")
def test_one_openmp_library_in_the_process():
    code = (
        "import pyrec, torch; torch.ones(10**6).sum()\n"
        "maps = [line.split()[-1] for line in open('/proc/self/maps')]\n"
        "libraries = {path for path in maps if 'gomp' in path or 'libomp' in path}\n"
        "print(len(libraries), libraries)"
    )
    done = run(code)
    assert done.stdout.startswith("1 "), done.stdout + done.stderr


def test_a_forked_child_runs_serially_and_agrees():
    graph = random_graph(2000, 100, 0.2)
    x = torch.ones(graph.num_nodes, 512)
    expected = propagate(x, graph, 2)[2]  # the parent's OpenMP threads exist now
    child = os.fork()
    if child == 0:
        try:
            alone = _core.num_threads() == 1
            same = torch.equal(propagate(x, graph, 2)[2], expected)  # torch runs there too
        except BaseException:
            os._exit(2)
        os._exit(0 if alone and same else 1)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    pytest.fail("the forked child hangs")


def test_threads_may_call_at_once():
    graph = random_graph(300, 200, 0.2)
    inputs = [torch.randn(graph.num_nodes, 16) for _ in range(4)]
    expected = [propagate(x, graph, 3)[3] for x in inputs]
    results = [None] * len(inputs)

    def work(at):
        for _ in range(5):
            results[at] = propagate(inputs[at], graph, 3)[3]

    workers = [threading.Thread(target=work, args=(at,)) for at in range(len(inputs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(a, b) for a, b in zip(results, expected, strict=True))


def test_the_source_tree_without_kernels_says_how_to_build_them(tmp_path):
    package = tmp_path / "pyrec"
    package.mkdir()
    (package / "__init__.py").write_text(Path(pyrec.__file__).read_text())
    plain_finder = "sys.meta_path[:] = sys.meta_path[-3:]"  # an editable install would find its kernels
    done = run(f"import sys; {plain_finder}; sys.path.insert(0, {str(tmp_path)!r}); import pyrec")
    assert done.returncode == 1
    assert "pyrec._core) cannot be imported" in done.stderr
    assert "Build them with `pip install .`" in done.stderr


def test_recommending_does_not_load_torchs_compiler(tmp_path):
    """Which takes longer than most answers."""
    pyrec.LightGCN(epochs=1, embedding_size=8).fit(synthetic(50, 40, 5.0)).save(tmp_path / "model")
    code = (
        "import sys, pyrec; model = pyrec.LightGCN.load(sys.argv[1]); model.recommend([0, 1], 3); "
        "assert 'torch._dynamo' not in sys.modules"
    )
    done = children.run("-c", code, str(tmp_path / "model"))
    assert done.returncode == 0, done.stderr
