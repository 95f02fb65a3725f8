"""From a node's K + 1 layers to one vector: the modules, and what they are made of.

Every learned one starts at exactly the mean, that is, at LightGCN: uniform weights, and gradients that flow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pyrec.errors import ConfigError, DataError
from pyrec.graph.nodes import Nodes
from pyrec.nn.fit import LayerFit
from pyrec.ops.combine import MAX_HIDDEN, MAX_LAYERS
from pyrec.params import Component

PullBack = Callable[[Tensor], list[Tensor]]


class Combine(Component):
    """How a node's layers become one vector; `make` gives the module that does it.

    Attributes:
        learned: Whether it has parameters.
        shared: Whether all nodes have the same weights.
    """

    family = "combine"
    learned: ClassVar[bool] = True
    shared: ClassVar[bool] = False

    def make(
        self, n_layers: int, dim: int, generator: torch.Generator | None = None, held_out: bool = False
    ) -> CombineModule:
        """Return the module.

        Args:
            n_layers: Propagation layers K, 0 to 63; K + 1 rows are pooled.
            dim: Dimension of a row, 1 to 512.
            generator: For the random parameters; None for torch's own.
            held_out: Whether its parameters are learned on held-out interactions.

        Raises:
            ConfigError: A size is out of range.
        """
        raise NotImplementedError

    def fits(self, memorises: bool) -> LayerFit | None:
        """What its parameters are learned on; None where it has none that are learned.

        Args:
            memorises: Whether on the training data they would end at layer 0: `Loss.memorises`.
        """
        return None

    def check_for(self, dim: int) -> None:
        """Raise ConfigError where rows of that dimension cannot be pooled."""


class CombineModule(nn.Module):
    """Pools n_layers + 1 tensors of shape (num_rows, dim) into one.

    Attributes:
        n_layers: Propagation layers K; ``forward`` takes the K + 1 tensors X_0 .. X_K.
        needs_nodes: Whether its weights depend on the nodes that the rows are of.
    """

    needs_nodes: ClassVar[bool] = False

    def __init__(self, n_layers: int) -> None:
        super().__init__()
        if not 0 <= n_layers < MAX_LAYERS:
            raise ConfigError(
                f"n_layers = {n_layers} is outside 0 to {MAX_LAYERS - 1}: {MAX_LAYERS} rows can be combined"
            )
        self.n_layers = n_layers

    def forward(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """The pooled rows, (num_rows, dim), differentiable in layers and parameters.

        Args:
            layers: X_0 .. X_K, each (num_rows, dim) with contiguous rows.
            nodes: Whose rows they are, where the combine ``needs_nodes``; its other terms are left out without.

        Raises:
            DataError: Their number, shape, dtype, device or strides are wrong.
        """
        raise NotImplementedError

    def pool(
        self, layers: Sequence[Tensor], nodes: Nodes | None = None, penalised: bool = True
    ) -> tuple[Tensor, PullBack]:
        """The pooled rows without a gradient, and what takes theirs back to the layers.

        Args:
            layers: As for `forward`; they become leaves that require a gradient.
            nodes: As for `forward`.
            penalised: Whether to take back the gradient of the combine's own penalty, too, where it has one.

        Returns:
            The pooled rows, (num_rows, dim), and a function from their gradient to that of each layer, which
            adds the gradients of the parameters to theirs.
        """
        for layer in layers:
            layer.requires_grad_()
        pooled, penalty = self.with_penalty(layers, nodes) if penalised else (self(layers, nodes), None)

        def pull_back(grad: Tensor) -> list[Tensor]:
            if penalty is None:
                torch.autograd.backward(pooled, grad)
            else:
                torch.autograd.backward([pooled, penalty], [grad, None])
            return [layer.grad for layer in layers if layer.grad is not None]

        return pooled.detach(), pull_back

    def with_penalty(
        self, layers: Sequence[Tensor], nodes: Nodes | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """`forward`, and what the combine adds to the loss: a scalar, or None for nothing."""
        return self(layers, nodes), None

    def alpha(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """The weights of the layers: (K + 1,) where all rows share them, else (num_rows, K + 1)."""
        raise NotImplementedError

    def readout(self, layers: Sequence[Tensor], nodes: Nodes | None, target: Tensor) -> Tensor:
        """What each layer is multiplied by in the inner product of the pooled rows with ``target``.

        With the weights of these layers held fixed, the pooled rows are linear in the layers, and
        ``pooled · target = sum_k X_k · readout_k``. Here ``readout_k = alpha_k target``, as for any weighted sum.

        Args:
            layers: As for `forward`.
            nodes: As for `forward`.
            target: (num_rows, dim).

        Returns:
            (num_rows, dim, K + 1).
        """
        alpha = self.alpha(layers, nodes).expand(len(target), -1)
        return target[:, :, None] * alpha[:, None, :]

    def transferable(self) -> list[nn.Parameter]:
        """The parameters that mean the same beside other embeddings: no embedding is multiplied by them."""
        return []

    def layer_alpha(self) -> Tensor | None:
        """The weights of the layers where all rows share them, (K + 1,), else None."""
        return None

    def _check(self, layers: Sequence[Tensor]) -> None:
        if len(layers) != self.n_layers + 1:
            raise DataError(
                f"layers has {len(layers)} tensors, but n_layers = {self.n_layers} "
                f"needs {self.n_layers + 1}: X_0 and one a layer"
            )


def check_size(name: str, value: int) -> None:
    """Raise ConfigError for a dimension that no kernel takes."""
    if not 1 <= value <= MAX_HIDDEN:
        raise ConfigError(f"{name} = {value} is outside 1 to {MAX_HIDDEN}")


def uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator | None) -> Tensor:
    """Values drawn from (-bound, bound), float32."""
    drawn = torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu")
    return (2 * drawn - 1) * bound


def zeros(*shape: int) -> nn.Parameter:
    """A float32 parameter that starts at 0."""
    return nn.Parameter(torch.zeros(shape, dtype=torch.float32, device="cpu"))
