"""Contrastive augmentation: a second loss that keeps two perturbed views of a node together, and apart from others.

Between views a and b of the batch's users, and likewise of its positive items, stands InfoNCE on cosines,

    L = mean_i -log( exp(cos(a_i, b_i) / tau) / sum_j exp(cos(a_i, b_j) / tau) ),

and weight * (L_users + L_items) is added to the ranking loss. Views by ``edges`` propagate over two graphs with
random edges left out, drawn anew each epoch (SGL-ED; Wu et al., SIGIR 2021). Views by ``noise`` add to X_1 .. X_K
random vectors of length eps in each row's own orthant, sign(x) * u / |u| * eps with u uniform in [0, 1)^dim (SimGCL;
Yu et al., SIGIR 2022), at the batch's rows: noise of one layer does not reach the next, so it costs no propagation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor
from torch.nn import functional

from pyrec._checks import check_share
from pyrec.errors import ConfigError
from pyrec.graph.graph import Graph
from pyrec.graph.nodes import Nodes
from pyrec.nn.encoder import Encoder
from pyrec.nn.network import Network
from pyrec.ops.dropout import DroppedGraph, mixed_seed
from pyrec.ops.propagate import propagate_gradient
from pyrec.options import Choice, Number, Options
from pyrec.train.augment.base import Augment
from pyrec.train.batch import Batch
from pyrec.train.memory import Memory, Sizes

VIEWS: Final = ("edges", "noise")
EDGE_VIEWS: Final = 1
"""Appended to a view's seed so that it differs from the edge-dropout seed of the same step."""


