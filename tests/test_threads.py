"""Threads behave: kernels let Python run, may be called at once, survive a fork, and keep to the limits set."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import children
import pytest
import torch
from strategies import random_graph
from torch.nn import functional

import pyrec
from pyrec import _core
from pyrec.data import synthetic
from pyrec.graph import Graph
from pyrec.ops.agreement import agreement
from pyrec.ops.als import als, gram
from pyrec.ops.attend import attend
from pyrec.ops.bpr import bpr
from pyrec.ops.candidate import candidate_attention
from pyrec.ops.combine import combine_attention, combine_self_attention
from pyrec.ops.decayed import decayed_counts
from pyrec.ops.drop import drop
from pyrec.ops.impressions import impression_metrics
from pyrec.ops.metrics import item_counts, ranking_metrics
from pyrec.ops.pointwise import pointwise
from pyrec.ops.pool import pool
from pyrec.ops.product import product
from pyrec.ops.propagate import propagate
from pyrec.ops.sample import Sampler, distinct
from pyrec.ops.topk import topk
from pyrec.ops.xent import log_total

BEAT = 0.002  # seconds
SHORTEST = 0.0002  # seconds; below it, beats tell more of the clock than of the lock
SECONDS = float(os.environ.get("PYREC_HEARTBEAT_SECONDS", "0.5"))
FORKS = int(os.environ.get("PYREC_FORKS", "10"))
SHARE = 0.35
"""Of the beats beside a sleep. A lock that is kept lets a sixth of them through, between two calls."""

GRAPH = random_graph(3000, 2000, 0.1)
X = torch.linspace(-1, 1, GRAPH.num_nodes * 128).reshape(GRAPH.num_nodes, 128)
SAMPLER = Sampler(GRAPH)


def _lists() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids = torch.arange(100, dtype=torch.int32).repeat(100_000, 1)
    indptr = torch.arange(100_001) * 5
    return ids, indptr, torch.arange(0, 100, 20, dtype=torch.int32).repeat(100_000)


@cache
def _complete(num_users: int = 4000, num_items: int = 3000) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """Everybody with everything: Graph's check of it takes long enough."""
    users, items = torch.arange(num_users, dtype=torch.int32), torch.arange(num_items, dtype=torch.int32)
    indptr = torch.cat([torch.full((num_users,), num_items), torch.full((num_items,), num_users)]).cumsum(0)
    indices = torch.cat([(num_users + items).repeat(num_users), users.repeat(num_items)])
    return functional.pad(indptr, (1, 0)), indices, num_users, num_items


def _calls() -> dict[str, Callable[[], Any]]:
    """One call of each kernel, some ten milliseconds long or more."""
    ids, indptr, indices = _lists()
    nodes = torch.randint(GRAPH.num_nodes, (10_000_000,), generator=torch.Generator().manual_seed(0))
    users, positives, negatives = nodes[:200_000], nodes[200_000:400_000], nodes[400_000:600_000, None]
    label = torch.linspace(0, 1, len(users))
    scores, ones, times = nodes.sin(), torch.ones(500_000, 1), torch.arange(500_000, dtype=torch.float64)
    layers = [X.repeat(12, 1) for _ in range(3)]
    many = X.repeat(20, 1)[:, :120].contiguous()
    titles = torch.arange(0, len(many) + 1, 20)
    entries = torch.ones(GRAPH.num_edges), torch.ones(GRAPH.num_edges), torch.ones(GRAPH.num_nodes)
    hidden, square = torch.ones(16, 128), torch.eye(128)
    pointers = torch.arange(0, len(layers[0]) + 1, 12)
    return {
        "Graph": lambda: Graph(*_complete()),
        "propagate": lambda: propagate(X, GRAPH, 3),
        "topk": lambda: topk(X, X, 100),
        "ranking_metrics": lambda: ranking_metrics(ids, indptr, indices, [10, 100]),
        "item_counts": lambda: item_counts(ids, 100, [10, 100]),
        "impressions": lambda: impression_metrics(scores, nodes % 9 == 0, torch.arange(0, 10_000_001, 50)),
        "decayed": lambda: decayed_counts(nodes[:500_000].int(), times, ones, [9.0], GRAPH.num_nodes),
        "sample": lambda: SAMPLER.sample(0, 0, num_negatives=4),
        "distinct": lambda: distinct(nodes, GRAPH),
        "bpr": lambda: bpr(X, users, positives, negatives),
        "pointwise": lambda: pointwise(X, users, positives, label, "logistic"),
        "agreement": lambda: agreement(X, X, users, positives),
        "xent": lambda: log_total(X, X[:, :].contiguous()),
        "attend": lambda: attend(many, titles, 4),
        "als": lambda: als(X.clone(), X, GRAPH.indptr, GRAPH.indices, *entries),
        "gram": lambda: gram(X.repeat(20, 1)),
        "pool": lambda: pool(layers[0], pointers, hidden, torch.ones(16), torch.ones(16)),
        "product": lambda: product(layers[0], hidden.T.repeat(1, 20)),
        "drop": lambda: drop(torch.cat(layers), 0.2, torch.tensor([1]), 0),
        "candidate_attention": lambda: candidate_attention(
            layers[0], layers[1], torch.ones(128), layers[2], pointers, torch.arange(len(layers[0])) // 12
        ),
        "combine_attention": lambda: combine_attention(layers, hidden, torch.ones(16), torch.ones(16)),
        "combine_self_attention": lambda: combine_self_attention(layers, square, square, square, 2),
    }


