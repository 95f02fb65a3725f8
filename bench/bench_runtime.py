"""One OpenMP library serves torch and the kernels: taking turns costs no more than each by itself.

With two libraries in a process each would keep threads of its own spinning on the other's cores. The floor of the
alternating run is the sum of the two.
"""

import pytest
import torch
from workloads import embeddings, gowalla_graph

from pyrec.ops.propagate import propagate

GROUP = "taking turns with torch, 10 calls each"
CALLS = 10


@pytest.fixture(scope="module")
def calls():
    graph = gowalla_graph()
    x = embeddings(graph.num_nodes, 64)
    return {"pyrec": lambda: propagate(x, graph, 1), "torch": lambda: torch.tanh(x)}


@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize("turns", [("pyrec", "torch"), ("pyrec",), ("torch",)], ids="+".join)
def bench_turns(benchmark, calls, turns):
    def run():
        for _ in range(CALLS):
            for name in turns:
                calls[name]()

    benchmark.pedantic(run, rounds=15, warmup_rounds=2)
