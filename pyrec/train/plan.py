"""What a fit does, and the memory that it takes."""

from __future__ import annotations

from dataclasses import dataclass

from pyrec.data import Interactions
from pyrec.nn.encoder import Encoder, Inputs
from pyrec.nn.fit import LayerFit
from pyrec.train.augment import Augment
from pyrec.train.loss import Loss
from pyrec.train.memory import Memory, Sizes, graph_memory, layers_memory, total
from pyrec.train.optimisation import Optimisation
from pyrec.train.recorded import recordable
from pyrec.train.reweight import Reweight


@dataclass(frozen=True)
class Plan:
    """What a fit does, by its objects.

    Attributes:
        loss: With its negatives resolved.
        encoder: Where embeddings come from.
        augment: Changes of training.
        layer_fit: What the weights of layers are learned on; None where there are none.
        optimisation: Learning rates, epochs and penalty.
        batch_size: Samples in a step.
        seed: Of all sampling.
        validation_share: Of the interactions, held out to choose the epoch; None for none.
        weighted_edges: Whether the graph's edges have the weights of the interactions.
        reweight: How samples are weighed by uniform pairs; None where they are not.
        num_uniform: Number of these.
    """

    loss: Loss
    encoder: Encoder
    augment: tuple[Augment, ...]
    layer_fit: LayerFit | None
    optimisation: Optimisation
    batch_size: int
    seed: int
    validation_share: float | None = None
    weighted_edges: bool = False
    reweight: Reweight | None = None
    num_uniform: int = 0

    @property
    def fits_held_out(self) -> bool:
        """Whether weights of layers are learned on held-out interactions."""
        return self.layer_fit is not None and self.layer_fit.held_out

    @property
    def graphs_at_a_time(self) -> float:
        """How many times the interactions are on the device: once, and once more where training has another graph."""
        learned = 1 - (self.validation_share or 0)
        others = learned if self.validation_share is not None else 0
        if more := sum(one.more_interactions() for one in self.augment):
            others += learned * (1 + more)
        return 1 + max(others, 1 if self.fits_held_out else 0)

    def sizes(self, train: Interactions, dim: int, n_layers: int, precision: str, device: str) -> Sizes:
        """What the memory of training on some interactions depends on.

        Args:
            train: The training set.
            dim: Dimension of an embedding.
            n_layers: Propagation layers K.
            precision: How whole layers are stored: ``fp32`` or ``bf16``.
            device: ``cpu`` or ``cuda``.
        """
        num_nodes, size = train.num_users + train.num_items, min(self.batch_size, len(train))
        most_nodes = self.loss.source(train.num_items).most_nodes(size, train.num_items)
        return Sizes(
            num_nodes=num_nodes,
            num_items=train.num_items,
            num_interactions=round(len(train) * self.graphs_at_a_time),
            weighted_edges=self.weighted_edges,
            dim=dim,
            n_layers=n_layers,
            batch_size=size,
            batch_nodes=min(most_nodes, num_nodes),
            stored_bytes=2 if precision == "bf16" else 4,
            device=device,
        )

    def memory(self, sizes: Sizes, inputs: Inputs, validated: bool) -> Memory:
        """What training takes, the sum of its parts; an evaluation comes on top.

        Args:
            sizes: From `sizes`.
            inputs: What the network is made of.
            validated: Whether a validation set chooses the epoch, whose parameters are then kept.
        """
        of_loss = self.loss.bytes(sizes.batch_size, sizes.num_items, sizes.dim, sizes.device)
        graphs, batch = graph_memory(sizes), Memory(step=sizes.batch_bytes + of_loss)
        parts = [graphs, layers_memory(sizes), batch, *(one.memory(sizes) for one in self.augment)]
        parts.append(Memory(kept=self.encoder.training_bytes(inputs)))
        if validated:
            best = self.encoder.parameter_bytes(inputs)
            parts.append(Memory(kept=best, exchange=best))
        if self.loss.adapting is not None:
            parts.append(self.loss.adapting.memory(sizes))
        if self.reweight is not None:
            parts.append(self.reweight.memory(sizes, self.num_uniform))
        if recordable(sizes.device, self.augment, self.fits_held_out or self.reweight is not None):
            parts.append(Memory(kept=batch.step + graphs.step))  # a recorded step keeps its memory
        return total(parts)
