"""Doubly robust learning of labelled pairs, without a list of all pairs.

With scores ŷ and imputed labels ỹ, both of a matrix factorisation with biases, the error of a pair and the imputed one
are squares: e = (ŷ - r)² / 2 and ê = (ŷ - ỹ)² / 2. Of N pairs in all, the observed ones have inverse propensities w:

    E = 1/N Σ_all ê + 1/N Σ_observed w (e - ê)

It is right on average if the propensities are, or if the imputed errors are. A difference of two scores of low rank has
low rank itself: ŷ - ỹ = a_u · c_i, with a_u = (p_u, b_u, 1, p̃_u, b̃_u, 1) and c_i = (q_i, 1, b_i, -q̃_i, -1, -b̃_i). So
Σ_all ê = <Σ_u a_u a_uᵀ, Σ_i c_i c_iᵀ> / 2, two Gram matrices. Through a sigmoid, as the logistic loss has one, this
does not hold.

Source: Wang et al., "Doubly robust joint learning for recommendation on data missing not at random", ICML 2019; Guo et
al., "Enhanced doubly robust learning for debiasing post-click conversion rate estimation", SIGIR 2021 (MRDR); Li et
al., "StableDR", ICLR 2023; Li et al., "Propensity matters", ICML 2023 (DR-V2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pyrec._arrays import tensor_of
from pyrec.errors import StoppedError
from pyrec.interrupt import never
from pyrec.ops.agreement import agreement
from pyrec.ops.als import gram
from pyrec.ops.pointwise import pointwise
from pyrec.ops.whole import times
from pyrec.store.arrays import State
from pyrec.store.resumable import (
    Arrays,
    count,
    number,
    optimizer_arrays,
    restore_optimizer,
    restore_tensors,
    tensor_arrays,
    under,
)
from pyrec.train.balance import balanced

VARIANTS: Final = ("dr-jl", "mrdr", "dr-v2", "stable")
START: Final = 0.1
"""Spread of an entry of the first vectors, over the root of their dimension."""
TINY: Final = 1e-6
"""Least weight of an imputed label, so that their sum is above 0."""


class Scorer(nn.Module):
    """A matrix factorisation with biases: the score of a pair is p_u · q_i + b_u + b_i.

    Attributes:
        vectors: (num_users + num_items, dim) float32: p, and q behind.
        bias: (num_users + num_items,) float32.
    """

    def __init__(
        self, num_users: int, num_items: int, dim: int, mean: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.num_users = num_users
        num_rows = num_users + num_items
        drawn = torch.randn(num_rows, dim, generator=generator, dtype=torch.float32, device="cpu")
        self.vectors = nn.Parameter(drawn * (START / dim**0.5))
        self.bias = nn.Parameter(torch.full((num_rows,), mean / 2, dtype=torch.float32, device="cpu"))

    def of(self, users: Tensor, items: Tensor) -> Tensor:
        """The scores of pairs (n,), by their rows, without a gradient."""
        # The agreement of vectors with themselves is twice the score, and so are biases that are doubled.
        with torch.no_grad():
            return agreement(self.vectors, self.vectors, users, items, 2 * self.bias) / 2

    def sides(self) -> tuple[Tensor, Tensor]:
        """(p, b, 1) of users and (q, 1, b) of items, whose inner products are the scores."""
        users, items = self.vectors[: self.num_users], self.vectors[self.num_users :]
        of_users, of_items = self.bias[: self.num_users, None], self.bias[self.num_users :, None]
        one_user, one_item = torch.ones_like(of_users), torch.ones_like(of_items)
        return torch.cat([users, of_users, one_user], 1), torch.cat([items, one_item, of_items], 1)

    def penalty(self) -> Tensor:
        """Half of the mean squared length of a user's vector and bias, and of an item's."""
        rows = self.vectors.square().sum(1) + self.bias.square()
        return (rows[: self.num_users].mean() + rows[self.num_users :].mean()) / 2


class Observed(NamedTuple):
    """The observed pairs, as tensors on the device.

    Attributes:
        users: int64 (n,), rows of the vectors.
        items: int64 (n,), rows of the vectors.
        label: float32 (n,) r.
        inverse: float32 (n,) w = 1 / p, times the pair's own weight.
        variance: float32 (n,) (1 - p) / p, which ``mrdr`` weighs imputed labels by, too.
    """

    users: Tensor
    items: Tensor
    label: Tensor
    inverse: Tensor
    variance: Tensor


@dataclass(frozen=True)
class Estimate:
    """The doubly robust estimate of the mean error of all pairs, and its gradient.

    Attributes:
        value: E.
        of_users: dE of (p, b, 1), (num_users, dim + 2).
        of_items: dE of (q, 1, b), (num_items, dim + 2).
        by_score: (n,) dE of the score of each observed pair, by its own term alone.
    """

    value: float
    of_users: Tensor
    of_items: Tensor
    by_score: Tensor


def estimate(
    predicted: Scorer,
    imputed: Scorer,
    observed: Observed,
    scores: Tensor,
    labels: Tensor,
    inverse: Tensor,
) -> Estimate:
    """E, and what its gradient is made of.

    Args:
        predicted: Gives ŷ.
        imputed: Gives ỹ.
        observed: The pairs.
        scores: (n,) ŷ of them.
        labels: (n,) ỹ of them.
        inverse: (n,) w.
    """
    mean, of_users, of_items = imputed_error(predicted, imputed)
    total = len(of_users) * len(of_items)
    difference = (scores - observed.label).square() - (scores - labels).square()
    correction = float((inverse * difference).double().cpu().numpy().sum()) / 2
    return Estimate(
        mean + correction / total, of_users, of_items, inverse * (labels - observed.label) / total
    )


@torch.no_grad()
def imputed_error(predicted: Scorer, imputed: Scorer) -> tuple[float, Tensor, Tensor]:
    """The mean of ê over all pairs, and its gradient in (p, b, 1) and (q, 1, b) of the scores."""
    (a, c), (ta, tc) = predicted.sides(), imputed.sides()
    left, right = torch.cat([a, ta], 1), torch.cat([c, -tc], 1)
    total, width = len(left) * len(right), a.shape[1]
    of_left, of_right = gram(left), gram(right)
    value = float((of_left * of_right).sum()) / (2 * total)
    users = times(left, (of_right[:, :width] / total).to(left.dtype).contiguous())
    items = times(right, (of_left[:, :width] / total).to(left.dtype).contiguous())
    return value, users, items


def mean_score(scorer: Scorer) -> float:
    """The mean of the scores of all pairs."""
    users, items = (side.detach().double().cpu().numpy().mean(axis=0) for side in scorer.sides())
    return float(np.sum(users * items))


class Steps:
    """Takes the two models through epochs of full-batch steps of Adam, the imputed labels first.

    The imputed labels are drawn to where e = ê: half of (e - ê)² is (r - ỹ)² (r + ỹ - 2ŷ)² / 8, and a step lowers it
    by the first factor with the second held. Its other root, ỹ = 2ŷ - r, has the right size and the wrong sign.

    Attributes:
        models: ``predicted`` and ``imputed``.
        taken: Steps of the epoch under way.
        mean_loss: The estimate of the mean error, of the mean of the epoch's steps.
    """

    def __init__(
        self,
        models: nn.ModuleDict,
        observed: Observed,
        variant: str,
        learning_rate: float,
        reg: float,
        balance: float,
        steps: int,
    ) -> None:
        """Hold what is learned from.

        Args:
            models: `Scorer` ``predicted`` and ``imputed``, on the device.
            observed: The pairs.
            variant: One of `VARIANTS`.
            learning_rate: Adam's.
            reg: Of the penalty.
            balance: How much an unbalanced mean counts, of ``dr-v2`` and ``stable``.
            steps: In an epoch.
        """
        self.models = models
        self._observed = observed
        self._variant = variant
        self._reg = reg
        self._balance = balance
        self._steps = steps
        self._optimizers = {
            name: torch.optim.Adam(model.parameters(), lr=learning_rate, foreach=False)
            for name, model in models.items()
        }
        self.taken = 0
        self._sum = 0.0

    @property
    def predicted(self) -> Scorer:
        """The model that ranks."""
        model = self.models["predicted"]
        assert isinstance(model, Scorer)
        return model

    @property
    def imputed(self) -> Scorer:
        """The model of the labels of all pairs."""
        model = self.models["imputed"]
        assert isinstance(model, Scorer)
        return model

    @property
    def finished(self) -> bool:
        """Whether the epoch under way has come to its end."""
        return self.taken == self._steps

    @property
    def mean_loss(self) -> float:
        """The mean estimate of the steps that have been taken."""
        return self._sum / max(1, self.taken)

    def rewind(self) -> None:
        """Goes to the start of an epoch, the next one."""
        self.taken, self._sum = 0, 0.0

    def epoch(self, epoch: int, stop: Callable[[], bool] = never) -> float:
        """Takes the steps of an epoch, or what is left of them; returns `mean_loss`.

        Args:
            epoch: Number of the epoch, from 0.
            stop: Asked before each step whether to end here.

        Raises:
            StoppedError: It was to end here.
        """
        if self.finished:
            self.rewind()
        while not self.finished:
            if stop():
                raise StoppedError(
                    f"training was stopped in epoch {epoch + 1}, after {self.taken} of {self._steps} steps"
                )
            self._sum += self.step()
            self.taken += 1
        return self.mean_loss

    def step(self) -> float:
        """Of the imputed labels, then of the scores; the estimate before."""
        observed, predicted, imputed = self._observed, self.predicted, self.imputed
        scores = predicted.of(observed.users, observed.items)
        self._impute(scores)
        labels = imputed.of(observed.users, observed.items)
        inverse = self._inverse(scores, labels)
        found = estimate(predicted, imputed, observed, scores, labels, inverse)
        if self._variant == "stable":
            loss = self._pointwise(predicted, observed.label, inverse) + self._reg * predicted.penalty()
            self._descend("predicted", loss)
            return found.value
        # A squared error of labels one gradient off the scores has this gradient.
        towards = scores - len(scores) * found.by_score
        loss = self._pointwise(predicted, towards, None) + self._reg * predicted.penalty()
        users, items = predicted.sides()
        loss = loss + (users * found.of_users).sum() + (items * found.of_items).sum()
        self._descend("predicted", loss)
        return found.value

    def _impute(self, scores: Tensor) -> None:
        observed, imputed = self._observed, self.imputed
        labels = imputed.of(observed.users, observed.items)
        weight = observed.inverse * (observed.label + labels - 2 * scores).square()
        if self._variant == "mrdr":
            weight = weight * observed.variance
        loss = self._pointwise(imputed, observed.label, weight + TINY) + self._reg * imputed.penalty()
        self._descend("imputed", loss)

    def _inverse(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The inverse propensities; of two variants those near them that balance what is known of all pairs."""
        if self._variant not in ("dr-v2", "stable"):
            return self._observed.inverse
        if self._variant == "dr-v2":
            known = [(scores, mean_score(self.predicted)), (labels, mean_score(self.imputed))]
        else:
            error = (scores - labels).square() / 2
            known = [(error, imputed_error(self.predicted, self.imputed)[0])]
        columns = np.stack([column.double().cpu().numpy() for column, _ in known], axis=1)
        means = np.array([mean for _, mean in known])
        total = self.predicted.num_users * (len(self.predicted.bias) - self.predicted.num_users)
        weights = self._observed.inverse.double().cpu().numpy()
        found = balanced(weights, columns, means, total, self._balance)
        return tensor_of(found.astype(np.float32)).to(scores.device)

    def _pointwise(self, model: Scorer, label: Tensor, weight: Tensor | None) -> Tensor:
        observed = self._observed
        return pointwise(model.vectors, observed.users, observed.items, label, "squared", weight, model.bias)

    def _descend(self, name: str, loss: Tensor) -> None:
        optimizer = self._optimizers[name]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def state(self) -> Arrays:
        """See `Resumable.state`."""
        arrays: Arrays = {"taken": np.array(self.taken), "sum": np.array(self._sum)}
        arrays |= under("models", tensor_arrays(self.models.state_dict()))
        for name, optimizer in self._optimizers.items():
            arrays |= under(f"adam.{name}", optimizer_arrays(optimizer))
        return arrays

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: Something is missing, or of another model or data set.
        """
        self.taken = count(state, "taken", self._steps)
        self._sum = number(state, "sum", -np.inf, np.inf)
        restore_tensors(self.models.state_dict(), state.under("models."))
        for name, optimizer in self._optimizers.items():
            restore_optimizer(optimizer, state.under(f"adam.{name}."))