@dataclass(frozen=True, repr=False)
class Contrast(Augment):
    """A second loss that keeps two perturbed views of a node together, and apart from those of others.

    Args:
        views: What perturbs them: ``edges``, random edges left out (SGL), or ``noise``, noise on the layers (SimGCL).
        weight: Of this loss beside the ranking loss; above 0.
        temperature: Of its cosines; above 0.
        rate: The share of edges left out, below 1, or the length of the noise.
    """

    name: ClassVar[str] = "contrast"
    options: ClassVar[Options] = {
        "views": Choice(
            values=VIEWS,
            flag="--contrast",
            help="Second loss between two views of each node: edges dropped (SGL) or noise on layers (SimGCL).",
        ),
        "weight": Number(flag="--contrast-weight", help="Weight of the second loss."),
        "temperature": Number(flag="--contrast-temperature", help="Temperature of the second loss."),
        "rate": Number(flag="--contrast-rate", help="Share of edges dropped, or length of the noise."),
    }

    views: str = "edges"
    weight: float = 0.1
    temperature: float = 0.2
    rate: float = 0.1

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`."""
        super().check_params(prefix)
        if self.views == "edges":
            check_share(f"{prefix}rate", self.rate, "the edges", ConfigError, positive=True)

    def check_for(self, n_layers: int, encoder: Encoder) -> None:
        """See `Augment.check_for`."""
        super().check_for(n_layers, encoder)
        if not encoder.contrastable:
            raise ConfigError(
                f"augment = {self!r} compares views of items, which have but one with encoder = {encoder.name!r}; "
                "leave one of them out"
            )

    def auxiliary(self, network: Network, graph: Graph, seed: int) -> ContrastStep:
        """See `Augment.auxiliary`."""
        return ContrastStep(network, graph, self, seed)

    def memory(self, sizes: Sizes) -> Memory:
        """See `Augment.memory`.

        The batch's rows again for each of two views; with ``edges`` two gradients of X_0, 8 N d, and the factors of two
        graphs, 24 N.
        """
        graphs = 8 * sizes.num_nodes * sizes.dim + 24 * sizes.num_nodes
        return Memory(step=2 * sizes.batch_bytes + (graphs if self.views == "edges" else 0))


class ContrastStep:
    """The loss of `Contrast` beside a training step's."""

    def __init__(self, network: Network, graph: Graph, settings: Contrast, seed: int) -> None:
        self._network = network
        self._graph = graph
        self._settings = settings
        self._seed = seed
        self._dropped: list[DroppedGraph] = []
        self._dropped_epoch = -1

    def step(
        self,
        batch: Batch,
        layers: list[Tensor],
        nodes: Nodes | None,
        grads: list[Tensor],
        base: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """See `Auxiliary.step`; it waits for a CUDA device, which alone knows how many distinct nodes there are."""
        users = int(batch.position[: batch.size].max()) + 1
        num_nodes = int(batch.position[: 2 * batch.size].max()) + 1
        compared = (
            None
            if nodes is None
            else nodes.at(torch.arange(num_nodes, dtype=torch.int64, device=batch.rows.device))
        )
        if self._settings.views == "edges":
            return self._step_on_edges(batch.epoch, batch.rows[:num_nodes], compared, users, base)
        ends = [layer.detach()[:num_nodes] for layer in layers]
        return self._step_on_noise(batch, ends, compared, grads, users), base

    def _step_on_noise(
        self, batch: Batch, layers: list[Tensor], nodes: Nodes | None, grads: list[Tensor], users: int
    ) -> Tensor:
        settings = self._settings
        seed = mixed_seed(self._seed, batch.epoch, batch.first)
        generator = torch.Generator(layers[0].device).manual_seed(seed)
        views = [
            [layers[0].clone(), *(add_noise(layer, settings.rate, generator) for layer in layers[1:])]
            for _ in range(2)
        ]
        loss, view_grads = self._compare(views, nodes, users)
        for k, (one, other) in enumerate(zip(*view_grads, strict=True)):
            grads[k] = grads[k].clone()  # the mean's layers share one
            grads[k][: len(one)] += one + other
        return loss

    def _step_on_edges(
        self, epoch: int, rows: Tensor, nodes: Nodes | None, users: int, base: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        self._drop_edges(epoch)
        views = [self._network(graph, rows) for graph in self._dropped]
        loss, view_grads = self._compare(views, nodes, users)
        total = base
        for graph, grads in zip(self._dropped, view_grads, strict=True):
            total = propagate_gradient(grads, graph, rows, self._network.precision, total)
        return loss, total

    def _compare(
        self, views: list[list[Tensor]], nodes: Nodes | None, users: int
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """The weighted loss of two views' layers, and the gradients of these."""
        pools = [self._network.combine.pool(view, nodes, penalised=False) for view in views]
        one, other = (vectors.requires_grad_() for vectors, _ in pools)
        temperature = self._settings.temperature
        of_users = info_nce(one[:users], other[:users], temperature)
        of_items = info_nce(one[users:], other[users:], temperature)
        loss = self._settings.weight * (of_users + of_items)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), [pull_back(_gradient(vectors)) for vectors, pull_back in pools]

    def _drop_edges(self, epoch: int) -> None:
        if epoch != self._dropped_epoch:
            seeds = (mixed_seed(self._seed, epoch, view, EDGE_VIEWS) for view in range(2))
            self._dropped = [DroppedGraph(self._graph, self._settings.rate, seed) for seed in seeds]
            self._dropped_epoch = epoch


def _gradient(vectors: Tensor) -> Tensor:
    assert vectors.grad is not None
    return vectors.grad


def info_nce(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """The cross-entropy of each row's other view among those of all rows, by cosine.

    Source: van den Oord et al., "Representation learning with contrastive predictive coding", 2018, equation 4.

    Args:
        one: (num_rows, dim).
        other: (num_rows, dim), row by row the other view of the same.
        temperature: Divides the cosines; above 0.

    Returns:
        A scalar, the mean over the rows.
    """
    one = functional.normalize(one, dim=-1) / temperature
    logits = one @ functional.normalize(other, dim=-1).T
    return (torch.logsumexp(logits, dim=1) - logits.diagonal()).mean()


def add_noise(x: Tensor, length: float, generator: torch.Generator) -> Tensor:
    """Rows of x moved by a random vector of that length in their own orthant, (num_rows, dim).

    Args:
        x: (num_rows, dim).
        length: eps, at least 0.
        generator: On x's device.
    """
    noise = torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator)
    return x + length * x.sign() * functional.normalize(noise, dim=-1)