CALLS = _calls()


def beats_during(work: Callable[[], Any], pause: float = BEAT) -> float:
    """Beats a second of another thread, each after a ``pause``, while ``work`` is called for `SECONDS`."""
    stop, count = threading.Event(), 0

    def beat() -> None:
        nonlocal count
        while not stop.wait(pause):
            count += 1

    thread = threading.Thread(target=beat)
    thread.start()
    started = time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        work()
    seconds = time.perf_counter() - started
    stop.set()
    thread.join()
    return count / seconds


def seconds_of(work: Callable[[], Any]) -> float:
    """Of a call, the shortest of some."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


@pytest.mark.parametrize("name", CALLS)
def test_a_heartbeat_goes_on(name: str) -> None:
    CALLS[name]()
    pause = min(BEAT, seconds_of(CALLS[name]) / 2)  # a fast machine: a beat has to fall within a call
    assert pause > SHORTEST, f"{name} is too short a call for a beat to be missed"
    shares = []
    for _ in range(12):  # a busy machine can stop a thread as well
        idle = beats_during(lambda: time.sleep(BEAT), pause)
        shares.append(beats_during(CALLS[name], pause) / idle)
        if shares[-1] >= SHARE:
            return
    pytest.fail(f"{name} left a heartbeat {max(shares):.0%} of its beats")


def test_the_heartbeat_notices_a_kept_lock() -> None:
    text = "x" * 20_000_000
    pause = min(BEAT, seconds_of(lambda: text.count("yyy")) / 2)
    idle = beats_during(lambda: time.sleep(BEAT), pause)
    assert beats_during(lambda: text.count("yyy"), pause) < SHARE * idle  # one bytecode: the lock is kept


def test_the_heartbeat_notices_a_lock_kept_by_short_calls() -> None:
    text = "x" * 2_000_000
    pause = min(BEAT, seconds_of(lambda: text.count("yyy")) / 2)
    idle = beats_during(lambda: time.sleep(BEAT), pause)
    assert beats_during(lambda: text.count("yyy"), pause) < SHARE * idle


def same(a: Any, b: Any) -> bool:
    """Whether two results are the same to the bit, what is undefined included."""
    if isinstance(a, tuple | list):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Graph):
        return a.num_edges == b.num_edges
    undefined = a.isnan()
    return torch.equal(undefined, b.isnan()) and torch.equal(a[~undefined], b[~undefined])


def test_eight_threads_at_once_give_right_answers() -> None:
    expected = {name: call() for name, call in CALLS.items()}
    wrong: list[str] = []

    def work(first: int) -> None:
        names = list(CALLS)
        for name in names[first:] + names[:first]:
            if not same(CALLS[name](), expected[name]):
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_eight_threads_train_apart() -> None:
    data = synthetic(60, 40, 8)
    alone = pyrec.LightGCN(epochs=2, embedding_size=8).fit(data).item_vectors_
    models = [pyrec.LightGCN(epochs=2, embedding_size=8) for _ in range(8)]
    threads = [threading.Thread(target=model.fit, args=(data,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(model.item_vectors_, alone) for model in models)


def test_forked_children_finish(threads: Callable[[int], None]) -> None:
    threads(2)
    graph = random_graph(300, 100, 0.2)
    x = torch.ones(graph.num_nodes, 32)
    expected = propagate(x, graph, 2)[2], topk(x, x, 5)[0]  # the parent's threads exist now
    children = []
    for _ in range(FORKS):
        child = os.fork()
        if child == 0:
            right = False
            try:
                right = torch.equal(propagate(x, graph, 2)[2], expected[0])
                right = right and torch.equal(topk(x, x, 5)[0], expected[1])
            finally:
                os._exit(0 if right else 1)
        children.append(child)
    assert [wait(child) for child in children] == [0] * FORKS


def wait(child: int) -> int | str:
    """The child's exit status; a child that hangs is killed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hangs"


# Limits ------------------------------------------------------------------------------------------------------

COUNT = """
import os, torch, pyrec
from pyrec.data import synthetic
{before}
model = pyrec.LightGCN(epochs=1, embedding_size=16).fit(synthetic(400, 300, 20))
pyrec.evaluate(model, synthetic(400, 300, 20, seed=1), k=5)
print(pyrec._core.num_threads(), len(os.listdir("/proc/self/task")))
"""


def threads_of(before: str, **environment: str) -> tuple[int, int]:
    """What the kernels would use, and the threads that the process has in the end."""
    variables = children.environment(OPENBLAS_NUM_THREADS="1")  # NumPy's own pool is not what is counted
    variables.pop("OMP_NUM_THREADS", None)
    done = children.run("-c", COUNT.format(before=before), env=variables | environment)
    assert done.returncode == 0, done.stderr
    used, alive = done.stdout.split()
    return int(used), int(alive)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/task is Linux's")
def test_limits_are_honoured() -> None:
    one, alone = threads_of("", OMP_NUM_THREADS="1")
    assert one == 1
    asked = [threads_of("", OMP_NUM_THREADS="2")]  # MKL, which torch asks, takes no more than there are cores
    asked += [threads_of(f"torch.set_num_threads({count})") for count in (2, 3)]
    for count, (used, alive) in zip((2, 2, 3), asked, strict=True):
        assert used == count
        assert alive - alone <= 2 * (count - 1)  # the kernels' pool, and torch's where it is another
    assert _core.num_threads() == torch.get_num_threads()
