"""Peak memory of training on gowalla above the data: 3 layers, d 64, batch 2,048, the mean, Adam.

Floor: the parameters, two moments, the gradient and two layer buffers, six tables of 18.1 MB: 109 MB. Each
contender trains a few steps in a process of its own; the data are the graph and an epoch's triples. A time here is
that of the steps in one round, not a race.
"""

import os
import subprocess
import sys

import pytest
from bench_train import DIM, PART, expert, lightgcn_pytorch, problem, pyrec
from race import CLOCK, growth
from workloads import gowalla_graph, movielens_graph

CONTENDERS = {"pyrec": pyrec, "expert's torch": expert, "LightGCN-PyTorch's way": lightgcn_pytorch}


def measure(name):
    """The peak above the data, in bytes, of making the trainer and taking some steps."""

    def train(data):
        step = CONTENDERS[name](data)
        for _ in range(PART // 4):
            step()

    train(problem(movielens_graph))  # the code that training loads is not its memory
    data = problem(gowalla_graph)
    return growth(lambda: train(data))


def measure_apart(name):
    """`measure` in a process of its own, which finds the modules where this one does."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, __file__, name]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize("contender", list(CONTENDERS), ids=str)
@pytest.mark.benchmark(group="peak memory of training, gowalla", timer=CLOCK)
def bench_memory(benchmark, contender):
    peak = measure_apart(contender)
    floor = 6 * 4 * DIM * gowalla_graph().num_nodes
    benchmark.extra_info |= {"memory": contender, "bytes": peak, "floor": floor}
    benchmark.pedantic(lambda: CLOCK.advance(1e-9 * peak), rounds=1)


if __name__ == "__main__":
    print(measure(sys.argv[1]))
