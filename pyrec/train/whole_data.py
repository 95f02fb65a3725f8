"""The squared loss of all pairs of users and items, and its descent by alternating least squares.

With ŷ_ui = p_u · q_i + b_u + b_i, observed pairs (u, i) of target y and weight w, and β_i of mean 1:

    L = Σ_observed w (ŷ - y)² + λ Σ_ui β_i (ŷ - m)² + Σ_u r_u (|p_u|² + b_u²) + Σ_i r_i (|q_i|² + b_i²)

The sum over all pairs is an inner product of two Gram matrices, so a sweep is O(n d² + (users + items) d³) for n
observed pairs. Uniform pairs are observed ones with a weight of their own.

Source: Hu, Koren and Volinsky, ICDM 2008; β, He et al., "Fast matrix factorization for online recommendation with
implicit feedback", SIGIR 2016; r_u and r_i, Rendle et al., "Revisiting the performance of iALS on item recommendation
benchmarks", RecSys 2022.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pyrec._arrays import tensor_of
from pyrec.data.sort import stable_order
from pyrec.errors import ConfigError, DataError, StoppedError
from pyrec.interrupt import never
from pyrec.ops.als import als, gram, padded_columns
from pyrec.store.arrays import State
from pyrec.store.resumable import Arrays, count, number, restore_tensors, tensor_arrays

START: Final = 0.1
"""Spread of an item's first vector: each column is normal with this over the root of the columns."""


class Pairs(NamedTuple):
    """Observed pairs.

    Attributes:
        users: int32 (n,).
        items: int32 (n,).
        weight: float32 (n,) w, at least 0.
        target: float32 (n,) y.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    weight: NDArray[np.float32]
    target: NDArray[np.float32]


@dataclass(frozen=True)
class AllPairs:
    """What is assumed of all pairs, and the penalty.

    Attributes:
        weight: λ.
        prior: m.
        of_item: float32 (num_items,) β; None for 1.
        reg: Of the rows; see `penalty`.
        exponent: Of the rows; 0 for the same penalty in each.
        biases: Whether b_u and b_i are learned; else they are 0.
    """

    weight: float
    prior: float
    of_item: NDArray[np.float32] | None
    reg: float
    exponent: float
    biases: bool

    def whole(self, num_items: int) -> float:
        """Σ_i β_i, the weight of a user's pairs with all items before λ."""
        return float(num_items if self.of_item is None else self.of_item.sum(dtype=np.float64))

    def penalty(self, total: NDArray[np.float64]) -> NDArray[np.float64]:
        """r_r = reg W_r^exponent of rows whose pairs, all and observed, have the weights W_r.

        A row without any is 0 for each penalty above 0; here W_r is 1.

        Args:
            total: (num_rows,) W.
        """
        return self.reg * np.where(total > 0, total, 1.0) ** self.exponent


class Factors(nn.Module):
    """Vectors and biases of users and items: p_u and q_i, and behind them b_u and b_i where there are biases."""

    user: Tensor
    item: Tensor

    def __init__(self, num_users: int, num_items: int, dim: int, biases: bool, seed: int) -> None:
        """Make users of 0 and items by chance.

        Args:
            num_users: Number of users.
            num_items: Number of items.
            dim: Columns of p and q.
            biases: Whether there are biases.
            seed: Of the items.
        """
        super().__init__()
        generator = torch.Generator("cpu").manual_seed(seed)
        items = torch.zeros(num_items, dim + biases, dtype=torch.float32, device="cpu")
        items[:, :dim] = (START / dim**0.5) * torch.randn(
            num_items, dim, generator=generator, dtype=torch.float32, device="cpu"
        )
        self.register_buffer("user", torch.zeros(num_users, dim + biases, dtype=torch.float32, device="cpu"))
        self.register_buffer("item", items)


class Side(NamedTuple):
    """The observed pairs of one side's rows, and their penalties; tensors on the device.

    Attributes:
        indptr: int64 (num_rows + 1,).
        indices: int32 (n,), rows of the other side.
        weight: float32 (n,).
        target: float32 (n,).
        reg: float32 (num_rows,).
        scale: float32 (num_rows,) β of the rows; None for 1.
    """

    indptr: Tensor
    indices: Tensor
    weight: Tensor
    target: Tensor
    reg: Tensor
    scale: Tensor | None


