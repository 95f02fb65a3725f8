"""The product of the normalised adjacency and a table of rows, X -> D^-1/2 A D^-1/2 X, ours and the rivals'.

Each takes (graph, x) and returns a `Product`. Value-free ones wrap two scalings of the rows around a plain sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional

from pyrec import _core
from pyrec.graph import Graph
from pyrec.ops.propagate import propagate

COO_EDGES = 2 * 10**7  # beyond, building int64 pairs and values takes more than a machine of 16 GB has


@dataclass(frozen=True)
class Product:
    """A round's call, and the bytes of the arrays that stand for the matrix."""

    run: Callable[[], Tensor]
    kept_bytes: int

    def __call__(self) -> Tensor:
        """The product."""
        return self.run()


def _nbytes(*arrays: Any) -> int:
    return sum(array.nbytes for array in arrays)


def _scale(graph: Graph) -> Tensor:
    """D^-1/2, (num_nodes,)."""
    degree = graph.degree
    return torch.where(degree > 0, degree.double().rsqrt(), 0.0).float()


def _values(graph: Graph) -> Tensor:
    scale = _scale(graph)
    return torch.repeat_interleave(scale, graph.degree).mul_(scale[graph.indices])


def pyrec(graph: Graph, x: Tensor) -> Product:
    factors = [factor for factor in graph.factors(x.dtype) if factor is not None]
    kept = _nbytes(graph.indptr, graph.indices, *factors)
    return Product(lambda: propagate(x, graph, 1)[1], kept)


def embedding_bag(graph: Graph, x: Tensor) -> Product:
    """Torch's fastest value-free sum of rows (FBGEMM, generated when first called)."""
    scale, indptr = _scale(graph)[:, None], graph.indptr.int()
    if x.dtype != torch.float32:
        scale = scale.to(x.dtype)

    def run() -> Tensor:
        total = functional.embedding_bag(
            graph.indices, x * scale, indptr, mode="sum", include_last_offset=True
        )
        return total.mul_(scale)

    return Product(run, _nbytes(graph.indices, indptr, scale))


def torch_csr(graph: Graph, x: Tensor) -> Product:
    """MKL through torch, with the 32-bit indices that it wants."""
    shape = (graph.num_nodes, graph.num_nodes)
    parts = (graph.indptr.int(), graph.indices, _values(graph))
    matrix = torch.sparse_csr_tensor(*parts, shape, check_invariants=False)
    return Product(lambda: torch.sparse.mm(matrix, x), _nbytes(*parts))


def torch_csr_reduce(graph: Graph, x: Tensor) -> Product:
    """PyTorch's own kernel of rows, without MKL: the product of a CSR matrix with a reduction named."""
    shape = (graph.num_nodes, graph.num_nodes)
    parts = (graph.indptr, graph.indices.long(), _values(graph))
    matrix = torch.sparse_csr_tensor(*parts, shape, check_invariants=False)
    return Product(lambda: torch.sparse.mm(matrix, x, "sum"), _nbytes(*parts))


def torch_coo(graph: Graph, x: Tensor) -> Product:
    """What LightGCN-PyTorch and RecBole run."""
    if graph.num_edges > COO_EDGES:
        pytest.skip(f"16 bytes of indices an edge; not run above {COO_EDGES:.0e} edges")
    rows = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degree)
    indices, values = torch.stack([rows, graph.indices.long()]), _values(graph)
    shape = (graph.num_nodes, graph.num_nodes)
    matrix = torch.sparse_coo_tensor(indices, values, shape, is_coalesced=True, check_invariants=False)
    return Product(lambda: torch.sparse.mm(matrix, x), _nbytes(indices, values))


def scipy(graph: Graph, x: Tensor) -> Product:
    """One thread: scipy has no other."""
    parts = (_values(graph).numpy(), graph.indices.numpy(), graph.indptr.numpy().astype(np.int32))
    matrix = csr_array(parts, shape=(graph.num_nodes, graph.num_nodes))
    dense = x.numpy()
    return Product(lambda: torch.from_numpy(matrix @ dense), _nbytes(*parts))


def dgl(graph: Graph, x: Tensor) -> Product:
    library = pytest.importorskip(
        "dgl", reason="dgl is not installed, or not for this torch", exc_type=Exception
    )
    scale = _scale(graph)[:, None]
    parts = (graph.indptr.int(), graph.indices, torch.empty(0, dtype=torch.int32))
    theirs = library.graph(("csc", parts), num_nodes=graph.num_nodes)
    return Product(lambda: library.ops.copy_u_sum(theirs, x * scale).mul_(scale), _nbytes(*parts[:2], scale))


def pyrec_layer(graph: Graph, z: Tensor) -> Product:
    """Z -> D^-1 A Z, stored in z's dtype: what stands between the layers of a training step."""
    out, post = torch.empty_like(z), graph.factors(torch.float32).scale_squared

    def run() -> Tensor:
        _core.propagate_layer(graph.core, z, out, post=post)
        return out

    return Product(run, _nbytes(graph.indptr, graph.indices, post))


def embedding_bag_layer(graph: Graph, z: Tensor) -> Product:
    indptr, post = graph.indptr.int(), _scale(graph).square()[:, None].to(z.dtype)

    def run() -> Tensor:
        total = functional.embedding_bag(graph.indices, z, indptr, mode="sum", include_last_offset=True)
        return total.mul_(post)

    return Product(run, _nbytes(graph.indices, indptr, post))


LAYERS = {"pyrec": pyrec_layer, "embedding_bag": embedding_bag_layer}
PRODUCTS = {
    "pyrec": pyrec,
    "embedding_bag": embedding_bag,
    "DGL": dgl,
    "torch.sparse.mm CSR": torch_csr,
    "torch.sparse.mm CSR, reduce": torch_csr_reduce,
    "torch.sparse.mm COO": torch_coo,
    "scipy": scipy,
}


def on(product: Callable[[Graph, Tensor], Product]) -> Callable[[tuple[Graph, Tensor]], Product]:
    """The product as a contender of a race whose problem is (graph, x)."""
    return lambda problem: product(*problem)
