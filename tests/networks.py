"""Networks and trainers of a few steps, and what the combines compute, in plain torch."""

from collections.abc import Sequence

import torch

from pyrec.graph import Graph
from pyrec.nn.combine import Attention, Combine, Mean, SelfAttention, Weighted
from pyrec.nn.embedding_table import EmbeddingTable, first_embeddings
from pyrec.nn.network import Network
from pyrec.nn.users_from_items import ItemNetwork
from pyrec.ops.sample import Sampler
from pyrec.reference import combine as reference_combine
from pyrec.reference import train as reference_train
from pyrec.train.augment import Augment
from pyrec.train.batches import Batches
from pyrec.train.loss import BPR, Loss
from pyrec.train.optimisation import Optimisation
from pyrec.train.trainer import Trainer

DIM, N_LAYERS, REG, BATCH_SIZE, SEED = 16, 3, 1e-2, 64, 3
OPTIMISATION = Optimisation(learning_rate=1e-2, reg=REG)
COMBINES: dict[str, Combine] = {
    "mean": Mean(),
    "weighted": Weighted(),
    "attention": Attention(width=8, kl=0.0),
    "self-attention": SelfAttention(heads=2),
}


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


def make_network(graph: Graph, kind: str, n_layers: int = N_LAYERS) -> Network:
    """A network whose embeddings and combine are no start of training: some gradients would be zero there."""
    generator = torch.Generator().manual_seed(0)
    combine = COMBINES[kind].make(n_layers, DIM, generator)
    first = EmbeddingTable(first_embeddings(graph.num_nodes, DIM, generator))
    _move(combine, generator)
    with torch.no_grad():
        first.embedding *= 10
    return Network(first, combine, n_layers)


def make_users_from_items(graph: Graph, kind: str, n_layers: int) -> ItemNetwork:
    """The same with users made of their items; ``n_layers`` is odd."""
    generator = torch.Generator().manual_seed(0)
    combine = COMBINES[kind].make((n_layers - 1) // 2, DIM, generator)
    network = ItemNetwork(graph.num_users, graph.num_items, DIM, n_layers, combine, generator)
    _move(combine, generator)
    return network


def _move(combine: torch.nn.Module, generator: torch.Generator) -> None:
    """Away from the uniform start."""
    with torch.no_grad():
        for parameter in combine.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)


def make_batches(
    graph: Graph, loss: Loss, sampled: Graph | None = None, batch_size: int = BATCH_SIZE
) -> Batches:
    """Batches for a loss; the samples are those of ``sampled``, which is the graph unless given."""
    sampler = Sampler(graph if sampled is None else sampled)
    return Batches(graph, sampler, loss.source(graph.num_items), batch_size, SEED)


def make_trainer(
    network: Network,
    graph: Graph,
    loss: Loss | None = None,
    augment: Sequence[Augment] = (),
    optimisation: Optimisation = OPTIMISATION,
    sampled: Graph | None = None,
    batch_size: int = BATCH_SIZE,
) -> Trainer:
    """A trainer of a network, by BPR unless a loss is given."""
    loss = loss or BPR()
    batches = make_batches(graph, loss, sampled, batch_size)
    return Trainer(network, batches, loss, optimisation, augment)