def side_of(
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    pairs: Pairs,
    num_rows: int,
    all_pairs: AllPairs,
    whole: float,
    scale: NDArray[np.float32] | None,
    device: torch.device,
) -> Side:
    """Group pairs by one of their two sides.

    Args:
        rows: int32 (n,), the side to group by.
        columns: int32 (n,), the other.
        pairs: Weights and targets.
        num_rows: Number of rows.
        all_pairs: For the penalty.
        whole: Σ β of the other side: its number of rows, or of its items' weights.
        scale: float32 (num_rows,) β of the rows themselves.
        device: Where to put them.
    """
    weight, target = pairs.weight, pairs.target
    if not bool(np.all(rows[1:] >= rows[:-1])):
        order = stable_order(rows, num_rows)
        rows, columns = rows[order], columns[order]
        weight, target = weight[order], target[order]
    indptr = np.zeros(num_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=num_rows), out=indptr[1:])
    of_all = all_pairs.weight * whole * (1.0 if scale is None else scale.astype(np.float64))
    total = np.asarray(np.bincount(rows, weights=weight, minlength=num_rows) + of_all, dtype=np.float64)
    reg = all_pairs.penalty(total).astype(np.float32)

    def there(array: NDArray[Any]) -> Tensor:
        return tensor_of(array).to(device)

    own = None if scale is None else there(scale)
    return Side(there(indptr), there(columns), there(weight), there(target), there(reg), own)


class Fixed(NamedTuple):
    """One side as the other is solved for against it.

    Attributes:
        vectors: float32 (num_rows, stride): p or q, a 1 for the other side's bias, zeros to a multiple of 16.
        offset: float32 (num_rows,) the own bias; None without biases.
        matrix: λ Σ β f fᵀ, float32 (dim, dim).
        linear: λ Σ β (m - offset) f, float32 (dim,).
        products: Σ β f' f'ᵀ of f' = (f, offset - m), float64 (dim + 1, dim + 1), on the CPU.
    """

    vectors: Tensor
    offset: Tensor | None
    matrix: Tensor
    linear: Tensor
    products: NDArray[np.float64]


def fixed(table: Tensor, all_pairs: AllPairs, weight: Tensor | None) -> Fixed:
    """Prepare one side.

    Args:
        table: float32 (num_rows, dim): vectors, and biases behind them where there are any.
        all_pairs: What is assumed of all pairs.
        weight: β of its rows; None for 1.
    """
    dim, biases = table.shape[1], all_pairs.biases
    vectors = _padded(table, -all_pairs.prior)
    offset = None
    if biases:
        offset = table[:, -1].clone()
        vectors[:, dim - 1] = 1.0
        vectors[:, dim] += offset
    products = gram(vectors, weight)[: dim + 1, : dim + 1]
    vectors[:, dim] = 0.0
    vectors = vectors[:, : padded_columns(dim)].contiguous()
    matrix = (all_pairs.weight * products[:dim, :dim]).float()
    linear = (-all_pairs.weight * products[:dim, dim]).float().contiguous()
    return Fixed(vectors, offset, matrix, linear, products.cpu().numpy())


def _padded(table: Tensor, last: float) -> Tensor:
    """The table (num_rows, dim), a column of one number, and zeros to a multiple of 16 columns."""
    dim = table.shape[1]
    rows = table.new_zeros(len(table), padded_columns(dim + 1))
    rows[:, :dim] = table
    rows[:, dim] = last
    return rows


