"""One layer of propagation, d 64, float32, over generated power-law graphs from 10^5 edges upwards.

Floor: 256 bytes gathered an edge, from the cache while the table fits it (up to some 10^6 edges) and from
memory where it does not, all but the popular items' rows: at 30 GB/s 8.5 ns an edge. Held at least: 4 bytes an
edge of indices and, at 23 edges a node, 1 byte of pointers and factors and 11 of result.
"""

from products import PRODUCTS, on
from race import Race, row
from workloads import embeddings, power_law_graph

DIM = 64
SIZES = (10**5, 10**6, 10**7, 10**8)


def race(num_edges):
    def problem():
        graph = power_law_graph(num_edges)
        return graph, embeddings(graph.num_nodes, DIM)

    return Race(
        group=f"propagate, one layer, generated, {num_edges:.0e} edges, d {DIM}, fp32",
        problem=problem,
        contenders={name: on(product) for name, product in PRODUCTS.items()},
        seconds=2.0 if num_edges < 10**8 else 15.0,
        rounds=9,
        quick=num_edges == 10**6,
        memory=True,
        info={"work": "scale", "edges": num_edges, "dim": DIM, "dtype": "float32"},
    )


def races(scale_max):
    return [race(num_edges) for num_edges in SIZES if num_edges <= scale_max]


def bench_scale(benchmark, race, contender):
    row(benchmark, race, contender)
