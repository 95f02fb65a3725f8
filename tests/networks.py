"""Networks and settings of a few training steps, and what the combines compute, in plain torch."""

import torch

from pyrec.graph import Graph
from pyrec.nn.combine import make_combine
from pyrec.nn.network import LightGCNNetwork
from pyrec.nn.users_from_items import UsersFromItems
from pyrec.reference import combine as reference_combine
from pyrec.reference import train as reference_train
from pyrec.train.settings import Settings

DIM, N_LAYERS, REG = 16, 3, 1e-2
SETTINGS = Settings(
    loss="bpr", batch_size=64, learning_rate=1e-2, reg=REG, temperature=0.2, num_negatives=None, seed=3
)


def _attention(module, layers, graph, rows=slice(None)):
    sides = graph.degree.double().log1p().split([graph.num_users, graph.num_items])
    activity = torch.cat([(side - side.mean()) / side.std(correction=0) for side in sides])
    is_item = (torch.arange(graph.num_nodes) >= graph.num_users).long()
    offset = module.prior[is_item] + module.slope[is_item] * activity[:, None]
    return reference_combine.combine_attention(
        layers, module.weight, module.bias, module.vector, normalise=True, offset=offset[rows]
    )[0]


REFERENCES = {
    "mean": lambda _, layers, *__: reference_train.mean(layers),
    "weighted": lambda module, layers, *_: reference_combine.combine_weighted(layers, module.layer_alpha()),
    "attention": _attention,
    "self-attention": lambda module, layers, *_: reference_combine.combine_self_attention(
        layers, module.w_query, module.w_key, module.w_value, module.n_heads
    )[0],
}
"""By kind: a function of a combine, the layers, the graph and the rows that they are of, which are all unless given."""


def make_network(graph: Graph, kind: str, n_layers: int = N_LAYERS) -> LightGCNNetwork:
    """A network whose embeddings and combine are no start of training: some gradients would be zero there."""
    generator = torch.Generator().manual_seed(0)
    combine = make_combine(kind, n_layers, DIM, hidden=8, n_heads=2, generator=generator)
    network = LightGCNNetwork(graph.num_nodes, DIM, n_layers, combine, generator)
    _move(combine, generator)
    with torch.no_grad():
        network.embedding *= 10
    return network


def make_users_from_items(graph: Graph, kind: str, n_layers: int) -> UsersFromItems:
    """The same with users made of their items; ``n_layers`` is odd."""
    generator = torch.Generator().manual_seed(0)
    combine = make_combine(kind, (n_layers - 1) // 2, DIM, hidden=8, n_heads=2, generator=generator)
    network = UsersFromItems(graph.num_users, graph.num_items, DIM, n_layers, combine, generator)
    _move(combine, generator)
    return network


def _move(combine: torch.nn.Module, generator: torch.Generator) -> None:
    """Away from the uniform start."""
    with torch.no_grad():
        for parameter in combine.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