class Sweeps:
    """Takes factors through sweeps; the same bits at any number of threads.

    A sweep solves for the items and then for the users, so that users are what their pairs make of the items; the first
    sweep solves for the users beforehand.

    Attributes:
        factors: What is learned.
        taken: Halves of the sweep under way that have been taken, of `HALVES`.
        objective: L after the sweep that has `finished`.
    """

    HALVES: Final = 2

    def __init__(
        self, factors: Factors, pairs: Pairs, all_pairs: AllPairs, block: int | None, device: torch.device
    ) -> None:
        """Group the pairs by users and by items.

        Args:
            factors: On the device.
            pairs: The observed ones, of which there is one at least.
            all_pairs: What is assumed of all.
            block: As for `pyrec.ops.als.als`.
            device: Where to train.
        """
        self.factors = factors
        self._all_pairs = all_pairs
        self._block = block
        num_users, num_items = len(factors.user), len(factors.item)
        beta, total = all_pairs.of_item, all_pairs.whole(num_items)
        users, items = pairs.users, pairs.items
        self._users = side_of(users, items, pairs, num_users, all_pairs, total, None, device)
        self._items = side_of(items, users, pairs, num_items, all_pairs, float(num_users), beta, device)
        self.taken = 0
        self.objective = 0.0
        self._num_pairs = len(users)

    @property
    def finished(self) -> bool:
        """Whether the sweep under way has come to its end."""
        return self.taken == self.HALVES

    @property
    def mean_loss(self) -> float:
        """The objective for each observed pair, after the sweep that has `finished`."""
        return self.objective / self._num_pairs

    def rewind(self) -> None:
        """Goes to the start of a sweep, the next one."""
        self.taken = 0

    def epoch(self, epoch: int, stop: Callable[[], bool] = never) -> float:
        """Takes a sweep, or what is left of one; returns `mean_loss`.

        Args:
            epoch: Number of the sweep, from 0.
            stop: Asked before each half whether to end here.

        Raises:
            StoppedError: It was to end here.
            DataError: A row has no solution.
        """
        if self.finished:
            self.rewind()
        if self.taken == 0 and not stop():
            if epoch == 0:
                self.solve_users(self.factors.user)
            self._solve(self.factors.item, self._items, self._fixed_users(), "item")
            self.taken = 1
        if self.taken == 1 and not stop():
            self.objective = self._objective(*self.solve_users(self.factors.user))
            self.taken = self.HALVES
        if not self.finished:
            raise StoppedError(f"training was stopped in epoch {epoch + 1}, after {self.taken} of 2 halves")
        return self.mean_loss

    def solve_users(self, table: Tensor) -> tuple[float, Fixed]:
        """Solve for the users, in place; their loss on observed pairs, and the items as they are."""
        items = self.fixed_items()
        return self._solve(table, self._users, items, "user"), items

    def fixed_items(self) -> Fixed:
        """The items, as users are solved for against them."""
        return fixed(self.factors.item, self._all_pairs, self._items.scale)

    def _fixed_users(self) -> Fixed:
        return fixed(self.factors.user, self._all_pairs, None)

    def _solve(self, table: Tensor, side: Side, against: Fixed, kind: str) -> float:
        losses = solve(table, side, against, self._block, kind)
        return float(losses.cpu().numpy().sum())

    def _objective(self, observed: float, items: Fixed) -> float:
        """L, from the loss of the observed pairs: the rest is of the sizes of Gram matrices."""
        dim = self.factors.user.shape[1]
        # (p, [b_u,] 1) and (q, [1,] b_i - m), whose inner product is the score less m.
        users = gram(_padded(self.factors.user, 1.0))[: dim + 1, : dim + 1].cpu().numpy()
        whole = self._all_pairs.weight * float(np.sum(users * items.products))
        penalty = sum(
            float(np.trace(gram(table, side.reg).cpu().numpy()))
            for table, side in ((self.factors.user, self._users), (self.factors.item, self._items))
        )
        return observed + whole + penalty

    def state(self) -> Arrays:
        """See `Resumable.state`."""
        place = {"taken": np.array(self.taken), "objective": np.array(self.objective)}
        return place | tensor_arrays(self.factors.state_dict())

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: Something is missing, or of another model or data set.
        """
        self.taken = count(state, "taken", self.HALVES)
        self.objective = number(state, "objective", -np.inf, np.inf)
        restore_tensors(self.factors.state_dict(), state)


def solve(table: Tensor, side: Side, against: Fixed, block: int | None, kind: str) -> Tensor:
    """Solve for one side's rows, in place; the loss of each on its observed pairs, float64 (num_rows,)."""
    try:
        return als(
            table,
            against.vectors,
            side.indptr,
            side.indices,
            side.weight,
            side.target,
            side.reg,
            gram=against.matrix,
            linear=against.linear,
            offset=against.offset,
            scale=side.scale,
            block=block,
        )
    except DataError as error:
        if "positive definite" not in str(error):
            raise
        raise ConfigError(f"reg is too small for a {kind} ({error}); raise reg or unobserved") from error
