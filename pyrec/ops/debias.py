"""AutoDebias for matrix factorisation in closed form: its weights learn without a second derivative or a list of pairs.

The loss of a block of users and items is, with the score x = p · q + b_u + b_i and labels y of 1 and -1,

    L_T = Σ_observed w1 (x - y)² + λ Σ_all w2 (x - m)² + reg/2 (Σ|p|² + Σ|q|²)

    w1 = ω exp((φ_u + φ_i + φ_y + φ_p) / 5)      by user, item, label and position; ω is a weight that is given
    w2 = exp((ψ_u + ψ_i + ψ_o) / 5)              by user, item, and whether the pair is observed
    m  = tanh(χ)                                 of pairs that are not observed, of negatives, of positives

A step takes θ' = θ - η ∇L_T(θ), then one of Adam on φ, ψ and χ down Σ_uniform (x' - y)², then θ by plain gradient
descent with the new weights. The gradients are exact: `csrc/debias/debias.hpp` and `docs/closed-form.md` have the
algebra.

Source: Chen et al., "AutoDebias: learning to debias for recommendation", SIGIR 2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from pyrec import _core
from pyrec._arrays import capsule, stream_of
from pyrec.errors import DataError

PARTS: Final = (
    "pair_user",
    "pair_item",
    "pair_label",
    "pair_position",
    "whole_user",
    "whole_item",
    "whole_observed",
    "imputed",
)
"""φ by user, item, label (negative, positive) and position; ψ by user, item and whether observed (not, yes); χ of pairs
that are not observed, of negatives and of positives."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """The observed pairs and the uniform ones.

    Attributes:
        indptr: (num_users + 1,) int64, of the observed pairs.
        items: (n,) int32, ascending for each user.
        positive: (n,) bool.
        positions: (n,) int32, from 0 on; None for none.
        num_items: Number of items.
        uniform_users: (n',) int32.
        uniform_items: (n',) int32.
        uniform_positive: (n',) bool.
        weight: (n,) of the vectors' dtype, ω; None for 1.
    """

    indptr: Tensor
    items: Tensor
    positive: Tensor
    positions: Tensor | None
    num_items: int
    uniform_users: Tensor
    uniform_items: Tensor
    uniform_positive: Tensor
    weight: Tensor | None = None

    @property
    def num_users(self) -> int:
        """Number of users."""
        return len(self.indptr) - 1

    @property
    def num_positions(self) -> int:
        """One more than the largest position; 0 without any."""
        return 0 if self.positions is None else int(self.positions.max()) + 1


class Rows:
    """Vectors and biases of users and items, as the steps keep them: (p, b, 1) and (q, 1, b) and zeros behind.

    Attributes:
        users: (num_users, stride).
        items: (num_items, stride).
        dim: Of p and q.
    """

    def __init__(self, users: Tensor, items: Tensor, user_bias: Tensor, item_bias: Tensor) -> None:
        """Copy vectors (num_users, dim), (num_items, dim) and biases (num_users,), (num_items,)."""
        self.dim = users.shape[1]
        stride = _core.debias_stride(self.dim)
        self.users, self.items = users.new_zeros(len(users), stride), items.new_zeros(len(items), stride)
        self.put(users, items, user_bias, item_bias)

    def put(self, users: Tensor, items: Tensor, user_bias: Tensor, item_bias: Tensor) -> None:
        """Replace the numbers."""
        dim = self.dim
        self.users[:, :dim], self.users[:, dim], self.users[:, dim + 1] = users, user_bias, 1
        self.items[:, :dim], self.items[:, dim], self.items[:, dim + 1] = items, 1, item_bias

    def get(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return copies of the vectors and biases, in the order of the constructor."""
        dim = self.dim
        return (
            self.users[:, :dim].clone(),
            self.items[:, :dim].clone(),
            self.users[:, dim].clone(),
            self.items[:, dim + 1].clone(),
        )


class Weights:
    """φ, ψ and χ, with Adam's state.

    Attributes:
        parameter: (num_parameters,), the parts one behind the other; `part` has views.
        factor: Likewise: exp(φ/5), exp(ψ/5) and tanh(χ).
        moment: Adam's first moment.
        square: Adam's second moment.
        steps: Of Adam so far, by part.
    """

    def __init__(self, parts: Mapping[str, Tensor]) -> None:
        """Copy the parts, each of `PARTS` a vector of its own length; a position's may be empty."""
        self._sizes = [len(parts[name]) for name in PARTS]
        self.parameter = torch.cat([parts[name] for name in PARTS])
        self.moment, self.square = (torch.zeros_like(self.parameter) for _ in range(2))
        self.steps = dict.fromkeys(PARTS, 0)
        self.factor = torch.empty_like(self.parameter)
        self.refresh()

    def refresh(self) -> None:
        """Bring the factors up to date with the parameters."""
        count = len(self.parameter) - self._sizes[-1]
        self.factor[:count] = (self.parameter[:count] / 5).clamp(-80, 80).exp()
        self.factor[count:] = self.parameter[count:].tanh()

    def part(self, name: str, of: Tensor | None = None) -> Tensor:
        """Return a view of a part of the parameters, or of another such array."""
        at = PARTS.index(name)
        first = sum(self._sizes[:at])
        return (self.parameter if of is None else of)[first : first + self._sizes[at]]


@dataclass(frozen=True)
class Rates:
    """How the steps learn.

    Attributes:
        eta: Of the vectors, η.
        lam: Weight of the term over all pairs, λ.
        reg: Weight of the penalty.
        rates: Adam's, by part; a part that is not named does not learn.
        decays: Adam's weight decay, by part.
        bound: Of |φ| and |ψ|: after a step of Adam they are cut off there.
    """

    eta: float
    lam: float
    reg: float
    rates: Mapping[str, float]
    decays: Mapping[str, float]
    bound: float


class Debias:
    """Takes steps over the blocks of a plan.

    Attributes:
        rows: Vectors and biases, changed by each step.
        weights: φ, ψ and χ, changed by each step.
    """

    def __init__(self, pairs: Pairs, rows: Rows, weights: Weights) -> None:
        """Check the pairs, and sort the uniform ones.

        Raises:
            DataError: Wrong shape, dtype or strides; an index out of range; no pair of one kind.
        """
        codes = pairs.positive.to(torch.int32)
        if pairs.positions is not None:
            codes = codes + 2 * pairs.positions
        self.plan = _core.DebiasPlan(
            indptr=capsule(pairs.indptr),
            items=capsule(pairs.items),
            codes=capsule(codes),
            num_items=pairs.num_items,
            num_positions=pairs.num_positions,
            uniform_users=capsule(pairs.uniform_users),
            uniform_items=capsule(pairs.uniform_items),
            uniform_labels=capsule(pairs.uniform_positive.to(torch.int32) * 2 - 1),
        )
        self.rows, self.weights = rows, weights
        self._weight = pairs.weight
        self._copy: Tensor | None = None
        self._scratch = torch.empty(0, dtype=torch.uint8, device="cpu")
        self._loss = torch.zeros(1, dtype=torch.float64, device=rows.users.device)

    @property
    def num_blocks(self) -> int:
        """Of the order that was given last."""
        return self.plan.num_blocks

    def arrange(
        self, user_order: Tensor, item_orders: Tensor, users_per_block: int, items_per_block: int
    ) -> None:
        """Cut users and items into blocks, in their order.

        Args:
            user_order: (num_users,) int32, everyone once.
            item_orders: (blocks of users, num_items) int32, every item once for each block of users.
            users_per_block: At most the number of users; the last block may have fewer.
            items_per_block: Likewise.

        Raises:
            DataError: Wrong shape, dtype or strides, or no permutation.
            ConfigError: A block that is too small or too large.
        """
        self.plan.arrange(
            user_order=capsule(user_order),
            item_order=capsule(item_orders),
            users_per_block=users_per_block,
            items_per_block=items_per_block,
        )
        device = self.rows.users.device
        if device.type != "cpu" or self.emulated:
            host = torch.empty(self.plan.size, dtype=torch.int32, device="cpu")
            self.plan.copy(capsule(host))
            self._copy = host.to(device)
        size = _core.debias_scratch(self.plan, capsule(self.rows.users), self.rows.dim)
        if len(self._scratch) != size:
            self._scratch = torch.empty(size, dtype=torch.uint8, device=device)

    emulated = False

    def steps(self, first: int, last: int, rates: Rates) -> Tensor:
        """Take the steps of blocks ``first`` to ``last`` - 1.

        Returns:
            Σ L_T of these blocks, each before its step and with its new weights: a float64 number on the device.

        Raises:
            DataError: Blocks that the plan has not; no order was given.
        """
        if not 0 <= first <= last <= self.num_blocks:
            raise DataError(f"blocks {first} to {last} were asked for, but there are {self.num_blocks}")
        weights = self.weights
        learned = [name in rates.rates for name in PARTS]
        self._loss.zero_()
        _core.debias(
            self.plan,
            dim=self.rows.dim,
            first_block=first,
            last_block=last,
            users=capsule(self.rows.users),
            items=capsule(self.rows.items),
            parameter=capsule(weights.parameter),
            factor=capsule(weights.factor),
            moment=capsule(weights.moment),
            square=capsule(weights.square),
            learned=learned,
            steps=[weights.steps[name] for name in PARTS],
            rates=_by_part(rates.rates, PARTS),
            decays=_by_part(rates.decays, PARTS),
            bound=rates.bound,
            eta=rates.eta,
            lam=rates.lam,
            reg=rates.reg,
            weight=capsule(self._weight),
            plan_copy=capsule(self._copy),
            loss=capsule(self._loss),
            scratch=capsule(self._scratch),
            stream=stream_of(self.rows.users.device),
        )
        for name in rates.rates:
            weights.steps[name] += last - first
        return self._loss[0].clone()


def _by_part(values: Mapping[str, float], names: Iterable[str]) -> list[float]:
    return [float(values.get(name, 0.0)) for name in names]
