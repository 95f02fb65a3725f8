"""From a node's K + 1 layers to one vector, as modules.

Every learned one starts at exactly the mean, that is, at LightGCN: uniform weights, and gradients that flow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, overload

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyrec._checks import check_real
from pyrec.errors import ConfigError, DataError
from pyrec.graph.nodes import Nodes
from pyrec.ops.combine import MAX_LAYERS, combine_attention, combine_self_attention, combine_weighted

PullBack = Callable[[Tensor], list[Tensor]]

KINDS = ("mean", "weighted", "attention", "self-attention")


class Combine(nn.Module):
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

    def transferable(self) -> list[nn.Parameter]:
        """The parameters that mean the same beside other embeddings: those that no embedding is multiplied by."""
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


class MeanCombine(Combine):
    """Every layer counts the same; LightGCN's choice (He et al., SIGIR 2020, section 3.1.2)."""

    uniform: Tensor

    def __init__(self, n_layers: int) -> None:
        super().__init__(n_layers)
        uniform = torch.full((n_layers + 1,), 1 / (n_layers + 1), dtype=torch.float32, device="cpu")
        self.register_buffer("uniform", uniform, persistent=False)

    def forward(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """See `Combine.forward`."""
        self._check(layers)
        return combine_weighted(layers, self.uniform)

    def pool(
        self, layers: Sequence[Tensor], nodes: Nodes | None = None, penalised: bool = True
    ) -> tuple[Tensor, PullBack]:
        """See `Combine.pool`; all layers have the same gradient."""
        with torch.no_grad():
            pooled: Tensor = self(layers)
        return pooled, lambda grad: [grad / len(layers)] * len(layers)

    def alpha(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """(K + 1,), the same for all rows."""
        self._check(layers)
        return self.uniform

    def layer_alpha(self) -> Tensor:
        """(K + 1,)."""
        return self.uniform


class WeightedCombine(Combine):
    """One learned weight a layer: alpha = softmax(logits), logits (K + 1,) starting at 0."""

    def __init__(self, n_layers: int) -> None:
        super().__init__(n_layers)
        self.logits = _zeros(n_layers + 1)

    def forward(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """See `Combine.forward`."""
        self._check(layers)
        return combine_weighted(layers, self.layer_alpha())

    def alpha(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """(K + 1,), the same for all rows."""
        self._check(layers)
        return self.layer_alpha()

    def transferable(self) -> list[nn.Parameter]:
        """See `Combine.transferable`: the logits."""
        return [self.logits]

    def layer_alpha(self) -> Tensor:
        """(K + 1,)."""
        return torch.softmax(self.logits, dim=0)


class AttentionCombine(Combine):
    """Additive attention over the layers of each row that also knows the row's side and activity.

    alpha = softmax_k(v . tanh(W x_k / |x_k| + b) + p_k + q_k a): x_k is the row's layer k, p and q are those of
    users or of items, and a is the node's standardised log-degree (`Nodes`). Lengths of rows are left out as they
    grow while training. Starts at the mean by v = p = q = 0; W (hidden, dim) and b (hidden,) are uniform in (-1, 1).

    Its penalty is ``kl`` times the mean over the rows of KL(alpha || softmax_k(p_k + q_k a)): what a row's own numbers
    change about the weights that its side and activity give has to be worth it.

    Attributes:
        kl: Weight of the penalty.
        weight: (hidden, dim) W.
        bias: (hidden,) b.
        vector: (hidden,) v.
        prior: (2, K + 1) p: a row for users, one for items.
        slope: (2, K + 1) q.
    """

    needs_nodes: ClassVar[bool] = True

    def __init__(
        self,
        n_layers: int,
        dim: int,
        hidden: int = 16,
        generator: torch.Generator | None = None,
        kl: float = 0.0,
    ) -> None:
        super().__init__(n_layers)
        _check_size("dim", dim)
        _check_size("hidden", hidden)
        self.kl = check_real("kl", kl, ConfigError, positive=False)
        self.weight = nn.Parameter(_uniform((hidden, dim), 1.0, generator))
        self.bias = nn.Parameter(_uniform((hidden,), 1.0, generator))
        self.vector = _zeros(hidden)
        self.prior = _zeros(2, n_layers + 1)
        self.slope = _zeros(2, n_layers + 1)

    def forward(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """See `Combine.forward`."""
        return self._attend(layers, self._offset(nodes))[0]

    def with_penalty(
        self, layers: Sequence[Tensor], nodes: Nodes | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """See `Combine.with_penalty`; without ``nodes`` there is none."""
        if nodes is None or self.kl == 0:
            return self(layers, nodes), None
        offset = self._offset(nodes)
        pooled, alpha = self._attend(layers, offset)
        return pooled, self.kl * mean_divergence(alpha, offset, nodes.counted)

    def alpha(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """(num_rows, K + 1)."""
        return self._attend(layers, self._offset(nodes))[1]

    def transferable(self) -> list[nn.Parameter]:
        """See `Combine.transferable`: p, for users and for items."""
        return [self.prior]

    def _attend(self, layers: Sequence[Tensor], offset: Tensor | None) -> tuple[Tensor, Tensor]:
        self._check(layers)
        return combine_attention(
            layers,
            self.weight,
            self.bias,
            self.vector,
            return_alpha=True,
            normalise=True,
            offset=offset,
        )

    @overload
    def _offset(self, nodes: Nodes) -> Tensor: ...
    @overload
    def _offset(self, nodes: None) -> None: ...
    def _offset(self, nodes: Nodes | None) -> Tensor | None:
        """(num_rows, K + 1), p + q a."""
        if nodes is None:
            return None
        prior, slope = (_of_side(table, nodes.is_item) for table in (self.prior, self.slope))
        return prior + slope * nodes.activity[:, None]


class SelfAttentionCombine(Combine):
    """Multi-head self-attention among the layers of each row, averaged over its queries.

    Starts at the mean by W_q = 0 and W_v = I; W_k is uniform within 1 / sqrt(dim). Each is (dim, dim).
    """

    def __init__(
        self, n_layers: int, dim: int, n_heads: int = 2, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(n_layers)
        _check_size("dim", dim)
        if not 1 <= n_heads <= dim or dim % n_heads:
            divisors = [heads for heads in range(1, dim + 1) if dim % heads == 0]
            raise ConfigError(f"n_heads = {n_heads} does not divide dim = {dim}; it can be one of {divisors}")
        self.n_heads = n_heads
        self.w_query = _zeros(dim, dim)
        self.w_key = nn.Parameter(_uniform((dim, dim), dim**-0.5, generator))
        self.w_value = nn.Parameter(torch.eye(dim, dtype=torch.float32, device="cpu"))

    def forward(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """See `Combine.forward`."""
        self._check(layers)
        return combine_self_attention(layers, self.w_query, self.w_key, self.w_value, self.n_heads)

    def alpha(self, layers: Sequence[Tensor], nodes: Nodes | None = None) -> Tensor:
        """(num_rows, K + 1): each layer's weight as a key, the mean over heads and queries."""
        self._check(layers)
        return combine_self_attention(
            layers, self.w_query, self.w_key, self.w_value, self.n_heads, return_alpha=True
        )[1]


def make_combine(
    kind: str,
    n_layers: int,
    dim: int,
    *,
    hidden: int = 16,
    n_heads: int = 2,
    kl: float = 0.0,
    generator: torch.Generator | None = None,
) -> Combine:
    """The module of that name.

    Args:
        kind: ``mean``, ``weighted``, ``attention`` or ``self-attention``.
        n_layers: Propagation layers K, 0 to 63; K + 1 rows are pooled.
        dim: Numbers in a row, 1 to 512.
        hidden: Width of the additive attention, 1 to 512.
        n_heads: Heads of the self-attention; divides dim.
        kl: Weight of the additive attention's penalty, at least 0.
        generator: For the random parameters; None for torch's own.

    Raises:
        ConfigError: An unknown kind, or a size out of range.
    """
    if kind == "mean":
        return MeanCombine(n_layers)
    if kind == "weighted":
        return WeightedCombine(n_layers)
    if kind == "attention":
        return AttentionCombine(n_layers, dim, hidden, generator, kl)
    if kind == "self-attention":
        return SelfAttentionCombine(n_layers, dim, n_heads, generator)
    raise ConfigError(f"combine = {kind!r} is unknown; it can be one of: {', '.join(KINDS)}")


def mean_divergence(alpha: Tensor, offset: Tensor, counted: Tensor) -> Tensor:
    """The mean over some rows of KL(alpha || softmax(offset)), a scalar.

    Args:
        alpha: (num_rows, K + 1), each row's sum is 1.
        offset: (num_rows, K + 1).
        counted: (num_rows,), 1 for a row that counts and 0 for one that does not.
    """
    surplus = alpha.clamp_min(torch.finfo(alpha.dtype).tiny).log() - torch.log_softmax(offset, 1)
    return torch.dot((alpha * surplus).sum(1), counted) / counted.sum().clamp_min(1)


def _of_side(table: Tensor, is_item: Tensor) -> Tensor:
    """The row of ``table`` (2, n) for each side in ``is_item`` (num_rows,), with a gradient of a fixed order.

    That of an embedding is one, but on a CUDA device it sorts; that of a choice is two sums there.
    """
    if table.is_cuda:
        return torch.where(is_item.bool()[:, None], table[1], table[0])
    return functional.embedding(is_item, table)


def _check_size(name: str, value: int) -> None:
    if not 1 <= value <= 512:
        raise ConfigError(f"{name} = {value} is outside 1 to 512")


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator | None) -> Tensor:
    drawn = torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu")
    return (2 * drawn - 1) * bound


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape, dtype=torch.float32, device="cpu"))
