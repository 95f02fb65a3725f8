"""One layer of propagation over all nodes of gowalla, d = 64, float32.

Floor: gathering 1.62 M rows of 256 bytes is 415 MB a layer, mostly out of the last-level cache; from memory
come at least the 6.5 MB of indices and 18 MB of rows in and 18 MB out. 104 M additions are never the limit.
"""

import pytest
import torch
from torch.nn import functional
from workloads import embeddings, gowalla_graph

from pyrec.ops.propagate import propagate
from pyrec.reference.propagate import normalised_adjacency

GROUP = "propagate, one layer, gowalla, d 64, fp32"


@pytest.fixture(scope="module")
def graph():
    return gowalla_graph()


@pytest.fixture(scope="module")
def x(graph):
    return embeddings(graph.num_nodes, 64)


def value_free(graph, x):
    """The normalised product as two scales around torch's fastest value-free sum of rows."""
    scale = graph.factors(torch.float32).scale
    indptr = graph.indptr.int()

    def run():
        total = functional.embedding_bag(
            graph.indices, x * scale[:, None], indptr, mode="sum", include_last_offset=True
        )
        return total * scale[:, None]

    return run


def rivals(graph, x):
    coo = normalised_adjacency(graph)
    csr = normalised_adjacency(graph, layout=torch.sparse_csr)
    return {
        "pyrec": lambda: propagate(x, graph, 1)[1],
        "torch.sparse.mm COO": lambda: torch.sparse.mm(coo, x),
        "torch.sparse.mm CSR": lambda: torch.sparse.mm(csr, x),
        "embedding_bag": value_free(graph, x),
    }


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("name", ["pyrec", "torch.sparse.mm COO", "torch.sparse.mm CSR", "embedding_bag"])
@pytest.mark.benchmark(group=GROUP)
def bench_layer(benchmark, graph, x, name):
    contenders = rivals(graph, x)
    torch.testing.assert_close(contenders[name](), contenders["pyrec"](), rtol=1e-4, atol=1e-6)
    benchmark.pedantic(contenders[name], rounds=15, warmup_rounds=2)
