"""One layer of propagation over all nodes of gowalla and of ml-100k, float32, d from 32 to 256.

Floor at d 64 on gowalla: gathering 1.62 M rows of 256 bytes is 415 MB a layer, mostly out of the last-level
cache; from memory come at least the 6.5 MB of indices and 18 MB of rows in and 18 MB out. 104 M additions are
never the limit. On ml-100k everything lies in the second-level cache.
"""

import torch
from products import LAYERS, PRODUCTS, on
from race import Race, row
from workloads import embeddings, gowalla_graph, movielens_graph

DIMS = (32, 64, 128, 256)


def race(name, make_graph, dim):
    def problem():
        graph = make_graph()
        return graph, embeddings(graph.num_nodes, dim)

    return Race(
        group=f"propagate, one layer, {name}, d {dim}, fp32",
        problem=problem,
        contenders={name: on(product) for name, product in PRODUCTS.items()},
        seconds=2.0,
        quick=(name, dim) == ("gowalla", 64),
        info={"work": "propagate", "data": name, "dim": dim, "dtype": "float32"},
    )


def half_race():
    """A layer between layers, stored in bfloat16 and summed in float32."""

    def problem():
        graph = gowalla_graph()
        return graph, embeddings(graph.num_nodes, 64, torch.bfloat16)

    return Race(
        group="propagate, one layer, gowalla, d 64, bf16",
        problem=problem,
        contenders={name: on(layer) for name, layer in LAYERS.items()},
        check=to_a_rounding,
        seconds=2.0,
        quick=True,
        info={"work": "propagate", "data": "gowalla", "dim": 64, "dtype": "bfloat16"},
    )


def to_a_rounding(theirs, ours):
    torch.testing.assert_close(theirs, ours, rtol=2**-6, atol=1e-4)  # theirs rounds three times


def races(scale_max):  # noqa: ARG001
    return [
        half_race(),
        *(race("gowalla", gowalla_graph, dim) for dim in DIMS),
        race("ml-100k", movielens_graph, 64),
    ]


def bench_propagate(benchmark, race, contender):
    row(benchmark, race, contender)
